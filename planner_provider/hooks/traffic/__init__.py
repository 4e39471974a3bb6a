"""Changing what a service runs and how much traffic it gets; one module for each way.

`release_for` picks the way from what a spec says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from planner_provider.errors import RefusedError
from planner_provider.hooks.traffic.release import (
    Caller,
    Done,
    Memo,
    Outcome,
    Patience,
    Progress,
    Release,
    ReleaseState,
    RenderWeight,
    substitute_weight,
)
from planner_provider.spec.base import Model
from planner_provider.spec.delivery import Change, Target, Traffic

__all__ = [
    "Caller",
    "Change",
    "Done",
    "Memo",
    "Outcome",
    "Patience",
    "Progress",
    "Release",
    "ReleaseState",
    "RenderWeight",
    "Target",
    "Traffic",
    "release_for",
    "rendered",
]


def release_for(
    target: Target,
    traffic: Traffic | None,
    change: Change,
    *,
    caller: Caller,
    patience: Patience | None = None,
    render_weight: RenderWeight = substitute_weight,
) -> Release:
    """The way to make this change to this target with this traffic.

    Nothing is asked or changed yet.

    Args:
        target: what is changed, with its templates rendered.
        traffic: how the share of traffic is set; ``None`` for changes in place.
        change: what it is changed to, with its templates rendered.
        caller: on whose behalf.
        patience: how long roll-outs may take.
        render_weight: renders ``path`` and ``body`` of ``traffic.http`` for a weight.

    Raises:
        RefusedError: target and traffic do not fit together, or a name cannot be one.
        MisconfiguredError: the Connection is missing.
    """
    patience = patience or Patience()
    if target.http is not None:
        from planner_provider.hooks.traffic.http_target import HttpTargetRelease
        from planner_provider.hooks.traffic.plain_http import PlainHttp

        if traffic is not None and traffic.http is None:
            raise RefusedError(
                "The target is reached by HTTP, and its traffic by `http_route`, `replicas` or "
                "`argo_rollout`, which are parts of Kubernetes; use `traffic: {http: ...}`"
            )
        shifter = None
        if traffic is not None and traffic.http is not None:
            shifter = PlainHttp(traffic.http, caller, render_weight)
        return HttpTargetRelease(target.http, shifter, change, caller, patience)

    from planner_provider.hooks.kubernetes import KubernetesApi
    from planner_provider.hooks.traffic.kubernetes_release import KubernetesRelease
    from planner_provider.hooks.traffic.workload import Workload

    assert target.kubernetes is not None, "the spec model allows exactly one"
    api = KubernetesApi(target.kubernetes.connection)
    if traffic is not None and traffic.argo_rollout is not None:
        from planner_provider.hooks.traffic.argo_rollout import ArgoRelease

        return ArgoRelease(api, target.kubernetes, traffic.argo_rollout, change, caller, patience)
    if traffic is not None and traffic.replicas is not None:
        from planner_provider.hooks.traffic.replica_ratio import ReplicaRatioRelease

        shared = Workload(api, target.kubernetes, change, caller, same_service=True)
        return ReplicaRatioRelease(shared, None, patience)
    workload = Workload(api, target.kubernetes, change, caller, same_service=False)
    if traffic is not None and traffic.http_route is not None:
        from planner_provider.hooks.traffic.http_route import HttpRouteRouter

        route = HttpRouteRouter(
            api, workload.namespace, traffic.http_route, workload.name, patience
        )
        return KubernetesRelease(workload, route, patience)
    if traffic is not None and traffic.http is not None:
        from planner_provider.hooks.traffic.plain_http import PlainHttp, PlainHttpRouter

        plain = PlainHttpRouter(PlainHttp(traffic.http, caller, render_weight), workload)
        return KubernetesRelease(workload, plain, patience)
    return KubernetesRelease(workload, None, patience)


M = TypeVar("M", bound=Model)
_NAMED = frozenset({"image", "version", "namespace", "deployment", "container", "service"})


def rendered(model: type[M], values: Mapping[str, Any]) -> M:
    """A spec model from its rendered values.

    Raises:
        RefusedError: what the templates gave does not fit, such as an empty text.
    """
    from pydantic import ValidationError

    _refuse_nothing(values)
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError(f"After its templates were rendered, {where}: {first['msg']}") from None


def _refuse_nothing(values: Mapping[str, Any]) -> None:
    """A template whose value is missing gives the text ``None``; nobody means to deploy that."""
    for name, value in values.items():
        if isinstance(value, Mapping) and name in ("kubernetes", "http"):
            _refuse_nothing(value)
        if name in _NAMED and isinstance(value, str) and value.strip() in ("", "None"):
            raise RefusedError(
                f"After its templates were rendered, `{name}` is '{value}': what it is taken from "
                "is missing. Nothing was changed"
            )
