// What needs a person, biggest of all, with the one thing to do beside it.

import type { JSX } from "preact";
import { toRun } from "../../app/route";
import { safeUrl } from "../../app/embedding";
import type { AttentionItem, RunRow } from "../../contract";
import { RunActs } from "../../parts/acts";
import { Nothing, Out, Section, Since } from "../../parts/bits";
import { Icon } from "../../parts/Icon";
import { attentionLooks } from "../../words/states";

export function NeedsYou({ items, running }: {
  items: AttentionItem[];
  running: RunRow[];
}): JSX.Element {
  return (
    <Section id="needs-you" title={<>Needs you {items.length > 0 ? <span class="tally">{items.length}</span> : null}</>}>
      {items.length === 0 ? (
        <Nothing>Nothing needs you now.</Nothing>
      ) : (
        <ul class="needs">
          {items.map((item) => (
            <Item
              key={`${item.kind} ${item.plan_id} ${item.task_id ?? ""}`}
              item={item}
              run={running.find((run) => run.plan_id === item.plan_id)}
            />
          ))}
        </ul>
      )}
    </Section>
  );
}

function Item({ item, run }: { item: AttentionItem; run: RunRow | undefined }): JSX.Element {
  const looks = attentionLooks(item.kind);
  const here = toRun(item.plan_id);
  const url = safeUrl(item.url);
  const elsewhere = url !== null && !url.includes("#/") ? url : null;
  return (
    <li class={`need tone-${looks.tone}`}>
      <span class="need-icon"><Icon name={looks.icon} size={20} /></span>
      <div class="need-words">
        <h3>
          <span class="need-kind">{looks.text}</span>
          <a href={here}>{item.plan}</a>
        </h3>
        <p class="need-text">{item.text}</p>
        <p class="faint">
          {item.task_id ? <><code>{item.task_id}</code> · </> : null}for <Since at={item.since} />
        </p>
      </div>
      <div class="need-acts">
        {item.kind === "approval" && elsewhere ? (
          <Out href={elsewhere} class="button primary">Review and answer</Out>
        ) : null}
        {run && item.kind !== "approval" ? <RunActs run={run} primary /> : null}
        <a class={item.kind === "rollback_failed" ? "button primary" : "button"} href={here} aria-label={`Open run of ${item.plan}`}>
          Open run<Icon name="arrow" size={14} />
        </a>
      </div>
    </li>
  );
}
