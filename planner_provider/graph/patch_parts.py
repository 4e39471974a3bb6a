"""The parts of a patch rollout: its targets, and for each wave a mapped group and a gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from planner_provider.graph.approvals import approval_rule
from planner_provider.graph.describe import describe_target_action, format_count_or_share
from planner_provider.graph.model import Part
from planner_provider.spec.kinds import Team
from planner_provider.spec.values import format_duration
from planner_provider.spec.workloads import BetweenWaves, Patch, TargetAction, TargetStep

TARGETS = "targets"
WAVE = "wave-"
GATE = "gate-"
APPROVE = "approve-"
REPORT = "report"
BEGIN = "begin"
END = "end"
REBOOT = "reboot"
BACK = "back"
"""The second half of a reboot: waiting until the node is back."""


def patch_parts(action: Patch, teams: Mapping[str, Team]) -> tuple[Part, ...]:
    """What a rollout is made of, in the order in which it is done."""
    each = target_parts(action)
    parts = [
        Part(
            id=TARGETS,
            summary=f"Find the targets of fleet {action.fleet} and sort them into waves",
            lists=True,
            changes=False,
        )
    ]
    last = len(action.waves)
    for number, size in enumerate(action.waves, 1):
        upto = format_count_or_share(size)
        parts.append(
            Part(
                id=f"{WAVE}{number}",
                summary=f"The targets of wave {number}, up to {upto} of the fleet",
                each=each,
                wave=number,
            )
        )
        parts.append(
            Part(
                id=f"{GATE}{number}",
                summary=_gate(action.between_waves, is_last=number == last),
                lists=True,
                changes=False,
                wave=number,
            )
        )
        approval = action.between_waves.approval
        if approval is not None and number < last:
            rule = approval_rule(approval, teams)
            if rule is not None:
                parts.append(
                    Part(
                        id=f"{APPROVE}{number}",
                        summary=f"Ask whether wave {number + 1} may begin",
                        wave=number,
                        changes=False,
                        approval=approval,
                        rule=rule,
                    )
                )
    parts.append(
        Part(
            id=REPORT,
            summary="Say what was patched, what failed, what is left",
            changes=False,
        )
    )
    return tuple(parts)


def target_parts(action: Patch) -> tuple[Part, ...]:
    """What is done to each target, from waiting for its turn to letting it go."""
    return (
        Part(id=BEGIN, summary="Wait until another target may be unavailable", changes=False),
        *(Part(id=name, summary=describe_target_action(entry)) for name, entry in _entries(action)),
        Part(
            id=END,
            summary="Take our cordon away, write down how it ended, let the next one begin",
            always=True,
            changes=False,
        ),
    )


def entry_of(action: Patch, part: str) -> TargetStep:
    """The entry of `per_target` that a part carries out."""
    return dict(_entries(action))[part]


def undo_ids(action: Patch) -> tuple[tuple[str, TargetAction], ...]:
    """Each entry of `undo`, with a name of its own."""
    return tuple(
        (f"undo-{number}-{entry.action_name}", entry) for number, entry in enumerate(action.undo, 1)
    )


def _entries(action: Patch) -> Iterator[tuple[str, TargetStep]]:
    """Each entry with the id of its task: its name, numbered from the second on. A reboot with
    ``by`` is two tasks."""
    seen: Counter[str] = Counter()
    for entry in action.per_target:
        name = entry.action_name
        seen[name] += 1
        suffix = f"-{seen[name]}" if seen[name] > 1 else ""
        yield f"{name}{suffix}", entry
        if entry.reboot is not None and entry.reboot.by is not None:
            yield f"{BACK}{suffix}", TargetStep(reboot=entry.reboot.model_copy(update={"by": None}))


def _gate(between: BetweenWaves, *, is_last: bool) -> str:
    if is_last:
        return "Judge how the last wave ended"
    more = [f"watch for {format_duration(between.bake)}"] if between.bake else []
    more += [f"ask SLOs {', '.join(between.slos)}"] if between.slos else []
    return f"Judge how the wave ended{''.join(f', {text}' for text in more)}"
