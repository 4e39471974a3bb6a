import { describe, expect, it } from "vitest";
import { fieldOf, valuesOf } from "../src/parts/fields";

function form(values: Record<string, string>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return made;
}

describe("fields of the form that starts a plan", () => {
  it("come back as the types that the schema asks for", () => {
    const fields = [
      fieldOf("version", { type: "string", default: "1.5.0" }),
      fieldOf("percent", { type: "integer", minimum: 1, maximum: 100 }),
      fieldOf("region", { enum: ["eu", "us"] }),
      fieldOf("level", { enum: [1, 2] }),
      fieldOf("dry_run", { type: "boolean", default: true }),
      fieldOf("hosts", { type: "array" }),
      fieldOf("ticket", { type: ["string", "null"], default: null }),
    ];
    const given = { version: "1.6.0", percent: "20", region: '"us"', level: "2", hosts: '["a"]', ticket: "" };
    expect(valuesOf(fields, form(given))).toEqual({
      version: "1.6.0", percent: 20, region: "us", level: 2, dry_run: false, hosts: ["a"], ticket: null,
    });
  });

  it("leave out an empty number, so that the default counts", () => {
    const fields = [fieldOf("percent", { type: "integer", default: 20 })];
    expect(valuesOf(fields, form({ percent: "" }))).toEqual({});
  });

  it("refuse what is no JSON, by the field's name", () => {
    const fields = [fieldOf("hosts", { type: "array", title: "Hosts" })];
    expect(() => valuesOf(fields, form({ hosts: "a, b" }))).toThrow("Hosts is not JSON.");
  });

  it("are needed only where nothing stands for them", () => {
    expect(fieldOf("a", { type: "string" }).required).toBe(true);
    expect(fieldOf("a", { type: "string", default: "" }).required).toBe(false);
    expect(fieldOf("a", { type: ["string", "null"], default: null }).required).toBe(false);
  });

  it("match a pattern anywhere, as JSON Schema does, and leave out one that is not JavaScript", () => {
    const pattern = (text: string) => fieldOf("a", { type: "string", pattern: text }).pattern;
    expect(new RegExp(`^(?:${pattern("b+")})$`).test("abbc")).toBe(true);
    expect(new RegExp(`^(?:${pattern("^b+$")})$`).test("abbc")).toBe(false);
    expect(pattern("(?P<x>a)")).toBeUndefined();
  });
});
