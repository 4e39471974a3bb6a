"""The state of an issue, kept in step over real HTTP; receivers check the documented format."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Outcome
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.outbox import send_left
from planner_provider.notifications.plans import Audience, note_end, note_start
from planner_provider.notifications.services.issue_states import GITHUB
from planner_provider.spec.attached import GITHUB_STATES, Ticket
from tests.hooks.http_server import Reply, Server, http_server
from tests.ledger.cases import NOW, Run
from tests.notifications.cases import connect, parcel
from tests.notifications.trackers import ISSUE, WORKFLOW, GitHub, Jira


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server() as running:
        connect(monkeypatch, "tracker", "http", host=running.url, login="bot", password="t0ken")
        yield running


@pytest.fixture
def jira(server: Server) -> Jira:
    server.answer = found = Jira()
    return found


@pytest.fixture
def github(server: Server) -> GitHub:
    server.answer = found = GitHub()
    return found


def to_jira(state: str) -> None:
    deliver(parcel("tracker", channel="SHOP-7", tracker="jira", state=state))


def to_github(state: str, issue: str = "shop/api#7") -> None:
    deliver(parcel("tracker", channel=issue, tracker="github", state=state))


class TestJira:
    def test_the_transition_that_leads_there_is_taken(self, jira: Jira, server: Server) -> None:
        to_jira("in progress")
        assert jira.status == "In Progress"
        assert [(asked.method, asked.path) for asked in server.asked] == [
            ("GET", f"{ISSUE}?fields=status"),
            ("GET", f"{ISSUE}/transitions"),
            ("POST", f"{ISSUE}/transitions"),
        ]
        assert server.asked[-1].json == {"transition": {"id": "11"}}
        assert jira.comments == []

    def test_there_already(self, jira: Jira, server: Server) -> None:
        to_jira("OPEN")
        to_jira("Open")
        assert [asked.method for asked in server.asked] == ["GET", "GET"]
        assert jira.way == []

    def test_no_way_there_names_what_can_be_reached(self, jira: Jira) -> None:
        with pytest.raises(RefusedError) as caught:
            to_jira("Done")
        text = str(caught.value)
        assert "Issue SHOP-7 stands at 'Open', from where no transition leads to 'Done'" in text
        assert "'In Progress', 'Won't Do'" in text
        assert "`states` of the plan's ticket" in text

    def test_a_dead_end(self, jira: Jira) -> None:
        jira.status = "Won't Do"
        with pytest.raises(RefusedError, match="can take it to: nothing"):
            to_jira("Done")

    def test_of_two_ways_the_one_without_a_screen(
        self, jira: Jira, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(WORKFLOW, "In Review", {"51": "Done", "52": "Done"})
        jira.status, jira.needs_fields = "In Review", frozenset({"51"})
        to_jira("Done")
        assert jira.way == ["Done"]

    def test_a_field_that_is_asked_for_is_said(self, jira: Jira) -> None:
        jira.needs_fields = frozenset({"11"})
        with pytest.raises(RefusedError, match="Resolution is required"):
            to_jira("In Progress")

    def test_a_transition_that_is_not_available_is_none(self, server: Server) -> None:
        known = {"id": "1", "to": {"name": "Done"}, "isAvailable": False}

        def answers(asked: Any) -> Reply:
            if "transitions" in asked.path:
                return Reply(200, json.dumps({"transitions": [known]}).encode())
            return Reply(200, b'{"fields": {"status": {"name": "Open"}}}')

        server.answer = answers
        with pytest.raises(RefusedError, match="can take it to: nothing"):
            to_jira("Done")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, MisconfiguredError),
            (403, RefusedError),
            (404, RefusedError),
            (409, UnavailableError),
            (429, UnavailableError),
            (503, UnavailableError),
        ],
    )
    def test_a_refusal(self, server: Server, status: int, kind: Any) -> None:
        server.answer = lambda asked: Reply(status, b'{"errorMessages": ["no t0ken"]}')
        with pytest.raises(kind, match=str(status)) as caught:
            to_jira("Done")
        assert "t0ken" not in str(caught.value)

    def test_too_many_requests_are_no_refusal_for_good(self, server: Server) -> None:
        said = b'{"message": "You have exceeded a secondary rate limit."}'
        server.answer = lambda asked: Reply(403, said)
        with pytest.raises(UnavailableError, match="secondary rate limit"):
            to_github("closed")

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"fields": {"status": null}}', b"[]"])
    def test_nonsense(self, server: Server, body: bytes) -> None:
        server.answer = lambda asked: Reply(200, body)
        with pytest.raises(UnavailableError):
            to_jira("Done")


class TestGitHub:
    def test_every_state_that_the_spec_takes_is_known(self) -> None:
        assert tuple(GITHUB) == GITHUB_STATES

    def test_an_issue_is_closed_and_opened_again(self, github: GitHub, server: Server) -> None:
        for state in ("closed", "open", "not_planned", "open"):
            to_github(state)
        assert github.way == [
            "closed completed", "open reopened", "closed not_planned", "open reopened",
        ]  # fmt: skip
        assert {(asked.method, asked.path) for asked in server.asked} == {
            ("PATCH", "/repos/shop/api/issues/7")
        }
        assert server.asked[0].json == {"state": "closed", "state_reason": "completed"}
        assert server.asked[1].json == {"state": "open"}

    def test_there_already(self, github: GitHub) -> None:
        for _ in range(2):
            to_github("closed")
        assert github.way == ["closed completed"]

    def test_a_reason_that_github_keeps_is_said(self, github: GitHub) -> None:
        to_github("closed")
        with pytest.raises(RefusedError, match="state_reason 'not_planned', and GitHub left it at"):
            to_github("not_planned")

    def test_a_server_that_knows_no_reasons(self, github: GitHub) -> None:
        github.knows_reasons = False
        to_github("not_planned")
        assert github.state == "closed"

    def test_what_is_no_state_and_no_issue(self, github: GitHub) -> None:
        with pytest.raises(RefusedError, match="name open, closed or not_planned"):
            to_github("Done")
        with pytest.raises(RefusedError, match="write owner/repository#7"):
            to_github("open", "shop#x")
        with pytest.raises(RefusedError, match="404"):
            to_github("open", "shop/other#7")


def test_an_issue_is_not_moved_just_to_close_an_alert(jira: Jira, server: Server) -> None:
    deliver(parcel("tracker", channel="SHOP-7", tracker="jira", state="Done"), closes=True)
    assert server.asked == []


class TestRun:
    """A run and its issue, from what the plan says to what the tracker has."""

    def audience(self, **states: str) -> Audience:
        return Audience(
            owner="team-shop",
            ticket=Ticket.model_validate(
                {"via": "jira", "connection": "tracker", "issue": "SHOP-7", "states": states}
            ),
        )

    def start(self, ledger: Ledger, run: Run, audience: Audience) -> None:
        note_start(ledger, run.key.plan_id, now=NOW, audience=audience)
        send_left(ledger, now=lambda: NOW)

    def end(self, ledger: Ledger, run: Run, audience: Audience) -> None:
        ledger.finish_run(run.key, Outcome.SUCCEEDED, "", actor="t", now=NOW)
        note_end(ledger, run.key.plan_id, now=NOW, audience=audience)
        send_left(ledger, now=lambda: NOW)

    def test_comment_then_state_each_once(
        self, ledger: Ledger, run: Run, jira: Jira, server: Server
    ) -> None:
        audience = self.audience(started="In Progress", done="Done")
        for _ in range(2):
            self.start(ledger, run, audience)
        for _ in range(2):
            self.end(ledger, run, audience)
        assert jira.way == ["In Progress", "Done"]
        assert len(jira.comments) == 2
        posts = [asked.path.rpartition("/")[2] for asked in server.asked if asked.method == "POST"]
        assert posts == ["comment", "transitions", "comment", "transitions"]
        sent = [e.detail for e in ledger.audit_of(run.key.plan_id) if e.what == "notice.sent"]
        assert [detail.get("state") for detail in sent] == [None, "In Progress", None, "Done"]

    def test_events_that_are_not_named_leave_it_alone(
        self, ledger: Ledger, run: Run, jira: Jira
    ) -> None:
        audience = self.audience(rolled_back="Open")
        self.start(ledger, run, audience)
        self.end(ledger, run, audience)
        assert (len(jira.comments), jira.way) == (2, [])

    def test_what_cannot_be_is_said_once_in_log_and_audit(
        self, ledger: Ledger, run: Run, jira: Jira, server: Server,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        with caplog.at_level(logging.ERROR):
            self.start(ledger, run, self.audience(started="Done"))
        assert len(jira.comments) == 1
        assert "tracker/SHOP-7 could not be set to 'Done'" in caplog.text
        assert "and is not: Issue SHOP-7 stands at 'Open'" in caplog.text
        asked = len(server.asked)
        send_left(ledger, now=lambda: NOW + timedelta(days=1))
        assert len(server.asked) == asked, "it is not tried again"
        (lost,) = [e for e in ledger.audit_of(run.key.plan_id) if e.what == "notice.lost"]
        assert "no transition leads to 'Done'" in lost.detail["error"]
        self.end(ledger, run, self.audience(done="In Progress"))
        assert (len(jira.comments), jira.way) == (2, ["In Progress"]), "what follows is done"

    def test_a_tracker_that_is_away_is_asked_again_and_gets_no_second_comment(
        self, ledger: Ledger, run: Run, jira: Jira
    ) -> None:
        jira.down = 1
        self.start(ledger, run, self.audience(started="In Progress"))
        assert (len(jira.comments), jira.way) == (1, [])
        send_left(ledger, now=lambda: NOW + timedelta(seconds=15))
        assert (len(jira.comments), jira.way) == (1, ["In Progress"])

    def test_the_state_waits_for_the_comment(
        self, ledger: Ledger, run: Run, jira: Jira, server: Server
    ) -> None:
        server.answer = lambda asked: Reply(503) if "comment" in asked.path else jira(asked)
        self.start(ledger, run, self.audience(started="In Progress"))
        assert jira.way == []
        server.answer = jira
        send_left(ledger, now=lambda: NOW + timedelta(seconds=15))
        assert (len(jira.comments), jira.way) == (1, ["In Progress"])


def test_the_event_of_a_state_is_the_one_that_is_told(
    ledger: Ledger, run: Run, github: GitHub
) -> None:
    audience = Audience(
        owner="team-shop",
        ticket=Ticket.model_validate(
            {"via": "github", "connection": "tracker", "issue": "shop/api#7",
             "states": {"done": "closed", "rolled_back": "not_planned"}}
        ),
    )  # fmt: skip
    ledger.finish_run(run.key, Outcome.ROLLED_BACK, "", actor="t", now=NOW)
    note_end(ledger, run.key.plan_id, now=NOW, audience=audience)
    send_left(ledger, now=lambda: NOW)
    assert github.way == ["closed not_planned"]
