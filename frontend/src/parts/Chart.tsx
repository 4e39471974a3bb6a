// What a decision looked at, drawn with its limit; and as a table for those who read it.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { paint } from "../app/theme";
import { quantity } from "../words/numbers";
import type { Drawing } from "./series";

const HEIGHT = 170;
const MOST_ROWS = 200;
const PAINTS = ["line", "other", "text"] as const;

export function Chart({ drawing }: { drawing: Drawing }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const painted = paint.value;
  const { title, unit, limit, times, lines } = drawing;

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const plot = draw(element, drawing);
    const watch = new ResizeObserver(() => {
      plot.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [title, times.length, times.at(-1), painted]);

  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} class="chart-area" role="img" aria-label={inWords(drawing)} />
      <div class="chart-key">
        {lines.length > 1 ? lines.map((line, n) => (
          <span key={line.name}><i class={`paint-${PAINTS[n] ?? "text"}`} />{line.name}</span>
        )) : null}
        {limit === null ? null : <span><i class="paint-limit" />limit {quantity(limit, unit)}</span>}
      </div>
      <details class="fold">
        <summary>Show as a table</summary>
        <PointTable drawing={drawing} />
      </details>
    </figure>
  );
}

function PointTable({ drawing }: { drawing: Drawing }): JSX.Element {
  const { title, unit, times, lines } = drawing;
  const from = Math.max(0, times.length - MOST_ROWS);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Values of ${title}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Time (UTC)</th>
            {lines.map((line) => <th scope="col" class="right" key={line.name}>{lines.length > 1 ? line.name : "Value"}</th>)}
          </tr>
        </thead>
        <tbody>
          {times.slice(from).map((at, n) => (
            <tr key={at}>
              <td>{new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ")}</td>
              {lines.map((line) => <td class="right num" key={line.name}>{quantity(line.values[from + n] ?? null, unit)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inWords({ title, unit, limit, lines }: Drawing): string {
  const said = lines.map((line) => {
    const values = line.values.filter((value) => value !== null);
    const name = lines.length > 1 ? `${line.name}: ` : "";
    if (values.length === 0) return `${name}nothing was measured`;
    const low = quantity(Math.min(...values), unit);
    const high = quantity(Math.max(...values), unit);
    return `${name}${values.length} points from ${low} to ${high}, last ${quantity(values.at(-1) ?? null, unit)}`;
  });
  if (limit !== null) said.push(`limit ${quantity(limit, unit)}`);
  return `${title}. ${said.join("; ")}`;
}

/** What a colour of the page's own names comes to at this moment. */
function colour(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.className = `paint-${name}`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function draw(element: HTMLElement, drawing: Drawing): uPlot {
  const { unit, limit, times, lines } = drawing;
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  const grid = { stroke: colour(element, "grid"), width: 1 };
  const axis = { stroke: colour(element, "text"), font, grid, ticks: { show: false } };
  const points = { show: times.length < 30, size: 5 };
  const options: uPlot.Options = {
    width: element.clientWidth || 600,
    height: HEIGHT,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { y: false, points: { size: 7 } },
    scales: { x: { range: (_plot, from, until) => spanOf(from, until) }, y: { range: (_plot, low, high) => rangeOf(low, high, limit) } },
    axes: [
      { ...axis, space: 70, size: 26, values: (_plot, splits, _axis, _space, step) => splits.map((at) => timeOf(at, step)) },
      { ...axis, size: 62, space: 34, values: (_plot, splits) => splits.map((at) => quantity(at, unit)) },
    ],
    series: [
      {},
      ...lines.map((line, n) => ({
        label: line.name,
        stroke: colour(element, PAINTS[n] ?? "text"),
        width: 1.75,
        points,
        ...(n > 0 ? { dash: [2, 3] } : {}),
      })),
      { label: "limit", stroke: colour(element, "limit"), width: 1.5, dash: [6, 4], points: { show: false } },
    ],
    hooks: { setCursor: [(plot) => tip(plot, drawing)] },
  };
  return new uPlot(options, [times, ...lines.map((line) => line.values), times.map(() => limit)], element);
}

/** At least a minute, so that points that are close together do not spread over days. */
function spanOf(from: number, until: number): [number, number] {
  const lacks = Math.max(0, 60 - (until - from)) / 2;
  return [from - lacks, until + lacks];
}

function rangeOf(low: number, high: number, limit: number | null): [number, number] {
  const top = Math.max(high, limit ?? high);
  const floor = Math.min(0, low);
  return [floor, top === floor ? floor + 1 : top + (top - floor) * 0.12];
}

/** The words of a tick in UTC; days when ticks are days apart. */
function timeOf(at: number, step: number): string {
  const text = new Date(at * 1000).toISOString();
  if (step >= 86_400) return text.slice(5, 10);
  return step < 60 ? text.slice(11, 19) : text.slice(11, 16);
}

/** A line of text over the plot that says what is under the pointer. */
function tip(plot: uPlot, { unit, times, lines }: Drawing): void {
  let box = plot.over.querySelector<HTMLElement>(".chart-tip");
  const index = plot.cursor.idx ?? -1;
  const at = times[index];
  const left = plot.cursor.left ?? -1;
  if (at === undefined || left < 0) {
    box?.remove();
    return;
  }
  if (!box) {
    box = document.createElement("div");
    box.className = "chart-tip";
    plot.over.append(box);
  }
  const values = lines.map((line) => {
    const name = lines.length > 1 ? `${line.name} ` : "";
    return name + quantity(line.values[index] ?? null, unit);
  });
  box.textContent = `${values.join(", ")} at ${new Date(at * 1000).toISOString().slice(11, 19)} UTC`;
  const flip = left > plot.over.clientWidth / 2;
  box.style.left = flip ? "" : `${left + 10}px`;
  box.style.right = flip ? `${plot.over.clientWidth - left + 10}px` : "";
}
