"""What an approval task finds out before it asks: who started the run, how risky it is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk.configuration import conf

from planner_provider.decide.model import Decision, Fact, Verdict
from planner_provider.decide.replay import decide
from planner_provider.decide.risk import Risk, RiskInputs, assess_risk
from planner_provider.errors import PlannerError
from planner_provider.graph.approvals import ChangeProfile, RiskLevel
from planner_provider.ledger.rows import Outcome

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.slos import Slo

log = logging.getLogger(__name__)

BUDGET_LEFT = ": budget left"
"""How the measures of an SLO's budget are named."""
RECENT = 10
"""How many of the plan's last runs count for the risk."""
COUNTED = {
    Outcome.SUCCEEDED: False,
    Outcome.ROLLED_BACK: True,
    Outcome.ROLLBACK_FAILED: True,
    Outcome.FAILED: True,
}
"""Outcomes of runs that changed something -> whether they failed. The others say nothing."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who started a run."""

    name: str | None
    unknown: bool
    """Whether somebody may have started it, and it is not known who."""


def requester_of(context: Context) -> Requester:
    """Who started the run, as far as Airflow knows.

    A run by schedule was started by nobody. Of any other run without a name it is not known: a
    person may stand behind another DAG or an asset event that started it.
    """
    run = context.get("dag_run")
    name = getattr(run, "triggering_user_name", None) or None
    kind = str(getattr(getattr(run, "run_type", None), "value", getattr(run, "run_type", "")))
    return Requester(name, unknown=name is None and kind != "scheduled")


def question_link(context: Context) -> str | None:
    """Where the question is answered in Airflow; ``None`` if ``[api] base_url`` is not set."""
    base = conf.get("api", "base_url", fallback="") or ""
    if not base:
        return None
    ti = context["ti"]
    index = -1 if ti.map_index is None else ti.map_index
    path = f"/dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id, safe='')}/tasks/{quote(ti.task_id)}"
    return f"{base.rstrip('/')}{path}/required_actions?{urlencode({'map_index': index})}"


@dataclass(frozen=True, slots=True)
class RiskFound:
    """The risk of a run, and the decision that follows from it."""

    risk: Risk
    verdict: Verdict
    decision: Decision


def find_risk(
    profile: ChangeProfile,
    *,
    plan: str | None,
    own_plan_id: str | None,
    slos: Sequence[Slo],
    max_risk: RiskLevel | None,
    now: datetime,
) -> RiskFound:
    """Gather what the risk depends on and score it. What cannot be had is not known."""
    runs, failures = _recent(plan, own_plan_id)
    inputs = RiskInputs(
        now=now,
        profile=profile,
        budgets=budgets_left(slos, now),
        recent_runs=runs,
        recent_failures=failures,
        max_risk=max_risk,
    )
    verdict, decision = decide(inputs)
    return RiskFound(assess_risk(inputs), verdict, decision)


def budgets_left(slos: Sequence[Slo], now: datetime) -> tuple[Fact, ...]:
    """The share of error budget left, a fact an objective. What cannot be measured is not known."""
    if not slos:
        return ()
    from planner_provider.decide.slo import SloRules
    from planner_provider.hooks.slo_facts import look_at

    look = look_at(slos, SloRules(windows=()), clock=lambda: now)
    found = []
    for measure in look.verdict.measures:
        if not measure.name.endswith(BUDGET_LEFT):
            continue
        fact: dict[str, Any] = {"source": measure.note, "observed_at": now, "unit": "ratio"}
        if measure.value is None:
            why = " ".join(reason.text for reason in look.verdict.reasons)
            found.append(Fact.unknown(measure.name, why, **fact))
        else:
            found.append(Fact.measured(measure.name, measure.value, **fact))
    return tuple(found)


def _recent(plan: str | None, own_plan_id: str | None) -> tuple[int | None, int | None]:
    if plan is None:
        return None, None
    from planner_provider.hooks.settings import load_settings
    from planner_provider.ledger.reports import Reports

    try:
        reports = Reports.open(load_settings().sql_alchemy_conn)
        found = reports.runs(plan=plan, limit=3 * RECENT)
    except PlannerError as error:
        log.warning("How earlier runs of %s ended is not known: %s", plan, error)
        return None, None
    ended = [
        COUNTED[report.run.outcome]
        for report in found
        if report.run.plan_id != own_plan_id and report.run.outcome in COUNTED
    ][:RECENT]
    return len(ended), sum(ended)
