"""Action ``canary``: a new version gets a growing share of the traffic while it is judged.

One task starts the new version without traffic, one task a weight gives it that share and watches
it, and one makes it the version that serves everybody. Each can be used by hand in any DAG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.bake import BakeEnd, barring_reasons
from planner_provider.decide.model import Decision, Verdict, VerdictKind
from planner_provider.errors import PlannerError, RollBackError, SpecError
from planner_provider.operators.blue_green import BlueGreenOperator
from planner_provider.operators.delivery import remember_before, told
from planner_provider.operators.guard import log_look, record_of_step
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.release_task import ReleaseTask
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.sensors.wait import GRACE, SHORT
from planner_provider.spec.delivery import Analysis, BlueGreen, Canary
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.decide.canary import LearnedNoise
    from planner_provider.graph.model import Contact, Part
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.arm_counts import Watched
    from planner_provider.hooks.canary_watch import CanaryLook, CanaryWatch
    from planner_provider.hooks.slo_facts import Look

NOISE = "noise"
"""Name under which the first weight remembers what the baseline's past says of the noise."""
BEGAN = "began"
"""Name under which a weight remembers since when it is in force."""
TAKEN_BACK = "taken_back"
"""Name under which a weight of a plan remembers why the canary got no more traffic."""
PART = "/"


class CanaryDeployOperator(ReleaseTask):
    """Start a new version beside the old one, without traffic.

    What was there before is remembered first, so that `RollbackOperator` can put it back. The XCom
    is ``{outcome, text}``; if there is no plan, what was before is in another one, ``before``.

    Args:
        target: what is changed: ``{"kubernetes": {...}}`` or ``{"http": {...}}`` (templated).
        change: ``image``, ``version``, ``env``, ``patch`` (templated).
        traffic: how the share of traffic is set: ``{"http_route": ...}``, ``{"replicas": ...}``,
            ``{"argo_rollout": ...}`` or ``{"http": ...}``.
        progress_deadline: longest wait for the new version to be ready.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError: it was not ready in time; the message names pod, condition, event.
        RefusedError: the other side, or somebody else's canary, says no.
        UnavailableError: the other side does not answer.
        MisconfiguredError: the Connection is missing, or its credentials are not good.
    """

    def act(self, context: Context) -> dict[str, Any]:
        """Remember, start, wait until it is ready."""
        release = self.release(context)
        remember_before(self, context, release.memo)
        done = release.deploy_canary()
        self.log.info("%s", done.text)
        return told(done)


class CanaryPromoteOperator(ReleaseTask):
    """Make the new version the one that serves everybody, and take the canary away.

    Arguments and errors are those of `CanaryDeployOperator`. The XCom is ``{outcome, text}``.
    """

    def act(self, context: Context) -> dict[str, Any]:
        """Promote."""
        done = self.release(context).promote()
        self.log.info("%s", done.text)
        return told(done)


class CanaryStepOperator(ReleaseTask):
    """Give the canary a share of the traffic and watch it for a time.

    At every look the SLOs are asked, and a sequential test compares canary and baseline over all
    that was seen since the canary got its first traffic (see `planner_provider.decide.canary`). A
    breach, or a canary that is worse, gives all traffic back to the old version at once and fails
    the task for good; so does a watch that is still inconclusive when patience ends. Before the
    last weight ends, the canary must have been shown to be good; before, it is enough that nothing
    is missing and nothing is suspect. The XCom is ``{"verdict", "looks", "decisions"}``.

    Args:
        target, change, traffic, progress_deadline: as for `CanaryDeployOperator`.
        weight: share of the traffic, in percent.
        bake: how long it is watched; a number is in seconds.
        analysis: ``slos``, ``compare``, ``metrics``, ``arms``, ``every``, ``patience``,
            ``max_ratio`` (``arms`` and ``metrics`` templated).
        slos: the SLOs that the analysis names.
        horizon: how long all weights together are planned to last; left out: ``bake``.
        last: whether the canary is promoted after this weight.
        first: name in the journal of the first weight, whose begin the comparison counts from.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        RollBackError: an SLO is breached, the canary is worse, or too little is known.
        AbortedError: a person stopped the run.
        FailingRunError: another step of the run failed for good.
        SpecError: the analysis names what cannot be compared.
        CheckFailedError, RefusedError, UnavailableError, MisconfiguredError: as
            `CanaryDeployOperator`, from setting the weight.
    """

    template_fields: Sequence[str] = ("target", "change", "arms", "metrics")
    template_fields_renderers = {  # noqa: RUF012
        "target": "json", "change": "json", "arms": "json", "metrics": "json",
    }  # fmt: skip

    def __init__(
        self,
        *,
        weight: int,
        bake: timedelta | float,
        analysis: Analysis | Mapping[str, Any],
        slos: Sequence[Slo] = (),
        horizon: timedelta | float | None = None,
        last: bool = True,
        first: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = analysis if isinstance(analysis, Analysis) else Analysis.model_validate(analysis)
        self.weight = weight
        self.bake = _duration(bake)
        self.analysis = given
        self.arms = given.arms.model_dump(mode="json")
        self.metrics = [metric.model_dump(mode="json") for metric in given.metrics]
        self.slos = tuple(slos)
        self.horizon = self.bake if horizon is None else _duration(horizon)
        self.last = last
        self.first = first

    def held_up(self, context: Context) -> bool:
        """A weight that is in force is watched on: to hold the run raises no traffic, and hides
        nothing."""
        return self.remembered(context, BEGAN) is None

    def act(self, context: Context) -> dict[str, Any]:
        """Set the weight, and watch: here if it is short, else deferred.

        A canary that was taken back in this run of a plan gets no traffic again, whatever makes
        Airflow try the task once more.
        """
        taken_back = self.remembered(context, TAKEN_BACK) if self.plan_ref else None
        if taken_back is not None:
            self._back_to_stable(context)
            raise RollBackError(f"{taken_back}. That holds for this run; start a new one")
        done = self.release(context).set_weight(self.weight)
        self.log.info("%s", done.text)
        began = self.remember_once(context, BEGAN, lambda: self.clock.now().isoformat())
        watch = self.watch(context, datetime.fromisoformat(began))
        if watch.patience_until - self.clock.now() >= SHORT:
            self._defer(watch, context)
        return self._watch_here(watch, context)

    def looked(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the deferral: it is certain how the watch ends."""
        from planner_provider.hooks.slo_facts import Look

        if stop_told(event):
            raise stopped_error(self.plan_id(context), event, "the canary goes back")
        decisions = [Decision.model_validate(item) for item in event["decisions"]]
        looks = tuple(Look(decision.outcome, decision) for decision in decisions)
        return self._conclude(BakeEnd(event["end"]), looks, int(event["looks"]), context)

    def watch(self, context: Context, began: datetime) -> CanaryWatch:
        """What is watched, and until when. Raises ``SpecError`` for what cannot be compared."""
        from planner_provider.decide.canary import JudgeSettings
        from planner_provider.hooks.arm_counts import Watched
        from planner_provider.hooks.canary_watch import CanaryWatch

        patience = self.bake if self.analysis.patience is None else self.analysis.patience
        first = self.remembered(context, BEGAN, step=self.first) if self.first else None
        watched = Watched(
            comparisons=self._comparisons(),
            canary=self.arms["canary"],
            baseline=self.arms["baseline"],
            began_at=datetime.fromisoformat(first) if first else began,
            every=self.analysis.every,
        )
        noise = self._noise(watched, context)
        return CanaryWatch(
            weight=self.weight,
            slos=tuple(slo for slo in self.slos if slo.name in self.analysis.slos),
            watched=watched.model_copy(update={"noise": noise}),
            horizon=max(1, int(self.horizon / self.analysis.every)),
            settings=JudgeSettings(max_ratio=float(self.analysis.max_ratio)),
            until=began + self.bake,
            patience_until=began + self.bake + patience,
            last=self.last,
        )

    def _noise(self, watched: Watched, context: Context) -> dict[str, LearnedNoise]:
        """What the baseline did before the canary; settled by the first weight for all."""
        from planner_provider.decide.canary import LearnedNoise
        from planner_provider.hooks.arm_counts import learn_past

        if not watched.comparisons:
            return {}

        def learn() -> dict[str, Any]:
            return {name: one.model_dump(mode="json") for name, one in learn_past(watched).items()}

        kept = self.remembered(context, NOISE, step=self.first) if self.first else None
        if kept is None:
            kept = self.remember_once(context, NOISE, learn)
        return {name: LearnedNoise.model_validate(one) for name, one in kept.items()}

    def _comparisons(self) -> tuple[Any, ...]:
        from planner_provider.hooks.arm_counts import comparison_of_metric, comparison_of_slo
        from planner_provider.spec.delivery import Metric

        known = {slo.name: slo for slo in self.slos}
        missing = {*self.analysis.slos, *self.analysis.compare} - known.keys()
        if missing:
            raise SpecError(f"The analysis names SLO {', '.join(sorted(missing))}, not given here.")
        found: list[Any] = []
        for name in self.analysis.compare:
            comparison = comparison_of_slo(known[name])
            if isinstance(comparison, str):
                raise SpecError(f"{comparison}; take it out of `compare`.")
            found.append(comparison)
        return (*found, *(comparison_of_metric(Metric.model_validate(m)) for m in self.metrics))

    def _watch_here(self, watch: CanaryWatch, context: Context) -> dict[str, Any]:
        from planner_provider.hooks.canary_watch import look_at_canary

        number = 0
        while True:
            number += 1
            look: CanaryLook = look_at_canary(watch, number, clock=self.clock.now)
            if look.end is not None:
                return self._conclude(look.end, look.looks, number, context)
            left = (watch.patience_until - self.clock.now()).total_seconds()
            self.pause(max(0.05, min(self.analysis.every.total_seconds(), left)))

    def _defer(self, watch: CanaryWatch, context: Context) -> None:
        from planner_provider.triggers.canary import CanaryTrigger

        self.log.info(
            "Watching %d%% of the traffic until %s, looking every %s, without holding a worker.",
            self.weight, f"{watch.until:%H:%M:%S} UTC", format_duration(self.analysis.every),
        )  # fmt: skip
        self.defer(
            trigger=CanaryTrigger(
                watch=watch.model_dump_json(exclude_defaults=True),
                every=self.analysis.every.total_seconds(),
                plan_id=self.plan_id(context),
            ),
            method_name="looked",
            timeout=watch.patience_until - self.clock.now() + GRACE,
        )

    def _conclude(
        self, end: BakeEnd, looks: tuple[Look, ...], number: int, context: Context
    ) -> dict[str, Any]:
        ids = []
        for look in looks:
            log_look(look)
            ids.append(record_of_step(self, look, context))
        verdicts = [look.verdict for look in looks]
        text = " ".join(verdict.text for verdict in verdicts)
        if end is BakeEnd.PASSED:
            self.log.info("%d%% of the traffic passed after %d looks.", self.weight, number)
            return {"verdict": text, "looks": number, "decisions": ids}
        why = self._against(end, [verdict for verdict in verdicts if not verdict.passes])
        if self.plan_ref is not None:
            why = self.remember_once(context, TAKEN_BACK, lambda: why)
        self._back_to_stable(context)
        raise RollBackError(why)

    def _against(self, end: BakeEnd, against: Sequence[Verdict]) -> str:
        if end is BakeEnd.UNSURE:
            return (
                f"Too little is known of the canary at {self.weight}% to go on, and patience is "
                f"over; not known is not good. {told_of(against)}"
            )
        bad = [verdict for verdict in against if verdict.kind is not VerdictKind.HOLD]
        return f"The canary is taken back at {self.weight}% of the traffic. {told_of(bad)}"

    def _back_to_stable(self, context: Context) -> None:
        """All traffic back to the old version, at once; undoing the rest comes later."""
        try:
            self.log.info("%s", self.release(context).set_weight(0).text)
        except PlannerError as error:
            self.log.error("The traffic could not be taken back yet; the rollback will: %s", error)


def told_of(verdicts: Sequence[Verdict]) -> str:
    """The reasons of verdicts, without a stop at the end: messages get theirs."""
    texts = [reason.text for verdict in verdicts for reason in barring_reasons(verdict)]
    return " ".join(texts).removesuffix(".")


class CanaryPart:
    """The task for one part of a ``canary`` step of a spec."""

    @classmethod
    def from_action(
        cls,
        action: Canary,
        *,
        part: Part,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> ReleaseTask:
        """The operator for a part, as ``graph.parts`` lists them."""
        base: dict[str, Any] = {
            "target": action.target,
            "change": action.change,
            "traffic": action.traffic,
            "plan_ref": plan_ref,
            **base_kwargs,
        }
        if part.weight is None or part.bake is None:
            kind = CanaryDeployOperator if part.id == "deploy" else CanaryPromoteOperator
            return kind(**base)
        step = plan_ref.step.partition(PART)[0] if plan_ref and plan_ref.step else ""
        names = {*action.analysis.slos, *action.analysis.compare}
        return CanaryStepOperator(
            weight=part.weight,
            bake=part.bake,
            analysis=action.analysis,
            slos=tuple(slo for slo in slos if slo.name in names),
            horizon=sum((item.bake for item in action.steps), timedelta()),
            last=part.weight == action.steps[-1].weight,
            first=f"{step}{PART}w{action.steps[0].weight}" if step else None,
            **base,
        )


class BlueGreenPart:
    """The task for one part of a ``blue_green`` step of a spec."""

    @classmethod
    def from_action(
        cls,
        action: BlueGreen,
        *,
        part: Part,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> BaseOperator:
        """The operator for a part; a switch that is judged is a canary of the whole traffic."""
        if action.analysis is None or part.weight is None:
            plain = action.model_copy(update={"analysis": None})
            return BlueGreenOperator.from_action(
                plain, part=part, plan_ref=plan_ref, contacts=contacts, **base_kwargs
            )
        return CanaryStepOperator(
            target=action.target,
            change=action.change,
            traffic=action.traffic,
            weight=part.weight,
            bake=action.bake,
            analysis=action.analysis,
            slos=tuple(slo for slo in slos if slo.name in action.analysis.slos),
            plan_ref=plan_ref,
            **base_kwargs,
        )


def _duration(value: timedelta | float) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)
