// The steps of a run, one line each.

import type { JSX } from "preact";
import type { RunRow, Step } from "../../contract";
import { Badge, Nothing, Out, Section, When } from "../../parts/bits";
import { Meter } from "../../parts/Track";
import { stepLooks } from "../../words/states";
import { duration } from "../../words/times";

export function Steps({ run }: { run: RunRow }): JSX.Element {
  return (
    <Section id="steps" title="Steps">
      {run.steps.length === 0 ? <Nothing icon="dotted">Its steps are not known.</Nothing> : (
        <div class="panel">
          <table class="cards steps">
            <caption class="sr">Steps in their order</caption>
            <thead>
              <tr>
                <th scope="col">State</th>
                <th scope="col" class="grow">Step</th>
                <th scope="col" class="right">Since</th>
                <th scope="col" class="right">Took</th>
                <th scope="col" class="right">Tries</th>
                <th scope="col"><span class="sr">Log</span></th>
              </tr>
            </thead>
            <tbody>{run.steps.map((step) => <Row step={step} key={step.id} />)}</tbody>
          </table>
        </div>
      )}
    </Section>
  );
}

function Row({ step }: { step: Step }): JSX.Element {
  return (
    <tr class={step.state === "untouched" ? "dim" : ""}>
      <td data-label="State" class="nowrap"><Badge looks={stepLooks(step.state)} /></td>
      <th scope="row" class="grow subject-cell">
        <span><span class="strong">{step.id}</span> <code class="action">{step.action}</code></span>
        {step.summary ? <span class="under">{step.summary}</span> : null}
        {step.progress ? <Meter progress={step.progress} /> : null}
        {step.progress?.eta ? <span class="under faint">ends <When at={step.progress.eta} /></span> : null}
        {step.detail ? <span class="under detail">{step.detail}</span> : null}
      </th>
      <td data-label="Since" class="right nowrap">{step.since ? <When at={step.since} /> : ""}</td>
      <td data-label="Took" class="right nowrap num">{step.duration_s === null ? "" : duration(step.duration_s)}</td>
      <td data-label="Tries" class="right num">{step.tries > 0 ? step.tries : ""}</td>
      <td class="right nowrap">{step.log_url ? <Out href={step.log_url}>Log<span class="sr"> of {step.id}</span></Out> : null}</td>
    </tr>
  );
}
