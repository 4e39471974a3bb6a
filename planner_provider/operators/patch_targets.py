"""The first task of a patch rollout: which targets there are, and in which wave each is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.severity import NOTHING_FOUND, Severity
from planner_provider.decide.spread import Candidate, Spread, cumulative, spread
from planner_provider.errors import RefusedError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.patch_rollout import LABELS, Rollout
from planner_provider.operators.plan_step import PlanStepMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.hooks.fleet import FleetNow
    from planner_provider.spec.workloads import Findings

MAX_WAVE = 1024
"""Airflow maps no more tasks over one list (``[core] max_map_length``)."""
KEV, CVSS, SINCE, CVES = "kev", "cvss", "since", "cves"
"""Facts of a target, from the scanner's report."""


class TargetsOperator(PlanStepMixin, BaseOperator):
    """Find the targets of a fleet and give each its wave, once for all tries of the run.

    The XCom is the list of the targets of the first wave; all waves are in another one, ``waves``.

    Args:
        rollout: the patch step.
        findings: whose findings decide the order.
        findings_path: the path of the report (templated).
        plan_ref: the plan that this is a step of.

    Raises:
        RefusedError: the fleet has no targets, or a wave has more than Airflow can map.
        UnavailableError: inventory or scanner do not answer.
    """

    again = True
    template_fields: Sequence[str] = ("findings_path",)
    ui_color = "#c7d2fe"

    def __init__(
        self,
        *,
        rollout: Rollout,
        findings: Findings | None = None,
        findings_path: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout
        self.findings = findings
        self.findings_path = findings_path or (findings.path if findings else "")

    def act(self, context: Context) -> list[str]:
        """Find the targets, unless they are settled already."""
        plan_id = self.plan_id(context)
        assert plan_id is not None, "a rollout is a step of a plan"
        items = self.rollout.items(plan_id)
        if items:
            self.log.info("The waves were settled before; they stay as they are.")
        else:
            self._settle(plan_id)
            items = self.rollout.items(plan_id)
        waves: dict[str, list[str]] = {
            f"wave-{number}": [item.item for item in items if item.wave == number]
            for number in range(1, len(self.rollout.waves) + 1)
        }
        limits = self.rollout.limits(len(items))
        self.log.info(
            "%d targets; at most %d unavailable; no other is begun once more than %d failed.",
            len(items), limits.max_unavailable, limits.max_errors,
        )  # fmt: skip
        for name, targets in waves.items():
            self.log.info("%s (%d): %s", name, len(targets), ", ".join(targets) or "nothing")
        context["ti"].xcom_push(key="waves", value=waves)
        return waves["wave-1"]

    def _settle(self, plan_id: str) -> None:
        from planner_provider.hooks.fleet import look_at_fleet, read_severities

        fleet = self.rollout.fleet
        seen = look_at_fleet(fleet)
        if not seen.targets:
            raise RefusedError(
                f"Fleet {fleet.name} has no targets now. Nothing was touched. Look at its selector "
                "or inventory; to patch nothing, do not start the plan."
            )
        found: dict[str, Severity] = {}
        if self.findings is not None:
            found = read_severities(self.findings, self.findings_path)
            unknown = sorted(found.keys() - seen.names)
            if unknown:
                self.log.warning("Not in the fleet, but in the report: %s", ", ".join(unknown))
        candidates = [
            Candidate(
                target.name,
                target.labels.get(fleet.failure_domain),
                found.get(target.name, NOTHING_FOUND),
            )
            for target in seen.targets
        ]
        sizes = cumulative(self.rollout.waves, len(candidates))
        result = spread(candidates, sizes)
        self._check(result)
        open_ledger().add_items(self._items(plan_id, seen, found, result))

    def _check(self, result: Spread) -> None:
        for number, wave in enumerate(result.waves, 1):
            if len(wave) > MAX_WAVE:
                raise RefusedError(
                    f"Wave {number} has {len(wave)} targets, and Airflow maps {MAX_WAVE} at most. "
                    "Nothing was touched. Add a wave before it, such as one of half the size."
                )
        for number, domain in result.whole:
            self.log.warning(
                "Wave %d takes all targets of %s '%s': it is too large to leave one.",
                number, self.rollout.fleet.failure_domain, domain,
            )  # fmt: skip

    def _items(
        self, plan_id: str, seen: FleetNow, found: dict[str, Severity], result: Spread
    ) -> list[WorkItem]:
        labels = {target.name: dict(target.labels) for target in seen.targets}
        order = [(name, n) for n, wave in enumerate(result.waves, 1) for name in wave]
        placed: list[tuple[str, int | None]] = [*order, *((name, None) for name in result.left)]
        return [
            WorkItem(
                plan_id=plan_id,
                step=self.rollout.step,
                item=name,
                position=position,
                wave=wave,
                state=ItemState.WAITING if wave else ItemState.SKIPPED,
                detail=None if wave else "no wave has it: the last wave is smaller than the fleet",
                facts={LABELS: labels[name], **_facts(found.get(name))},
            )
            for position, (name, wave) in enumerate(placed)
        ]


def _facts(severity: Severity | None) -> dict[str, Any]:
    if severity is None:
        return {}
    return {
        KEV: severity.kev,
        CVSS: severity.cvss,
        CVES: list(severity.cves),
        SINCE: severity.since.isoformat() if severity.since else None,
    }
