"""Approvals that are given in a Jira or GitHub issue: what the issue says now, and who made it so.

The state or label of the issue is what counts; who set it, and when, comes from the issue's own
history (Jira's changelog, GitHub's issue events), which only the tracker writes. A state that the
history does not explain proves nothing: its answer is not verified.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks.http import HttpRequest, send

TIMEOUT = 15.0
"""Longest wait for an answer, in seconds."""
PAGE = 100
MAX_PAGES = 50
_CONDITION = r"^(state|label):\S.*$"


class TicketWatch(BaseModel):
    """An issue, and what in it means yes and no.

    A condition is ``state:NAME`` (Jira: name of the status; GitHub: ``open``, ``closed``, or a
    closed issue's reason ``completed`` or ``not_planned``) or ``label:NAME``. Upper and lower case
    mean the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    via: Literal["jira", "github"]
    connection: str
    """Airflow Connection of type http; its login must be allowed to read the issue."""
    issue: str
    """Jira: ``SHOP-123``. GitHub: ``owner/repository#7``."""
    approve: str = Field(pattern=_CONDITION)
    reject: str | None = Field(default=None, pattern=_CONDITION)
    users: dict[str, str] = Field(default_factory=dict)
    """Account in the tracker (Jira: account id, user name or e-mail; GitHub: login) -> user of
    Airflow. Nobody else's answer counts: equal names there and here may be different people."""

    @field_validator("issue")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the issue has no name")
        return value.strip()


@dataclass(frozen=True, slots=True)
class TicketAnswer:
    """What an issue says now."""

    user: str
    """User of Airflow, or ``jira:ACCOUNT`` for an account that stands for nobody here."""
    account: str
    approve: bool
    at: datetime
    verified: bool
    """Whether the issue's history says who made it so."""
    source: str


@dataclass(frozen=True, slots=True)
class _Change:
    """Somebody made a condition true."""

    condition: str
    accounts: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class _Issue:
    conditions: frozenset[str]
    """What is true now, in lower case."""
    changes: tuple[_Change, ...]
    """Oldest first."""
    updated_at: datetime


def read_ticket(watch: TicketWatch) -> TicketAnswer | None:
    """What the issue says; ``None`` if neither yes nor no. No stands above yes.

    Raises:
        UnavailableError: the tracker did not answer, or not completely.
        MisconfiguredError: the Connection is missing, or its login was refused.
        RefusedError: there is no such issue.
    """
    issue = _READERS[watch.via](watch)
    for condition, approve in ((watch.reject, False), (watch.approve, True)):
        if condition is None or condition.lower() not in issue.conditions:
            continue
        made = [c for c in issue.changes if c.condition == condition.lower()]
        place = f"{watch.via} issue {watch.issue}: {condition}"
        if not made:
            return TicketAnswer(
                user=f"{watch.via}:unknown", account="", approve=approve, at=issue.updated_at,
                verified=False, source=f"{place}, and its history does not say by whom",
            )  # fmt: skip
        last = made[-1]
        return TicketAnswer(
            user=_user(watch, last.accounts),
            account=last.accounts[0] if last.accounts else "",
            approve=approve,
            at=last.at,
            verified=bool(last.accounts),
            source=f"{place}, by {' / '.join(last.accounts) or 'nobody'}",
        )
    return None


def fingerprint(answers: tuple[TicketAnswer | None, ...]) -> str:
    """What tells one state of the tickets from another."""
    said = [
        "-" if a is None else f"{a.user} {a.approve} {a.at.isoformat()} {a.verified}"
        for a in answers
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def fingerprint_of_all(watches: tuple[str, ...]) -> str:
    """Read tickets, given as JSON, and give their `fingerprint`. Raises as `read_ticket`."""
    found = tuple(read_ticket(TicketWatch.model_validate_json(text)) for text in watches)
    return fingerprint(found)


def _user(watch: TicketWatch, accounts: tuple[str, ...]) -> str:
    known = {account.lower(): user for account, user in watch.users.items()}
    for account in accounts:
        if account.lower() in known:
            return known[account.lower()]
    return f"{watch.via}:{accounts[0] if accounts else 'unknown'}"


# ---- Jira


def _jira(watch: TicketWatch) -> _Issue:
    path = f"/rest/api/2/issue/{quote(watch.issue, safe='')}"
    data = _get(watch, f"{path}?fields=status,labels,updated&expand=changelog")
    try:
        fields = data["fields"]
        conditions = {f"state:{fields['status']['name']}".lower()}
        conditions.update(f"label:{label}".lower() for label in fields.get("labels") or ())
        log = data["changelog"]
        histories = list(log["histories"])
        if int(log["total"]) > len(histories):
            histories = list(_jira_pages(watch, path))
        changes = [change for entry in histories for change in _jira_changes(entry)]
        updated = _moment(fields["updated"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(watch, error) from error
    ordered = tuple(sorted(changes, key=lambda change: change.at))
    return _Issue(frozenset(conditions), ordered, updated)


def _jira_pages(watch: TicketWatch, path: str) -> Iterator[Any]:
    start = 0
    for _ in range(MAX_PAGES):
        page = _get(watch, f"{path}/changelog?startAt={start}&maxResults={PAGE}")
        values = page["values"]
        yield from values
        start += len(values)
        if start >= int(page["total"]):
            return
        if not values:
            break
    raise UnavailableError(f"The changelog of {watch.issue} could not be read to its end")


def _jira_changes(entry: Mapping[str, Any]) -> Iterator[_Change]:
    author = entry.get("author") or {}
    names = ("accountId", "name", "emailAddress", "key")
    accounts = tuple(str(author[name]) for name in names if author.get(name))
    at = _moment(entry["created"])
    for item in entry["items"]:
        if item.get("field") == "status":
            yield _Change(f"state:{item['toString']}".lower(), accounts, at)
        elif item.get("field") == "labels":
            before = set((item.get("fromString") or "").lower().split())
            for label in (item.get("toString") or "").lower().split():
                if label not in before:
                    yield _Change(f"label:{label}", accounts, at)


# ---- GitHub


def _github(watch: TicketWatch) -> _Issue:
    repository, separator, number = watch.issue.partition("#")
    if not separator or not number.isdigit() or repository.count("/") != 1:
        raise RefusedError(f"'{watch.issue}' is no GitHub issue; write owner/repository#7")
    path = f"/repos/{quote(repository)}/issues/{number}"
    data = _get(watch, path)
    try:
        state = str(data["state"]).lower()
        conditions = {f"state:{state}"}
        if state == "closed" and data.get("state_reason"):
            conditions.add(f"state:{data['state_reason']}".lower())
        conditions.update(f"label:{label['name']}".lower() for label in data["labels"])
        events = list(_github_events(watch, path))
        changes = [change for event in events for change in _github_changes(event)]
        updated = _moment(data["updated_at"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(watch, error) from error
    ordered = tuple(sorted(changes, key=lambda change: change.at))
    return _Issue(frozenset(conditions), ordered, updated)


def _github_events(watch: TicketWatch, path: str) -> Iterator[Any]:
    for page in range(1, MAX_PAGES + 1):
        events = _get(watch, f"{path}/events?per_page={PAGE}&page={page}")
        if not isinstance(events, list):
            raise TypeError("the events are no list")
        yield from events
        if len(events) < PAGE:
            return
    raise UnavailableError(f"The events of {watch.issue} could not be read to their end")


def _github_changes(event: Mapping[str, Any]) -> Iterator[_Change]:
    kind = event["event"]
    login = (event.get("actor") or {}).get("login")
    accounts = (str(login),) if login else ()
    if kind == "labeled":
        yield _Change(f"label:{event['label']['name']}".lower(), accounts, _at(event))
    elif kind == "closed":
        yield _Change("state:closed", accounts, _at(event))
        reason = event.get("state_reason") or "completed"
        yield _Change(f"state:{reason}".lower(), accounts, _at(event))
    elif kind == "reopened":
        yield _Change("state:open", accounts, _at(event))


def _at(event: Mapping[str, Any]) -> datetime:
    return _moment(event["created_at"])


_READERS = {"jira": _jira, "github": _github}


# ---- the wire


def _get(watch: TicketWatch, path: str) -> Any:
    headers = {"Accept": "application/json"}
    answer = send(HttpRequest(watch.connection, path=path, headers=headers, timeout=TIMEOUT))
    if answer.status in (401, 403):
        raise MisconfiguredError(
            f"{answer.where} answered {answer.status}: the login of connection "
            f"'{watch.connection}' may not read issue {watch.issue}. It said: '{answer.excerpt}'"
        )
    if answer.status in (404, 410):
        raise RefusedError(f"{answer.where} answered {answer.status}: no issue {watch.issue}")
    if answer.status != 200 or not answer.complete:
        raise UnavailableError(f"{answer.where} answered {answer.status}: '{answer.excerpt}'")
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise UnavailableError(f"{answer.where} answered no JSON: '{answer.excerpt}'") from error


def _unreadable(watch: TicketWatch, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"The answer of {watch.via} about issue {watch.issue} has not the form that its API "
        f"promises ({type(error).__name__}: {error})"
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return moment
