from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from planner_provider.graph.change_summary import change_summary
from planner_provider.graph.explain import Explanation, explain, explanation_text
from planner_provider.spec.folder import Catalog
from planner_provider.spec.kinds import Team
from planner_provider.spec.plan import ACTION_NAMES
from tests.graph.plans import every_field, graph_of, put, small, undo

NOW = datetime(2026, 3, 27, 12, tzinfo=UTC)


def explained(*steps: dict[str, Any], **spec: Any) -> Explanation:
    return explain(graph_of(small(*steps, **spec)), NOW)


def test_next_starts_are_in_the_zone_and_cross_the_change_of_clocks() -> None:
    plan = explained(schedule={"cron": "30 4 * * *", "timezone": "Europe/Berlin"})
    assert plan.next_starts == (
        "Sat 2026-03-28 04:30 CET",
        "Sun 2026-03-29 04:30 CEST",
        "Mon 2026-03-30 04:30 CEST",
    )


def test_plan_that_starts_by_hand() -> None:
    assert explained().starts == "By hand only."
    assert explained().next_starts == ()


def test_what_is_undone_and_what_is_not() -> None:
    plan = explained(
        put("a", rollback=undo("/a")),
        put("b"),
        {"id": "w", "wait": {"for": "1m"}},
        put("c", rollback=undo("/c")),
    )
    assert [item.step for item in plan.undone] == ["c", "a"]
    assert [item.step for item in plan.not_undone] == ["b"]


def test_what_it_may_cost() -> None:
    cost = {"connection": "prom", "query": "shop_cost", "currency": "EUR"}
    said = "it is undone if that rises by more than 5 EUR an hour."
    graph = graph_of(small(cost={**cost, "max_increase": 5}))
    assert said in " ".join(explain(graph, NOW).before)
    assert change_summary(graph, graph.profile).max_cost == "5 EUR an hour"
    assert "EUR" not in " ".join(explained(cost=cost).before)


def test_approvers_read_what_is_undone_in_the_order_in_which_it_happens() -> None:
    graph = graph_of(small(put("a", rollback=undo("/a")), put("c", rollback=undo("/c"))))
    told = [line.partition(":")[0] for line in change_summary(graph, graph.profile).rollback]
    assert told == [item.step for item in explain(graph, NOW).undone] == ["c", "a"]


def test_nothing_is_undone() -> None:
    assert "Nothing is undone. It stops where it is." in explanation_text(explained(put("a")))


def test_what_must_hold_for_each_step() -> None:
    plan = explain(graph_of(every_field()), NOW)
    steps = {step.id: step for step in plan.steps}
    assert steps["http"].goes_on_if == (
        "the answer has status 200 or 204",
        "the answer matches the regular expression ok",
        'state.name in the answer is "ready"',
    )
    assert steps["http"].begins_if == ("SLO shop-availability is healthy",)
    assert steps["sql"].goes_on_if == (
        "the first value of the first row is 1",
        "the number of rows is 1 or more and 2 or less",
    )
    assert steps["gate"].goes_on_if == (
        "SLO shop-availability is healthy",
        "they stay so for 10m",
        "at least 10% of the error budget is left",
    )
    assert len(plan.cannot_run) > 1
    text = explanation_text(plan)
    assert text.index("CANNOT RUN YET") < text.index("STEPS")


def test_every_action_is_explained() -> None:
    """The plan of every field has each action, and none is left without words."""
    data = every_field()
    assert {name for step in data["spec"]["steps"] for name in step} >= set(ACTION_NAMES)
    assert all(step.does for step in explain(graph_of(data), NOW).steps)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ({"type": "string"}, "x (string, must be given)"),
        ({"type": "integer", "default": 3, "minimum": 1}, "x (integer, 3 if not given, 1 or more)"),
        ({"type": "string", "enum": ["a"]}, 'x (string, must be given, one of "a")'),
        ({"type": "string", "default": None}, "x (string, null if not given)"),
        ({"type": "string", "description": "Why"}, "x (string, must be given): Why"),
    ],
)
def test_parameters(parameter: dict[str, Any], words: str) -> None:
    assert explained(parameters={"x": parameter}).asks_for == (words,)


def test_what_becomes_of_an_issue_and_who_is_told_in_words_of_their_own() -> None:
    shop = Team.model_validate(
        {
            "apiVersion": "planner/v1", "kind": "Team", "metadata": {"name": "team-shop"},
            "spec": {"notify": ["chat"], "templates": {"done": {"title": "{{ plan }} is in"}}},
        }
    )  # fmt: skip
    states = {"started": "In Progress", "done": "Done"}
    ticket = {"via": "jira", "connection": "jira", "issue": "SHOP-7", "states": states}
    graph = graph_of(small(ticket=ticket), Catalog(teams={"team-shop": shop}))
    told = explain(graph, NOW).told
    assert "team-shop is told of done in its own words." in told
    assert "Its state becomes 'In Progress' at the event started." in told
    assert "Its state becomes 'Done' at the event done." in told
