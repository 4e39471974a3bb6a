"""What a person types to patch one target after the other by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from planner_provider.graph.command import Command
from planner_provider.graph.describe import describe_target_action, format_count_or_share
from planner_provider.spec import workloads
from planner_provider.spec.base import Model

NODE = '"$TARGET"'

Commands = Callable[[Model, str], tuple[Command, ...]]


def patch_commands(action: workloads.Patch, commands: Commands, name: str) -> Iterator[Command]:
    """Each entry of `per_target`, in order, for one target; ``commands`` knows plain actions."""
    waves = ", ".join(map(format_count_or_share, action.waves))
    yield Command(
        "bash",
        "export TARGET=",
        f"Work through fleet {action.fleet} in waves up to {waves}; at most "
        f"{format_count_or_share(action.max_unavailable)} unavailable at once. Stop once more than "
        f"{format_count_or_share(action.max_errors)} failed. For each target, kubectl set to its "
        "cluster:",
    )
    yield from target_commands(action.per_target, commands, name)
    kinds = [entry.action_name for entry in action.per_target]
    if {"cordon", "drain"} & set(kinds) and kinds[-1] != "uncordon":
        yield Command("bash", f"kubectl uncordon {NODE}", "Let it take work again:")


def undo_commands(action: workloads.Patch, commands: Commands, name: str) -> Iterator[Command]:
    """The way back of one target."""
    yield Command("bash", "export TARGET=", "For each target that was begun, the last one first:")
    yield from target_commands(action.undo, commands, name)


def target_commands(
    entries: Iterable[workloads.TargetAction], commands: Commands, name: str
) -> Iterator[Command]:
    """What is done to one target."""
    for entry in entries:
        action = entry.action
        lead = f"{describe_target_action(entry)}:"
        if isinstance(action, workloads.Cordon):
            yield Command("bash", f"kubectl cordon {NODE}", lead)
        elif isinstance(action, workloads.Uncordon):
            yield Command("bash", f"kubectl uncordon {NODE}", lead)
        elif isinstance(action, workloads.Drain):
            yield Command("bash", _drain(action), lead)
        elif isinstance(action, workloads.Reboot):
            yield from _reboot(action, commands, name)
        else:
            yield from commands(action, name)


def _drain(drain: workloads.Drain) -> str:
    words = [f"kubectl drain {NODE} --ignore-daemonsets"]
    words.append(f"--timeout={drain.timeout.total_seconds():g}s")
    words += ["--force"] if drain.force else []
    words += ["--delete-emptydir-data"] if drain.local_data == "delete" else []
    return " ".join(words)


def _reboot(reboot: workloads.Reboot, commands: Commands, name: str) -> Iterator[Command]:
    boot = f"kubectl get node {NODE} -o jsonpath='{{.status.nodeInfo.bootID}}'"
    yield Command("bash", boot, "Note the boot ID:")
    by = reboot.by
    if by is not None:
        yield from commands(by.pod or by.http or by.shell or reboot, name)
    seconds = reboot.timeout.total_seconds()
    wait = f"kubectl wait --for=condition=Ready node/{NODE} --timeout={seconds:g}s\n{boot}"
    yield Command("bash", wait, "Wait until it is Ready, with another boot ID:")
