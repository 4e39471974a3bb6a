"""One document against its model and against itself: all that needs no other document."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.located import Document, Problem
from planner_provider.spec.subject import (
    OPENSLO_API,
    PLANNER_API,
    Key,
    Subject,
)
from planner_provider.spec.suggest import did_you_mean
from planner_provider.spec.validate import null_problems, problems_of
from planner_provider.spec.wording import quote

PLANNER_KINDS = ("Plan", "PlanTemplate", "Calendar", "Service", "Team", "Fleet", "Policy")


@lru_cache(maxsize=32)
def model_for(api: str, kind: str) -> type[Model] | None:
    """The model of a kind of document, imported when it is first needed."""
    if api == OPENSLO_API:
        from planner_provider.spec.openslo import OPENSLO_KINDS

        return OPENSLO_KINDS.get(kind)
    if api == PLANNER_API and kind in PLANNER_KINDS:
        if kind == "Plan":
            from planner_provider.spec.plan import Plan

            return Plan
        from planner_provider.spec import kinds

        model: type[Model] = getattr(kinds, kind)
        return model
    return None


def subject_of(document: Document) -> Subject:
    """Begin to judge a document: report what is wrong with its YAML and with its head."""
    data = document.data if isinstance(document.data, dict) else {}
    subject = Subject(document, data)
    for problem in document.problems:
        subject.add(problem)
    if not isinstance(document.data, dict):
        if not subject.found:
            subject.report(
                "PLN211",
                (),
                "a document is a mapping with `apiVersion`, `kind`, `metadata` and `spec`",
            )
        return subject
    api, kind = data.get("apiVersion"), data.get("kind")
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if _check_head(subject, api, kind) and isinstance(name, str) and name:
        subject.key = Key(str(api), str(kind), name)
    return subject


def _check_head(subject: Subject, api: Any, kind: Any) -> bool:
    data = subject.data
    if "apiVersion" not in data or "kind" not in data:
        if not document_limit_reached(subject):
            missing = [f"`{key}`" for key in ("apiVersion", "kind") if key not in data]
            near = [key for key in data if did_you_mean(key, ("apiVersion", "kind"))]
            hint = (
                f"'{near[0]}' may be meant"
                if near
                else "such as `apiVersion: planner/v1`, `kind: Plan`"
            )
            subject.report(
                "PLN203",
                (),
                f"{' and '.join(missing)} is missing"
                if len(missing) == 1
                else f"{' and '.join(missing)} are missing",
                hint,
            )
        return False
    if not isinstance(api, str) or api not in {PLANNER_API, OPENSLO_API}:
        if isinstance(api, str) and api.startswith("openslo"):
            subject.report(
                "PLN210", ("apiVersion",), f"OpenSLO {quote(api)} is not read, only openslo/v1",
                "write it as openslo/v1; the keys of v1 are in the spec reference",
            )  # fmt: skip
        else:
            known = (PLANNER_API, OPENSLO_API)
            subject.report(
                "PLN210", ("apiVersion",), f"{quote(api)} is not an apiVersion that is known",
                did_you_mean(str(api), known, "use planner/v1, or openslo/v1 for SLOs"),
            )  # fmt: skip
        return False
    if not isinstance(kind, str) or model_for(api, kind) is None:
        kinds = kinds_of(api)
        subject.report(
            "PLN209", ("kind",), f"{quote(kind)} is not a kind of {api}",
            did_you_mean(str(kind), kinds, f"the kinds are: {', '.join(kinds)}"),
        )  # fmt: skip
        return False
    return True


def kinds_of(api: str) -> tuple[str, ...]:
    """The kinds of documents of an API."""
    if api == OPENSLO_API:
        from planner_provider.spec.openslo import OPENSLO_KINDS

        return tuple(OPENSLO_KINDS)
    return PLANNER_KINDS


def document_limit_reached(subject: Subject) -> bool:
    """Whether the document was cut off by a limit, so that more about it would be noise."""
    return any(found.code in {"PLN105", "PLN106"} for found in subject.found)


def validate(subject: Subject) -> Model | None:
    """Check a document against its model. ``None`` if it does not fit."""
    data = subject.data
    api, kind = data.get("apiVersion"), data.get("kind")
    model = model_for(api, kind) if isinstance(api, str) and isinstance(kind, str) else None
    if model is None or document_limit_reached(subject):
        return None
    empty: set[SpecPath] = set()
    if subject.document.has_null:
        for problem in null_problems(subject.document.data, model):
            subject.add(problem)
            empty.add(problem.path)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for problem in problems_of(error, data, model):
            if not _is_follow_up(problem, subject, empty):
                subject.add(problem)
    except RecursionError:
        subject.report("PLN105", (), "this is nested too deep to be read")
    return None


def _is_follow_up(problem: Problem, subject: Subject, empty: set[SpecPath]) -> bool:
    """Whether a problem is only the echo of one that is already reported."""
    path = problem.path
    tainted = subject.document.tainted
    if path in empty or any(key[:-1] == path for key in empty):
        return True
    if path in tainted or (problem.code == "PLN203" and path[:-1] in tainted):
        return True
    # What a template that cannot be filled in would have given.
    return subject.template_missing and problem.code == "PLN203" and len(path) == 2
