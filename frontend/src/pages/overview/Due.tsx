// What is due: a list that anybody can read, with a time line drawn into it.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { now } from "../../app/clock";
import { toPlan } from "../../app/route";
import type { DueRow } from "../../contract";
import { overrideCalendar } from "../../parts/acts";
import { Nothing, Section, When } from "../../parts/bits";
import { Icon } from "../../parts/Icon";
import { duration } from "../../words/times";
import { bar, scale, SPANS, spanFor, type Scale, type Span } from "./timeline";

const chosen = signal<Span | null>(null);
const everything = signal(false);
const FIRST = 8;

export function Due({ rows }: { rows: DueRow[] }): JSX.Element {
  const at = Math.floor(now.value / 60_000) * 60_000;
  const span = chosen.value ?? spanFor(rows, at);
  const on = scale(span, at);
  const shown = everything.value ? rows : rows.slice(0, FIRST);
  return (
    <Section id="due" title="Due" aside={rows.length > 0 ? <Spans span={span} /> : null}>
      {rows.length === 0 ? (
        <Nothing icon="calendar">No plan starts by itself.</Nothing>
      ) : (
        <div class="panel">
          <table class="due cards">
            <caption class="sr">Plans that start by themselves, the next first</caption>
            <thead>
              <tr>
                <th scope="col">Plan</th>
                <th scope="col">Opens</th>
                <th scope="col">For</th>
                <th scope="col" class="line-cell"><span class="sr">Notes</span><Ticks on={on} /></th>
                <th scope="col"><span class="sr">Acts</span></th>
              </tr>
            </thead>
            <tbody>{shown.map((row) => <Row row={row} on={on} key={`${row.plan} ${row.opens_at}`} />)}</tbody>
          </table>
          {rows.length > FIRST ? (
            <button type="button" class="button quiet more" onClick={() => (everything.value = !everything.value)}>
              {everything.value ? "Show fewer" : `Show all ${rows.length}`}
            </button>
          ) : null}
        </div>
      )}
    </Section>
  );
}

function Spans({ span }: { span: Span }): JSX.Element {
  return (
    <div class="segmented" role="group" aria-label="Length of the time line">
      {(Object.keys(SPANS) as Span[]).map((each) => (
        <button type="button" key={each} aria-pressed={each === span} onClick={() => (chosen.value = each)}>
          {each === "24h" ? "24 h" : each === "7d" ? "7 days" : "30 days"}
        </button>
      ))}
    </div>
  );
}

function Ticks({ on }: { on: Scale }): JSX.Element {
  return (
    <span class="ticks" aria-hidden="true">
      {on.ticks.map((tick) => (
        <span class="tick" key={tick.text} style={{ left: `${tick.place * 100}%` }}>{tick.text}</span>
      ))}
    </span>
  );
}

function Row({ row, on }: { row: DueRow; on: Scale }): JSX.Element {
  const length = row.closes_at ? (Date.parse(row.closes_at) - Date.parse(row.opens_at)) / 1000 : null;
  const open = Date.parse(row.opens_at) <= now.value;
  const { calendar } = row;
  return (
    <tr class={row.conflicts.length > 0 ? "conflicting" : ""}>
      <th scope="row" class="subject-cell">
        <a href={toPlan(row.plan)} class="strong">{row.plan}</a>
        {calendar ? <span class="faint id">{calendar}</span> : null}
      </th>
      <td data-label="Opens" class="nowrap">
        {open ? "open now" : <When at={row.opens_at} />}
        <span class="under faint"><When at={row.opens_at} absolute /></span>
      </td>
      <td data-label="For" class="nowrap">{length === null ? <span class="faint">cron</span> : duration(length)}</td>
      <td class="line-cell">
        <Line row={row} on={on} />
        {row.paused ? <p class="note"><Icon name="pause" size={13} />Its DAG is paused: it will not start.</p> : null}
        {row.conflicts.length > 0 ? (
          <p class="note warn-text"><Icon name="alert" size={13} /><span>Conflicts with {row.conflicts.join(", ")}</span></p>
        ) : null}
      </td>
      <td class="right">
        {row.rights.override && calendar ? (
          <button type="button" class="button small" aria-label={`Override the window of ${row.plan}`} onClick={() => overrideCalendar(calendar, row.plan)}>
            Override…
          </button>
        ) : null}
      </td>
    </tr>
  );
}

function Line({ row, on }: { row: DueRow; on: Scale }): JSX.Element {
  const at = bar(row, on);
  const kind = [
    row.closes_at === null ? "moment" : "window",
    row.conflicts.length > 0 ? "conflict" : "",
    row.paused ? "paused" : "",
  ].join(" ");
  return (
    <span class="line" aria-hidden="true">
      {on.ticks.map((tick) => <span class="rule" key={tick.text} style={{ left: `${tick.place * 100}%` }} />)}
      {at ? <span class={`mark ${kind}`} style={{ left: `${at.left * 100}%`, width: `${at.width * 100}%` }} /> : <span class="beyond">later<Icon name="arrow" size={12} /></span>}
    </span>
  );
}
