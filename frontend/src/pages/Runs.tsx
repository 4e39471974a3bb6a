// All runs, with filters and pages.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { refine, route } from "../app/route";
import type { PlanRow, RunPage } from "../contract";
import { LIVE_MS, useLast, usePolled } from "../net/poll";
import { Nothing, Pending } from "../parts/bits";
import { RunTable } from "../parts/RunTable";
import { LIVE, OUTCOMES, runLooks } from "../words/states";

const PAGE = 50;
const HOUR = 3_600_000;
const SINCE: Record<string, [text: string, hours: number]> = {
  "24h": ["24 hours", 24],
  "7d": ["7 days", 7 * 24],
  "30d": ["30 days", 30 * 24],
};

export function RunsPage(): JSX.Element {
  const asked = route.value.query;
  const [cursors, setCursors] = useState<string[]>([]);
  const { data: plans } = usePolled<PlanRow[]>("plans", 60_000);
  const { data, refused } = useLast(usePolled<RunPage>(`runs?${query(asked, cursors.at(-1))}`, cursors.length > 0 ? 15_000 : LIVE_MS));
  const filter = (name: string, value: string) => {
    setCursors([]);
    refine({ [name]: value });
  };
  const next = data?.next_cursor;
  return (
    <>
      <h1>Runs</h1>
      <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
        <Choice name="Plan" value={asked.get("plan")} all="all plans" choices={(plans ?? []).map((plan) => [plan.plan, plan.plan])} onChoose={(value) => filter("plan", value)} />
        <Choice name="State or outcome" value={asked.get("outcome")} all="all" choices={[...LIVE, ...OUTCOMES].map((each) => [each, runLooks(each).text])} onChoose={(value) => filter("outcome", value)} />
        <Choice name="Since" value={asked.get("since")} all="ever" choices={Object.entries(SINCE).map(([key, [text]]) => [key, text])} onChoose={(value) => filter("since", value)} />
      </form>
      {!data ? <Pending refused={refused} what="runs" /> : data.runs.length === 0 ? (
        <Nothing icon="minus">No run is like that.</Nothing>
      ) : (
        <div class="panel"><RunTable runs={data.runs} caption="Runs, newest first" /></div>
      )}
      <div class="paging">
        {cursors.length > 0 ? <button type="button" class="button" onClick={() => setCursors(cursors.slice(0, -1))}>Newer</button> : null}
        {next ? <button type="button" class="button" onClick={() => setCursors([...cursors, next])}>Older</button> : null}
      </div>
    </>
  );
}

function query(asked: URLSearchParams, cursor: string | undefined): string {
  const wanted = new URLSearchParams({ limit: String(PAGE) });
  const plan = asked.get("plan");
  const outcome = asked.get("outcome");
  const hours = SINCE[asked.get("since") ?? ""]?.[1];
  if (plan) wanted.set("plan", plan);
  if (outcome) wanted.set((LIVE as readonly string[]).includes(outcome) ? "state" : "outcome", outcome);
  if (hours) {
    // A whole hour, so that the address stays the same from one look to the next.
    const since = Math.floor(Date.now() / HOUR) * HOUR - hours * HOUR;
    wanted.set("since", new Date(since).toISOString());
  }
  if (cursor) wanted.set("cursor", cursor);
  return wanted.toString();
}

function Choice({ name, value, all, choices, onChoose }: {
  name: string;
  value: string | null;
  all: string;
  choices: [value: string, text: string][];
  onChoose: (value: string) => void;
}): JSX.Element {
  const known = value === null || choices.some(([each]) => each === value);
  return (
    <label class="field">
      <span class="field-name">{name}</span>
      <select value={value ?? ""} onChange={(event) => onChoose(event.currentTarget.value)}>
        <option value="">{all}</option>
        {known ? null : <option value={value ?? ""}>{value}</option>}
        {choices.map(([each, text]) => <option value={each} key={each}>{text}</option>)}
      </select>
    </label>
  );
}
