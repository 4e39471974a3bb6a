"""Approvals in a real Airflow: given, refused, and tried to be walked around."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from planner_provider.decide.replay import replay
from planner_provider.graph.contacts import Contact
from planner_provider.graph.model import PlanGraph
from planner_provider.ledger import Ledger
from planner_provider.ledger.notices import NoticeState
from planner_provider.ledger.rows import Approval, ApprovalState, CompiledPlan
from planner_provider.localstack.api import ApiRefusedError
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SOURCES = Path(__file__).parent / "hand_wired_approvals"
NUMBERS = itertools.count(1)
USERS = {"admin": "admin", "alice": "op", "bob": "op", "carol": "op", "lena": "op"}
REQUESTER = "admin"
QUIET = 5.0
"""An answer to a younger question may be lost (apache/airflow issue 66374)."""


class Hooks:
    """Webhooks of people in chat."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.refuses: set[str] = set()
        """Kinds of events that are refused once, as a service that is down does."""
        told, refuses = self.told, self.refuses

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                down = body["event"] in refuses
                refuses.discard(body["event"])
                if not down:
                    told.append((self.path.strip("/"), body))
                self.send_response(503 if down else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        port = self.server.server_address[1]
        return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{port}/{name}"})

    def texts(self, name: str, plan_id: str, event: str) -> list[str]:
        of_run = [m for who, m in self.told if who == name and m["plan_id"] == plan_id]
        return [m["text"] for m in of_run if m["event"] == event]

    def events(self, name: str, plan_id: str) -> list[str]:
        return [m["event"] for who, m in self.told if who == name and m["plan_id"] == plan_id]


class Stage:
    """One Airflow, its ledger, and the world that its plans touch."""

    def __init__(self, airflow: LocalAirflow, ledger: Ledger, dags: Path, hooks: Hooks) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.ledger = ledger
        self.dags = dags
        self.hooks = hooks

    def start(
        self, dag_id: str, task_id: str = "approve", *, quiet: float = QUIET, **conf: Any
    ) -> str:
        """Start a run as the requester and wait until it asks."""
        run_id = self.api.trigger(dag_id, conf, run_id=f"run-{next(NUMBERS)}").run_id
        self.wait_until(lambda: self.state(dag_id, run_id, task_id) == "deferred")
        time.sleep(quiet)
        return run_id

    def wait_until(self, what: Callable[[], object], timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while not what():
            assert time.monotonic() < end, "this did not happen in time"
            time.sleep(0.1)

    def state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        return self.api.task_instance(dag_id, run_id, task_id).state

    def answer(
        self, who: str, dag_id: str, run_id: str, task_id: str = "approve", *, yes: bool = True,
        reason: str = "",
    ) -> Any:  # fmt: skip
        """Answer as somebody, as the UI does."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        body = {
            "chosen_options": ["Approve" if yes else "Reject"],
            "params_input": {"reason": reason},
        }
        return self.airflow.api_as(who).call("PATCH", path, body)

    def detail(self, dag_id: str, run_id: str, task_id: str = "approve") -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        return self.api.call("GET", path)

    def asked_again(self, dag_id: str, run_id: str, answers: int, task_id: str = "approve") -> None:
        """Wait until so many answers are on record and the question stands again."""
        self.wait_until(lambda: len(self.approval(dag_id, run_id).answers) == answers)
        self.wait_until(lambda: self.state(dag_id, run_id, task_id) == "deferred")
        time.sleep(QUIET)

    def end(self, dag_id: str, run_id: str) -> str:
        return self.api.wait_for_run(dag_id, run_id, timeout=120).state

    def plan_id(self, dag_id: str, run_id: str) -> str:
        run = self.ledger.run_of(dag_id, run_id)
        assert run is not None
        return run.plan_id

    def approval(self, dag_id: str, run_id: str) -> Approval:
        found = self.ledger.approval_of(self.plan_id(dag_id, run_id), "approve")
        assert found is not None
        return found

    def world(self, run_id: str) -> str:
        file = self.dags / f"world-{run_id}.txt"
        return file.read_text() if file.exists() else ""

    def go(self, run_id: str) -> None:
        (self.dags / f"go-{run_id}").touch()

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The logs of all tries that there are."""
        tries = self.api.task_instance(dag_id, run_id, task_id).try_number or 1
        found = []
        for number in range(1, tries + 1):
            with contextlib.suppress(ApiRefusedError):
                found.append(self.api.task_log(dag_id, run_id, task_id, number))
        return "\n".join(found)

    def audit(self, dag_id: str, run_id: str) -> str:
        entries = self.ledger.audit_of(self.plan_id(dag_id, run_id))
        return "\n".join(f"{e.what} {json.dumps(dict(e.detail), default=str)}" for e in entries)

    def refused_to_act(
        self, dag_id: str, run_id: str, reason: str, outcome: str | None = None
    ) -> None:
        """Nothing was touched, and the reason is in log, ledger and audit."""
        assert self.end(dag_id, run_id) == "failed"
        assert self.world(run_id) == ""
        assert reason in self.log(dag_id, run_id, "touch")
        assert reason in self.audit(dag_id, run_id)
        run = self.ledger.run_of(dag_id, run_id)
        assert run is not None
        assert (outcome or reason) in (run.reason or "")
        assert self.ledger.acts_of(run.plan_id) == ()
        assert self.ledger.check_lease(run.plan_id) is None


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("approval")
    home, dags = base / "home", base / "dags"
    dags.mkdir()
    shutil.copy(SOURCES / "approval_plans.py", dags)
    (dags / "digest.txt").write_text("4" * 64)
    hooks = Hooks()
    env = {
        "AIRFLOW__PLANNER__LIFE_SIGN_SECONDS": "1",
        "AIRFLOW_CONN_SRE_HOOK": hooks.url("sre"),
        "AIRFLOW_CONN_LEADS_HOOK": hooks.url("leads"),
    }
    settings = StackSettings(home=home, dags=dags, env=env, users=USERS)
    with LocalAirflow(settings) as airflow:
        airflow.wait_ready()
        airflow.wait_dag("one")
        yield Stage(airflow, Ledger(f"sqlite:///{home / 'planner.db'}"), dags, hooks)
    hooks.server.shutdown()
    hooks.server.server_close()


def test_an_approver_says_yes_and_the_step_acts(stage: Stage) -> None:
    run = stage.start("one")
    waiting = stage.api.call(
        "GET", "/dags/~/dagRuns/~/hitlDetails",
        query={"response_received": "false", "state": "deferred"},
    )  # fmt: skip
    asked = [d for d in waiting["hitl_details"] if d["task_instance"]["dag_run_id"] == run]
    assert [d["subject"] for d in asked] == ["Approve one: Touch the world?"]
    assert "touch: write a line" in asked[0]["body"]
    assert "Risk: " in asked[0]["body"]
    assert "not admin, who started it" in asked[0]["body"]
    stage.answer("alice", "one", run, reason="looks good")
    assert stage.end("one", run) == "success"
    assert stage.world(run) == "version 1\n"
    approval = stage.approval("one", run)
    assert approval.state is ApprovalState.GRANTED
    assert approval.request.requester == REQUESTER
    [answer] = approval.answers
    assert (answer.user, answer.approve, answer.reason) == ("alice", True, "looks good")
    assert (answer.via, answer.verified) == ("airflow", True)
    decision = stage.ledger.decision(approval.decision_id or 0)
    assert decision is not None
    assert replay(decision.decision).equal
    detail = stage.detail("one", run)
    assert detail["responded_by_user"]["id"] == "alice", "Airflow has its own record"


@pytest.mark.parametrize("number", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in (2, 3))])
def test_an_answer_in_the_first_second_is_not_lost(stage: Stage, number: int) -> None:
    run = stage.start("one", quiet=0)
    stage.answer("alice", "one", run)
    assert stage.end("one", run) == "success"
    assert stage.world(run) == "version 1\n"
    [answer] = stage.approval("one", run).answers
    assert answer.user == "alice"


@pytest.mark.soak
def test_two_people_are_two_people(stage: Stage) -> None:
    run = stage.start("two", "approve_2")
    stage.answer("alice", "two", run, "approve_1")
    stage.wait_until(lambda: stage.state("two", run, "approve_1") == "success")
    stage.answer("alice", "two", run, "approve_2")
    waiting = "1 more must approve, out of bob"
    stage.wait_until(lambda: stage.log("two", run, "approve_2").count(waiting) == 1)
    stage.wait_until(lambda: stage.state("two", run, "approve_2") == "deferred")
    assert stage.world(run) == ""
    assert stage.state("two", run, "hold") is None
    time.sleep(QUIET)
    stage.answer("bob", "two", run, "approve_2")
    assert stage.end("two", run) == "success"
    assert stage.world(run) == "version 1\n"
    found = [stage.detail("two", run, f"approve_{n}")["responded_by_user"]["id"] for n in (1, 2)]
    assert found == ["alice", "bob"]


def test_marking_the_approval_as_success_approves_nothing(stage: Stage) -> None:
    run = stage.start("one")
    stage.api.set_task_state("one", run, "approve", "success")
    stage.refused_to_act("one", run, "it is still open: too few have answered")
    assert stage.approval("one", run).state is not ApprovalState.GRANTED


def test_an_xcom_approves_nothing(stage: Stage) -> None:
    run = stage.start("one")
    path = f"/dags/one/dagRuns/{run}/taskInstances/approve/xcomEntries"
    forged = {"state": "granted", "by": ["alice"], "decision": 1}
    stage.api.call("POST", path, {"key": "return_value", "value": forged, "map_index": -1})
    stage.api.set_task_state("one", run, "approve", "success")
    stage.refused_to_act("one", run, "Only the record in the ledger counts")
    assert stage.api.xcom("one", run, "approve") == forged


def test_strangers_and_the_requester_do_not_count_and_one_no_is_enough(stage: Stage) -> None:
    run = stage.start("one")
    stage.answer("carol", "one", run)
    stage.asked_again("one", run, 1)
    stage.answer(REQUESTER, "one", run)
    stage.asked_again("one", run, 2)
    assert stage.world(run) == ""
    for reason in ("they are no approver", "they started the run themselves"):
        assert reason in stage.log("one", run, "approve")
        assert reason in stage.audit("one", run)
    stage.answer("bob", "one", run, yes=False, reason="not today")
    assert stage.end("one", run) == "failed"
    assert stage.world(run) == ""
    assert stage.approval("one", run).state is ApprovalState.REJECTED
    assert "bob rejected it" in stage.audit("one", run)
    assert "not today" in stage.log("one", run, "approve")
    record = stage.ledger.run_of("one", run)
    assert record is not None
    assert record.outcome is not None
    assert record.outcome.value == "rejected"

    # and marking it as success afterwards, with what follows cleared, changes nothing
    stage.api.clear("one", run, ["hold"])
    assert stage.end("one", run) == "failed"
    assert stage.world(run) == ""


def test_an_answer_after_the_time_is_over(stage: Stage) -> None:
    run = stage.start("brief")
    stage.wait_until(lambda: stage.state("brief", run, "approve") == "failed")
    assert stage.approval("brief", run).state is ApprovalState.EXPIRED
    with contextlib.suppress(ApiRefusedError):
        stage.answer("alice", "brief", run)  # Airflow may take it; it changes nothing
    stage.end("brief", run)
    stage.api.set_task_state("brief", run, "approve", "success")  # what follows begins again
    stage.end("brief", run)
    stage.api.clear("brief", run, ["hold"])
    over = "The time for answers was over"
    stage.refused_to_act("brief", run, "nobody answered in time", over)
    assert over in stage.log("brief", run, "approve")
    assert over in stage.audit("brief", run)


def test_another_version_needs_another_approval(stage: Stage) -> None:
    run = stage.start("changing", hold=True)
    stage.answer("alice", "changing", run)
    stage.wait_until(lambda: stage.state("changing", run, "hold") == "running")
    (stage.dags / "digest.txt").write_text("7" * 64)
    try:
        stage.go(run)
        assert stage.end("changing", run) == "failed"
        assert stage.world(run) == ""
        said = "The plan was changed while this run was under way"
        assert said in stage.log("changing", run, "acquire")
        assert said in stage.audit("changing", run)
    finally:
        (stage.dags / "digest.txt").write_text("4" * 64)


def test_other_parameters_need_another_approval(stage: Stage) -> None:
    run = stage.start("one", hold=True, version="1")
    stage.answer("alice", "one", run)
    stage.wait_until(lambda: stage.state("one", run, "hold") == "running")
    with sqlite3.connect(stage.airflow.settings.database, timeout=30) as database:
        conf = json.dumps({"hold": True, "version": "2"})
        database.execute("UPDATE dag_run SET conf = ? WHERE run_id = ?", (conf, run))
    database.close()
    stage.api.clear("one", run, ["assess"], downstream=False)
    stage.wait_until(lambda: stage.state("one", run, "assess") == "success")
    stage.go(run)
    stage.refused_to_act("one", run, "it was given for other parameters")


def test_an_abort_closes_the_question_within_ten_seconds(stage: Stage) -> None:
    run = stage.start("one")
    plan_id = stage.plan_id("one", run)
    stage.ledger.request_abort(plan_id, actor="cli", reason="enough", now=datetime.now(UTC))
    begun = time.monotonic()
    stage.wait_until(lambda: stage.state("one", run, "approve") == "failed", 20)
    took = time.monotonic() - begun
    assert took < 10
    assert stage.approval("one", run).state is ApprovalState.CANCELLED
    assert stage.end("one", run) == "failed"
    assert stage.world(run) == ""


@pytest.mark.soak
def test_escalation_is_told_once_and_lets_others_answer(stage: Stage) -> None:
    run = stage.start("climbing")
    plan_id = stage.plan_id("climbing", run)
    assert stage.hooks.events("sre", plan_id) == ["needs_approval"]
    assert stage.hooks.events("leads", plan_id) == []
    stage.airflow.restart("triggerer")
    stage.wait_until(lambda: stage.hooks.events("leads", plan_id), 60)
    [text] = stage.hooks.texts("leads", plan_id, "approval_escalated")
    assert "Approve climbing: Touch the world?" in text
    assert f"/dags/climbing/runs/{run}/tasks/approve/required_actions" in text
    stage.wait_until(lambda: stage.state("climbing", run, "approve") == "deferred")
    stage.airflow.restart("triggerer")
    time.sleep(QUIET)
    stage.answer("lena", "climbing", run)
    assert stage.end("climbing", run) == "success"
    assert stage.hooks.events("leads", plan_id) == ["approval_escalated", "approved", "done"]
    assert stage.hooks.events("sre", plan_id) == ["needs_approval", "approved"]


def test_the_owner_hears_of_everything_once_also_of_what_no_task_tells(stage: Stage) -> None:
    """A hold is told by who waits; what a service did not take is told again: by the triggerer
    while something waits there, by the scheduler when the run is over."""
    address = json.loads(stage.hooks.url("owner"))["host"]
    given = {"connection_id": "owner_hook", "conn_type": "http", "host": address}
    stage.api.call("POST", "/connections", given)
    contact = Contact(team="team-shop", connections=("owner_hook",))
    graph = PlanGraph(
        name="one", owner="team-shop", summary="Touch the world", tasks=(), edges=(),
        contacts=(contact,),
    )  # fmt: skip
    now = datetime.now(UTC)
    stage.ledger.remember_compiled(
        [CompiledPlan("one", "1" * 64, graph.to_json(), "one.yaml", "sha", now)]
    )
    run = stage.start("one")
    plan_id = stage.plan_id("one", run)
    stage.hooks.refuses.add("held")
    stage.ledger.hold_run(plan_id, actor="ann", reason="odd latency", now=now)
    stage.wait_until(lambda: "held" in stage.hooks.events("owner", plan_id), 60)
    assert stage.hooks.refuses == set(), "the first time it was not taken"
    [text] = stage.hooks.texts("owner", plan_id, "held")
    assert "odd latency" in text
    assert f"/planner/#/runs/{plan_id}" in text
    stage.ledger.resume_run(plan_id, actor="ann", reason=None, now=datetime.now(UTC))
    stage.wait_until(lambda: "resumed" in stage.hooks.events("owner", plan_id), 30)
    stage.hooks.refuses.add("done")
    stage.answer("alice", "one", run)
    assert stage.end("one", run) == "success"
    assert "done" not in stage.hooks.events("owner", plan_id)
    stage.wait_until(lambda: "done" in stage.hooks.events("owner", plan_id), 60)
    assert stage.hooks.events("owner", plan_id) == [
        "needs_approval", "held", "resumed", "approved", "done",
    ]  # fmt: skip
    stage.wait_until(
        lambda: {n.state for n in stage.ledger.notices_of(plan_id)} == {NoticeState.SENT}
    )


def test_a_rule_approves_what_is_not_risky(stage: Stage) -> None:
    run = stage.api.trigger("easy", {}, run_id=f"run-{next(NUMBERS)}").run_id
    assert stage.end("easy", run) == "success"
    assert stage.world(run) == "version 1\n"
    [answer] = stage.approval("easy", run).answers
    assert (answer.via, answer.user) == ("rule", "rule:auto_approve")


@pytest.mark.soak
def test_by_hand_without_a_ledger(stage: Stage) -> None:
    run = stage.start("by_hand", "ask")
    assert stage.detail("by_hand", run, "ask")["subject"] == f"Go on with {run}?"
    stage.answer("alice", "by_hand", run, "ask")
    stage.wait_until(lambda: stage.detail("by_hand", run, "ask")["response_received"] is False)
    stage.wait_until(lambda: stage.state("by_hand", run, "ask") == "deferred")
    time.sleep(QUIET)
    stage.answer("bob", "by_hand", run, "ask")
    assert stage.end("by_hand", run) == "success"


@pytest.mark.soak
def test_a_sensor_of_another_dag_waits_for_it(stage: Stage) -> None:
    run = stage.start("one")
    plan_id = stage.plan_id("one", run)
    watching = stage.api.trigger("watcher", {"plan_id": plan_id}, run_id=f"w-{run}").run_id
    stage.wait_until(lambda: stage.state("watcher", watching, "watch") == "deferred")
    stage.answer("bob", "one", run)
    assert stage.end("watcher", watching) == "success"
    assert stage.end("one", run) == "success"
