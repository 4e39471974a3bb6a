"""Action ``backfill`` over a DAG: its runs are made in small batches, as fast as is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import NotAvailableError, PlannerError, RefusedError
from planner_provider.operators.acting import Stopped
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.workloads import Backfill, Throttle

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.graph.model import Contact
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.airflow_api import AirflowApi, TargetDag
    from planner_provider.ledger import Ledger
    from planner_provider.operators.backfill_run import BackfillRun, Limiter
    from planner_provider.operators.backfill_target import Listing, Range
    from planner_provider.operators.backfill_work import BackfillWork

UNPAUSED = "unpaused"
"""Name under which a step remembers that it unpaused the DAG."""
LISTED = 5_000
"""Most partitions in the XCom of a dry run."""
TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0", "none", ""})


class BackfillOperator(PlanStepMixin, BaseOperator):
    """Run past partitions of a DAG again, under a limit that can change while it works.

    The runs are made over Airflow's REST API, a few at a time. Every partition is an item in the
    ledger, so a retry, a clear or another worker goes on where the last one stopped, and no
    partition is run twice at once. Of a step that failed, only what failed and what was not begun
    is done again.

    The XCom is ``{total, done, failed, left, left_out, failed_partitions, seconds}``, also under
    the key ``progress`` if the step fails. In a dry run it is ``{dry_run, dag, make, clear, wait,
    left_out, partitions}``.

    Args:
        dag: id of the DAG.
        begin: logical dates from this moment on, ISO 8601 (templated).
        end: logical dates before this moment (templated).
        connection: Airflow Connection of type http of the Airflow that the DAG is in.
        order: which end of the range comes first.
        reprocess: what is done again besides what has no run: nothing, what failed, everything.
        throttle: how much runs at once.
        max_errors: how many partitions may fail, or which share; see `allowed_errors`.
        attempts: how often a partition is run before it counts as failed.
        conf: configuration of the runs that are made (templated).
        dry_run: only list what would be done (templated).
        when_paused: what to do if the DAG is paused: fail, wait, or unpause it meanwhile.
        on_abort: what becomes of runs in flight when a person stops the plan's run.
        slos: the plan's SLOs, of which the throttle may follow one.
        calendar: partitions begin only while it is open.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        RefusedError: more partitions failed than may, or the DAG cannot be backfilled.
        MisconfiguredError: the Connection is missing, or its user may not do this.
        UnavailableError: Airflow's API is away for long.
    """

    template_fields: Sequence[str] = ("begin", "end", "conf", "dry_run")
    template_fields_renderers = {"conf": "json"}  # noqa: RUF012
    ui_color = "#e0e7ff"

    def __init__(
        self,
        *,
        dag_to_fill: str,
        begin: datetime | str,
        end: datetime | str,
        connection: str = "airflow_api",
        order: Literal["oldest_first", "newest_first"] = "oldest_first",
        reprocess: Literal["none", "failed", "completed"] = "none",
        throttle: Throttle | None = None,
        max_errors: int | float = 0,
        attempts: int = 1,
        conf: Mapping[str, Any] | None = None,
        dry_run: bool | str = False,
        when_paused: Literal["fail", "wait", "unpause"] = "fail",
        on_abort: Literal["leave", "stop"] = "leave",
        slos: tuple[Slo, ...] = (),
        calendar: PlanCalendar | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dag_to_fill = dag_to_fill
        self.begin = begin.isoformat() if isinstance(begin, datetime) else begin
        self.end = end.isoformat() if isinstance(end, datetime) else end
        self.connection = connection
        self.order = order
        self.reprocess = reprocess
        self.throttle = throttle or Throttle()
        self.max_errors = max_errors
        self.attempts = attempts
        self.conf = dict(conf or {})
        self.dry_run = dry_run
        self.when_paused = when_paused
        self.on_abort = on_abort
        self.slos = slos
        self.calendar = calendar

    @classmethod
    def from_action(
        cls,
        action: Backfill,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        calendars: tuple[PlanCalendar, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``backfill`` action of a spec."""
        if action.dag is None:
            raise NotAvailableError("over `chunks`")
        return cls(
            dag_to_fill=action.dag,
            begin=action.from_,
            end=action.to,
            connection=action.connection,
            order=action.order,
            reprocess=action.reprocess,
            throttle=action.throttle,
            max_errors=action.max_errors,
            attempts=action.attempts,
            conf=action.conf,
            dry_run=action.dry_run,
            when_paused=action.when_paused,
            on_abort=action.on_abort,
            slos=slos,
            calendar=next((c for c in calendars if c.name == action.calendar), None),
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """List the partitions once, then work through them."""
        from planner_provider.hooks.airflow_api import AirflowApi
        from planner_provider.operators.backfill_target import Range, check, moment

        span = Range(moment(self.begin, "from"), moment(self.end, "to"))
        if span.begin >= span.end:
            raise RefusedError(f"`from` must be before `to`; this is {span}")
        api = AirflowApi(self.connection, pause=self.pause)
        try:
            dag = api.dag(self.dag_to_fill)
            check(dag)
            if truth(self.dry_run):
                return self._would_do(self._list(api, dag, span), dag)
            return self._fill(context, api, dag, span)
        finally:
            api.close()

    def _list(self, api: AirflowApi, dag: TargetDag, span: Range) -> Listing:
        from planner_provider.operators.backfill_target import list_partitions

        return list_partitions(api, dag, span, reprocess=self.reprocess, order=self.order)

    def _fill(
        self, context: Context, api: AirflowApi, dag: TargetDag, span: Range
    ) -> dict[str, Any]:
        from planner_provider.hooks.settings import open_ledger
        from planner_provider.operators.backfill_items import items_of
        from planner_provider.operators.backfill_run import BackfillRun
        from planner_provider.operators.backfill_work import failure_of

        ledger, work = open_ledger(), self._work(context)
        if not ledger.items_of(work.plan_id, work.step):
            self._refuse_paused(dag)
            listing = self._list(api, dag, span)
            ledger.add_items(items_of(listing, work))
            self.log.info("Backfill of DAG '%s' %s: %s.", dag.dag_id, span, _counts(listing))
        self._see_to_pause(context, api, dag)
        run = BackfillRun(
            work,
            api,
            ledger,
            limiter=self._limiter(context, ledger, work),
            clock=self.clock,
            pause=self.pause,
        )
        try:
            end = run.go()
        except Stopped:
            self._stopped(context, api, ledger, run)
            raise
        except PlannerError:
            self._warn_unpaused(context)
            raise
        self._pause_again(context, api)
        context["ti"].xcom_push(key="progress", value=end.as_json())
        failure = failure_of(end)
        if failure is not None:
            raise failure
        self.log.info(
            "Done: %d partitions, of which %d failed; %d were left out. It took %d s.",
            end.tally.total, end.tally.failed, end.tally.skipped, round(end.seconds),
        )  # fmt: skip
        return end.as_json()

    def _work(self, context: Context) -> BackfillWork:
        from planner_provider.operators.backfill_work import BackfillWork

        ti = context["ti"]
        return BackfillWork(
            plan_id=self.plan_id(context) or f"dag:{ti.dag_id}:{ti.run_id}"[:200],
            step=(self.plan_ref.step if self.plan_ref else None) or ti.task_id,
            plan=self.plan_ref.plan if self.plan_ref else ti.dag_id,
            dag_id=self.dag_to_fill,
            reprocess=self.reprocess,
            attempts=self.attempts,
            max_errors=self.max_errors,
            conf=self.conf,
            every=self.throttle.every.total_seconds(),
        )

    def _limiter(self, context: Context, ledger: Ledger, work: BackfillWork) -> Limiter:
        from planner_provider.hooks.settings import load_settings
        from planner_provider.operators.backfill_limiter import (
            StepLimiter,
            ask_calendar,
            ask_guards,
        )

        ti = context["ti"]
        actor = f"task:{ti.task_id}#{ti.try_number}"
        guards = ask_guards(
            self.guard_slos,
            self.guard_budget,
            ledger=ledger,
            plan_id=self.plan_id(context),
            step=work.step,
            actor=actor,
            now=self.clock.now,
        )

        costs = None
        if self.guard_cost is not None:
            from planner_provider.operators.cost import RunCost

            asked = RunCost(self.guard_cost, ledger, work.plan_id, actor, self.clock.now)
            costs = asked.pausing(work.step)

        def refusal() -> str | None:
            return guards() or (costs() if costs is not None else None)

        def guard() -> str | None:
            if self.calendar is None:
                return refusal()
            users = load_settings().override_users
            closed = ask_calendar(self.calendar, ledger=ledger, users=users, now=self.clock.now)
            return closed or refusal()

        return StepLimiter(
            ledger,
            work.plan_id,
            work.step,
            self._throttle(context),
            slos=self.slos,
            guard=guard,
            actor=actor,
        )

    def _throttle(self, context: Context) -> Throttle:
        """The throttle, with what a template in its query renders to."""
        signal = self.throttle.signal
        if signal is None or signal.query is None:
            return self.throttle
        query = self.render_template(signal.query, context)
        return self.throttle.model_copy(
            update={"signal": signal.model_copy(update={"query": query})}
        )

    # ---- a paused DAG

    def _refuse_paused(self, dag: TargetDag) -> None:
        if dag.is_paused and self.when_paused == "fail":
            raise RefusedError(
                f"DAG '{dag.dag_id}' is paused, and Airflow starts no run of a paused DAG. "
                "Unpause it, or say `when_paused: wait` or `when_paused: unpause`"
            )

    def _see_to_pause(self, context: Context, api: AirflowApi, dag: TargetDag) -> None:
        if not dag.is_paused:
            return
        name = f"DAG '{dag.dag_id}' is paused, and Airflow starts no run of a paused DAG"
        if self.when_paused == "wait":
            self.log.warning("%s. Nothing begins until somebody unpauses it.", name)
            return
        self.remember_once(context, UNPAUSED, lambda: True)
        api.set_paused(dag.dag_id, False)
        self.log.warning(
            "%s. It is unpaused for this backfill and paused again at its end; meanwhile its own "
            "schedule runs as well.", name,
        )  # fmt: skip

    def _pause_again(self, context: Context, api: AirflowApi) -> None:
        if self.remembered(context, UNPAUSED):
            api.set_paused(self.dag_to_fill, True)
            self.log.info("DAG '%s' is paused again, as it was before.", self.dag_to_fill)

    # ---- stopped by a person

    def _stopped(self, context: Context, api: AirflowApi, ledger: Ledger, run: BackfillRun) -> None:
        in_flight = run.in_flight()
        record = ledger.run(self.plan_id(context) or "")
        aborted = record is not None and record.abort_at is not None
        if self.on_abort == "stop" and aborted:
            api.pause = self.clock.sleep  # ours would break off at once
            run.stop()
            self._pause_again(context, api)
            return
        self.log.warning(
            "No partition begins any more. %d runs in flight go on: %s.",
            len(in_flight), ", ".join(in_flight[:20]) or "none",
        )  # fmt: skip
        self._warn_unpaused(context)

    def _warn_unpaused(self, context: Context) -> None:
        if self.remembered(context, UNPAUSED):
            self.log.warning(
                "DAG '%s' stays unpaused, so that its runs can end; pause it again when they have, "
                "unless this task is tried again.", self.dag_to_fill,
            )  # fmt: skip

    # ---- dry run

    def _would_do(self, listing: Listing, dag: TargetDag) -> dict[str, Any]:
        from planner_provider.decide.partitions import Way
        from planner_provider.operators.backfill_target import shown

        self.log.info("Dry run: nothing is changed. %s.", _counts(listing))
        if dag.is_paused:
            self.log.warning(
                "DAG '%s' is paused; `when_paused: %s` applies.", dag.dag_id, self.when_paused
            )
        rows = []
        for part in listing.partitions:
            date, end = shown(part.logical_date), shown(listing.ends[part.logical_date])
            self.log.info("%s (to %s): %s, because %s", date, end, part.choice.way, part.choice.why)
            rows.append({"logical_date": date, "end": end, "way": part.choice.way.value})
        ways = [part.choice.way for part in listing.partitions]
        return {
            "dry_run": True,
            "dag": dag.dag_id,
            "make": ways.count(Way.MAKE),
            "clear": ways.count(Way.CLEAR),
            "wait": ways.count(Way.WAIT),
            "left_out": ways.count(Way.SKIP),
            "partitions": rows[:LISTED],
        }


def truth(value: bool | str) -> bool:
    """What a template of `dry_run` rendered to, as true or false. Raises ``RefusedError``."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower()
    if word in TRUE | FALSE:
        return word in TRUE
    raise RefusedError(f"`dry_run` is '{value}', which is neither true nor false")


def _counts(listing: Listing) -> str:
    from planner_provider.decide.partitions import Way

    words = {
        Way.MAKE: "{} runs to make",
        Way.CLEAR: "{} runs to clear",
        Way.WAIT: "{} that somebody else runs now",
        Way.SKIP: "{} left out, whose runs ended",
    }
    ways = [part.choice.way for part in listing.partitions]
    found = [words[way].format(ways.count(way)) for way in Way if way in ways]
    return f"{len(ways)} partitions, " + ", ".join(found)
