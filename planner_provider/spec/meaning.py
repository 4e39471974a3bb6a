"""A document beside all others: references, secrets, what is allowed, and what makes sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.parameters import check_parameters, check_passed
from planner_provider.spec.references import HOLE, plan_actions, references_of
from planner_provider.spec.secrets import check_secrets
from planner_provider.spec.steps import check_steps
from planner_provider.spec.subject import OPENSLO_API, PLANNER_API, Key, Subject, as_mapping
from planner_provider.spec.suggest import did_you_mean, some_of

Names = Mapping[tuple[str, str], frozenset[str]]


class _HasSubject(Protocol):
    @property
    def subject(self) -> Subject: ...


def check_document(
    subject: Subject,
    model: Model | None,
    known: Names,
    index: Mapping[Key, Sequence[_HasSubject]],
    allowed_operators: tuple[str, ...],
) -> None:
    """Check a document beside all others. It may be broken: what can be checked is."""
    if subject.key is None:
        if subject.data:
            check_secrets(subject)
        return
    check_references(subject, known, index)
    check_secrets(subject)
    kind = subject.key.kind
    if kind in {"Plan", "PlanTemplate"} and subject.key.api == PLANNER_API:
        check_steps(subject)
        check_parameters(subject)
        check_operators(subject, allowed_operators)
        _check_sub_plans(subject, index)
    if model is not None:
        from planner_provider.spec.sense import check_sense

        check_sense(subject, model)


def check_references(
    subject: Subject, known: Names, index: Mapping[Key, Sequence[_HasSubject]]
) -> None:
    """Report references to nothing, and to more than one."""
    for reference in references_of(subject):
        key = reference.key
        names = known.get((key.api, key.kind), frozenset())
        if key.name in names:
            if len(index.get(key, ())) > 1:
                subject.report(
                    "PLN307", reference.path,
                    f"there are {len(index[key])} documents of kind {key.kind} named '{key.name}'",
                    "rename or delete all but one",
                )  # fmt: skip
        elif reference.optional:
            if names:
                subject.report(
                    "PLN314", reference.path, f"there is no Team '{key.name}'",
                    did_you_mean(key.name, names, f"the teams are: {some_of(names)}"),
                )  # fmt: skip
        else:
            _dangling(subject, reference.path, key, names, known)


def _dangling(
    subject: Subject, path: SpecPath, key: Key, names: frozenset[str], known: Names
) -> None:
    kind = f"OpenSLO {key.kind}" if key.api == OPENSLO_API else key.kind
    hint = did_you_mean(key.name, names)
    if hint is None:
        elsewhere = sorted(
            other for (api, other), found in known.items()
            if key.name in found and (api, other) != (key.api, key.kind)
        )  # fmt: skip
        if elsewhere:
            hint = f"'{key.name}' is the name of a {elsewhere[0]}"
        elif names:
            hint = f"there are: {some_of(names)}"
        else:
            api = key.api
            hint = f"add a document with `apiVersion: {api}`, `kind: {key.kind}` and this name"
    subject.report("PLN306", path, f"there is no {kind} '{key.name}'", hint)


def check_operators(subject: Subject, allowed: tuple[str, ...]) -> None:
    """Refuse operators that no administrator has allowed."""
    for action in plan_actions(subject):
        if action.name != "operator":
            continue
        path = action.data.get("path")
        if isinstance(path, str) and HOLE not in path and not is_allowed(path, allowed):
            hint = "an administrator can add it to `[planner] allowed_operators`"
            if allowed:
                hint += f"; allowed are: {some_of(allowed)}"
            subject.report(
                "PLN502", (*action.path, "path"), f"the operator {path} is not allowed here", hint
            )


def is_allowed(path: str, allowed: tuple[str, ...]) -> bool:
    """Whether an import path is listed, itself or by a prefix that ends in ``.*``."""
    return any(
        path == entry or (entry.endswith(".*") and path.startswith(entry[:-1])) for entry in allowed
    )


def _check_sub_plans(subject: Subject, index: Mapping[Key, Sequence[_HasSubject]]) -> None:
    for action in plan_actions(subject):
        name = action.data.get("name") if action.name == "plan" else None
        if not isinstance(name, str):
            continue
        found = index.get(Key(PLANNER_API, "Plan", name), ())
        if len(found) != 1 or "template" in found[0].subject.spec:
            continue
        declared = as_mapping(found[0].subject.spec.get("parameters"))
        check_passed(subject, action.path, action.data.get("parameters"), declared, name)
