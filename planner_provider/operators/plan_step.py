"""What makes an operator a step of a plan: authority first, then the journal around every act."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSkipException,
    DownstreamTasksSkipped,
    TaskAwaitingInput,
    TaskDeferred,
)

from planner_provider.errors import (
    AttentionError,
    NoAuthorityError,
    PlannerError,
    UnavailableError,
)
from planner_provider.hooks.parent_death import die_with_parent
from planner_provider.hooks.settings import PlannerSettings, load_settings, open_ledger
from planner_provider.operators.acting import Acting, Stopped
from planner_provider.operators.clock import SYSTEM_CLOCK, Clock
from planner_provider.operators.failures import record_closed, record_failure
from planner_provider.operators.held import AFTER_HOLD, wait_until_resumed
from planner_provider.operators.life_signs import LifeSigns, interrupt_task
from planner_provider.operators.plan_log import bind_plan, printed_lines_logged
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.run_parameters import parameters_sha
from planner_provider.operators.stopped import callbacks_of_step
from planner_provider.operators.tracing import task_span

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.plan_window import WindowRule
    from planner_provider.graph.slos import Slo
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.acts import Begin
    from planner_provider.ledger.rows import Act, ActResult, Claim
    from planner_provider.spec.actions import Budget
    from planner_provider.spec.cost import Cost

log = logging.getLogger(__name__)

END_TRIES = 6
"""How often the end of an act is tried to be written, a second and more apart."""


class PlanStepMixin:
    """Put this before an operator class, and the operator can be a step of a plan.

    Write ``act(context)`` instead of ``execute``; without one, the operator's own ``execute`` is
    what acts. With ``plan_ref=None``, in a DAG written by hand, it acts without authority or
    journal.

    Before it acts, one transaction of the ledger checks that the run is bound to the version that
    the task was compiled from, that the run holds its locks, that its time is not over, that its
    window is open, that the steps before are done and not undone; and writes the intent. A step
    that is already done in this run does nothing. While it acts, life signs are written;
    afterwards the end.

    Raises ``SupersededError``, ``NoAuthorityError`` and ``AttentionError`` before anything is
    touched.
    """

    failure_ends_run: bool = True
    """Whether the run is lost when this fails for good. ``False`` where failures are counted."""
    repeatable: bool = True
    """Whether acting again is harmless when it is not known how an earlier try ended."""
    again: bool = False
    """Whether to act also if it is done in this run: about a state that may have changed since."""
    clock: ClassVar[Clock] = SYSTEM_CLOCK
    plan_ref: PlanRef | None

    _acting: Acting | None = None

    def __init__(
        self,
        *,
        plan_ref: PlanRef | None = None,
        guard_slos: tuple[Slo, ...] = (),
        guard_budget: Budget | None = None,
        guard_cost: Cost | None = None,
        plan_window: WindowRule | None = None,
        **kwargs: Any,
    ) -> None:
        if plan_ref is not None and plan_ref.role is Role.STEP:
            given = kwargs.get("on_failure_callback")
            kwargs["on_failure_callback"] = callbacks_of_step(given)
        super().__init__(**kwargs)
        self.plan_ref = plan_ref
        self.guard_slos = guard_slos
        self.guard_budget = guard_budget
        self.guard_cost = guard_cost
        self.plan_window = plan_window

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Airflow wraps the ``__init__`` of operator classes only, so each gets one of its own."""
        super().__init_subclass__(**kwargs)
        if cls.__mro__[1] is PlanStepMixin and "__init__" not in vars(cls):

            def __init__(self: PlanStepMixin, **kwargs: Any) -> None:  # noqa: N807
                super(cls, self).__init__(**kwargs)

            cls.__init__ = __init__  # type: ignore[method-assign]

    def act(self, context: Context) -> Any:
        """Do the work. What it returns becomes the task's XCom."""
        return super().execute(context)  # type: ignore[misc]

    def execute(self, context: Context) -> Any:
        """Act, with authority and journal."""
        with task_span(self.plan_ref, context), self.acting(context) as acting:
            return self.act(context) if acting.needed else None

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on after a deferral, with authority and journal; after a hold, begin."""
        if next_method == AFTER_HOLD:
            return self.execute(context)
        with task_span(self.plan_ref, context), self.acting(context, resumes=True) as acting:
            if not acting.needed:
                return None
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]

    def held_up(self, context: Context) -> bool:
        """Whether a hold of the run keeps this from beginning.

        ``False`` for what belongs to something that has begun and must not stop half way.
        """
        return True

    def pre_execute(self, context: Context) -> None:
        """Put the plan ID into the log."""
        super().pre_execute(context)  # type: ignore[misc]
        if self.plan_ref is not None:
            bind_plan(self.plan_ref, context["ti"].run_id)

    def on_kill(self) -> None:
        """Tell the action to stop; called by Airflow when the task's state was set by hand."""
        acting = self._acting
        try:
            super().on_kill()  # type: ignore[misc]
        finally:
            if acting is not None:
                acting.tell_to_stop("the task was stopped from outside")
                if acting.in_body and threading.current_thread() is threading.main_thread():
                    acting.in_body = False
                    raise Stopped(acting.why)

    @property
    def stopping(self) -> bool:
        """Whether the action must end. Loops look at it at least once a second."""
        return self._acting is not None and self._acting.stop.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep, but raise ``Stopped`` at once when told to stop."""
        end = self.clock.monotonic() + seconds
        while True:
            if self.stopping and self._acting:
                raise Stopped(self._acting.why)
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.sleep(min(left, 0.5))

    def plan_id(self, context: Context) -> str | None:
        """The plan ID, for headers, SQL comments and labels; ``None`` outside of plans."""
        return self.plan_ref.plan_id(context["ti"].run_id) if self.plan_ref else None

    def fencing_token(self, context: Context) -> int | None:
        """A number that rises with every lease: whoever acts with a lower one comes too late.

        For headers and preconditions of systems that can refuse it. ``None`` outside of plans, in
        checks, and while nothing acts.
        """
        return self._acting.generation if self._acting is not None else None

    def remember_once(self, context: Context, name: str, make: Callable[[], Any]) -> Any:
        """Settle a value once for all tries of this step in this run; give it.

        ``make`` is called if there is none yet; what it gives must be something that JSON can
        hold. Of two processes that make one at the same time, both get the first. In a DAG
        written by hand it lasts as long as Airflow's state of the task.
        """
        if self.plan_ref is None:
            store = context.get("task_state_store")
            known = store.get(name) if store is not None else None
            if known is None:
                known = make()
                if store is not None:
                    store.set(name, known)
            return known
        known = self.remembered(context, name)
        if known is not None:
            return known
        ti = context["ti"]
        return open_ledger().remember_once(
            self.plan_ref.plan_id(ti.run_id), _memo_step(self.plan_ref, ti), name, make()
        )

    def remembered(self, context: Context, name: str, *, step: str | None = None) -> Any:
        """What was settled under this name, ``None`` if nothing was.

        ``step`` looks at another step of the journal, such as ``shift/deploy``.
        """
        if self.plan_ref is None:
            store = context.get("task_state_store")
            return store.get(name) if store is not None else None
        ti = context["ti"]
        own = step or _memo_step(self.plan_ref, ti)
        return open_ledger().remembered(self.plan_ref.plan_id(ti.run_id), own, name)

    @contextmanager
    def acting(self, context: Context, *, resumes: bool = False) -> Iterator[Acting]:
        """Authority and intent on entry, life signs inside, the end on exit."""
        if self.plan_ref is None:
            self._acting = Acting(needed=True)
            self._acting.in_body = True
            yield self._acting
            return
        settings = load_settings()
        ledger = open_ledger()
        claim = self._claim(self.plan_ref, context, resumes=resumes)
        acting = self._acting = Acting(needed=True)
        try:
            if (self.guard_slos or self.guard_cost) and not resumes:
                self._ask_guards(ledger, claim)
            begin = self._begin(ledger, claim, settings)
        except PlannerError as error:
            record_failure(ledger, self.plan_ref, claim, error, self.clock.now())
            record_closed(ledger, self.plan_ref, claim, error, self.clock.now())
            raise
        if begin.act is None or not _granted(begin):
            log.info("Nothing to do for %s: %s.", claim.step, begin.permit.value)
            acting.needed = False
            yield acting
            return
        acting.generation = begin.act.generation
        log.info("%s %s acts (act %d).", claim.role.value.capitalize(), claim.step, begin.act.id)
        with (
            printed_lines_logged(),
            self._journalled(ledger, begin.act, claim, settings, acting),
        ):
            yield acting

    @contextmanager
    def _journalled(
        self, ledger: Ledger, act: Act, claim: Claim, settings: PlannerSettings, acting: Acting
    ) -> Iterator[None]:
        from planner_provider.ledger.rows import ActResult

        def stop(why: str) -> None:
            log.warning("This task must stop: %s.", why)
            acting.tell_to_stop(why)
            if acting.in_body:
                interrupt_task()

        die_with_parent()
        signs = LifeSigns(ledger, act, every=settings.life_sign, clock=self.clock, stop=stop)
        try:
            with signs:
                try:
                    acting.in_body = True
                    yield
                finally:
                    acting.in_body = False
        except (TaskDeferred, TaskAwaitingInput, AirflowRescheduleException):
            self._park(ledger, act)
            raise
        except (AirflowSkipException, DownstreamTasksSkipped) as skip:
            log.info("The action skipped itself: %s. This counts as done.", skip)
            self._end(ledger, act, claim, ActResult.DONE, f"skipped: {skip}")
        except BaseException as error:
            known = isinstance(error, Exception) and not isinstance(error, AttentionError)
            result = ActResult.FAILED if known else ActResult.UNKNOWN
            detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            try:
                self._end(ledger, act, claim, result, detail)
            except NoAuthorityError as late:
                log.warning("%s", late)
            raise
        else:
            self._end(ledger, act, claim, ActResult.DONE, None)

    def _begin(self, ledger: Ledger, claim: Claim, settings: PlannerSettings) -> Begin:
        from planner_provider.ledger.acts import Permit
        from planner_provider.operators.quiet import wait_for_quiet

        while True:
            begin = ledger.begin_act(claim, now=self.clock.now())
            if begin.permit is Permit.HELD:
                wait_until_resumed(begin, self.clock.now())
            if begin.permit is not Permit.BUSY:
                return begin
            waited_for = {act.id for act in begin.open_acts}
            wait_for_quiet(
                ledger,
                begin.plan_id,
                lambda act, ids=waited_for: act.id in ids,  # type: ignore[misc]
                silence=settings.silence,
                actor=claim.actor,
                clock=Clock(self.clock.now, self.clock.monotonic, self.pause),
                tell=log.info,
            )

    def _ask_guards(self, ledger: Ledger, claim: Claim) -> None:
        """Ask, unless the step is done, or must wait: then there is nothing to forbid yet."""
        from planner_provider.ledger.acts import Permit
        from planner_provider.operators.guard import check_guards

        asked = ledger.ask_to_begin(claim, now=self.clock.now())
        if asked.permit is Permit.HELD:
            wait_until_resumed(asked, self.clock.now())
        if asked.permit is Permit.ALREADY_DONE:
            return
        check_guards(
            self.guard_slos,
            self.guard_budget,
            ledger=ledger,
            plan_id=asked.plan_id,
            step=claim.step,
            actor=claim.actor,
            now=self.clock.now,
            cost=self.guard_cost,
        )

    def _end(
        self, ledger: Ledger, act: Act, claim: Claim, result: ActResult, detail: str | None
    ) -> None:
        for attempt in range(1, END_TRIES + 1):
            try:
                written = ledger.end_act(
                    act, result, detail, actor=claim.actor, now=self.clock.now()
                )
            except UnavailableError as error:
                if attempt == END_TRIES:
                    raise
                log.warning("The end of this act could not be written yet: %s", error)
                self.clock.sleep(attempt)
                continue
            if not written:
                raise NoAuthorityError(
                    f"While {claim.step} acted, its act {act.id} was taken to be over because it "
                    "gave no sign of life; what it did since may collide with what others did. "
                    "Look at the run before you go on."
                )
            return

    def _park(self, ledger: Ledger, act: Act) -> None:
        ledger.park_act(act.id, now=self.clock.now())
        log.info("Deferred; the act goes on when the task resumes.")

    def _claim(self, ref: PlanRef, context: Context, *, resumes: bool) -> Claim:
        from planner_provider.ledger.rows import ActRole, Claim

        ti = context["ti"]
        roles = {Role.STEP: ActRole.STEP, Role.UNDO: ActRole.UNDO}
        return Claim(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            digest=ref.digest,
            role=roles.get(ref.role, ActRole.CHECK),
            step=ref.step or ti.task_id,
            after=ref.after,
            after_same=ref.after_same,
            try_number=ti.try_number,
            map_index=-1 if ti.map_index is None else ti.map_index,
            repeatable=self.repeatable,
            again=self.again,
            resumes=resumes,
            held_up=self.held_up(context),
            parameters_sha=parameters_sha(self, context),
            window=self.plan_window,
            override_users=load_settings().override_users if self.plan_window else (),
            actor=f"task:{ti.task_id}#{ti.try_number}",
        )


def _memo_step(ref: PlanRef, ti: Any) -> str:
    """The step of the journal, and the part of it if it is mapped."""
    step = ref.step or str(ti.task_id)
    return step if ti.map_index is None or ti.map_index < 0 else f"{step}[{ti.map_index}]"


def _granted(begin: Begin) -> bool:
    from planner_provider.ledger.acts import Permit

    return begin.permit is Permit.GRANTED
