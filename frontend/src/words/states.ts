// One word, one shape and one tone for each state, everywhere. The word and the shape say it; the
// tone only helps.

import type { Attention, StepState } from "../contract";
import type { IconName } from "../parts/Icon";

export type Tone = "ok" | "info" | "warn" | "bad" | "held" | "idle";

export interface Looks {
  text: string;
  icon: IconName;
  tone: Tone;
}

const STEPS: Record<StepState, Looks> = {
  untouched: { text: "not begun", icon: "dotted", tone: "idle" },
  waiting: { text: "waiting", icon: "clock", tone: "warn" },
  acting: { text: "acting", icon: "play", tone: "info" },
  done: { text: "done", icon: "check", tone: "ok" },
  failed: { text: "failed", icon: "cross", tone: "bad" },
  unknown: { text: "result unknown", icon: "question", tone: "bad" },
  undoing: { text: "being undone", icon: "undo", tone: "warn" },
  undone: { text: "undone", icon: "undone", tone: "idle" },
};

const RUNS: Record<string, Looks> = {
  running: { text: "running", icon: "play", tone: "info" },
  waiting: { text: "waiting", icon: "clock", tone: "warn" },
  held: { text: "held", icon: "pause", tone: "held" },
  stopping: { text: "stopping", icon: "stop", tone: "warn" },
  rolling_back: { text: "rolling back", icon: "undo", tone: "warn" },
  succeeded: { text: "succeeded", icon: "check", tone: "ok" },
  rolled_back: { text: "rolled back", icon: "undone", tone: "warn" },
  rollback_failed: { text: "rollback failed", icon: "alert", tone: "bad" },
  rejected: { text: "rejected", icon: "minus", tone: "idle" },
  expired: { text: "expired", icon: "clock", tone: "idle" },
  blocked: { text: "blocked", icon: "minus", tone: "warn" },
  aborted: { text: "aborted", icon: "stop", tone: "idle" },
  failed: { text: "failed", icon: "cross", tone: "bad" },
};

/** All outcomes, the ones that matter most first. */
export const OUTCOMES = [
  "succeeded", "rolled_back", "rollback_failed", "failed", "aborted", "blocked", "rejected",
  "expired",
] as const;

/** States of runs that go on. */
export const LIVE = ["running", "waiting", "held", "stopping", "rolling_back"] as const;

const ATTENTION: Record<Attention, Looks> = {
  approval: { text: "Needs approval", icon: "hand", tone: "info" },
  held: { text: "Held", icon: "pause", tone: "held" },
  breach: { text: "SLO breached", icon: "alert", tone: "bad" },
  rollback_failed: { text: "Rollback failed", icon: "alert", tone: "bad" },
  failing: { text: "Failing", icon: "cross", tone: "bad" },
  lock: { text: "Waits for a lock", icon: "lock", tone: "warn" },
  window: { text: "Window closed", icon: "calendar", tone: "warn" },
};

const VERDICTS: Record<string, Looks> = {
  proceed: { text: "proceed", icon: "check", tone: "ok" },
  hold: { text: "hold", icon: "pause", tone: "warn" },
  refuse: { text: "refuse", icon: "minus", tone: "bad" },
  roll_back: { text: "roll back", icon: "undo", tone: "bad" },
};

const APPROVALS: Record<string, Looks> = {
  open: { text: "open", icon: "hand", tone: "info" },
  granted: { text: "granted", icon: "check", tone: "ok" },
  rejected: { text: "rejected", icon: "minus", tone: "bad" },
  expired: { text: "expired", icon: "clock", tone: "idle" },
  cancelled: { text: "not needed any more", icon: "minus", tone: "idle" },
};

const ITEMS: Record<string, Looks> = {
  waiting: { text: "waiting", icon: "dotted", tone: "idle" },
  acting: { text: "acting", icon: "play", tone: "info" },
  running: { text: "running", icon: "play", tone: "info" },
  done: { text: "done", icon: "check", tone: "ok" },
  failed: { text: "failed", icon: "cross", tone: "bad" },
  undone: { text: "undone", icon: "undone", tone: "idle" },
  skipped: { text: "skipped", icon: "minus", tone: "idle" },
};

function look(table: Record<string, Looks>, state: string): Looks {
  // A state that a newer server knows and this page does not is shown by its own name.
  const known = Object.hasOwn(table, state) ? table[state] : undefined;
  return known ?? { text: state.replaceAll("_", " "), icon: "question", tone: "idle" };
}

export const stepLooks = (state: string): Looks => look(STEPS, state);
export const runLooks = (state: string): Looks => look(RUNS, state);
export const attentionLooks = (kind: string): Looks => look(ATTENTION, kind);
export const approvalLooks = (state: string): Looks => look(APPROVALS, state);

/** A verdict such as `hold`, or `hold (inconclusive)` when not enough was known. */
export function verdictLooks(verdict: string): Looks {
  const [kind = "", note] = verdict.split(" (", 2);
  const looks = look(VERDICTS, kind);
  return note === undefined ? looks : { ...looks, icon: "question", tone: "warn" };
}

export const itemLooks = (state: string): Looks => look(ITEMS, state);
