"""Events of plan runs, made from what the ledger knows, and told.

All that a message says is read here, so that a task, a listener, a trigger and the Plans page tell
the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, get_args
from urllib.parse import quote

from airflow.sdk.configuration import conf
from pydantic import ValidationError

from planner_provider.errors import PlannerError
from planner_provider.graph.contacts import Contact, ContactRoute
from planner_provider.graph.filling import filled
from planner_provider.graph.model import PlanGraph
from planner_provider.ledger.holding import RESUMED
from planner_provider.notifications.events import OF_OUTCOME, SEVERITY, Event, subject_of
from planner_provider.notifications.outbox import write
from planner_provider.notifications.routing import routes_for
from planner_provider.spec.attached import Silence, Ticket
from planner_provider.spec.notices import IssueEvent, NoticeEvent

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.rows import PlanRun

log = logging.getLogger(__name__)

LOOKS_BACK = timedelta(days=7)
"""How old a hold may be whose end is still told."""
IN_ISSUES: tuple[IssueEvent, ...] = get_args(IssueEvent)
"""What an issue gets a comment for."""
NEXT: dict[NoticeEvent, str] = {
    "held": "Find out what it is held for. Then `planner resume {plan_id}`, or abort it.",
    "rolled_back": "Mend what stopped the run, then start a new one.",
    "rollback_failed": (
        "Look now. Mend what the rollback failed on and clear the task `acquire` with everything "
        "downstream: it tries the rollback again. Or undo by hand what is left."
    ),
    "failed": "Look whether what is left may stay; mend what stopped the run.",
    "rejected": "Ask the approver what is missing, change the plan, start a new run.",
    "expired": "Start a new run.",
    "blocked": "Mend what blocked it, or wait until it allows the run; start a new one.",
}


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears of a plan, and what they are told of it besides."""

    owner: str | None = None
    summary: str = ""
    runbook: str | None = None
    contacts: tuple[Contact, ...] = ()
    ticket: Ticket | None = None
    silence: Silence | None = None

    @property
    def routes(self) -> tuple[ContactRoute, ...]:
        """The ways to those who hear of everything."""
        return routes_for(self.owner, self.contacts)

    def ways(self, run: PlanRun) -> tuple[ContactRoute, ...]:
        """The same, the issue that a run belongs to, and the alerts that it silences."""
        found = list(self.routes)
        if self.ticket is not None:
            issue = filled(self.ticket.issue, run.parameters)
            found.append(
                ContactRoute(
                    connection=self.ticket.connection, channel=issue, tracker=self.ticket.via,
                    events=IN_ISSUES, states=tuple(self.ticket.states.items()),
                )
            )  # fmt: skip
        if self.silence is not None:
            matchers = tuple(
                matcher.model_copy(update={"value": filled(matcher.value, run.parameters)})
                for matcher in self.silence.matchers
            )
            found.append(
                ContactRoute(
                    connection=self.silence.connection, channel="silence",
                    tracker="alertmanager", events=("started", *OF_OUTCOME.values()),
                    silence=self.silence.model_copy(update={"matchers": matchers}),
                )
            )  # fmt: skip
        return tuple(found)


def audience_of(ledger: Ledger, plan: str) -> Audience:
    """Who hears of a plan, by its newest compilation; nobody if there is none."""
    compiled = ledger.last_compiled(plan)
    if compiled is None:
        return Audience()
    try:
        graph = PlanGraph.from_json(compiled.graph)
    except ValidationError as error:
        log.warning(
            "Who is told of %s is not known: its compilation is unreadable: %s", plan, error
        )
        return Audience()
    return Audience(
        graph.owner, graph.summary, graph.runbook, graph.contacts, graph.ticket, graph.silence
    )


def _base() -> str:
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def run_address(dag_id: str, run_id: str) -> str | None:
    """Where a run is seen in Airflow; ``None`` if ``[api] base_url`` is not set."""
    base = _base()
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}" if base else None


def page_address(plan_id: str) -> str | None:
    """Where a run is seen on the Plans page; ``None`` if ``[api] base_url`` is not set."""
    base = _base()
    return f"{base}/planner/#/runs/{quote(plan_id, safe='')}" if base else None


def run_event(
    ledger: Ledger,
    run: PlanRun,
    audience: Audience,
    kind: NoticeEvent,
    subject: str,
    *,
    now: datetime,
    reason: str = "",
    summary: str = "",
    step: str | None = None,
) -> Event:
    """An event of a run, with everything that is known of the run."""
    return Event(
        kind=kind,
        severity=SEVERITY[kind],
        plan_id=run.plan_id,
        plan=run.key.plan,
        owner=audience.owner,
        subject=subject,
        summary=filled(summary or audience.summary or f"Plan {run.key.plan}", run.parameters),
        at=now,
        step=step,
        reason=reason,
        requester=requester_of(ledger, run.plan_id),
        next=NEXT.get(kind, "").format(plan_id=run.plan_id),
        runbook=audience.runbook,
        run_url=run_address(run.key.dag_id, run.key.run_id),
        page_url=page_address(run.plan_id),
    )


def requester_of(ledger: Ledger, plan_id: str) -> str | None:
    """Who started the run, where Airflow knows."""
    found: str | None = None
    for entry in ledger.audit_of(plan_id):
        if entry.what == "run.assessed":
            found = entry.detail.get("requester") or found
    return found


def note_start(
    ledger: Ledger, plan_id: str, *, now: datetime, audience: Audience | None = None
) -> None:
    """Write down that a run begins to act, for those who want to hear of it. Never raises."""
    try:
        run = ledger.run(plan_id)
        if run is None:
            return
        known = audience or audience_of(ledger, run.key.plan)
        ways = [way for way in known.ways(run) if "started" in way.events]
        if not ways:
            return
        subject = _life(ledger, run)
        write(ledger, run_event(ledger, run, known, "started", subject, now=now), ways)
    except PlannerError as error:
        log.error("That %s begins could not be told: %s", plan_id, error)


def note_end(
    ledger: Ledger, plan_id: str, *, now: datetime, audience: Audience | None = None
) -> None:
    """Write down that a run has ended, as the ledger says it did. Never raises.

    A run that ended, was taken up again and ended again is told again; a last task that is merely
    done again is not. Without an ``audience`` it is that of the plan's newest compilation.
    """
    try:
        run = ledger.run(plan_id)
        if run is None or run.outcome is None:
            return
        known = audience or audience_of(ledger, run.key.plan)
        subject = _life(ledger, run)
        kind = OF_OUTCOME[run.outcome]
        summary = ""
        if kind == "rollback_failed":
            summary = f"The rollback of {plan_id} failed. {known.summary}".strip()
            if not known.routes:
                log.error("The owner's Team names nobody in `notify`: nobody is paged.")
        reason = run.reason or ""
        event = run_event(
            ledger, run, known, kind, subject, now=now, reason=reason, summary=summary
        )
        write(ledger, event, known.ways(run), known.contacts)
    except PlannerError as error:
        log.error("That %s has ended could not be told: %s", plan_id, error)


def _life(ledger: Ledger, run: PlanRun) -> str:
    """What tells one going of a run from another, after it was taken up again."""
    assessed = run.assessed_at.isoformat() if run.assessed_at else "never assessed"
    lease = ledger.last_lease(run.plan_id)
    return subject_of(assessed, f"lease {lease.generation}" if lease else "no lease")


def note_holds(ledger: Ledger, *, now: datetime) -> None:
    """Write down the holds that began or ended since somebody looked. Never raises."""
    try:
        held = ledger.open_holds()
        known = ledger.events_since(("held", "resumed"), now - LOOKS_BACK)
        began = {(n.plan_id, n.subject) for n in known if n.event == "held"}
        ended = {(n.plan_id, n.subject) for n in known if n.event == "resumed"}
        still = {(plan_id, moment.isoformat()) for plan_id, moment in held.items()}
        for plan_id, subject in sorted(still - began):
            run = ledger.run(plan_id)
            if run is not None and run.held_at is not None:
                _note_hold(ledger, run, subject, now)
        for plan_id, subject in sorted(began - ended - still):
            run = ledger.run(plan_id)
            if run is not None:
                _note_resumed(ledger, run, subject, now)
    except PlannerError as error:
        log.warning("Whether runs are held could not be told: %s", error)


def _note_hold(ledger: Ledger, run: PlanRun, subject: str, now: datetime) -> None:
    if ledger.event_known(run.plan_id, "held", subject):
        return
    audience = audience_of(ledger, run.key.plan)
    event = run_event(ledger, run, audience, "held", subject, now=now, reason=f"{run.held_words}.")
    write(ledger, event, audience.ways(run), audience.contacts)


def _note_resumed(ledger: Ledger, run: PlanRun, subject: str, now: datetime) -> None:
    """A hold is over. If the run ended meanwhile, its end is what is told."""
    audience = audience_of(ledger, run.key.plan)
    who = _resumer(ledger, run.plan_id, subject)
    reason = f"{who} let it go on." if who else ""
    event = run_event(ledger, run, audience, "resumed", subject, now=now, reason=reason)
    if run.outcome is not None or run.abort_at is not None:
        body = event.model_dump_json(exclude_defaults=True)
        ledger.note_event(run.plan_id, "resumed", subject, body, (), now=now)
        return
    write(ledger, event, audience.ways(run))


def _resumer(ledger: Ledger, plan_id: str, held_at: str) -> str | None:
    """Who ended the hold that began then."""
    for entry in reversed(ledger.audit_of(plan_id)):
        if entry.what == RESUMED:
            began = str(entry.detail.get("held_at")).replace(" ", "T", 1)
            if began == held_at:
                return entry.actor
    return None
