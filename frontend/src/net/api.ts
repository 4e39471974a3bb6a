// Talking to the server: JSON with ETags, and what was refused as text.

import { airflowUrl } from "../app/embedding";
import type { Problem } from "../contract";

const TIMEOUT_MS = 10_000;

/** The server refused something, or could not be reached (`status` 0). */
export class Refused extends Error {
  readonly status: number;
  readonly hint: string | null;

  constructor(status: number, problem: Problem) {
    super(problem.error);
    this.status = status;
    this.hint = problem.hint;
  }
}

export interface Kept {
  etag: string | null;
  data: unknown;
}

/** The answer of a path below `api/v1`; `kept` itself if nothing has changed since. */
export async function read(path: string, kept?: Kept): Promise<Kept> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (kept?.etag) headers["If-None-Match"] = kept.etag;
  const answer = await ask(apiUrl(path), { headers });
  if (answer.status === 304 && kept) return kept;
  if (!answer.ok) throw await refusal(answer);
  if (!(answer.headers.get("content-type") ?? "").includes("json")) {
    throw new Refused(401, { error: "You are not logged in any more.", hint: null });
  }
  return { etag: answer.headers.get("etag"), data: await answer.json() };
}

/** Ask for an act; gives the answer's JSON. */
export async function act<T>(path: string, body: unknown): Promise<T> {
  return post<T>(apiUrl(path), body);
}

/** Ask Airflow's own API for something, as the user who is logged in. */
export async function askAirflow<T>(path: string, body: unknown): Promise<T> {
  return post<T>(airflowUrl(`api/v2/${path}`), body);
}

function apiUrl(path: string): string {
  return new URL(`api/v1/${path}`, document.baseURI).href;
}

async function post<T>(url: string, body: unknown): Promise<T> {
  const answer = await ask(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Planner-Request": "1" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw await refusal(answer);
  return (await answer.json()) as T;
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(url, { ...init, signal, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new Refused(0, {
      error: late ? "The server did not answer within 10 s." : "The server cannot be reached.",
      hint: null,
    });
  }
}

async function refusal(answer: Response): Promise<Refused> {
  let body: unknown = null;
  try {
    body = await answer.json();
  } catch {
    // Not JSON: a proxy in between. The status has to do.
  }
  return new Refused(answer.status, problem(answer.status, body));
}

/** The words of a refusal: this API's own, FastAPI's, or Airflow's. */
export function problem(status: number, body: unknown): Problem {
  if (isObject(body)) {
    if (typeof body["error"] === "string") {
      return { error: body["error"], hint: text(body["hint"]) };
    }
    const detail = body["detail"];
    if (typeof detail === "string") return { error: detail, hint: null };
    if (Array.isArray(detail)) return { error: detail.map(complaint).join("\n"), hint: null };
    if (isObject(detail)) {
      const said = text(detail["error"]) ?? text(detail["reason"]) ?? JSON.stringify(detail);
      return { error: said, hint: text(detail["hint"]) };
    }
  }
  return { error: DEFAULTS[status] ?? `The server answered with status ${status}.`, hint: null };
}

const DEFAULTS: Record<number, string> = {
  401: "You are not logged in any more.",
  403: "You may not do or see this.",
  404: "There is no such thing, or you may not see it.",
  502: "The server is not up at this moment.",
  503: "The server is not up at this moment.",
};

function complaint(item: unknown): string {
  if (!isObject(item)) return String(item);
  const where = Array.isArray(item["loc"]) ? item["loc"].slice(1).join(".") : "";
  const what = text(item["msg"]) ?? JSON.stringify(item);
  return where ? `${where}: ${what}` : what;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
