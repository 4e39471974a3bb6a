// The head of a run's page: what it is, how it stands, what to do next, and the acts.

import type { JSX } from "preact";
import { now } from "../../app/clock";
import { safeUrl } from "../../app/embedding";
import { toPlan } from "../../app/route";
import type { RunDetail } from "../../contract";
import { isLive, overrideCalendar, RunActs } from "../../parts/acts";
import { Badge, Eta, Out, Pair, When } from "../../parts/bits";
import { Icon } from "../../parts/Icon";
import { Track } from "../../parts/Track";
import { runLooks } from "../../words/states";
import { between, duration } from "../../words/times";

export function Head({ detail }: { detail: RunDetail }): JSX.Element {
  const { row, calendar } = detail;
  const live = isLive(row);
  const took = between(row.started_at, row.finished_at, now.value);
  return (
    <header class={`run-head tone-${runLooks(row.state).tone}`}>
      <nav class="crumbs" aria-label="Where this is">
        <a href="#/runs">Runs</a><span aria-hidden="true">/</span><a href={toPlan(row.plan)}>{row.plan}</a>
      </nav>
      <div class="run-title">
        <div>
          <h1>{row.plan} <Badge looks={runLooks(row.state)} /></h1>
          {row.summary ? <p class="lead">{row.summary}</p> : null}
        </div>
        <div class="acts">
          {live && row.rights.override && calendar ? (
            <button type="button" class="button" onClick={() => overrideCalendar(calendar, row.plan)}>
              <Icon name="calendar" size={14} />Override window…
            </button>
          ) : null}
          <RunActs run={row} primary />
        </div>
      </div>
      {row.reason ? <p class="reason">{row.reason}</p> : null}
      <Holding detail={detail} />
      {detail.advice.length > 0 ? (
        <section class={`advice tone-${runLooks(row.state).tone}`} aria-labelledby="advice-title">
          <h2 id="advice-title">What to do next</h2>
          <ul>{detail.advice.map((line) => <li key={line}><Marked text={line} /></li>)}</ul>
        </section>
      ) : null}
      <Track steps={row.steps} />
      <dl class="facts">
        <Pair name="Started">
          {row.started_at ? <When at={row.started_at} /> : <span class="faint">not yet</span>}{" "}
          <span class="faint">by {row.started_by}</span>
        </Pair>
        {row.finished_at ? <Pair name="Ended"><When at={row.finished_at} /></Pair> : null}
        {live && row.eta ? <Pair name="Ends"><Eta at={row.eta} /></Pair> : null}
        {took === null ? null : <Pair name={row.finished_at ? "Took" : "Goes on for"}>{duration(took)}</Pair>}
        {live && detail.expires_at ? <Pair name="Steps may begin until"><When at={detail.expires_at} absolute /></Pair> : null}
        {row.waits_for ? <Pair name="Waits for"><span class="text">{row.waits_for}</span></Pair> : null}
        {row.owner ? <Pair name="Owner">{row.owner}</Pair> : null}
        <Pair name="Version"><code>{row.version}</code></Pair>
        <Pair name="Plan ID"><code class="wrap">{row.plan_id}</code></Pair>
        {detail.runbook ? <Pair name="Runbook"><Out href={detail.runbook}>{safeUrl(detail.runbook) ? "Open" : detail.runbook}</Out></Pair> : null}
        <Pair name="In Airflow"><Out href={detail.airflow_url}><span class="text">{row.run_id}</span></Out></Pair>
        {detail.trace_id ? (
          <Pair name="Trace">
            {detail.trace_url ? <Out href={detail.trace_url}>Open</Out> : <code class="wrap">{detail.trace_id}</code>}
          </Pair>
        ) : null}
      </dl>
    </header>
  );
}

function Holding({ detail }: { detail: RunDetail }): JSX.Element | null {
  const { held_by: by, held_reason: why, abort_reason: aborted } = detail;
  return (
    <>
      {by ? (
        <p class="callout tone-held"><Icon name="pause" /><span>Held by <strong>{by}</strong>{why ? <>: {why}</> : "."}</span></p>
      ) : null}
      {aborted ? (
        <p class="callout tone-warn"><Icon name="stop" /><span>Stopped: {aborted}</span></p>
      ) : null}
    </>
  );
}

/** Text in which `commands` stand in backticks. */
function Marked({ text }: { text: string }): JSX.Element {
  const parts = text.split("`");
  return <>{parts.map((part, place) => (place % 2 === 1 ? <code key={place}>{part}</code> : part))}</>;
}
