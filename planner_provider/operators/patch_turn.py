"""The first and the last task of each target of a patch rollout."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from planner_provider.decide.waves import Turn, TurnKind
from planner_provider.errors import CheckFailedError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.rows import ItemState
from planner_provider.operators.guard import check_guards
from planner_provider.operators.patch_rollout import Settled, TargetTask
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.sensors.wait import GRACE

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.slos import Slo
    from planner_provider.spec.actions import Budget
    from planner_provider.spec.cost import Cost

SHORT_SECONDS = 6.0
"""So long a target waits on the worker; deferring costs more, and an early event may be lost."""
LOOK_SECONDS = 1.0


class BeginTargetOperator(TargetTask, BaseOperator):
    """Wait until it is the target's turn, ask the plan's guards, and write down that it has begun.

    It waits while with it more than ``max_unavailable`` targets of the fleet would be unavailable,
    without holding a worker. Where more than ``max_errors`` have failed it skips itself, and so
    does everything that would be done to the target. A target that the inventory does not have any
    more is skipped as well.

    Raises:
        CheckFailedError: no other target became available for as long as the plan's `patience`; or
            a guard forbids it.
        UnavailableError: whether the guards hold is not known.
        AbortedError, FailingRunError: the run was stopped.
    """

    again = True
    needs_turn = False
    ui_color = "#e0e7ff"

    _left_out: str | None = None
    """Why this target is not begun."""

    def __init__(
        self,
        *,
        guard_slos: tuple[Slo, ...] = (),
        guard_budget: Budget | None = None,
        guard_cost: Cost | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)  # asked when it is the turn, not before the wait for it
        self.turn_slos = guard_slos
        self.turn_budget = guard_budget
        self.turn_cost = guard_cost

    def held_up(self, context: Context) -> bool:
        """No target begins while the run is held."""
        return True

    def execute(self, context: Context) -> Any:
        """Begin the target, or skip this task and with it all that would be done to the target."""
        return self._or_skip(super().execute(context))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """As ``execute``, after a deferral."""
        return self._or_skip(super().resume_execution(next_method, next_kwargs, context))

    def _or_skip(self, told: Any) -> Any:
        """By the journal a skip is done; for Airflow it must be one, or what follows would come."""
        if self._left_out is not None:
            raise AirflowSkipException(self._left_out)
        return told

    def act(self, context: Context) -> dict[str, Any]:
        """Ask for the turn, here for a little while, then deferred."""
        try:
            return self._take_turn(context)
        except AirflowSkipException as skip:
            self._left_out = str(skip)
            raise

    def _take_turn(self, context: Context) -> dict[str, Any]:
        self.show_target(context)
        self._ask_turn_guards(context)
        end = self.clock.monotonic() + SHORT_SECONDS
        while True:
            turn = self._ask(context)
            if turn.kind is TurnKind.BEGIN:
                self.log.info("%s begins: %s.", self.item(context).item, turn.why)
                self._remember_boot(context)
                return {"target": self.item(context).item, "unavailable": list(turn.unavailable)}
            if turn.kind is TurnKind.STOP:
                raise AirflowSkipException(f"{self.item(context).item} is not begun: {turn.why}")
            if self.clock.monotonic() >= end:
                self._defer(context, turn)
            self.pause(LOOK_SECONDS)

    def asked(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the deferral: it looks like the target's turn, or the patience is over."""
        if stop_told(event):
            raise stopped_error(self.plan_id(context), event, "this target is not begun")
        if event.get("patience_over"):
            raise CheckFailedError(
                f"{self.item(context).item} waited for its turn, and nothing changed for the "
                f"patience of the plan: {event['why']}. Nothing was done to it. Look at these "
                "targets, make them available, and clear this task."
            )
        return self.act(context)

    def _ask_turn_guards(self, context: Context) -> None:
        """Ask before the target begins; one that has begun is not held up half way."""
        item = self.item(context, anew=True)
        if not self.turn_slos and self.turn_cost is None:
            return
        if item.state in (ItemState.ACTING, ItemState.DONE):
            return
        check_guards(
            self.turn_slos,
            self.turn_budget,
            ledger=open_ledger(),
            plan_id=item.plan_id,
            step=self.plan_ref.step if self.plan_ref else None,
            actor=self.actor(context),
            now=self.clock.now,
            cost=self.turn_cost,
        )

    def _ask(self, context: Context) -> Turn:
        plan_id, item = self.own_plan_id(context), self.item(context)
        ledger = open_ledger()
        elsewhere: set[str] = set()
        if item.state not in (ItemState.ACTING, ItemState.DONE):
            elsewhere = self._elsewhere(context)
        return ledger.begin_target(
            plan_id,
            self.rollout.step,
            item.item,
            self.rollout.limits(len(self.rollout.items(plan_id))),
            elsewhere=elsewhere,
            actor=self.actor(context),
            now=self.clock.now(),
        )

    def _remember_boot(self, context: Context) -> None:
        """What a reboot is told by, before anything is done to the node."""
        from planner_provider.operators.patch_node import BOOT_ID, node_for

        item = self.item(context, anew=True)
        if not self.rollout.fleet.is_nodes or item.facts.get(BOOT_ID):
            return
        boot_id = node_for(self, context).read().boot_id
        if not boot_id:
            return  # who waits for a reboot will say that it is not known
        open_ledger().move_item(
            item.plan_id, item.step, item.item, item.state,
            facts={BOOT_ID: boot_id}, now=self.clock.now(),
        )  # fmt: skip

    def _elsewhere(self, context: Context) -> set[str]:
        """The targets that are unavailable now; skip this one if it is not there any more."""
        from planner_provider.hooks.fleet import look_at_fleet

        item = self.item(context)
        seen = look_at_fleet(self.rollout.fleet)
        if item.item in seen.names:
            return set(seen.unavailable)
        why = f"fleet {self.rollout.fleet.name} does not have it any more"
        open_ledger().move_item(
            item.plan_id, item.step, item.item, ItemState.GONE, detail=why, now=self.clock.now()
        )
        raise AirflowSkipException(f"{item.item} is left out: {why}")

    def _defer(self, context: Context, turn: Turn) -> None:
        from planner_provider.triggers.patch import TurnTrigger

        item = self.item(context)
        self.log.info("%s waits without holding a worker: %s.", item.item, turn.why)
        limits = self.rollout.limits(len(self.rollout.items(item.plan_id)))
        self.defer(
            trigger=TurnTrigger(
                plan_id=item.plan_id,
                step=item.step,
                target=item.item,
                max_unavailable=limits.max_unavailable,
                max_errors=limits.max_errors,
                elsewhere=list(turn.unavailable),
                patience=self.rollout.patience.total_seconds(),
            ),
            method_name="asked",
            timeout=timedelta(days=30) + GRACE,
        )


class EndTargetOperator(TargetTask, BaseOperator):
    """Write down how a target ended, and give its place to the next one.

    It ended well if everything that is to be done to it is done, by the journal. It is green also
    for a target that failed: the task that failed is red, and `gate` judges how many have. The
    XCom is ``{target, state, detail}``.
    """

    again = True
    needs_turn = False
    ui_color = "#e0e7ff"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def act(self, context: Context) -> dict[str, Any]:
        """Settle the target, if it has begun."""
        self.show_target(context)
        item = self.item(context, anew=True)
        if item.state is not ItemState.ACTING:
            self.log.info("%s is %s; nothing to settle.", item.item, item.state.value)
            return {"target": item.item, "state": item.state.value, "detail": item.detail}
        trouble = self._trouble(context)
        settled = self.settle(context, trouble)
        open_ledger().end_target(
            item.plan_id,
            item.step,
            item.item,
            ItemState.DONE if settled.trouble is None else ItemState.FAILED,
            detail=settled.trouble,
            available=settled.available,
            actor=self.actor(context),
            now=self.clock.now(),
        )
        if settled.trouble is None:
            self.log.info("%s is done.", item.item)
            return {"target": item.item, "state": "done", "detail": None}
        self.log.error("%s failed: %s", item.item, settled.trouble)
        return {"target": item.item, "state": "failed", "detail": settled.trouble}

    def settle(self, context: Context, trouble: str | None) -> Settled:
        """Leave the target as it should be left."""
        if self.rollout.fleet.is_nodes:
            from planner_provider.operators.patch_node import settle_node

            return settle_node(self, context, trouble)
        return Settled(trouble, available=trouble is None)

    def _trouble(self, context: Context) -> str | None:
        """The first thing that was not done to the target, and why."""
        index = context["ti"].map_index
        journal = Journal(open_ledger().acts_of(self.own_plan_id(context)))
        for entry in self.rollout.entries:
            state = journal.of(self.rollout.entry_name(entry), -1 if index is None else index)
            if state.status is StepStatus.DONE:
                continue
            why = state.last.detail if state.last and state.last.detail else state.status.value
            return f"{entry}: {why}"
        return None
