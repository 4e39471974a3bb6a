// Numbers in words.

/** Up to four significant digits, thousands apart: `0.0123`, `12.5`, `12,345`. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size !== 0 && size < 0.0001) return value.toExponential(2);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** A number with its unit; ratios in percent. */
export function quantity(value: number | null, unit: string | null): string {
  if (value === null) return "not known";
  if (unit === "ratio") return `${number(value * 100)}%`;
  if (unit === "%" || unit === "percent") return `${number(value)}%`;
  return unit ? `${number(value)} ${unit}` : number(value);
}

/** A share as a whole percentage, never 0 or 100 unless it is. */
export function percent(share: number): string {
  const rounded = Math.round(share * 100);
  if (rounded === 0 && share > 0) return "<1%";
  if (rounded === 100 && share < 1) return "99%";
  return `${rounded}%`;
}

/** What is left of an error budget. */
export function budgetLeft(share: number | null): string {
  if (share === null) return "left: not known";
  return share < 0 ? `overspent by ${percent(-share)}` : `${percent(share)} left`;
}

/** `1 step`, `3 steps`. */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}
