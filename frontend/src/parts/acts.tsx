// What people may do to runs and plans: each a dialog that says exactly what will happen.

import type { ComponentChildren, JSX } from "preact";
import { act } from "../net/api";
import type { Done, Override, RunRow, ThrottleChange, ThrottleRow, Why } from "../contract";
import { LIVE } from "../words/states";
import { exact } from "../words/times";
import { FormDialog, ReasonField, show } from "./Dialog";
import { Icon, type IconName } from "./Icon";

export function isLive(run: RunRow): boolean {
  return (LIVE as readonly string[]).includes(run.state);
}

function ActButton({ icon, children, onClick, kind = "", label }: {
  icon: IconName;
  children: ComponentChildren;
  onClick: () => void;
  kind?: "" | "primary" | "risky";
  label?: string;
}): JSX.Element {
  return (
    <button type="button" class={`button ${kind}`} onClick={onClick} aria-label={label}>
      <Icon name={icon} size={14} />
      {children}
    </button>
  );
}

/** The acts on a run that it and its reader allow. */
export function RunActs({ run, primary = false }: {
  run: RunRow;
  /** Whether resuming a held run is the one thing to do here. */
  primary?: boolean;
}): JSX.Element | null {
  if (!run.rights.steer || !isLive(run)) return null;
  const over = run.state === "stopping" || run.state === "rolling_back";
  if (over) return null;
  return (
    <div class="acts">
      {run.state === "held" ? (
        <ActButton icon="play" kind={primary ? "primary" : ""} label={`Resume ${run.plan}`} onClick={() => show(<Resume run={run} />)}>
          Resume…
        </ActButton>
      ) : (
        <ActButton icon="pause" label={`Hold ${run.plan}`} onClick={() => show(<HoldRun run={run} />)}>Hold…</ActButton>
      )}
      <ActButton icon="stop" kind="risky" label={`Abort ${run.plan}`} onClick={() => show(<Abort run={run} />)}>
        Abort…
      </ActButton>
    </div>
  );
}

function runPath(run: RunRow, what: string): string {
  return `runs/${encodeURIComponent(run.plan_id)}/${what}`;
}

function why(form: FormData): Why {
  return { reason: String(form.get("reason") ?? "").trim() };
}

function Subject({ run }: { run: RunRow }): JSX.Element {
  return (
    <p class="subject">
      <strong>{run.plan}</strong>
      <code>{run.plan_id}</code>
    </p>
  );
}

function names(run: RunRow, ...states: string[]): string[] {
  return run.steps.filter((step) => states.includes(step.state)).map((step) => step.id);
}

function Names({ of }: { of: string[] }): JSX.Element {
  return <>{of.map((name, place) => <>{place > 0 ? ", " : ""}<code>{name}</code></>)}</>;
}

function Abort({ run }: { run: RunRow }): JSX.Element {
  const acting = names(run, "acting", "waiting");
  const done = names(run, "done", "acting", "unknown").reverse();
  return (
    <FormDialog
      title="Abort this run?"
      confirm="Abort run"
      tone="danger"
      onSubmit={async (form) => (await act<Done>(runPath(run, "abort"), why(form))).text}
    >
      <Subject run={run} />
      <ul class="what">
        <li>No further step begins.</li>
        {acting.length > 0 ? <li>What is under way is told to stop: <Names of={acting} />.</li> : null}
        {done.length > 0 ? (
          <li>What was changed is rolled back, last first, where a step says how: <Names of={done} />. If all of it can be undone, the run ends as <em>rolled back</em>.</li>
        ) : (
          <li>No step has changed anything yet, so nothing is rolled back. The run ends as <em>aborted</em>.</li>
        )}
        <li>This cannot be taken back.</li>
      </ul>
      <ReasonField />
    </FormDialog>
  );
}

function HoldRun({ run }: { run: RunRow }): JSX.Element {
  const acting = names(run, "acting");
  return (
    <FormDialog
      title="Hold this run?"
      confirm="Hold run"
      onSubmit={async (form) => (await act<Done>(runPath(run, "hold"), why(form))).text}
    >
      <Subject run={run} />
      <ul class="what">
        <li>No step, wave, partition or chunk begins until somebody resumes the run.</li>
        {acting.length > 0 ? (
          <li>What is under way goes on to its own end: <Names of={acting} />. A canary stays at its weight, and may still be taken back.</li>
        ) : null}
        <li>Its locks are kept, and its time to live and its window run on.</li>
      </ul>
      <ReasonField />
    </FormDialog>
  );
}

function Resume({ run }: { run: RunRow }): JSX.Element {
  return (
    <FormDialog
      title="Resume this run?"
      confirm="Resume run"
      onSubmit={async (form) => (await act<Done>(runPath(run, "resume"), why(form))).text}
    >
      <Subject run={run} />
      <ul class="what">
        {run.reason ? <li>Held: {run.reason}</li> : null}
        <li>The steps that are due begin within seconds, if gates, locks and the window let them.</li>
      </ul>
      <ReasonField />
    </FormDialog>
  );
}

/** Open the form that changes a throttle. */
export function changeThrottle(run: RunRow, throttle: ThrottleRow): void {
  show(<ChangeThrottle run={run} throttle={throttle} />);
}

function ChangeThrottle({ run, throttle }: { run: RunRow; throttle: ThrottleRow }): JSX.Element {
  const submit = async (form: FormData) => {
    const given = (name: string, old: number) => {
      const text = String(form.get(name) ?? "").trim();
      return text === "" || Number(text) === old ? null : Number(text);
    };
    const change: ThrottleChange = {
      limit: given("limit", throttle.limit),
      minimum: given("minimum", throttle.minimum),
      maximum: given("maximum", throttle.maximum),
      paused: { pause: true, "go-on": false }[String(form.get("paused"))] ?? null,
      reason: String(form.get("reason") ?? "").trim() || null,
    };
    const path = runPath(run, `throttles/${encodeURIComponent(throttle.name)}`);
    return (await act<Done>(path, change)).text;
  };
  return (
    <FormDialog title={<>Change throttle <code>{throttle.name}</code></>} confirm="Change throttle" onSubmit={submit}>
      <Subject run={run} />
      <ul class="what">
        {throttle.said ? <li>Now: {throttle.said}</li> : null}
        <li>The limit is how much goes on at once. It takes effect at the next look, within seconds.</li>
        <li>Where the plan names a signal, that moves it afterwards, between minimum and maximum.</li>
      </ul>
      <div class="fields-row">
        <NumberField name="minimum" label="Minimum" value={throttle.minimum} />
        <NumberField name="limit" label="Limit now" value={throttle.limit} focus />
        <NumberField name="maximum" label="Maximum" value={throttle.maximum} />
      </div>
      <label class="field">
        <span class="field-name">New items</span>
        <select name="paused">
          <option value="">as now</option>
          <option value="pause">pause: none begins, what is in flight goes on</option>
          <option value="go-on">go on: they begin again</option>
        </select>
      </label>
      <ReasonField focus={false} needed={false} />
    </FormDialog>
  );
}

function NumberField({ name, label, value, focus = false }: {
  name: string;
  label: string;
  value: number;
  focus?: boolean;
}): JSX.Element {
  return (
    <label class="field">
      <span class="field-name">{label}</span>
      <input name={name} type="number" step="any" min={0} defaultValue={String(value)} autofocus={focus} required />
    </label>
  );
}

/** Open the form that opens a calendar by hand. */
export function overrideCalendar(calendar: string, plan: string): void {
  show(<OverrideCalendar calendar={calendar} plan={plan} />);
}

const HOURS = [1, 2, 4];

function OverrideCalendar({ calendar, plan }: { calendar: string; plan: string }): JSX.Element {
  const field = (hours: number) =>
    new Date(Date.now() + hours * 3_600_000).toISOString().slice(0, 16);
  const submit = async (form: FormData) => {
    const override: Override = { until: `${String(form.get("until"))}:00Z`, ...why(form) };
    return (await act<Done>(`calendars/${encodeURIComponent(calendar)}/override`, override)).text;
  };
  const choose = (event: MouseEvent, hours: number) => {
    const form = (event.currentTarget as HTMLElement).closest("form");
    const input = form?.elements.namedItem("until");
    if (input instanceof HTMLInputElement) input.value = field(hours);
  };
  return (
    <FormDialog title={<>Override calendar <code>{calendar}</code></>} confirm="Open window" tone="danger" onSubmit={submit}>
      <ul class="what">
        <li>The calendar counts as open from now until the time below, also during a freeze.</li>
        <li>That holds for every plan that uses this calendar, not only for <strong>{plan}</strong>.</li>
        <li>Gates, approvals and locks count as ever.</li>
      </ul>
      <div class="field">
        <label class="field-name" for="override-until">Until (UTC)</label>
        <div class="with-choices">
          <input id="override-until" name="until" type="datetime-local" required defaultValue={field(1)} />
          {HOURS.map((hours) => (
            <button type="button" class="button small" key={hours} onClick={(event) => choose(event, hours)}>
              {hours} h
            </button>
          ))}
        </div>
        <span class="field-hint">It is now {exact(new Date().toISOString())}.</span>
      </div>
      <ReasonField />
    </FormDialog>
  );
}
