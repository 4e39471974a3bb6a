"""A team's own words, through each service, over real HTTP or SMTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from planner_provider.graph.contacts import OwnWords
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import CompiledPlan
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.events import Event
from planner_provider.notifications.outbox import send_left
from planner_provider.notifications.plans import note_holds
from planner_provider.notifications.services.webhook import payload
from planner_provider.notifications.wording import fields, worded
from planner_provider.spec.folder import Catalog
from planner_provider.spec.kinds import Team
from planner_provider.spec.notice_text import FIELDS
from tests.graph.plans import graph_of, small
from tests.hooks.http_server import Reply, Server, http_server
from tests.ledger.cases import NOW as LEDGER_NOW
from tests.ledger.cases import Run, later
from tests.notifications.cases import HOSTILE, PLAN_ID, connect, event, parcel
from tests.notifications.certificates import server_context
from tests.notifications.smtp_server import smtp_server

PLANS_PAGE = f"https://airflow.example.com/planner/#/runs/{PLAN_ID}"
TITLE = "[{{ severity | upper }}] {{ plan }} <!channel> @here"
TEXT = """\
{{ summary }}
{% if reason %}Why: {{ reason }}{% endif %}
{{ owner or "nobody" }} looks at it. <b>*Now*</b> @channel
"""


def words(title: str | None = TITLE, text: str | None = TEXT, kind: Any = "rollback_failed") -> Any:
    return (OwnWords(event=kind, title=title, text=text),)


def own(told: Event | None = None, **values: Any) -> Event:
    """An event as a team words it."""
    given = values.pop("words", words(**values))
    return worded(parcel("c", told, words=given)).event


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as running:
        running.answer = lambda _: Reply(
            200, b'{"ok": true, "channel": "C1", "ts": "1.1"}', {"Content-Type": "application/json"}
        )
        yield running


def test_the_fields_are_those_that_a_webhook_gets() -> None:
    assert tuple(payload(event())) == FIELDS
    known = fields(event(owner=None, step=None))
    assert tuple(known) == FIELDS
    assert (known["owner"], known["step"]) == ("", "")
    assert known["text"] == "\n".join(
        event().model_copy(update={"owner": None, "step": None}).lines
    )


def test_title_and_text_are_said_in_place_of_ours() -> None:
    told = own()
    assert told.title == "[CRITICAL] checkout-release <!channel> @here"
    assert told.lines == (
        "Release checkout 1.4.2",
        "Why: Step shift ended failed.",
        "team-checkout looks at it. <b>*Now*</b> @channel",
    )
    assert told.text.startswith("Release checkout 1.4.2\nWhy:")
    assert told.text.endswith("Runbook: https://runbooks.example.com/checkout"), "links stay"
    assert told.heading == told.title


def test_what_is_not_given_is_said_as_we_say_it() -> None:
    ours = event()
    assert own(text=None).lines == ours.lines
    assert own(title=None).title == ours.title
    assert own(title=None).heading == ours.heading
    assert own(kind="done") == ours, "of other events nothing is said"
    assert own(title="{{ title }}!", text="{{ text }}\nAsk in #help").lines == (
        *ours.lines, "Ask in #help",
    )  # fmt: skip


@pytest.mark.parametrize(
    "broken", ["{{ plan < 3 }}", "{{ gone }}", "{{ plan", "{% if 0 %}{% endif %}"]
)
def test_what_fails_is_said_as_we_say_it_and_the_log_says_so(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told = own(title=broken, text="{{ plan }} it is")
    assert told.title == event().title
    assert told.lines == ("checkout-release it is",), "the other half is as the team says"
    (record,) = caplog.records
    text = record.getMessage()
    assert "The title for rollback_failed in the words of a team (connection c)" in text
    assert "Mend `templates` of its Team document" in text


def test_a_title_is_one_line() -> None:
    assert own(event(summary=HOSTILE), title="a\n{{ summary }}\r\n b").title.count("\n") == 0


def test_slack(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"base_url": f"{server.url}/api/"}
    connect(monkeypatch, "bot", "slack", password="xoxb-secret", extra=extra)
    told = event(summary=HOSTILE, reason=HOSTILE, plan=HOSTILE)
    deliver(parcel("bot", told, channel="#deploys", words=words()))
    body = server.asked[0].json
    header, section, links = body["blocks"]
    assert header["text"]["type"] == section["text"]["type"] == "plain_text"
    for text in (body["text"], header["text"]["text"], section["text"]["text"]):
        for sign in ("<", ">", "@channel", "@here", "@everyone"):
            assert sign not in text
    assert header["text"]["text"].startswith("🔴 [CRITICAL]")
    assert "&lt;b&gt;*Now*&lt;/b&gt;" in section["text"]["text"]
    assert f"<{PLANS_PAGE}|Plans page>" in links["elements"][0]["text"]


def test_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    with smtp_server() as box:
        extra = {"from_email": "planner@example.com", "disable_ssl": True, "disable_tls": True}
        connect(monkeypatch, "mail", "smtp", host="127.0.0.1", port=box.port, extra=extra)
        told = event(summary=HOSTILE, reason=HOSTILE, step="\x00\x1b[31m")
        given = words(title="{{ plan }}{{ step }} {{ summary }}\r\nCc: x@example.com")
        deliver(parcel("mail", told, channel="oncall@example.com", words=given))
    (message,) = box.messages
    assert message["Bcc"] is None
    assert message["Cc"] is None
    assert len(box.recipients) == 1
    assert message["Subject"].startswith("checkout-release [31m <!channel>")
    assert message["Subject"].isprintable()
    (part,) = message.iter_parts()
    page = part.get_content()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;*Now*&lt;/b&gt; @channel" in page
    assert "Why: &lt;!channel&gt;" in page
    assert f'<a href="{PLANS_PAGE}">' in page


def test_pagerduty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = server_context(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    with http_server(lambda _: Reply(202, b"{}"), tls=tls) as running:
        connect(monkeypatch, "pager", "pagerduty_events", password="key", host=running.url)
        deliver(parcel("pager", words=words("{{ plan }} is broken")))
        deliver(parcel("pager", words=words(None)))
    own_title, ours = (asked.json["payload"] for asked in running.asked)
    assert own_title["summary"] == "checkout-release is broken"
    assert own_title["custom_details"]["text"].startswith("Release checkout 1.4.2\nWhy: ")
    assert ours["summary"].startswith("checkout-release: ROLLBACK FAILED. Release")


def test_opsgenie(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "genie", "opsgenie", password="geniekey", host=server.url)
    server.answer = lambda _: Reply(
        202, json.dumps({"result": "ok", "took": 0.1, "requestId": "r"}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    deliver(parcel("genie", words=words("{{ plan }} {{ text }}")))
    body = server.asked[0].json
    assert len(body["message"]) == 130
    assert body["message"].startswith("checkout-release Release checkout 1.4.2 Step")
    assert "looks at it" in body["description"]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
def test_apprise(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    config = [{"path": f"json://127.0.0.1:{server.port}/notify", "tag": "ops"}]
    connect(monkeypatch, "any", "apprise", extra={"config": config})
    deliver(parcel("any", event(reason=HOSTILE), words=words()))
    body = server.asked[0].json
    assert body["title"].startswith("[CRITICAL] checkout-release")
    for text in (body["title"], body["message"]):
        for sign in ("@channel", "@here", "@everyone", "<!channel", "<https:"):
            assert sign not in text


def test_a_webhook(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "web", "http", host=server.url)
    deliver(parcel("web", event(summary=HOSTILE), words=words()))
    body = server.asked[0].json
    assert body["title"] == "[CRITICAL] checkout-release <!channel> @here", "data, as it is"
    assert body["summary"] == HOSTILE
    assert "team-checkout looks at it." in body["text"]
    for sign in ("<!channel>", "@channel", "@here", "<@U012AB3CD>", "<https://evil"):
        assert sign not in body["text"]


def test_two_halves_of_a_mention_do_not_become_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, "web", "http", host=server.url)
    given = words("x", "@{{ reason }} <{{ step }}")
    deliver(parcel("web", event(reason="channel", step="!here>"), words=given))
    assert "@channel" not in server.asked[0].json["text"]
    assert "<!here>" not in server.asked[0].json["text"]


TEAMS = {
    "team-shop": {
        "notify": ["web"],
        "escalation": [{"after": "30m", "to": ["team:leads"]}],
        "templates": {"held": {"title": "{{ plan }} stands still"}},
    },
    "leads": {
        "notify": ["web_leads"],
        "templates": {
            "held": {"title": "Please look at {{ plan }}"},
            "resumed": {"title": "{{ plan }} moves"},
        },
    },
}


class TestRun:
    """From the Team documents to the message."""

    @pytest.fixture
    def compiled(self, ledger: Ledger, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("web", "web_leads"):
            connect(monkeypatch, name, "http", host=f"{server.url}/{name}")
        teams = {
            name: Team.model_validate(
                {
                    "apiVersion": "planner/v1", "kind": "Team",
                    "metadata": {"name": name}, "spec": spec,
                }
            )
            for name, spec in TEAMS.items()
        }  # fmt: skip
        graph = graph_of(small(name="release", owner="team-shop"), Catalog(teams=teams))
        plan = CompiledPlan("release", "d" * 64, graph.to_json(), "plan.yaml", "sha", LEDGER_NOW)
        ledger.remember_compiled([plan])

    def test_each_team_hears_it_in_its_own_words(
        self, ledger: Ledger, run: Run, compiled: None, server: Server
    ) -> None:
        ledger.hold_run(run.key.plan_id, actor="ann", reason="odd", now=LEDGER_NOW)
        for seconds in (0, 1800):
            note_holds(ledger, now=later(seconds))
            send_left(ledger, now=partial(later, seconds))
        ledger.resume_run(run.key.plan_id, actor="bob", reason=None, now=later(1900))
        note_holds(ledger, now=later(1900))
        send_left(ledger, now=partial(later, 1900))
        told = [(asked.path, asked.json["title"]) for asked in server.asked]
        assert told[:2] == [
            ("/web", "release stands still"),
            ("/web_leads", "Please look at release"),
        ]
        assert sorted(told[2:]) == [("/web", "release: Goes on"), ("/web_leads", "release moves")]
