from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from planner_provider.errors import AbortedError, NotAvailableError, RefusedError
from planner_provider.graph.chunk_parts import chunk_parts
from planner_provider.hooks.chunk_slots import ASKS, Places
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.chunks import ChunkPart
from planner_provider.operators.plan_ref import Role
from planner_provider.spec.workloads import Backfill
from planner_provider.triggers.slots import SlotTrigger
from tests.operators.plan_runs import PlanRunCase, database

ACTION: dict[str, Any] = {
    "chunks": {
        "size": "1h",
        "sql": {
            "connection": "shop",
            "statement": "INSERT INTO done VALUES (:chunk_begin, '{{ chunk.end }}')",
        },
    },
    "from": "2026-11-01T00:00Z",
    "to": "2026-11-01T04:00Z",
    "throttle": {"max": 2},
}


class Case(PlanRunCase):
    """A step over chunks: its parts are run as tasks, its chunks do what a test says."""

    def __init__(self, folder: Path, action: dict[str, Any]) -> None:
        super().__init__(database(folder))
        self.leased()
        self.action = Backfill.model_validate(action)
        self.parts = {part.id: part for part in chunk_parts(self.action)}
        self.parts["run"] = self.parts["chunks"].each[0]

    def part(self, name: str, index: int = -1, **more: Any) -> Any:
        step = f"fill/chunks/{name}" if name == "run" else f"fill/{name}"
        operator: Any = ChunkPart.from_action(
            self.action, part=self.parts[name], plan_ref=self.ref(Role.STEP, step), task_id=name,
            **more,
        )  # fmt: skip
        self.index = index
        return operator

    def context(self, task_id: str, try_number: int = 1, **more: Any) -> dict[str, Any]:
        context = super().context(task_id, try_number, **more)
        context["ti"].map_index = self.index
        return context

    def item_states(self) -> list[str]:
        return [item.state.value for item in self.items()]

    def items(self) -> tuple[WorkItem, ...]:
        return self.ledger.items_of(self.plan_id, "fill")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    shop = tmp_path / "shop.db"
    with sqlite3.connect(shop) as connection:
        connection.execute("CREATE TABLE done (first, last)")
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?)", [(n,) for n in range(11, 36)])
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(shop)}))

    def make(**changes: Any) -> Case:
        case = Case(tmp_path, ACTION | changes)
        for name in ("chunks", "chunk_task", "chunk_split", "chunk_run", "plan_step", "stopped"):
            module = f"planner_provider.operators.{name}"
            monkeypatch.setattr(f"{module}.open_ledger", lambda: case.ledger)
        case.shop = shop  # type: ignore[attr-defined]
        return case

    return make


def rows(case: Any) -> list[Any]:
    with sqlite3.connect(case.shop) as connection:
        return connection.execute("SELECT * FROM done ORDER BY 1").fetchall()


def test_a_step_over_time(made: Any) -> None:
    case = made()
    assert case.run(case.part("split")) == [f"2026-11-01 0{hour}:00:00" for hour in range(4)]
    assert case.run(case.part("split"), 2) == [f"2026-11-01 0{hour}:00:00" for hour in range(4)]
    for index in range(4):
        assert case.run(case.part("run", index)) == {"done": 1, "failed": 0}
    assert rows(case)[3] == ("2026-11-01 03:00:00", "2026-11-01 04:00:00")
    assert case.ledger.slot_holders(case.plan_id, "fill") == ()
    found = case.run(case.part("check"))
    assert found == {"total": 4, "done": 4, "failed": 0, "left": 0, "failed_chunks": []}
    assert case.last["ti"].pushed["progress"] == found


def test_numbers_are_found_out_when_it_begins(made: Any) -> None:
    keys = {
        "connection": "shop",
        "first": "SELECT min(id) FROM orders WHERE :begin < :end",
        "last": "SELECT max(id) FROM orders",
        "size": 10,
    }
    sql = {"connection": "shop", "statement": "INSERT INTO done VALUES (:chunk_begin, :chunk_end)"}
    case = made(chunks={"keys": keys, "sql": sql}, order="newest_first")
    assert case.run(case.part("split")) == ["31", "21", "11"]
    for index in range(3):
        case.run(case.part("run", index))
    assert rows(case) == [(11, 21), (21, 31), (31, 36)]
    with sqlite3.connect(case.shop) as connection:
        connection.execute("DELETE FROM orders")
    empty = made(chunks={"keys": keys, "sql": sql})
    empty.ledger = type(case.ledger)(case.ledger.url.replace("planner.db", "other.db"))
    empty.leased()
    assert empty.run(empty.part("split")) == []


def test_a_task_does_some_where_there_are_too_many(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner_provider.decide.chunks.MOST_TASKS", 2)
    case = made()
    labels = case.run(case.part("split"))
    assert labels == [
        "2026-11-01 00:00:00 to 2026-11-01 01:00:00 (2 chunks)",
        "2026-11-01 02:00:00 to 2026-11-01 03:00:00 (2 chunks)",
    ]
    assert case.run(case.part("run", 1)) == {"done": 2, "failed": 0}
    assert case.item_states() == ["waiting", "waiting", "done", "done"]
    with pytest.raises(RefusedError, match="2 of 4 chunks were not done"):
        case.run(case.part("check"))


def test_without_a_slot_it_waits_without_a_worker(made: Any) -> None:
    case = made(throttle={"max": 1})
    case.run(case.part("split"))
    assert case.ledger.take_slot(case.plan_id, "fill", "another", 1, now=case.time.now())
    with pytest.raises(TaskDeferred) as deferred:
        case.run(case.part("run", 0))
    trigger: Any = deferred.value.trigger
    assert isinstance(trigger, SlotTrigger)
    assert (trigger.item, deferred.value.method_name) == (case.items()[0].item, "granted")
    assert (case.items()[0].state, case.items()[0].detail) == (ItemState.WAITING, ASKS)
    assert rows(case) == []
    assert case.acts()[-1].parked_at is not None
    with pytest.raises(AbortedError):
        case.part("run", 0).granted(case.context("run"), {"abort": case.time.now().isoformat()})


class TestHold:
    def hold(self, case: Any) -> None:
        case.ledger.hold_run(case.plan_id, actor="ada", reason="Lag.", now=case.time.now())

    def resume(self, case: Any) -> None:
        case.ledger.resume_run(case.plan_id, actor="ada", reason=None, now=case.time.now())

    def test_no_chunk_begins_and_no_slot_is_kept(
        self, made: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("planner_provider.decide.chunks.MOST_TASKS", 1)
        case = made()
        case.run(case.part("split"))
        operator = case.part("run", 0)
        begun = type(operator)._do

        def do(self: Any, context: Any, item: WorkItem) -> None:
            begun(self, context, item)
            if case.item_states().count("done") == 1:
                TestHold().hold(case)  # while the second one acts

        monkeypatch.setattr(type(operator), "_do", do)
        with pytest.raises(TaskDeferred) as deferred:
            case.run(operator)
        assert case.item_states() == ["done", "done", "waiting", "waiting"]
        assert isinstance(deferred.value.trigger, SlotTrigger)
        assert case.ledger.slot_holders(case.plan_id, "fill") == ()
        with pytest.raises(TaskDeferred):
            operator.granted(case.last, {"slot": case.items()[2].item})
        self.resume(case)
        assert operator.granted(case.last, {"slot": "x"}) == {"done": 4, "failed": 0}
        assert len(rows(case)) == 4

    def test_a_hold_between_the_slot_and_the_begin_counts(
        self, made: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case = made()
        case.run(case.part("split"))
        operator = case.part("run", 0)
        monkeypatch.setattr(type(operator), "_take", lambda *_: self.hold(case) or True)
        with pytest.raises(TaskDeferred):
            case.run(operator)
        assert (case.item_states(), rows(case)) == (["waiting"] * 4, [])


def test_what_fails_is_tried_again_and_counted(made: Any) -> None:
    bad = {"connection": "shop", "statement": "INSERT INTO gone VALUES (:chunk_begin)"}
    case = made(chunks={"size": "1h", "sql": bad}, attempts=2, max_errors=1)
    case.run(case.part("split"))
    assert case.run(case.part("run", 0)) == {"done": 0, "failed": 1}
    assert case.items()[0].tries == 2
    assert "gone" in (case.items()[0].detail or "")
    assert case.run(case.part("run", 1)) == {"done": 0, "failed": 1}
    with pytest.raises(RefusedError, match="2 of 4 chunks failed, and 1 may: no chunk begins"):
        case.run(case.part("run", 2))
    with pytest.raises(RefusedError, match="2 of 4 chunks failed, and 1 may"):
        case.run(case.part("check"))
    assert case.ledger.slot_holders(case.plan_id, "fill") == ()


def test_what_is_done_is_not_done_again(made: Any) -> None:
    case = made()
    case.run(case.part("split"))
    first = case.items()[0]
    case.ledger.move_item(case.plan_id, "fill", first.item, ItemState.DONE, now=case.time.now())
    assert case.run(case.part("run", 0)) == {"done": 1, "failed": 0}
    assert rows(case) == []


def test_a_command_knows_its_chunk(made: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = f'echo "$PLANNER_CHUNK_BEGIN {{{{ chunk.end }}}}" >> {out}'
    case = made(chunks={"size": "2h", "shell": {"command": command}})
    case.run(case.part("split"))
    case.run(case.part("run", 1))
    assert out.read_text() == "2026-11-01 02:00:00 2026-11-01 04:00:00\n"


def test_a_dry_run_touches_nothing(made: Any) -> None:
    case = made(dry_run=True)
    assert case.run(case.part("split")) == []
    assert case.items() == ()
    assert case.run(case.part("check"))["total"] == 0


def test_pods_are_not_available() -> None:
    action = Backfill.model_validate(ACTION | {"chunks": {"size": "1h", "pod": {"image": "a:1"}}})
    with pytest.raises(NotAvailableError):
        ChunkPart.from_action(
            action,
            part=chunk_parts(action)[0],
            plan_ref=object(),
            task_id="x",  # type: ignore[arg-type]
        )


def test_who_may_try_for_a_slot() -> None:
    places = Places(limit=4, holders=frozenset("xyz"), asking=("a", "b", "c", "d", "e"))
    tries = [item for item in "abcdef" if places.may_try(item, lambda: 1.0)]
    assert tries == ["a", "b", "c", "f"]  # f has not been seen to ask yet
    assert places.may_try("e", lambda: 0.0)
    assert places.may_try("x", lambda: 1.0)
    assert not Places(2, frozenset("xy"), ()).may_try("a", lambda: 0.0)
