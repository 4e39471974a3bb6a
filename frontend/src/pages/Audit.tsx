// The audit trail, newest first.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { refine, route } from "../app/route";
import type { AuditRow } from "../contract";
import { useLast, usePolled } from "../net/poll";
import { AuditTable } from "../parts/AuditTable";
import { Nothing, Pending } from "../parts/bits";

const PAGE = 100;

export function AuditPage(): JSX.Element {
  const planId = route.value.query.get("plan_id") ?? "";
  const [before, setBefore] = useState<number | null>(null);
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (planId) query.set("plan_id", planId);
  if (before !== null) query.set("before", String(before));
  const { data, refused } = useLast(usePolled<AuditRow[]>(`audit?${query.toString()}`, 5_000));
  const last = data?.at(-1)?.seq;
  return (
    <>
      <h1>Audit</h1>
      <p class="lead">Who did what. The trail is chained: <code>planner audit verify</code> proves that no line was changed.</p>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          <span class="field-name">Plan ID</span>
          <input type="search" value={planId} placeholder="all" onChange={(event) => {
            setBefore(null);
            refine({ plan_id: event.currentTarget.value.trim() });
          }} />
        </label>
      </form>
      {!data ? <Pending refused={refused} what="the audit trail" /> : data.length === 0 ? (
        <Nothing icon="minus">There are no lines.</Nothing>
      ) : (
        <div class="panel"><AuditTable rows={data} ofRun={planId !== ""} /></div>
      )}
      <div class="paging">
        {before !== null ? <button type="button" class="button" onClick={() => setBefore(null)}>Newest</button> : null}
        {data && data.length === PAGE && last !== undefined ? (
          <button type="button" class="button" onClick={() => setBefore(last)}>Older</button>
        ) : null}
      </div>
    </>
  );
}
