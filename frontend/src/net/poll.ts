// What is shown is asked for again and again; each path once, however many parts show it.

import { signal, type Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { read, Refused, type Kept } from "./api";

export const LIVE_MS = 1_500;
const HIDDEN_MS = 15_000;
const SLOWEST_MS = 15_000;

export interface Seen<T> {
  data: T | undefined;
  /** Why the last attempt failed; what was seen before stays in `data`. */
  refused: Refused | undefined;
}

/** How the line to the server is. */
export const line = signal<{
  /** When the last answer came, in milliseconds. */
  okAt: number | null;
  /** Since when no answer comes; `null`: the line is up. */
  downSince: number | null;
  why: string;
  loggedOut: boolean;
}>({ okAt: null, downSince: null, why: "", loggedOut: false });

class Source {
  readonly seen: Signal<Seen<unknown>> = signal({ data: undefined, refused: undefined });
  private readonly wanted = new Map<symbol, number>();
  private kept: Kept | undefined;
  private timer: number | undefined;
  private asking = false;
  private failures = 0;

  constructor(private readonly path: string) {}

  join(every: number): () => void {
    const key = Symbol();
    this.wanted.set(key, every);
    void this.poke();
    return () => {
      this.wanted.delete(key);
      if (this.wanted.size === 0) {
        window.clearTimeout(this.timer);
        // Kept for a while, so that going back shows at once what was seen last.
        if (sources.size > 40) sources.delete(this.path);
      }
    };
  }

  async poke(): Promise<void> {
    if (this.asking || this.wanted.size === 0) return;
    window.clearTimeout(this.timer);
    this.asking = true;
    try {
      const answer = await read(this.path, this.kept);
      this.failures = 0;
      lineUp();
      if (answer !== this.kept || this.seen.peek().refused) {
        this.kept = answer;
        this.seen.value = { data: answer.data, refused: undefined };
      }
    } catch (error) {
      const refused =
        error instanceof Refused
          ? error
          : new Refused(0, { error: "The answer cannot be read.", hint: null });
      this.failures += 1;
      lineDown(refused);
      this.seen.value = { data: this.seen.peek().data, refused };
    } finally {
      this.asking = false;
      this.plan();
    }
  }

  private plan(): void {
    window.clearTimeout(this.timer);
    if (this.wanted.size === 0) return;
    const every = Math.min(...this.wanted.values());
    const wait = Math.min(every * 2 ** Math.min(this.failures, 3), Math.max(every, SLOWEST_MS));
    const calm = document.hidden ? Math.max(HIDDEN_MS, wait) : wait;
    this.timer = window.setTimeout(() => void this.poke(), calm);
  }
}

const sources = new Map<string, Source>();

function source(path: string): Source {
  let found = sources.get(path);
  if (!found) {
    found = new Source(path);
    sources.set(path, found);
  }
  return found;
}

function lineUp(): void {
  line.value = { okAt: Date.now(), downSince: null, why: "", loggedOut: false };
}

function lineDown(refused: Refused): void {
  const old = line.peek();
  if (refused.status === 401) {
    line.value = { ...old, loggedOut: true, why: refused.message };
  } else if (refused.status === 0 || refused.status >= 500) {
    line.value = { ...old, downSince: old.downSince ?? Date.now(), why: refused.message };
  } else {
    lineUp(); // it answers, and says no
  }
}

/** Ask again now for everything that is shown: something has been changed. */
export function refresh(): void {
  for (const each of sources.values()) void each.poke();
}

export function startPolling(): void {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  window.addEventListener("online", refresh);
}

/** What the server says about a path below `api/v1`, kept up to date. */
export function usePolled<T>(path: string | null, every: number = LIVE_MS): Seen<T> {
  const [, rerender] = useState(0);
  useEffect(() => {
    if (path === null) return undefined;
    const from = source(path);
    const leave = from.join(every);
    const unsubscribe = from.seen.subscribe(() => rerender((n) => n + 1));
    return () => {
      unsubscribe();
      leave();
    };
  }, [path, every]);
  if (path === null) return { data: undefined, refused: undefined };
  return source(path).seen.peek() as Seen<T>;
}

/** What was seen last, until the first answer to another question is there: no blank in between. */
export function useLast<T>(seen: Seen<T>): Seen<T> {
  const last = useRef<T | undefined>(undefined);
  if (seen.data !== undefined) last.current = seen.data;
  return seen.refused ? seen : { ...seen, data: last.current };
}
