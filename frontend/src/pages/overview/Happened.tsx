// What happened: the outcomes of the last days, and the runs behind them.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { to } from "../../app/route";
import type { RunRow } from "../../contract";
import { Nothing, Section } from "../../parts/bits";
import { Icon } from "../../parts/Icon";
import { RunTable } from "../../parts/RunTable";
import { OUTCOMES, runLooks } from "../../words/states";

const wanted = signal<string | null>(null);

export function Happened({ runs, ended }: {
  runs: RunRow[];
  ended: Record<string, number>;
}): JSX.Element {
  const outcome = wanted.value;
  const shown = outcome === null ? runs : runs.filter((run) => run.state === outcome);
  const known = OUTCOMES.filter((each) => (ended[each] ?? 0) > 0 || each === outcome);
  return (
    <Section
      id="happened"
      title="Happened"
      aside={<a class="aside-link" href={to(["runs"], { outcome: outcome ?? undefined })}>All runs<Icon name="arrow" size={14} /></a>}
    >
      {known.length > 0 ? (
        <div class="chips" role="group" aria-label="Only this outcome; the numbers are of the last 7 days">
          {known.map((each) => <Chip outcome={each} count={ended[each] ?? 0} key={each} />)}
          <span class="faint">in 7 days</span>
        </div>
      ) : null}
      {shown.length === 0 ? (
        <Nothing icon="minus">{outcome === null ? "No run has ended yet." : `None of the last ${runs.length} runs ended like that.`}</Nothing>
      ) : (
        <div class="panel"><RunTable runs={shown} caption="Runs that ended, newest first" /></div>
      )}
    </Section>
  );
}

function Chip({ outcome, count }: { outcome: string; count: number }): JSX.Element {
  const looks = runLooks(outcome);
  const on = wanted.value === outcome;
  return (
    <button type="button" class={`chip tone-${looks.tone}`} aria-pressed={on} onClick={() => (wanted.value = on ? null : outcome)}>
      <Icon name={looks.icon} size={14} />
      {looks.text}
      <strong class="num">{count}</strong>
    </button>
  );
}
