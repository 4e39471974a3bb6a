"""How many replicas a service has, and setting that, on Kubernetes and behind HTTP deployers."""

from __future__ import annotations

import math
from typing import Any, Protocol

from planner_provider.errors import PlannerError, RefusedError
from planner_provider.hooks.kubernetes import (
    DEPLOYMENTS,
    JSON_PATCH,
    Json,
    KubernetesApi,
    check_name,
)
from planner_provider.hooks.traffic.deployments import (
    again_on_conflict,
    version_test,
    wanted_replicas,
)
from planner_provider.hooks.traffic.http_target import HttpService
from planner_provider.hooks.traffic.release import Caller, Patience, Progress, wait_for
from planner_provider.hooks.traffic.roll_out import wait_for_roll_out
from planner_provider.spec.delivery import HttpTarget, KubernetesTarget, Target

AUTOSCALERS = "apis/autoscaling/v2", "horizontalpodautoscalers"


class Scaler(Protocol):
    """The replicas of one service."""

    name: str

    def read(self) -> int:
        """How many there are meant to be."""
        ...

    def set(self, replicas: int) -> bool:
        """Set them; returns whether there were others."""
        ...

    def confirm(self, replicas: int) -> str:
        """Wait until they are there; give back what was seen."""
        ...


def scaler_for(target: Target, caller: Caller, patience: Patience) -> Scaler:
    """The replicas of this target."""
    if target.http is not None:
        return HttpScaler(target.http, caller, patience)
    assert target.kubernetes is not None, "the spec model allows exactly one"
    return KubernetesScaler(target.kubernetes, patience)


def replicas_after(before: int, by: str) -> int:
    """What a relative change makes of this number of replicas.

    Shares are rounded so that more replicas remain: ``+50%`` of 3 is 5, ``-50%`` of 3 is 2.
    """
    amount = int(by.strip("+-%"))
    if by.endswith("%"):
        exact = before * amount / 100
        amount = math.ceil(exact) if by[0] == "+" else math.floor(exact)
    return before + amount if by[0] == "+" else before - amount


class KubernetesScaler:
    """The replicas of a Deployment."""

    def __init__(self, target: KubernetesTarget, patience: Patience) -> None:
        self._api = KubernetesApi(target.connection)
        self._namespace = check_name(target.namespace, "namespace")
        self._deployment = check_name(target.deployment, "Deployment")
        self._patience = patience
        self.name = f"Deployment {target.namespace}/{target.deployment}"

    def read(self) -> int:
        """``spec.replicas``."""
        return wanted_replicas(self._get())

    def set(self, replicas: int) -> bool:
        """Change ``spec.replicas``. Refused where an autoscaler would change it back."""

        def step() -> bool:
            found = self._get()
            if wanted_replicas(found) == replicas:
                return False
            self._refuse_autoscaled()
            body: list[Json] = [
                version_test(found),
                {"op": "add", "path": "/spec/replicas", "value": replicas},
            ]
            self._api.patch(DEPLOYMENTS, self._namespace, self._deployment, body, JSON_PATCH)
            return True

        return again_on_conflict(step)

    def confirm(self, replicas: int) -> str:
        """Wait until that many are available, and no more are there."""
        text = wait_for_roll_out(self._api, self._namespace, self._deployment, self._patience)
        now = self.read()
        if now != replicas:
            raise RefusedError(
                f"{self.name} was scaled to {replicas}, and has {now} now: somebody else scales it"
            )
        return text

    def _get(self) -> Json:
        return self._api.get(DEPLOYMENTS, self._namespace, self._deployment)

    def _refuse_autoscaled(self) -> None:
        try:
            scalers = self._api.find_all(AUTOSCALERS, self._namespace)
        except PlannerError:
            return  # no right to look; what it does shows when the replicas are confirmed
        for scaler in scalers:
            spec: dict[str, Any] = scaler["spec"]
            ref = spec["scaleTargetRef"]
            if (ref.get("kind"), ref.get("name")) == ("Deployment", self._deployment):
                raise RefusedError(
                    f"{self.name} is scaled by the HorizontalPodAutoscaler "
                    f"{scaler['metadata']['name']} ({spec.get('minReplicas', 1)} to "
                    f"{spec['maxReplicas']}), which would change it back. Change its limits instead"
                )


class HttpScaler:
    """The replicas of a service behind the HTTP deployment protocol."""

    def __init__(self, target: HttpTarget, caller: Caller, patience: Patience) -> None:
        self._service = HttpService(target, caller)
        self._patience = patience
        self.name = f"service {target.service}"

    def read(self) -> int:
        """``replicas`` of the service."""
        replicas = self._service.read().replicas
        if replicas is None:
            raise RefusedError(
                f"The deployer of {self.name} does not tell how many replicas it has"
            )
        return replicas

    def set(self, replicas: int) -> bool:
        """``PUT /services/NAME/replicas``."""
        if self.read() == replicas:
            return False
        self._service.put("replicas", {"replicas": replicas})
        return True

    def confirm(self, replicas: int) -> str:
        """Wait until the deployer says so."""

        def look() -> Progress:
            now = self.read()
            return Progress(now == replicas, f"{self.name} has {now} replicas")

        return wait_for(look, self._patience, f"{replicas} replicas of {self.name}")
