from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.model import Fact, VerdictKind
from planner_provider.decide.replay import decide, replay
from planner_provider.decide.slo import Count, SloFacts
from planner_provider.decide.throttle import (
    Act,
    Kept,
    Limits,
    Observation,
    Pause,
    Settings,
    ThrottleInputs,
    ThrottleState,
    advance,
    burn_of,
    late_ticks,
    set_limit,
    step,
)
from planner_provider.graph.slos import SloTarget

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SETTINGS = Settings(period=timedelta(seconds=30), set_point=0.9)
QUICK = Settings(period=timedelta(seconds=5), set_point=0.9)
QUEUE = SETTINGS.model_copy(update={"queue": True})
LIMITS = Limits(minimum=1, maximum=40)


def seen(ratio: float | None, running: float, elapsed: float = 30) -> Observation:
    return Observation(
        ratio=ratio,
        problem="" if ratio is not None else "no answer",
        running=int(running),
        running_mean=running,
        completed=2,
        elapsed_s=elapsed,
    )


class Story:
    """Jobs that always use the limit and end at once, and a law that is told a signal."""

    def __init__(self, limit: float = 8, settings: Settings = SETTINGS, **state: object) -> None:
        self.state = ThrottleState(limit=limit).model_copy(update=state)
        self.settings = settings
        self.limits = LIMITS
        self.running: float | None = None
        """What runs, where it is not the limit."""
        self.acts: list[Act] = []
        self.told = ""

    def tick(self, *ratios: float | None, elapsed: float | None = None) -> float:
        elapsed = self.settings.period_s if elapsed is None else elapsed
        for ratio in ratios:
            running = self.state.allowed if self.running is None else self.running
            observation = seen(ratio, running, elapsed)
            move = advance(self.state, observation, self.limits, self.settings)
            _, verdict = step(self.state, observation, self.limits, self.settings)
            self.told = verdict.reasons[0].text
            assert verdict.reasons[0].code == move.act.value
            self.state = move.state
            self.acts.append(move.act)
        return self.state.limit

    def until(self, act: Act, ratio: float | None, most: int = 200) -> int:
        for number in range(1, most):
            self.tick(ratio)
            if self.acts[-1] is act:
                return number
        raise AssertionError(f"no {act} in {most} ticks: {self.acts[:20]}")


def test_it_rises_while_there_is_room_and_not_faster_than_can_be_seen() -> None:
    story = Story(4)
    story.tick(*[0.4] * 12)
    raised = [place for place, act in enumerate(story.acts) if act is Act.RAISED]
    assert len(raised) >= 4
    assert min(later - first for first, later in pairwise(raised)) == 2
    assert "there is room: raised" in story.told or "no reason" in story.told


def test_it_holds_between_room_and_target() -> None:
    story = Story(8)
    assert story.tick(*[0.85] * 30) == 8
    assert set(story.acts) == {Act.HELD}


def test_it_does_not_rise_while_the_limit_is_not_used() -> None:
    story = Story(8)
    story.running = 3
    assert story.tick(*[0.4] * 20) == 8


def test_a_signal_above_the_target_is_cut_and_drained() -> None:
    story = Story(10)
    story.tick(0.8, 0.8)
    story.until(Act.TRIPPED, 1.2, 5)
    assert story.state.limit == 6
    assert story.state.draining
    assert story.told.startswith("Signal 1.20 of what is allowed (target 0.90), 10 running, ")
    assert "limit 10 -> 6: too high: cut, draining" in story.told


def test_jobs_in_flight_are_a_cut_already_made() -> None:
    story = Story(10)
    story.tick(0.8, 0.8)
    story.until(Act.TRIPPED, 1.2)
    story.running = 9
    assert story.tick(*[1.2] * 20) == 6
    assert set(story.acts[-20:]) == {Act.DRAINING}
    story.running = 6
    story.until(Act.CUT_AGAIN, 1.2)
    assert story.state.limit == 3


def test_far_above_only_the_minimum_may_run() -> None:
    story = Story(20)
    story.tick(0.8, 0.8, 8.0)
    assert (story.acts[-1], story.state.limit) == (Act.TRIPPED, 1)


def test_it_recovers_below_what_was_too_much_and_stays_there() -> None:
    story = Story(10)
    story.tick(0.8)
    story.until(Act.TRIPPED, 1.2)
    story.until(Act.RECOVERED, 0.7)
    assert 6 <= story.state.limit < 10
    assert story.state.wall == 10
    assert story.tick(*[0.6] * 8) == pytest.approx(9.3)  # 93% of the wall


def test_at_the_wall_it_waits_probes_and_forgets() -> None:
    story = Story(9.3, wall=10.0, raw=-0.4, level=-0.4)
    assert story.until(Act.PROBED, 0.7) == 10  # 300 s of patience
    story.until(Act.FORGOT, 0.7)
    assert story.state.wall is None


def at_the_wall(ratio: float, settings: Settings, **state: object) -> Story:
    """Jobs of 6 s at the limit below a wall, with this ratio for some time."""
    level = math.log(ratio)
    known = {"wall": 10.0, "raw": level, "level": level, "busy_s": 360.0, "done": 60.0}
    return Story(9.3, settings, **(known | state))


def test_a_loop_that_is_quick_needs_less_patience() -> None:
    ticks = at_the_wall(0.7, QUICK).until(Act.PROBED, 0.7)
    assert 50 <= ticks * 5 <= 100  # a sixth to a third of 300 s, as the loop of 150 s


def test_a_quick_loop_far_below_its_target_needs_next_to_none() -> None:
    assert at_the_wall(0.4, QUICK).until(Act.PROBED, 0.4) <= 5
    assert at_the_wall(0.4, SETTINGS).until(Act.PROBED, 0.4) >= 9  # a slow loop waits all the same


def test_where_it_is_far_below_its_target_a_quick_loop_rises_by_the_room_there_is() -> None:
    quick, slow = Story(10, QUICK, busy_s=360.0, done=60.0), Story(10, busy_s=360.0, done=60.0)
    for story in (quick, slow):
        story.until(Act.RAISED, 0.5)
    assert slow.state.limit == 12.5
    assert 16 <= quick.state.limit <= 20


def test_a_signal_that_gives_no_warning_is_not_trusted_for_being_low() -> None:
    story = at_the_wall(0.2, QUICK)
    story.until(Act.PROBED, 0.2)
    story.until(Act.TRIPPED, 1.6)  # from far below to above, by one job
    assert story.state.abrupt
    story.until(Act.RECOVERED, 0.2)
    story.until(Act.PROBED, 0.2)
    quiet = next(n for n, act in enumerate(reversed(story.acts)) if act is Act.RECOVERED)
    assert quiet * 5 >= 50
    few = Story(2, QUICK, wall=10.0, level=math.log(0.5), raw=math.log(0.5))
    few.until(Act.RAISED, 0.5)
    few.until(Act.TRIPPED, 1.6)  # from two to three: no wonder
    assert not few.state.abrupt
    warned = at_the_wall(0.7, QUICK, abrupt=True)
    warned.until(Act.PROBED, 0.7)
    warned.until(Act.TRIPPED, 1.2)
    assert not warned.state.abrupt


def test_a_trip_that_no_rise_of_ours_came_before_says_nothing_of_the_signal() -> None:
    story = at_the_wall(0.2, QUICK)
    story.until(Act.PROBED, 0.2)
    story.running = 0  # nothing rises any more
    story.tick(*[0.2] * 20)
    story.running = None
    story.tick(1.6, 1.6)
    assert story.acts[-1] in {Act.TRIPPED, Act.DRAINING}
    assert not story.state.abrupt


def test_a_trip_at_the_wall_doubles_the_patience() -> None:
    story = Story(10, wall=10.0)
    story.tick(0.85)
    story.until(Act.TRIPPED, 1.1)
    assert story.state.patience_s == 600
    assert story.state.limit == 8
    story.until(Act.RECOVERED, 0.7)
    assert story.state.limit == pytest.approx(9.5)


def test_much_more_room_makes_it_forget_the_wall() -> None:
    story = Story(9.3, wall=10.0)
    story.running = 0  # nothing rises meanwhile
    story.tick(*[0.85] * 30)
    story.tick(*[0.4] * 3)
    assert story.state.wall is None
    assert Act.FORGOT in story.acts


def test_what_does_not_get_better_at_the_minimum_is_not_its_doing() -> None:
    story = Story(16)
    story.tick(0.8)
    story.until(Act.NOT_OURS, 6.0)
    assert story.state.limit == 1
    story.until(Act.RECOVERED, 0.5)
    assert story.state.limit == 8  # half of what it was, for the cause was elsewhere


def test_nothing_rises_without_a_signal() -> None:
    story = Story(8)
    story.tick(0.4)
    assert story.tick(*[None] * 5) == 8
    assert story.tick(None) == 6
    assert story.acts[-1] is Act.BACKED_OFF
    assert "Signal not known (no answer), limit 8 -> 6" in story.told
    assert story.tick(0.4) == 6  # what was done must be seen before it rises again
    held = Story(8, SETTINGS.model_copy(update={"back_off": False}))
    assert held.tick(0.4, *[None] * 40) == 8


def test_a_queue_that_grows_lets_nothing_rise_and_is_cut_before_it_is_too_long() -> None:
    flat, growing = Story(8, QUEUE), Story(8, QUEUE)
    flat.tick(*[0.3] * 8)
    growing.tick(*[0.3 + 0.05 * tick for tick in range(8)])
    assert flat.state.limit > 8
    assert growing.state.limit <= 8
    assert Act.TRIPPED in growing.acts


def test_a_queue_that_grows_slowly_lets_nothing_rise_either() -> None:
    story = Story(8, QUEUE)
    assert story.tick(*[0.2 + 0.035 * tick for tick in range(7)]) == 8
    assert set(story.acts) == {Act.HELD}


def test_a_rise_is_a_share_that_drains_quickly() -> None:
    quick, slow = (Story(20, busy_s=job * 60.0, done=60.0) for job in (60, 600))
    assert quick.tick(0.4, 0.4) == 25  # jobs of a minute: a quarter
    assert slow.tick(0.4, 0.4) == pytest.approx(21.6)  # of ten minutes: 8%


def test_a_trip_far_from_the_wall_makes_it_impatient_again() -> None:
    story = Story(4, wall=30.0, patience_s=1800.0)
    story.tick(0.8)
    story.until(Act.TRIPPED, 1.3)
    assert story.state.patience_s == 300


def test_a_queue_that_shrinks_is_waited_for() -> None:
    story = Story(8, QUEUE)
    story.tick(0.5, 2.0, 5.0)
    assert story.state.limit == 1
    story.tick(*[4.4 - 0.1 * tick for tick in range(30)])
    assert Act.NOT_OURS not in story.acts


def test_live_bounds_are_obeyed_at_once_and_teach_nothing() -> None:
    story = Story(10, wall=12.0)
    story.limits = Limits(minimum=1, maximum=4)
    assert story.tick(0.85) == 4
    assert (story.state.wall, story.state.draining) == (12.0, False)
    story.limits = Limits(minimum=6, maximum=20)
    assert story.tick(0.85) == 6
    story.limits = Limits(minimum=0, maximum=0)
    assert story.tick(0.4) == 0


def test_a_minimum_of_none_can_be_left_again() -> None:
    story = Story(8)
    story.limits = Limits(minimum=0, maximum=10)
    story.tick(0.8, 9.0, 9.0, 9.0, 9.0)
    assert story.state.limit == 0
    story.tick(*[0.3] * 10)
    assert story.state.limit >= 2


def test_after_a_time_without_a_look_it_holds_and_starts_to_look_anew() -> None:
    story = Story(8)
    story.tick(*[0.85] * 3, 1.0)
    excess = story.state.excess
    story.tick(0.5, elapsed=3600)
    assert story.acts[-1] is Act.RESUMED
    assert excess > 0
    assert story.state.excess == 0
    assert story.state.limit == 8
    assert story.tick(0.5) == 8
    assert story.tick(0.5) > 8


def test_a_limit_set_by_hand_is_where_it_goes_on() -> None:
    story = Story(8, wall=9.0, draining=True)
    changed = set_limit(story.state, 12)
    assert (changed.limit, changed.wall, changed.draining) == (12, None, False)
    assert set_limit(story.state, 5).wall == 9.0


def inputs(**changes: object) -> ThrottleInputs:
    values: dict[str, object] = {
        "now": NOW,
        "name": "fill",
        "state": ThrottleState(limit=8, raw=-0.2, level=-0.2, tick=50),
        "observation": seen(1.5, 8),
        "limits": LIMITS,
        "settings": SETTINGS,
        "signal": Fact.measured("lag", 45, source="prometheus", observed_at=NOW, unit="s"),
    }
    return ThrottleInputs(**(values | changes))  # type: ignore[arg-type]


def test_a_decision_is_replayed_from_its_record() -> None:
    verdict, record = decide(inputs())
    assert verdict.kind is VerdictKind.PROCEED
    assert {measure.name: measure.value for measure in verdict.measures} == {
        "limit": 4, "signal": 1.5, "running": 8, "wall": None,
    }  # fmt: skip
    assert replay(record).equal


def test_what_is_blocked_begins_nothing_and_keeps_its_limit() -> None:
    verdict, _ = decide(inputs(blocked="cli:ada paused it: dinner."))
    assert verdict.kind is VerdictKind.HOLD
    assert verdict.reasons[0].text == (
        "Nothing new begins: cli:ada paused it: dinner. The limit 8 waits until that ends."
    )
    state, _ = step(inputs().state, seen(0.2, 0), LIMITS, SETTINGS, "a guard refuses.")
    assert state.limit == 8
    after, _ = step(state, seen(0.2, 8), LIMITS, SETTINGS)
    assert after.limit == 8  # it does not jump up at once


def test_what_is_not_known_is_inconclusive() -> None:
    verdict, record = decide(inputs(observation=seen(None, 8)))
    assert verdict.inconclusive
    assert replay(record).equal


ratios = st.none() | st.floats(0, 50)
ticks = st.lists(st.tuples(ratios, st.integers(0, 60), st.floats(1, 400)), max_size=60)


@given(ticks, st.integers(0, 10), st.integers(0, 30), st.booleans(), st.integers(0, 4))
def test_always(
    told: list[tuple[float | None, int, float]], low: int, more: int, queue: bool, lag: int
) -> None:
    limits = Limits(minimum=low, maximum=low + more)
    settings = SETTINGS.model_copy(update={"queue": queue, "lag": lag})
    state = ThrottleState(limit=low + more / 2)
    for ratio, running, elapsed in told:
        move = advance(state, seen(ratio, running, elapsed), limits, settings)
        assert limits.minimum <= move.after <= limits.maximum
        if ratio is None:
            assert move.after <= state.limit
        if state.draining and move.state.draining:
            assert move.after <= state.limit
        if ratio is not None and ratio > SETTINGS.set_point and not state.draining:
            assert move.after <= state.limit
        again = ThrottleState.model_validate_json(move.state.model_dump_json())
        assert again == move.state  # a restart loses nothing
        state = move.state


def facts(part: float, total: float, kind: str = "bad", **fact: object) -> SloFacts:
    count = Count(
        window=timedelta(minutes=1),
        part=Fact.measured("part", part, source="s", observed_at=NOW, **fact),  # type: ignore[arg-type]
        part_is=kind,  # type: ignore[arg-type]
        total=Fact.measured("all", total, source="s", observed_at=NOW),
    )
    targets = (SloTarget(target=0.9), SloTarget(target=0.99))
    return SloFacts(slo="x", targets=targets, window=timedelta(minutes=1), counts=(count,))


@pytest.mark.parametrize(
    ("given", "burn"),
    [
        (facts(1, 100), 1.0),
        (facts(98, 100, "good"), 2.0),
        (facts(0.02, 100, "bad_ratio"), 2.0),
        (facts(0, 100), 0.0),
    ],
)
def test_the_burn_is_by_the_strictest_target(given: SloFacts, burn: float) -> None:
    assert burn_of(given, NOW) == pytest.approx(burn)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (facts(1, 5), "too few"),
        (facts(6, 5), "cannot be"),
        (facts(float("nan"), 100), "no number"),
        (facts(1, 100, max_age=timedelta(minutes=-5)), "may be at most"),
        (facts(1, 100).model_copy(update={"counts": ()}), "0 windows"),
    ],
)
def test_a_burn_that_is_not_known(given: SloFacts, said: str) -> None:
    assert said in str(burn_of(given, NOW))


def test_how_late_a_signal_is() -> None:
    def late(age: float, window: float) -> int:
        return late_ticks(timedelta(seconds=age), timedelta(seconds=window), SETTINGS.period)

    assert [late(0, 0), late(10, 0), late(0, 60), late(40, 60), late(-5, 0)] == [0, 0, 1, 2, 0]
    assert late(1e9, 0) == 60


def test_what_is_kept_survives_and_what_cannot_be_read_starts_anew() -> None:
    kept = Kept(
        law=ThrottleState(limit=3.5), paused=Pause(who="ada", reason="x", at=NOW), completed=4
    )
    assert Kept.read(kept.text()) == kept
    assert Kept.read(None) == Kept() == Kept.read("{") == Kept.read('{"other": 1}')
