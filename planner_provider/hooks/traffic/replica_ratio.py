"""Traffic by the ratio of replicas: canary and stable pods are behind the same Service.

The shares are only as fine as the number of replicas; what is really reached is said in words.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner_provider.errors import RefusedError
from planner_provider.hooks.kubernetes import Json
from planner_provider.hooks.traffic.deployments import annotations_of, wanted_replicas
from planner_provider.hooks.traffic.kubernetes_release import KubernetesRelease
from planner_provider.hooks.traffic.release import Done, Memo, already_so, changed
from planner_provider.hooks.traffic.workload import PREFIX


@dataclass(frozen=True, slots=True)
class Split:
    """Replicas on each side."""

    stable: int
    canary: int

    @property
    def share(self) -> float:
        """Of all replicas, the canary's, in percent."""
        total = self.stable + self.canary
        return 100 * self.canary / total if total else 0.0

    def in_words(self, percent: int) -> str:
        """What the split really gives, next to what was asked for."""
        text = f"{self.canary} of {self.stable + self.canary} replicas are the canary's"
        if round(self.share, 6) == percent:
            return f"{text}: {percent}%"
        return f"{text}: {self.share:.3g}% where {percent}% was asked for"


def split(total: int, percent: int) -> Split:
    """The replicas that come closest to ``percent``, out of ``total``.

    Any share above 0% gets a replica, and so does any below 100%, if that takes one more than
    ``total``. Half a replica counts as one for the canary.
    """
    canary = (2 * total * percent + 100) // 200
    if percent > 0:
        canary = max(canary, 1)
    if percent < 100:
        canary = min(canary, max(total - 1, 1))
    stable = total - canary
    if percent < 100:
        stable = max(stable, 1)
    return Split(stable, canary)


class ReplicaRatioRelease(KubernetesRelease):
    """A Deployment and a canary that share replicas."""

    def deploy_canary(self) -> Done:
        """Make the canary without replicas: each running pod would get traffic."""
        work = self.workload
        stable = work.stable()
        if work.canary() is None:
            if work.is_changed(stable):
                raise RefusedError(
                    f"{self.name} runs {work.version_of(stable)} with this change already, so a "
                    "canary would be compared with itself. Nothing was changed"
                )
            if not wanted_replicas(stable):
                raise RefusedError(f"{self.name} has no replicas that a canary could share")
        made = work.create_canary(0)
        text = f"The canary {work.canary_name} is there, still without replicas"
        return changed(text) if made else already_so(text)

    def set_weight(self, percent: int) -> Done:
        """Grow the side that gains, wait until it is ready, then shrink the other."""
        work = self.workload
        canary = self._our_canary(percent)
        wanted = split(self._total(canary), percent)
        sides = [(work.canary_name, wanted.canary), (work.name, wanted.stable)]
        if wanted_replicas(canary) > wanted.canary:
            sides.reverse()
        was = False
        for name, replicas in sides:
            was = work.scale(name, replicas) or was
            self._rolled_out(name)
        text = f"{self.name}: {wanted.in_words(percent)}"
        return changed(text) if was else already_so(text)

    def promote(self) -> Done:
        """Bring the change and all replicas back into the Deployment, then delete the canary."""
        work = self.workload
        canary = work.canary()
        stable = work.stable()
        if canary is None and not work.is_changed(stable):
            raise RefusedError(
                f"{self.name} has no canary of this plan to promote, and runs "
                f"{work.version_of(stable)}. Nothing was changed"
            )
        was = work.apply_change(replicas=None if canary is None else self._total(canary))
        text = self._rolled_out(work.name)
        gone = self._delete_canary()
        if not (was or gone):
            return already_so(f"{self.name} is promoted already: {text}")
        return changed(f"{self.name} was promoted: {text}")

    def remove_canary(self) -> Done:
        """Give the Deployment its replicas back, wait for them, then delete the canary."""
        work = self.workload
        canary = work.canary()
        if canary is None:
            return already_so(f"{self.name} has no canary")
        work.scale(work.name, self._total(canary))
        text = self._rolled_out(work.name)
        self._delete_canary()
        return changed(f"The canary of {self.name} was taken away: {text}")

    def _weight(self, stable: Json, canary: Json | None) -> float | None:
        mine = 0 if canary is None else wanted_replicas(canary)
        return Split(wanted_replicas(stable), mine).share

    def _restore_stable(self, memo: Memo, canary: Json | None) -> bool:
        return self.workload.restore_stable(memo, replicas=canary is not None)

    def _total(self, canary: Json) -> int:
        """The replicas before the canary, kept with it when it was made."""
        text = annotations_of(canary).get(f"{PREFIX}/replicas", "")
        if not text.isdigit() or not int(text):
            raise RefusedError(
                f"The canary {self.workload.canary_name} does not tell how many replicas there "
                f"were (annotation {PREFIX}/replicas is '{text}'). Set it, then go on"
            )
        return int(text)
