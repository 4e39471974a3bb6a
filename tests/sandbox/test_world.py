from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner_provider.sandbox import default_world, model
from planner_provider.sandbox.clock import STEPPED_START_MS, Clock
from planner_provider.sandbox.metrics import Exposition
from planner_provider.sandbox.model import ContradictionError, TrackKey
from planner_provider.sandbox.store import Store
from planner_provider.sandbox.traffic import Totals
from planner_provider.sandbox.wire import FaultBody
from planner_provider.sandbox.world import BUCKET_MS, KEPT_BUCKETS, FullError, World

from .reading import sums_in_file, sums_in_metrics

Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(1, 40_000)),
        st.tuples(st.just("canary"), st.integers(0, 2)),
        st.tuples(st.just("weight"), st.integers(0, 100)),
        st.tuples(st.just("promote"), st.integers(0, 2)),
        st.tuples(st.just("remove"), st.just(0)),
        st.tuples(st.just("replicas"), st.integers(0, 3)),
        st.tuples(st.just("errors"), st.integers(1, 60)),
    ),
    max_size=14,
)
VERSIONS = ("1.4.2", "1.5.0-bad", "1.6.0-slow")


def world(seed: int = 1) -> World:
    return World(default_world(), Clock(STEPPED_START_MS, None), seed)


def take(one: World, step: Step) -> None:
    kind, n = step
    if kind == "advance":
        one.advance(n)
        return
    if kind == "errors":
        one.add_fault(FaultBody(kind="errors", value=0.3).fault(), n * 1000)
        return
    how = {
        "canary": lambda s: model.put_canary(s, VERSIONS[n]),
        "weight": lambda s: model.put_weight(s, n, None),
        "promote": lambda s: model.promote(s, VERSIONS[n]),
        "remove": lambda s: model.remove_canary(s, None),
        "replicas": lambda s: model.put_replicas(s, n),
    }[kind]
    try:
        one.change("checkout", how, {})
    except ContradictionError:
        return


def grew(before: dict[TrackKey, Totals], after: dict[TrackKey, Totals]) -> bool:
    return all(
        new.requests >= old.requests
        and new.errors >= old.errors
        and new.latency_us >= old.latency_us
        and all(a >= b for a, b in zip(new.cells, old.cells, strict=True))
        for old, new in ((old, after[key]) for key, old in before.items())
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 2**31))
def test_counters_never_fall_and_agree_with_the_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], seed: int
) -> None:
    db: Path = tmp_path_factory.mktemp("world") / "x.db"
    one, store = world(seed), Store(db)
    exposition = Exposition(one)
    store.begin(seed, 5, STEPPED_START_MS)
    try:
        for step in steps:
            before = one.totals()
            take(one, step)
            assert grew(before, one.totals())
            assert store.write(one.take_dirty(), one.catch_up())
        shown = sums_in_metrics(exposition.render("")[0].decode())
        assert shown == sums_in_file(db)
        assert len(one.changes()) == sum(one.change_counts().values())
    finally:
        store.close()


@settings(max_examples=15, deadline=None)
@given(STEPS, st.integers(0, 2**31))
def test_same_seed_and_calls_same_world(steps: list[Step], seed: int) -> None:
    one, two = world(seed), world(seed)
    for step in steps:
        take(one, step)
        take(two, step)
    assert one.save() == two.save()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=10))
def test_many_small_steps_are_one_big_step(parts: list[int]) -> None:
    one, two = world(), world()
    one.advance(sum(parts))
    for part in parts:
        two.advance(part)
    assert one.save() == two.save()


def test_a_change_takes_hold_at_the_next_second() -> None:
    one = world()
    one.advance(500)
    one.change("checkout", lambda s: model.put_canary(s, "2-bad"), {})
    one.change("checkout", lambda s: model.put_weight(s, 100, None), {})
    one.advance(60_000)
    canary = one.totals()[TrackKey("checkout", "2-bad", "canary")]
    assert canary.errors / canary.requests == pytest.approx(0.05, abs=0.02)


def test_old_buckets_are_forgotten_once_written_and_kept_until_then() -> None:
    one = world()
    one.advance((KEPT_BUCKETS + 20) * BUCKET_MS)
    assert len(one.save().buckets) == KEPT_BUCKETS + 20
    one.take_dirty()
    one.advance(2 * BUCKET_MS)
    assert len(one.save().buckets) <= KEPT_BUCKETS + 1


def test_buckets_that_could_not_be_written_come_again() -> None:
    one = world()
    one.advance(25_000)
    taken = one.take_dirty()
    assert len(taken) == 3
    assert one.take_dirty() == {}
    one.give_back(taken)
    assert one.take_dirty() == taken


def test_a_long_pause_is_not_made_up_for() -> None:
    real = [0.0]
    one = World(default_world(), Clock(0, 1.0, lambda: real[0]), 1)
    real[0] = 86_400.0
    assert one.catch_up() == 3_600_000
    real[0] += 5
    assert one.catch_up() == 3_605_000


def test_hooks_and_faults_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner_provider.sandbox.world.MAX_HOOKS", 1)
    monkeypatch.setattr("planner_provider.sandbox.world.MAX_FAULTS", 1)
    one = world()
    assert one.post("chat", "a", {}) == 1
    assert one.post("chat", "b", {}) == 2
    with pytest.raises(FullError):
        one.post("other", "c", {})
    one.add_fault(FaultBody(kind="down").fault(), 1000)
    with pytest.raises(FullError):
        one.add_fault(FaultBody(kind="down").fault(), None)
    one.advance(1000)
    one.add_fault(FaultBody(kind="down").fault(), None)
