// The plans that are compiled, and the page of one.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { safeUrl } from "../app/embedding";
import { to, toPlan } from "../app/route";
import type { Json, JsonObject, PlanRow, RunPage } from "../contract";
import { usePolled } from "../net/poll";
import { dagPath, InAirflow, Nothing, Out, Pair, Pending, Section, When } from "../parts/bits";
import { Icon } from "../parts/Icon";
import { RunTable } from "../parts/RunTable";
import { trigger } from "../parts/trigger";
import { fieldOf } from "../parts/fields";
import { Value } from "../parts/Values";
import { count } from "../words/numbers";

const EVERY_MS = 10_000;

export function PlansPage(): JSX.Element {
  const { data, refused } = usePolled<PlanRow[]>("plans", EVERY_MS);
  const [wanted, setWanted] = useState("");
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (data ?? []).filter((plan) => {
    const text = `${plan.plan} ${plan.summary} ${plan.owner} ${plan.file}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <>
      <h1>Plans</h1>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          <span class="field-name">Find a plan</span>
          <input type="search" value={wanted} placeholder="name, owner, words" onInput={(event) => setWanted(event.currentTarget.value)} />
        </label>
        <span class="faint found" role="status">{data ? count(shown.length, "plan") : ""}</span>
      </form>
      {!data ? <Pending refused={refused} what="plans" /> : shown.length === 0 ? (
        <Nothing icon="minus">{data.length === 0 ? "There is no plan that you may see." : "No plan is like that."}</Nothing>
      ) : (
        <div class="panel">
          <table class="cards plans">
            <caption class="sr">Plans</caption>
            <thead>
              <tr>
                <th scope="col" class="grow">Plan</th>
                <th scope="col">Starts</th>
                <th scope="col">Owner</th>
                <th scope="col">Version</th>
                <th scope="col"><span class="sr">Acts</span></th>
              </tr>
            </thead>
            <tbody>{shown.map((plan) => <Row plan={plan} key={plan.plan} />)}</tbody>
          </table>
        </div>
      )}
    </>
  );
}

function Row({ plan }: { plan: PlanRow }): JSX.Element {
  return (
    <tr>
      <th scope="row" class="grow subject-cell">
        <a class="strong" href={toPlan(plan.plan)}>{plan.plan}</a>
        <span class="under">{plan.summary}</span>
      </th>
      <td data-label="Starts"><Starts plan={plan} /></td>
      <td data-label="Owner" class="nowrap">{plan.owner}</td>
      <td data-label="Version" class="nowrap"><code>{plan.version}</code><span class="under faint"><When at={plan.compiled_at} /></span></td>
      <td class="right"><StartButton plan={plan} small /></td>
    </tr>
  );
}

function Starts({ plan }: { plan: PlanRow }): JSX.Element {
  return (
    <>
      {plan.schedule ?? <span class="faint">by hand</span>}
      {plan.paused ? <span class="under warn-text"><Icon name="pause" size={13} />paused</span> : null}
    </>
  );
}

function StartButton({ plan, small = false }: { plan: PlanRow; small?: boolean }): JSX.Element | null {
  if (!plan.rights.trigger) return null;
  return (
    <button type="button" class={small ? "button small" : "button primary"} aria-label={`Start ${plan.plan}`} onClick={() => trigger(plan)}>
      <Icon name="play" size={14} />Start…
    </button>
  );
}

export function PlanPage({ plan: name }: { plan: string }): JSX.Element {
  const { data: plan, refused } = usePolled<PlanRow>(`plans/${encodeURIComponent(name)}`, EVERY_MS);
  const { data: page } = usePolled<RunPage>(`runs?${new URLSearchParams({ limit: "20", plan: name }).toString()}`);
  return (
    <>
      <nav class="crumbs" aria-label="Where this is"><a href="#/plans">Plans</a></nav>
      <div class="run-title">
        <div>
          <h1>{name}</h1>
          {plan ? <p class="lead">{plan.summary}</p> : null}
        </div>
        {plan ? <div class="acts"><StartButton plan={plan} /></div> : null}
      </div>
      {!plan ? <Pending refused={refused} what="the plan" /> : (
        <>
          <dl class="facts">
            <Pair name="Starts"><Starts plan={plan} /></Pair>
            <Pair name="Owner">{plan.owner}</Pair>
            <Pair name="Version"><code>{plan.version}</code></Pair>
            <Pair name="Compiled"><When at={plan.compiled_at} /></Pair>
            <Pair name="File"><code class="wrap">{plan.file}</code></Pair>
            {plan.runbook ? <Pair name="Runbook"><Out href={plan.runbook}>{safeUrl(plan.runbook) ? "Open" : plan.runbook}</Out></Pair> : null}
            <Pair name="In Airflow"><InAirflow path={dagPath(plan.dag_id)}>{plan.dag_id}</InAirflow></Pair>
          </dl>
          <Section id="runs" title="Runs" aside={<a class="aside-link" href={to(["runs"], { plan: name })}>All runs<Icon name="arrow" size={14} /></a>}>
            {!page || page.runs.length === 0 ? <Nothing icon="minus">It has not run yet.</Nothing> : <div class="panel"><RunTable runs={page.runs} caption="Runs of this plan, newest first" /></div>}
          </Section>
          <Section id="parameters" title="Parameters">
            {Object.keys(plan.parameters).length === 0 ? <Nothing icon="minus">It has none.</Nothing> : <div class="panel"><Parameters of={plan.parameters} /></div>}
          </Section>
        </>
      )}
    </>
  );
}

function Parameters({ of }: { of: Record<string, JsonObject> }): JSX.Element {
  return (
    <table class="cards">
      <caption class="sr">Parameters</caption>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Kind</th>
          <th scope="col">Default</th>
          <th scope="col" class="grow">Meaning</th>
        </tr>
      </thead>
      <tbody>
        {Object.entries(of).map(([name, schema]) => (
          <tr key={name}>
            <th scope="row"><code>{name}</code></th>
            <td data-label="Kind" class="who">{kindOf(schema)}</td>
            <td data-label="Default" class="who">
              {schema["default"] === undefined ? <span class="faint">none: it must be given</span> : <Value of={schema["default"]} />}
            </td>
            <td data-label="Meaning" class="grow">{fieldOf(name, schema).hint}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function kindOf(schema: JsonObject): string {
  const { enum: choices, type } = schema;
  const words = (value: Json) => (typeof value === "string" ? value : JSON.stringify(value));
  if (Array.isArray(choices)) return `one of ${choices.map(words).join(", ")}`;
  if (Array.isArray(type)) return type.map(words).join(" or ");
  return typeof type === "string" ? type : "any";
}
