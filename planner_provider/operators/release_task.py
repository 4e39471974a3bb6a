"""What the tasks that change a service have in common: what is changed, and how traffic is set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.operators.delivery import (
    PROGRESS_DEADLINE,
    Given,
    Json,
    as_json,
    release_of,
)
from planner_provider.operators.plan_step import PlanStepMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.hooks.traffic import Release


class ChangeTask(PlanStepMixin, BaseOperator):
    """Base of the operators that change what a service runs."""

    template_fields: Sequence[str] = ("target", "change")
    template_fields_renderers = {"target": "json", "change": "json"}  # noqa: RUF012
    ui_color = "#fde68a"

    traffic: Json | None = None
    """How traffic is set; ``None`` where the service is changed in place."""

    def __init__(
        self,
        *,
        target: Given,
        change: Given,
        progress_deadline: timedelta = PROGRESS_DEADLINE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = as_json(target)
        self.change = as_json(change)
        self.progress_deadline = progress_deadline

    def release(self, context: Context) -> Release:
        """What is done to the service."""
        return release_of(
            self,
            context,
            target=self.target,
            change=self.change,
            traffic=self.traffic,
            progress_deadline=self.progress_deadline,
        )


class ReleaseTask(ChangeTask):
    """Base of the operators for canaries and for blue-green releases."""

    def __init__(self, *, traffic: Given, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.traffic = as_json(traffic)
