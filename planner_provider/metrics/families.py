"""A snapshot as families of Prometheus metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from planner_provider.ledger.notices import NoticeState
from planner_provider.ledger.rows import Outcome
from planner_provider.metrics.definitions import BY_NAME, WINDOWS
from planner_provider.metrics.figures import Period, automated, figures, ratio
from planner_provider.metrics.fold import Fold
from planner_provider.metrics.present import STATES
from planner_provider.metrics.reader import Snapshot

Labels = tuple[str, ...]

HISTOGRAMS = {
    "run": "planner_run_duration_seconds",
    "act": "planner_act_duration_seconds",
    "approval": "planner_approval_latency_seconds",
    "lock_wait": "planner_lock_wait_seconds",
    "completion": "planner_completion_seconds",
    "rollback": "planner_rollback_seconds",
}
"""Name of a distribution -> metric."""


@dataclass(slots=True)
class _Values:
    """Samples by metric and labels. What is not known is left out."""

    found: dict[str, dict[Labels, float]] = field(default_factory=lambda: defaultdict(dict))

    def put(self, name: str, value: float | timedelta | None, *labels: str) -> None:
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if value is not None:
            self.found[f"planner_{name}"][labels] = float(value)

    def add(self, name: str, value: float, *labels: str) -> None:
        of_name = self.found[f"planner_{name}"]
        of_name[labels] = of_name.get(labels, 0.0) + value

    def most(self, name: str, value: float | timedelta | None, *labels: str) -> None:
        """Keep the largest."""
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if value is not None:
            of_name = self.found[f"planner_{name}"]
            of_name[labels] = max(of_name.get(labels, value), value)

    def least(self, name: str, value: float | None, *labels: str) -> None:
        """Keep the smallest."""
        if value is not None:
            of_name = self.found[f"planner_{name}"]
            of_name[labels] = min(of_name.get(labels, value), value)


def families(snapshot: Snapshot, version: str) -> Iterator[Metric]:
    """All metrics of a ledger that could be read."""
    values = _Values()
    values.put("build_info", 1, version)
    values.put("ledger_up", 1)
    _counters(snapshot, values)
    _live(snapshot, values)
    _inputs(snapshot, values)
    _plans(snapshot, values)
    _figures(snapshot, values)
    for name, samples in values.found.items():
        yield _family(name, samples)
    yield from _histograms(snapshot.fold)


def unreadable(version: str) -> Iterator[Metric]:
    """What is told while the ledger cannot be read."""
    values = _Values()
    values.put("build_info", 1, version)
    values.put("ledger_up", 0)
    for name, samples in values.found.items():
        yield _family(name, samples)


def _counters(snapshot: Snapshot, values: _Values) -> None:
    fold, present = snapshot.fold, snapshot.present
    for plan, count in sorted(present.created.items()):
        values.add("run_transitions", count, fold.label(plan), "created")
    for plan in {fold.label(plan) for plan in present.created}:
        for to in ("approved", "executing", *Outcome):
            values.add("run_transitions", fold.transitions[plan, to], plan, to)
        values.add("lock_conflicts", fold.conflicts[plan], plan)
        values.add("notices_lost", 0, plan)
        values.add("notices_waiting", 0, plan)
    tables: tuple[tuple[str, Mapping[Any, int]], ...] = (
        ("acts", fold.acts),
        ("act_retries", fold.retries),
        ("task_failures", fold.errors),
        ("decisions", fold.decisions),
        ("safety_checks", fold.checks),
        ("approvals", fold.approvals),
        ("run_holds", {(plan,): n for plan, n in fold.holds.items()}),
        ("throttle_changes", {(plan,): n for plan, n in fold.throttle_sets.items()}),
    )
    for name, table in tables:
        for labels, count in table.items():
            values.put(name, count, *labels)
    for ending, at in fold.last_end.items():
        values.put("run_last_end_timestamp_seconds", at.timestamp(), *ending)
    values.put("audit_entries", present.audit_entries)
    for (plan, state), count in present.notices.items():
        name = "notices_lost" if state == NoticeState.LOST else "notices_waiting"
        values.add(name, count, fold.label(plan))


def _live(snapshot: Snapshot, values: _Values) -> None:
    now, fold, present = snapshot.at, snapshot.fold, snapshot.present
    for plan in {fold.label(plan) for plan in present.created}:
        for state in STATES:
            values.put("runs", 0, plan, state)
    plan_of = {run.plan_id: fold.label(run.plan) for run in present.live}
    for run in present.live:
        plan = plan_of[run.plan_id]
        values.add("runs", 1, plan, run.state)
        known = fold.open.get(run.plan_id)
        began_at = known.began_at if known else run.assessed_at
        values.most("run_age_seconds", _since(began_at, now), plan)
        values.most("run_held_seconds", _since(run.held_at, now), plan)
    for item in present.approvals:
        facts = snapshot.plans.get(item.plan)
        urgent = _word(facts is not None and facts.urgent)
        values.add("approvals_open", 1, fold.label(item.plan), urgent)
        values.most(
            "approval_open_seconds", _since(item.asked_at, now), fold.label(item.plan), urgent
        )
    for plan_id, since in present.queued.items():
        values.most("lock_waiting_seconds", _since(since, now), plan_of.get(plan_id, "other"))
    for throttle in present.throttles:
        labels = (fold.label(throttle.plan), throttle.name)
        values.add("throttle_limit", throttle.limit, *labels)
        values.add("throttle_limit_min", throttle.minimum, *labels)
        values.add("throttle_limit_max", throttle.maximum, *labels)
        values.add("throttle_used", throttle.used, *labels)
    found = values.found
    for place, limit in found.get("planner_throttle_limit", {}).items():
        used = found["planner_throttle_used"][place]
        values.put("throttle_used_ratio", used / limit if limit else 0.0, *place)


def _inputs(snapshot: Snapshot, values: _Values) -> None:
    fold = snapshot.fold
    plan_of = {run.plan_id: run.plan for run in snapshot.present.live}
    plan_of |= {run.plan_id: run.plan for run in fold.ended.values()}
    coverages = []
    for item in snapshot.newest:
        plan = fold.label(plan_of.get(item.plan_id, "other"))
        values.most("input_age_seconds", item.oldest, plan, item.kind)
        values.least("input_coverage_ratio", item.coverage, plan, item.kind)
        if item.coverage is not None:
            coverages.append(item.coverage)
    if coverages:
        values.put("input_coverage_mean_ratio", sum(coverages) / len(coverages))
    for plan_id, item in snapshot.live.items():
        plan = fold.label(plan_of[plan_id])
        for budget in item.budgets:
            values.most("slo_burn_rate", budget.burn_rate, plan, budget.slo)
            values.least("slo_budget_left_ratio", budget.left, plan, budget.slo)
    newest: dict[str, datetime] = {}
    for (_, kind), (_, at) in fold.last_decision.items():
        newest[kind] = max(newest.get(kind, at), at)
    for kind, at in newest.items():
        values.put("last_decision_timestamp_seconds", at.timestamp(), kind)


def _plans(snapshot: Snapshot, values: _Values) -> None:
    fold = snapshot.fold
    for plan, facts in sorted(snapshot.plans.items()):
        label = fold.label(plan)
        if label == plan:
            tier = "unknown" if facts.tier is None else str(facts.tier)
            values.put(
                "plan_info", 1, label, facts.owner, tier, _word(facts.critical), facts.starts,
                facts.approval,
            )  # fmt: skip
        values.least("plan_slo_coverage_ratio", facts.slo_coverage, label)
        if facts.starts != "by_hand":
            values.most("plan_stale", snapshot.is_stale(plan), label)
    for start, times in (("any", fold.last_success), ("scheduled", fold.last_scheduled_success)):
        for plan, at in times.items():
            values.most(
                "plan_last_success_timestamp_seconds", at.timestamp(), fold.label(plan), start
            )
    oldest_first = sorted(fold.ended.values(), key=lambda run: run.ended_at)
    newest = {run.plan: run for run in oldest_first if run.plan_id in snapshot.costs}
    for plan, run in newest.items():
        values.most("plan_cost_change_ratio", snapshot.costs[run.plan_id].share, fold.label(plan))
    values.put("automated_plans_ratio", automated(snapshot.plans.values()))


def _figures(snapshot: Snapshot, values: _Values) -> None:
    fold = snapshot.fold
    for window, days in WINDOWS.items():
        period = Period.last(timedelta(days=days), snapshot.at)
        present, before = (
            figures(
                fold.ended.values(), fold.answered, span, plans=snapshot.plans,
                burnt=snapshot.burnt, costs=snapshot.costs,
            )
            for span in (period, period.before)
        )  # fmt: skip
        values.put("runs_ended", present.runs, window)
        values.put("success_ratio", present.success, window)
        values.put("completion_median_seconds", present.completion, window)
        values.put("rollback_median_seconds", present.rollback, window)
        values.put("approval_median_seconds", present.approval, window, "any")
        values.put("approval_median_seconds", present.urgent_approval, window, "true")
        values.put("conflicts_per_hundred_runs", present.conflicts, window)
        values.put("budget_burnt_ratio", present.burnt, window)
        for item in present.costs:
            values.put("cost_change_per_hour", item.total, window, item.currency)
            values.put("cost_change_mean_per_hour", item.mean, window, item.currency)
            values.put("cost_known_runs", item.runs, window, item.currency)
        values.put("cost_unknown_runs", present.costs_unknown, window)
        values.put("checks_passed_ratio", present.checks, window)
        values.put("rollback_ratio", present.rollbacks, window)
        values.put("mitigation_ratio", ratio(present.rollback, before.rollback), window)


def _histograms(fold: Fold) -> Iterator[Metric]:
    for name, metric in HISTOGRAMS.items():
        definition = BY_NAME[metric]
        family = HistogramMetricFamily(metric, definition.help, labels=definition.labels)
        for labels, histogram in sorted(fold.times.found.get(name, {}).items()):
            family.add_metric(labels, fold.times.buckets(name, histogram), histogram.total)
        yield family


def _family(name: str, samples: Mapping[Labels, float]) -> Metric:
    definition = BY_NAME[name]
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    family = kind(name, definition.help, labels=definition.labels)
    for labels, value in _sorted(samples):
        family.add_metric(labels, value)
    return family


def _sorted(samples: Mapping[Labels, float]) -> Iterable[tuple[Labels, float]]:
    return sorted(samples.items())


def _since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _word(holds: bool) -> str:
    return "true" if holds else "false"
