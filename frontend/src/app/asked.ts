// Airflow's tabs open this page with `?dag_id=..&run_id=..`: find what that is here.

import type { PlanRow, RunPage } from "../contract";
import { read } from "../net/api";
import { to, toPlan, toRun } from "./route";

/** Go to the run or plan that the address asks for, unless a page is asked for already. */
export async function openAsked(): Promise<void> {
  const asked = new URLSearchParams(window.location.search);
  const dagId = asked.get("dag_id");
  if (!dagId || window.location.hash.length > 2) return;
  window.location.replace(await find(dagId, asked.get("run_id")));
}

async function find(dagId: string, runId: string | null): Promise<string> {
  try {
    if (runId) {
      const query = new URLSearchParams({ dag_id: dagId, run_id: runId, limit: "1" });
      const page = (await read(`runs?${query.toString()}`)).data as RunPage;
      const run = page.runs.find((row) => row.dag_id === dagId && row.run_id === runId);
      if (run) return toRun(run.plan_id);
    }
    const plans = (await read("plans")).data as PlanRow[];
    const plan = plans.find((row) => row.dag_id === dagId);
    return plan ? toPlan(plan.plan) : to(["none", dagId]);
  } catch {
    return "#/"; // which says what is wrong with the line
  }
}
