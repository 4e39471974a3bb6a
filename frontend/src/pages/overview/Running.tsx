// What runs: a lane for each run, with its steps, and what it is at.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { toRun } from "../../app/route";
import type { RunRow, Step } from "../../contract";
import { RunActs } from "../../parts/acts";
import { Badge, Eta, Nothing, Pair, Section, Since, When } from "../../parts/bits";
import { Budget } from "../../parts/Budget";
import { Icon } from "../../parts/Icon";
import { isCurrent, Meter, Track } from "../../parts/Track";
import { runLooks, stepLooks } from "../../words/states";

const MOST_CURRENT = 3;
const MANY = 8;
const wanted = signal("");

export function Running({ runs }: { runs: RunRow[] }): JSX.Element {
  const many = runs.length > MANY || wanted.value !== "";
  const shown = many ? runs.filter((run) => matches(run, wanted.value)) : runs;
  return (
    <Section id="running" title={<>Running {runs.length > 0 ? <span class="tally">{runs.length}</span> : null}</>} aside={many ? <Find /> : null}>
      {runs.length === 0 ? (
        <Nothing icon="minus">No plan runs now. <a href="#/plans">Start one</a></Nothing>
      ) : (
        <ul class="lanes">{shown.map((run) => <Lane run={run} key={run.plan_id} />)}</ul>
      )}
    </Section>
  );
}

function matches(run: RunRow, words: string): boolean {
  const text = `${run.plan} ${run.summary ?? ""} ${run.owner ?? ""} ${run.state} ${run.started_by}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function Find(): JSX.Element {
  return (
    <input
      class="find"
      type="search"
      aria-label="Find among running plans"
      placeholder="plan, owner, state"
      value={wanted.value}
      onInput={(event) => (wanted.value = event.currentTarget.value)}
    />
  );
}

function Lane({ run }: { run: RunRow }): JSX.Element {
  const current = run.steps.filter(isCurrent);
  return (
    <li class={`lane run-${run.state}`}>
      <div class="lane-head">
        <div class="lane-title">
          <h3><a href={toRun(run.plan_id)}>{run.plan}</a></h3>
          <Badge looks={runLooks(run.state)} />
          {run.summary ? <p class="lane-summary">{run.summary}</p> : null}
        </div>
        <RunActs run={run} />
      </div>
      <Track steps={run.steps} />
      <dl class="facts">
        <Pair name="Now">
          {current.slice(0, MOST_CURRENT).map((step) => <Current step={step} key={step.id} />)}
          {current.length > MOST_CURRENT ? <span class="faint">and {current.length - MOST_CURRENT} more</span> : null}
          {run.waits_for ? <p class="waits">Waits for {run.waits_for}</p> : null}
          {run.reason ? <p class="waits">{run.reason}</p> : null}
          {current.length === 0 && !run.waits_for && !run.reason ? <span class="faint">between two steps</span> : null}
        </Pair>
        <Pair name="Ends">
          {run.eta ? <Eta at={run.eta} /> : <span class="faint">not known</span>}
        </Pair>
        <Pair name="Started">
          {run.started_at ? <><When at={run.started_at} /> </> : null}
          <span class="faint">by {run.started_by}</span>
        </Pair>
        {run.budgets.length > 0 ? (
          <Pair name="Error budget">{run.budgets.map((budget) => <Budget budget={budget} key={budget.slo} />)}</Pair>
        ) : null}
      </dl>
    </li>
  );
}

function Current({ step }: { step: Step }): JSX.Element {
  const looks = stepLooks(step.state);
  return (
    <span class="current">
      <span class={`current-name tone-${looks.tone}`}>
        <Icon name={looks.icon} size={14} />
        <strong>{step.id}</strong>
        <span>{looks.text}</span>
        {step.since ? <span class="faint">for <Since at={step.since} /></span> : null}
      </span>
      {step.progress ? <Meter progress={step.progress} /> : null}
      {!step.progress && step.detail ? <span class="current-detail">{step.detail}</span> : null}
    </span>
  );
}
