"""Each service, over real HTTP or SMTP, in the form that the service documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.notifications.delivery import deliver
from tests.hooks.http_server import Reply, Server, http_server
from tests.notifications.cases import HOSTILE, PLAN_ID, connect, event, parcel
from tests.notifications.certificates import server_context
from tests.notifications.smtp_server import Mailbox, smtp_server

OPENS = ("needs_approval", "approval_escalated", "held", "rolled_back", "rollback_failed", "failed",
         "expired", "blocked")  # fmt: skip
CLOSES = ("approved", "resumed", "rejected", "aborted", "done")


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as running:
        yield running


def answers(status: int, body: Any, **headers: str) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda _: Reply(status, text.encode(), {"Content-Type": "application/json", **headers})


class TestSlack:
    @pytest.fixture(autouse=True)
    def bot(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = {"base_url": f"{server.url}/api/"}
        connect(monkeypatch, "bot", "slack", password="xoxb-secret", extra=extra)
        server.answer = answers(200, {"ok": True, "channel": "C012", "ts": "1700.01"})

    def test_a_message_is_posted_as_chat_post_message_wants_it(self, server: Server) -> None:
        assert deliver(parcel("bot", channel="#deploys")) == "C012 1700.01"
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("POST", "/api/chat.postMessage")
        assert asked.headers["authorization"] == "Bearer xoxb-secret"
        assert asked.headers["content-type"].startswith("application/json")
        body = asked.json
        assert body["channel"] == "#deploys"
        assert "thread_ts" not in body
        assert body["text"].startswith("🔴 checkout-release: ROLLBACK FAILED")
        header, section, context = body["blocks"]
        assert header["type"] == "header"
        assert header["text"]["type"] == "plain_text"
        assert section["text"]["type"] == "plain_text"
        assert "started by rita" in section["text"]["text"]
        [links] = context["elements"]
        assert f"<https://airflow.example.com/planner/#/runs/{PLAN_ID}|Plans page>" in links["text"]

    def test_the_next_message_goes_into_the_thread(self, server: Server) -> None:
        found = deliver(parcel("bot", event("done"), channel="#deploys", thread="C012 1700.01"))
        assert found == "C012 1700.01"
        body = server.asked[0].json
        assert (body["channel"], body["thread_ts"]) == ("C012", "1700.01")
        assert body["reply_broadcast"] is False

    def test_what_is_critical_is_seen_outside_of_the_thread_too(self, server: Server) -> None:
        deliver(parcel("bot", channel="#deploys", thread="C012 1700.01"))
        assert server.asked[0].json["reply_broadcast"] is True

    def test_text_of_plans_calls_nobody_and_hides_no_link(self, server: Server) -> None:
        told = event(summary=HOSTILE, reason=HOSTILE, requester=HOSTILE, step=HOSTILE)
        deliver(parcel("bot", told, channel="#deploys"))
        body = server.asked[0].json
        texts = [body["text"], *(block["text"]["text"] for block in body["blocks"][:2])]
        for text in texts:
            assert "<" not in text
            assert ">" not in text
            assert "@channel" not in text
            assert "@here" not in text
        assert "&lt;script&gt;" in body["blocks"][1]["text"]["text"]

    def test_limits_are_kept_and_no_escape_is_cut(self, server: Server) -> None:
        told = event(summary="<" * 5000, plan="p" * 300)
        deliver(parcel("bot", told, channel="#deploys"))
        header, section, _ = server.asked[0].json["blocks"]
        assert len(header["text"]["text"]) <= 150
        assert len(section["text"]["text"]) <= 3000
        assert section["text"]["text"].endswith("&lt;…")

    @pytest.mark.parametrize(
        ("status", "said", "kind"),
        [
            (200, "channel_not_found", MisconfiguredError),
            (200, "invalid_auth", MisconfiguredError),
            (429, "ratelimited", UnavailableError),
            (503, "service_unavailable", UnavailableError),
        ],
    )
    def test_a_refusal_says_why(self, server: Server, status: int, said: str, kind: Any) -> None:
        server.answer = answers(status, {"ok": False, "error": said}, **{"Retry-After": "30"})
        with pytest.raises(kind, match=said) as caught:
            deliver(parcel("bot", channel="#deploys"))
        assert "xoxb-secret" not in str(caught.value)
        assert len(server.asked) == 1, "whoever sends next tries again"

    def test_a_channel_is_needed(self) -> None:
        with pytest.raises(MisconfiguredError, match="needs a channel"):
            deliver(parcel("bot"))


class TestSlackWebhook:
    @pytest.fixture(autouse=True)
    def hook(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(
            monkeypatch, "hook", "slackwebhook",
            password=f"{server.url}/services/T000/B000/XXXX",
        )  # fmt: skip
        server.answer = answers(200, "ok")

    def test_a_message_is_posted_as_incoming_webhooks_want_it(self, server: Server) -> None:
        assert deliver(parcel("hook")) is None
        (asked,) = server.asked
        assert asked.path == "/services/T000/B000/XXXX"
        assert set(asked.json) == {"text", "blocks", "unfurl_links", "unfurl_media"}

    def test_its_channel_is_fixed(self) -> None:
        with pytest.raises(MisconfiguredError, match="take `channel: #x` out"):
            deliver(parcel("hook", channel="#x"))

    def test_a_refusal_does_not_show_the_address(self, server: Server) -> None:
        server.answer = answers(404, "no_service")
        with pytest.raises(MisconfiguredError, match="404: no_service") as caught:
            deliver(parcel("hook"))
        assert "XXXX" not in str(caught.value)


class TestPagerDuty:
    @pytest.fixture
    def server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
        """With TLS: PagerDuty's own client speaks nothing else."""
        tls = server_context(tmp_path / "server.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        with http_server(tls=tls) as running:
            yield running

    @pytest.fixture(autouse=True)
    def pager(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "pager", "pagerduty_events", password="r0utingkey", host=server.url)
        server.answer = answers(202, {"status": "success", "message": "", "dedup_key": PLAN_ID})

    def test_an_alert_is_opened_as_events_v2_wants_it(self, server: Server) -> None:
        assert deliver(parcel("pager")) == PLAN_ID
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("POST", "/v2/enqueue")
        body = asked.json
        assert body["routing_key"] == "r0utingkey"
        assert (body["event_action"], body["dedup_key"]) == ("trigger", PLAN_ID)
        payload = body["payload"]
        assert payload["severity"] == "critical"
        assert payload["source"] == PLAN_ID
        assert payload["summary"].startswith("checkout-release: ROLLBACK FAILED. Release")
        assert (payload["group"], payload["class"]) == ("checkout-release", "rollback_failed")
        assert {"href", "text"} == set(body["links"][0])

    @pytest.mark.parametrize("kind", OPENS)
    def test_what_needs_somebody_opens(self, server: Server, kind: str) -> None:
        deliver(parcel("pager", event(kind)))
        assert server.asked[0].json["event_action"] == "trigger"
        assert server.asked[0].json["payload"]["severity"] in ("critical", "warning", "info")

    @pytest.mark.parametrize("kind", CLOSES)
    def test_what_is_over_closes(self, server: Server, kind: str) -> None:
        deliver(parcel("pager", event(kind)))
        assert server.asked[0].json == {
            "routing_key": "r0utingkey", "event_action": "resolve", "dedup_key": PLAN_ID,
        }  # fmt: skip

    def test_a_message_for_information_opens_nothing(self, server: Server) -> None:
        deliver(parcel("pager", event("message")))
        assert server.asked == []

    def test_long_texts_are_cut(self, server: Server) -> None:
        deliver(parcel("pager", event(summary="x" * 3000)))
        assert len(server.asked[0].json["payload"]["summary"]) == 1024

    @pytest.mark.parametrize(
        ("status", "kind"), [(400, RefusedError), (429, UnavailableError), (503, UnavailableError)]
    )
    def test_a_refusal_is_told_once_and_without_the_key(
        self, server: Server, status: int, kind: Any
    ) -> None:
        server.answer = answers(status, {"status": "invalid event", "errors": ["r0utingkey"]})
        with pytest.raises(kind) as caught:
            deliver(parcel("pager"))
        assert len(server.asked) == 1
        assert "r0utingkey" not in str(caught.value)

    def test_the_other_type_of_connection_holds_the_key_in_its_extra(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(
            monkeypatch, "pager", "pagerduty", password="api", host=server.url,
            extra={"routing_key": "other"},
        )  # fmt: skip
        deliver(parcel("pager"))
        assert server.asked[0].json["routing_key"] == "other"

    def test_without_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "pager", "pagerduty_events")
        with pytest.raises(MisconfiguredError, match="lacks the integration key"):
            deliver(parcel("pager"))


class TestOpsgenie:
    @pytest.fixture(autouse=True)
    def genie(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "genie", "opsgenie", password="geniekey", host=server.url)
        server.answer = answers(
            202, {"result": "Request will be processed", "took": 0.1, "requestId": "r"}
        )

    def test_an_alert_is_opened_as_the_alert_api_wants_it(self, server: Server) -> None:
        deliver(parcel("genie", channel="sre"))
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("POST", "/v2/alerts")
        assert asked.headers["authorization"] == "GenieKey geniekey"
        body = asked.json
        assert body["alias"] == PLAN_ID
        assert body["priority"] == "P1"
        assert body["message"] == "checkout-release: ROLLBACK FAILED"
        assert body["responders"] == [{"type": "team", "name": "sre"}]
        assert body["details"]["plan_id"] == PLAN_ID

    def test_it_is_closed_by_its_alias(self, server: Server) -> None:
        deliver(parcel("genie", event("done")))
        (asked,) = server.asked
        assert (asked.method, asked.path) == (
            "POST", f"/v2/alerts/{PLAN_ID}/close?identifierType=alias",
        )  # fmt: skip

    def test_limits_are_kept(self, server: Server) -> None:
        deliver(parcel("genie", event(plan="p" * 300, summary="x" * 20000)))
        body = server.asked[0].json
        assert len(body["message"]) == 130
        assert len(body["description"]) == 15000

    @pytest.mark.parametrize(("status", "kind"), [(422, RefusedError), (503, UnavailableError)])
    def test_a_refusal(self, server: Server, status: int, kind: Any) -> None:
        server.answer = answers(status, {"message": "no", "took": 0.1, "requestId": "r"})
        with pytest.raises(kind, match=str(status)):
            deliver(parcel("genie"))
        assert len(server.asked) == 1


class TestMail:
    @pytest.fixture
    def box(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
        with smtp_server() as box:
            extra = {
                "from_email": "planner@example.com", "disable_ssl": True, "disable_tls": True,
            }  # fmt: skip
            connect(monkeypatch, "mail", "smtp", host="127.0.0.1", port=box.port, extra=extra)
            yield box

    def test_a_message_and_its_answer_are_one_thread(self, box: Mailbox) -> None:
        thread = deliver(parcel("mail", channel="oncall@example.com"))
        assert thread == "<key-1@example.com>"
        again = deliver(
            parcel("mail", event("done"), channel="oncall@example.com", key="key-2", thread=thread)
        )
        assert again == thread
        first, second = box.messages
        assert first["Message-ID"] == thread
        assert first["Subject"] == "checkout-release: ROLLBACK FAILED"
        assert first["To"] == "oncall@example.com"
        assert first["X-Planner-Plan-Id"] == PLAN_ID
        assert second["Message-ID"] == "<key-2@example.com>"
        assert second["In-Reply-To"] == second["References"] == thread
        assert second["Subject"] == "Re: checkout-release: Done"

    def test_text_of_plans_adds_no_header_no_recipient_and_no_markup(self, box: Mailbox) -> None:
        deliver(parcel("mail", event(summary=HOSTILE, plan=HOSTILE), channel="oncall@example.com"))
        (message,) = box.messages
        assert message["Bcc"] is None
        assert len(box.recipients) == 1
        (part,) = message.iter_parts()
        text = part.get_content()
        assert "<script>" not in text
        assert "&lt;script&gt;alert(1)" in text

    def test_a_refused_recipient(self, box: Mailbox) -> None:
        box.refuses = "550 no such user"
        with pytest.raises(RefusedError, match="no such user"):
            deliver(parcel("mail", channel="nobody@example.com"))

    def test_an_address_is_needed(self, box: Mailbox) -> None:
        with pytest.raises(MisconfiguredError, match="which is the address"):
            deliver(parcel("mail"))

    def test_no_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = {"from_email": "p@example.com", "disable_ssl": True, "disable_tls": True}
        connect(monkeypatch, "mail", "smtp", host="127.0.0.1", port=1, extra=extra)
        with pytest.raises(UnavailableError):
            deliver(parcel("mail", channel="oncall@example.com"))


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
class TestApprise:
    @pytest.fixture(autouse=True)
    def apprise(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        config = [{"path": f"json://127.0.0.1:{server.port}/notify", "tag": "ops"}]
        connect(monkeypatch, "any", "apprise", extra={"config": config})

    def test_its_services_are_told(self, server: Server) -> None:
        deliver(parcel("any", event(reason=HOSTILE)))
        (asked,) = server.asked
        body = asked.json
        assert body["title"] == "checkout-release: ROLLBACK FAILED"
        assert body["type"] == "failure"
        assert "started by rita" in body["message"]
        assert "@everyone" not in body["message"]

    def test_by_tag(self, server: Server) -> None:
        deliver(parcel("any", event("done"), channel="ops"))
        assert server.asked[0].json["type"] == "success"
        with pytest.raises(MisconfiguredError, match="has the tag 'other'"):
            deliver(parcel("any", channel="other"))

    def test_a_service_that_does_not_take_it_is_noticed(self, server: Server) -> None:
        server.answer = answers(500, "{}")
        with pytest.raises(UnavailableError, match="could not send"):
            deliver(parcel("any"))

    def test_without_services(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "any", "apprise", extra={})
        with pytest.raises(MisconfiguredError, match="no usable `config`"):
            deliver(parcel("any"))


class TestWebhook:
    @pytest.fixture(autouse=True)
    def webhook(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "web", "http", host=f"{server.url}/services/T0KEN")

    def test_everything_is_posted(self, server: Server) -> None:
        deliver(parcel("web", event(summary=HOSTILE)))
        (asked,) = server.asked
        assert asked.headers["idempotency-key"] == "key-1"
        body = asked.json
        assert (body["event"], body["severity"]) == ("rollback_failed", "critical")
        assert body["plan_id"] == PLAN_ID
        assert body["summary"] == HOSTILE, "as data, it is what the plan says"
        for mention in ("<!channel>", "<@U012AB3CD>", "@here", "<https://evil"):
            assert mention not in body["text"]

    @pytest.mark.parametrize(("status", "kind"), [(404, RefusedError), (503, UnavailableError)])
    def test_a_refusal(self, server: Server, status: int, kind: Any) -> None:
        server.answer = answers(status, "at /services/T0KEN")
        with pytest.raises(kind, match=str(status)) as caught:
            deliver(parcel("web"))
        assert "T0KEN" not in str(caught.value)


class TestIssues:
    @pytest.fixture(autouse=True)
    def tracker(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "tracker", "http", host=server.url, login="bot", password="t0ken")
        server.answer = answers(201, {"id": "1"})

    def test_a_comment_in_jira(self, server: Server) -> None:
        deliver(parcel("tracker", channel="SHOP-123", tracker="jira"))
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("POST", "/rest/api/2/issue/SHOP-123/comment")
        assert set(asked.json) == {"body"}
        body = asked.json["body"]
        assert body.startswith("{noformat}\ncheckout-release: ROLLBACK FAILED\n")
        assert f"[Plans page|https://airflow.example.com/planner/#/runs/{PLAN_ID}]" in body

    def test_a_comment_on_github(self, server: Server) -> None:
        deliver(parcel("tracker", channel="shop/api#7", tracker="github"))
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("POST", "/repos/shop/api/issues/7/comments")
        assert asked.json["body"].startswith("```text\ncheckout-release: ROLLBACK FAILED\n")

    def test_text_of_plans_stays_in_its_block(self, server: Server) -> None:
        told = event(summary="{noformat} [~admin] ``` @octocat {NoFormat}")
        deliver(parcel("tracker", told, channel="SHOP-1", tracker="jira"))
        deliver(parcel("tracker", told, channel="shop/api#7", tracker="github"))
        jira, github = (asked.json["body"] for asked in server.asked)
        assert jira.lower().count("{noformat}") == 2
        assert github.startswith("````text\n")
        assert github.count("````") == 2

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(401, MisconfiguredError), (404, RefusedError), (503, UnavailableError)],
    )
    def test_a_refusal(self, server: Server, status: int, kind: Any) -> None:
        server.answer = answers(status, {"message": "no t0ken"})
        with pytest.raises(kind) as caught:
            deliver(parcel("tracker", channel="SHOP-1", tracker="jira"))
        assert "t0ken" not in str(caught.value)

    def test_what_is_no_issue(self) -> None:
        with pytest.raises(RefusedError, match="write owner/repository#7"):
            deliver(parcel("tracker", channel="shop#x", tracker="github"))

    def test_it_gets_no_comment_just_to_close_an_alert(self, server: Server) -> None:
        deliver(parcel("tracker", channel="SHOP-1", tracker="jira"), closes=True)
        assert server.asked == []


class TestDelivery:
    def test_a_type_that_serves_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, "db", "postgres", host="db")
        with pytest.raises(MisconfiguredError, match="type postgres, through which nobody can"):
            deliver(parcel("db"))

    @pytest.mark.parametrize(
        ("conn_type", "module", "extra"),
        [
            ("slack", "airflow.providers.slack.hooks.slack", "slack"),
            ("pagerduty_events", "pagerduty", "pagerduty"),
            ("opsgenie", "opsgenie_sdk", "opsgenie"),
            ("smtp", "airflow.providers.smtp.hooks.smtp", "smtp"),
            ("apprise", "apprise", "apprise"),
        ],
    )
    def test_what_is_not_installed_is_named(
        self, monkeypatch: pytest.MonkeyPatch, conn_type: str, module: str, extra: str
    ) -> None:
        connect(monkeypatch, "x", conn_type, password="p", host="h")
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MisconfiguredError) as caught:
            deliver(parcel("x", channel="c"))
        assert f"airflow-provider-planner[{extra}]" in str(caught.value)

    @pytest.mark.parametrize("conn_type", ["slack", "smtp", "apprise", "http"])
    def test_only_services_with_alerts_are_told_just_to_close_one(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, conn_type: str
    ) -> None:
        connect(monkeypatch, "x", conn_type, password="p", host=server.url)
        assert deliver(parcel("x", event("done"), thread="t"), closes=True) == "t"
        assert server.asked == []

    def test_whatever_a_library_raises_shows_no_secret(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(monkeypatch, "bot", "slack", password="xoxb-secret", extra={"base_url": "nonsense"})
        with pytest.raises(UnavailableError) as caught:
            deliver(parcel("bot", channel="#x"))
        assert "xoxb-secret" not in str(caught.value)
