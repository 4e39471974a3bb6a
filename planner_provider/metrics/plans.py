"""What a compiled plan says about itself, as far as metrics and reports need it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

log = logging.getLogger(__name__)

CRITICAL_TIER = 1
"""Services of this tier and those below it are critical."""
STALE_PERIODS = 3
"""A plan that starts by itself is stale if it did not succeed in so many periods."""
LOOK_BACK = (7, 31, 93, 400)
"""Days, tried in turn, in which the last openings of a calendar are looked for."""
SERVICE = "service://"
URGENCY = "urgency"
"""Label of a plan; with the value ``urgent`` its approvals are."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A compiled plan."""

    plan: str
    digest: str
    compiled_at: datetime
    owner: str = ""
    summary: str = ""
    runbook: str | None = None
    tier: int | None = None
    """Tier of the most critical service that it changes; ``None``: not known."""
    urgent: bool = False
    starts: Literal["cron", "calendar", "by_hand"] = "by_hand"
    approval: Literal["never", "auto", "always"] = "never"
    """Whether people must approve: never, unless the risk is low, or always."""
    slo_coverage: float | None = None
    """Share of the services that it changes for which it asks an SLO; ``None``: it changes none."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Step -> name of its action."""
    schedule: Mapping[str, Any] = field(default_factory=dict)
    calendar: Mapping[str, Any] | None = None

    @property
    def critical(self) -> bool:
        """Whether it changes a service of tier 0 or 1."""
        return self.tier is not None and self.tier <= CRITICAL_TIER

    @property
    def automated(self) -> bool:
        """Whether it starts by itself, and no person must always approve it."""
        return self.starts != "by_hand" and self.approval != "always"


def plan_facts(plan: str, digest: str, compiled_at: datetime, graph: str) -> PlanFacts:
    """Read a compiled plan. What cannot be read leaves a plan of which nothing is known."""
    try:
        document = json.loads(graph)
        return _facts(plan, digest, compiled_at, document)
    except (ValueError, TypeError, KeyError, AttributeError):
        log.warning("The compiled plan %s in the ledger cannot be read.", plan)
        return PlanFacts(plan, digest, compiled_at)


def stale_since(facts: PlanFacts, now: datetime, periods: int = STALE_PERIODS) -> datetime | None:
    """The start of the last but ``periods - 1`` period: a plan without success since then is stale.

    ``None`` for plans that do not start by themselves, or have not had so many periods.
    """
    try:
        if facts.starts == "cron":
            return _cron_start(facts.schedule, now, periods)
        if facts.starts == "calendar" and facts.calendar is not None:
            return _opening(facts.calendar, now, periods)
    except (ValueError, KeyError, ArithmeticError, LookupError):
        log.warning("When the plan %s starts by itself cannot be worked out.", facts.plan)
    return None


def _facts(plan: str, digest: str, compiled_at: datetime, document: Mapping[str, Any]) -> PlanFacts:
    schedule = document.get("schedule") or {}
    approval = document.get("approval") or {"required": "never"}
    changed = {
        item["resource"].removeprefix(SERVICE)
        for item in document.get("touches", ())
        if item["resource"].startswith(SERVICE) and item.get("mode") == "exclusive"
    }
    asked = {slo["service"] for slo in document.get("slos", ())}
    labels = document.get("labels") or {}
    return PlanFacts(
        plan=plan,
        digest=digest,
        compiled_at=compiled_at,
        owner=str(document.get("owner", "")),
        summary=str(document.get("summary", "")),
        runbook=document.get("runbook"),
        tier=(document.get("profile") or {}).get("tier"),
        urgent=str(labels.get(URGENCY, "")).lower() == "urgent",
        starts="cron" if schedule.get("cron") else "calendar" if schedule else "by_hand",
        approval=approval.get("required") or "always",
        slo_coverage=len(changed & asked) / len(changed) if changed else None,
        kinds={
            task["step"]: next(iter(task["action"]))
            for task in document.get("tasks", ())
            if task.get("kind") == "step" and task.get("step") and task.get("action")
        },
        schedule=schedule,
        calendar=document.get("calendar"),
    )


def _cron_start(schedule: Mapping[str, Any], now: datetime, periods: int) -> datetime:
    from zoneinfo import ZoneInfo

    from croniter import croniter

    zone = ZoneInfo(str(schedule.get("timezone") or "UTC"))
    fires = croniter(str(schedule["cron"]), now.astimezone(zone))
    found = now
    for _ in range(periods):
        found = fires.get_prev(datetime)
    return found


def _opening(calendar: Mapping[str, Any], now: datetime, periods: int) -> datetime | None:
    from planner_provider.decide.openings import without_freezes
    from planner_provider.decide.windows import expand
    from planner_provider.graph.calendars import PlanCalendar

    windows = without_freezes(PlanCalendar.model_validate(calendar))
    for days in LOOK_BACK:
        found = expand(windows, now - timedelta(days=days), now)
        if len(found) > periods:  # the first may be cut off
            return found[-periods].start
    return None
