// The charts of a decision. What draws them is loaded when the first one is to be shown.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Series } from "../contract";
import { drawings } from "./series";

type Draw = typeof import("./Chart").Chart;

const FIRST = 4;
const drawer = signal<{ draw: Draw } | null>(null);

export function Charts({ series }: { series: Series[] }): JSX.Element | null {
  const [all, setAll] = useState(false);
  const found = drawings(series).filter((drawing) => drawing.times.length > 1);
  const wanted = found.length > 0;
  useEffect(() => {
    if (wanted && drawer.peek() === null) {
      void import("./Chart").then((loaded) => {
        drawer.value = { draw: loaded.Chart };
      });
    }
  }, [wanted]);
  const loaded = drawer.value;
  if (!wanted) return null;
  const shown = all ? found : found.slice(0, FIRST);
  return (
    <>
      {shown.map((drawing) =>
        loaded ? (
          <loaded.draw drawing={drawing} key={drawing.title} />
        ) : (
          <figure class="chart" key={drawing.title}><figcaption>{drawing.title}</figcaption><div class="chart-area" /></figure>
        ),
      )}
      {found.length > FIRST ? (
        <button type="button" class="button small" onClick={() => setAll(!all)}>
          {all ? "Show fewer charts" : `Show all ${found.length} charts`}
        </button>
      ) : null}
    </>
  );
}
