"""The values that a run was started with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context


def parameters_of(context: Context) -> dict[str, Any]:
    """The parameters of a task's run, as Airflow validated them. They may hold secrets."""
    params = context["params"]
    return dict(params.dump() if hasattr(params, "dump") else params)
