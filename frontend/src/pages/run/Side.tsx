// What stands beside the steps: approvals, throttles, parameters.

import type { JSX } from "preact";
import type { ApprovalRow, JsonObject, RunRow, SaidRow, ThrottleRow } from "../../contract";
import { changeThrottle, isLive } from "../../parts/acts";
import { Badge, Out, Pair, Section, When } from "../../parts/bits";
import { Icon } from "../../parts/Icon";
import { Values } from "../../parts/Values";
import { number } from "../../words/numbers";
import { approvalLooks } from "../../words/states";

export function Approvals({ rows }: { rows: ApprovalRow[] }): JSX.Element {
  return (
    <Section id="approvals" title="Approvals">
      <div class="panel padded stack">
        {rows.map((row) => <Approval row={row} key={`${row.task_id} ${row.asked_at}`} />)}
      </div>
    </Section>
  );
}

function Approval({ row }: { row: ApprovalRow }): JSX.Element {
  const looks = approvalLooks(row.state);
  return (
    <div class="approval">
      <p class="approval-head"><Badge looks={looks} /><code>{row.task_id}</code></p>
      <dl class="facts narrow">
        <Pair name="Asked"><When at={row.asked_at} />{row.requester ? <span class="faint"> for {row.requester}</span> : null}</Pair>
        {row.expires_at ? <Pair name="Until"><When at={row.expires_at} absolute /></Pair> : null}
      </dl>
      {row.answers.length > 0 ? (
        <ul class="answers">{row.answers.map((answer, place) => <Answer of={answer} key={place} />)}</ul>
      ) : (
        <p class="faint">Nobody has answered yet.</p>
      )}
      <details class="fold"><summary>Rule</summary><Values of={row.rule} /></details>
      {row.url && row.state === "open" ? <Out href={row.url} class="button primary">Review and answer</Out> : null}
    </div>
  );
}

/** What one person said, and why it does not count, if it does not. */
function Answer({ of }: { of: SaidRow }): JSX.Element {
  const { user, approve, reason, at, problem } = of;
  return (
    <li class={problem ? "faint" : approve ? "tone-ok" : "tone-bad"}>
      <Icon name={approve ? "check" : "cross"} size={14} />
      <span>
        <strong>{user}</strong> {approve ? "approved" : "said no"}
        <span class="faint"> <When at={at} /></span>
        {problem ? <span class="under bad-text">Does not count: {problem}</span> : null}
        {reason ? <span class="under">{reason}</span> : null}
      </span>
    </li>
  );
}

export function Throttles({ run, rows }: { run: RunRow; rows: ThrottleRow[] }): JSX.Element {
  return (
    <Section id="throttles" title="Throttles">
      <div class="panel padded stack">
        {rows.map((row) => (
          <div class="throttle" key={row.name}>
            <div class="throttle-head">
              <div><strong>{row.name}</strong><span class="throttle-limit num">{number(row.limit)}</span><span class="faint">at once</span></div>
              {run.rights.steer && isLive(run) ? (
                <button type="button" class="button small" aria-label={`Change throttle ${row.name}`} onClick={() => changeThrottle(run, row)}>Change…</button>
              ) : null}
            </div>
            <Scale row={row} />
            <p class="faint">{row.said ? <>{row.said} </> : null}Set by {row.changed_by} <When at={row.changed_at} />.</p>
          </div>
        ))}
      </div>
    </Section>
  );
}

function Scale({ row }: { row: ThrottleRow }): JSX.Element {
  const whole = row.maximum - row.minimum;
  const place = whole > 0 ? Math.min(1, Math.max(0, (row.limit - row.minimum) / whole)) : 1;
  return (
    <div class="throttle-scale">
      <span class="num">{number(row.minimum)}</span>
      <span class="meter-bar" aria-hidden="true"><span class="meter-fill" style={{ width: `${place * 100}%` }} /></span>
      <span class="num">{number(row.maximum)}</span>
    </div>
  );
}

export function Parameters({ of }: { of: JsonObject }): JSX.Element {
  return (
    <Section id="parameters" title="Parameters">
      <div class="panel padded"><Values of={of} /></div>
    </Section>
  );
}
