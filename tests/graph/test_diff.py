from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner_provider.graph.diff import Change, ChangeKind, diff
from planner_provider.graph.diff_plans import diff_plans
from planner_provider.graph.model import PlanGraph
from planner_provider.graph.render_diff import diff_json, diff_markdown, diff_text
from planner_provider.spec.folder import Catalog
from planner_provider.spec.kinds import Team
from tests.graph.mutations import keys, leaves, replaced, without
from tests.graph.plans import catalog, every_field, graph_of, put, small, undo


def changes(old: dict[str, Any], new: dict[str, Any]) -> tuple[Change, ...]:
    return diff(graph_of(old), graph_of(new))


def only(old: dict[str, Any], new: dict[str, Any]) -> Change:
    found = changes(old, new)
    assert len(found) == 1, [change.words for change in found]
    return found[0]


def plan(**spec: Any) -> dict[str, Any]:
    return small(put("a", rollback=undo()), put("b"), **spec)


def limited(limit: int | None = None, **more: Any) -> dict[str, Any]:
    cost = {"connection": "prom", "query": "shop_cost", "currency": "EUR", **more}
    return cost if limit is None else {**cost, "max_increase": limit}


def test_nothing_differs() -> None:
    assert changes(every_field(), every_field()) == ()


def test_value_of_a_step() -> None:
    change = only(small(put("a", timeout="10m")), small(put("a", timeout="20m")))
    assert change.words == "step `a`: timeout 10m -> 20m"
    assert (change.kind, change.where) == (ChangeKind.STEP, "step a")
    assert (change.old, change.new, change.weakens_safety) == ("10m", "20m", False)


def test_default_is_shown_where_nothing_was_given() -> None:
    new = put("a")
    new["http"]["expect"] = {"status": [202]}
    assert only(small(put("a")), small(new)).words == (
        "step `a`: http.expect.status [200,201,202,204] -> [202]"
    )


def test_default_of_all_steps_is_told_once() -> None:
    steps = [put(name) for name in "abcd"]
    change = only(small(*steps), small(*steps, defaults={"timeout": "5m"}))
    assert change.words == "4 steps: timeout 1h -> 5m (a, b, c, d)"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (plan(), small(put("a"), put("b")), "rollback of `a` removed"),
        (plan(approval={"approvers": ["group:sre"]}), plan(), "approval removed"),
        (
            plan(approval={"approvers": ["group:sre"], "count": 2}),
            plan(approval={"approvers": ["group:sre"]}),
            "approval: count 2 -> 1",
        ),
        (
            plan(approval={"approvers": ["group:sre"]}),
            plan(approval={"approvers": ["group:sre"], "not": "nobody"}),
            "approval: not requester -> nobody",
        ),
        (plan(guards={"slos": ["x"], "ttl": "1h"}), plan(guards={"ttl": "1h"}), "guards: slos"),
        (plan(guards={"ttl": "1h"}), plan(), "guards: ttl 1h -> nothing"),
        (
            plan(guards={"slos": ["a"], "budget": {"min_remaining": "20%"}}),
            plan(guards={"slos": ["a"], "budget": {"min_remaining": "5%"}}),
            "guards: budget.min_remaining 20% -> 5%",
        ),
        (
            small(put("a")),
            small(put("a", retries={"never": ["misconfigured", "attention"]})),
            "retries.never",
        ),
        (plan(), small(*plan()["spec"]["steps"], {"id": "c", "shell": {"command": "x"}}), "`c`"),
        (
            plan(touches=[{"service": "shop"}]),
            plan(touches=[{"service": "shop", "mode": "shared"}]),
            "mode exclusive -> shared",
        ),
        (plan(touches=[{"service": "shop"}]), plan(), "no longer says that it touches"),
        (
            plan(verify={"http": [{"connection": "api"}]}),
            plan(),
            "final check removed; it was: Check GET / on api",
        ),
        (
            plan(),
            small(put("a", rollback=undo()), put("b", after=[])),
            "it no longer waits for `a`",
        ),
        (plan(), plan(schedule={"cron": "0 2 * * 1"}), "starts by itself now"),
        (
            plan(parameters={"x": {"type": "string", "pattern": "^a$"}}),
            plan(parameters={"x": {"type": "string"}}),
            "parameter `x`: pattern ^a$ -> nothing",
        ),
        (
            small({"id": "w", "wait": {"for": "10m"}}),
            small({"id": "w", "wait": {"for": "1m"}}),
            "step `w`: wait.for 10m -> 1m",
        ),
        (
            small({"id": "v", "verify": {"http": [{"connection": "api"}]}}, put("a")),
            small(put("a")),
            "step `v` removed",
        ),
        (
            small({"id": "v", "verify": {"http": [{"connection": "api"}, {"connection": "b"}]}}),
            small({"id": "v", "verify": {"http": [{"connection": "api"}]}}),
            "verify.http[1]",
        ),
        (small(put("a")), small({"id": "a", "shell": {"command": "x"}}), "`http` became `shell`"),
        (plan(cost=limited(5)), plan(cost=limited(6)), "cost: max_increase 5 -> 6"),
        (plan(cost=limited(5)), plan(cost=limited()), "cost: max_increase 5 -> nothing"),
        (plan(cost=limited(5)), plan(), "cost removed; it was"),
        (
            plan(cost=limited(5)),
            plan(cost=limited(5, max_age="1h")),
            "cost: max_age 15m -> 1h",
        ),
    ],
)
def test_weaker_is_marked_and_stronger_is_not(
    old: dict[str, Any], new: dict[str, Any], words: str
) -> None:
    found = changes(old, new)
    assert found[0].weakens_safety, [change.words for change in found]
    assert words in found[0].words
    back = [change.words for change in changes(new, old) if change.weakens_safety]
    assert back == []


def test_another_measure_of_a_cost_is_weaker_only_where_that_has_a_limit() -> None:
    def weaker(*limit: int) -> bool:
        old, new = plan(cost=limited(*limit)), plan(cost=limited(*limit, query="0"))
        return only(old, new).weakens_safety

    assert weaker(5)
    assert not weaker()
    assert not only(plan(cost=limited()), plan()).weakens_safety


def test_names_below_a_body_mean_nothing() -> None:
    def sends(count: int) -> dict[str, Any]:
        step = put("a")
        step["http"]["body"] = {"count": count, "timeout": count}
        return small(step)

    assert not any(change.weakens_safety for change in changes(sends(2), sends(1)))


def test_weaker_comes_first() -> None:
    old = plan(summary="Old", guards={"ttl": "1h"})
    new = small(put("a"), put("b", timeout="5m"), summary="New")
    marks = [change.weakens_safety for change in changes(old, new)]
    assert marks == sorted(marks, reverse=True)
    assert marks.count(True) == 2


def test_renamed_step() -> None:
    old, new = plan(), plan()
    new["spec"]["steps"][0]["id"] = "first"
    assert only(old, new).words == "step `a` is now called `first`"


def test_new_order_of_parallel_steps() -> None:
    one, two = put("a", after=[], rollback=undo()), put("b", after=[], rollback=undo("/b"))
    change = only(small(one, two), small(two, one))
    assert change.words == "order of the steps, and of undoing them, is now `b`, `a`"


def test_inherited_timeout_of_the_rollback_is_not_told_twice() -> None:
    old, new = small(put("a", rollback=undo())), small(put("a", rollback=undo(), timeout="5m"))
    assert only(old, new).words == "step `a`: timeout 1h -> 5m"


def test_contacts() -> None:
    old = graph_of(small(), catalog(team_shop=["chat", "pager"]))
    new = graph_of(small(), catalog(team_shop=["chat"]))
    (change,) = diff(old, new)
    assert change.words == "team-shop is told by `chat`; before by `chat`, `pager`"
    assert change.weakens_safety


def test_the_own_words_of_a_team() -> None:
    def graph(**templates: Any) -> PlanGraph:
        spec = {"notify": ["chat"], "templates": templates}
        shop = Team.model_validate(
            {
                "apiVersion": "planner/v1", "kind": "Team",
                "metadata": {"name": "team-shop"}, "spec": spec,
            }
        )  # fmt: skip
        return graph_of(small(), Catalog(teams={"team-shop": shop}))

    old = graph(done={"title": "{{ plan }} is in"}, failed={"text": "Look"})
    new = graph(done={"title": "{{ plan }} is out"}, failed={"text": "Look"}, held={"title": "x"})
    (change,) = diff(old, new)
    assert change.words == "team-shop is told of done, held in other words"
    assert (change.kind, change.weakens_safety) == (ChangeKind.CONTACTS, False)
    assert diff(old, old) == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({}, {"done": "Done"}, """plan's ticket.states nothing -> {"done":"Done"}"""),
        ({"done": "Done"}, {"done": "Closed"}, "plan's ticket.states.done Done -> Closed"),
        ({"done": "Done"}, {}, """plan's ticket.states {"done":"Done"} -> nothing"""),
    ],
)
def test_the_states_of_a_ticket(old: Any, new: Any, words: str) -> None:
    def plan(states: Any) -> dict[str, Any]:
        ticket = {"via": "jira", "connection": "jira", "issue": "SHOP-7", "states": states}
        return small(ticket=ticket)

    change = only(plan(old), plan(new))
    assert change.words == words
    assert not change.weakens_safety, "nothing of what happens depends on it"


def test_another_graph_version_is_told() -> None:
    old = graph_of(small())
    new = old.model_copy(update={"graph_version": old.graph_version + 1})
    (change,) = diff(old, new)
    assert change.kind is ChangeKind.FRAME


EVERY = every_field()
PATHS = [path for path in keys(EVERY) if path[0] == "spec"]
LEAVES = [(path, value) for path, value in leaves(EVERY) if isinstance(value, str)]


@st.composite
def edited(draw: st.DrawFn) -> dict[str, Any]:
    """The plan of every field after up to three edits, each of which leaves it valid."""
    data = copy.deepcopy(EVERY)
    for _ in range(draw(st.integers(0, 3))):
        try:
            if draw(st.booleans()):
                path, value = draw(st.sampled_from(LEAVES))
                changed = replaced(data, path, f"{value}1")
            else:
                changed = without(data, draw(st.sampled_from(PATHS)))
            graph_of(changed)
        except (ValueError, KeyError, IndexError, StopIteration, TypeError):
            continue
        data = changed
    return data


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(edited(), edited())
def test_empty_exactly_if_digests_are_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    old, new = graph_of(one), graph_of(two)
    found = diff(old, new)
    assert (found == ()) == (old.digest == new.digest)
    assert not any(change.kind is ChangeKind.FRAME for change in found)
    assert list(found) == sorted(found, key=lambda change: change.danger)


def test_plans_that_came_went_and_were_renamed() -> None:
    old = [graph_of(small(name=name)) for name in ("same", "gone", "before")]
    old[1] = graph_of(small(put("x"), name="gone"))
    new = [graph_of(small(name="same")), graph_of(small(name="after"))]
    new.append(graph_of(small({"id": "sh", "shell": {"command": "x"}}, name="come")))
    found = {item.name: item for item in diff_plans(old, new)}
    assert {name: item.status for name, item in found.items()} == {
        "after": "renamed",
        "come": "added",
        "gone": "removed",
    }
    assert found["after"].old_name == "before"
    assert found["after"].changes == ()
    assert found["come"].weakens_safety, "a new plan with a shell step must be read"


def test_renamed_with_other_changes() -> None:
    old = graph_of(small(put("a", timeout="1m"), name="before"))
    new = graph_of(small(put("a", timeout="2m"), name="after"))
    (found,) = diff_plans([old], [new])
    assert found.status == "renamed"
    assert [change.words for change in found.changes] == ["step `a`: timeout 1m -> 2m"]


def test_no_guess_where_several_could_be_meant() -> None:
    old = [graph_of(small(name=name)) for name in ("a", "b")]
    new = [graph_of(small(name=name)) for name in ("c", "d")]
    found = diff_plans(old, new)
    assert [item.status for item in found] == ["removed", "removed", "added", "added"]


def test_renderings() -> None:
    statement = "SELECT a\nFROM shop\nWHERE day = %(day)s\nORDER BY day"
    step = {"id": "q", "sql": {"connection": "db", "statement": statement + " " * 60 + "x"}}
    other = copy.deepcopy(step)
    other["sql"]["statement"] = statement.replace("shop", "shops") + " " * 60 + "x"
    found = diff_plans(
        [graph_of(small(step, summary="Has `code` and *stars*", guards={"ttl": "1h"}))],
        [graph_of(small(other, summary="Other"))],
    )
    text = diff_text(found)
    assert "  ! guards: ttl 1h -> nothing (weakens safety)\n" in text
    assert "      -FROM shop\n      +FROM shops\n" in text
    assert text.endswith("1 plan differs: 1 changed; 1 of the changes weakens safety.\n")
    assert "\x1b" not in text
    assert "\x1b[31m" in diff_text(found, color=True)
    markdown = diff_markdown(found)
    assert "- ⚠️ **weakens safety**: guards: ttl 1h -\\> nothing" in markdown
    assert "  ```diff\n" in markdown
    assert '"weakens_safety": true' in diff_json(found)


def test_rendering_of_nothing() -> None:
    assert diff_text(()) == "No plan differs.\n"
    assert diff_json(()) == "[]\n"
    assert "No plan differs." in diff_markdown(())
