"""The values that a run was started with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner_provider.graph.approvals import parameters_digest

if TYPE_CHECKING:
    from airflow.sdk import Context


def parameters_of(context: Context) -> dict[str, Any]:
    """The parameters of a task's run, as Airflow validated them. They may hold secrets."""
    params = context["params"]
    return dict(params.dump() if hasattr(params, "dump") else params)


def parameters_sha(operator: Any, context: Context) -> str:
    """Digest of the parameters that a task is rendered with.

    Empty if the task has parameters of its own, which an `operator` step may have: then they are
    not those of the run, and cannot be compared with them.
    """
    params = getattr(operator, "params", {})
    own = getattr(params, "get_param", None)
    if own is not None and any(own(name).source == "task" for name in params):
        return ""
    return parameters_digest(parameters_of(context))
