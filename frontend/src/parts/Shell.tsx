// What is around every page: navigation, the state of the line, the theme, dialogs and notices.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { now } from "../app/clock";
import { airflowDocument, airflowUrl, embedded, follow } from "../app/embedding";
import { route } from "../app/route";
import { choice, choose, type Choice } from "../app/theme";
import type { AttentionItem, Me, Overview } from "../contract";
import { line, LIVE_MS, refresh, usePolled } from "../net/poll";
import { attentionLooks } from "../words/states";
import { duration, exact } from "../words/times";
import { Dialogs } from "./Dialog";
import { Icon, type IconName } from "./Icon";
import { announce, Notices } from "./Notices";

const PAGES: [path: string, name: string][] = [
  ["", "Overview"],
  ["runs", "Runs"],
  ["plans", "Plans"],
  ["locks", "Locks"],
  ["audit", "Audit"],
];
const ELSEWHERE_MS = 10_000;
const QUIET_MS = 3_000;

export function Shell({ children }: { children: ComponentChildren }): JSX.Element {
  const here = route.value.path[0] ?? "";
  const { data } = usePolled<Overview>("overview", here === "" ? LIVE_MS : ELSEWHERE_MS);
  const waiting = data?.needs_me.length ?? 0;
  useNews(data?.needs_me);

  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header class="top">
        <div class="top-in">
          {embedded ? null : (
            <a class="brand" href="#/"><Icon name="brand" size={18} />Plans</a>
          )}
          <nav aria-label="Plans page">
            <ul>
              {PAGES.map(([path, name]) => (
                <li key={path}>
                  <a href={`#/${path}`} aria-current={here === path ? "page" : undefined}>
                    {name}
                    {path === "" && waiting > 0 ? (
                      <span class="count" aria-label={`${waiting} need you`}>{waiting}</span>
                    ) : null}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <div class="top-end">
            <Live />
            <ThemeButton />
            {embedded ? null : (
              <a class="button quiet to-airflow" href={airflowUrl("")} onClick={follow}>Airflow<Icon name="external" size={13} /></a>
            )}
          </div>
        </div>
        <LineBanner />
      </header>
      <main id="main" tabIndex={-1}>{children}</main>
      <Foot />
      <Notices />
      <Dialogs />
    </>
  );
}

function skip(event: MouseEvent): void {
  event.preventDefault(); // the hash is the page's address
  document.getElementById("main")?.focus();
}

/** Tells screen readers and the tab's title when something new needs a person. */
function useNews(items: AttentionItem[] | undefined): void {
  const known = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (!items) return;
    const key = (item: AttentionItem) => `${item.kind} ${item.plan_id} ${item.task_id ?? ""}`;
    const fresh = known.current === null ? [] : items.filter((item) => !known.current?.has(key(item)));
    known.current = new Set(items.map(key));
    document.title = items.length > 0 ? `(${items.length}) Plans` : "Plans";
    if (fresh.length > 0) {
      announce(fresh.map((item) => `${attentionLooks(item.kind).text}: ${item.plan}. ${item.text}`).join(" "));
    }
  }, [items]);
}

function Live(): JSX.Element {
  const { okAt, downSince, loggedOut } = line.value;
  const down = loggedOut || (downSince !== null && now.value - downSince > QUIET_MS);
  const title = okAt === null ? "" : `Last answer at ${exact(new Date(okAt).toISOString())}`;
  if (down) return <span class="live tone-bad" title={title}><Icon name="alert" size={14} />Not live</span>;
  return <span class="live tone-ok" title={title}><Icon name="dot" size={14} />Live</span>;
}

function LineBanner(): JSX.Element | null {
  const { okAt, downSince, why, loggedOut } = line.value;
  if (loggedOut) {
    return (
      <div class="banner" role="alert">
        <Icon name="key" />
        <span>You are not logged in any more. What you see does not change.</span>
        <a class="button small" href={loginUrl()} onClick={follow}>Log in</a>
      </div>
    );
  }
  if (downSince === null || now.value - downSince < QUIET_MS) return null;
  return (
    <div class="banner" role="alert">
      <Icon name="alert" />
      <span>
        <strong>No connection.</strong> {why}{" "}
        {okAt === null ? null : (
          <span aria-live="off">
            What you see is {duration(Math.max(0, now.value - okAt) / 1000)} old, from {exact(new Date(okAt).toISOString()).slice(11)}.
          </span>
        )}
      </span>
      <button type="button" class="button small" onClick={refresh}>Try now</button>
    </div>
  );
}

/** Airflow's login, which comes back to what is open now. */
function loginUrl(): string {
  const here = airflowDocument()?.location ?? window.location;
  return airflowUrl(`api/v2/auth/login?next=${encodeURIComponent(here.pathname + here.search + here.hash)}`);
}

const NEXT: Record<Choice, Choice> = { system: "light", light: "dark", dark: "system" };
const THEME_ICONS: Record<Choice, IconName> = { system: "system", light: "sun", dark: "moon" };
const THEME_WORDS: Record<Choice, string> = {
  system: embedded ? "as Airflow" : "as the system",
  light: "light",
  dark: "dark",
};

function ThemeButton(): JSX.Element {
  const now = choice.value;
  const words = `Colours: ${THEME_WORDS[now]}. Change to ${THEME_WORDS[NEXT[now]]}.`;
  return (
    <button type="button" class="button quiet icon-only" aria-label={words} title={words} onClick={() => choose(NEXT[now])}>
      <Icon name={THEME_ICONS[now]} />
    </button>
  );
}

function Foot(): JSX.Element {
  const { data } = usePolled<Me>("me", 300_000);
  return (
    <footer class="foot">
      {data ? <span>Seen as <strong>{data.user}</strong></span> : null}
      {data ? <span>planner {data.version}</span> : null}
      <span>Times are UTC; point at one for your own.</span>
    </footer>
  );
}
