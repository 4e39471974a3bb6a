"""What a task does that may not begin because a person holds the run: it waits, deferred."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import TaskDeferred

if TYPE_CHECKING:
    from planner_provider.ledger.acts import Begin

log = logging.getLogger(__name__)

AFTER_HOLD = "planner_after_hold"
"""In place of the method with which a task goes on: ``PlanStepMixin.resume_execution`` begins then,
so that this works for operators of any kind. It is no method."""
NOT_BEFORE = timedelta(seconds=4)
"""An event so soon after the deferral may be lost by Airflow."""


def wait_until_resumed(begin: Begin, now: datetime) -> NoReturn:
    """Raise the deferral. The try of the task stays the same, so no retry is used up."""
    from planner_provider.triggers.hold import HoldTrigger

    log.info(
        "%s. This does not begin before that ends: planner resume %s. It waits without holding a "
        "worker.", begin.why, begin.plan_id,
    )  # fmt: skip
    raise TaskDeferred(
        trigger=HoldTrigger(
            plan_id=begin.plan_id,
            ask_at=begin.ask_at.isoformat() if begin.ask_at else None,
            not_before=(now + NOT_BEFORE).isoformat(),
        ),
        method_name=AFTER_HOLD,
    )
