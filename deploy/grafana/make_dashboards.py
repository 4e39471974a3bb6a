"""The dashboards as code. Run it, and dashboards/planner-*.json are written anew.

python deploy/grafana/make_dashboards.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
PLAN = 'plan=~"$plan"'
BY_PLAN = "{{plan}}"
WIDTH = 24
Query = tuple[str, str]
"""Expression and legend."""


@dataclass(frozen=True)
class Panel:
    """A panel; dashboards lay them out from left to right."""

    kind: str
    title: str
    text: str
    """What it shows and what to do with it, for the little i."""
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    limits: tuple[tuple[str, float], ...] = ()
    """Colours from these values on; green below the first."""
    falls: bool = False
    """Whether low values are the bad ones: red first."""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard."""

    uid: str
    title: str
    text: str
    since: str
    panels: tuple[Panel, ...]
    by_plan: bool = True


def stat(title: str, text: str, query: str, unit: str, **more: Any) -> Panel:
    """One number."""
    return Panel("stat", title, text, ((query, ""),), unit, more.pop("width", 4), 5, **more)


EXECUTIVE = Dashboard(
    "planner-executive",
    "Planner: executive view",
    "Whether plans work, what they burn and cost, and what fails.",
    "now-30d",
    (
        stat(
            "Success rate, 30 days", "M1: of the runs that were judged. 98% when mature.",
            'planner_success_ratio{window="30d"}', "percentunit",
            limits=(("orange", 0.9), ("green", 0.98)), falls=True,
        ),
        stat(
            "Rolled back, 30 days", "M10: of the runs that acted. Less than 2%.",
            'planner_rollback_ratio{window="30d"}', "percentunit", limits=(("orange", 0.02),),
        ),
        stat(
            "Trouble to rolled back", "M3: median of 30 days. Under 10 minutes.",
            'planner_rollback_median_seconds{window="30d"}', "s", limits=(("red", 600),),
        ),
        stat(
            "Approval", "M4: median of 30 days, from question to answer.",
            'planner_approval_median_seconds{window="30d", urgent="any"}', "s",
            limits=(("orange", 1800),),
        ),
        stat(
            "Conflicts per 100 runs", "M5: runs that met a lock of another one. Below 1.",
            'planner_conflicts_per_hundred_runs{window="30d"}', "short", limits=(("orange", 1),),
        ),
        stat(
            "Automated plans", "M12: start by themselves, and need no person every time.",
            "planner_automated_plans_ratio", "percentunit",
        ),
        Panel(
            "timeseries", "Success rate", "M1 over rolling windows.",
            (("planner_success_ratio", "{{window}}"),), "percentunit",
        ),
        Panel(
            "timeseries", "Error budget burnt by a run", "M6: mean of the runs of a window.",
            (("planner_budget_burnt_ratio", "{{window}}"),), "percentunit",
        ),
        Panel(
            "timeseries", "Weekly change of cost",
            "M7: what an hour costs more after the runs of a window, by currency. Of plans that "
            "say how it is measured.",
            (("planner_cost_change_per_hour", "{{currency}}, {{window}}"),),
        ),
        Panel(
            "bargauge", "Plans that became dearest",
            "M7: increase of the cost of an hour by the last run, as a share of what it was.",
            (("topk(8, planner_plan_cost_change_ratio)", BY_PLAN),), "percentunit",
            limits=(("orange", 0.1),),
        ),
        Panel(
            "timeseries", "Approval latency",
            "M4: the trend. Half of the answers, and nine of ten, took no longer.",
            (
                ('planner_approval_median_seconds{urgent="any"}', "median, {{window}}"),
                (
                    "histogram_quantile(0.9, "
                    "sum by (le) (planner_approval_latency_seconds_bucket))",
                    "90% of all there ever were",
                ),
            ), "s",
        ),
        Panel(
            "timeseries", "Runs that ended in a day", "By outcome.",
            (
                (
                    'sum by (to) (increase(planner_run_transitions_total{to=~"succeeded|failed|'
                    'rolled_back|rollback_failed|blocked|rejected|expired|aborted"}[1d]))',
                    "{{to}}",
                ),
            ),
        ),
        Panel(
            "bargauge", "Top causes of failure",
            "Classes of errors of tasks since the ledger began.",
            (("topk(8, sum by (error) (planner_task_failures_total))", "{{error}}"),),
        ),
        Panel(
            "bargauge", "Plans that were rolled back most", "Also those that could not be.",
            (
                (
                    'topk(8, sum by (plan) (planner_run_transitions_total{to=~"rolled_back|'
                    'rollback_failed"}))',
                    BY_PLAN,
                ),
            ),
        ),
        Panel(
            "timeseries", "Approval to success", "M2: median over rolling windows.",
            (("planner_completion_median_seconds", "{{window}}"),), "s",
        ),
        Panel(
            "bargauge", "Stale plans",
            "R9: start by themselves and have not succeeded in three periods. Mend or remove them.",
            (("planner_plan_stale == 1", BY_PLAN),),
        ),
    ),
    by_plan=False,
)  # fmt: skip

ON_CALL = Dashboard(
    "planner-on-call",
    "Planner: on call",
    "What runs now, what needs somebody, and what went wrong last. The Plans page has each run.",
    "now-3h",
    (
        stat(
            "Runs that go on", "The Plans page tells of each.",
            f"sum(planner_runs{{{PLAN}}})", "short",
        ),
        stat(
            "Approvals that wait", "Answer them on Airflow's page of required actions.",
            f"sum(planner_approvals_open{{{PLAN}}}) or vector(0)", "short",
            limits=(("orange", 1),),
        ),
        stat(
            "Held", "Somebody holds them: `planner resume` lets them go on.",
            f'sum(planner_runs{{{PLAN}, state="held"}})', "short", limits=(("orange", 1),),
        ),
        stat(
            "Rolling back", "Being undone now.",
            f'sum(planner_runs{{{PLAN}, state="rolling_back"}})', "short",
            limits=(("orange", 1),),
        ),
        stat(
            "Highest burn rate", "Of the SLOs of runs that go on. Above 4 pages.",
            f"max(planner_slo_burn_rate{{{PLAN}}}) or vector(0)", "short",
            limits=(("orange", 1), ("red", 4)),
        ),
        stat(
            "Ledger", "1: it could be read for this scrape.", "min(planner_ledger_up)", "short",
            limits=(("green", 1),), falls=True,
        ),
        Panel(
            "table", "Runs that go on", "By plan and by what they are doing.",
            ((f"planner_runs{{{PLAN}}} > 0", ""),), width=12,
        ),
        Panel(
            "table", "Bad ends of the last day", "How long ago, newest first.",
            (
                (
                    f"sort(time() - planner_run_last_end_timestamp_seconds{{{PLAN}, "
                    'outcome=~"failed|rolled_back|rollback_failed"} < 86400)',
                    "",
                ),
            ), "s",
        ),
        Panel(
            "timeseries", "Burn rate", "Lasting burn rate, as runs that go on last saw it.",
            ((f"planner_slo_burn_rate{{{PLAN}}}", "{{plan}}: {{slo}}"),),
            limits=(("red", 4),),
        ),
        Panel(
            "timeseries", "Error budget left", "As runs that go on last saw it.",
            ((f"planner_slo_budget_left_ratio{{{PLAN}}}", "{{plan}}: {{slo}}"),), "percentunit",
        ),
        Panel(
            "bargauge", "Oldest approval that waits", "30 minutes is what an urgent one may take.",
            ((f"planner_approval_open_seconds{{{PLAN}}}", "{{plan}}, urgent: {{urgent}}"),), "s",
            limits=(("orange", 1800),), width=8,
        ),
        Panel(
            "bargauge", "Held for", "Who holds it and why is on the Plans page.",
            ((f"planner_run_held_seconds{{{PLAN}}}", BY_PLAN),), "s",
            limits=(("orange", 14_400),), width=8,
        ),
        Panel(
            "bargauge", "Waiting for locks", "`planner locks` says who is in the way.",
            ((f"planner_lock_waiting_seconds{{{PLAN}}}", BY_PLAN),), "s",
            limits=(("orange", 3600),), width=8,
        ),
        Panel(
            "timeseries", "Throttles", "How many run, and how many may.",
            (
                (f"planner_throttle_used{{{PLAN}}}", "{{plan}}/{{throttle}}: run"),
                (f"planner_throttle_limit{{{PLAN}}}", "{{plan}}/{{throttle}}: may"),
            ),
        ),
        Panel(
            "timeseries", "Notices that do not arrive", "People are not told: look at the channel.",
            (
                (f"sum by (plan) (planner_notices_waiting{{{PLAN}}})", "{{plan}}: waiting"),
                (f"sum by (plan) (planner_notices_lost_total{{{PLAN}}})", "{{plan}}: lost"),
            ),
        ),
    ),
)  # fmt: skip

DEBUG = Dashboard(
    "planner-debug",
    "Planner: debug",
    "How steps, decisions, inputs and locks did. Logs, traces by plan ID and the change itself are "
    "on each run's page.",
    "now-24h",
    (
        Panel(
            "timeseries", "Duration of steps", "Half of all acts took no longer, by action.",
            (
                (
                    "histogram_quantile(0.5, sum by (le, kind) (planner_act_duration_seconds_bucket"
                    '{role="step"}))',
                    "{{kind}}",
                ),
            ), "s",
        ),
        Panel(
            "timeseries", "Duration of runs", "Half took no longer, by outcome.",
            (
                (
                    "histogram_quantile(0.5, sum by (le, outcome) "
                    "(planner_run_duration_seconds_bucket))",
                    "{{outcome}}",
                ),
            ), "s",
        ),
        Panel(
            "timeseries", "Acts in an hour", "By what they were for and how they ended.",
            (
                (
                    f"sum by (role, result) (increase(planner_acts_total{{{PLAN}}}[1h]))",
                    "{{role}}: {{result}}",
                ),
            ),
        ),
        Panel(
            "bargauge", "Tries again", "F8: acts that were another try, by action.",
            ((f"sum by (kind) (planner_act_retries_total{{{PLAN}}})", "{{kind}}"),),
        ),
        Panel(
            "table", "Errors of tasks", "By plan and class; docs/errors.md says what each means.",
            ((f"sum by (plan, error) (planner_task_failures_total{{{PLAN}}}) > 0", ""),),
        ),
        Panel(
            "timeseries", "Decisions in an hour", "By kind and verdict.",
            (
                (
                    f"sum by (kind, verdict) (increase(planner_decisions_total{{{PLAN}}}[1h]))",
                    "{{kind}}: {{verdict}}",
                ),
            ),
        ),
        Panel(
            "timeseries", "Age of inputs", "F1: oldest fact of the newest decisions.",
            ((f"planner_input_age_seconds{{{PLAN}}}", "{{plan}}: {{kind}}"),), "s",
            limits=(("orange", 300),),
        ),
        Panel(
            "timeseries", "Coverage of inputs", "M8: facts that were known and fresh.",
            (
                (f"planner_input_coverage_ratio{{{PLAN}}}", "{{plan}}: {{kind}}"),
                ("planner_input_coverage_mean_ratio", "mean"),
            ), "percentunit",
        ),
        Panel(
            "bargauge", "Services with an SLO", "Share of what a plan changes for which it asks.",
            ((f"planner_plan_slo_coverage_ratio{{{PLAN}}}", BY_PLAN),), "percentunit",
            limits=(("green", 1),), falls=True,
        ),
        Panel(
            "timeseries", "Safety checks before the first step", "M9: all must have passed.",
            (
                (
                    f"sum by (result) (planner_safety_checks_total{{{PLAN}}})",
                    "{{result}}",
                ),
            ),
        ),
        Panel(
            "timeseries", "Conflicts", "F5: runs that met a lock of another one.",
            ((f"sum by (plan) (planner_lock_conflicts_total{{{PLAN}}})", BY_PLAN),), width=8,
        ),
        Panel(
            "timeseries", "Wait for locks", "Mean of all runs that had to wait.",
            (("planner_lock_wait_seconds_sum / planner_lock_wait_seconds_count", "mean"),), "s",
            width=8,
        ),
        Panel(
            "timeseries", "Audit trail", "Entries in an hour.",
            (("increase(planner_audit_entries_total[1h])", "entries"),), width=8,
        ),
        Panel(
            "timeseries", "Processor time during the run", "Of what Prometheus scrapes besides.",
            (("rate(process_cpu_seconds_total[5m])", "{{job}} {{instance}}"),),
        ),
        Panel(
            "timeseries", "Memory during the run", "Of what Prometheus scrapes besides.",
            (("process_resident_memory_bytes", "{{job}} {{instance}}"),), "bytes",
        ),
    ),
)  # fmt: skip

DASHBOARDS = (EXECUTIVE, ON_CALL, DEBUG)


def document(board: Dashboard) -> dict[str, Any]:
    """A dashboard in Grafana's form."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.text,
        "tags": ["planner"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": board.since, "to": "now"},
        "templating": {"list": list(_variables(board))},
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "Planner", "tags": ["planner"], "asDropdown": True},
            {"type": "link", "title": "Plans page", "url": "${airflow}/planner/", "icon": "bolt",
             "targetBlank": True},
        ],
        "panels": list(_laid_out(board)),
    }  # fmt: skip


def main() -> None:
    """Write the dashboards."""
    for board in DASHBOARDS:
        text = json.dumps(document(board), indent=2, ensure_ascii=False) + "\n"
        (FOLDER / f"{board.uid}.json").write_text(text, encoding="utf-8")


def _variables(board: Dashboard) -> Iterator[dict[str, Any]]:
    if board.by_plan:
        query = "label_values(planner_run_transitions_total, plan)"
        yield {
            "name": "plan", "label": "Plan", "type": "query", "datasource": SOURCE,
            "query": {"query": query, "refId": "plans"}, "definition": query, "includeAll": True,
            "allValue": ".*", "multi": True, "refresh": 2, "sort": 1,
            "current": {"text": "All", "value": "$__all"},
        }  # fmt: skip
    yield {
        "name": "airflow", "label": "Airflow", "type": "textbox", "query": "http://localhost:8080",
        "current": {"text": "http://localhost:8080", "value": "http://localhost:8080"},
        "hide": 2,
    }  # fmt: skip


def _laid_out(board: Dashboard) -> Iterator[dict[str, Any]]:
    left, top, tallest = 0, 0, 0
    for number, panel in enumerate(board.panels, 1):
        if left + panel.width > WIDTH:
            left, top, tallest = 0, top + tallest, 0
        place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
        yield _panel(number, panel, place)
        left, tallest = left + panel.width, max(tallest, panel.height)


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("table", "bargauge", "stat")
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
                "instant": instant,
                "range": not instant,
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    first = "red" if panel.falls else "green"
    steps: list[dict[str, Any]] = [{"color": first, "value": None}]
    steps += [{"color": color, "value": value} for color, value in panel.limits]
    return {
        "unit": panel.unit,
        "noValue": "none",
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    calculation = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if panel.kind == "bargauge":
        return {**calculation, "orientation": "horizontal", "displayMode": "gradient"}
    return {**calculation, "colorMode": "value", "graphMode": "none", "textMode": "auto"}


if __name__ == "__main__":
    main()
