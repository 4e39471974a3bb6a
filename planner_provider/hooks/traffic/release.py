"""What can be done to a running service, whatever runs it: the types that all ways share.

A `Release` reads the world, does only what is missing and confirms it. Every method may be called
again, by the same process or another one, after it was cut off anywhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from planner_provider.errors import CheckFailedError, UnavailableError
from planner_provider.spec.values import format_duration

Memo = dict[str, Any]
"""What a service was before it was changed. JSON; only the `Release` that made it reads it."""

RenderWeight = Callable[[Any, int], Any]
"""Renders a body or path of ``traffic.http`` for a weight in percent."""
_PLACE = re.compile(r"\{\{\s*weight\s*\}\}")


def substitute_weight(value: Any, weight: int) -> Any:
    """``{{ weight }}`` in a text replaced by the number; for use without Airflow's Jinja."""
    return _PLACE.sub(str(weight), value) if isinstance(value, str) else value


class Outcome(StrEnum):
    """Whether an act did anything."""

    CHANGED = "changed"
    ALREADY_SO = "already so"


@dataclass(frozen=True, slots=True)
class Done:
    """What an act came to. ``text`` is a sentence for the log."""

    outcome: Outcome
    text: str

    @property
    def changed(self) -> bool:
        """Whether the world was changed."""
        return self.outcome is Outcome.CHANGED


def changed(text: str) -> Done:
    """The act did something."""
    return Done(Outcome.CHANGED, text)


def already_so(text: str) -> Done:
    """There was nothing to do."""
    return Done(Outcome.ALREADY_SO, text)


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """What is deployed now."""

    stable: str
    """Image or version that the stable side is meant to run."""
    canary: str | None
    """Image or version of the canary; ``None`` if there is none."""
    weight: float | None
    """Share of the traffic that the canary gets, in percent. ``None``: it cannot be read."""
    ready: bool
    """Whether all that is meant to run does run."""
    detail: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a change has come."""

    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf things are changed."""

    owner: str
    """The plan ID, or DAG id and run id. A canary of another owner is never touched."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels for what is made in Kubernetes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers for HTTP requests."""
    key: str = ""
    """What Idempotency-Keys are made from; the same for all tries of a task."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how a change is waited for."""

    deadline: timedelta = timedelta(minutes=10)
    """Longest wait for one change to be rolled out."""
    every: float = 2.0
    """Seconds between two looks."""
    pause: Callable[[float], None] = time.sleep
    """Sleeps; raises to break off."""
    monotonic: Callable[[], float] = time.monotonic


class Release(Protocol):
    """One service, and the change that is made to it.

    All methods raise ``UnavailableError`` where the other side does not answer, ``RefusedError``
    where it says no or where the canary is somebody else's, ``CheckFailedError`` where what was
    done does not come about in time, ``MisconfiguredError`` for credentials.
    """

    name: str
    """What is released, for messages."""

    def observe(self) -> ReleaseState:
        """Read what is deployed."""
        ...

    def is_promoted(self) -> bool:
        """Whether the stable side has the change and there is no canary."""
        ...

    def memo(self) -> Memo:
        """What `restore` needs. Take it, and keep it durably, before the first change."""
        ...

    def deploy(self) -> Done:
        """Change the stable side in place and wait until it is rolled out."""
        ...

    def deploy_canary(self) -> Done:
        """Start the changed version beside the stable one, without traffic, and wait for it."""
        ...

    def set_weight(self, percent: int) -> Done:
        """Give the canary this share of the traffic."""
        ...

    def promote(self) -> Done:
        """Make the change the stable one, give it all traffic, take the canary away."""
        ...

    def remove_canary(self) -> Done:
        """Give all traffic to the stable side, then take the canary away."""
        ...

    def restore(self, memo: Memo) -> Done:
        """Put everything back to what it was when ``memo`` was taken."""
        ...

    def progress(self) -> Progress:
        """How far the last change is rolled out. Raises ``CheckFailedError`` if it failed."""
        ...


def wait_for(look: Callable[[], Progress], patience: Patience, what: str) -> str:
    """Look until it is done; give back the last text.

    What does not answer is asked again until the deadline.

    Raises:
        CheckFailedError: it was not done in time; the message says how far it came.
        UnavailableError: at the deadline the other side did not answer.
    """
    end = patience.monotonic() + patience.deadline.total_seconds()
    while True:
        trouble: UnavailableError | None = None
        text = ""
        try:
            progress = look()
            if progress.done:
                return progress.text
            text = progress.text
        except UnavailableError as error:
            trouble = error
        left = end - patience.monotonic()
        if left <= 0:
            if trouble is not None:
                raise trouble
            raise CheckFailedError(
                f"{what} did not come about within {format_duration(patience.deadline)}: {text}"
            )
        patience.pause(min(patience.every, max(left, 0.01)))
