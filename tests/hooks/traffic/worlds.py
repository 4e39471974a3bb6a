"""What the tests of releases share: time that does not pass, and death after any request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from planner_provider.hooks.kubernetes import KubernetesApi
from planner_provider.hooks.traffic import Caller, Patience, Release, release_for
from planner_provider.spec.delivery import Change, Target, Traffic

OWNER = "checkout-release-abc-1"


class Time:
    """Waits take no time but count."""

    def __init__(self) -> None:
        self.now = 0.0

    def patience(self, **deadline: float) -> Patience:
        return Patience(
            deadline=timedelta(**(deadline or {"seconds": 60})),
            pause=self.pause,
            monotonic=lambda: self.now,
        )

    def pause(self, seconds: float) -> None:
        self.now += seconds


def kubernetes_release(
    traffic: dict[str, Any] | None = None,
    change: dict[str, Any] | None = None,
    owner: str = OWNER,
    **target: Any,
) -> Release:
    where = {"connection": "cluster", "namespace": "shop", "deployment": "checkout", **target}
    return release_for(
        Target.model_validate({"kubernetes": where}),
        None if traffic is None else Traffic.model_validate(traffic),
        Change.model_validate(change or {"image": "shop/checkout:1.4.2"}),
        caller=Caller(owner=owner, labels={"planner.dev/plan": "checkout-release"}, key="k"),
        patience=Time().patience(),
    )


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_after(requests: int, what: Any = KubernetesApi, name: str = "_ask") -> Iterator[None]:
    """Die when that many requests were carried out, before their answer is seen."""
    count = 0
    real: Callable[..., Any] = getattr(what, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        if count >= requests:
            raise Killed
        try:
            return real(*args, **kwargs)
        finally:
            count += 1
            if count == requests:
                raise Killed

    with patch.object(what, name, counted):
        yield


def survives(
    fresh: Callable[[], Any], act: Callable[[], Any], look: Callable[[Any], Any], **where: Any
) -> int:
    """Kill ``act`` after each of its requests, run it again: the same end each time.

    Args:
        fresh: makes a new world and gives it.
        act: what is done; builds everything anew, as another process would.
        look: the part of the world that must be the same.

    Returns the number of points at which it was killed.
    """
    world = fresh()
    act()
    wanted = look(world)
    points = 0
    while True:
        points += 1
        world = fresh()
        try:
            with killed_after(points, **where):
                act()
        except Killed:
            act()
            assert look(world) == wanted, f"killed after request {points}"
        else:
            assert look(world) == wanted
            return points - 1


def restores(
    fresh: Callable[[], Any],
    release: Callable[[], Any],
    look: Callable[[Any], Any],
    *,
    weight: int = 50,
    **where: Any,
) -> int:
    """Kill a rollout after each of its requests and put it back: each time all is as before.

    Args:
        fresh: makes a new world and gives it.
        release: builds the release anew, as another process would.
        look: the part of the world that must be as before.

    Returns the number of points at which it was killed.
    """
    points = 0
    while True:
        points += 1
        world = fresh()
        before, memo = look(world), release().memo()
        try:
            with killed_after(points, **where):
                going = release()
                going.deploy_canary()
                going.set_weight(weight)
                going.promote()
        except Killed:
            release().restore(memo)
            assert look(world) == before, f"killed after request {points}"
        else:
            return points - 1
