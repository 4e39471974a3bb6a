from __future__ import annotations

from planner_provider.sandbox.clock import Clock, iso


def test_stepped_clock_moves_only_by_hand() -> None:
    real = [0.0]
    clock = Clock(1_000, None, lambda: real[0])
    real[0] = 50.0
    assert clock.now_ms() == 1_000
    clock.advance(250)
    assert clock.now_ms() == 1_250
    assert clock.stepped


def test_running_clock_follows_real_time_by_its_speed() -> None:
    real = [5.0]
    clock = Clock(1_000, 60.0, lambda: real[0])
    real[0] = 6.5
    assert clock.now_ms() == 1_000 + 90_000
    clock.rebase(7_000)
    real[0] = 7.5
    assert clock.now_ms() == 7_000 + 60_000


def test_iso_is_utc_to_the_second() -> None:
    assert iso(1_767_614_410_999) == "2026-01-05T12:00:10Z"
