"""The part of ``Ledger`` that keeps what people change about calendars, and ends runs by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select

from planner_provider.errors import NoAuthorityError
from planner_provider.graph.calendars import PlanCalendar
from planner_provider.graph.plan_window import WindowRule
from planner_provider.ledger import audit, calendar_changes, leases, runs
from planner_provider.ledger.calendar_changes import counted, in_sight
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import insert_if_absent, reading, writing
from planner_provider.ledger.journal import PART
from planner_provider.ledger.rows import (
    WINDOW_ENDED,
    Act,
    ActRole,
    CalendarChange,
    Claim,
    Lease,
    PlanRun,
)
from planner_provider.ledger.schema import LEASES, MEMOS, PLAN_RUNS

if TYPE_CHECKING:
    from planner_provider.decide.model import Decision
    from planner_provider.decide.windows.model import Changes

MEMO = "window"
"""Name of the memo of a run that is to be stopped when its window ends."""


class WindowClosedError(NoAuthorityError):
    """The plan's maintenance window is not open, or too little of it is left."""

    decision: Decision | None = None
    """What it was decided from, to be recorded."""


class Windows(Database):
    """Freezes, overrides, and the runs that they end. See ``Ledger``."""

    def add_calendar_change(self, change: CalendarChange) -> CalendarChange:
        """Add a freeze or an override, for good in the audit trail; give it with its id.

        Whether an override counts is decided by whoever acts under it: see ``live_changes``.
        """
        with writing(self._engine) as connection:
            added = calendar_changes.add(connection, change)
            detail = {
                "id": added.id,
                "calendar": added.calendar,
                "from": added.begins_at,
                "until": added.ends_at,
                "reason": added.reason,
            }
            audit.append(
                connection, what=f"calendar.{added.kind.value}", actor=added.who, plan_id=None,
                detail=detail, now=added.created_at,
            )  # fmt: skip
            return added

    def withdraw_calendar_change(
        self, change_id: int, *, actor: str, now: datetime
    ) -> CalendarChange | None:
        """Take a freeze or an override back; ``None`` if there is none with this id.

        One that was taken back before stays as it is: look at ``withdrawn_by``.
        """
        with writing(self._engine) as connection:
            known = calendar_changes.find(connection, change_id, lock=True)
            if known is None or known.withdrawn_at is not None:
                return known
            audit.append(
                connection, what="calendar.withdrawn", actor=actor, plan_id=None,
                detail={"id": known.id, "calendar": known.calendar, "kind": known.kind.value},
                now=now,
            )  # fmt: skip
            return calendar_changes.withdraw(connection, change_id, actor, now)

    def calendar_changes_of(self, calendar: str | None = None) -> tuple[CalendarChange, ...]:
        """All that was ever added to a calendar, or to any, in the order in which it begins."""
        with reading(self._engine) as connection:
            return calendar_changes.of_calendar(connection, calendar)

    def calendar_change(self, change_id: int) -> CalendarChange | None:
        """The freeze or override with this id."""
        with reading(self._engine) as connection:
            return calendar_changes.find(connection, change_id)

    def changes_in_sight(self, now: datetime) -> tuple[CalendarChange, ...]:
        """All changes to all calendars that matter now or later, or did so a short time ago."""
        with reading(self._engine) as connection:
            return in_sight(connection, None, now)

    def live_changes(
        self, calendar: PlanCalendar, *, override_users: Collection[str], now: datetime
    ) -> Changes:
        """What people added to a calendar, and to those that it needs, as far as it counts."""
        with reading(self._engine) as connection:
            return changes_of(connection, calendar, override_users, now)

    def end_windows(self, now: datetime) -> tuple[str, ...]:
        """Stop the runs whose window is over and that must not outlast it; give their plan IDs."""
        with reading(self._engine) as connection:
            due = [
                plan_id for plan_id, rule, users in _to_be_ended(connection)
                if not _is_open(connection, rule, users, now)
            ]  # fmt: skip
        for plan_id in due:
            with writing(self._engine) as connection:
                run = runs.get(connection, plan_id, lock=True)
                if run is not None:
                    stop_at_end(connection, run, now)
        return tuple(due)


def changes_of(
    connection: Connection, calendar: PlanCalendar, override_users: Collection[str], now: datetime
) -> Changes:
    """What people added to a calendar, as far as it counts."""
    return counted(calendar, in_sight(connection, calendar.all_names, now), override_users)


def require_window(
    connection: Connection,
    claim: Claim,
    lease: Lease | None,
    acts: Iterable[Act],
    now: datetime,
    *,
    goes_on: bool,
) -> None:
    """Raise ``WindowClosedError`` if the window forbids a step to act now.

    ``goes_on``: the act began in time and was deferred.
    """
    rule = claim.window
    if rule is None or claim.role is not ActRole.STEP:
        return
    changes = changes_of(connection, rule.calendar, claim.override_users, now)
    begun = _begun(lease, acts)
    step = claim.step.partition(PART)[0]
    refused = window_refusal(
        rule, claim.step, now, changes, first=not begun, under_way=goes_on or step in begun
    )
    if refused is None:
        return
    from planner_provider.decide.replay import decide
    from planner_provider.decide.windows.verdict import WindowInputs

    _, refused.decision = decide(
        WindowInputs(
            now=now,
            calendar=rule.calendar,
            changes=changes,
            asked="go_on" if begun else "start",
            work=None if begun else rule.needs,
        )
    )
    raise refused


def closes_at(
    connection: Connection, claim: Claim, lease: Lease | None, acts: Iterable[Act], now: datetime
) -> datetime | None:
    """From when on the window will forbid a step that it allows now; ``None``: not at all."""
    rule = claim.window
    if rule is None or claim.role is not ActRole.STEP:
        return None
    from planner_provider.decide.windows import end_of_starts, interval_at

    begun = _begun(lease, acts)
    goes_on = rule.at_end == "finish" or claim.step.partition(PART)[0] in begun
    if begun and goes_on and rule.at_end != "abort":
        return None
    changes = changes_of(connection, rule.calendar, claim.override_users, now)
    if not begun:
        return end_of_starts(rule.calendar, now, rule.needs, changes)
    around = interval_at(rule.calendar, now, changes)
    return around.end if around else None


def _begun(lease: Lease | None, acts: Iterable[Act]) -> set[str]:
    """The steps that were begun since the run took its locks."""
    generation = lease.generation if lease else None
    return {
        act.step.partition(PART)[0]
        for act in acts
        if act.role is ActRole.STEP and act.generation == generation
    }


def window_refusal(
    rule: WindowRule,
    step: str,
    now: datetime,
    changes: Changes,
    *,
    first: bool,
    under_way: bool,
) -> WindowClosedError | None:
    """Say why a step must not act, or ``None`` if it may. Pure.

    ``first``: nothing was begun since the run took its locks, so that all of the work lies ahead.
    ``under_way``: the step, or a part of it, has begun since then.
    """
    from planner_provider.decide.window_words import closed_words
    from planner_provider.decide.windows import is_open, may_start

    if first:
        allowed = may_start(rule.calendar, now, rule.needs, changes)
    elif rule.at_end == "abort":
        allowed = is_open(rule.calendar, now, changes)
    elif under_way:
        allowed = True
    elif rule.at_end == "stop_after_step":
        allowed = is_open(rule.calendar, now, changes)
    else:
        allowed = not _frozen_by_hand(changes, now)
    if allowed:
        return None
    needs = rule.needs if first else None
    said = closed_words(rule.calendar, now, needs, changes, f"step {step} did not begin")
    done = " Nothing was touched." if first else " What was done before it is undone."
    return WindowClosedError(said.lead + done + said.next)


def _frozen_by_hand(changes: Changes, now: datetime) -> bool:
    """Whether a person froze the calendar. The end of a window by the spec is none of that."""
    return any(freeze.start <= now < freeze.end for freeze in changes.freezes) and not any(
        override.start <= now < override.end for override in changes.overrides
    )


# ---- runs that must not outlast their window


def note_window(connection: Connection, plan_id: str, claim: Claim) -> None:
    """Remember that this run is to be stopped when its window ends, if it is."""
    if claim.window is None or claim.window.at_end != "abort":
        return
    text = (
        f"{','.join(claim.override_users)}\n{claim.window.model_dump_json(exclude_defaults=True)}"
    )
    key = {"plan_id": plan_id, "step": "", "name": MEMO}
    known = connection.execute(select(MEMOS.c.value).filter_by(**key)).scalar_one_or_none()
    if known != text:
        connection.execute(
            delete(MEMOS).where(*(MEMOS.c[name] == value for name, value in key.items()))
        )
        insert_if_absent(connection, MEMOS, **key, value=text)


def is_over(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Whether the window of a run that must not outlast it has ended."""
    query = select(MEMOS.c.value).where(
        MEMOS.c.plan_id == plan_id, MEMOS.c.step == "", MEMOS.c.name == MEMO
    )
    text = connection.execute(query).scalar_one_or_none()
    return text is not None and not _is_open(connection, *_read(text), now)


def stop_at_end(connection: Connection, run: PlanRun, now: datetime) -> str | None:
    """Stop a run because its window has ended; give the reason. ``None`` if it ends anyway."""
    lease = leases.live(connection, run.plan_id)
    if run.abort_at is not None or run.outcome is not None or lease is None or lease.closing_at:
        return None
    query = select(MEMOS.c.value).where(
        MEMOS.c.plan_id == run.plan_id, MEMOS.c.step == "", MEMOS.c.name == MEMO
    )
    text = connection.execute(query).scalar_one_or_none()
    if text is None:
        return None
    from planner_provider.decide.window_words import closed_words

    rule, users = _read(text)
    changes = changes_of(connection, rule.calendar, users, now)
    reason = closed_words(rule.calendar, now, None, changes, "at_end is `abort`").lead
    if not reason.startswith(WINDOW_ENDED):
        reason = f"{WINDOW_ENDED}{rule.calendar.name} has ended. {reason}"
    runs.set_abort(connection, run.plan_id, reason, now)
    audit.append(
        connection, what="run.aborted", actor=f"window:{rule.calendar.name}", plan_id=run.plan_id,
        detail={"reason": reason}, now=now,
    )  # fmt: skip
    return reason


def _to_be_ended(connection: Connection) -> list[tuple[str, WindowRule, tuple[str, ...]]]:
    """Runs under way that must not outlast their windows, with these."""
    query = (
        select(MEMOS.c.plan_id, MEMOS.c.value)
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == MEMOS.c.plan_id)
        .join(LEASES, LEASES.c.plan_id == MEMOS.c.plan_id)
        .where(
            MEMOS.c.step == "",
            MEMOS.c.name == MEMO,
            PLAN_RUNS.c.outcome.is_(None),
            PLAN_RUNS.c.abort_at.is_(None),
            LEASES.c.released_at.is_(None),
            LEASES.c.closing_at.is_(None),
        )
    )
    return [(row.plan_id, *_read(row.value)) for row in connection.execute(query)]


def _is_open(
    connection: Connection, rule: WindowRule, override_users: Collection[str], now: datetime
) -> bool:
    from planner_provider.decide.windows import is_open

    return is_open(rule.calendar, now, changes_of(connection, rule.calendar, override_users, now))


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[WindowRule, tuple[str, ...]]:
    users, _, rule = text.partition("\n")
    return WindowRule.model_validate_json(rule), tuple(filter(None, users.split(",")))
