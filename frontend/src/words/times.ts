// Times in words. `now` is an argument, so that tests need no clock.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time in at most two units: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < 10 * MINUTE) return pair(whole, MINUTE, "min", 1, "s");
  if (whole < HOUR) return `${Math.round(whole / MINUTE)} min`;
  if (whole < DAY) return pair(whole, HOUR, "h", MINUTE, "min");
  if (whole < 14 * DAY) return pair(whole, DAY, "d", HOUR, "h");
  return `${Math.round(whole / DAY)} d`;
}

function pair(whole: number, big: number, bigName: string, small: number, name: string): string {
  const rounded = Math.round(whole / small) * small;
  const rest = Math.floor((rounded % big) / small);
  const head = `${Math.floor(rounded / big)} ${bigName}`;
  return rest === 0 ? head : `${head} ${rest} ${name}`;
}

/** `4 min ago`, `in 3 h`, `now`. */
export function relative(at: string, now: number): string {
  const seconds = (Date.parse(at) - now) / 1000;
  if (Number.isNaN(seconds)) return at;
  if (Math.abs(seconds) < 5) return "now";
  return seconds < 0 ? `${coarse(-seconds)} ago` : `in ${coarse(seconds)}`;
}

// A number that changes each second draws the eye; beyond a minute, minutes are enough.
function coarse(seconds: number): string {
  if (seconds < MINUTE) return `${Math.round(seconds / 5) * 5} s`;
  if (seconds < HOUR) return `${Math.round(seconds / MINUTE)} min`;
  return duration(seconds);
}

/** `2026-11-23 14:03:22 UTC`. */
export function exact(at: string): string {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return at;
  return `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Exact, in UTC and in the reader's own time zone. */
export function exactBoth(at: string): string {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return at;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone === "UTC") return exact(at);
  const local = moment.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return `${exact(at)}\n${local} ${zone}`;
}

/** `14:03 UTC` today, `Tue 24 Nov, 14:03 UTC` on other days. */
export function clock(at: string, now: number): string {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return at;
  const time = `${moment.toISOString().slice(11, 16)} UTC`;
  if (moment.toISOString().slice(0, 10) === new Date(now).toISOString().slice(0, 10)) return time;
  return `${day(moment)}, ${time}`;
}

/** `Tue 24 Nov` in UTC. */
export function day(moment: Date): string {
  return moment
    .toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" })
    .replace(",", "");
}

/** Seconds between two times; to `now` if there is no second. */
export function between(from: string | null, to: string | null, now: number): number | null {
  if (from === null) return null;
  const end = to === null ? now : Date.parse(to);
  return Math.max(0, (end - Date.parse(from)) / 1000);
}
