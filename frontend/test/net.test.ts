import { describe, expect, it } from "vitest";
import { safeUrl } from "../src/app/embedding";
import { parseRoute, to } from "../src/app/route";
import { problem } from "../src/net/api";
import { bar, scale, spanFor } from "../src/pages/overview/timeline";
import { drawings } from "../src/parts/series";
import type { DueRow } from "../src/contract";

describe("refusals in words", () => {
  it("takes this API's own, FastAPI's and Airflow's", () => {
    expect(problem(409, { error: "It has ended.", hint: "Look." })).toEqual({ error: "It has ended.", hint: "Look." });
    expect(problem(400, { detail: "Invalid input" }).error).toBe("Invalid input");
    expect(problem(422, { detail: [{ loc: ["body", "conf", "percent"], msg: "too large" }] }).error).toBe("conf.percent: too large");
    expect(problem(403, { detail: { reason: "no" } }).error).toBe("no");
    expect(problem(403, null).error).toBe("You may not do or see this.");
    expect(problem(418, "teapot").error).toBe("The server answered with status 418.");
  });
});

describe("addresses", () => {
  it("come back as they were written, whatever is in them", () => {
    const odd = "a/b?c#d%20<img>";
    const found = parseRoute(to(["runs", odd], { plan: odd, none: undefined }));
    expect(found.path).toEqual(["runs", odd]);
    expect(Object.fromEntries(found.query)).toEqual({ plan: odd });
  });

  it("survive what is no encoding", () => expect(parseRoute("#/runs/%E0%A4%A").path).toEqual(["runs", "%E0%A4%A"]));
});

describe("links that specs give", () => {
  it.each(["javascript:alert(1)", "JaVaScript:alert(1)", "data:text/html,x", "//evil.example.com", "notes.txt", "", null])(
    "%s is not followed", (text) => expect(safeUrl(text)).toBeNull());
});

describe("the time line", () => {
  const now = Date.parse("2026-11-23T14:00:00Z");
  const row = (opens: number, closes: number | null): DueRow => ({
    plan: "a", dag_id: "a", summary: null, paused: false, calendar: null, conflicts: [],
    rights: { trigger: false, steer: false, override: false },
    opens_at: new Date(now + opens * 3_600_000).toISOString(),
    closes_at: closes === null ? null : new Date(now + closes * 3_600_000).toISOString(),
  });

  it("is as short as shows most of what is due", () => {
    expect(spanFor([row(1, 2), row(5, 6), row(7, 8), row(400, 401)], now)).toBe("24h");
    expect(spanFor([row(1, 2), row(100, 101)], now)).toBe("7d");
    expect(spanFor([row(5000, 5001)], now)).toBe("30d");
  });

  it("cuts what reaches over its ends, and knows what is beyond", () => {
    const on = scale("24h", now);
    expect(bar(row(-6, 6), on)).toEqual({ left: 0, width: 0.25 });
    expect(bar(row(12, 48), on)).toEqual({ left: 0.5, width: 0.5 });
    expect(bar(row(12, null), on)).toEqual({ left: 0.5, width: 0 });
    expect(bar(row(30, 31), on)).toBeNull();
    expect(on.ticks.map((tick) => tick.text)).toEqual(["16:00", "20:00", "Tue 24 Nov", "04:00", "08:00", "12:00"]);
  });
});

describe("series", () => {
  it("of one metric are drawn together, others apart", () => {
    const series = (name: string, limit: number | null = null) => ({ name, unit: "ratio", limit, points: [[1, 0.1], [2, null]] as [number, number | null][] });
    const drawn = drawings([series("errors: bad of canary", 0.02), series("errors: bad of baseline", 0.02), series("latency: p99"), series("alone")]);
    expect(drawn.map((each) => [each.title, each.lines.map((line) => line.name)])).toEqual([
      ["errors", ["bad of canary", "bad of baseline"]], ["latency: p99", ["p99"]], ["alone", ["alone"]],
    ]);
    expect(drawn[0]?.lines[0]?.values).toEqual([0.1, null]);
  });
});
