// From the JSON Schema of a parameter to a field of a form, and back to a value.

import type { Json, JsonObject } from "../contract";
import { Refused } from "../net/api";

export interface Field {
  name: string;
  title: string;
  kind: "text" | "number" | "boolean" | "choice" | "json";
  /** What stands in it at first, as the form has it. */
  initial: string;
  required: boolean;
  hint: string;
  choices: Json[];
  pattern: string | undefined;
  low: number | undefined;
  high: number | undefined;
  step: "any" | 1;
  /** Whether an empty field means `null`. */
  nullable: boolean;
}

export function fieldOf(name: string, schema: JsonObject): Field {
  const types = typesOf(schema);
  const nullable = types.includes("null") || schema["default"] === null;
  const initial = schema["default"];
  const choices = Array.isArray(schema["enum"]) ? schema["enum"].filter((each) => each !== null) : [];
  const kind = choices.length > 0 ? "choice" : kindOf(types);
  const text = kind === "text";
  return {
    name,
    kind,
    choices,
    nullable,
    title: string(schema["title"]) ?? name,
    initial: initial === undefined || initial === null ? "" : initialOf(kind, initial),
    required: kind !== "boolean" && !nullable && (initial === undefined || !text || (numeric(schema["minLength"]) ?? 0) > 0),
    hint: hintOf(schema, types),
    pattern: text ? patternOf(string(schema["pattern"])) : undefined,
    low: numeric(schema[text ? "minLength" : "minimum"]),
    high: numeric(schema[text ? "maxLength" : "maximum"]),
    step: types.includes("integer") ? 1 : "any",
  };
}

/** The values of a form; throws `Refused` where a field holds no value. */
export function valuesOf(fields: Field[], form: FormData): JsonObject {
  const values: JsonObject = {};
  for (const field of fields) {
    const value = valueOf(field, form.get(field.name));
    if (value !== undefined) values[field.name] = value;
  }
  return values;
}

function valueOf(field: Field, given: FormDataEntryValue | null): Json | undefined {
  if (field.kind === "boolean") return given !== null;
  const text = typeof given === "string" ? given : "";
  if (text.trim() === "") {
    if (field.nullable) return null;
    return field.kind === "text" ? text : undefined;
  }
  if (field.kind === "number") return Number(text);
  if (field.kind === "text") return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw new Refused(0, {
      error: `${field.title} is not JSON.`,
      hint: 'Lists look like ["a", "b"], objects like {"a": 1}.',
    });
  }
}

function typesOf(schema: JsonObject): string[] {
  const type = schema["type"];
  if (typeof type === "string") return [type];
  return Array.isArray(type) ? type.filter((each) => typeof each === "string") : [];
}

function kindOf(types: string[]): Field["kind"] {
  if (types.includes("string") || types.length === 0) return "text";
  if (types.includes("boolean")) return "boolean";
  if (types.includes("integer") || types.includes("number")) return "number";
  return "json";
}

function initialOf(kind: Field["kind"], initial: Json): string {
  if (kind === "choice") return JSON.stringify(initial);
  if (kind === "json") return JSON.stringify(initial, null, 2);
  return String(initial);
}

function hintOf(schema: JsonObject, types: string[]): string {
  const said = [string(schema["description"])];
  const [low, high] = [numeric(schema["minimum"]), numeric(schema["maximum"])];
  if (low !== undefined && high !== undefined) said.push(`From ${low} to ${high}.`);
  else if (low !== undefined) said.push(`At least ${low}.`);
  else if (high !== undefined) said.push(`At most ${high}.`);
  const pattern = string(schema["pattern"]);
  if (pattern) said.push(`Matches: ${pattern}`);
  const format = string(schema["format"]);
  if (format === "date-time") said.push("A time with its zone, such as 2026-11-23T14:00:00Z.");
  if (types.includes("array")) said.push("A JSON list.");
  if (types.includes("object")) said.push("A JSON object.");
  return said.filter((each) => each !== undefined).map(sentence).join(" ");
}

function sentence(text: string): string {
  return /[.!?$:]$/.test(text) ? text : `${text}.`;
}

// JSON Schema searches anywhere in the text, HTML matches the whole of it.
function patternOf(pattern: string | undefined): string | undefined {
  if (pattern === undefined) return undefined;
  try {
    new RegExp(pattern, "v");
  } catch {
    return undefined; // Airflow checks it
  }
  return `${pattern.startsWith("^") ? "" : ".*"}(?:${pattern})${pattern.endsWith("$") ? "" : ".*"}`;
}

function string(value: Json | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function numeric(value: Json | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
