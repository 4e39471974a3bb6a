from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

import tests.operators.airflow_context  # noqa: F401
from planner_provider.compiler.dag import STALE_TAG, URGENT, build_dag
from planner_provider.graph.model import PlanGraph, TaskKind
from tests.graph.plans import every_field, graph_of, put, small, undo
from tests.hooks.test_arm_counts import slo
from tests.operators.slo_looks import SLO

SERIALIZE = """
import json, sys
from airflow.serialization.serialized_objects import DagSerialization
from planner_provider.compiler.dag import build_dag
from planner_provider.graph.model import PlanGraph
dag = build_dag(PlanGraph.from_json(sys.stdin.read()))
print("SERIALIZED", json.dumps(DagSerialization.to_dict(dag), sort_keys=True))
"""
EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"


def everything() -> dict[str, Any]:
    """A plan with every field, with arguments that its operator takes."""
    data = every_field()
    for step in data["spec"]["steps"]:
        if "operator" in step:
            step["operator"].pop("arguments", None)
    return data


GRAPHS = {
    "every field": graph_of(everything()),
    "small": graph_of(small()),
    "parallel": graph_of(
        small(
            put("a", rollback=undo()),
            put("b", rollback=undo()),
            put("c", after=["a"], rollback="none"),
            put("d", after=["a", "b"], rollback=undo()),
        )
    ),
}


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", EMPTY)


@pytest.fixture(params=GRAPHS, name="graph")
def _graph(request: pytest.FixtureRequest) -> PlanGraph:
    return GRAPHS[request.param]


def edges(dag: DAG) -> set[tuple[str, str]]:
    return {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}


def ids(graph: PlanGraph, task_id: str) -> list[str]:
    """The task ids of a task of the graph, one after the other, without mapped ones."""
    parts = graph.by_id[task_id].parts
    return [f"{task_id}.{part.id}" for part in parts if not part.each] or [task_id]


def mapped(graph: PlanGraph) -> set[str]:
    """The task ids of what is done for each item; tests/compiler/test_parts.py is about these."""
    return {
        f"{task.id}.{part.id}.{inner.id}"
        for task in graph.tasks
        for part in task.parts
        for inner in part.each
    }


def test_tasks_and_edges_are_those_of_the_graph(graph: PlanGraph) -> None:
    dag = build_dag(graph)
    plain = {made for task_id in graph.by_id for made in ids(graph, task_id)}
    assert set(dag.task_ids) == plain | mapped(graph)
    drawn = {
        (ids(graph, edge.upstream)[-1], ids(graph, edge.downstream)[0]) for edge in graph.edges
    }
    for task_id in graph.by_id:
        drawn |= set(pairwise(ids(graph, task_id)))
    cleans_up = {(task.teardown_of, task.id) for task in graph.tasks if task.teardown_of}
    with_items = {t.id for t in graph.tasks if any(part.each for part in t.parts)}
    inside = {
        (up, down)
        for up, down in edges(dag)
        if any(up.startswith(f"{t}.") and down.startswith(f"{t}.") for t in with_items)
    }
    of_items = {pair for t in with_items for pair in pairwise(ids(graph, t))}
    assert edges(dag) - inside == (drawn | cleans_up) - inside - of_items


def test_teardowns_setups_and_trigger_rules_are_those_of_the_graph(graph: PlanGraph) -> None:
    dag = build_dag(graph)
    for task in graph.tasks:
        made: Any = dag.get_task(ids(graph, task.id)[0])
        assert made.is_setup == task.is_setup
        assert made.is_teardown == (task.teardown_of is not None)
        assert made.trigger_rule.value == task.trigger_rule
        if task.teardown_of:
            assert made.on_failure_fail_dagrun
            assert task.teardown_of in made.upstream_task_ids


def test_retries_timeouts_and_pools_are_those_of_the_graph(graph: PlanGraph) -> None:
    dag = build_dag(graph)
    for task in graph.tasks:
        if task.kind is TaskKind.BEGIN:
            continue
        made: Any = dag.get_task(ids(graph, task.id)[0])
        assert made.retries == task.retries.limit
        assert made.retry_delay == task.retries.delay
        assert made.execution_timeout == task.timeout
        assert made.pool == (task.pool or "default_pool")


def test_no_rollback_waits_for_a_worker_behind_what_only_begins(graph: PlanGraph) -> None:
    dag: Any = DagSerialization.from_dict(DagSerialization.to_dict(build_dag(graph)))
    weights = {t.task_id: t.weight_rule.get_weight(SimpleNamespace(task=t)) for t in dag.tasks}
    for task_id, below in edges(dag):
        assert weights[below] > weights[task_id]
    back = {t for t, weight in weights.items() if weight >= URGENT}
    after = dag.get_task("decide").get_flat_relative_ids(upstream=False)
    assert back == {"decide", *after}
    assert {task.label for task in graph.tasks if task.kind is TaskKind.UNDO} <= {
        task_id.removeprefix("rollback.") for task_id in back
    }


def test_finish_is_the_only_leaf(graph: PlanGraph) -> None:
    assert [task.task_id for task in build_dag(graph).leaves] == ["finish"]


def test_the_plan_shows_what_people_need(graph: PlanGraph) -> None:
    dag = build_dag(graph)
    assert dag.dag_id == graph.name
    assert dag.description == graph.summary
    assert graph.digest in (dag.doc_md or "")
    assert {"plan", graph.owner} <= dag.tags
    assert STALE_TAG not in dag.tags
    assert dag.catchup is False


def test_a_plan_that_is_not_the_newest_says_so() -> None:
    dag = build_dag(GRAPHS["small"], stale="The spec is broken (a.yaml:1:2: <oops>).")
    assert STALE_TAG in dag.tags
    assert (dag.doc_md or "").startswith("> **Not the newest spec.** The spec is broken (a.yaml")
    assert "<oops>" not in (dag.doc_md or "")


def test_guards_hold_up_steps_but_never_what_undoes_them() -> None:
    flag = {"flag": {"name": "new_cart", "action": "enable", "connection": "api"}}
    steps = [{"id": "auto", **flag, "rollback": "auto"}, put("own", rollback=undo())]
    graph = graph_of(small(*steps, guards={"slos": [SLO.name]}))
    dag = build_dag(graph.model_copy(update={"slos": (SLO,)}))
    assert {task.task_id for task in dag.tasks if getattr(task, "guard_slos", ())} == {
        "execute.auto", "execute.own",
    }  # fmt: skip


COST = {"connection": "prom", "query": "shop_cost", "currency": "EUR"}


@pytest.mark.parametrize("limit", [None, 0, 5])
def test_a_limit_of_cost_holds_up_what_changes_something(limit: int | None) -> None:
    wait = {"id": "w", "wait": {"for": "1m"}}
    cost = COST | ({} if limit is None else {"max_increase": limit})
    graph = graph_of(small(wait, put("own", rollback=undo()), cost=cost))
    dag = build_dag(graph)
    guarded = {task.task_id for task in dag.tasks if getattr(task, "guard_cost", None)}
    assert guarded == (set() if limit is None else {"execute.own"})
    measured = {task.task_id for task in dag.tasks if getattr(task, "cost", None) == graph.cost}
    assert measured == {"acquire", "finish"} | (set() if limit is None else {"decide"})


def test_a_plan_that_changes_nothing_is_not_undone_for_its_cost() -> None:
    graph = graph_of(small({"id": "w", "wait": {"for": "1m"}}, cost=COST | {"max_increase": 5}))
    assert build_dag(graph).get_task("decide").cost is None


def test_targets_and_weights_are_held_up_too() -> None:
    graph = graph_of(everything())
    dag = build_dag(graph)
    held = {task.task_id for task in dag.tasks if getattr(task, "guard_cost", None)}
    held |= {task.task_id for task in dag.tasks if getattr(task, "turn_cost", None)}
    assert "execute.canary.deploy" in held
    patch = {task_id for task_id in held if task_id.startswith("execute.patch.")}
    assert {task_id.rpartition(".")[2] for task_id in patch} == {"targets", "begin"}
    assert not any(task_id.startswith("rollback.") for task_id in held)


def test_the_schedule_is_the_plans() -> None:
    data = small(schedule={"cron": "0 3 * * *", "timezone": "Europe/Berlin"})
    timetable: Any = build_dag(graph_of(data)).timetable
    assert timetable.expression == "0 3 * * *"
    assert "Europe/Berlin" in str(timetable.timezone)
    assert not build_dag(graph_of(small())).timetable.can_be_scheduled


def test_parameters_keep_their_limits() -> None:
    data = small(
        parameters={
            "version": {"type": "string", "pattern": "^[0-9.]+$", "description": "What to ship."},
            "share": {"type": "integer", "default": 5, "minimum": 1, "maximum": 100},
        }
    )
    params = build_dag(graph_of(data)).params
    assert params.get_param("share").schema == {"type": "integer", "minimum": 1, "maximum": 100}
    assert params.get_param("share").value == 5
    assert params.get_param("version").schema["pattern"] == "^[0-9.]+$"
    assert not params.get_param("version").has_value


@pytest.mark.parametrize("name", ["every field", "parallel"])
def test_the_same_graph_gives_the_same_dag_everywhere(name: str, tmp_path: Path) -> None:
    assert serialized(GRAPHS[name], "1", tmp_path) == serialized(GRAPHS[name], "2", tmp_path)


def serialized(graph: PlanGraph, seed: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SERIALIZE],
        input=graph.to_json(),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed, "AIRFLOW_HOME": str(home)},
    )
    return next(line for line in done.stdout.splitlines() if line.startswith("SERIALIZED"))


def test_a_step_is_guarded_by_its_own_slos_and_one_that_changes_by_the_plans_too() -> None:
    guarded = everything()
    graph = graph_of(guarded)
    slos = (slo().model_copy(update={"name": "shop-availability"}),)
    made = build_dag(graph.model_copy(update={"slos": slos}))
    names = {
        task.task_id: [item.name for item in getattr(task, "guard_slos", ())] for task in made.tasks
    }
    assert graph.guards.slos == ("shop-availability",)
    assert names["execute.canary.deploy"] == ["shop-availability"]
    assert names["execute.notify"] == []
