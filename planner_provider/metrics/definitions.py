"""Every metric: name, type, labels, and what it means. docs/metrics.md says how each is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WINDOWS = {"7d": 7, "30d": 30}
"""Label ``window`` -> days."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as it is exposed."""

    name: str
    """For counters without ``_total``, which is added to each sample."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def exposed(self) -> str:
        """The name that queries use; of a histogram without ``_bucket``, ``_sum``, ``_count``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _counter(name: str, help_: str, *labels: str) -> Definition:
    return Definition(f"planner_{name}", "counter", help_, labels)


def _gauge(name: str, help_: str, *labels: str) -> Definition:
    return Definition(f"planner_{name}", "gauge", help_, labels)


def _histogram(name: str, help_: str, *labels: str) -> Definition:
    return Definition(f"planner_{name}", "histogram", help_, labels)


DEFINITIONS: tuple[Definition, ...] = (
    _gauge("build_info", "Always 1; the version of the provider is a label.", "version"),
    _gauge("ledger_up", "1 if the ledger could be read for this scrape, else 0 and nothing more."),
    # lifecycle
    _counter("run_transitions", "Runs that came to this point of their life.", "plan", "to"),
    _gauge("runs", "Runs that go on, by what they are doing.", "plan", "state"),
    _gauge("run_age_seconds", "Age of the oldest run that goes on.", "plan"),
    _gauge("run_held_seconds", "For how long people have held a run, the longest.", "plan"),
    _histogram("run_duration_seconds", "From the beginning of a run to its end.", "outcome"),
    _gauge(
        "run_last_end_timestamp_seconds", "When a run last ended so.", "plan", "outcome", "by"
    ),
    _counter("run_holds", "How often people held a run.", "plan"),
    # steps
    _counter("acts", "Acts on steps that ended.", "plan", "role", "result"),
    _histogram("act_duration_seconds", "From intent to end of an act.", "kind", "role", "result"),
    _counter("act_retries", "Acts that were another try.", "plan", "kind"),
    _counter("task_failures", "Failures of tasks, by class of the error.", "plan", "error"),
    # decisions and inputs
    _counter("decisions", "Recorded decisions.", "plan", "kind", "verdict"),
    _gauge(
        "last_decision_timestamp_seconds", "When the last decision of a kind was made.", "kind"
    ),
    _counter("safety_checks", "Checks before the first step, by how they stood.", "plan", "result"),
    _gauge(
        "input_age_seconds",
        "Age of the oldest fact that the newest decision of the last hour rests on.",
        "plan",
        "kind",
    ),
    _gauge(
        "input_coverage_ratio",
        "Share of the facts of the newest decision of the last hour that were known and fresh.",
        "plan",
        "kind",
    ),
    _gauge("slo_burn_rate", "Lasting burn rate, as a run that goes on last saw it.", "plan", "slo"),
    _gauge(
        "slo_budget_left_ratio",
        "Error budget left, as a run that goes on last saw it.",
        "plan",
        "slo",
    ),
    # approvals
    _counter("approvals", "Approvals that were closed.", "plan", "state"),
    _histogram("approval_latency_seconds", "From question to answer.", "state"),
    _gauge("approvals_open", "Approvals that wait for people.", "plan", "urgent"),
    _gauge("approval_open_seconds", "For how long the oldest one waits.", "plan", "urgent"),
    # locks and throttles
    _counter("lock_conflicts", "Runs that found what they touch locked by another run.", "plan"),
    _histogram("lock_wait_seconds", "How long runs waited for their locks."),
    _gauge("lock_waiting_seconds", "For how long a run waits for its locks, the longest.", "plan"),
    _gauge("throttle_limit", "How many may run at once.", "plan", "throttle"),
    _gauge("throttle_limit_min", "Lower bound of the limit.", "plan", "throttle"),
    _gauge("throttle_limit_max", "Upper bound of the limit.", "plan", "throttle"),
    _gauge("throttle_used", "How many run now.", "plan", "throttle"),
    _gauge("throttle_used_ratio", "Share of the limit that runs now.", "plan", "throttle"),
    _counter("throttle_changes", "Changes of a throttle by people.", "plan"),
    # plans
    _gauge(
        "plan_info",
        "Always 1; what a compiled plan says about itself is in the labels.",
        "plan", "owner", "tier", "critical", "starts", "approval",
    ),
    _gauge("plan_slo_coverage_ratio", "Share of its services for which it asks an SLO.", "plan"),
    _gauge(
        "plan_last_success_timestamp_seconds", "When a run last succeeded.", "plan", "start"
    ),
    _gauge(
        "plan_cost_change_ratio",
        "Increase of the cost of an hour by the last run of which it is known, as a share.",
        "plan",
    ),
    _gauge(
        "plan_stale", "1 if it starts by itself and has not succeeded in three periods.", "plan"
    ),
    # the planner itself
    _gauge("runs_ended", "Runs that ended in the window.", "window"),
    _gauge("success_ratio", "M1: succeeded, of the runs that were judged.", "window"),
    _gauge("completion_median_seconds", "M2: from approval to success.", "window"),
    _histogram("completion_seconds", "M2: from approval to success."),
    _gauge("rollback_median_seconds", "M3: from the first sign to rolled back.", "window"),
    _histogram("rollback_seconds", "M3: from the first sign to rolled back."),
    _gauge("approval_median_seconds", "M4: from question to answer.", "window", "urgent"),
    _gauge("conflicts_per_hundred_runs", "M5: runs of a hundred that met a lock.", "window"),
    _gauge("budget_burnt_ratio", "M6: error budget that went in a run, on the mean.", "window"),
    _gauge(
        "cost_change_per_hour", "M7: what an hour costs more after runs, sum.", "window", "currency"
    ),
    _gauge(
        "cost_change_mean_per_hour",
        "M7: what an hour costs more after a run, mean.",
        "window",
        "currency",
    ),
    _gauge("cost_known_runs", "Runs of which M7 is known.", "window", "currency"),
    _gauge("cost_unknown_runs", "Runs that acted, and of which M7 should be known.", "window"),
    _gauge("input_coverage_mean_ratio", "M8: share of facts that were known, mean of the plans."),
    _gauge("checks_passed_ratio", "M9: safety checks passed before the first step.", "window"),
    _gauge("rollback_ratio", "M10: rolled back, of the runs that acted.", "window"),
    _gauge("mitigation_ratio", "M11: M3 as a multiple of M3 of the period before.", "window"),
    _gauge("automated_plans_ratio", "M12: share of the compiled plans that are automated."),
    _gauge("notices_waiting", "Notices to people that are not sent yet.", "plan"),
    _counter("notices_lost", "Notices that could not be sent and are not tried again.", "plan"),
    _counter("audit_entries", "Length of the audit trail."),
)  # fmt: skip
BY_NAME = {definition.name: definition for definition in DEFINITIONS}
