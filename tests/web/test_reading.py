"""What users see: everything of the plans that they may read, and nothing of the others."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bench.ui_decisions import canary_decision, slo_decision
from planner_provider.decide.cost import CostInputs
from planner_provider.decide.model import Fact
from planner_provider.decide.replay import decide
from planner_provider.graph.approvals import ApprovalRule
from planner_provider.ledger.rows import (
    ApprovalAnswer,
    ApprovalRequest,
    CompiledPlan,
    Hold,
    ItemState,
    Outcome,
    Throttle,
    WorkItem,
)
from planner_provider.web.airflow_dags import DagNow
from tests.graph.plans import graph_of, put, small, undo
from tests.ledger.cases import claim
from tests.web.pages import Page

HTML = "<img src=x onerror=alert(1)>"


def compiled(page: Page, **spec: Any) -> CompiledPlan:
    graph = graph_of(small(put("s1", rollback=undo()), put("s2", rollback=undo()), **spec))
    return CompiledPlan(graph.name, graph.digest, graph.to_json(), "p.yaml", "s" * 64, page.now)


def two_plans(page: Page) -> tuple[str, str]:
    """A plan that olga may read, and one that she may not; both touch the same."""
    cron = {"cron": "0 3 * * *"}
    touches = [{"resource": "db://orders"}]
    plans = [
        compiled(page, name=name, schedule=cron, touches=touches)
        for name in ("open", "secret-plan")
    ]
    page.compile(*plans)
    page.manager.hidden["olga"] = "secret-"
    ids = []
    for plan in plans:
        touched = ("db://orders",) if plan.plan == "secret-plan" else ()
        plan_id = page.run(plan.plan, "manual__1", *touched, digest=plan.digest)
        page.ledger.record_decision(
            slo_decision(page.now, bad=4_000), plan_id=plan_id, step="s1", actor="t", now=page.now
        )
        ids.append(plan_id)
    page.ledger.ask_for_lease(ids[0], [Hold("db://orders")], actor="t", now=page.now)
    return ids[0], ids[1]


def test_a_hidden_plan_is_nowhere(page: Page) -> None:
    seen, hidden = two_plans(page)
    whole = page.json("/overview")
    assert {row["plan_id"] for row in whole["running"]} == {seen, hidden}
    assert {row["plan"]: row["conflicts"] for row in whole["due"]} == {
        "open": ["secret-plan"],
        "secret-plan": ["open"],
    }
    for path in (
        "/overview",
        "/plans",
        "/runs",
        "/runs?state=live",
        f"/runs/{seen}",
        "/decisions",
        "/locks",
        "/audit",
        f"/audit?plan_id={seen}",
        f"/decisions?plan_id={hidden}",
        "/runs?dag_id=secret-plan",
    ):
        text = page.get(path, "olga/user").text
        assert "secret" not in text, path
        assert hidden not in text, path
    own = page.json("/overview", "olga/user")
    assert [row["plan_id"] for row in own["running"]] == [seen]
    assert {item["plan_id"] for item in own["needs_me"]} == {seen}
    assert own["due"][0]["conflicts"] == []
    locks = page.json("/locks", "olga/user")
    assert {(row["waiting"], row["plan_id"], tuple(row["behind"])) for row in locks} == {
        (False, None, ()),
        (True, seen, ()),
    }
    assert page.json("/locks")[-1]["behind"] == [hidden]


def test_hidden_and_unknown_are_alike(page: Page) -> None:
    _, hidden = two_plans(page)
    found = page.json("/decisions?plan_id=" + hidden)
    for secret, unknown in (
        (f"/runs/{hidden}", "/runs/nothing-here"),
        (f"/decisions/{found[0]['id']}", "/decisions/999"),
        (f"/audit?plan_id={hidden}", "/audit?plan_id=nothing-here"),
        ("/plans/secret-plan", "/plans/nothing-here"),
    ):
        answers = [page.get(path, "olga/user") for path in (secret, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404], secret
        assert answers[0].content == answers[1].content, secret
    for act in ("abort", "hold", "resume", "throttles/fill"):
        body = {"limit": 1} if "throttles" in act else None
        answers = [
            page.post(f"/runs/{plan_id}/{act}", body, "olga/user") for plan_id in (hidden, "none")
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content


def test_a_user_without_any_plan_sees_nothing(page: Page) -> None:
    two_plans(page)
    page.manager.hidden["nil"] = ""
    found = page.json("/overview", "nil/user")
    assert all(found[key] in ([], {}) for key in found.keys() - {"at"})
    for path in ("/plans", "/decisions", "/locks", "/audit"):
        assert page.json(path, "nil/user") == [], path
    assert page.json("/runs", "nil/user") == {"runs": [], "next_cursor": None}


def test_the_audit_trail_needs_a_right_of_its_own(page: Page) -> None:
    seen, _ = two_plans(page)
    page.manager.no_audit.add("olga")
    assert page.json("/audit", "olga/user") == []
    assert page.json(f"/runs/{seen}", "olga/user")["audit"] == []
    assert page.json(f"/runs/{seen}")["audit"] != []


def test_rights_are_those_of_the_user(page: Page) -> None:
    page.run("release")
    for user, expected in (
        ("vera/viewer", {"trigger": False, "steer": False, "override": False}),
        ("bob/user", {"trigger": True, "steer": True, "override": False}),
        ("ada/user", {"trigger": True, "steer": True, "override": True}),
        ("eve:ada/user", {"trigger": True, "steer": True, "override": False}),
    ):
        assert page.json("/overview", user)["running"][0]["rights"] == expected, user


def test_text_stays_text(page: Page) -> None:
    plan = compiled(page, name="odd", summary=HTML)
    page.compile(plan)
    plan_id = page.run("odd", digest=plan.digest)
    page.ledger.request_abort(plan_id, actor="ui:ada", reason=HTML, now=page.now)
    for path in ("/overview", "/plans", "/runs", f"/runs/{plan_id}", "/audit"):
        answer = page.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert HTML in answer.text.replace('\\"', '"')
    assert page.json(f"/runs/{plan_id}")["abort_reason"] == HTML


def test_a_run_with_all_about_it(page: Page) -> None:
    plan = compiled(page, name="release", runbook="https://runbooks.example.com/release")
    page.compile(plan)
    plan_id = page.run("release", "manual__1", "db://orders", digest=plan.digest)
    begun = page.ledger.begin_act(
        claim("s1", dag_id="release", run_id="manual__1", digest=plan.digest), now=page.now
    )
    assert begun.act is not None
    page.ledger.begin_throttle(
        Throttle("s1", plan_id, 4.0, 1.0, 8.0, "task:s1", page.now, json.dumps({"told": "steady"}))
    )
    items = [
        WorkItem(plan_id, "s1", f"n{n}", n, wave=1, state=state, detail="no answer")
        for n, state in enumerate((ItemState.DONE, ItemState.FAILED, ItemState.WAITING))
    ]
    page.ledger.add_items(items)
    found = page.json(f"/runs/{plan_id}")
    row = found["row"]
    assert (row["state"], row["started_by"], row["summary"]) == ("running", "ada", "A small plan")
    first, second = row["steps"]
    assert (first["state"], second["state"]) == ("acting", "untouched")
    assert first["log_url"] == "/dags/release/runs/manual__1/tasks/execute.s1"
    assert first["progress"] == {
        "kind": "wave", "done": 1, "total": 3, "failed": 1, "eta": None,
        "label": "wave 1 of 1, 1 of 3 targets",
    }  # fmt: skip
    assert found["airflow_url"] == "/dags/release/runs/manual__1"
    assert found["runbook"] == "https://runbooks.example.com/release"
    assert found["parameters"] == {"version": "1"}
    assert {lock["resource"] for lock in found["locks"]} == {"db://orders"}
    assert found["throttles"][0]["said"] == "steady"
    assert found["waves"] == [
        {
            "step": "s1", "wave": 1, "counts": {"done": 1, "failed": 1, "waiting": 1},
            "problems": ["n1: no answer"],
        }
    ]  # fmt: skip
    assert found["audit"][0]["what"] == "throttle.began"
    assert "under way" in found["advice"][0]
    assert (found["trace_id"], found["trace_url"]) == (None, None)


def test_answers_are_told_with_why_they_do_not_count(page: Page) -> None:
    plan = compiled(page, name="release")
    page.compile(plan)
    plan_id = page.run("release", "manual__1", digest=plan.digest)
    rule = ApprovalRule(approvers=("group:leads",), users=("ann",), timeout=timedelta(hours=1))
    text = rule.model_dump_json(exclude_defaults=True)
    request = ApprovalRequest(plan_id, "approve", plan.digest, "", "ada", page.now, None, text)
    page.ledger.open_approval(request, "task:approve#1", page.now)
    at = page.now + timedelta(minutes=1)
    for user in ("zoe", "ann"):
        answer = ApprovalAnswer(user, True, HTML, "airflow", at, True, "Airflow")
        page.ledger.record_answer(plan_id, "approve", answer, "task:approve#1", at)
    [approval] = page.json(f"/runs/{plan_id}")["approvals"]
    said = [(item["user"], item["reason"], item["problem"]) for item in approval["answers"]]
    assert said == [("zoe", HTML, "they are no approver."), ("ann", HTML, None)]


def test_lists_of_runs_come_in_pages(page: Page) -> None:
    ids = []
    for number in range(7):
        page.now += timedelta(seconds=1)
        ids.append(page.run(f"plan-{number % 2}", f"manual__{number}"))
        if number % 3 == 0:
            key = page.ledger.run(ids[-1])
            assert key is not None
            page.ledger.finish_run(key.key, Outcome.FAILED, "no", actor="t", now=page.now)
    newest = ids[::-1]

    def listed(query: str) -> list[str]:
        return [row["plan_id"] for row in page.json(f"/runs?{query}")["runs"]]

    walked, cursor = [], ""
    while True:
        found = page.json(f"/runs?limit=3&cursor={cursor}")
        walked.append([row["plan_id"] for row in found["runs"]])
        cursor = found["next_cursor"]
        if cursor is None:
            break
    assert walked == [newest[:3], newest[3:6], newest[6:]]
    assert listed("plan=plan-1") == [ids[5], ids[3], ids[1]]
    assert listed("outcome=failed") == listed("state=failed") == [ids[6], ids[3], ids[0]]
    assert listed("state=live") == listed("state=running") == [ids[5], ids[4], ids[2], ids[1]]
    assert listed("state=ended&plan=plan-0") == [ids[6], ids[0]]
    assert listed("dag_id=plan-1&run_id=manual__3") == [ids[3]]
    page.ledger.hold_run(ids[2], actor="ui:ada", reason="lunch", now=page.now)
    assert listed("state=held") == [ids[2]]
    moment = page.now.isoformat().replace("+", "%2B")
    assert listed(f"since={moment}&state=ended") == [ids[6]]


@pytest.mark.parametrize(
    "query",
    ["state=odd", "limit=0", "limit=501", "cursor=odd", "cursor=WzEsMl0=", "since=now",
     "since=2026-01-01T00:00:00", "outcome=odd", "state=failed&outcome=succeeded"],
)  # fmt: skip
def test_what_makes_no_sense_is_told(page: Page, query: str) -> None:
    page.run("release")
    answer = page.get(f"/runs?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_a_decision_with_its_series(page: Page) -> None:
    plan_id = page.run("release")
    ids = [
        page.ledger.record_decision(item, plan_id=plan_id, step="shift", actor="t", now=page.now)
        for item in (
            slo_decision(page.now - timedelta(minutes=1), bad=40),
            slo_decision(page.now, bad=4_000),
            canary_decision(page.now),
        )
    ]
    gate = page.json(f"/decisions/{ids[1]}")
    assert (gate["decision"]["verdict"], gate["vouched"]) == ("refuse", True)
    left = next(s for s in gate["series"] if s["name"].endswith("budget left"))
    assert [round(value, 2) for _, value in left["points"]] == [0.96, -3.0]
    canary = page.json(f"/decisions/{ids[2]}")
    assert [len(series["points"]) for series in canary["series"]] == [20, 20]
    assert canary["series"][0]["points"][-1] == [page.now.timestamp(), 0.01]
    assert canary["inputs"]["minute"] == 20
    assert [row["id"] for row in page.json(f"/decisions?plan_id={plan_id}")] == ids[::-1]
    assert [row["id"] for row in page.json("/decisions?kind=canary")] == [ids[2]]


def test_readings_of_cost_are_drawn(page: Page) -> None:
    plan_id = page.run("release")
    for value in (10.0, 12.5):
        fact = Fact.measured("cost", value, source="s", observed_at=page.now)
        inputs = CostInputs(now=page.now, moment="start", currency="EUR", cost=fact)
        number = page.ledger.record_decision(
            decide(inputs)[1], plan_id=plan_id, step=None, actor="t", now=page.now
        )
    (series,) = page.json(f"/decisions/{number}")["series"]
    assert (series["name"], series["unit"]) == ("cost an hour", "EUR")
    assert [value for _, value in series["points"]] == [10.0, 12.5]


def test_plans_that_airflow_has_no_more_are_not_due(page: Page) -> None:
    page.compile(compiled(page, name="gone", schedule={"cron": "0 3 * * *"}))
    assert [row["plan"] for row in page.json("/overview")["due"]] == ["gone"]
    page.dags["gone"] = DagNow(is_paused=True, is_stale=False)
    assert page.json("/overview")["due"][0]["paused"] is True
    page.dags["gone"] = DagNow(is_paused=False, is_stale=True)
    assert page.json("/overview")["due"] == page.json("/plans") == []


def test_parameters_come_as_json_schema(page: Page) -> None:
    page.compile(
        compiled(
            page,
            name="release",
            parameters={
                "version": {"type": "string", "pattern": "^1", "max_length": 9},
                "note": {"type": "string", "default": None},
                "dry": {"type": "boolean", "default": False, "title": "Dry run"},
            },
        )
    )
    assert page.json("/plans/release")["parameters"] == {
        "version": {"type": "string", "pattern": "^1", "maxLength": 9},
        "note": {"type": ["null", "string"], "default": None},
        "dry": {"type": "boolean", "default": False, "title": "Dry run"},
    }
