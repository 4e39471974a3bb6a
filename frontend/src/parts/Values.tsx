// JSON as people read it: names and values, nested ones folded. All of it is text.

import type { ComponentChildren, JSX } from "preact";
import type { Json, JsonObject } from "../contract";
import { number } from "../words/numbers";
import { exactBoth } from "../words/times";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;
const SHORT = 60;

/** Names and values of an object. */
export function Values({ of }: { of: JsonObject }): JSX.Element {
  const entries = Object.entries(of);
  if (entries.length === 0) return <span class="faint">none</span>;
  return (
    <dl class="values">
      {entries.map(([name, value]) => (
        <div class="value-row" key={name}>
          <dt>{name.replaceAll("_", " ")}</dt>
          <dd><Value of={value} /></dd>
        </div>
      ))}
    </dl>
  );
}

/** One value. */
export function Value({ of }: { of: Json }): JSX.Element {
  if (of === null) return <span class="faint">none</span>;
  if (typeof of === "boolean") return <>{of ? "yes" : "no"}</>;
  if (typeof of === "number") return <span class="num">{number(of)}</span>;
  if (typeof of === "string") return <Text of={of} />;
  if (Array.isArray(of)) return <List of={of} />;
  if (Object.keys(of).length === 0) return <span class="faint">none</span>;
  return <Fold title={summary(of)}><Values of={of} /></Fold>;
}

function Text({ of }: { of: string }): JSX.Element {
  if (of === "") return <span class="faint">empty</span>;
  if (MOMENT.test(of)) return <time dateTime={of} title={exactBoth(of)}>{of.replace("T", " ")}</time>;
  if (of.includes("\n")) return <pre class="text">{of}</pre>;
  return <span class="text">{of}</span>;
}

function List({ of }: { of: Json[] }): JSX.Element {
  if (of.length === 0) return <span class="faint">none</span>;
  const plain = of.every((item) => item === null || typeof item !== "object");
  const text = plain ? of.map(String).join(", ") : "";
  if (plain && text.length <= SHORT) return <span class="text">{text}</span>;
  return (
    <Fold title={`${of.length} items`}>
      <ol class="list">{of.map((item, place) => <li key={place}><Value of={item} /></li>)}</ol>
    </Fold>
  );
}

function Fold({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return <details class="fold"><summary>{title}</summary>{children}</details>;
}

function summary(of: JsonObject): string {
  const names = Object.keys(of).join(", ");
  return names.length > SHORT ? `${names.slice(0, SHORT)}…` : names;
}
