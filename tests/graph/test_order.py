"""The order of steps that follows from the services that they change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner_provider.graph.build import build_graph
from planner_provider.graph.order import step_order
from planner_provider.spec.folder import Catalog, PlanDocument
from planner_provider.spec.kinds import Service
from planner_provider.spec.plan import Plan, PlanSpec
from tests.graph.plans import graph_of, small


def services(**depends_on: str) -> dict[str, Service]:
    return {
        name: Service.model_validate(
            {
                "apiVersion": "planner/v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"depends_on": needs.split()},
            }
        )
        for name, needs in depends_on.items()
    }


SHOP = services(frontend="checkout auth", checkout="payments", payments="", auth="")


def spec(*steps: str, **more: Any) -> PlanSpec:
    """A plan whose steps are given as ``id:service``, or as ``id`` for those without one."""
    listed = []
    for text in steps:
        step_id, _, service = text.partition(":")
        step: dict[str, Any] = {"id": step_id, "wait": {"for": "1s"}}
        listed.append(step | ({"service": service} if service else {}))
    return PlanSpec.model_validate(
        {"summary": "s", "order": "dependencies", "steps": listed} | more
    )


def order(plan: PlanSpec, known: dict[str, Service] = SHOP) -> dict[str, tuple[str, ...]]:
    return {step.id: before for step, before in step_order(plan, known)}


def test_what_a_service_depends_on_comes_first_and_the_rest_side_by_side() -> None:
    found = order(spec("f:frontend", "c:checkout", "p:payments", "a:auth"))
    assert list(found) == ["p", "c", "a", "f"]
    assert found == {"p": (), "c": ("p",), "a": (), "f": ("c", "a")}


def test_a_dependency_counts_through_services_that_the_plan_leaves_alone() -> None:
    assert order(spec("f:frontend", "p:payments")) == {"p": (), "f": ("p",)}


def test_steps_of_one_service_keep_their_order() -> None:
    found = order(spec("c1:checkout", "c2:checkout", "p1:payments", "p2:payments"))
    assert found == {"p1": (), "p2": ("p1",), "c1": ("p2",), "c2": ("c1",)}


def test_a_step_without_a_service_parts_those_before_it_from_those_after_it() -> None:
    found = order(spec("check", "f:frontend", "a:auth", "tell", "p:payments"))
    assert found == {
        "check": (), "a": ("check",), "f": ("a",), "tell": ("f",), "p": ("tell",),
    }  # fmt: skip


def test_services_in_a_circle_keep_the_listed_order() -> None:
    circle = services(a="b", b="a")
    assert order(spec("x:a", "y:b"), circle) == {"x": (), "y": ("x",)}


def test_a_service_that_nobody_described_depends_on_nothing() -> None:
    assert order(spec("x:unknown", "p:payments")) == {"x": (), "p": ()}


NAMES = ("a", "b", "c", "d")


@given(
    needs=st.fixed_dictionaries({n: st.sets(st.sampled_from(NAMES)) for n in NAMES}),
    steps=st.lists(st.sampled_from([*NAMES, ""]), min_size=1, max_size=9),
)
def test_there_is_always_an_order_and_it_keeps_what_it_must(
    needs: dict[str, set[str]], steps: list[str]
) -> None:
    if not any(steps):
        steps = [*steps, "a"]
    known = services(**{name: " ".join(others) for name, others in needs.items()})
    found = step_order(spec(*(f"s{i}:{name}" for i, name in enumerate(steps))), known)
    places = {step.id: place for place, (step, _) in enumerate(found)}
    assert len(places) == len(steps)
    for i, one in enumerate(steps):
        for j, two in enumerate(steps[i + 1 :], i + 1):
            parted = "" in steps[i : j + 1]
            circle = two in needs[one] and one in needs[two] if one and two else False
            if parted or one == two or circle:
                assert places[f"s{i}"] < places[f"s{j}"]
            elif two in needs[one] and not _reaches(two, one, needs):
                assert places[f"s{j}"] < places[f"s{i}"]


def _reaches(start: str, end: str, needs: dict[str, set[str]]) -> bool:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for other in needs[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)
    return end in seen


def test_steps_cannot_say_after_as_well() -> None:
    steps = [
        {"id": "x", "service": "a", "wait": {"for": "1s"}},
        {"id": "y", "after": ["x"], "wait": {"for": "1s"}},
    ]
    with pytest.raises(ValidationError, match="no step may say `after`: y"):
        PlanSpec.model_validate({"summary": "s", "order": "dependencies", "steps": steps})


def test_an_order_by_services_needs_services() -> None:
    with pytest.raises(ValidationError, match="none has one"):
        spec("x", "y")


def test_another_order_is_another_plan() -> None:
    def digest(order: str) -> str:
        steps = [
            {"id": "f", "service": "frontend", "wait": {"for": "1s"}},
            {"id": "a", "service": "auth", "wait": {"for": "1s"}},
        ]
        document = PlanDocument(
            plan=Plan.model_validate(small(*steps, order=order)), file="p", line=1, files=()
        )
        return build_graph(document, Catalog(services=SHOP)).digest

    assert digest("listed") != digest("dependencies")


def test_the_service_of_a_step_is_locked() -> None:
    data = {
        "apiVersion": "planner/v1",
        "kind": "Plan",
        "metadata": {"name": "p", "owner": "team-shop"},
        "spec": {
            "summary": "s",
            "touches": [{"service": "a", "mode": "shared"}],
            "steps": [{"id": "x", "service": "a", "wait": {"for": "1s"}}],
        },
    }
    (touched,) = graph_of(data).touches
    assert (touched.resource, touched.mode) == ("service://a", "exclusive")
