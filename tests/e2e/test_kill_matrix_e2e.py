"""SIGKILL at many points of a run: nothing is lost, nothing is done twice, nothing stays locked.

A sample runs with the other tests, all of it with ``make soak``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from planner_provider.ledger.rows import Act, ActResult, ActRole
from tests.e2e.kill_matrix import (
    AtEntry,
    InAct,
    Moment,
    Parked,
    Point,
    Release,
    Stage,
    make_stage,
    overlaps,
)
from tests.e2e.victims import VICTIMS, Victim

pytestmark = pytest.mark.timeout(1200)

UNDO = ActRole.UNDO
GOOD_ENTRIES = (1, 3, 6, 8, 12, 16, 20, 25)
BAD_ENTRIES = (2, 5, 9, 12, 15, 18)
PARTS: tuple[Victim, ...] = ("triggerer", "scheduler", "api-server")
ACTORS: tuple[Victim, ...] = ("child", "supervisor", "scheduler")


def _points() -> Iterator[Point]:
    for victim in VICTIMS:
        for number in GOOD_ENTRIES:
            yield Point(victim, AtEntry(number), "good")
        for number in BAD_ENTRIES:
            yield Point(victim, AtEntry(number), "bad")
    for victim in PARTS:
        yield Point(victim, Parked("shift/w20"), "good")
        yield Point(victim, Parked("shift/w50"), "good")
        yield Point(victim, Parked("shift/w20"), "bad")
    good: tuple[Moment, ...] = (
        InAct("before"),
        InAct("shift/deploy"),
        InAct("shift/deploy", slowed="late_api"),
        InAct("shift/w50"),
        InAct("shift/promote"),
        InAct("shift/promote", slowed="late_api"),
    )
    undos: tuple[Moment, ...] = (
        InAct("shift", UNDO),
        InAct("shift", UNDO, slowed="late_api"),
        InAct("before", UNDO),
    )
    for victim in ACTORS:
        yield from (Point(victim, moment, "good") for moment in good)
        yield from (Point(victim, moment, "bad") for moment in undos)


POINTS = tuple(_points())
SAMPLE = (
    Point("triggerer", Parked("shift/w20"), "good"),
    Point("api-server", AtEntry(12), "good"),
    Point("scheduler", AtEntry(6), "good"),
    Point("child", InAct("shift", UNDO), "bad"),
    Point("supervisor", InAct("shift/promote"), "good"),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with make_stage(tmp_path_factory) as made:
        yield made


def test_there_are_at_least_sixty_points() -> None:
    assert len({str(point) for point in POINTS}) == len(POINTS) >= 60


@pytest.mark.parametrize(
    ("step", "role", "begins", "found"),
    [
        ("shift", ActRole.STEP, 4, True),
        ("shift", ActRole.STEP, 5, False),
        ("other", ActRole.STEP, 4, False),
        ("other", UNDO, 4, True),
        ("other", UNDO, 5, False),
        ("other", ActRole.CHECK, 4, False),
    ],
)
def test_an_overlap_is_found(step: str, role: ActRole, begins: int, found: bool) -> None:
    first = act(1, "shift", ActRole.STEP, 1, 5)
    assert bool(overlaps((first, act(2, step, role, begins, 9)))) is found


def act(number: int, step: str, role: ActRole, begins: int, ends: int) -> Act:
    def at(second: int) -> datetime:
        return datetime(2026, 1, 1, second=second, tzinfo=UTC)

    return Act(
        id=number, plan_id="p", generation=1, step=step, role=role, try_number=number,
        map_index=-1, intent_at=at(begins), alive_at=at(begins), parked_at=None,
        ended_at=at(ends), result=ActResult.DONE, detail=None,
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("release", ["good", "bad"])
def test_without_a_kill(stage: Stage, release: Release) -> None:
    plan_id, ending = stage.run(release)
    print("\n".join(stage.entries(plan_id)))
    stage.check(plan_id, release, ending, kills=0)


def _survives(stage: Stage, point: Point) -> None:
    plan_id, ending = stage.run(point.release, point)
    print("\n".join(stage.entries(plan_id)))
    stage.check(plan_id, point.release, ending, kills=1)


@pytest.mark.e2e
@pytest.mark.parametrize("point", SAMPLE, ids=str)
def test_a_kill_changes_nothing(stage: Stage, point: Point) -> None:
    _survives(stage, point)


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_kill_at_any_point_changes_nothing(stage: Stage, point: Point) -> None:
    _survives(stage, point)
