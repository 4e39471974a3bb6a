"""Traffic by an Argo Rollout that the plan drives from pause to pause.

The Rollout's own steps say which weights there are; each must be followed by an endless
``pause: {}``, at which the plan decides. The patches are those of Argo's own command line.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from planner_provider.errors import RefusedError
from planner_provider.hooks.kubernetes import (
    REPLICA_SETS,
    Json,
    KubernetesApi,
    check_name,
)
from planner_provider.hooks.traffic.argo_control import (
    RolloutControl,
    RolloutStatus,
    at_pause_or_end,
    paused_weights,
    refuse_aborted,
    status_of,
    weight_of,
)
from planner_provider.hooks.traffic.deployments import again_on_conflict, annotations_of
from planner_provider.hooks.traffic.release import (
    Caller,
    Done,
    Memo,
    Patience,
    Progress,
    ReleaseState,
    already_so,
    changed,
    wait_for,
)
from planner_provider.hooks.traffic.workload import OWNER, Workload
from planner_provider.spec.delivery import Change, KubernetesTarget

HASH = "rollouts-pod-template-hash"


class ArgoRelease:
    """A Rollout whose pod template is changed, and which is promoted step by step.

    Raises:
        RefusedError: the target names a Deployment that is not the Rollout's (a Rollout has the
            pod template itself), or the Rollout's steps cannot give the weights that are asked.
    """

    def __init__(
        self,
        api: KubernetesApi,
        target: KubernetesTarget,
        rollout: str,
        change: Change,
        caller: Caller,
        patience: Patience,
    ) -> None:
        self._api = api
        self._namespace = check_name(target.namespace, "namespace")
        self._rollout = check_name(rollout, "Rollout")
        self._caller = caller
        self._patience = patience
        self.control = RolloutControl(api, self._namespace, self._rollout)
        self.name = f"Rollout {self._namespace}/{rollout}"
        self._work = Workload(api, target, change, caller, same_service=True)
        self._work.title = self.name

    def observe(self) -> ReleaseState:
        """Read the Rollout."""
        rollout = self._read()
        now = status_of(rollout)
        updating = now.stable_hash != now.current_hash
        template = self._stable_template(now) if updating else rollout["spec"]["template"]
        return ReleaseState(
            stable=self._version(template),
            canary=self._version(rollout["spec"]["template"]) if updating else None,
            weight=weight_of(rollout, now),
            ready=now.seen and now.phase in ("Healthy", "Paused"),
            detail=now.in_words(),
        )

    def is_promoted(self) -> bool:
        """Whether the changed version is the stable one."""
        rollout = self._read()
        return status_of(rollout).settled and self._work.is_changed(rollout)

    def memo(self) -> Memo:
        """The pod template that is stable now."""
        rollout = self._read()
        now = status_of(rollout)
        if not now.settled:
            raise RefusedError(
                f"{self.name} is in the middle of another update: {now.in_words()}. Let it end, "
                "then go on"
            )
        template = rollout["spec"]["template"]
        return {
            "kind": "Rollout",
            "name": self._rollout,
            "namespace": self._namespace,
            "version": self._version(template),
            "spec": {"template": deepcopy(template)},
        }

    def deploy(self) -> Done:
        """Change the template and promote it over all steps."""
        first = self._change(steps_matter=False)
        done = self.promote()
        return done if done.changed or not first else changed(done.text)

    def deploy_canary(self) -> Done:
        """Change the template, and wait until the Rollout pauses at its first step."""
        was = self._change(steps_matter=True)
        text = self._wait(at_pause_or_end, "The first pause")
        return changed(text) if was else already_so(text)

    def set_weight(self, percent: int) -> Done:
        """Promote step by step until the Rollout pauses at this weight; 0 aborts."""
        if percent == 0:
            self._ours(percent)
            return self._abort()
        was = False
        while True:
            weights = paused_weights(self._ours(percent), self.name)
            if percent not in weights:
                raise RefusedError(
                    f"{self.name} has no step `setWeight: {percent}` with an endless pause after "
                    f"it; it has {', '.join(map(str, weights)) or 'none'}. Make the plan's weights "
                    "and the Rollout's steps alike"
                )
            self._wait(at_pause_or_end, f"The pause at {percent}%")
            rollout = self._ours(percent)
            now = status_of(rollout)
            if now.settled:
                return already_so(f"{self.name} is promoted already; all traffic is the new one's")
            weight = weight_of(rollout, now)
            if weight == percent:
                text = f"{self.name} gives the canary {percent}%"
                return changed(text) if was else already_so(text)
            if weight > percent:
                raise RefusedError(
                    f"{self.name} gives the canary {weight:g}% already; a Rollout cannot go back "
                    f"to {percent}%, only to 0%"
                )
            self._promote_step(rollout)
            was = True

    def promote(self) -> Done:
        """Promote over all steps, and wait until the new version is the stable one."""
        rollout = self._ours(100)
        now = status_of(rollout)
        if now.settled:
            return already_so(f"{self.name} runs {self._version(rollout['spec']['template'])}")
        refuse_aborted(now, self.name)
        self.control.promote_full(self._seen())
        return changed(self._wait_settled())

    def remove_canary(self) -> Done:
        """Abort, which gives all traffic to the stable version, then put its template back."""
        now = self._seen()
        if now.stable_hash == now.current_hash:
            return already_so(f"{self.name} has no canary: {now.in_words()}")
        self._refuse_foreign(self._read())
        self._abort()
        template = self._stable_template(status_of(self._read()))
        return self._undo(template)

    def restore(self, memo: Memo) -> Done:
        """The template as it was; a running update is aborted first."""
        if (memo.get("name"), memo.get("namespace")) != (self._rollout, self._namespace):
            raise RefusedError(
                f"What was remembered is about Rollout {memo.get('namespace')}/{memo.get('name')}, "
                f"not about {self.name}; nothing was put back"
            )
        template = memo["spec"]["template"]
        rollout = self._read()
        if rollout["spec"]["template"] != template:
            self._refuse_foreign(rollout)
            now = self._seen()
            if now.stable_hash != now.current_hash:
                self._abort()
        return self._undo(template)

    def progress(self) -> Progress:
        """Whether the Rollout is at a pause or done. Raises ``CheckFailedError`` if aborted."""
        rollout = self._read()
        return at_pause_or_end(rollout, status_of(rollout))

    # ---- parts

    def _read(self) -> Json:
        rollout = self.control.read()
        if rollout["spec"].get("workloadRef"):
            raise RefusedError(
                f"{self.name} takes its pod template from elsewhere (workloadRef), which is not "
                "driven by plans; give it a template of its own"
            )
        if "canary" not in (rollout["spec"].get("strategy") or {}):
            raise RefusedError(f"{self.name} has no canary strategy, so it has no weights")
        return rollout

    def _ours(self, percent: int) -> Json:
        rollout = self._read()
        self._refuse_foreign(rollout)
        if not self._work.is_changed(rollout):
            raise RefusedError(
                f"{self.name} runs {self._version(rollout['spec']['template'])} without the change "
                f"of this plan, so nothing of it can get {percent}% of the traffic"
            )
        return rollout

    def _refuse_foreign(self, rollout: Json) -> None:
        owner = annotations_of(rollout).get(OWNER)
        if owner != self._caller.owner:
            raise RefusedError(
                f"{self.name} was last changed by {owner or 'somebody else'}, not by this plan. It "
                "was left alone"
            )

    def _change(self, *, steps_matter: bool) -> bool:
        def step() -> bool:
            rollout = self._read()
            now = status_of(rollout)
            if self._work.is_changed(rollout):
                if annotations_of(rollout).get(OWNER) != self._caller.owner:
                    raise RefusedError(
                        f"{self.name} has this change already, and not from this plan. Nothing was "
                        "changed"
                    )
                return False
            if not now.settled:
                raise RefusedError(
                    f"{self.name} is in the middle of another update: {now.in_words()}. Let it "
                    "end, then go on"
                )
            if steps_matter:
                paused_weights(rollout, self.name)
            template = self._work.changed(rollout)["spec"]["template"]
            self.control.replace_template(rollout, template, {OWNER: self._caller.owner})
            return True

        return again_on_conflict(step)

    def _promote_step(self, rollout: Json) -> None:
        now = status_of(rollout)
        self.control.promote(now)

        def moved(_: Json, later: RolloutStatus) -> Progress:
            return Progress(later.step != now.step, later.in_words())

        self._wait(moved, "The next step")

    def _abort(self) -> Done:
        was = not self._seen().aborted
        if was:
            self.control.abort()

        def back(rollout: Json, now: RolloutStatus) -> Progress:
            weights = ((rollout.get("status") or {}).get("canary") or {}).get("weights") or {}
            weight = (weights.get("canary") or {}).get("weight", 0)
            there = now.seen and now.aborted and not weight
            return Progress(there or now.settled, now.in_words())

        text = self._wait(back, "All traffic for the stable version")
        return changed(text) if was else already_so(text)

    def _undo(self, template: Json) -> Done:
        def step() -> bool:
            rollout = self._read()
            if rollout["spec"]["template"] == template:
                return False
            self.control.replace_template(rollout, template, {})
            return True

        was = again_on_conflict(step)
        now = self._seen()
        if now.stable_hash != now.current_hash and not now.aborted:
            self.control.promote_full(now)
        text = self._wait_settled()
        return changed(text) if was else already_so(text)

    def _seen(self) -> RolloutStatus:
        """The status, once the controller has seen the newest change; before, acts get lost."""
        self._wait(lambda r, n: Progress(n.seen, n.in_words()), "That the last change is seen")
        return status_of(self._read())

    def _stable_template(self, now: RolloutStatus) -> Json:
        sets = self._api.find_all(REPLICA_SETS, self._namespace, labels=f"{HASH}={now.stable_hash}")
        for found in sets:
            owners = found["metadata"].get("ownerReferences") or []
            if any(o.get("kind") == "Rollout" and o.get("name") == self._rollout for o in owners):
                template: Json = deepcopy(found["spec"]["template"])
                (template.get("metadata", {}).get("labels") or {}).pop(HASH, None)
                return template
        raise RefusedError(
            f"{self.name} has no ReplicaSet of its stable version {now.stable_hash or '?'}, so "
            "what it ran before cannot be read"
        )

    def _version(self, template: Json) -> str:
        return self._work.version_of({"spec": {"template": template}})

    def _wait_settled(self) -> str:
        return self._wait(
            lambda rollout, now: Progress(now.settled, now.in_words()), "That it is healthy"
        )

    def _wait(self, good: Any, what: str) -> str:
        def look() -> Progress:
            rollout = self._read()
            progress: Progress = good(rollout, status_of(rollout))
            return progress

        return f"{self.name}: {wait_for(look, self._patience, f'{what} of {self.name}')}"
