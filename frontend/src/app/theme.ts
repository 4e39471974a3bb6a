// Light or dark: what the reader chose here, else (inside of Airflow) what Airflow shows, else
// what the system says.

import { effect, signal } from "@preact/signals";
import { airflowDocument } from "./embedding";

export type Choice = "system" | "light" | "dark";
const KEY = "planner.theme";

export const choice = signal<Choice>(stored());
/** Rises when the colours may have changed, for what is drawn on a canvas. */
export const paint = signal(0);

const outer = signal<"light" | "dark" | null>(null);

function stored(): Choice {
  try {
    const value = window.localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export function choose(next: Choice): void {
  choice.value = next;
  try {
    if (next === "system") window.localStorage.removeItem(KEY);
    else window.localStorage.setItem(KEY, next);
  } catch {
    // Storage is switched off: the choice holds until the page is left.
  }
}

function watchAirflow(): void {
  const root = airflowDocument()?.documentElement;
  if (!root) return;
  const read = () => {
    if (root.classList.contains("dark")) outer.value = "dark";
    else if (root.classList.contains("light")) outer.value = "light";
    else outer.value = null;
  };
  read();
  new MutationObserver(read).observe(root, { attributes: true, attributeFilter: ["class"] });
}

export function startTheme(): void {
  watchAirflow();
  effect(() => {
    const wanted = choice.value === "system" ? outer.value : choice.value;
    if (wanted) document.documentElement.dataset["theme"] = wanted;
    else delete document.documentElement.dataset["theme"];
    paint.value = paint.peek() + 1;
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    paint.value += 1;
  });
}
