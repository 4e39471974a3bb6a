from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.tracing import (
    MAX_BAGGAGE_BYTES,
    MAX_BAGGAGE_MEMBERS,
    PlanTrace,
    baggage,
    environment,
    idempotency_key,
    label_value,
    pod_labels,
    sql_comment,
    trace_of,
)

TRACE = PlanTrace("p-1-2", "p", "s")
ANY = st.text(min_size=1, max_size=80)
TRACES = st.builds(PlanTrace, ANY, ANY, ANY)


def test_trace_of_names_run_plan_and_step() -> None:
    ref = PlanRef("p", "ab" * 32, Role.STEP, "s")
    trace = trace_of(ref, {"run_id": "r"})
    assert trace == PlanTrace(ref.plan_id("r"), "p", "s")
    assert trace_of(PlanRef("p", "ab" * 32, Role.CHECK), {"run_id": "r"}).step == "check"
    assert trace_of(None, {"run_id": "r"}) is None


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (None, "plan_id=p-1-2,plan=p,step=s"),
        ("", "plan_id=p-1-2,plan=p,step=s"),
        ("a=1;ttl=3 , b=2", "a=1;ttl=3,b=2,plan_id=p-1-2,plan=p,step=s"),
        ("plan=other,a=1", "a=1,plan_id=p-1-2,plan=p,step=s"),
    ],
)
def test_baggage_is_appended(existing: str | None, expected: str) -> None:
    assert baggage(TRACE, existing) == expected


def test_baggage_without_a_plan_stays_as_it_is() -> None:
    assert baggage(None, "a=1") == "a=1"
    assert baggage(None) is None


@given(TRACES)
def test_baggage_values_are_baggage_octets_and_read_back(trace: PlanTrace) -> None:
    text = baggage(trace)
    assert text is None or re.fullmatch(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e,]+", text)
    if text is not None:
        read = dict(member.split("=", 1) for member in text.split(","))
        assert {key: unquote(value) for key, value in read.items()} == trace.members()


@given(TRACES, st.lists(st.from_regex(r"[a-z]{1,9}=[a-z]{0,900}", fullmatch=True), max_size=70))
def test_baggage_keeps_the_limits_and_what_is_there(trace: PlanTrace, others: list[str]) -> None:
    existing = ",".join(others)
    text = baggage(trace, existing) or ""
    within = len(existing) <= MAX_BAGGAGE_BYTES and len(others) <= MAX_BAGGAGE_MEMBERS
    if within:
        assert len(text) <= MAX_BAGGAGE_BYTES
        assert len(text.split(",")) <= MAX_BAGGAGE_MEMBERS
    names = set(trace.members())
    for member in others:
        if member.split("=")[0] not in names:
            assert member in text.split(",")


def test_sql_comment_is_sorted_and_quoted() -> None:
    assert sql_comment(TRACE) == "/*plan='p',plan_id='p-1-2',step='s'*/"
    assert sql_comment(TRACE, "00-a-b-01").endswith("step='s',traceparent='00-a-b-01'*/")
    assert sql_comment(None) == ""


@given(TRACES)
def test_nothing_ends_a_sql_comment_early(trace: PlanTrace) -> None:
    text = sql_comment(trace)
    assert text.index("*/") == len(text) - 2
    assert text.count("/*") == 1
    pairs = re.findall(r"(\w+)='([^']*)'", text)
    assert {key: unquote(value) for key, value in pairs} == trace.members()
    assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)


@given(ANY)
def test_label_values_are_valid(text: str) -> None:
    value = label_value(text)
    assert len(value) <= 63
    assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", value)


@given(ANY, ANY)
def test_different_texts_have_different_label_values(one: str, other: str) -> None:
    assert (label_value(one) == label_value(other)) == (one == other)


def test_a_valid_label_value_is_kept() -> None:
    assert pod_labels(TRACE) == {
        "planner.dev/plan-id": "p-1-2",
        "planner.dev/plan": "p",
        "planner.dev/step": "s",
    }
    assert label_value("drop_old_") != "drop_old_"
    assert label_value("x" * 63) == "x" * 63
    assert pod_labels(None) == {}


def test_environment() -> None:
    assert environment(TRACE, "00-a-b-01") == {
        "PLANNER_PLAN_ID": "p-1-2",
        "PLANNER_PLAN": "p",
        "PLANNER_STEP": "s",
        "BAGGAGE": "plan_id=p-1-2,plan=p,step=s",
        "TRACEPARENT": "00-a-b-01",
    }
    assert environment(None) == {}


def test_idempotency_key_tells_tasks_apart_and_stays_the_same() -> None:
    keys = {
        idempotency_key("p", "t"),
        idempotency_key("p", "t", 0),
        idempotency_key("p", "u"),
        idempotency_key("q", "t"),
    }
    assert len(keys) == 4
    assert idempotency_key("p", "t") in keys
