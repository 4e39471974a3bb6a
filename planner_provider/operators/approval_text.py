"""What approvers read before they answer. Pure; the body is Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from planner_provider.decide.risk import Risk
from planner_provider.graph.approvals import ApprovalRule
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.graph.filling import filled, shown
from planner_provider.spec.values import format_duration


def subject_text(change: ChangeSummary | None, task_id: str, parameters: Mapping[str, Any]) -> str:
    """One line that says what is asked."""
    if change is None:
        return f"Approve {task_id}?"
    return f"Approve {change.plan}: {filled(change.summary, parameters)}?"


def body_text(
    change: ChangeSummary | None,
    rule: ApprovalRule,
    *,
    parameters: Mapping[str, Any],
    requester: str | None,
    answers_until: datetime,
    risk: Risk | None,
    message: str | None = None,
    plan_id: str | None = None,
    link: str | None = None,
) -> str:
    """All that an approver should know."""
    parts: list[str] = []
    if message:
        parts.append(message)
    if change is not None:
        version = f"version `{change.digest[:8]}`"
        run = f", run `{plan_id}`" if plan_id else ""
        owner = f", owned by {change.owner}"
        parts.append(
            f"**{filled(change.summary, parameters)}** Plan `{change.plan}`, {version}{run}{owner}."
        )
    if parameters:
        listed = (f"`{name}` = `{shown(value)}`" for name, value in sorted(parameters.items()))
        parts += _section("Parameters", listed)
    if change is not None:
        steps, touches = _all(change.steps, parameters), _all(change.touches, parameters)
        parts += _section("What is done", steps, numbered=True)
        parts += _section("What is touched", touches)
        parts += _rollback(change, parameters)
        if change.max_cost:
            most = f"It may cost at most {change.max_cost} more than before."
            parts.append(f"{most} Above that it is undone.")
    if risk is not None:
        parts += _risk(risk)
    parts.append(who_text(rule, requester, answers_until))
    if change is not None and change.runbook:
        parts.append(f"Runbook: {change.runbook}")
    if link:
        parts.append(f"Answer here: {link}")
    return "\n\n".join(parts)


def who_text(rule: ApprovalRule, requester: str | None, answers_until: datetime) -> str:
    """Who may answer, and until when."""
    people = "1 person" if rule.count == 1 else f"{rule.count} different people"
    text = f"{people} of {', '.join(rule.approvers)} must approve"
    if rule.users != rule.approvers:
        text += f" ({', '.join(rule.users) or 'nobody is in these groups'})"
    if rule.not_requester:
        text += f", not {requester}, who started it" if requester else ", not who started it"
    text += f". Answers count until {answers_until:%Y-%m-%d %H:%M:%S} UTC; one rejection stops it."
    for item in rule.escalations:
        text += f" After {format_duration(item.after)}, {', '.join(item.to)} may answer as well."
    return text


def _all(lines: Iterable[str], parameters: Mapping[str, Any]) -> list[str]:
    return [filled(line, parameters) for line in lines]


def _rollback(change: ChangeSummary, parameters: Mapping[str, Any]) -> list[str]:
    parts = _section("If it goes wrong", _all(change.rollback, parameters), numbered=True)
    parts += _section("Not undone, whatever happens", _all(change.irreversible, parameters))
    if not change.rollback and not change.irreversible:
        parts.append("There is nothing to undo.")
    return parts


def _risk(risk: Risk) -> list[str]:
    lines = [f"{c.name}: {c.words} ({c.points} of 3)" for c in risk.contributions]
    return _section(f"Risk: {risk.level}, {risk.score} of 15", [*lines, *risk.floors])


def _section(title: str, lines: Iterable[str], *, numbered: bool = False) -> list[str]:
    listed = list(lines)
    if not listed:
        return []
    marks = [f"{n}." if numbered else "-" for n in range(1, len(listed) + 1)]
    return [
        "\n".join([f"**{title}**\n", *(f"{m} {t}" for m, t in zip(marks, listed, strict=True))])
    ]
