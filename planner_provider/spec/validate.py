"""A document against its model: pydantic's findings, told in words and at their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath, format_path
from planner_provider.spec.fields import keys_of, models_at
from planner_provider.spec.located import Problem
from planner_provider.spec.plaintext import announces_secret, secret_shape
from planner_provider.spec.references import ACTION_KEYS
from planner_provider.spec.suggest import did_you_mean, nearest, some_of
from planner_provider.spec.wording import TYPE_WORDS, describe_form, name_type, quote

CUSTOM_CODES = {
    "one_of": "PLN212", "one_action": "PLN213", "bad_duration": "PLN221", "bad_share": "PLN222",
    "bad_instant": "PLN223", "bad_zone": "PLN224", "bad_cron": "PLN225", "bad_rrule": "PLN226",
    "bad_regex": "PLN227", "bad_template": "PLN228", "template_not_allowed": "PLN229",
    "empty_bound": "PLN230", "nothing_checked": "PLN230", "nothing_changed": "PLN230",
    "weights_not_rising": "PLN231", "throttle_order": "PLN231", "empty_range": "PLN231",
    "contradiction": "PLN231", "target_twice": "PLN231", "missing_for_mode": "PLN232",
    "missing_approvers": "PLN232", "openslo": "PLN233",
    "notice_text": "PLN234", "issue_state": "PLN235",
}  # fmt: skip
"""Type of an error raised by our own validators -> code."""
_MISPLACED_LEVELS = 3
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class _Finding:
    path: SpecPath
    type: str
    message: str
    input: Any
    context: dict[str, Any]
    at_key: bool
    union: SpecPath | None
    """Where a choice between several types failed, of which this is about one."""
    branch: str


def problems_of(error: ValidationError, data: Any, root: type[Model]) -> list[Problem]:
    """Turn what pydantic found into problems, each once, and only those that help."""
    findings = [_finding(raw, data) for raw in error.errors(include_url=False)]
    findings = [finding for finding in findings if not _is_echo(finding)]
    findings = list(_best_branches(findings))
    problems = [
        problem
        for finding in _merged(findings)
        if (problem := _problem(finding, data, root)) is not None
    ]
    return _without_explained(problems, findings, root)


def null_problems(data: Any, root: type[Model], path: SpecPath = ()) -> Iterator[Problem]:
    """Keys of models that stand there with nothing after them."""
    stack = [(path, data)]
    while stack:
        where, value = stack.pop()
        if isinstance(value, list):
            stack.extend(((*where, index), item) for index, item in enumerate(value))
        if not isinstance(value, dict):
            continue
        known = {key for model in models_at(root, where) for key in keys_of(model)}
        for key, item in value.items():
            inner = (*where, key)
            if item is None and key in known and not _takes_null(root, inner):
                yield Problem(
                    "PLN208", inner, f"the key '{key}' has no value",
                    "give it one, or remove the key", at_key=True,
                )  # fmt: skip
            elif item is not None:
                stack.append((inner, item))


def value_at(data: Any, path: SpecPath) -> Any:
    """The value under a path, ``None`` if there is none."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _takes_null(root: type[Model], path: SpecPath) -> bool:
    for model in models_at(root, path[:-1]):
        for name, field in model.model_fields.items():
            if (field.alias or name) == path[-1] and field.annotation is Any:
                return True
    return False


# ---- locations -------------------------------------------------------------------------------


def _finding(raw: Any, data: Any) -> _Finding:
    """Strip from a location what pydantic adds to it: names of union branches and validators."""
    path: list[str | int] = []
    union: SpecPath | None = None
    branch = ""
    at_key = False
    current = data
    location = raw["loc"]
    for index, part in enumerate(location):
        last = index == len(location) - 1
        inner = _inner(current, part)
        if inner is not _NOTHING:
            path.append(part)
            current = inner
        elif part == "[key]":
            at_key = True
        elif last and raw["type"] == "missing":
            path.append(part)
        elif union is None:
            union, branch = tuple(path), str(part)
    return _Finding(
        path=tuple(path),
        type=raw["type"],
        message=raw["msg"],
        input=raw.get("input"),
        context=raw.get("ctx") or {},
        at_key=at_key or raw["type"] == "extra_forbidden",
        union=union,
        branch=branch,
    )


def _inner(value: Any, part: str | int) -> Any:
    if isinstance(value, dict) and isinstance(part, str) and part in value:
        return value[part]
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return _NOTHING


def _is_echo(finding: _Finding) -> bool:
    """Whether a list counts as too short only because entries of it are wrong."""
    least = finding.context.get("min_length")
    return (
        finding.type == "too_short"
        and isinstance(finding.input, list | dict | tuple)
        and (len(finding.input) >= (least or 1))
    )


def _best_branches(findings: Sequence[_Finding]) -> Iterator[_Finding]:
    """Of a choice between types, keep what is about the one that was probably meant."""
    groups: dict[SpecPath, dict[str, list[_Finding]]] = {}
    for finding in findings:
        if finding.union is not None:
            branches = groups.setdefault(finding.union, {})
            branches.setdefault(finding.branch, []).append(finding)
    kept: dict[SpecPath, set[str]] = {}
    for where, branches in groups.items():
        ranked = sorted(branches, key=lambda name: _rank(where, branches[name]))
        best = _rank(where, branches[ranked[0]])
        kept[where] = {name for name in ranked if best[0] >= 2 or name == ranked[0]}
    for finding in findings:
        if finding.union is None or finding.branch in kept[finding.union]:
            yield finding


def _rank(where: SpecPath, findings: list[_Finding]) -> tuple[int, int]:
    """Lower fits better: a reason of our own, then any other, then a wrong type altogether."""
    if any(finding.path == where and finding.type in TYPE_WORDS for finding in findings):
        return (2, len(findings))
    own = all(finding.type in CUSTOM_CODES for finding in findings)
    return (0 if own else 1, len(findings))


def _merged(findings: Iterable[_Finding]) -> Iterator[_Finding]:
    """One finding for a value that is of none of several types."""
    seen: dict[SpecPath, list[_Finding]] = {}
    rest: list[_Finding] = []
    for finding in findings:
        if finding.type in TYPE_WORDS and not finding.at_key:
            seen.setdefault(finding.path, []).append(finding)
        else:
            rest.append(finding)
    for same in seen.values():
        words = list(dict.fromkeys(TYPE_WORDS[finding.type] for finding in same))
        if "a number" in words and "a whole number" in words:
            words.remove("a whole number")
        first = same[0]
        yield _Finding(
            first.path, "wrong_type", " or ".join(words), first.input, {}, False, None, ""
        )
    yield from rest


# ---- words -----------------------------------------------------------------------------------


def _problem(finding: _Finding, data: Any, root: type[Model]) -> Problem | None:
    code, message, hint = _told(finding, data, root)
    value = finding.input
    if (
        isinstance(value, str)
        and len(value) > 7
        and (secret_shape(value) or any(announces_secret(str(part)) for part in finding.path[-1:]))
    ):
        message = message.replace(value, "(hidden)")
        hint = hint and hint.replace(value, "(hidden)")
    return Problem(code, finding.path, message, hint, at_key=finding.at_key)


def _told(finding: _Finding, data: Any, root: type[Model]) -> tuple[str, str, str | None]:
    kind, path, context = finding.type, finding.path, finding.context
    if kind in CUSTOM_CODES:
        hint = _CUSTOM_HINTS.get(kind)
        if kind == "one_action" and context.get("given"):
            hint = "make a step of each"
        message, found, meant = finding.message.partition("; did you mean ")
        return CUSTOM_CODES[kind], message, f"did you mean {meant}" if found else hint
    if kind == "extra_forbidden":
        return _unknown_key(path, root)
    if kind == "missing":
        return _missing_key(path)
    if kind == "wrong_type":
        return _wrong_type(finding)
    if kind in {"literal_error", "enum"}:
        return _unknown_word(finding)
    if kind == "string_pattern_mismatch":
        form = describe_form(str(context.get("pattern", "")))
        return "PLN205", f"{quote(finding.input)} is not possible here: {form}", None
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return (
            "PLN206",
            f"{finding.input} is not allowed here: it must be {word} {context[key]}",
            None,
        )
    if kind in {"too_short", "too_long", "string_too_short", "string_too_long"}:
        return _wrong_length(finding)
    return "PLN201", f"{quote(finding.input)} is not possible here", None


_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "multiple_of": ("a multiple of", "multiple_of"),
}
_CUSTOM_HINTS = {
    "notice_text": "docs/notifications.md says what a text of a notice may hold",
    "issue_state": "name one of the three; names of statuses are for `via: jira`",
    "bad_template": "put literal braces as {{ '{{' }}",
    "template_not_allowed": "use a fixed value, or a parameter in a field that is rendered",
    "one_action": "the actions are: " + ", ".join(sorted(ACTION_KEYS)),
}


def _unknown_key(path: SpecPath, root: type[Model]) -> tuple[str, str, str | None]:
    key = str(path[-1])
    models = models_at(root, path[:-1])
    known = {name for model in models for name in keys_of(model)}
    where = f" in {format_path(path[-2:-1])}" if path[-2:-1] and isinstance(path[-2], str) else ""
    hint = did_you_mean(key, known)
    if hint is None:
        for level in range(2, min(_MISPLACED_LEVELS, len(path)) + 1):
            outer = {name for model in models_at(root, path[:-level]) for name in keys_of(model)}
            if key in outer:
                beside = path[-level]
                spot = f"beside '{beside}'" if isinstance(beside, str) else "in the entry itself"
                hint = f"'{key}' belongs further out, {spot}; check the indentation"
                break
    if hint is None and known:
        hint = f"known here: {some_of(known, 12)}"
    return "PLN202", f"unknown key '{_short(key)}'{where}", hint


def _missing_key(path: SpecPath) -> tuple[str, str, str | None]:
    where = f" in {format_path(path[:-1])}" if len(path) > 1 else ""
    hint = None
    if path == ("metadata", "owner"):
        hint = "name the team that is called when the plan fails"
    return "PLN203", f"the key '{path[-1]}' is missing{where}", hint


def _wrong_type(finding: _Finding) -> tuple[str, str, str | None]:
    wanted, value = finding.message, finding.input
    hint = None
    if "text" in wanted and isinstance(value, int | float) and not isinstance(value, bool):
        hint = f'put it in quotes: "{value}"'
    elif "text" in wanted and isinstance(value, bool):
        hint = f'put it in quotes if text is meant: "{str(value).lower()}"'
    elif "text" in wanted and isinstance(value, dict) and len(value) == 1:
        hint = "a colon with a space makes a mapping; put the text in quotes"
    elif "number" in wanted and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        hint = f"write it without quotes: {value}"
    elif "number" in wanted and isinstance(value, str) and "{{" in value:
        hint = "templates are not rendered in this field"
    elif wanted == "a list" and not isinstance(value, dict | list):
        hint = (
            f"write it as a list: [{value}]" if isinstance(value, str) and len(value) < 40 else None
        )
    elif "true or false" in wanted and isinstance(value, str):
        hint = "write true or false; yes, no, on and off are text in YAML 1.2"
    return "PLN201", f"{wanted} is expected here, not {name_type(value)}", hint


def _unknown_word(finding: _Finding) -> tuple[str, str, str | None]:
    words = re.findall(r"'([^']*)'", str(finding.context.get("expected", "")))
    value = finding.input
    hint = did_you_mean(value, words) if isinstance(value, str) else None
    if len(words) == 1:
        return "PLN204", f"{quote(value)} is not possible here, only '{words[0]}'", hint
    return "PLN204", f"{quote(value)} is not one of: {', '.join(words)}", hint


def _wrong_length(finding: _Finding) -> tuple[str, str, str | None]:
    context, value = finding.context, finding.input
    what = "characters" if isinstance(value, str) else "entries"
    short = "short" in finding.type
    limit = context.get("min_length") if short else context.get("max_length")
    if short and limit == 1:
        return "PLN207", "this must not be empty", None
    count = len(value) if isinstance(value, str | list | dict) else context.get("actual_length")
    side = "fewer than" if short else "more than"
    return "PLN207", f"this has {count} {what}, {side} the {limit} allowed", None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _without_explained(
    problems: list[Problem], findings: Sequence[_Finding], root: type[Model]
) -> list[Problem]:
    """Drop a missing key that a misspelt one beside it explains."""
    unknown: dict[SpecPath, list[str]] = {}
    for finding in findings:
        if finding.type == "extra_forbidden":
            unknown.setdefault(finding.path[:-1], []).append(str(finding.path[-1]))
    explained: set[SpecPath] = set()
    for where, keys in unknown.items():
        known = {name for model in models_at(root, where) for name in keys_of(model)}
        explained.update((*where, meant) for key in keys if (meant := nearest(key, known)))
    return [
        problem
        for problem in problems
        if not (problem.code == "PLN203" and problem.path in explained)
    ]
