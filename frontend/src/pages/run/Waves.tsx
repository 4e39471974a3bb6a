// Waves, partitions, chunks and targets: how many are in which state, and what failed.

import type { JSX } from "preact";
import type { WaveRow } from "../../contract";
import { Section } from "../../parts/bits";
import { Icon } from "../../parts/Icon";
import { number } from "../../words/numbers";
import { itemLooks } from "../../words/states";

const ORDER = ["done", "acting", "running", "failed", "undone", "skipped", "waiting"];

export function Waves({ rows }: { rows: WaveRow[] }): JSX.Element {
  return (
    <Section id="waves" title={rows.some((row) => row.wave !== null) ? "Waves" : "Items"}>
      <div class="panel">
        <table class="cards">
          <caption class="sr">Items by state</caption>
          <thead>
            <tr>
              <th scope="col">Group</th>
              <th scope="col" class="grow">Items</th>
              <th scope="col" class="right">All</th>
            </tr>
          </thead>
          <tbody>{rows.map((row) => <Row row={row} key={`${row.step} ${row.wave ?? ""}`} />)}</tbody>
        </table>
      </div>
    </Section>
  );
}

function Row({ row }: { row: WaveRow }): JSX.Element {
  const counts = Object.entries(row.counts)
    .filter(([, value]) => value > 0)
    .sort(([a], [b]) => place(a) - place(b));
  const total = counts.reduce((sum, [, value]) => sum + value, 0);
  return (
    <tr>
      <th scope="row" class="nowrap">
        <span class="strong">{row.wave === null ? row.step : `Wave ${row.wave}`}</span>
        {row.wave === null ? null : <span class="under faint">{row.step}</span>}
      </th>
      <td data-label="Items" class="grow">
        <span class="stacked" aria-hidden="true">
          {counts.map(([state, value]) => (
            <span class={`stacked-part tone-${itemLooks(state).tone} item-${state}`} key={state} style={{ width: `${(value / total) * 100}%` }} />
          ))}
        </span>
        <span class="legend">
          {counts.map(([state, value]) => (
            <span class={`legend-item tone-${itemLooks(state).tone}`} key={state}>
              <Icon name={itemLooks(state).icon} size={13} />
              <span class="num">{number(value)}</span> {itemLooks(state).text}
            </span>
          ))}
        </span>
        {row.problems.length > 0 ? (
          <ul class="problems">{row.problems.map((problem) => <li key={problem}>{problem}</li>)}</ul>
        ) : null}
      </td>
      <td data-label="All" class="right num">{number(total)}</td>
    </tr>
  );
}

function place(state: string): number {
  const found = ORDER.indexOf(state);
  return found < 0 ? ORDER.length : found;
}
