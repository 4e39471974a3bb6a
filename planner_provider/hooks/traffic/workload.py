"""A Deployment and the canary beside it: read, changed, copied and put back."""

from __future__ import annotations

import re
from copy import deepcopy

from planner_provider.errors import RefusedError
from planner_provider.hooks.kubernetes import (
    DEPLOYMENTS,
    JSON_PATCH,
    STRATEGIC,
    ConflictError,
    Json,
    KubernetesApi,
    check_name,
)
from planner_provider.hooks.traffic.deployments import (
    again_on_conflict,
    annotations_of,
    checked_patch,
    environment_of,
    put_back,
    refuse_paused,
    version_test,
    wanted_replicas,
    with_tag,
)
from planner_provider.hooks.traffic.release import Caller, Memo
from planner_provider.hooks.traffic.strategic import merged
from planner_provider.spec.delivery import Change, KubernetesTarget

PREFIX = "planner.dev"
OWNER = f"{PREFIX}/plan-id"
OF = f"{PREFIX}/canary-of"
TRACK = f"{PREFIX}/track"
CHANGED_TO = f"{PREFIX}/version"
SUFFIX = "-canary"
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class Workload:
    """The stable Deployment, its canary, and the change between them.

    Args:
        same_service: whether canary pods get traffic through the stable Service, by having its
            labels. Otherwise each label that the Deployment selects by gets ``-canary`` appended,
            so that only a Service for the canary finds them.

    Raises:
        RefusedError: a name that cannot be one, or a patch of what must not be patched.
    """

    def __init__(
        self,
        api: KubernetesApi,
        target: KubernetesTarget,
        change: Change,
        caller: Caller,
        *,
        same_service: bool,
    ) -> None:
        self.api = api
        self.namespace = check_name(target.namespace, "namespace")
        self.name = check_name(target.deployment, "Deployment")
        self.canary_name = check_name(f"{self.name}{SUFFIX}", "Deployment")
        self.title = f"Deployment {self.namespace}/{self.name}"
        self.container = target.container
        self.change = change
        self.caller = caller
        self.same_service = same_service
        self._user_patch = checked_patch(change.patch)

    # ---- reading

    def stable(self) -> Json:
        """The Deployment. Raises ``RefusedError`` if there is none."""
        return self.api.get(DEPLOYMENTS, self.namespace, self.name)

    def any_canary(self) -> Json | None:
        """The canary, whoever made it."""
        return self.api.find(DEPLOYMENTS, self.namespace, self.canary_name)

    def canary(self) -> Json | None:
        """Our canary. Raises ``RefusedError`` if there is one of somebody else."""
        found = self.any_canary()
        if found is None:
            return None
        if self.owns(found):
            return found
        owner = annotations_of(found).get(OWNER)
        whose = f"belongs to {owner}" if owner else "was not made by a plan"
        raise RefusedError(
            f"There is a canary of {self.title} already: Deployment {self.canary_name} {whose}. It "
            "was left alone. Let that plan end or roll back, or delete the canary, then go on"
        )

    def owns(self, canary: Json) -> bool:
        """Whether this canary was made by our plan."""
        return annotations_of(canary).get(OWNER) == self.caller.owner

    def container_of(self, deployment: Json) -> Json:
        """The container that the change is about."""
        containers: list[Json] = deployment["spec"]["template"]["spec"]["containers"]
        names = [container["name"] for container in containers]
        if self.container is not None:
            for container in containers:
                if container["name"] == self.container:
                    return container
            raise RefusedError(
                f"{self.title} has no container '{self.container}'; it has {', '.join(names)}"
            )
        if len(containers) != 1:
            raise RefusedError(
                f"{self.title} has the containers {', '.join(names)}; say in the target which one "
                "is meant with `container`"
            )
        return containers[0]

    def version_of(self, deployment: Json) -> str:
        """What the container runs: its image."""
        return str(self.container_of(deployment).get("image", ""))

    # ---- the change

    def patch_for(self, deployment: Json) -> Json:
        """The change as a strategic merge patch of this Deployment."""
        container = self.container_of(deployment)
        entry: Json = {"name": container["name"]}
        if self.change.image is not None:
            entry["image"] = self.change.image
        elif self.change.version is not None:
            entry["image"] = with_tag(str(container.get("image", "")), self.change.version)
        if self.change.env:
            entry["env"] = [{"name": k, "value": v} for k, v in self.change.env.items()]
        own: Json = {}
        if len(entry) > 1:
            own = {"spec": {"template": {"spec": {"containers": [entry]}}}}
        patch: Json = merged(self._user_patch, own, into_patch=True)
        return patch

    def changed(self, deployment: Json) -> Json:
        """The Deployment as it is with the change."""
        out: Json = merged(deployment, self.patch_for(deployment))
        return out

    def is_changed(self, deployment: Json) -> bool:
        """Whether the change is in already."""
        return self.changed(deployment) == deployment

    def apply_change(self, *, replicas: int | None = None) -> bool:
        """Bring the change into the stable Deployment; returns whether anything was missing."""

        def step() -> bool:
            stable = self.stable()
            refuse_paused(stable, self.title)
            patch = self.patch_for(stable)
            if replicas is not None:
                patch = merged(patch, {"spec": {"replicas": replicas}}, into_patch=True)
            if merged(stable, patch) == stable:
                return False
            mark: Json = {
                "metadata": {
                    "resourceVersion": stable["metadata"]["resourceVersion"],
                    "annotations": {OWNER: self.caller.owner},
                }
            }
            body = merged(patch, mark, into_patch=True)
            self.api.patch(DEPLOYMENTS, self.namespace, self.name, body, STRATEGIC)
            return True

        return again_on_conflict(step)

    def scale(self, name: str, replicas: int) -> bool:
        """Set the number of replicas; returns whether it was another one."""

        def step() -> bool:
            found = self.api.get(DEPLOYMENTS, self.namespace, name)
            if wanted_replicas(found) == replicas:
                return False
            body: list[Json] = [
                version_test(found),
                {"op": "add", "path": "/spec/replicas", "value": replicas},
            ]
            self.api.patch(DEPLOYMENTS, self.namespace, name, body, JSON_PATCH)
            return True

        return again_on_conflict(step)

    # ---- the canary

    def canary_labels(self, stable: Json) -> dict[str, str]:
        """Labels of the canary's pods."""
        labels = dict(stable["spec"]["template"].get("metadata", {}).get("labels") or {})
        if not self.same_service:
            labels |= {name: f"{value}{SUFFIX}" for name, value in self._selected(stable).items()}
        labels[TRACK] = "canary"
        for name, value in labels.items():
            if value and not _LABEL.fullmatch(value):
                raise RefusedError(
                    f"The canary's pods would have the label {name}={value}, which Kubernetes does "
                    "not take (63 characters at most); use shorter labels"
                )
        return labels

    def create_canary(self, replicas: int) -> bool:
        """Make the canary, if it is missing; returns whether it was."""
        stable = self.stable()
        found = self.canary()
        wanted = self._canary_body(stable, replicas)
        if found is None:
            try:
                self.api.create(DEPLOYMENTS, self.namespace, wanted)
            except ConflictError:
                found = self.canary()
            else:
                return True
        if found is not None and not self._same(found, wanted):
            raise RefusedError(
                f"The canary {self.canary_name} of this plan runs {self.version_of(found)}, which "
                f"is not what this step changes {self.title} to. Remove it, then go on"
            )
        return False

    def delete_canary(self) -> bool:
        """Delete our canary; returns whether there was one."""

        def step() -> bool:
            found = self.canary()
            if found is None or "deletionTimestamp" in found["metadata"]:
                return False
            uid = str(found["metadata"]["uid"])
            return self.api.delete(DEPLOYMENTS, self.namespace, self.canary_name, uid=uid)

        return again_on_conflict(step)

    def annotate_canary(self, values: dict[str, str]) -> None:
        """Keep something with the canary."""
        body: Json = {"metadata": {"annotations": values}}
        self.api.patch(DEPLOYMENTS, self.namespace, self.canary_name, body, STRATEGIC)

    def _selected(self, stable: Json) -> dict[str, str]:
        labels: dict[str, str] = stable["spec"]["selector"].get("matchLabels") or {}
        if not labels:
            raise RefusedError(
                f"{self.title} selects its pods by expressions only, so its canary cannot be told "
                "apart; give its selector `matchLabels`"
            )
        return labels

    def _canary_body(self, stable: Json, replicas: int) -> Json:
        template = self.changed(stable)["spec"]["template"]
        labels = self.canary_labels(stable)
        template["metadata"] = {**template.get("metadata", {}), "labels": labels}
        selector = {name: labels[name] for name in self._selected(stable)} | {TRACK: "canary"}
        spec: Json = {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": template,
            "revisionHistoryLimit": 1,
        }
        for name in ("strategy", "minReadySeconds", "progressDeadlineSeconds"):
            if name in stable["spec"]:
                spec[name] = deepcopy(stable["spec"][name])
        meta = stable["metadata"]
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": self.canary_name,
                "namespace": self.namespace,
                "labels": {**self.caller.labels, TRACK: "canary"},
                "annotations": {
                    OWNER: self.caller.owner,
                    OF: self.name,
                    f"{PREFIX}/replicas": str(wanted_replicas(stable)),
                },
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": self.name,
                        "uid": meta["uid"],
                    }
                ],
            },
            "spec": spec,
        }

    def _same(self, found: Json, wanted: Json) -> bool:
        """Whether image and environment are alike; the API may have added to the rest."""
        ours, theirs = self.container_of(wanted), self.container_of(found)
        return ours.get("image") == theirs.get("image") and environment_of(ours) == environment_of(
            theirs
        )

    # ---- before

    def memo(self) -> Memo:
        """What the change will overwrite."""
        stable = self.stable()
        patch = self.patch_for(stable)
        keys = {*patch.get("spec", {}), "template"} - {"selector"}
        meta = patch.get("metadata", {})
        return {
            "kind": "Deployment",
            "name": self.name,
            "namespace": self.namespace,
            "version": self.version_of(stable),
            "replicas": wanted_replicas(stable),
            "spec": {key: deepcopy(stable["spec"].get(key)) for key in sorted(keys)},
            **{
                group: {
                    key: (stable["metadata"].get(group) or {}).get(key)
                    for key in sorted(meta[group])
                }
                for group in ("labels", "annotations")
                if meta.get(group)
            },
        }

    def restore_stable(self, memo: Memo, *, replicas: bool = False) -> bool:
        """Put the Deployment back; returns whether anything had to be.

        Raises:
            RefusedError: somebody else changed it after this plan did.
        """
        if (memo.get("name"), memo.get("namespace")) != (self.name, self.namespace):
            raise RefusedError(
                f"What was remembered is about Deployment {memo.get('namespace')}/"
                f"{memo.get('name')}, not about {self.title}; nothing was put back"
            )

        def step() -> bool:
            stable = self.stable()
            spec = dict(memo["spec"])
            if replicas:
                spec["replicas"] = memo["replicas"]
            body = [version_test(stable), *put_back(stable, spec, memo)]
            if len(body) == 1:
                return False
            self._still_ours(stable, memo)
            self.api.patch(DEPLOYMENTS, self.namespace, self.name, body, JSON_PATCH)
            return True

        return again_on_conflict(step)

    def _still_ours(self, stable: Json, memo: Memo) -> None:
        now, before = self.version_of(stable), memo["version"]
        after = self.version_of(
            self.changed({**stable, "spec": {**stable["spec"], **memo["spec"]}})
        )
        if now not in (before, after):
            raise RefusedError(
                f"{self.title} runs {now}; it ran {before} before this plan, which changed it to "
                f"{after}. Somebody else changed it since, so it was left alone: decide what it "
                "shall run, and put that there by hand"
            )
