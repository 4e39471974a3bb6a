"""What people are told of, with all that a message says."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from planner_provider.ledger.rows import Outcome
from planner_provider.spec.notices import NoticeEvent, Severity

AlertAction = Literal["trigger", "resolve", "none"]
MAX_SUBJECT = 250
_KEYS = uuid.UUID("0a6b7d0e-9c5d-5b7e-8f5b-6f1d1c1f6a51")

SEVERITIES: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
"""In rising order."""
SEVERITY: dict[NoticeEvent, Severity] = {
    "started": "info",
    "needs_approval": "info",
    "approval_escalated": "warning",
    "approved": "info",
    "held": "warning",
    "resumed": "info",
    "rolled_back": "warning",
    "rollback_failed": "critical",
    "failed": "critical",
    "rejected": "info",
    "expired": "warning",
    "blocked": "warning",
    "aborted": "info",
    "done": "info",
    "message": "info",
}
CLOSES: frozenset[NoticeEvent] = frozenset({"approved", "resumed", "rejected", "aborted", "done"})
"""They close the alert that an earlier event of the run opened."""
HEADLINES: dict[NoticeEvent, str] = {
    "started": "Started",
    "needs_approval": "Needs approval",
    "approval_escalated": "Still needs approval",
    "approved": "Approved",
    "held": "Held",
    "resumed": "Goes on",
    "rolled_back": "Rolled back",
    "rollback_failed": "ROLLBACK FAILED",
    "failed": "Failed",
    "rejected": "Not approved",
    "expired": "Ran out of time",
    "blocked": "Blocked",
    "aborted": "Stopped",
    "done": "Done",
    "message": "Message",
}
OF_OUTCOME: dict[Outcome, NoticeEvent] = {
    Outcome.SUCCEEDED: "done",
    Outcome.ROLLED_BACK: "rolled_back",
    Outcome.ROLLBACK_FAILED: "rollback_failed",
    Outcome.FAILED: "failed",
    Outcome.REJECTED: "rejected",
    Outcome.EXPIRED: "expired",
    Outcome.BLOCKED: "blocked",
    Outcome.ABORTED: "aborted",
}


class Event(BaseModel):
    """Something that people are told. Links are absolute, or ``None`` if Airflow has no address."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: NoticeEvent
    severity: Severity
    plan_id: str
    plan: str
    owner: str | None = None
    subject: str
    """What tells it from others of its kind in the same run."""
    summary: str
    """What the plan does, or what is said."""
    at: datetime
    step: str | None = None
    reason: str = ""
    requester: str | None = None
    """Who started the run."""
    next: str = ""
    """What to do now."""
    runbook: str | None = None
    run_url: str | None = None
    page_url: str | None = None
    answer_url: str | None = None
    """Where it is answered."""
    task: str | None = None
    """Task id of the approval that is asked for."""
    waited: str | None = None
    """For how long nobody has acted, in words, if it is told again to others."""
    own_title: str | None = None
    """What a team says in place of our title, as plain text."""
    own_text: str | None = None
    """What a team says in place of our lines, as plain text."""

    @property
    def alert(self) -> AlertAction:
        """What it means for an alert of the run."""
        if self.kind in CLOSES:
            return "resolve"
        return "none" if self.kind in ("message", "started") else "trigger"

    @property
    def title(self) -> str:
        """One short line."""
        if self.own_title is not None:
            return " ".join(self.own_title.split())
        headline = HEADLINES[self.kind]
        waiting = f" (nobody has acted for {self.waited})" if self.waited else ""
        return " ".join(f"{self.plan}: {headline}{waiting}".split())

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is said, without the links: plain text."""
        if self.own_text is not None:
            return tuple(self.own_text.strip().splitlines())
        owner = f", owned by {self.owner}" if self.owner else ""
        started = f", started by {self.requester}" if self.requester else ""
        found = [self.summary]
        if self.reason:
            found.append(self.reason)
        if self.step:
            found.append(f"Step: {self.step}")
        found.append(f"Run {self.plan_id} of plan {self.plan}{owner}{started}.")
        if self.next:
            found.append(f"Next: {self.next}")
        return tuple(found)

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Words and addresses."""
        named = (
            ("Answer here", self.answer_url),
            ("Plans page", self.page_url),
            ("Run", self.run_url),
            ("Runbook", self.runbook if _is_address(self.runbook) else None),
        )
        return tuple((words, address) for words, address in named if address)

    @property
    def heading(self) -> str:
        """The line by which an alert is known: the title, and what it is about."""
        return self.title if self.own_title is not None else f"{self.title}. {self.summary}"

    @property
    def text(self) -> str:
        """Everything as plain text."""
        links = [f"{words}: {address}" for words, address in self.links]
        if self.runbook and not _is_address(self.runbook):
            links.append(f"Runbook: {self.runbook}")
        return "\n".join([*self.lines, *links])


def event_key(event: Event, channel: str) -> str:
    """A UUID that stays the same over all tries to tell one event to one channel."""
    parts = (event.plan_id, event.kind, event.subject, channel)
    return str(uuid.uuid5(_KEYS, "\x1f".join(parts)))


def subject_of(*parts: str) -> str:
    """What tells an event from others of its kind, short enough for the ledger."""
    text = " ".join(parts)
    if len(text) <= MAX_SUBJECT:
        return text
    return f"{text[: MAX_SUBJECT - 41]} {hashlib.sha256(text.encode()).hexdigest()[:40]}"


def _is_address(text: str | None) -> bool:
    return bool(text) and str(text).startswith(("https://", "http://"))
