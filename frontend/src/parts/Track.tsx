// The steps of a run as segments of one track.

import type { JSX } from "preact";
import type { Progress, Step } from "../contract";
import { stepLooks } from "../words/states";
import { Icon } from "./Icon";

const DENSE = 13;

export function isCurrent(step: Step): boolean {
  return ["acting", "waiting", "undoing", "failed", "unknown"].includes(step.state);
}

/** The share of a step that is done, 0 to 1. */
export function share(progress: Progress): number {
  if (progress.kind === "weight") return Math.min(1, Math.max(0, progress.done / 100));
  return progress.total > 0 ? Math.min(1, progress.done / progress.total) : 0;
}

export function Track({ steps }: { steps: Step[] }): JSX.Element {
  return (
    <ol class={steps.length > DENSE ? "track dense" : "track"} aria-label="Steps">
      {steps.map((step) => <Segment step={step} key={step.id} />)}
    </ol>
  );
}

function Segment({ step }: { step: Step }): JSX.Element {
  const looks = stepLooks(step.state);
  const progress = step.progress;
  const words = [step.id, looks.text, progress?.label].filter(Boolean).join(", ");
  return (
    <li class={`segment state-${step.state} tone-${looks.tone}`} title={words}>
      <span class="segment-bar" aria-hidden="true">
        {progress && step.state !== "done" ? (
          <span class="segment-fill" style={{ width: `${share(progress) * 100}%` }} />
        ) : null}
      </span>
      <span class="segment-name" aria-hidden="true">
        <Icon name={looks.icon} size={13} />
        <span class="segment-id">{step.id}</span>
      </span>
      <span class="sr">{words}</span>
    </li>
  );
}

/** How far a step is, drawn and in words. */
export function Meter({ progress }: { progress: Progress }): JSX.Element {
  return (
    <span class="meter">
      <span class="meter-bar" aria-hidden="true">
        <span class="meter-fill" style={{ width: `${share(progress) * 100}%` }} />
      </span>
      <span class="meter-words">
        {progress.label}
        {progress.failed > 0 ? <span class="bad-text">, {progress.failed} failed</span> : null}
      </span>
    </span>
  );
}
