"""Releases of a Deployment whose traffic is shifted by a router."""

from __future__ import annotations

import math
from typing import Any, Protocol

from planner_provider.errors import CheckFailedError, MisconfiguredError, RefusedError
from planner_provider.hooks.kubernetes import DEPLOYMENTS, Json
from planner_provider.hooks.traffic.deployments import wanted_replicas
from planner_provider.hooks.traffic.release import (
    Done,
    Memo,
    Patience,
    Progress,
    ReleaseState,
    already_so,
    changed,
    wait_for,
)
from planner_provider.hooks.traffic.roll_out import roll_out, state_of, wait_for_roll_out
from planner_provider.hooks.traffic.workload import Workload


class Router(Protocol):
    """What splits traffic between the stable side and the canary."""

    def check(self, stable: Json, canary_labels: dict[str, str]) -> None:
        """Raise ``RefusedError`` if it cannot shift traffic to a canary with these labels."""
        ...

    def weight(self, canary: Json | None) -> float | None:
        """Share of the canary in percent; ``None`` if it cannot be read."""
        ...

    def shift(self, percent: int, canary: Json | None) -> Done:
        """Set the share, if it is another one, and confirm it."""
        ...

    def memo(self) -> Any:
        """What `restore` needs; JSON."""
        ...

    def restore(self, memo: Any, canary: Json | None) -> Done:
        """Set the weights as they were; the canary gets nothing."""
        ...


class KubernetesRelease:
    """A Deployment, its canary and, except for changes in place, a router between them."""

    def __init__(self, workload: Workload, router: Router | None, patience: Patience) -> None:
        self.workload = workload
        self._router = router
        self.patience = patience
        self.name = workload.title

    @property
    def router(self) -> Router:
        """What shifts traffic. Raises ``MisconfiguredError`` for changes in place."""
        if self._router is None:
            raise MisconfiguredError(f"{self.name}: a canary needs `traffic`; none is given")
        return self._router

    def observe(self) -> ReleaseState:
        """Read the Deployments and the weights."""
        work = self.workload
        stable, canary = work.stable(), work.any_canary()
        progress = _said(stable)
        ready, detail = progress.done, f"{work.name}: {progress.text}"
        if canary is not None:
            progress = _said(canary)
            ready = ready and progress.done
            detail += f"; {work.canary_name}: {progress.text}"
        return ReleaseState(
            stable=work.version_of(stable),
            canary=None if canary is None else work.version_of(canary),
            weight=self._weight(stable, canary),
            ready=ready,
            detail=detail,
        )

    def is_promoted(self) -> bool:
        """Whether the Deployment has the change and there is no canary."""
        return self.workload.any_canary() is None and self.workload.is_changed(
            self.workload.stable()
        )

    def memo(self) -> Memo:
        """What the Deployment and the router are set to now."""
        memo = self.workload.memo()
        if self._router is not None:
            memo["route"] = self._router.memo()
        return memo

    def deploy(self) -> Done:
        """Change the Deployment in place and wait until it is rolled out."""
        was = self.workload.apply_change()
        text = self._rolled_out(self.workload.name)
        if not was:
            return already_so(f"{self.name} has this change already: {text}")
        return changed(f"{self.name} was changed: {text}")

    def deploy_canary(self) -> Done:
        """Make the canary with as many replicas as its first traffic needs, and wait for it."""
        work = self.workload
        stable = work.stable()
        canary = work.canary()
        if canary is None:
            if work.is_changed(stable):
                raise RefusedError(
                    f"{self.name} runs {work.version_of(stable)} with this change already, so a "
                    "canary would be compared with itself. Nothing was changed"
                )
            self.router.check(stable, work.canary_labels(stable))
        made = work.create_canary(self._first_replicas())
        text = self._rolled_out(work.canary_name)
        if not made:
            return already_so(f"The canary {work.canary_name} is there already: {text}")
        return changed(f"The canary {work.canary_name} was made: {text}")

    def set_weight(self, percent: int) -> Done:
        """Give the canary enough replicas, then its share of the traffic."""
        work = self.workload
        canary = self._our_canary(percent)
        enough = math.ceil(wanted_replicas(work.stable()) * percent / 100)
        grown = False
        if percent > 0:
            if wanted_replicas(canary) < enough:
                grown = work.scale(work.canary_name, enough)
            text = self._rolled_out(work.canary_name)
        done = self.router.shift(percent, canary)
        if grown:
            return changed(f"{work.canary_name}: {text}. {done.text}")
        return done

    def promote(self) -> Done:
        """Bring the change into the Deployment, all traffic to it, then delete the canary."""
        work = self.workload
        canary = work.canary()
        stable = work.stable()
        if canary is None and not work.is_changed(stable):
            raise RefusedError(
                f"{self.name} has no canary of this plan to promote, and runs "
                f"{work.version_of(stable)}. Nothing was changed"
            )
        was = work.apply_change()
        text = self._rolled_out(work.name)
        shifted = self.router.shift(0, canary)
        gone = self._delete_canary()
        if not (was or shifted.changed or gone):
            return already_so(f"{self.name} is promoted already: {text}")
        return changed(f"{self.name} was promoted: {text}. {shifted.text}")

    def remove_canary(self) -> Done:
        """All traffic to the stable Deployment, then delete the canary."""
        canary = self.workload.canary()
        shifted = self.router.shift(0, canary)
        gone = self._delete_canary()
        if not (shifted.changed or gone):
            return already_so(f"{self.name} has no canary: {shifted.text}")
        return changed(f"The canary of {self.name} was taken away. {shifted.text}")

    def restore(self, memo: Memo) -> Done:
        """The Deployment as it was, all traffic to it, no canary of ours.

        A canary of somebody else, and the traffic that it gets, are left alone.
        """
        work = self.workload
        canary = work.any_canary()
        ours = canary is None or work.owns(canary)
        was = self._restore_stable(memo, canary if ours else None)
        text = self._rolled_out(work.name) if was or canary is None else ""
        shifted = already_so("")
        if ours and self._router is not None:
            shifted = self._router.restore(memo.get("route"), canary)
        gone = ours and canary is not None and self._delete_canary()
        text = text or self._rolled_out(work.name)
        if not (was or gone or shifted.changed):
            return already_so(f"{self.name} runs {memo['version']} as before: {text}")
        return changed(f"{self.name} runs {memo['version']} again: {text}. {shifted.text}".strip())

    def progress(self) -> Progress:
        """How far the Deployment, or its canary if there is one, is rolled out."""
        work = self.workload
        name = work.name if work.any_canary() is None else work.canary_name
        return roll_out(work.api, work.namespace, name)

    # ---- parts

    def _weight(self, stable: Json, canary: Json | None) -> float | None:
        return None if self._router is None else self._router.weight(canary)

    def _first_replicas(self) -> int:
        return 1

    def _restore_stable(self, memo: Memo, canary: Json | None) -> bool:
        return self.workload.restore_stable(memo)

    def _our_canary(self, percent: int) -> Json:
        canary = self.workload.canary()
        if canary is None:
            raise RefusedError(
                f"{self.name} has no canary of this plan, so nothing can get {percent}% of its "
                "traffic. Nothing was changed"
            )
        return canary

    def _rolled_out(self, name: str) -> str:
        return wait_for_roll_out(self.workload.api, self.workload.namespace, name, self.patience)

    def _delete_canary(self) -> bool:
        work = self.workload
        was = work.delete_canary()

        def gone() -> Progress:
            found = work.api.find(DEPLOYMENTS, work.namespace, work.canary_name)
            return Progress(found is None, "" if found is None else "it is still being deleted")

        wait_for(gone, self.patience, f"The deletion of Deployment {work.canary_name}")
        return was


def _said(deployment: Json) -> Progress:
    """How far it is; a roll-out that was given up is not done."""
    try:
        return state_of(deployment)
    except CheckFailedError as error:
        return Progress(False, str(error))
