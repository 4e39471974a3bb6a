from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planner_provider.graph.model import PlanGraph, TaskKind
from planner_provider.spec.plan import Step
from tests.graph.plans import every_field, graph_of, put, small, undo


def ids(graph: PlanGraph) -> list[str]:
    return [task.id for task in graph.tasks]


def test_the_smallest_plan() -> None:
    graph = graph_of(small(put("a")))
    assert ids(graph) == [
        "begin", "assess", "acquire", "execute.a", "decide", "release", "finish",
    ]  # fmt: skip
    assert [group.id for group in graph.groups] == ["execute"]
    assert [(edge.upstream, edge.downstream) for edge in graph.edges] == list(
        zip(ids(graph), ids(graph)[1:], strict=False)
    )


def test_a_plan_with_everything() -> None:
    graph = graph_of(
        small(
            put("a", rollback=undo()),
            put("b", rollback="none"),
            put("c", rollback=undo()),
            verify={"http": [{"connection": "api"}]},
            approval={"approvers": ["group:sre"]},
            guards={"slos": ["x"]},
            schedule={"calendar": "nights"},
        )
    )
    assert ids(graph) == [
        "begin", "assess", "approve", "window", "guard", "acquire",
        "execute.a", "execute.b", "execute.c", "verify", "decide",
        "rollback.c", "rollback.a", "verify_rollback", "release", "finish",
    ]  # fmt: skip
    assert [(item.step, item.task) for item in graph.compensations] == [
        ("a", "rollback.a"),
        ("c", "rollback.c"),
    ]
    assert graph.downstream("decide") == ("rollback.c", "rollback.a", "verify_rollback")
    assert graph.upstream("rollback.a") == ("rollback.c", "decide")


def test_what_must_happen_anyway_is_a_teardown() -> None:
    graph = graph_of(every_field())
    anyway = {
        TaskKind.DECIDE, TaskKind.UNDO, TaskKind.TIDY, TaskKind.VERIFY_ROLLBACK,
        TaskKind.RELEASE, TaskKind.FINISH,
    }  # fmt: skip
    for task in graph.tasks:
        expected = "begin" if task.kind is TaskKind.FINISH else "acquire"
        assert task.teardown_of == (expected if task.kind in anyway else None), task.id
        assert (task.trigger_rule == "all_done_setup_success") == (task.kind in anyway)
        assert task.is_setup == (task.id in {"begin", "acquire"})


def test_parallel_steps_start_together_and_end_before_the_decision() -> None:
    graph = graph_of(
        small(put("a"), put("b", after=[]), put("c", after=["a"]), put("d", after=["a"]))
    )
    assert graph.upstream("execute.a") == graph.upstream("execute.b") == ("acquire",)
    assert graph.upstream("decide") == ("execute.b", "execute.c", "execute.d")


def test_a_step_may_stand_before_what_it_waits_for() -> None:
    graph = graph_of(small(put("late", after=["early"]), put("early", after=[])))
    assert [task.label for task in graph.steps] == ["early", "late"]


def test_defaults_reach_steps_that_say_nothing() -> None:
    graph = graph_of(
        small(put("a"), put("b", timeout="1m"), defaults={"timeout": "5m", "pool": "p"})
    )
    a, b = graph.steps
    assert (a.timeout, b.timeout) != (None, None)
    assert [step.timeout.total_seconds() for step in (a, b) if step.timeout] == [300, 60]
    assert (a.pool, b.pool) == ("p", "p")


def test_strongest_touch_wins() -> None:
    touches = [
        {"service": "b"},
        {"service": "b", "mode": "shared"},
        {"service": "a", "mode": "shared"},
    ]
    graph = graph_of(small(touches=touches))
    assert [(item.resource, item.mode) for item in graph.touches] == [
        ("service://a", "shared"),
        ("service://b", "exclusive"),
    ]


def test_no_step_loses_what_it_does() -> None:
    data = every_field()
    steps = {raw["id"]: Step.model_validate(raw) for raw in data["spec"]["steps"]}
    for task in graph_of(data).steps:
        assert task.action is not None
        assert task.action.action == steps[task.label].action
        assert task.guards == steps[task.label].guards


@given(st.permutations(range(6)), st.integers(0, 2**15 - 1))
def test_every_task_comes_after_its_upstream_tasks(order: list[int], bits: int) -> None:
    """Any graph of steps without a circle, listed in any order."""
    pairs = [(low, high) for high in range(6) for low in range(high)]
    chosen = [pair for number, pair in enumerate(pairs) if bits >> number & 1]
    steps = [
        put(f"s{step}", after=[f"s{low}" for low, high in chosen if high == step], rollback=undo())
        for step in order
    ]
    graph = graph_of(small(*steps))
    place = {task.id: number for number, task in enumerate(graph.tasks)}
    assert all(place[edge.upstream] < place[edge.downstream] for edge in graph.edges)
    undone = [task.label for task in graph.tasks if task.kind is TaskKind.UNDO]
    assert undone == [task.label for task in reversed(graph.steps)]
    assert [task.id for task in graph.tasks if not graph.downstream(task.id)] == ["finish"]
