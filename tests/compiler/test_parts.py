"""Steps in parts, with mapped groups: which task comes after which, and under which rule."""

from __future__ import annotations

from typing import Any

import tests.operators.airflow_context  # noqa: F401
from planner_provider.compiler.dag import build_dag
from tests.operators.rollouts import graph

GROUP = "execute.kernel"


def wiring() -> dict[str, tuple[str, set[str]]]:
    dag = build_dag(graph(waves="[1, 50%, 100%]"))
    return {
        task.task_id.removeprefix(f"{GROUP}."): (
            task.trigger_rule.value,
            {up.removeprefix(f"{GROUP}.") for up in task.upstream_task_ids},
        )
        for task in dag.tasks
        if task.task_id.startswith(f"{GROUP}.")
    }


def test_a_rollout_is_wired_so_that_failures_of_targets_are_judged_by_gates() -> None:
    found = wiring()
    assert list(found)[:9] == [
        "targets", "wave-1.begin", "wave-1.drain", "wave-1.http", "wave-1.reboot", "wave-1.back",
        "wave-1.verify", "wave-1.end", "gate-1",
    ]  # fmt: skip
    begin_to_verify = {f"wave-2.{name}" for name in
                       ("begin", "drain", "http", "reboot", "back", "verify")}  # fmt: skip
    assert found["targets"] == ("all_success", {"acquire"})
    assert found["wave-1.begin"] == ("all_success", {"targets"})
    assert found["wave-2.begin"] == ("all_success", {"gate-1"})
    assert found["wave-2.http"] == ("all_success", {"wave-2.drain"})
    assert found["wave-2.end"] == ("none_skipped", begin_to_verify)
    rule = "none_failed_min_one_success"
    assert found["gate-1"] == (rule, {"targets", "wave-1.end"})
    assert found["gate-2"] == (rule, {"gate-1", "wave-2.end"})
    assert found["gate-3"] == (rule, {"gate-2", "wave-3.end"})
    assert found["report"] == ("all_success", {"gate-3"})


def test_each_wave_is_mapped_over_what_the_gate_before_gave() -> None:
    dag = build_dag(graph(waves="[1, 100%]"))
    for wave, source in ((1, "targets"), (2, "gate-1")):
        group: Any = dag.task_group_dict[f"{GROUP}.wave-{wave}"]
        assert [task.task_id for task in group.iter_mapped_dependencies()] == [f"{GROUP}.{source}"]
        for name in group.children:
            assert dag.get_task(name).get_closest_mapped_task_group() is group


def test_the_journal_knows_what_comes_before_what() -> None:
    dag = build_dag(graph(waves="[1, 100%]"))

    def after(name: str) -> tuple[Any, Any]:
        ref: Any = dag.get_task(f"{GROUP}.{name}").plan_ref
        return ref.after, ref.after_same

    assert after("wave-2.begin") == (("kernel/gate-1",), ())
    assert after("wave-2.http") == ((), ("kernel/wave-2/drain",))
    assert after("wave-2.end") == ((), ())
    assert after("gate-2") == (("kernel/gate-1",), ())
    assert after("report") == (("kernel/gate-2",), ())


def test_what_decides_about_the_run_knows_gates_and_not_targets() -> None:
    dag: Any = build_dag(graph(waves="[1, 100%]"))
    names = [step.step for step in dag.get_task("decide").steps]
    assert names == ["kernel/targets", "kernel/gate-1", "kernel/gate-2", "kernel/report"]
    assert not dag.get_task(f"{GROUP}.wave-1.http").failure_ends_run
    assert dag.get_task(f"{GROUP}.gate-1").failure_ends_run
    for name in ("rollback.kernel", "tidy-kernel"):
        assert dag.get_task(name).is_teardown
