"""Plan templates: plans with holes, filled in when specs are compiled.

``${{ inputs.NAME }}`` is the only expression, with ``| default(LITERAL)`` as the only extra. A
value that is one expression and nothing else takes the input with its type; within text the input
is inserted as text. ``$${{`` stands for a literal ``${{``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.kinds import TemplateInput
from planner_provider.spec.located import Problem
from planner_provider.spec.patterns import matches
from planner_provider.spec.suggest import did_you_mean, nearest, some_of
from planner_provider.spec.values import parse_duration
from planner_provider.spec.wording import name_type, quote

_LACKS_DOLLAR = re.compile(r"(?<!\$)\{\{\s{0,20}inputs\.")
_HOLE = re.compile(r"(\$?)\$\{\{([^{}]{0,300})\}\}")
_EXPRESSION = re.compile(
    r"\s*inputs\.([A-Za-z_]\w*)\s*(?:\|\s*default\(\s*"
    r"('[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?|true|false|null)\s*\)\s*)?"
)
_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "duration": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
TYPE_NAMES = {
    "string": "text", "duration": "a duration", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "array": "a list", "object": "a mapping",
}  # fmt: skip
_MISSING = object()


def is_type(value: Any) -> bool:
    """Whether a value is the name of a type of inputs or parameters."""
    return isinstance(value, str) and value in TYPE_NAMES


def has_hole(value: Any) -> bool:
    """Whether a value holds an expression of a template."""
    return isinstance(value, str) and "${{" in value


def uses_of(value: Any, path: SpecPath, inputs: dict[str, Any]) -> tuple[set[str], list[Problem]]:
    """The inputs that a template's plan uses, and what is wrong with its expressions."""
    used: set[str] = set()
    problems: list[Problem] = []
    stack: list[tuple[SpecPath, Any]] = [(path, value)]
    while stack:
        where, item = stack.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if has_hole(key):
                    problems.append(
                        Problem(
                            "PLN318", (*where, key), "expressions are not read in keys",
                            "write the key out", at_key=True,
                        )
                    )  # fmt: skip
                stack.append(((*where, key), inner))
        elif isinstance(item, list):
            stack.extend(((*where, index), inner) for index, inner in enumerate(item))
        elif isinstance(item, str) and _LACKS_DOLLAR.search(item):
            message = "an expression of a template begins with ${{"
            problems.append(Problem("PLN318", where, message, "write ${{ inputs.NAME }}"))
        elif has_hole(item):
            names, found = _names(item, where, inputs)
            used |= names
            problems += found
    return used, problems


def _names(text: str, path: SpecPath, inputs: dict[str, Any]) -> tuple[set[str], list[Problem]]:
    used: set[str] = set()
    problems: list[Problem] = []
    for found in _HOLE.finditer(text):
        if found.group(1):
            continue
        match = _EXPRESSION.fullmatch(found.group(2))
        if match is None:
            problems.append(
                Problem(
                    "PLN318", path, f"the expression {quote(found.group(0))} is not read",
                    "write ${{ inputs.NAME }} or ${{ inputs.NAME | default('x') }}; "
                    "values of a run are {{ params.NAME }}",
                )
            )  # fmt: skip
        elif match.group(1) not in inputs:
            known = f"the inputs are: {some_of(inputs)}" if inputs else "declare it under `inputs`"
            problems.append(
                Problem(
                    "PLN318", path, f"the template has no input '{match.group(1)}'",
                    did_you_mean(match.group(1), inputs, known),
                )
            )  # fmt: skip
        else:
            used.add(match.group(1))
    if not problems and text.replace("$${{", "").count("${{") != sum(
        1 for found in _HOLE.finditer(text) if not found.group(1)
    ):
        problems.append(
            Problem("PLN318", path, "an expression is opened with ${{ and not closed", "add }}")
        )
    return used, problems


def holes_outside(value: Any, path: SpecPath) -> list[Problem]:
    """Expressions of templates in a plan that is none."""
    problems: list[Problem] = []
    stack: list[tuple[SpecPath, Any]] = [(path, value)]
    while stack:
        where, item = stack.pop()
        if isinstance(item, dict):
            stack.extend(((*where, key), inner) for key, inner in item.items())
        elif isinstance(item, list):
            stack.extend(((*where, index), inner) for index, inner in enumerate(item))
        elif has_hole(item):
            problems.append(
                Problem(
                    "PLN318", where, "only a PlanTemplate has inputs to fill in",
                    "values of a run are {{ params.NAME }}",
                )
            )  # fmt: skip
    return problems


def check_inputs(
    given: dict[str, Any], declared: dict[str, TemplateInput], template: str, path: SpecPath
) -> tuple[dict[str, Any], list[Problem]]:
    """The values to fill in, and what is wrong with those that a plan gives."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        if name not in declared:
            known = f"its inputs are: {some_of(declared)}" if declared else "it has no inputs"
            problems.append(
                Problem(
                    "PLN315", (*path, name), f"template '{template}' has no input '{name}'",
                    did_you_mean(name, declared, known), at_key=True,
                )
            )  # fmt: skip
        elif problem := input_problem(value, declared[name]):
            problems.append(Problem("PLN317", (*path, name), f"input '{name}': {problem}", None))
        else:
            values[name] = value
    meant = {nearest(name, declared) for name in given if name not in declared}
    for name, wanted in declared.items():
        if name in given:
            continue
        if wanted.required:
            if name not in meant:
                hint = wanted.description or f"it takes {TYPE_NAMES[wanted.type]}"
                message = f"template '{template}' needs the input '{name}'"
                problems.append(Problem("PLN316", path, message, hint))
        else:
            values[name] = wanted.default
    return values, problems


def input_problem(value: Any, wanted: TemplateInput) -> str | None:
    """Say why a value does not fit an input, or ``None`` if it does."""
    if not _TYPES[wanted.type](value):
        return f"{TYPE_NAMES[wanted.type]} is expected, not {name_type(value)}"
    if wanted.type == "duration":
        try:
            parse_duration(value)
        except ValueError as error:
            return str(error)
    if wanted.enum is not None and not any(_same(value, item) for item in wanted.enum):
        return f"{quote(value)} is not one of: {', '.join(map(str, wanted.enum))}"
    if (
        wanted.pattern is not None
        and isinstance(value, str)
        and (matches(wanted.pattern, value) is False)
    ):
        return f"{quote(value)} does not match {wanted.pattern}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if wanted.minimum is not None and value < wanted.minimum:
            return f"{value} is less than {wanted.minimum}"
        if wanted.maximum is not None and value > wanted.maximum:
            return f"{value} is more than {wanted.maximum}"
    return None


def _same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from true."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def fill(value: Any, inputs: dict[str, Any], path: SpecPath, problems: list[Problem]) -> Any:
    """Fill in the inputs. Expressions must have been checked by `uses_of`."""
    if isinstance(value, dict):
        return {key: fill(item, inputs, (*path, key), problems) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, inputs, (*path, i), problems) for i, item in enumerate(value)]
    if not has_hole(value):
        return value
    whole = _HOLE.fullmatch(value.strip())
    if whole and not whole.group(1) and value.count("${{") == 1:
        return _value(whole.group(2), inputs)

    def insert(found: re.Match[str]) -> str:
        if found.group(1):
            return found.group(0)[1:]
        inner = _value(found.group(2), inputs)
        if isinstance(inner, dict | list):
            problems.append(
                Problem("PLN318", path, f"{name_type(inner)} cannot be inserted into text", None)
            )
            return ""
        if isinstance(inner, bool):
            return "true" if inner else "false"
        return "" if inner is None else str(inner)

    return _HOLE.sub(insert, value)


def _value(expression: str, inputs: dict[str, Any]) -> Any:
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        return None
    value = inputs.get(match.group(1), _MISSING)
    if (value is _MISSING or value is None) and match.group(2) is not None:
        return _literal(match.group(2))
    return None if value is _MISSING else value


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    if text in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[text]
    return float(text) if "." in text else int(text)
