"""Many who want locks at once, some of them killed, and a witness that the ledger knows not of."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

from planner_provider.errors import UnavailableError
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Hold, Lease, Mode, Outcome, RunKey

CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Contender:
    number: int
    holds: tuple[Hold, ...]
    dies: bool = False
    """Whether it is killed at some time and never comes back."""

    @property
    def key(self) -> RunKey:
        name = f"c{self.number:03}"
        return RunKey(f"{name}-run", name, name, "run", "d" * 64)

    def conflicts_with(self, other: Contender) -> bool:
        modes = {hold.resource: hold.mode for hold in self.holds}
        return any(
            hold.resource in modes and Mode.EXCLUSIVE in (hold.mode, modes[hold.resource])
            for hold in other.holds
        )


@dataclass(frozen=True)
class Pace:
    look: float
    hold: float
    patience: float
    seconds: float
    """After so long without an end there is a deadlock."""


@dataclass
class Story:
    """What the witness saw of one contender."""

    tickets: set[int] = field(default_factory=set)
    spans: dict[int, list[float]] = field(default_factory=dict)
    """Generation -> moments at which it surely held the lease."""
    gap: float = 0.0
    """Longest time for which the ledger may have had no fresh sign of life while it waited."""
    trouble: list[str] = field(default_factory=list)
    done: bool = False


def contenders(count: int, resources: int, dying: int, rng: random.Random) -> list[Contender]:
    made = []
    for number in range(count):
        names = rng.sample(range(resources), rng.randint(1, 3))
        modes = [rng.choice([Mode.EXCLUSIVE, Mode.EXCLUSIVE, Mode.SHARED]) for _ in names]
        holds = tuple(Hold(f"db://{n}", mode) for n, mode in zip(names, modes, strict=True))
        made.append(Contender(number, holds, dies=number < dying))
    return made


def contend(url: str, who: Contender, pace: Pace, witness: Path) -> None:
    """Take, hold and give back, as often as others fail. Everything is told to the witness."""
    ledger, rng = Ledger(url), random.Random(os.getpid() ^ who.number)
    out = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(*words: object) -> None:
        os.write(out, f"{time.monotonic():.6f} {who.number} {' '.join(map(str, words))}\n".encode())

    def insist(act):  # type: ignore[no-untyped-def]
        while True:
            try:
                return act()
            except UnavailableError as error:
                tell("trouble", str(error).replace("\n", " "))
                time.sleep(rng.uniform(0.2, 1.0))

    def ask():  # type: ignore[no-untyped-def]
        tell("asks")
        return ledger.ask_for_lease(
            who.key.plan_id, who.holds, actor="t", now=datetime.now(UTC),
            patience=timedelta(seconds=pace.patience),
        )  # fmt: skip

    while not isinstance(answer := insist(ask), Lease):
        tell("waits", answer.waiter.ticket)
        time.sleep(rng.uniform(0.5, 1.5) * pace.look)
    tell("holds", answer.generation)
    time.sleep(rng.uniform(0.5, 1.5) * pace.hold)
    while who.dies:
        tell("holds", answer.generation)
        time.sleep(pace.look)
    tell("holds", answer.generation)
    insist(lambda: ledger.release_lease(who.key.plan_id, actor="t", now=datetime.now(UTC)))
    insist(
        lambda: ledger.finish_run(
            who.key, Outcome.SUCCEEDED, "ok", actor="t", now=datetime.now(UTC)
        )
    )
    tell("done")
    os.close(out)


def contend_in_threads(url: str, group: list[Contender], pace: Pace, witness: Path) -> None:
    threads = [threading.Thread(target=contend, args=(url, who, pace, witness)) for who in group]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Arena:
    """Starts the contenders, kills some, starts the killed ones again, as Airflow would."""

    def __init__(
        self, url: str, group: list[Contender], pace: Pace, folder: Path, rng: random.Random
    ) -> None:
        self.url, self.group, self.pace, self.rng = url, group, pace, rng
        self.witness = folder / "witness"
        self.ledger = Ledger(url)
        self.kills = 0
        self.running: dict[int, BaseProcess] = {}

    def run(self, *, in_threads: int, kills: int) -> dict[int, Story]:
        now = datetime.now(UTC)
        for who in self.group:
            self.ledger.pin_run(who.key, expires_at=None, parameters={}, actor="t", now=now)
        alone = self.group[: len(self.group) - in_threads]
        threads = CONTEXT.Process(
            target=contend_in_threads,
            args=(self.url, self.group[len(alone) :], self.pace, self.witness),
        )
        threads.start()
        for who in alone:
            self._start(who)
        end = time.monotonic() + self.pace.seconds
        dead: set[int] = set()
        try:
            while threads.is_alive() or any(p.is_alive() for p in self.running.values()):
                assert time.monotonic() < end, f"no end: {self._unfinished()}"
                self._kill_somebody(alone, kills, dead)
                time.sleep(self.rng.uniform(0.02, 0.1))
        finally:
            for process in [threads, *self.running.values()]:
                process.kill()
                process.join()
        return self.stories()

    def _start(self, who: Contender) -> None:
        process = CONTEXT.Process(target=contend, args=(self.url, who, self.pace, self.witness))
        process.start()
        self.running[who.number] = process

    def _kill_somebody(self, alone: list[Contender], kills: int, dead: set[int]) -> None:
        living = [who for who in alone if self.running[who.number].is_alive()]
        for who in living:
            if who.dies and self.rng.random() < 0.02:
                self._kill(who)
                dead.add(who.number)
        living = [who for who in living if who.number not in dead]
        if living and self.kills < kills and self.rng.random() < 0.5:
            who = self.rng.choice(living)
            self._kill(who)
            self._start(who)
        for who in self.group:
            if who.number in dead:  # what the listener does when the run has ended
                with suppress(UnavailableError):  # a busy database is asked again
                    self._close(who)

    def _close(self, who: Contender) -> None:
        now = datetime.now(UTC)
        run = self.ledger.run(who.key.plan_id)
        if run and run.outcome is None:
            self.ledger.finish_run(who.key, Outcome.FAILED, "killed", actor="t", now=now)
        if run and self.ledger.check_lease(who.key.plan_id):
            self.ledger.reap(now=now, silence=timedelta(seconds=1))

    def _kill(self, who: Contender) -> None:
        process = self.running[who.number]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        self.kills += 1

    def _unfinished(self) -> str:
        return ", ".join(str(n) for n, story in self.stories().items() if not story.done)

    def stories(self) -> dict[int, Story]:
        stories = {contender.number: Story() for contender in self.group}
        asked: dict[int, float] = {}
        answered: dict[int, float] = {}
        for line in self.witness.read_text().splitlines():
            moment, number, what, *rest = line.split(" ", 3)
            who, at = int(number), float(moment)
            story = stories[who]
            if what == "asks":
                asked[who] = at
            elif what == "waits":
                story.tickets.add(int(rest[0]))
                story.gap = max(story.gap, at - answered.get(who, at))
                answered[who] = asked[who]
            elif what == "holds":
                story.gap = max(story.gap, at - answered.pop(who, at))
                story.spans.setdefault(int(rest[0]), []).append(at)
            elif what == "trouble":
                story.trouble.append(" ".join(rest))
            else:
                story.done = True
        return stories


def overlaps(group: list[Contender], stories: dict[int, Story]) -> list[str]:
    """Pairs that conflict and held at the same time."""
    spans = [
        (min(moments), max(moments), who)
        for who in group
        for moments in stories[who.number].spans.values()
    ]
    return [
        f"{a.number} and {b.number}"
        for (from_a, to_a, a), (from_b, to_b, b) in itertools.combinations(spans, 2)
        if a.number != b.number and a.conflicts_with(b) and from_a < to_b and from_b < to_a
    ]


def overtaken(group: list[Contender], stories: dict[int, Story], patience: float) -> list[str]:
    """Pairs that conflict, where the one who queued later was served first."""
    queued = [
        (min(story.tickets), min(story.spans), who)
        for who in group
        if (story := stories[who.number]).tickets and story.spans and story.gap < patience
    ]
    return [
        f"{later.number} overtook {earlier.number}"
        for (ticket_a, served_a, a), (ticket_b, served_b, b) in itertools.combinations(queued, 2)
        for earlier, later in [(a, b) if ticket_a < ticket_b else (b, a)]
        if a.conflicts_with(b) and (ticket_a < ticket_b) != (served_a < served_b)
    ]
