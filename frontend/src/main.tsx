import { render, type JSX } from "preact";
import { startClock } from "./app/clock";
import { embedded } from "./app/embedding";
import { route, startRouter } from "./app/route";
import { startTheme } from "./app/theme";
import { startPolling } from "./net/poll";
import { Nothing } from "./parts/bits";
import { Shell } from "./parts/Shell";
import { AuditPage } from "./pages/Audit";
import { LocksPage } from "./pages/Locks";
import { OverviewPage } from "./pages/Overview";
import { PlanPage, PlansPage } from "./pages/Plans";
import { openAsked } from "./app/asked";
import { RunPageView } from "./pages/Run";
import { RunsPage } from "./pages/Runs";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/overview.css";
import "./styles/run.css";

function Page(): JSX.Element {
  const [place, name] = route.value.path;
  switch (place) {
    case undefined:
      return <OverviewPage />;
    case "runs":
      return name === undefined ? <RunsPage /> : <RunPageView planId={name} key={name} />;
    case "plans":
      return name === undefined ? <PlansPage /> : <PlanPage plan={name} key={name} />;
    case "locks":
      return <LocksPage />;
    case "audit":
      return <AuditPage />;
    case "none":
      return <Nothing icon="minus">DAG {name} is no plan, or you may not see it here. <a href="#/plans">All plans</a></Nothing>;
    default:
      return <Nothing icon="question">There is no such page. <a href="#/">To the overview</a></Nothing>;
  }
}

if (embedded) document.documentElement.dataset["embedded"] = "";
startTheme();
startClock();
startRouter();
startPolling();
void openAsked();
const root = document.getElementById("app");
if (root) render(<Shell><Page /></Shell>, root);
