// Which page is shown: the hash of the address, such as `#/runs?plan=a` or `#/runs/PLAN_ID`.

import { signal } from "@preact/signals";

export interface Route {
  /** Parts of the path, decoded: `["runs", "PLAN_ID"]`. */
  path: string[];
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The hash of a page; what is empty in the query is left out. */
export function to(path: string[], query: Record<string, string | undefined> = {}): string {
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) asked.set(key, value);
  const text = asked.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export const toRun = (planId: string): string => to(["runs", planId]);
export const toPlan = (plan: string): string => to(["plans", plan]);

export const route = signal<Route>(parseRoute(""));

export function startRouter(): void {
  const read = () => {
    route.value = parseRoute(window.location.hash);
  };
  window.addEventListener("hashchange", read);
  read();
}

/** Change the query of the page that is shown, without a new entry in the history. */
export function refine(query: Record<string, string | undefined>): void {
  const { path, query: old } = route.value;
  const hash = to(path, { ...Object.fromEntries(old), ...query });
  window.history.replaceState(null, "", hash);
  route.value = parseRoute(hash);
}
