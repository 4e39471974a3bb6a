from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.ledger.rows import Outcome
from planner_provider.notifications.events import (
    CLOSES,
    HEADLINES,
    MAX_SUBJECT,
    OF_OUTCOME,
    SEVERITY,
    Event,
    event_key,
    subject_of,
)
from planner_provider.notifications.services.mentions import no_mentions
from planner_provider.notifications.services.slack import cut, escape
from planner_provider.spec.kinds import NoticeEvent
from tests.notifications.cases import event


def test_every_kind_and_every_outcome_has_its_words() -> None:
    kinds = set(get_args(NoticeEvent))
    assert set(SEVERITY) == set(HEADLINES) == kinds
    assert set(OF_OUTCOME) == set(Outcome)
    assert kinds > CLOSES


def test_everything_that_helps_is_said() -> None:
    text = event().text
    for part in (
        "Release checkout 1.4.2", "Step shift ended failed.", "Step: shift",
        "owned by team-checkout", "started by rita", "Next: Look now.",
        "Runbook: https://runbooks.example.com/checkout",
        "Run: https://airflow.example.com/dags/", "Plans page: https://airflow.example.com/planner/",
    ):  # fmt: skip
        assert part in text, part


def test_a_runbook_that_is_no_address_is_no_link() -> None:
    told = event(runbook="javascript:alert(1)")
    assert "Runbook" not in dict(told.links)
    assert "Runbook: javascript:alert(1)" in told.text


def test_a_title_is_one_line() -> None:
    assert event(plan="a\r\nb").title == "a b: ROLLBACK FAILED"
    assert event("held", waited="30m").title.endswith("Held (nobody has acted for 30m)")


def test_an_event_survives_the_ledger() -> None:
    told = event("needs_approval", task="approve", answer_url="https://a.example.com")
    assert Event.model_validate_json(told.model_dump_json(exclude_defaults=True)) == told


def test_keys_differ_by_what_is_told_and_where() -> None:
    keys = {
        event_key(event(), "a"), event_key(event(), "b"), event_key(event(subject="t"), "a"),
        event_key(event("held"), "a"),
    }  # fmt: skip
    assert len(keys) == 4
    assert event_key(event(), "a") == event_key(event(reason="other"), "a")


def test_a_long_subject_still_tells_one_from_another() -> None:
    first, second = subject_of("x" * 300, "1"), subject_of("x" * 300, "2")
    assert len(first) == len(second) == MAX_SUBJECT
    assert first != second


@given(st.text(alphabet=st.sampled_from("<>&@!#| chanelhrvyo.:/sp\n")))
def test_slack_reads_no_command_in_any_text(text: str) -> None:
    shown = escape(text)
    assert "<" not in shown
    assert ">" not in shown
    for word in ("@channel", "@here", "@everyone"):
        assert word not in shown
    plain = shown.replace("\u2060", "").replace("&lt;", "<").replace("&gt;", ">")
    assert plain.replace("&amp;", "&") == text


@given(st.text(alphabet="<>&ab"), st.integers(10, 40))
def test_no_escape_is_cut_in_two(text: str, limit: int) -> None:
    shown = cut(escape(text), limit)
    assert len(shown) <= limit
    rest = shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert "&" not in rest


@pytest.mark.parametrize(
    "text", ["<!channel>", "<@U1>", "<#C1>", "<https://x.example.com|y>", "@Here", "@everyone"]
)
def test_chats_behind_webhooks_read_no_mention_either(text: str) -> None:
    assert text not in no_mentions(text)
    assert no_mentions(text).replace("\u2060", "") == text
