"""The documents that plans refer to, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner_provider.spec.calendar_kind import Calendar
from planner_provider.spec.kinds import Fleet, PlanTemplate, Policy, Service, Team
from planner_provider.spec.plan import Plan

if TYPE_CHECKING:
    from planner_provider.spec.ics import ImportedEvent


@dataclass(frozen=True, slots=True)
class Catalog:
    """All valid documents of a spec folder, by name. Broken ones and duplicates are not in it."""

    plans: Mapping[str, Plan] = field(default_factory=dict)
    templates: Mapping[str, PlanTemplate] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    fleets: Mapping[str, Fleet] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    slos: Mapping[str, Any] = field(default_factory=dict)
    """OpenSLO documents of kind SLO; the other six kinds follow."""
    slis: Mapping[str, Any] = field(default_factory=dict)
    data_sources: Mapping[str, Any] = field(default_factory=dict)
    alert_policies: Mapping[str, Any] = field(default_factory=dict)
    alert_conditions: Mapping[str, Any] = field(default_factory=dict)
    alert_notification_targets: Mapping[str, Any] = field(default_factory=dict)
    openslo_services: Mapping[str, Any] = field(default_factory=dict)
    imported: Mapping[tuple[str, str, str], tuple[ImportedEvent, ...]] = field(default_factory=dict)
    """Calendar, iCalendar file and zone for events that name none -> the events in that file."""

    def plan(self, name: str) -> Plan | None:
        """The plan of this name."""
        return self.plans.get(name)

    def template(self, name: str) -> PlanTemplate | None:
        """The plan template of this name."""
        return self.templates.get(name)

    def calendar(self, name: str) -> Calendar | None:
        """The calendar of this name."""
        return self.calendars.get(name)

    def service(self, name: str) -> Service | None:
        """The service (kind ``Service`` of planner/v1) of this name."""
        return self.services.get(name)

    def team(self, name: str) -> Team | None:
        """The team of this name."""
        return self.teams.get(name)

    def fleet(self, name: str) -> Fleet | None:
        """The fleet of this name."""
        return self.fleets.get(name)

    def policy(self, name: str) -> Policy | None:
        """The policy of this name."""
        return self.policies.get(name)
