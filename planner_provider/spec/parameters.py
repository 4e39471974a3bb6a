"""Parameters of plans: their defaults, and the templates that use them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.references import plan_actions, plan_spec, plan_top
from planner_provider.spec.subject import Subject, as_mapping
from planner_provider.spec.suggest import did_you_mean, nearest, some_of
from planner_provider.spec.templates import TYPE_NAMES, has_hole, input_problem, is_type
from planner_provider.spec.values import MAX_TEMPLATE
from planner_provider.spec.wording import name_type, quote

_METHODS = ("get", "items", "keys", "values")
_BOUND_TYPES = ("integer", "number", "boolean")
_BOUND_FORMATS = ("date", "date-time", "time")


def check_parameters(subject: Subject) -> None:
    """Check defaults, what a schedule needs, and every use of a parameter in a template."""
    spec, top = plan_spec(subject), plan_top(subject)
    declared = as_mapping(spec.get("parameters"))
    scheduled = bool(as_mapping(spec.get("schedule")))
    for name, parameter in declared.items():
        path = (*top, "parameters", name)
        data = as_mapping(parameter)
        if "default" in data:
            problem = default_problem(data)
            if problem:
                subject.report("PLN402", (*path, "default"), problem)
        elif scheduled and isinstance(parameter, dict):
            subject.report(
                "PLN401", path,
                f"parameter '{name}' has no default, but the plan starts by its schedule",
                "give it a default, or remove `schedule` and start the plan by hand", at_key=True,
            )  # fmt: skip
    if len(top) > 1:
        return  # the plan that uses a template may declare parameters of its own
    for path, text in _templates(spec, top):
        names = parameters_in(text)
        for name in sorted(names - declared.keys()):
            known = f"declared are: {some_of(declared)}" if declared else None
            subject.report(
                "PLN310", path, f"the plan declares no parameter '{name}'",
                did_you_mean(name, declared, known or "declare it under `spec.parameters`"),
            )  # fmt: skip
    _pasted(subject, declared)


def _templates(value: Any, path: SpecPath) -> Iterator[tuple[SpecPath, str]]:
    stack: list[tuple[SpecPath, Any]] = [(path, value)]
    while stack:
        where, item = stack.pop()
        if type(item) is str:
            if "params" in item and "{" in item:
                yield where, item
        elif isinstance(item, dict):
            for key, inner in item.items():
                stack.append(((*where, key), inner))
                if "params" in key and "{" in key:
                    yield (*where, key), key
        elif isinstance(item, list):
            stack.extend(((*where, index), inner) for index, inner in enumerate(item))


@lru_cache(maxsize=8192)
def parameters_in(text: str) -> frozenset[str]:
    """The names used as ``params.NAME`` in a Jinja template; none if it does not parse."""
    if len(text) > MAX_TEMPLATE or "params" not in text or ("{{" not in text and "{%" not in text):
        return frozenset()
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        tree = Environment(autoescape=False).parse(text)  # noqa: S701 - parsed, never rendered
    except (TemplateSyntaxError, RecursionError, OverflowError, ValueError, MemoryError):
        return frozenset()
    names: set[str] = set()
    for found in tree.find_all(nodes.Getattr):
        if _is_params(found.node) and found.attr not in _METHODS:
            names.add(found.attr)
    for item in tree.find_all(nodes.Getitem):
        if _is_params(item.node) and isinstance(item.arg, nodes.Const):
            names.add(str(item.arg.value))
    return frozenset(names)


def _is_params(node: Any) -> bool:
    return getattr(node, "name", None) == "params"


def default_problem(parameter: dict[str, Any]) -> str | None:
    """Say why a parameter's default breaks its own rules, or ``None``."""
    from planner_provider.spec.kinds import TemplateInput

    default, kind = parameter.get("default"), parameter.get("type")
    if default is None or not is_type(kind) or any(map(has_hole, parameter.values())):
        return None  # null stands for "no value", and a broken type is reported elsewhere
    limits: dict[str, Any] = {"type": kind}
    try:
        limits["pattern"] = re.compile(parameter["pattern"]).pattern
    except (KeyError, TypeError, re.error, OverflowError, RecursionError):
        limits["pattern"] = None
    for key in ("minimum", "maximum"):
        value = parameter.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        limits[key] = value if number else None
    enum = parameter.get("enum")
    limits["enum"] = tuple(enum) if isinstance(enum, list) else None
    problem = input_problem(default, TemplateInput.model_construct(set(limits), **limits))
    if problem:
        return f"the default does not fit: {problem}"
    return _length_problem(default, parameter)


def _length_problem(default: Any, parameter: dict[str, Any]) -> str | None:
    if not isinstance(default, str):
        return None
    least, most = parameter.get("min_length"), parameter.get("max_length")
    if isinstance(least, int) and len(default) < least:
        return f"the default {quote(default)} is shorter than {least} characters"
    if isinstance(most, int) and len(default) > most:
        return f"the default {quote(default)} is longer than {most} characters"
    return None


def _pasted(subject: Subject, declared: dict[str, Any]) -> None:
    """Warn of free text that whoever starts the plan can put into SQL or a shell."""
    for action in plan_actions(subject):
        if action.name == "sql":
            key, code, what = "statement", "PLN504", "SQL"
            hint = "pass it under `parameters` of the step, or give it a `pattern` or an `enum`"
        elif action.name == "shell":
            key, code, what = "command", "PLN505", "a shell command"
            hint = "write the command as a list, or pass the value by `env`"
        else:
            continue
        text = action.data.get(key)
        if not isinstance(text, str):
            continue
        for name in sorted(parameters_in(text)):
            if name in declared and not _is_bound(as_mapping(declared[name])):
                subject.report(
                    code,
                    (*action.path, key),
                    f"parameter '{name}' is pasted into {what} as it is",
                    hint,
                )


def _is_bound(parameter: dict[str, Any]) -> bool:
    return (
        parameter.get("type") in _BOUND_TYPES
        or "enum" in parameter
        or "pattern" in parameter
        or parameter.get("format") in _BOUND_FORMATS
    )


def check_passed(
    subject: Subject, path: SpecPath, given: Any, declared: dict[str, Any], plan: str
) -> None:
    """Check what a `plan` step hands to the plan that it runs."""
    values = as_mapping(given)
    for name, value in values.items():
        if name not in declared:
            known = f"it takes: {some_of(declared)}" if declared else "it takes none"
            subject.report(
                "PLN309", (*path, "parameters", name), f"plan '{plan}' has no parameter '{name}'",
                did_you_mean(name, declared, known), at_key=True,
            )  # fmt: skip
            continue
        wanted = as_mapping(declared[name])
        if is_type(wanted.get("type")) and not (isinstance(value, str) and "{" in value):
            problem = default_problem({**wanted, "default": value})
            if problem:
                told = problem.replace("the default does not fit: ", "")
                subject.report(
                    "PLN309",
                    (*path, "parameters", name),
                    f"parameter '{name}' of plan '{plan}': {told}",
                )
    meant = {nearest(name, declared) for name in values if name not in declared}
    for name, wanted in declared.items():
        if (
            name not in values
            and name not in meant
            and isinstance(wanted, dict)
            and "default" not in wanted
        ):
            subject.report(
                "PLN309", path, f"plan '{plan}' needs the parameter '{name}'",
                f"it takes {TYPE_NAMES.get(str(wanted.get('type')), name_type(''))}",
            )  # fmt: skip
