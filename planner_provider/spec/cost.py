"""What a plan costs: how it is measured, and how much more it may become."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from planner_provider.spec.base import Model, Number
from planner_provider.spec.values import ConnectionId, PositiveDuration, Text, form


class Cost(Model):
    """What it costs an hour to run what the plan changes: read before the first change and at the
    end."""

    connection: ConnectionId
    """Airflow Connection of the Prometheus."""
    query: Annotated[Text, Field(min_length=1)]
    """PromQL that gives one series: the cost of an hour."""
    currency: Annotated[Text, form(r"^[A-Z]{3}$(?!\n)")]
    """Currency of the answer, as in ISO 4217: ``EUR``."""
    max_age: PositiveDuration = Field(default=timedelta(minutes=15))
    """How old its newest sample may be."""
    max_increase: Annotated[Number, Field(ge=0)] | None = None
    """Most that an hour may cost more than before the first change. Above it no step begins any
    more, and the change is undone. Left out: the cost is measured, and limits nothing."""

    @property
    def limit_words(self) -> str:
        """The most that it may cost more, such as ``5 EUR an hour``; empty without a limit."""
        if self.max_increase is None:
            return ""
        return f"{self.max_increase:g} {self.currency} an hour"
