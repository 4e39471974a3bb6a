"""Making a plan from a template, and checking a template by itself."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.kinds import PlanTemplate
from planner_provider.spec.located import Problem
from planner_provider.spec.subject import Subject, as_mapping
from planner_provider.spec.templates import check_inputs, fill, has_hole, input_problem, uses_of
from planner_provider.spec.validate import problems_of, value_at

_PLAN = ("spec", "plan")


def expand(subject: Subject, template: Subject | None, model: Model | None) -> None:
    """Fill the template of a plan in. What the plan says itself goes before the template."""
    use = as_mapping(subject.spec.get("template"))
    if template is None:
        _stand_in(subject)
        return
    raw = as_mapping(template.spec.get("plan"))
    own = dict(subject.spec)
    subject.template = template
    subject.from_template = frozenset(raw) - own.keys()
    values: dict[str, Any] = {}
    if isinstance(model, PlanTemplate):
        path = ("spec", "template", "inputs") if "inputs" in use else ("spec", "template")
        given = as_mapping(use.get("inputs"))
        values, problems = check_inputs(given, model.spec.inputs, model.metadata.name, path)
        for problem in problems:
            subject.add(problem)
        if problems:
            _stand_in(subject)
            return
    if template.has_errors or not isinstance(model, PlanTemplate):
        _stand_in(subject)  # its own errors are reported where they are, and lent to the plan
        return
    problems = []
    filled = {
        key: fill(value, values, ("spec", key), problems)
        for key, value in raw.items()
        if key in subject.from_template
    }
    subject.replace({**subject.data, "spec": {**filled, **own}})
    for problem in problems:
        subject.add(problem)


def _stand_in(subject: Subject) -> None:
    """Let a plan whose template is of no use be judged for what it says itself."""
    subject.template_missing = True


def judge_template(subject: Subject, model: Model | None) -> None:
    """Check what can be checked before the holes are filled."""
    spec = subject.spec
    plan = as_mapping(spec.get("plan"))
    declared = as_mapping(spec.get("inputs"))
    if "template" in plan:
        subject.report(
            "PLN319", (*_PLAN, "template"), "a template cannot be made from another template",
            "write its steps out", at_key=True,
        )  # fmt: skip
    used, problems = uses_of(plan, _PLAN, declared)
    for problem in problems:
        subject.add(problem)
    for name in declared:
        if name not in used and not problems:
            subject.report(
                "PLN320", ("spec", "inputs", name), f"the input '{name}' is used nowhere",
                "use it or remove it", at_key=True,
            )  # fmt: skip
    if isinstance(model, PlanTemplate):
        for name, wanted in model.spec.inputs.items():
            problem_text = (
                input_problem(wanted.default, wanted)
                if not wanted.required and wanted.default is not None
                else None
            )
            if problem_text:
                where = ("spec", "inputs", name, "default")
                subject.report("PLN402", where, f"the default does not fit: {problem_text}")
    for problem in _plan_problems(plan):
        subject.add(problem)


def _plan_problems(plan: dict[str, Any]) -> list[Problem]:
    """What is wrong with a template's plan, whatever its inputs will be."""
    from planner_provider.spec.plan import PlanSpec

    data = {key: value for key, value in plan.items() if key != "template"}
    try:
        PlanSpec.model_validate(data)
    except ValidationError as error:
        problems = problems_of(error, data, PlanSpec)
    else:
        return []
    kept: list[Problem] = []
    for problem in problems:
        if problem.code == "PLN203" and len(problem.path) == 1:
            continue  # the plan that uses the template gives it
        value = value_at(data, problem.path)
        inside = list(value.values()) if isinstance(value, dict) else [value]
        if any(has_hole(item) for item in inside):
            continue
        path: SpecPath = (*_PLAN, *problem.path)
        kept.append(
            Problem(
                problem.code, path, problem.message, problem.hint, problem.at_key, problem.place
            )
        )
    return kept
