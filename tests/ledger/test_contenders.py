from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import first_broken
from tests.ledger.contenders import Arena, Pace, contenders, overlaps, overtaken


def contest(
    url: str, folder: Path, pace: Pace, *, count: int, resources: int, kills: int, dying: int = 0
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    ledger = Ledger(url)
    ledger.upgrade()
    group = contenders(count, resources, dying, rng)
    arena = Arena(url, group, pace, folder, rng)
    stories = arena.run(in_threads=count // 3, kills=kills)
    trouble = [text for story in stories.values() for text in story.trouble]
    waited = sum(bool(story.tickets) for story in stories.values())
    longest = max(story.gap for story in stories.values())
    print(f"longest time without a sign {longest:.1f} s")
    print(f"{arena.kills} killed, {waited} waited, {len(trouble)} times not answered")
    assert all(stories[who.number].done for who in group if not who.dies)
    assert overlaps(group, stories) == []
    assert overtaken(group, stories, pace.patience) == []
    assert not [text for text in trouble if "deadlock" in text]
    assert waited > count / 4, "there was no contention"
    assert arena.kills > kills / 2, "nobody was killed"
    assert ledger.held_resources() == ()
    assert ledger.lease_queue(now=datetime.now(UTC)) == ()
    assert first_broken(ledger.audit_of()) is None


@pytest.mark.timeout(120)
def test_no_two_holders_no_deadlock_nobody_overtaken(ledger_url: str, tmp_path: Path) -> None:
    pace = Pace(look=0.15, hold=0.02, patience=60, seconds=90)
    contest(ledger_url, tmp_path, pace, count=40, resources=6, kills=12)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_same_with_many_who_are_killed_for_good(ledger_url: str, tmp_path: Path) -> None:
    pace = Pace(look=1.5, hold=0.1, patience=20, seconds=1100)
    contest(ledger_url, tmp_path, pace, count=200, resources=24, kills=150, dying=20)
