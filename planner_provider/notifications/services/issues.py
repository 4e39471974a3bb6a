"""Comments in an issue of Jira or GitHub. Text of plans stands in a block, as it is."""

from __future__ import annotations

import re
from urllib.parse import quote

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.notifications.events import Event
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

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
        path, body = f"/rest/api/2/issue/{quote(issue, safe='')}/comment", jira_text(parcel.event)
    else:
        path, body = _github_path(issue), github_text(parcel.event)
    request = HttpRequest(
        parcel.connection, method="POST", path=path, headers={"Accept": "application/json"},
        body={"body": body}, timeout=TIMEOUT,
    )  # fmt: skip
    answer = send(request)
    if answer.status == 201:
        return
    text = f"{answer.where} answered {answer.status}: '{answer.excerpt}'"
    if answer.status in (401, 403):
        raise MisconfiguredError(
            f"{text}: the login of connection '{parcel.connection}' may not comment on {issue}"
        )
    if answer.status in (408, 429) or answer.status >= 500:
        raise UnavailableError(text)
    raise RefusedError(text)


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


def _github_path(issue: str) -> str:
    repository, separator, number = issue.partition("#")
    if not separator or not number.isdigit() or repository.count("/") != 1:
        raise RefusedError(f"'{issue}' is no GitHub issue; write owner/repository#7")
    return f"/repos/{quote(repository)}/issues/{number}/comments"
