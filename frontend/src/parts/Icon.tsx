// Icons of 16 by 16, drawn in the colour of the text. Each state has a shape of its own.

import type { ComponentChildren, JSX } from "preact";

const ring = <circle cx="8" cy="8" r="6.25" />;

const SHAPES = {
  dotted: <circle cx="8" cy="8" r="6.25" stroke-dasharray="2 2.35" />,
  clock: <>{ring}<path d="M8 4.5V8l2.4 1.6" /></>,
  play: <>{ring}<path d="M6.6 5.4 10.8 8l-4.2 2.6Z" fill="currentColor" /></>,
  check: <>{ring}<path d="m5.2 8.2 2 2 3.6-4.2" /></>,
  cross: <path d="M5.4 1.75h5.2l3.65 3.65v5.2l-3.65 3.65H5.4L1.75 10.6V5.4ZM6 6l4 4m0-4-4 4" />,
  question: <path d="M8 1.4 14.6 8 8 14.6 1.4 8ZM6.5 6.6c.2-2 3-1.8 3 0 0 1.1-1.5 1.2-1.5 2.3m0 1.9v.1" />,
  undo: <path d="M5.5 2.5 2.5 5.5l3 3M2.8 5.5h6.4a4 4 0 0 1 0 8H6" />,
  undone: <>{ring}<path d="M7.2 5.2 5 7.2l2.2 2M5.2 7.2h3.6a1.8 1.8 0 0 1 0 3.6H7.4" /></>,
  pause: <><rect x="1.75" y="1.75" width="12.5" height="12.5" rx="2.5" /><path d="M6.2 5.4v5.2m3.6-5.2v5.2" stroke-width="1.8" /></>,
  stop: <>{ring}<rect x="5.7" y="5.7" width="4.6" height="4.6" rx=".6" fill="currentColor" /></>,
  minus: <>{ring}<path d="M5 8h6" /></>,
  alert: <path d="M8 1.9 14.7 13.6H1.3ZM8 6.2v3.4m0 1.9v.1" />,
  hand: <path d="M2 14V4.3A1.8 1.8 0 0 1 3.8 2.5h8.4A1.8 1.8 0 0 1 14 4.3v5.4a1.8 1.8 0 0 1-1.8 1.8H4.8ZM5.3 7l1.9 1.8 3.5-3.7" />,
  lock: <><rect x="2.75" y="7" width="10.5" height="7" rx="1.6" /><path d="M5 7V4.9a3 3 0 0 1 6 0V7M8 9.8v1.6" /></>,
  calendar: <><rect x="1.9" y="3" width="12.2" height="11" rx="1.8" /><path d="M1.9 6.4h12.2M5.2 1.5v3m5.6-3v3" /></>,
  external: <path d="M6.5 3H4.2A1.7 1.7 0 0 0 2.5 4.7v7.1a1.7 1.7 0 0 0 1.7 1.7h7.1a1.7 1.7 0 0 0 1.7-1.7V9.5M9 2.5h4.5V7M13.2 2.8 7.5 8.5" />,
  arrow: <path d="M3 8h10M9 4l4 4-4 4" />,
  close: <path d="m4 4 8 8m0-8-8 8" />,
  sun: <><circle cx="8" cy="8" r="3" /><path d="M8 1v1.6m0 10.8V15m7-7h-1.6M2.6 8H1m11.95-4.95L11.8 4.2M4.2 11.8l-1.15 1.15m9.9 0L11.8 11.8M4.2 4.2 3.05 3.05" /></>,
  moon: <path d="M13.6 9.7A6 6 0 1 1 6.3 2.4a4.8 4.8 0 0 0 7.3 7.3Z" />,
  system: <><rect x="1.75" y="2.5" width="12.5" height="8.5" rx="1.6" /><path d="M5.5 14h5M8 11v3" /></>,
  dot: <circle cx="8" cy="8" r="3" fill="currentColor" />,
  brand: <path d="M2 4.2h7.5M2 8h12M6 11.8h8" stroke-width="2.4" />,
  person: <><circle cx="8" cy="5.2" r="2.9" /><path d="M2.6 14c.6-3 2.6-4.5 5.4-4.5s4.8 1.5 5.4 4.5" /></>,
  key: <><circle cx="5" cy="11" r="3" /><path d="m7.2 8.8 6-6m-2.4 2.4 2 2" /></>,
  up: <path d="M8 13V3M4 7l4-4 4 4" />,
} satisfies Record<string, ComponentChildren>;

export type IconName = keyof typeof SHAPES;

/** An icon. Without a title it is only decoration, and the words beside it must say it all. */
export function Icon({ name, title, size = 16 }: {
  name: IconName;
  title?: string;
  size?: number;
}): JSX.Element {
  return (
    <svg
      class={`icon icon-${name}`}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
      focusable="false"
      role={title ? "img" : undefined}
      aria-label={title}
      aria-hidden={title ? undefined : "true"}
    >
      {SHAPES[name] as ComponentChildren}
    </svg>
  );
}
