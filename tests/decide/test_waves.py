from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner_provider.decide.model import VerdictKind
from planner_provider.decide.replay import decide, replay
from planner_provider.decide.waves import TargetState, Turn, TurnKind, WaveInputs, turn

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def target(name: str, state: str = "waiting", **more: object) -> TargetState:
    return TargetState.model_validate({"name": name, "wave": 1, "state": state, **more})


def ask(name: str, *targets: TargetState, unavailable: int = 9, errors: int = 0,
        elsewhere: tuple[str, ...] = ()) -> Turn:  # fmt: skip
    return turn(name, targets, max_unavailable=unavailable, max_errors=errors, elsewhere=elsewhere)


@pytest.mark.parametrize(
    ("failed", "borne", "kind"),
    [
        (0, 0, TurnKind.BEGIN),
        (1, 0, TurnKind.STOP),
        (1, 1, TurnKind.BEGIN),
        (2, 1, TurnKind.STOP),
        (2, 2, TurnKind.BEGIN),
        (3, 2, TurnKind.STOP),
    ],
)
def test_no_other_begins_once_more_than_max_errors_failed(
    failed: int, borne: int, kind: TurnKind
) -> None:
    others = [target(f"f{n}", "failed") for n in range(failed)]
    assert ask("next", target("next"), *others, errors=borne).kind is kind


def test_what_failed_before_the_run_was_cleared_is_no_error_any_more() -> None:
    assert ask("next", target("next"), target("f", "failed", counts=False)).kind is TurnKind.BEGIN
    again = ask("f", target("f", "failed", available=False))
    assert again.kind is TurnKind.BEGIN, "it does not stand in its own way"


def test_unavailable_are_those_begun_those_broken_and_those_elsewhere() -> None:
    others = (target("a", "acting"), target("b", "failed", available=False), target("c", "done"))
    full = ask("next", target("next"), *others, unavailable=3, errors=1, elsewhere=("x",))
    assert (full.kind, full.unavailable) == (TurnKind.WAIT, ("a", "b", "x"))
    assert ask("next", target("next"), *others, unavailable=4, errors=1,
               elsewhere=("x",)).kind is TurnKind.BEGIN  # fmt: skip
    twice = ask("next", target("next"), *others, unavailable=3, errors=1, elsewhere=("a", "b"))
    assert twice.kind is TurnKind.BEGIN, "each counts once"


def test_one_that_is_unavailable_anyway_makes_none_more_so() -> None:
    assert ask("x", target("x"), unavailable=1, elsewhere=("x", "y", "z")).kind is TurnKind.BEGIN
    held = (target("x"), target("a", "acting"))
    assert ask("x", *held, unavailable=1, elsewhere=("x",)).kind is TurnKind.WAIT


def test_places_that_failed_targets_keep_end_the_rollout_instead_of_blocking_it() -> None:
    stuck = ask("next", target("next"), target("f", "failed", available=False),
                unavailable=1, errors=5)  # fmt: skip
    assert stuck.kind is TurnKind.STOP
    assert "f failed and may be unavailable still" in stuck.why
    assert ask("next", target("next"), target("f", "failed"), unavailable=1,
               errors=5).kind is TurnKind.BEGIN  # fmt: skip


def test_nothing_may_be_unavailable_so_nothing_begins() -> None:
    assert ask("a", target("a"), unavailable=0).kind is not TurnKind.BEGIN


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 12),
    unavailable=st.integers(1, 4),
    errors=st.integers(0, 4),
    seed=st.integers(0, 2**32),
)
def test_limits_hold_over_any_interleaving(
    size: int, unavailable: int, errors: int, seed: int
) -> None:
    """Targets ask, end and fail in any order, and others break and mend beside them."""
    chance = random.Random(seed)
    states = {f"t{n}": target(f"t{n}") for n in range(size)}
    away: set[str] = set()
    for _ in range(size * 12):
        name = chance.choice(list(states))
        now = states[name]
        if now.state == "waiting":
            before = list(states.values())
            held = {t.name for t in before if t.holds}
            answer = turn(name, before, max_unavailable=unavailable, max_errors=errors,
                          elsewhere=away)  # fmt: skip
            if answer.kind is TurnKind.BEGIN:
                assert sum(t.is_error for t in before) <= errors
                assert len(held | {name}) <= unavailable
                assert name in away or len(held | away | {name}) <= unavailable
                states[name] = target(name, "acting")
        elif now.state == "acting":
            ends = chance.choice(["done", "failed", "failed-and-away", "acting"])
            states[name] = (
                target(name, "failed", available=False)
                if ends == "failed-and-away"
                else target(name, ends)
            )
        if chance.random() < 0.2:
            away ^= {chance.choice([*states, "foreign"])}


def judged(*targets: TargetState, errors: int = 0, wave: int = 1) -> tuple[VerdictKind, str]:
    inputs = WaveInputs(now=NOW, wave=wave, waves=2, max_errors=errors, targets=targets)
    verdict, record = decide(inputs)
    assert replay(record).equal
    return verdict.kind, verdict.reasons[0].code


def test_a_wave_that_ended_within_its_errors_lets_the_next_one_begin() -> None:
    done, failed = target("a", "done"), target("b", "failed", detail="drain: no")
    later = target("z", wave=2)
    assert judged(done, later) == (VerdictKind.PROCEED, "wave_ended")
    assert judged(done, failed, errors=1) == (VerdictKind.PROCEED, "wave_ended")
    assert judged(done, failed, errors=0) == (VerdictKind.REFUSE, "too_many_errors")
    assert judged(done, target("g", "gone"), target("s", "skipped")) == (
        VerdictKind.PROCEED, "wave_ended",
    )  # fmt: skip
    assert judged(done, target("w")) == (VerdictKind.REFUSE, "not_begun")
    assert judged(done, target("w", "acting")) == (VerdictKind.REFUSE, "not_ended")


def test_errors_count_over_all_waves() -> None:
    first, second = target("a", "failed"), target("b", "failed", wave=2)
    assert judged(first, second, errors=1, wave=2) == (VerdictKind.REFUSE, "too_many_errors")
