// The small parts that all pages are made of.

import type { ComponentChildren, JSX } from "preact";
import { now } from "../app/clock";
import { airflowUrl, embedded, follow, safeUrl } from "../app/embedding";
import type { Refused } from "../net/api";
import type { Looks } from "../words/states";
import { clock, duration, exactBoth, relative } from "../words/times";
import { Icon, type IconName } from "./Icon";

/** A state: shape, word and tone. */
export function Badge({ looks, children }: {
  looks: Looks;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <span class={`badge tone-${looks.tone}`}>
      <Icon name={looks.icon} size={14} />
      {children ?? looks.text}
    </span>
  );
}

/** A moment: `4 min ago`, and exactly in its title. */
export function When({ at, absolute = false }: { at: string; absolute?: boolean }): JSX.Element {
  return (
    <time dateTime={at} title={exactBoth(at)}>
      {absolute ? clock(at, now.value) : relative(at, now.value)}
    </time>
  );
}

/** When something is expected to end; what is late is said to be. */
export function Eta({ at }: { at: string }): JSX.Element {
  const late = Date.parse(at) < now.value - 5_000;
  return (
    <>
      {late ? <span class="warn-text">late: was expected <When at={at} /></span> : <When at={at} />}{" "}
      <span class="faint">(<When at={at} absolute />)</span>
    </>
  );
}

/** How long something has gone on. */
export function Since({ at }: { at: string }): JSX.Element {
  const seconds = (now.value - Date.parse(at)) / 1000;
  const calm = seconds < 60 ? Math.floor(seconds / 5) * 5 : Math.floor(seconds / 60) * 60;
  return (
    <time dateTime={at} title={exactBoth(at)}>
      {duration(calm)}
    </time>
  );
}

/** A link to Airflow or to another site. What is no address is shown as text. */
export function Out({ href, children, icon = true, class: name }: {
  href: string | null;
  children: ComponentChildren;
  icon?: boolean;
  class?: string;
}): JSX.Element {
  const url = safeUrl(href);
  if (url === null) return <span class={name}>{children}</span>;
  if (url.startsWith("#/")) return <a class={name} href={url}>{children}</a>;
  return (
    <a class={name} href={url} onClick={follow} target={embedded ? "_top" : undefined} rel="noreferrer">
      {children}
      {icon ? <Icon name="external" size={13} /> : null}
    </a>
  );
}

/** A link to a page of Airflow, by its path below Airflow's own. */
export function InAirflow({ path, children }: {
  path: string;
  children: ComponentChildren;
}): JSX.Element {
  return <Out href={airflowUrl(path)}>{children}</Out>;
}

export function dagPath(dagId: string): string {
  return `dags/${encodeURIComponent(dagId)}`;
}

export function dagRunPath(dagId: string, runId: string): string {
  return `${dagPath(dagId)}/runs/${encodeURIComponent(runId)}`;
}

/** Something was refused, in words. */
export function Trouble({ refused }: { refused: { message: string; hint: string | null } }): JSX.Element {
  return (
    <div class="trouble" role="alert">
      <Icon name="alert" />
      <div>
        <p class="said">{refused.message}</p>
        {refused.hint ? <p class="hint">{refused.hint}</p> : null}
      </div>
    </div>
  );
}

/** What stands in a page until its first answer is there, or says why there is none. */
export function Pending({ refused, what }: {
  refused: Refused | undefined;
  what: string;
}): JSX.Element {
  if (refused) return <Trouble refused={refused} />;
  return (
    <div class="pending" role="status">
      <span class="sr">Loading {what}</span>
      <span class="bone" /><span class="bone" /><span class="bone" />
    </div>
  );
}

/** Nothing to show, said calmly. */
export function Nothing({ icon = "check", children }: {
  icon?: IconName;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <p class="nothing">
      <Icon name={icon} />
      <span>{children}</span>
    </p>
  );
}

/** A section with a heading that it is labelled by. */
export function Section({ id, title, aside, children, level = 2, class: name = "" }: {
  id: string;
  title: ComponentChildren;
  aside?: ComponentChildren;
  children: ComponentChildren;
  level?: 2 | 3;
  class?: string;
}): JSX.Element {
  const Heading = level === 2 ? "h2" : "h3";
  return (
    <section class={`section ${name}`} aria-labelledby={`${id}-title`} id={id}>
      <div class="section-head">
        <Heading id={`${id}-title`}>{title}</Heading>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** A name and its value, for lists of them. */
export function Pair({ name, children }: {
  name: string;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="pair">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
