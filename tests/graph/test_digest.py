from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from planner_provider.graph.diff import ChangeKind, diff
from planner_provider.graph.digest import canonical, canonical_text, digest, plan_id
from planner_provider.graph.model import PlanGraph
from planner_provider.spec.plan import Plan
from tests.graph.mutations import Path, keys, leaves, other_values, replaced, without
from tests.graph.plans import EVERY_FIELD, catalog, every_field, graph_of, put, small, undo

SCHEDULES: list[dict[str, Any]] = [
    {"cron": "0 2 * * 1", "timezone": "Europe/Berlin"},
    {"calendar": "nights", "needs": "45m", "catch_up": "none", "at_end": "abort"},
]


def variants() -> Iterator[dict[str, Any]]:
    yield every_field()
    for schedule in SCHEDULES:
        yield replaced(small(put("a", rollback=undo())), ("spec", "schedule"), schedule)
    yield small({"id": "q", "sql": {"connection": "db", "file": "a.sql"}})


@pytest.fixture(scope="module")
def changed() -> list[tuple[str, PlanGraph, PlanGraph]]:
    """Each plan before and after one value was replaced or one key or entry taken away."""
    found: list[tuple[str, PlanGraph, PlanGraph]] = []
    for plan in variants():
        before = graph_of(plan)
        for path, value in leaves(plan):
            tries = (replaced(plan, path, other) for other in other_values(value))
            after = next((graph for data in tries if (graph := plan_or_none(data))), None)
            if after:
                found.append((str(path), before, after))
        for path in keys(plan):
            if after := plan_or_none(without(plan, path)):
                found.append((f"no {path}", before, after))
    return found


def plan_or_none(data: dict[str, Any]) -> PlanGraph | None:
    try:
        return graph_of(data)
    except (ValidationError, StopIteration):  # StopIteration: `after` names nothing
        return None


HOLDERS = ("RollbackAction.", "TargetStep.", "TargetAction.", "RebootBy.")
UNTRIED: set[Path] = {("apiVersion",), ("kind",)}
"""Only one value is allowed."""
ONLY_WORDS = ["ratio", "set", "rollout", {}]
"""Values that no other can stand for: the only word, one that needs other keys, nothing."""
SAME_MEANING: set[str] = set()
"""Changes after which a plan says the same as before."""


def test_the_plan_of_every_field_has_every_field() -> None:
    seen: set[tuple[type, str]] = set()
    for data in variants():
        collect(Plan.model_validate(data), seen)
    models = {model for model, _ in seen}
    missing = {
        f"{model.__name__}.{name}"
        for model in models
        for name in model.model_fields  # type: ignore[attr-defined]
        if (model, name) not in seen
    }
    # `order` does not go with `after`; see tests/graph/test_order.py
    expected = {"PlanSpec.order", "PlanSpec.template", "SqlCheck.file"}
    # holders have one action each; every action is a step of the plan, so only those count
    missing = {name for name in missing if not name.startswith(HOLDERS)}
    assert missing == expected


def collect(model: Any, seen: set[tuple[type, str]]) -> None:
    if isinstance(model, BaseModel):
        for name in model.model_fields_set:
            seen.add((type(model), name))
            collect(getattr(model, name), seen)
    elif isinstance(model, tuple | list):
        for item in model:
            collect(item, seen)
    elif isinstance(model, dict):
        for item in model.values():
            collect(item, seen)


def test_every_value_can_be_changed(changed: list[tuple[str, PlanGraph, PlanGraph]]) -> None:
    tried = {name for name, _, _ in changed}
    assert len(tried) > 400
    for plan in variants():
        untried = [
            path
            for path, value in leaves(plan)
            if not (str(path) in tried or path in UNTRIED or names_a_step(path))
            and value not in ONLY_WORDS
        ]
        assert untried == []


def names_a_step(path: Path) -> bool:
    """Changed by itself, such a value names a step that is not there."""
    return "after" in path or path[-1] == "id"


def test_any_change_of_a_value_changes_digest_and_diff(
    changed: list[tuple[str, PlanGraph, PlanGraph]],
) -> None:
    for name, old, new in changed:
        changes = diff(old, new)
        assert bool(changes) == (old.digest != new.digest), name
        assert changes or name in SAME_MEANING, name
        assert not any(change.kind is ChangeKind.FRAME for change in changes), name
        assert all(change.words for change in changes)


def shuffled(data: Any, seed: random.Random) -> Any:
    if isinstance(data, dict):
        items = list(data.items())
        seed.shuffle(items)
        return {key: shuffled(value, seed) for key, value in items}
    if isinstance(data, list):
        return [shuffled(item, seed) for item in data]
    return data


def test_order_of_keys_does_not_matter() -> None:
    expected = graph_of(every_field()).digest
    for seed in range(20):
        assert graph_of(shuffled(EVERY_FIELD, random.Random(seed))).digest == expected


def test_place_of_the_file_does_not_matter() -> None:
    plan = small()
    assert graph_of(plan, file="a.yaml", line=1).digest == graph_of(plan, file="b", line=9).digest


def test_order_of_after_does_not_matter() -> None:
    def joined(*after: str) -> dict[str, Any]:
        return small(put("a"), put("b", after=[]), put("c", after=list(after)))

    one, two = graph_of(joined("a", "b")), graph_of(joined("b", "a"))
    assert one.digest == two.digest
    assert diff(one, two) == ()


def test_a_default_that_is_written_out_does_not_matter() -> None:
    assert graph_of(small(put("a"))).digest == graph_of(small(put("a", after=[]))).digest


def test_a_null_default_is_not_the_same_as_none() -> None:
    asked = graph_of(small(parameters={"x": {"type": "string"}}))
    null = graph_of(small(parameters={"x": {"type": "string", "default": None}}))
    assert asked.digest != null.digest
    assert diff(asked, null)


@pytest.mark.parametrize(("one", "two"), [(1, 1.0), (1, True), (0, False), ("1", 1)])
def test_values_that_python_takes_for_equal_differ(one: Any, two: Any) -> None:
    def sends(value: Any) -> PlanGraph:
        step = put("a")
        step["http"]["body"] = {"n": value}
        return graph_of(small(step))

    assert sends(one).digest != sends(two).digest
    assert diff(sends(one), sends(two))


def test_who_is_told_is_part_of_the_plan() -> None:
    one = graph_of(small(), catalog(team_shop=["chat"]))
    two = graph_of(small(), catalog(team_shop=["pager"]))
    assert one.digest != two.digest


def test_survives_json() -> None:
    for plan in variants():
        graph = graph_of(plan)
        again = PlanGraph.from_json(graph.to_json())
        assert digest(again) == graph.digest == again.digest
        assert again.to_json() == graph.to_json()


def test_is_the_digest_of_the_canonical_text() -> None:
    graph = graph_of(small())
    text = canonical_text(canonical(graph))
    assert json.loads(text)["name"] == "small"
    assert "source" not in json.loads(text)


SCRIPT = """
from tests.graph.plans import every_field, graph_of
graph = graph_of(every_field())
print(graph.digest, hash("x"), graph.to_json())
"""


def test_is_the_same_under_every_hash_seed() -> None:
    def run(seed: str) -> tuple[str, str, str]:
        env = {**os.environ, "PYTHONHASHSEED": seed}
        out = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True
        )
        found, hashed, text = out.stdout.split(" ", 2)
        return found, hashed, text

    results = [run(seed) for seed in ("0", "1", "4242")]
    assert len({hashed for _, hashed, _ in results}) == 3, "the seeds had no effect"
    assert len({(found, text) for found, _, text in results}) == 1


def test_plan_id_fits_a_label() -> None:
    name = "a" * 44
    made = plan_id(name, "0123456789abcdef", "manual__2026-11-23T00:00:00+00:00")
    assert made.startswith(f"{name}-01234567-")
    assert len(made) <= 63


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"x": float("-inf")}]])
def test_numbers_that_json_does_not_have_are_refused(value: Any) -> None:
    step = put("a")
    step["http"]["body"] = {"n": value}
    with pytest.raises(ValidationError, match="finite"):
        graph_of(small(step))
    with pytest.raises(ValidationError, match="finite"):
        graph_of(small(parameters={"x": {"type": "object", "default": value}}))
