"""What people are told of, and in which words."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import Model
from planner_provider.spec.notice_text import NoticeText, NoticeTitle

NoticeEvent = Literal[
    "started", "needs_approval", "approval_escalated", "approved", "held", "resumed", "rolled_back",
    "rollback_failed", "failed", "rejected", "expired", "blocked", "aborted", "done", "message",
]  # fmt: skip
"""What people are told of. ``message`` is what steps of kind `notify` say."""
IssueEvent = Literal[
    "started", "needs_approval", "approved", "held", "resumed", "done", "rolled_back",
    "rollback_failed", "failed", "rejected", "expired", "blocked", "aborted",
]  # fmt: skip
"""What an issue hears of."""
Severity = Literal["info", "warning", "critical"]


class NoticeWords(Model):
    """What a team says of an event in place of our own words."""

    title: NoticeTitle | None = None
    """One line, such as ``{{ plan }}: {{ severity }}``."""
    text: NoticeText | None = None
    """All but the links, which stand below it. Both are templates over the fields of a notice."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.title is None and self.text is None:
            raise PydanticCustomError("nothing_checked", "give `title`, `text` or both")
        return self
