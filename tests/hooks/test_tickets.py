from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks import tickets
from planner_provider.hooks.http import HttpAnswer, HttpRequest
from planner_provider.hooks.tickets import TicketWatch, fingerprint, read_ticket


class Tracker:
    """Answers of a tracker, by path."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []

    def send(self, request: HttpRequest) -> HttpAnswer:
        self.asked.append(request.path)
        assert request.method == "GET"
        page = self.pages.get(request.path, (404, {"message": "Not Found"}))
        status, body = page if isinstance(page, tuple) else (200, page)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return HttpAnswer("GET tracker", status, "", data, True, None, 1)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    found = Tracker()
    monkeypatch.setattr(tickets, "send", found.send)
    return found


JIRA = "/rest/api/2/issue/SHOP-1?fields=status,labels,updated&expand=changelog"
MINA = {"accountId": "5b10", "emailAddress": "mina@example.com"}


def jira(status: str, *histories: Any, labels: tuple[str, ...] = (), total: int = -1) -> Any:
    return {
        "fields": {
            "status": {"name": status},
            "labels": labels,
            "updated": "2026-11-23T12:00:00.000+0100",
        },
        "changelog": {"histories": histories, "total": len(histories) if total < 0 else total},
    }


def history(at: str, field: str, before: str, after: str, author: Any = MINA) -> Any:
    item = {"field": field, "fromString": before, "toString": after}
    return {"author": author, "created": f"2026-11-23T{at}:00.000+0100", "items": [item]}


def watch(**values: Any) -> TicketWatch:
    base = {"via": "jira", "connection": "jira", "issue": "SHOP-1", "approve": "state:Approved",
            "reject": "state:Declined", "users": {"MINA@example.com": "mina"}}  # fmt: skip
    return TicketWatch.model_validate({**base, **values})


def test_jira_status_by_the_one_who_set_it_last(tracker: Tracker) -> None:
    other = {"accountId": "99"}
    tracker.pages[JIRA] = jira(
        "approved",
        history("11:30", "status", "Review", "Approved"),
        history("10:30", "status", "Open", "Approved", other),
        history("11:00", "status", "Approved", "Review"),
    )
    answer = read_ticket(watch())
    assert answer is not None
    assert (answer.user, answer.approve, answer.verified) == ("mina", True, True)
    assert answer.at == datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
    assert answer.source == "jira issue SHOP-1: state:Approved, by 5b10 / mina@example.com"


def test_an_account_that_stands_for_nobody(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira("Approved", history("11:30", "status", "Open", "Approved"))
    answer = read_ticket(watch(users={}))
    assert answer is not None
    assert answer.user == "jira:5b10"


def test_jira_neither_yes_nor_no(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira("Open", history("11:30", "status", "Open", "Approved"))
    assert read_ticket(watch()) is None


def test_jira_label_and_no_stands_above_yes(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira(
        "Declined", history("11:30", "status", "Open", "Declined"),
        history("11:40", "labels", "old", "old go"), labels=("old", "go"),
    )  # fmt: skip
    answer = read_ticket(watch(approve="label:go"))
    assert answer is not None
    assert not answer.approve
    yes = read_ticket(watch(approve="label:go", reject=None))
    assert yes is not None
    assert yes.approve
    assert yes.at.minute == 40


def test_a_state_that_the_history_does_not_explain_is_not_verified(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira("Approved", history("11:30", "status", "Open", "Review"))
    answer = read_ticket(watch())
    assert answer is not None
    assert not answer.verified
    assert "does not say by whom" in answer.source


def test_a_change_without_author_is_not_verified(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira("Approved", history("11:30", "status", "Open", "Approved", None))
    answer = read_ticket(watch())
    assert answer is not None
    assert not answer.verified


def test_a_long_changelog_is_read_to_its_end(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira("Approved", history("11:00", "status", "", "Open"), total=101)
    path = "/rest/api/2/issue/SHOP-1/changelog?startAt={}&maxResults=100"
    old = [history("10:00", "labels", "", "x")] * 100
    tracker.pages[path.format(0)] = {"values": old, "total": 101}
    new = [history("11:30", "status", "Open", "Approved")]
    tracker.pages[path.format(100)] = {"values": new, "total": 101}
    answer = read_ticket(watch())
    assert answer is not None
    assert answer.verified
    tracker.pages[path.format(100)] = {"values": [], "total": 101}
    with pytest.raises(UnavailableError, match="could not be read to its end"):
        read_ticket(watch())


GITHUB = "/repos/example/shop/issues/7"
EVENTS = GITHUB + "/events?per_page=100&page={}"


def github(**values: Any) -> Any:
    base = {"state": "open", "labels": [], "updated_at": "2026-11-23T11:00:00Z"}
    return {**base, **values}


def event(kind: str, at: str, login: str | None = "mina-dev", **values: Any) -> Any:
    actor = {"login": login} if login else None
    return {"event": kind, "actor": actor, "created_at": f"2026-11-23T{at}:00Z", **values}


def hub(**values: Any) -> TicketWatch:
    base = {"via": "github", "issue": "example/shop#7", "approve": "label:Approved",
            "reject": "state:not_planned", "users": {"Mina-Dev": "mina"}}  # fmt: skip
    return watch(**{**base, **values})


def test_github_label(tracker: Tracker) -> None:
    tracker.pages[GITHUB] = github(labels=[{"name": "approved"}])
    label = {"label": {"name": "approved"}}
    tracker.pages[EVENTS.format(1)] = [
        event("labeled", "10:00", "eve", **label), event("unlabeled", "10:10", **label),
        event("labeled", "10:20", **label),
    ]  # fmt: skip
    answer = read_ticket(hub())
    assert answer is not None
    assert (answer.user, answer.approve, answer.verified) == ("mina", True, True)
    assert answer.at == datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
    tracker.pages[GITHUB] = github()
    assert read_ticket(hub()) is None, "taken off again"


def test_github_closed_with_a_reason(tracker: Tracker) -> None:
    tracker.pages[GITHUB] = github(state="closed", state_reason="not_planned")
    tracker.pages[EVENTS.format(1)] = [
        event("subscribed", "10:00"), event("closed", "10:20", state_reason="not_planned"),
    ]  # fmt: skip
    answer = read_ticket(hub())
    assert answer is not None
    assert not answer.approve
    done = read_ticket(hub(approve="state:closed", reject=None))
    assert done is not None
    assert done.verified


def test_github_pages(tracker: Tracker) -> None:
    tracker.pages[GITHUB] = github(labels=[{"name": "approved"}])
    tracker.pages[EVENTS.format(1)] = [event("mentioned", "09:00")] * 100
    tracker.pages[EVENTS.format(2)] = [
        event("labeled", "10:00", label={"name": "approved"}),
    ]  # fmt: skip
    answer = read_ticket(hub())
    assert answer is not None
    assert answer.verified


@pytest.mark.parametrize(
    ("page", "error", "said"),
    [
        ((401, {}), MisconfiguredError, "the login of connection 'jira' may not read"),
        ((404, {}), RefusedError, "no issue SHOP-1"),
        ((503, {}), UnavailableError, "answered 503"),
        ((200, b'{"fields": {'), UnavailableError, "answered no JSON"),
        ((200, {"fields": {}}), UnavailableError, "has not the form"),
        ((200, []), UnavailableError, "has not the form"),
    ],
)
def test_answers_that_say_nothing(
    tracker: Tracker, page: Any, error: type[Exception], said: str
) -> None:
    tracker.pages[JIRA] = page
    with pytest.raises(error, match=said):
        read_ticket(watch())


def test_a_name_cannot_leave_its_path(tracker: Tracker) -> None:
    with pytest.raises(RefusedError):
        read_ticket(watch(issue="../../user?x=1"))
    assert tracker.asked == [JIRA.replace("SHOP-1", "..%2F..%2Fuser%3Fx%3D1")]
    with pytest.raises(RefusedError, match="is no GitHub issue"):
        read_ticket(hub(issue="example/shop/7"))


def test_fingerprints_differ_with_what_is_said(tracker: Tracker) -> None:
    tracker.pages[JIRA] = jira("Approved", history("11:30", "status", "Open", "Approved"))
    said = read_ticket(watch())
    assert fingerprint((said,)) == fingerprint((said,))
    assert fingerprint((said,)) != fingerprint((None,)) != fingerprint((None, None))
    assert tickets.fingerprint_of_all((watch().model_dump_json(),)) == fingerprint((said,))


@pytest.mark.parametrize("condition", ["approved", "state:", "status:x"])
def test_a_condition_that_is_none(condition: str) -> None:
    with pytest.raises(ValidationError):
        watch(approve=condition)
