"""The targets of a fleet as they are now, and what a scanner found on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner_provider.decide.severity import (
    Finding,
    FindingError,
    Severity,
    read_finding,
    severities,
)
from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.graph.fleets import ResolvedFleet
from planner_provider.hooks.http import HttpAnswer, HttpRequest, send
from planner_provider.spec.inventories import (
    InventoryError,
    Record,
    records_from_csv,
    records_from_json,
    targets_of,
)
from planner_provider.spec.kinds import FleetTarget, HttpInventory
from planner_provider.spec.workloads import Findings


@dataclass(frozen=True, slots=True)
class FleetNow:
    """A fleet, as it is at one moment."""

    targets: tuple[FleetTarget, ...]
    """In the order of the inventory."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Name -> why, of those that the world says are unavailable; known of Kubernetes nodes."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all targets."""
        return frozenset(target.name for target in self.targets)


def look_at_fleet(fleet: ResolvedFleet) -> FleetNow:
    """Find the targets of a fleet.

    Raises:
        UnavailableError: the inventory does not answer, or not with a list of targets.
        RefusedError: it refuses to answer.
        MisconfiguredError: the Connection is missing or not fit.
    """
    if fleet.kubernetes_nodes is not None:
        from planner_provider.hooks.nodes import fleet_of_nodes

        return fleet_of_nodes(fleet.kubernetes_nodes)
    if fleet.http is not None:
        return FleetNow(_asked(fleet.http))
    return FleetNow(fleet.targets)


def read_severities(findings: Findings, path: str) -> dict[str, Severity]:
    """What the scanner's report says of each target. ``path`` is rendered.

    Raises:
        UnavailableError: the scanner does not answer, or not with a report.
        RefusedError: it refuses to answer, or a finding cannot be read.
    """
    request = HttpRequest(connection=findings.connection, path=path)
    records = _records(request, findings.items, findings.fields.target)
    names = findings.fields.model_dump()
    try:
        found: list[Finding] = [
            read_finding(record, names, number) for number, record in enumerate(records, 1)
        ]
    except FindingError as error:
        raise RefusedError(
            f"The report at {path} on connection {findings.connection} cannot be read: {error}. "
            "Nothing was touched. Look at `findings.fields`."
        ) from error
    return severities(found, findings.cves)


def _asked(inventory: HttpInventory) -> tuple[FleetTarget, ...]:
    request = HttpRequest(connection=inventory.connection, path=inventory.path)
    records = _records(request, inventory.items, inventory.name)
    try:
        return targets_of(records, inventory.name)
    except InventoryError as error:
        raise UnavailableError(_not_fit(request, error)) from error


def _records(request: HttpRequest, items: str, name: str) -> list[Record]:
    answer = send(request)
    if answer.status != 200:
        text = f"{answer.where} answered {answer.status} {answer.reason}"
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise UnavailableError(text)
        raise RefusedError(text)
    if not answer.complete:
        raise UnavailableError(f"{answer.where}: the answer is too long to be read as a list")
    try:
        if _is_csv(answer):
            return records_from_csv(answer.text)
        return records_from_json(answer.text, items, name)
    except InventoryError as error:
        raise UnavailableError(_not_fit(request, error)) from error


def _is_csv(answer: HttpAnswer) -> bool:
    """By its first character: JSON begins with a bracket or a brace, a header of CSV does not."""
    return answer.text.lstrip("\ufeff \t\r\n")[:1] not in ("[", "{")


def _not_fit(request: HttpRequest, error: InventoryError) -> str:
    return (
        f"{request.path} on connection {request.connection} did not answer with a list that can "
        f"be used: {error}"
    )
