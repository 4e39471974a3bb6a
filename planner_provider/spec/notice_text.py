"""A team's own words: small templates over the fields of a notice.

A template may name fields, filter them and choose between texts; it has no loops, no calls and no
arithmetic. So it always ends at once, needs little memory, and reaches nothing but the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, StrictStr
from pydantic_core import PydanticCustomError

from planner_provider.spec.suggest import nearest, some_of

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

FIELDS = (
    "text", "title", "event", "severity", "plan_id", "plan", "owner", "step", "summary", "reason",
    "requester", "next", "runbook", "run_url", "page_url", "answer_url", "at",
)  # fmt: skip
"""What a template may name: the fields that a webhook gets."""
FILTERS = (
    "capitalize", "d", "default", "length", "lower", "title", "trim", "truncate", "upper",
)  # fmt: skip
TESTS = ("eq", "ge", "gt", "in", "le", "lower", "lt", "ne", "none", "upper")
MAX_TITLE, MAX_TEXT = 500, 4000
"""Characters that a template may have."""
MAX_RENDERED = 20_000
"""Characters of what becomes of it; the rest is cut off."""
_READ = frozenset({
    "Template", "Output", "TemplateData", "Name", "Const", "If", "Filter", "Test", "Compare",
    "Operand", "And", "Or", "Not", "CondExpr", "Concat", "Tuple", "List", "Keyword",
})  # fmt: skip
"""Jinja's names for what a template may be made of."""


@lru_cache(maxsize=1024)
def text_problem(template: str) -> str | None:
    """Say why a template cannot be used for notices, or ``None`` if it can."""
    from jinja2 import TemplateSyntaxError

    try:
        tree = _environment().parse(template)
        problem = next((_at(line, what, template) for line, what in _problems(tree)), None)
        if problem is None:
            trial = _environment().from_string(template)
    except (RecursionError, SyntaxError):
        return "it is nested too deep"
    except TemplateSyntaxError as error:
        return _at(error.lineno, str(error.message).rstrip("."), template)
    except (OverflowError, ValueError, MemoryError) as error:
        return f"Jinja gave up: {type(error).__name__}"
    if problem is None:
        try:
            trial.render(dict.fromkeys(FIELDS, "text"))
        except Exception as error:  # noqa: BLE001 - whatever a filter raises
            problem = f"it fails: {type(error).__name__}: {error}"
    return problem


def rendered(template: str, fields: Mapping[str, str]) -> str:
    """What becomes of a template. The fields are text, and nothing in them is rendered again.

    Raises ``ValueError``, which says why, for a template that cannot be used or that fails.
    """
    problem = text_problem(template)
    if problem:
        raise ValueError(problem)
    try:
        text = _environment().from_string(template).render(fields)
    except Exception as error:  # whatever a filter raises
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not text.strip():
        raise ValueError("nothing is left of it")
    return text if len(text) <= MAX_RENDERED else f"{text[: MAX_RENDERED - 1]}…"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # what comes out is plain text, which each service escapes as a whole
    found = ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined)
    found.globals.clear()
    found.filters = {name: found.filters[name] for name in FILTERS}
    return found


def _at(line: int, what: str, template: str) -> str:
    return f"line {line} of it: {what}" if "\n" in template.strip("\n") else what


def _problems(tree: nodes.Node) -> Iterator[tuple[int, str]]:
    """What of a template is not for notices: line within it, and what."""
    for node in _all(tree):
        kind, line = type(node).__name__, node.lineno
        name: str = getattr(node, "name", "")
        if kind not in _READ:
            yield (
                line,
                (
                    "only {{ FIELD }}, filters and {% if %} are read in a text of a notice, not "
                    f"{_WORDS.get(kind, kind.lower())}"
                ),
            )
        elif kind == "Name" and name not in FIELDS:
            near = nearest(name, FIELDS)
            hint = f"did you mean {near}?" if near else f"there are: {some_of(FIELDS, 20)}"
            yield line, f"a notice has no field '{name}'; {hint}"
        elif kind == "Filter" and name not in FILTERS:
            yield line, f"there is no filter '{name}' here; there are: {some_of(FILTERS, 20)}"
        elif kind == "Test" and name not in TESTS:
            yield line, f"there is no test '{name}' here; there are: {some_of(TESTS, 20)}"


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)


_WORDS = {
    "Call": "calls", "Getattr": "attributes", "Getitem": "indexes", "For": "{% for %}",
    "Assign": "{% set %}", "AssignBlock": "{% set %}", "Macro": "{% macro %}",
    "Include": "{% include %}", "Import": "{% import %}", "FromImport": "{% from %}",
    "Scope": "{% autoescape %}", "Extends": "{% extends %}", "Block": "{% block %}",
    "With": "{% with %}",
    "FilterBlock": "{% filter %}", "CallBlock": "{% call %}", "Add": "arithmetic (~ joins texts)",
    "Mul": "arithmetic", "Sub": "arithmetic", "Div": "arithmetic", "FloorDiv": "arithmetic",
    "Mod": "arithmetic", "Pow": "arithmetic", "Dict": "mappings",
}  # fmt: skip


def _checked(value: Any) -> Any:
    problem = text_problem(value) if "{" in value and len(value) <= MAX_TEXT else None
    if problem:
        raise PydanticCustomError("notice_text", "{why}", {"why": problem})
    return value


NoticeTitle = Annotated[
    StrictStr, AfterValidator(_checked), Field(min_length=1, max_length=MAX_TITLE)
]
"""A line in a team's own words: a template over the fields of a notice."""
NoticeText = Annotated[
    StrictStr, AfterValidator(_checked), Field(min_length=1, max_length=MAX_TEXT)
]
"""A text in a team's own words: a template over the fields of a notice."""
