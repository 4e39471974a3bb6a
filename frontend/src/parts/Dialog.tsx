// A dialog over everything: one at a time, with the browser's own focus handling and Esc.

import { signal } from "@preact/signals";
import type { ComponentChildren, JSX, VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused } from "../net/api";
import { refresh } from "../net/poll";
import { Trouble } from "./bits";
import { Icon } from "./Icon";
import { say } from "./Notices";

const open = signal<VNode | null>(null);

export function show(dialog: VNode): void {
  open.value = dialog;
}

export function close(): void {
  open.value = null;
}

/** Where dialogs appear; once in the page, so that nothing that changes below takes one away. */
export function Dialogs(): JSX.Element | null {
  return open.value;
}

/** A dialog with a form: says what will happen, then does it and tells what came of it. */
export function FormDialog({ title, children, confirm, tone = "plain", onSubmit, wide = false }: {
  title: ComponentChildren;
  children: ComponentChildren;
  confirm: string;
  tone?: "plain" | "danger";
  /** Does it, and gives what to tell; throws `Refused`. */
  onSubmit: (form: FormData) => Promise<ComponentChildren>;
  wide?: boolean;
}): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<Refused | null>(null);

  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
      else document.getElementById("main")?.focus();
    };
  }, []);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy || !(event.currentTarget instanceof HTMLFormElement)) return;
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setRefused(null);
    try {
      const told = await onSubmit(form);
      close();
      say(told);
      refresh();
    } catch (error) {
      if (error instanceof Refused) setRefused(error);
      else setRefused(new Refused(0, { error: String(error), hint: null }));
      setBusy(false);
    }
  };

  return (
    <dialog
      ref={element}
      class={wide ? "dialog wide" : "dialog"}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        if (!busy) close();
      }}
      onClose={close}
    >
      <form onSubmit={(event) => void submit(event)} noValidate={false}>
        <header>
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="button quiet icon-only" onClick={close} aria-label="Close">
            <Icon name="close" />
          </button>
        </header>
        <div class="dialog-body">
          {children}
          {refused ? <Trouble refused={refused} /> : null}
        </div>
        <footer>
          <button type="button" class="button" onClick={close} disabled={busy}>Cancel</button>
          <button type="submit" class={tone === "danger" ? "button danger" : "button primary"} aria-disabled={busy}>
            {busy ? "Working…" : confirm}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

/** The field for a reason, which goes into the audit trail. */
export function ReasonField({ focus = true, needed = true }: {
  focus?: boolean;
  needed?: boolean;
}): JSX.Element {
  return (
    <label class="field">
      <span class="field-name">Reason{needed ? null : <span class="faint"> (if you like)</span>}</span>
      <textarea name="reason" rows={2} required={needed} maxLength={2000} autofocus={focus} />
      <span class="field-hint">Kept in the audit trail under your name.</span>
    </label>
  );
}
