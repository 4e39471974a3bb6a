// Series that belong together, such as the two arms of a canary, are drawn together.

import type { Series } from "../contract";

export interface Drawing {
  title: string;
  unit: string | null;
  limit: number | null;
  times: number[];
  lines: { name: string; values: (number | null)[] }[];
}

/** Series of one name up to the last `: `, with the same times, unit and limit, become one. */
export function drawings(all: Series[]): Drawing[] {
  const found = new Map<string, Drawing>();
  for (const series of all) {
    const cut = series.name.lastIndexOf(": ");
    const title = cut > 0 ? series.name.slice(0, cut) : series.name;
    const name = cut > 0 ? series.name.slice(cut + 2) : series.name;
    const times = series.points.map(([at]) => at);
    const values = series.points.map(([, value]) => value);
    const key = JSON.stringify([title, series.unit, series.limit, times]);
    const drawing = found.get(key);
    if (drawing) drawing.lines.push({ name, values });
    else found.set(key, { title, unit: series.unit, limit: series.limit, times, lines: [{ name, values }] });
  }
  const drawn = [...found.values()];
  for (const each of drawn) {
    const [only] = each.lines;
    if (each.lines.length === 1 && only && only.name !== each.title) each.title = `${each.title}: ${only.name}`;
  }
  return drawn;
}
