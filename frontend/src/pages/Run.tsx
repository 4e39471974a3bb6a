// All about one run.

import type { JSX } from "preact";
import type { RunDetail } from "../contract";
import { usePolled } from "../net/poll";
import { to } from "../app/route";
import { AuditTable } from "../parts/AuditTable";
import { Nothing, Pending, Section, Trouble } from "../parts/bits";
import { LockTable } from "../parts/LockTable";
import { Decisions } from "./run/Decisions";
import { Head } from "./run/Head";
import { Approvals, Parameters, Throttles } from "./run/Side";
import { Budget } from "../parts/Budget";
import { Steps } from "./run/Steps";
import { Waves } from "./run/Waves";

export function RunPageView({ planId }: { planId: string }): JSX.Element {
  const { data, refused } = usePolled<RunDetail>(`runs/${encodeURIComponent(planId)}`);
  if (!data) {
    return (
      <>
        <h1>Run <code>{planId}</code></h1>
        <Pending refused={refused} what="the run" />
        {refused ? <p><a href="#/runs">All runs</a></p> : null}
      </>
    );
  }
  const { row } = data;
  return (
    <article class="run">
      <Head detail={data} />
      {refused && refused.status >= 400 && refused.status < 500 ? <Trouble refused={refused} /> : null}
      <div class="columns">
        <div class="column-main">
          <Steps run={row} />
          {data.waves.length > 0 ? <Waves rows={data.waves} /> : null}
          <Decisions rows={data.decisions} />
        </div>
        <div class="column-side">
          {row.budgets.length > 0 ? (
            <Section id="budgets" title="Error budgets">
              <div class="panel padded stack">{row.budgets.map((budget) => <Budget budget={budget} dated key={budget.slo} />)}</div>
            </Section>
          ) : null}
          {data.throttles.length > 0 ? <Throttles run={row} rows={data.throttles} /> : null}
          {data.approvals.length > 0 ? <Approvals rows={data.approvals} /> : null}
          <Parameters of={data.parameters} />
        </div>
      </div>
      <Section id="locks" title="Locks">
        {data.locks.length === 0 ? <Nothing icon="lock">It holds no lock and waits for none.</Nothing> : <div class="panel"><LockTable rows={data.locks} ofRun /></div>}
      </Section>
      <Section id="audit" title="Audit" aside={<a class="aside-link" href={to(["audit"], { plan_id: row.plan_id })}>All lines</a>}>
        {data.audit.length === 0 ? <Nothing icon="minus">There are no lines.</Nothing> : <div class="panel"><AuditTable rows={data.audit} ofRun /></div>}
      </Section>
    </article>
  );
}
