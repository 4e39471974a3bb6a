// The time that everything on the page is relative to. It moves once a second, and not at all
// while nobody looks.

import { signal } from "@preact/signals";

export const now = signal(Date.now());

export function startClock(): void {
  const tick = () => {
    if (!document.hidden) now.value = Date.now();
  };
  window.setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
}
