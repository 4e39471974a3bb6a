// Starting a plan: a form made from the JSON Schema of its parameters. Airflow itself starts it,
// checks the values and keeps who did it.

import type { JSX } from "preact";
import { dagRunPath, InAirflow } from "./bits";
import { askAirflow } from "../net/api";
import type { Json, PlanRow } from "../contract";
import { FormDialog, show } from "./Dialog";
import { fieldOf, valuesOf, type Field } from "./fields";

export function trigger(plan: PlanRow): void {
  show(<Trigger plan={plan} />);
}

function Trigger({ plan }: { plan: PlanRow }): JSX.Element {
  const fields = Object.entries(plan.parameters).map(([name, schema]) => fieldOf(name, schema));
  const submit = async (form: FormData) => {
    const conf = valuesOf(fields, form);
    const path = `dags/${encodeURIComponent(plan.dag_id)}/dagRuns`;
    const made = await askAirflow<{ dag_run_id: string }>(path, { logical_date: null, conf });
    return (
      <>
        <strong>{plan.plan}</strong> is started. It appears under Running within seconds.{" "}
        <InAirflow path={dagRunPath(plan.dag_id, made.dag_run_id)}>{made.dag_run_id}</InAirflow>
      </>
    );
  };
  return (
    <FormDialog title={<>Start <em>{plan.plan}</em></>} confirm="Start plan" onSubmit={submit} wide={fields.length > 3}>
      <p class="subject"><span>{plan.summary}</span></p>
      <ul class="what">
        <li>A run of version <code>{plan.version}</code> begins now, under your name. Its gates, approvals and locks decide whether it goes on.</li>
        {plan.paused ? <li>The DAG is paused: the run stays queued until the DAG is unpaused in Airflow.</li> : null}
      </ul>
      {fields.length === 0 ? <p class="faint">It has no parameters.</p> : fields.map((field, place) => <Input field={field} focus={place === 0} key={field.name} />)}
    </FormDialog>
  );
}

function Input({ field, focus }: { field: Field; focus: boolean }): JSX.Element {
  const id = `param-${field.name}`;
  const hint = `${id}-hint`;
  return (
    <div class={field.kind === "boolean" ? "field check" : "field"}>
      <label class="field-name" for={id}>
        {field.title}
        {field.required && field.initial === "" ? <span class="faint"> (needed)</span> : null}
      </label>
      <Control field={field} id={id} hint={field.hint ? hint : undefined} focus={focus} />
      {field.hint ? <span class="field-hint" id={hint}>{field.hint}</span> : null}
    </div>
  );
}

function Control({ field, id, hint, focus }: {
  field: Field;
  id: string;
  hint: string | undefined;
  focus: boolean;
}): JSX.Element {
  const common = { id, name: field.name, "aria-describedby": hint, autofocus: focus };
  switch (field.kind) {
    case "boolean":
      return <input {...common} type="checkbox" defaultChecked={field.initial === "true"} />;
    case "choice":
      return (
        <select {...common} required={field.required} defaultValue={field.initial}>
          {field.initial === "" ? <option value="">choose…</option> : null}
          {field.choices.map((choice) => (
            <option value={JSON.stringify(choice)} selected={JSON.stringify(choice) === field.initial} key={String(choice)}>{said(choice)}</option>
          ))}
        </select>
      );
    case "number":
      return <input {...common} type="number" step={field.step} min={field.low} max={field.high} required={field.required} defaultValue={field.initial} />;
    case "json":
      return <textarea {...common} class="mono" rows={4} required={field.required} defaultValue={field.initial} spellcheck={false} />;
    default:
      return (
        <input
          {...common}
          type="text"
          required={field.required}
          pattern={field.pattern}
          minLength={field.low}
          maxLength={field.high}
          defaultValue={field.initial}
          spellcheck={false}
          autocomplete="off"
        />
      );
  }
}

function said(choice: Json): string {
  return typeof choice === "string" ? choice : JSON.stringify(choice);
}

