// Where moments stand on the time line of what is due.

import type { DueRow } from "../../contract";
import { day } from "../../words/times";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export interface Scale {
  from: number;
  until: number;
  ticks: Tick[];
}

export interface Tick {
  /** Its place from the left, 0 to 1. */
  place: number;
  text: string;
}

export const SPANS = { "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY } as const;
export type Span = keyof typeof SPANS;

/** The shortest span that shows at least three quarters of what is due. */
export function spanFor(rows: DueRow[], now: number): Span {
  for (const span of Object.keys(SPANS) as Span[]) {
    const seen = rows.filter((row) => Date.parse(row.opens_at) <= now + SPANS[span]);
    if (seen.length >= rows.length * 0.75) return span;
  }
  return "30d";
}

/** The scale of a span that begins at `now`. Days begin at midnight UTC. */
export function scale(span: Span, now: number): Scale {
  const from = now;
  const until = now + SPANS[span];
  const step = span === "24h" ? 4 * HOUR : span === "7d" ? DAY : 5 * DAY;
  const ticks: Tick[] = [];
  for (let at = Math.ceil(from / step) * step; at < until; at += step) {
    const moment = new Date(at);
    const midnight = at % DAY === 0;
    const text = span === "24h" && !midnight ? moment.toISOString().slice(11, 16) : day(moment);
    ticks.push({ place: (at - from) / (until - from), text });
  }
  return { from, until, ticks };
}

/** Left edge and width of a window, 0 to 1; `null` if none of it is on the scale. */
export function bar(row: DueRow, on: Scale): { left: number; width: number } | null {
  const opens = Date.parse(row.opens_at);
  const closes = row.closes_at === null ? opens : Date.parse(row.closes_at);
  if (closes < on.from || opens > on.until) return null;
  const whole = on.until - on.from;
  const left = Math.max(0, (opens - on.from) / whole);
  const right = Math.min(1, (closes - on.from) / whole);
  return { left, width: right - left };
}
