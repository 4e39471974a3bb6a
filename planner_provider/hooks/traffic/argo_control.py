"""An Argo Rollout: what it says about itself, and the patches that drive it."""

from __future__ import annotations

from dataclasses import dataclass

from planner_provider.errors import CheckFailedError, RefusedError
from planner_provider.hooks.kubernetes import JSON_PATCH, MERGE, ROLLOUTS, Json, KubernetesApi
from planner_provider.hooks.traffic.deployments import annotations_of, version_test
from planner_provider.hooks.traffic.release import Progress


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """What a Rollout says about itself."""

    phase: str
    message: str
    aborted: bool
    step: int | None
    stable_hash: str
    current_hash: str
    paused: bool
    """At a pause of its steps."""
    stopped: bool
    """By ``spec.paused``."""
    inconclusive: bool
    controller_pause: bool
    seen: bool
    """Whether the controller has seen the newest generation."""

    @property
    def settled(self) -> bool:
        """Whether the current version is the stable one and all is well."""
        return (
            self.seen
            and self.phase == "Healthy"
            and bool(self.stable_hash)
            and self.stable_hash == self.current_hash
        )

    def in_words(self) -> str:
        """For messages."""
        if not self.seen:
            return "the Rollout controller has not seen the change yet"
        step = "" if self.step is None else f", step {self.step}"
        said = f" ({self.message})" if self.message else ""
        return f"phase {self.phase}{said}{step}{', aborted' if self.aborted else ''}"


def status_of(rollout: Json) -> RolloutStatus:
    """Read the status of a Rollout."""
    status = rollout.get("status") or {}
    reasons = [str(pause.get("reason")) for pause in status.get("pauseConditions") or ()]
    held = bool(status.get("controllerPause")) and not reasons
    seen = str(status.get("observedGeneration") or "") == str(rollout["metadata"]["generation"])
    index = status.get("currentStepIndex")
    return RolloutStatus(
        phase="Progressing" if held else str(status.get("phase") or "Unknown"),
        message=str(status.get("message") or ""),
        aborted=bool(status.get("abort")),
        step=None if index is None else int(index),
        stable_hash=str(status.get("stableRS") or ""),
        current_hash=str(status.get("currentPodHash") or ""),
        paused=bool(reasons),
        stopped=bool(rollout["spec"].get("paused")),
        inconclusive="InconclusiveAnalysisRun" in reasons,
        controller_pause=bool(status.get("controllerPause")),
        seen=seen,
    )


class RolloutControl:
    """The patches that drive one Rollout, as Argo's command line sends them."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name

    def read(self) -> Json:
        """The Rollout. Raises ``RefusedError`` if there is none."""
        return self._api.get(ROLLOUTS, self._namespace, self._name)

    def abort(self) -> None:
        """Give all traffic to the stable version."""
        self._status({"abort": True})

    def retry(self) -> None:
        """Begin an aborted update again."""
        self._status({"abort": False})

    def promote(self, now: RolloutStatus) -> None:
        """One step on: what is needed depends on why it does not go on by itself."""
        if now.stopped:
            self._spec({"paused": False})
        elif now.inconclusive and now.controller_pause:
            self._status(
                {
                    "pauseConditions": None,
                    "controllerPause": False,
                    "currentStepIndex": (now.step or 0) + 1,
                }
            )
        elif now.paused:
            self._status({"pauseConditions": None})
        else:
            self._status({"pauseConditions": None, "currentStepIndex": (now.step or 0) + 1})

    def promote_full(self, now: RolloutStatus) -> None:
        """To the end, over all steps and pauses."""
        if now.stopped:
            self._spec({"paused": False})
        if now.current_hash != now.stable_hash:
            self._status({"promoteFull": True})

    def replace_template(self, rollout: Json, template: Json, marks: dict[str, str]) -> None:
        """Another pod template; only if the Rollout is still as it was read."""
        body: list[Json] = [
            version_test(rollout),
            {"op": "replace", "path": "/spec/template", "value": template},
        ]
        if marks:
            if annotations_of(rollout):
                body += [
                    {
                        "op": "add",
                        "path": f"/metadata/annotations/{key.replace('/', '~1')}",
                        "value": value,
                    }
                    for key, value in marks.items()
                ]
            else:
                body.append({"op": "add", "path": "/metadata/annotations", "value": marks})
        self._api.patch(ROLLOUTS, self._namespace, self._name, body, JSON_PATCH)

    def _spec(self, values: Json) -> None:
        self._api.patch(ROLLOUTS, self._namespace, self._name, {"spec": values}, MERGE)

    def _status(self, values: Json) -> None:
        """Through the subresource; older Rollouts have none, there it is part of the object."""
        body: Json = {"status": values}
        where = (ROLLOUTS, self._namespace, self._name)
        if self._api.patch_if_there(*where, body, MERGE, subresource="status") is None:
            self._api.patch(*where, body, MERGE)


def at_pause_or_end(rollout: Json, now: RolloutStatus) -> Progress:
    """Whether it waits at a pause, or is done. Raises ``CheckFailedError`` if it failed."""
    if now.seen:
        refuse_aborted(now, rollout["metadata"]["name"])
        if now.phase == "Degraded":
            raise CheckFailedError(f"Rollout {rollout['metadata']['name']}: {now.in_words()}")
    at_pause = now.seen and now.paused and now.phase == "Paused"
    return Progress(at_pause or now.settled, now.in_words())


def refuse_aborted(now: RolloutStatus, name: str) -> None:
    """Raise ``CheckFailedError`` for a Rollout that was aborted."""
    if now.aborted:
        raise CheckFailedError(
            f"Rollout {name} was aborted, and not by this step: {now.message or 'no reason given'}"
        )


def _steps(rollout: Json) -> list[Json]:
    steps: list[Json] = rollout["spec"]["strategy"]["canary"].get("steps") or []
    return steps


def paused_weights(rollout: Json, name: str) -> list[int]:
    """Weights that are followed by an endless pause. Refuses steps that go on by themselves."""
    out: list[int] = []
    steps = _steps(rollout)
    for number, step in enumerate(steps):
        if "setWeight" not in step:
            continue
        after = next((s for s in steps[number + 1 :] if "setWeight" in s or "pause" in s), {})
        if "pause" not in after or (after["pause"] or {}).get("duration") is not None:
            raise RefusedError(
                f"{name} does not stop after its step `setWeight: {step['setWeight']}`, so it "
                "would overtake the plan; put `pause: {}` after it"
            )
        out.append(int(step["setWeight"]))
    return out


def weight_of(rollout: Json, now: RolloutStatus) -> float:
    """Share of the traffic that the new version gets, in percent."""
    if now.aborted or now.stable_hash == now.current_hash:
        return 0.0
    told = ((rollout.get("status") or {}).get("canary") or {}).get("weights") or {}
    if "canary" in told:
        return float(told["canary"].get("weight") or 0)
    done = _steps(rollout)[: now.step or 0]
    reached = [int(step["setWeight"]) for step in done if "setWeight" in step]
    return float(reached[-1]) if reached else 0.0
