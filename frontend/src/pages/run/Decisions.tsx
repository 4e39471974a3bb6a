// The decisions about a run; each opens to what it was made from.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { DecisionDetail, DecisionRow, Json, JsonObject } from "../../contract";
import { usePolled } from "../../net/poll";
import { Badge, Nothing, Pending, Section, When } from "../../parts/bits";
import { Charts } from "../../parts/Charts";
import { Icon } from "../../parts/Icon";
import { Value, Values } from "../../parts/Values";
import { count, quantity } from "../../words/numbers";
import { verdictLooks } from "../../words/states";

const FIRST = 12;
const FEW = 8;
const NEVER_AGAIN_MS = 600_000;

export function Decisions({ rows }: { rows: DecisionRow[] }): JSX.Element {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.slice(0, FIRST);
  return (
    <Section id="decisions" title={<>Decisions {rows.length > 0 ? <span class="tally">{rows.length}</span> : null}</>}>
      {rows.length === 0 ? <Nothing icon="dotted">Nothing has been decided yet.</Nothing> : (
        <div class="panel">
          <ol class="decisions">{shown.map((row) => <Decision row={row} key={row.id} />)}</ol>
          {rows.length > FIRST ? (
            <button type="button" class="button quiet more" onClick={() => setAll(!all)}>
              {all ? "Show fewer" : `Show all ${rows.length}`}
            </button>
          ) : null}
        </div>
      )}
    </Section>
  );
}

function Decision({ row }: { row: DecisionRow }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [first, ...others] = row.reasons;
  return (
    <li class="decision">
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <Badge looks={verdictLooks(row.verdict)} />
          <span class="decision-what">
            <strong>{row.kind.replaceAll("_", " ")}</strong>
            {row.step ? <code>{row.step}</code> : null}
          </span>
          <span class="decision-when faint"><When at={row.decided_at} /></span>
          <span class="decision-why">{first?.text}</span>
        </summary>
        {others.length > 0 ? <ul class="also">{others.map((reason) => <li key={reason.text}>{reason.text}</li>)}</ul> : null}
        {open ? <Evidence id={row.id} /> : null}
      </details>
    </li>
  );
}

function Evidence({ id }: { id: number }): JSX.Element {
  const { data, refused } = usePolled<DecisionDetail>(`decisions/${id}`, NEVER_AGAIN_MS);
  if (!data) return <div class="evidence"><Pending refused={refused} what="the evidence" /></div>;
  const { measures, ...rest } = without(data.evidence, "kind", "reasons", "inconclusive");
  const rows = measuresOf(measures);
  const others: JsonObject = rows.length > 0 || measures === undefined ? rest : { ...rest, measures };
  return (
    <div class="evidence">
      <Charts series={data.series} />
      {rows.length > 0 ? <AllMeasures rows={rows} /> : null}
      {Object.keys(others).length > 0 ? <Values of={others} /> : null}
      <details class="fold">
        <summary>Inputs</summary>
        <Values of={data.inputs} />
      </details>
      <p class="faint vouched"><Vouched by={data.vouched} /> Decision {id}, by {data.decision.actor}.</p>
    </div>
  );
}

function Vouched({ by }: { by: boolean | null }): JSX.Element {
  if (by === null) return <>It is not known whether the audit trail vouches for this record.</>;
  if (by) return <><Icon name="check" size={13} /> The audit trail vouches for this record.</>;
  return <strong class="bad-text"><Icon name="alert" size={13} /> The audit trail does not vouch for this record: it may have been changed.</strong>;
}

interface Measured {
  name: string;
  value: Json;
  unit: string;
  limit: number | null;
  note: string;
}

function measuresOf(value: Json | undefined): Measured[] {
  if (!Array.isArray(value)) return [];
  const found: Measured[] = [];
  for (const item of value) {
    if (item === null || typeof item !== "object" || Array.isArray(item)) return [];
    if (typeof item["name"] !== "string") return [];
    found.push({
      name: item["name"],
      value: item["value"] ?? null,
      unit: typeof item["unit"] === "string" ? item["unit"] : "",
      limit: typeof item["limit"] === "number" ? item["limit"] : null,
      note: typeof item["note"] === "string" ? item["note"] : "",
    });
  }
  return found;
}

/** What was compared with a limit; the other numbers are folded, if there are many. */
function AllMeasures({ rows }: { rows: Measured[] }): JSX.Element {
  const compared = rows.filter((row) => row.limit !== null);
  const others = rows.filter((row) => row.limit === null);
  if (rows.length <= FEW || compared.length === 0) return <Measures rows={rows} />;
  return (
    <>
      <Measures rows={compared} />
      <details class="fold">
        <summary>{count(others.length, "other number")}</summary>
        <Measures rows={others} />
      </details>
    </>
  );
}

function Measures({ rows }: { rows: Measured[] }): JSX.Element {
  return (
    <table class="measures">
      <caption class="sr">Numbers that this rests on</caption>
      <thead><tr><th scope="col" class="grow">Measured</th><th scope="col" class="right">Value</th><th scope="col" class="right">Limit</th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row" class="grow">{row.name}{row.note ? <span class="under faint">{row.note}</span> : null}</th>
            <td class="right num nowrap">{typeof row.value === "number" || row.value === null ? quantity(row.value, row.unit) : <Value of={row.value} />}</td>
            <td class="right num nowrap">{row.limit === null ? "" : quantity(row.limit, row.unit)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function without(of: JsonObject, ...names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name)));
}
