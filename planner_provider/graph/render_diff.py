"""Differences between plans as text for a terminal, Markdown for a pull request, and JSON."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from planner_provider.graph.change import SHOWN, Change
from planner_provider.graph.diff_plans import PlanDiff

CONTEXT = 2
"""Lines shown around a changed line of a long text."""
NO_DIFFERENCE = "No plan differs.\n"
WEAKER = "weakens safety"


def diff_json(plans: Sequence[PlanDiff]) -> str:
    """A JSON list of plans, each with its changes, ending in a line break."""
    data = [{**asdict(plan), "weakens_safety": plan.weakens_safety} for plan in plans]
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def diff_text(plans: Sequence[PlanDiff], *, color: bool = False) -> str:
    """One block a plan; lines that begin with ``!`` make the plan less safe."""
    if not plans:
        return NO_DIFFERENCE
    bold, red, off = ("\x1b[1m", "\x1b[31m", "\x1b[0m") if color else ("", "", "")
    lines: list[str] = []
    for plan in plans:
        if lines and plan.changes and lines[-1]:
            lines.append("")
        lines.append(f"{bold}{headline(plan)}{off}")
        for change in plan.changes:
            mark, tint = ("!", red) if change.weakens_safety else ("-", "")
            note = f" ({WEAKER})" if change.weakens_safety else ""
            lines.append(f"  {tint}{mark} {printable(change.words)}{note}{off if tint else ''}")
            lines += [f"      {printable(line)}" for line in _long_text(change)]
        if plan.changes:
            lines.append("")
    lines += ["", summary(plans)] if lines[-1] else [summary(plans)]
    return "\n".join(lines) + "\n"


def diff_markdown(plans: Sequence[PlanDiff]) -> str:
    """For a comment on a pull request."""
    lines = ["## What changes in the plans", ""]
    if not plans:
        return "\n".join([*lines, NO_DIFFERENCE])
    lines += [f"**{summary(plans)}**", ""]
    for plan in plans:
        lines += [f"### {headline(plan)}", ""]
        for change in plan.changes:
            mark = f"⚠️ **{WEAKER}**: " if change.weakens_safety else ""
            lines.append(f"- {mark}{_markdown(change.words)}")
            long = list(_long_text(change))
            if long:
                fence = "`" * max(3, max(map(_longest_run, long)) + 1)
                lines += ["", f"  {fence}diff", *(f"  {line}" for line in long), f"  {fence}", ""]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def headline(plan: PlanDiff) -> str:
    """One line on what became of a plan."""
    versions = " -> ".join(
        value[:8] for value in (plan.old_digest, plan.new_digest) if value is not None
    )
    was = f" (was {plan.old_name})" if plan.status == "renamed" else ""
    return f"plan {plan.name} {plan.status}{was}, version {versions}"


def summary(plans: Iterable[PlanDiff]) -> str:
    """How many plans differ, and how many changes make one less safe."""
    listed = list(plans)
    words = [
        f"{count} {status}"
        for status in ("added", "removed", "renamed", "changed")
        if (count := sum(plan.status == status for plan in listed))
    ]
    weaker = sum(change.weakens_safety for plan in listed for change in plan.changes)
    verb = "weakens" if weaker == 1 else "weaken"
    noun = "plan differs" if len(listed) == 1 else "plans differ"
    return f"{len(listed)} {noun}: {', '.join(words)}; " + (
        f"{weaker} of the changes {verb} safety." if weaker else "nothing weakens safety."
    )


def printable(text: str) -> str:
    """Text without characters that steer a terminal."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "\ufffd", text)


def _long_text(change: Change) -> Iterator[str]:
    """Changed lines of a text that is too long for a sentence."""
    old, new = _text(change.old), _text(change.new)
    if old is None or new is None or max(len(old), len(new)) <= SHOWN:
        return
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), n=CONTEXT, lineterm="")
    for line in found:
        if not line.startswith(("---", "+++", "@@")):
            yield line


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def _markdown(words: str) -> str:
    """Escape all but the code in backticks, which the sentences use for names."""
    parts = words.split("`")
    if len(parts) % 2 == 0:  # a backtick from the plan itself: no code then
        return re.sub(r"([\\`*_<>\[\]#|~&])", r"\\\1", words)
    return "`".join(
        part if index % 2 else re.sub(r"([\\*_<>\[\]#|~&])", r"\\\1", part)
        for index, part in enumerate(parts)
    )
