"""Comments in an issue of Jira or GitHub. Text of plans stands in a block, as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from planner_provider.errors import (
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.notifications.events import Event
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

if TYPE_CHECKING:
    from planner_provider.hooks.http import HttpAnswer

MAX_TEXT = 20000


def comment(parcel: Parcel) -> None:
    """Write a comment; ``channel`` is the issue.

    Raises:
        UnavailableError: the tracker did not answer.
        MisconfiguredError: its login was refused.
        RefusedError: there is no such issue, or it takes no comment.
    """
    from planner_provider.hooks.http import HttpRequest, send

    issue = parcel.channel or ""
    if parcel.tracker == "jira":
        path, body = f"{jira_path(issue)}/comment", jira_text(parcel.event)
    else:
        path, body = f"{github_path(issue)}/comments", github_text(parcel.event)
    request = HttpRequest(
        parcel.connection, method="POST", path=path, headers={"Accept": "application/json"},
        body={"body": body}, timeout=TIMEOUT,
    )  # fmt: skip
    answer = send(request)
    if answer.status != 201:
        raise refusal(answer, f"connection '{parcel.connection}' may not comment on {issue}")


def refusal(answer: HttpAnswer, may_not: str) -> PlannerError:
    """What an answer of a tracker means that is not the one which was hoped for."""
    text = f"{answer.where} answered {answer.status}: '{answer.excerpt}'"
    if answer.status in (401, 403):
        return MisconfiguredError(f"{text}: the login of {may_not}")
    if answer.status in (408, 409, 429) or answer.status >= 500:
        return UnavailableError(text)
    return RefusedError(text)


def jira_text(event: Event) -> str:
    """The comment in Jira's notation."""
    lines = "\n".join([event.title, *event.lines])[:MAX_TEXT]
    inert = re.sub(r"\{(?=noformat)", "{\u2060", lines, flags=re.IGNORECASE)
    links = " | ".join(f"[{words}|{address}]" for words, address in event.links)
    return f"{{noformat}}\n{inert}\n{{noformat}}\n{links}"


def github_text(event: Event) -> str:
    """The comment in Markdown."""
    lines = "\n".join([event.title, *event.lines])[:MAX_TEXT]
    longest = max((len(run) for run in re.findall("`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    links = " · ".join(f"[{words}](<{_quoted(address)}>)" for words, address in event.links)
    return f"{fence}text\n{lines}\n{fence}\n\n{links}"


def _quoted(address: str) -> str:
    return address.replace("<", "%3C").replace(">", "%3E").replace("\n", "%0A")


def jira_path(issue: str) -> str:
    """Where an issue is found in Jira's API (v2, which Jira Cloud and Data Center both have)."""
    return f"/rest/api/2/issue/{quote(issue, safe='')}"


def github_path(issue: str) -> str:
    """Where an issue is found in GitHub's API. Raises ``RefusedError`` if it is no issue."""
    repository, separator, number = issue.partition("#")
    if not separator or not number.isdigit() or repository.count("/") != 1:
        raise RefusedError(f"'{issue}' is no GitHub issue; write owner/repository#7")
    return f"/repos/{quote(repository)}/issues/{number}"
