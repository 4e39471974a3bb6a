// What came of an act, told at the bottom of the page and to screen readers.

import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { Icon } from "./Icon";

interface Notice {
  id: number;
  text: ComponentChildren;
}

const LONGEST_MS = 20_000;
const notices = signal<Notice[]>([]);
const spoken = signal("");
let last = 0;

/** Tell what came of an act. */
export function say(text: ComponentChildren): void {
  last += 1;
  const id = last;
  notices.value = [...notices.value.slice(-2), { id, text }];
  window.setTimeout(() => dismiss(id), LONGEST_MS);
}

/** Tell screen readers something that is to be seen elsewhere on the page. */
export function announce(text: string): void {
  spoken.value = text;
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function Notices(): JSX.Element {
  return (
    <>
      <div class="sr" aria-live="polite" id="announcer">{spoken.value}</div>
      <div class="notices" role="status">
        {notices.value.map((notice) => (
          <div class="notice" key={notice.id}>
            <Icon name="check" />
            <div class="notice-text">{notice.text}</div>
            <button type="button" class="button quiet icon-only" aria-label="Dismiss" onClick={() => dismiss(notice.id)}>
              <Icon name="close" />
            </button>
          </div>
        ))}
      </div>
    </>
  );
}
