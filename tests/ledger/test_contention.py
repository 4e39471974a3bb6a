from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planner_provider.ledger.contention import conflict_text, in_the_way, line_up, strongest
from planner_provider.ledger.rows import Blocker, Hold, Mode, Waiter
from tests.ledger.cases import NOW, later

HOLDS = st.lists(
    st.builds(Hold, st.sampled_from("abcd"), st.sampled_from(Mode)), min_size=1, max_size=3
).map(strongest)


def waiter(number: int, *holds: Hold) -> Waiter:
    return Waiter(number, f"p{number}", later(number), later(number), holds)


def held(resource: str, mode: Mode = Mode.EXCLUSIVE, plan_id: str = "holder") -> Blocker:
    return Blocker(resource, mode, plan_id, "dag", "run", NOW)


def conflict(one: tuple[Hold, ...], other: tuple[Hold, ...]) -> bool:
    return any(
        a.resource == b.resource and Mode.EXCLUSIVE in (a.mode, b.mode) for a in one for b in other
    )


@given(st.lists(HOLDS, max_size=6), st.lists(HOLDS, max_size=2))
def test_a_run_waits_for_all_who_are_in_its_way_and_for_nobody_else(
    queue: list[tuple[Hold, ...]], holders: list[tuple[Hold, ...]]
) -> None:
    holding = [
        held(hold.resource, hold.mode, f"h{number}")
        for number, holds in enumerate(holders)
        for hold in holds
    ]
    lined = line_up(holding, [waiter(n, *holds) for n, holds in enumerate(queue)], {})
    for number, line in enumerate(lined):
        expected = {f"h{n}" for n, holds in enumerate(holders) if conflict(holds, queue[number])}
        earlier = {f"p{n}" for n in range(number) if conflict(queue[n], queue[number])}
        assert {blocker.plan_id for blocker in line.blockers} == expected | earlier
        assert line.ahead == len(earlier)
        if number == 0 and not holders:
            assert not line.blockers, "somebody can always go on"


def test_a_run_is_not_in_its_own_way() -> None:
    wanted = [Hold("a"), Hold("b")]
    others = [held("a", plan_id="me"), held("b", Mode.SHARED, "you")]
    assert in_the_way(wanted, others, plan_id="me") == (others[1],)


def test_the_text_names_holders_first_and_not_everybody() -> None:
    waiting = Blocker("a", Mode.SHARED, "early", "dag", "run", NOW, holds=False)
    text = conflict_text([waiting, held("b"), *[held(f"c{n}") for n in range(5)]], later(90))
    assert text.startswith("b is held (exclusive) by plan holder (DAG dag, run run) since ")
    assert "for 0:01:30" in text
    assert text.endswith("and 2 more")
    assert "early" not in text
    assert "a is wanted (shared) by plan early" in conflict_text([waiting], NOW)
    assert "it came first" in conflict_text([waiting], NOW)
