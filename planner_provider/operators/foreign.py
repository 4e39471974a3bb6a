"""Action ``operator``: any Airflow operator by import path, under the plan's authority."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from planner_provider.errors import SpecError
from planner_provider.hooks.connections import shorten
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.actions import Operator

if TYPE_CHECKING:
    from planner_provider.graph.model import Contact

_PROVIDER = re.compile(r"airflow\.providers\.((?:[a-z0-9_]+\.)+?)(?:operators|sensors|transfers)\b")


_GROUPS = frozenset({"apache", "atlassian", "cncf", "common", "dbt", "microsoft"})
"""Parts of ``airflow.providers`` that hold one package for each of their own parts."""


class ForeignOperator:
    """Builds operators of other packages as steps of a plan. It is no operator itself."""

    @classmethod
    def from_action(
        cls,
        action: Operator,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        kind: Callable[[type[BaseOperator]], type[BaseOperator]] | None = None,
        **base_kwargs: Any,
    ) -> BaseOperator:
        """The operator that the action names, guarded by authority and journal.

        Arguments are passed on as they are; the operator renders those that are templates for it.
        ``kind`` makes of the guarded class the one that is used.

        Raises:
            SpecError: the operator is not allowed, cannot be imported, is no operator, or does not
                take these arguments.
        """
        check_allowed(action.path)
        taken = sorted(base_kwargs.keys() & action.arguments.keys()) + sorted(
            action.arguments.keys() & {"dag", "plan_ref", "trigger_rule"}
        )
        if taken:
            raise SpecError(
                f"Operator {action.path}: {', '.join(taken)} must not stand in `arguments`; the "
                "plan sets what is Airflow's own, from `id`, `retries`, `timeout` and `pool`."
            )
        operator_class: Callable[..., BaseOperator] = guarded(action.path)
        if kind is not None:
            operator_class = kind(guarded(action.path))
        try:
            operator = operator_class(**action.arguments, plan_ref=plan_ref, **base_kwargs)
        except Exception as error:
            raise SpecError(
                f"Operator {action.path} does not take these `arguments` "
                f"({', '.join(action.arguments) or 'none'}): {shorten(str(error), 500)}"
            ) from error
        if getattr(operator, "start_from_trigger", False) or getattr(
            operator, "end_from_trigger", False
        ):
            raise SpecError(
                f"Operator {action.path}: a step must begin and end on a worker, where the plan's "
                "authority is checked; take `start_from_trigger` and `end_from_trigger` out."
            )
        return operator


def allowed_operators() -> frozenset[str]:
    """Import paths in ``[planner] allowed_operators``, parted by commas."""
    listed = conf.get("planner", "allowed_operators", fallback="") or ""
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def check_allowed(path: str) -> None:
    """Raise ``SpecError`` if an administrator has not allowed this operator by name."""
    allowed = allowed_operators()
    if path not in allowed:
        known = ", ".join(sorted(allowed)) or "none"
        raise SpecError(
            f"Operator {path} is not allowed. Ask an administrator to add it to [planner] "
            f"allowed_operators (AIRFLOW__PLANNER__ALLOWED_OPERATORS). Allowed now: {known}."
        )


@cache
def guarded(path: str) -> type[BaseOperator]:
    """A subclass of the operator at ``path`` that acts only with authority, and journals it.

    It keeps the name and module of the operator, so that Airflow shows it as what it is.

    Raises:
        SpecError: there is no operator at this path.
    """
    base = import_operator(path)

    def __init__(self: Any, *, plan_ref: PlanRef | None = None, **kwargs: Any) -> None:  # noqa: N807
        super(guard, self).__init__(plan_ref=plan_ref, **kwargs)

    namespace = {
        "__init__": __init__,
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
    }
    metaclass: Any = type(base)
    guard: type[BaseOperator] = metaclass(base.__name__, (PlanStepMixin, base), namespace)
    return guard


def import_operator(path: str) -> type[BaseOperator]:
    """Import an operator class. Raises ``SpecError`` that says what is missing."""
    module_name, _, class_name = path.rpartition(".")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise SpecError(
            f"Operator {path} cannot be imported: there is no module {error.name}. "
            f"{_hint(path, error.name or module_name)}"
        ) from error
    except Exception as error:
        raise SpecError(
            f"Operator {path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        near = _near(class_name, module)
        raise SpecError(f"Operator {path} does not exist: {module_name} has no {class_name}.{near}")
    if not (inspect.isclass(found) and issubclass(found, BaseOperator)):
        raise SpecError(
            f"{path} is not an Airflow operator (a class derived from airflow.sdk.BaseOperator)."
        )
    return found


def _hint(path: str, missing: str) -> str:
    match = _PROVIDER.match(path)
    package = f"the package that holds {missing}"
    if match and f"airflow.providers.{match[1]}".startswith(f"{missing}."):
        names = match[1].split(".")
        package = "-".join(("apache-airflow-providers", *names[: 2 if names[0] in _GROUPS else 1]))
    return f"Install {package} for the dag-processor and the workers, or mend the path."


def _near(name: str, module: Any) -> str:
    import difflib

    names = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, BaseOperator)
    ]
    close = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {close[0]}?" if close else ""
