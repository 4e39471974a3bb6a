import { describe, expect, it } from "vitest";
import { budgetLeft, count, number, percent, quantity } from "../src/words/numbers";
import { approvalLooks, runLooks, stepLooks, verdictLooks } from "../src/words/states";
import { between, clock, duration, exact, relative } from "../src/words/times";

const NOW = Date.parse("2026-11-23T14:00:00Z");
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

describe("times", () => {
  it.each([
    [0, "0 s"], [59.4, "59 s"], [60, "1 min"], [95, "1 min 35 s"], [599, "9 min 59 s"],
    [3_599, "60 min"], [3_600, "1 h"], [7_290, "2 h 2 min"], [86_400, "1 d"],
    [100_000, "1 d 4 h"], [20 * 86_400, "20 d"], [-5, "0 s"],
  ])("%d s is %s", (seconds, words) => expect(duration(seconds)).toBe(words));

  it.each([[-2, "now"], [-42, "40 s ago"], [-180, "3 min ago"], [7_200, "in 2 h"], [90_000, "in 1 d 1 h"]])(
    "%d s from now is %s", (seconds, words) => expect(relative(at(seconds), NOW)).toBe(words));

  it("names the day unless it is today", () => {
    expect(clock(at(3_600), NOW)).toBe("15:00 UTC");
    expect(clock(at(86_400), NOW)).toBe("Tue 24 Nov, 14:00 UTC");
  });

  it("shows what is no time as it is", () => {
    expect(relative("soon", NOW)).toBe("soon");
    expect(exact("soon")).toBe("soon");
    expect(clock("soon", NOW)).toBe("soon");
  });

  it("knows how long something took, or goes on", () => {
    expect(between(at(-90), at(-30), NOW)).toBe(60);
    expect(between(at(-90), null, NOW)).toBe(90);
    expect(between(null, null, NOW)).toBeNull();
  });
});

describe("numbers", () => {
  it("says what is not known, and shares in percent", () => {
    expect(quantity(null, "s")).toBe("not known");
    expect(quantity(0.0052, "ratio")).toBe("0.52%");
    expect(quantity(18204, "requests")).toBe("18,204 requests");
    expect(number(0.0000123)).toBe("1.23e-5");
    expect(count(1, "plan")).toBe("1 plan");
  });

  it("never rounds a share to nothing or to everything", () => {
    expect([percent(0), percent(0.001), percent(0.999), percent(1), percent(-0.08)]).toEqual(
      ["0%", "<1%", "99%", "100%", "-8%"]);
  });
});

describe("error budgets", () => {
  it.each([[null, "left: not known"], [0.724, "72% left"], [0, "0% left"], [-0.08, "overspent by 8%"]])(
    "%d is %s", (share, words) => expect(budgetLeft(share)).toBe(words));
});

describe("states", () => {
  it("shows an unknown state by its own name", () => {
    expect(runLooks("taken_away").text).toBe("taken away");
    expect(stepLooks("constructor").text).toBe("constructor");
    expect(approvalLooks("put_off")).toEqual({ text: "put off", icon: "question", tone: "idle" });
    expect(approvalLooks("cancelled").text).toBe("not needed any more");
  });

  it("tells a verdict from one that comes of not knowing", () => {
    expect(verdictLooks("hold").icon).toBe("pause");
    expect(verdictLooks("hold (inconclusive)")).toEqual({ text: "hold", icon: "question", tone: "warn" });
  });
});
