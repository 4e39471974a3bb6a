// Locks in a table.

import type { JSX } from "preact";
import { toRun } from "../app/route";
import type { LockRow } from "../contract";
import { Since } from "./bits";
import { Icon } from "./Icon";

export function LockTable({ rows, ofRun = false }: {
  rows: LockRow[];
  /** Whether all are of one run, which need not be named then. */
  ofRun?: boolean;
}): JSX.Element {
  return (
    <table class="cards">
      <caption class="sr">Locks</caption>
      <thead>
        <tr>
          <th scope="col">Resource</th>
          <th scope="col">State</th>
          {ofRun ? null : <th scope="col">Run</th>}
          <th scope="col">Behind</th>
          <th scope="col" class="right">For</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={`${row.resource} ${row.plan_id ?? ""} ${row.waiting}`}>
            <th scope="row"><code>{row.resource}</code></th>
            <td data-label="State" class="nowrap">
              <span class={`badge tone-${row.waiting ? "warn" : "info"}`}>
                <Icon name={row.waiting ? "clock" : "lock"} size={14} />
                {row.waiting ? "waits" : "held"}, {row.mode}
              </span>
            </td>
            {ofRun ? null : <td data-label="Run"><RunLink planId={row.plan_id} /></td>}
            <td data-label="Behind">
              {row.behind.length === 0 ? <span class="faint">nobody</span> : row.behind.map((id) => <span class="under" key={id}><RunLink planId={id} /></span>)}
            </td>
            <td data-label="For" class="right nowrap"><Since at={row.since} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function RunLink({ planId }: { planId: string | null }): JSX.Element {
  if (planId === null) return <span class="faint">a plan that you may not see</span>;
  return <a href={toRun(planId)} class="mono">{planId}</a>;
}
