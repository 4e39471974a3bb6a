"""The last task of a patch rollout: what became of the fleet."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.compliance import (
    ComplianceReport,
    TargetReport,
    exposure,
    make_report,
    markdown,
    result_of,
)
from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.patch_rollout import UNDONE, Rollout
from planner_provider.operators.patch_targets import CVES, CVSS, KEV, SINCE
from planner_provider.operators.plan_step import PlanStepMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

REPORTED = "patch.reported"
"""What the audit trail calls a report."""


class ReportOperator(PlanStepMixin, BaseOperator):
    """Write the compliance report: into the log, the audit trail, and XCom.

    The XCom is the report as JSON; as Markdown it is in another one, ``markdown``. Of a rollout
    that was stopped, `PatchTidyOperator` writes it.

    Args:
        rollout: the patch step.
        plan_ref: the plan that this is a step of.
    """

    again = True
    ui_color = "#c7d2fe"

    def __init__(self, *, rollout: Rollout, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def act(self, context: Context) -> dict[str, Any]:
        """Report."""
        plan_id = self.plan_id(context)
        assert plan_id is not None, "a rollout is a step of a plan"
        ti = context["ti"]
        report = write_report(
            self.rollout,
            plan_id,
            actor=f"task:{ti.task_id}#{ti.try_number}",
            now=self.clock.now(),
        )
        ti.xcom_push(key="markdown", value=markdown(report))
        return report.model_dump(mode="json", exclude_defaults=True)


def write_report(rollout: Rollout, plan_id: str, *, actor: str, now: datetime) -> ComplianceReport:
    """Make the report; write it into the log and the audit trail."""
    report = report_on(rollout, plan_id, now)
    for line in markdown(report).splitlines():
        log.info("%s", line)
    open_ledger().record(
        REPORTED,
        plan_id=plan_id,
        actor=actor,
        detail=report.model_dump(mode="json", exclude_defaults=True),
        now=now,
    )
    return report


def report_on(rollout: Rollout, plan_id: str, now: datetime) -> ComplianceReport:
    """What became of the fleet, by the ledger and by what the fleet has now."""
    from planner_provider.hooks.fleet import look_at_fleet

    present: frozenset[str] | None = None
    unknown: str | None = None
    foreign: list[str] = []
    ours: list[str] = []
    try:
        present = look_at_fleet(rollout.fleet).names
        if rollout.fleet.kubernetes_nodes is not None:
            from planner_provider.hooks.nodes import cordons_of

            ours, foreign = cordons_of(rollout.fleet.kubernetes_nodes, plan_id)
    except PlannerError as error:
        unknown = str(error)
    return make_report(
        fleet=rollout.fleet.name,
        plan_id=plan_id,
        step=rollout.step,
        now=now,
        targets=[_target(item, now) for item in rollout.items(plan_id)],
        present=present,
        foreign_cordons=foreign,
        our_cordons=ours,
        now_unknown=unknown,
    )


def _target(item: WorkItem, now: datetime) -> TargetReport:
    facts = item.facts
    since = datetime.fromisoformat(facts[SINCE]) if facts.get(SINCE) else None
    undone = UNDONE in facts
    patched = item.ended_at if item.state is ItemState.DONE and not undone else None
    return TargetReport(
        name=item.item,
        result="undone" if undone else result_of(item.state.value),
        wave=item.wave,
        began_at=item.started_at,
        ended_at=item.ended_at,
        tries=item.tries,
        detail=item.detail,
        kev=bool(facts.get(KEV)),
        cvss=facts.get(CVSS),
        cves=tuple(facts.get(CVES, ())),
        exposed_since=since,
        exposed_for=exposure(since, patched, now),
    )
