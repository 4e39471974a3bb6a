"""What stands beside a plan while it runs: the issue it belongs to, the alerts it silences."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import Bool, Model
from planner_provider.spec.notices import IssueEvent
from planner_provider.spec.values import ConnectionId, PositiveDuration, Template, Text, form

_EVERYTHING = frozenset({".*", ".+", "(.*)", "(.+)", "^.*$", "^.+$"})
GITHUB_STATES = ("open", "closed", "not_planned")


def _known_state(value: str, info: ValidationInfo) -> str:
    if info.data.get("via") == "github" and value not in GITHUB_STATES:
        near = {"completed": "closed", "done": "closed", "reopened": "open"}
        plain = value.lower().replace(" ", "_")
        meant = plain if plain in GITHUB_STATES else near.get(plain)
        raise PydanticCustomError(
            "issue_state",
            "an issue on GitHub has no state '{value}', only open, closed and not_planned{hint}",
            {"value": value, "hint": f"; did you mean {meant}?" if meant else ""},
        )
    return value


IssueState = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(_known_state)]
"""Jira: name of a status. GitHub: ``open``, ``closed`` (as completed) or ``not_planned``."""


class Ticket(Model):
    """An issue that says what becomes of a run: it gets a comment at the start, for approvals and
    holds, and at the end; and a state, where `states` says so."""

    via: Literal["jira", "github"]
    connection: ConnectionId
    """Airflow Connection of type http; its login must be allowed to comment, and to change the
    state if `states` says so."""
    issue: Template
    """Jira: ``SHOP-123``. GitHub: ``owner/repository#7``."""
    states: dict[IssueEvent, IssueState] = Field(default_factory=dict)
    """What becomes of the issue's state at an event, such as ``done``: see ``notifications.md``.
    Jira: name of the status to reach. GitHub: ``open``, ``closed`` or ``not_planned``. At other
    events it is left alone."""


class Matcher(Model):
    """A label that an alert must have, or must not have, to be silenced."""

    label: Annotated[Text, form(r"^[a-zA-Z_][a-zA-Z0-9_]*$(?!\n)")]
    value: Annotated[Template, StringConstraints(min_length=1)]
    regex: Bool = False
    """Whether `value` is a regular expression, for the whole of the label's value."""
    equal: Bool = True
    """``false``: alerts with this value are not silenced."""


class Silence(Model):
    """Alerts that Alertmanager keeps to itself while a run acts."""

    connection: ConnectionId
    """Airflow Connection of type http: Alertmanager."""
    matchers: tuple[Matcher, ...] = Field(min_length=1, max_length=50)
    """All must hold for an alert."""
    for_: PositiveDuration = Field(default=timedelta(hours=4), alias="for")
    """At most so long, also if nothing is left that could end it."""

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if all(not m.equal or (m.regex and m.value in _EVERYTHING) for m in self.matchers):
            raise PydanticCustomError(
                "nothing_checked", "this silences every alert; name a label and a value"
            )
        return self
