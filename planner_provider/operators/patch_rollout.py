"""What the tasks of a patch rollout know of it: its fleet, its limits, its targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from planner_provider.decide.spread import Amount, errors_borne, most_unavailable
from planner_provider.errors import NoAuthorityError, SpecError
from planner_provider.graph.patch_parts import WAVE
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.journal import PART
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.ledger.targets import Limits
from planner_provider.operators.plan_step import PlanStepMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.fleets import ResolvedFleet
    from planner_provider.spec.workloads import Patch

LABELS = "labels"
"""Fact of a target: its labels in the inventory."""
UNDONE = "undone"
"""Fact of a target: how many of the entries of `undo` are done."""
NAME_IN_GRID = "{{ (target | default({'name': ''})).name }}"
"""How Airflow shows the tasks of a target."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A patch step, as one of its tasks sees it."""

    step: str
    fleet: ResolvedFleet
    waves: tuple[Amount, ...]
    max_unavailable: Amount
    max_errors: Amount
    patience: timedelta
    entries: tuple[str, ...] = ()
    """Ids of what is done to each target between its begin and its end."""
    wave: int | None = None
    """Number of the wave that the task belongs to."""

    @classmethod
    def of(
        cls,
        action: Patch,
        step: str,
        fleets: tuple[ResolvedFleet, ...],
        wave: int | None = None,
    ) -> Self:
        """The rollout of an action. Raises ``SpecError`` if its fleet is not among ``fleets``.

        ``step`` is the id of the step, or the name of one of its parts in the journal.
        """
        from planner_provider.graph.patch_parts import target_parts

        fleet = next((fleet for fleet in fleets if fleet.name == action.fleet), None)
        if fleet is None:
            raise SpecError(f"there is no Fleet '{action.fleet}'")
        own, *rest = step.split(PART)
        if wave is None and rest and rest[0].startswith(WAVE):
            wave = int(rest[0].removeprefix(WAVE))
        return cls(
            step=own,
            fleet=fleet,
            waves=action.waves,
            max_unavailable=action.max_unavailable,
            max_errors=action.max_errors,
            patience=action.patience,
            entries=tuple(part.id for part in target_parts(action)[1:-1]),
            wave=wave,
        )

    def limits(self, total: int) -> Limits:
        """The limits in numbers, for a fleet of ``total`` targets."""
        return Limits(
            most_unavailable(self.max_unavailable, total), errors_borne(self.max_errors, total)
        )

    def names(self, plan_id: str, wave: int) -> list[str]:
        """The targets of a wave in the order of their map indexes, which never changes."""
        return [item.item for item in self.items(plan_id) if item.wave == wave]

    def items(self, plan_id: str) -> tuple[WorkItem, ...]:
        """All targets, in their order."""
        return open_ledger().items_of(plan_id, self.step)

    def entry_name(self, entry: str) -> str:
        """Name in the journal of what is done to the targets of the task's wave."""
        return PART.join((self.step, f"{WAVE}{self.wave}", entry))


@dataclass(frozen=True, slots=True)
class TargetView:
    """What templates see as ``target``."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    wave: int = 0
    """Number of its wave, from 1."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a target was left."""

    trouble: str | None
    """Why it failed; ``None`` if it is done."""
    available: bool
    """Whether it is known to do its work again."""


class TargetTask(PlanStepMixin):
    """A task of one target, in the mapped group of its wave.

    Which target that is stands in the ledger, by wave and map index. It acts only while its target
    has begun and not ended. Put it before an operator class.

    Templates know ``target.name``, ``target.labels`` and ``target.wave``.
    """

    failure_ends_run = False
    rollout: Rollout
    needs_turn: bool = True
    """Whether the target must have begun."""

    _item: WorkItem | None = None
    _given: bool = False

    def __init__(self, *, rollout: Rollout, **kwargs: Any) -> None:
        kwargs.setdefault("map_index_template", NAME_IN_GRID)
        super().__init__(**kwargs)
        self.rollout = rollout

    def held_up(self, context: Context) -> bool:
        """A target that has begun is not held half way, with its node cordoned."""
        return False

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render, with ``target`` known."""
        self.show_target(context)
        super().render_template_fields(context, jinja_env)  # type: ignore[misc]

    def act(self, context: Context) -> Any:
        """Act, unless the target has not begun, or has ended."""
        from airflow.sdk.exceptions import AirflowSkipException

        self.show_target(context)
        if self.needs_turn:
            self.require_turn(context)
        try:
            return super().act(context)
        except AirflowSkipException as skip:  # for the target it is done, and what follows comes
            self.log.info("The action skipped itself: %s. This counts as done.", skip)  # type: ignore[attr-defined]
            return None

    def require_turn(self, context: Context) -> None:
        """Raise ``NoAuthorityError`` unless the target has begun and not ended."""
        item = self.item(context, anew=True)
        if item.state is not ItemState.ACTING:
            raise NoAuthorityError(
                f"Target {item.item} is {item.state.value}, so nothing may be done to it. Nothing "
                "was touched. Clear the task `begin` of this target with everything downstream."
            )

    def item(self, context: Context, *, anew: bool = False) -> WorkItem:
        """The target of this task, as the ledger has it."""
        if self._item is None or (anew and not self._given):
            index = context["ti"].map_index
            of_wave = [
                item
                for item in self.rollout.items(self.own_plan_id(context))
                if item.wave == self.rollout.wave
            ]
            if index is None or not 0 <= index < len(of_wave):
                raise NoAuthorityError(
                    f"Wave {self.rollout.wave} of {self.rollout.step} has {len(of_wave)} targets "
                    f"by the ledger, and none with map index {index}. Nothing was touched."
                )
            self._item = of_wave[index]
        return self._item

    def be_about(self, item: WorkItem) -> None:
        """Be about this target, outside of its mapped group: it is undone."""
        self._item = item
        self._given = True
        self.needs_turn = False

    def show_target(self, context: Context) -> None:
        """Let templates know the target."""
        item = self.item(context)
        known: Any = context
        known["target"] = TargetView(item.item, item.facts.get(LABELS, {}), item.wave or 0)

    def own_plan_id(self, context: Context) -> str:
        """The plan ID. Rollouts are parts of plans, so there is one."""
        plan_id = self.plan_id(context)
        assert plan_id is not None, "a rollout is a step of a plan"
        return plan_id

    def actor(self, context: Context) -> str:
        """Who acts, as the audit trail names it."""
        ti = context["ti"]
        return f"task:{ti.task_id}#{ti.try_number}[{ti.map_index}]"
