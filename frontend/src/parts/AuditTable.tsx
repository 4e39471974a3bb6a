// Lines of the audit trail in a table.

import type { JSX } from "preact";
import { toRun } from "../app/route";
import type { AuditRow } from "../contract";
import { When } from "./bits";
import { Values } from "./Values";

export function AuditTable({ rows, ofRun = false }: {
  rows: AuditRow[];
  ofRun?: boolean;
}): JSX.Element {
  return (
    <table class="cards audit">
      <caption class="sr">Audit trail, newest first</caption>
      <thead>
        <tr>
          <th scope="col" class="right">No.</th>
          <th scope="col">When</th>
          <th scope="col">Who</th>
          <th scope="col">What</th>
          {ofRun ? null : <th scope="col">Run</th>}
          <th scope="col" class="grow">Detail</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.seq}>
            <td data-label="No." class="right num faint">{row.seq}</td>
            <td data-label="When" class="nowrap"><When at={row.at} /></td>
            <td data-label="Who" class="who"><span class="text">{row.actor}</span></td>
            <th scope="row"><code>{row.what}</code></th>
            {ofRun ? null : <td data-label="Run" class="run-cell">{row.plan_id ? <a class="mono" href={toRun(row.plan_id)}>{row.plan_id}</a> : <span class="faint">none</span>}</td>}
            <td data-label="Detail" class="grow"><Detail row={row} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Detail({ row }: { row: AuditRow }): JSX.Element {
  const names = Object.keys(row.detail);
  if (names.length === 0) return <></>;
  const short = names.map((name) => `${name}: ${plain(row.detail[name])}`).join(" · ");
  if (names.length <= 2 && short.length < 90) return <span class="text">{short}</span>;
  return (
    <details class="fold">
      <summary><span class="text">{short.length > 90 ? `${short.slice(0, 90)}…` : short}</span></summary>
      <Values of={row.detail} />
    </details>
  );
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
