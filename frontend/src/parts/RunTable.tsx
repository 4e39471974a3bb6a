// Runs in a table, as several pages show them.

import type { JSX } from "preact";
import { now } from "../app/clock";
import { toRun } from "../app/route";
import type { RunRow } from "../contract";
import { runLooks } from "../words/states";
import { between, duration } from "../words/times";
import { Badge, When } from "./bits";

export function RunTable({ runs, caption }: { runs: RunRow[]; caption: string }): JSX.Element {
  return (
    <table class="cards">
      <caption class="sr">{caption}</caption>
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Run</th>
          <th scope="col" class="grow">Why</th>
          <th scope="col">Started by</th>
          <th scope="col" class="right">Ended</th>
          <th scope="col" class="right">Took</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => <Row run={run} key={run.plan_id} />)}
      </tbody>
    </table>
  );
}

function Row({ run }: { run: RunRow }): JSX.Element {
  const took = between(run.started_at, run.finished_at, now.value);
  return (
    <tr>
      <td data-label="State"><Badge looks={runLooks(run.state)} /></td>
      <th scope="row" class="subject-cell">
        <a href={toRun(run.plan_id)} class="strong">{run.plan}</a>
        <span class="faint id one-line" title={run.run_id}>{run.run_id}</span>
      </th>
      <td data-label="Why" class="grow"><span class="clamp">{run.reason ?? run.summary ?? ""}</span></td>
      <td data-label="Started by" class="who"><span class="text">{run.started_by}</span></td>
      <td data-label="Ended" class="right nowrap">
        {run.finished_at ? <When at={run.finished_at} /> : <span class="faint">goes on</span>}
      </td>
      <td data-label="Took" class="right nowrap num">{took === null ? "" : duration(took)}</td>
    </tr>
  );
}
