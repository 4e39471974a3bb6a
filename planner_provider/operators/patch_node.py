"""What is done to Kubernetes nodes that are patched: cordon, drain, wait for them, uncordon."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.patch_rollout import Settled, TargetTask
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.hooks.nodes import Node, NodeState
    from planner_provider.spec.workloads import TargetAction

BOOT_ID = "boot_id"
"""Fact of a target, and memo of what restarts it: its boot ID before."""
LOOK_SECONDS = 2.0
SETTLE_PATIENCE = timedelta(seconds=60)
"""How long a node that is done may take to be Ready before it is let go."""


class NodeTask(TargetTask, BaseOperator):
    """A task about one Kubernetes node."""

    ui_color = "#e0e7ff"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def act(self, context: Context) -> Any:
        """Work on the node, if it is its turn."""
        self.show_target(context)
        self.require_turn(context)
        return self.work(node_for(self, context), context)

    def work(self, node: Node, context: Context) -> Any:
        """What the task is for."""
        raise NotImplementedError


class CordonOperator(NodeTask):
    """Let the node take no new work, remembering that the cordon is ours."""

    def work(self, node: Node, context: Context) -> str:
        """Cordon."""
        return cordon(self, node, context)


class UncordonOperator(NodeTask):
    """Let the node take work again, if it was us who cordoned it."""

    def work(self, node: Node, context: Context) -> str:
        """Uncordon."""
        told = node.uncordon()
        self.log.info("%s.", told)
        return told


class DrainOperator(NodeTask):
    """Cordon the node, and evict its pods in bounded time.

    When the time is over, our cordon is taken away before it fails.

    Raises:
        RefusedError: it could not be drained in time, and the message names pods and budgets; or a
            pod must not be evicted by the rules of the spec.
    """

    def __init__(self, *, rules: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rules = rules

    @classmethod
    def from_entry(cls, entry: TargetAction, **base: Any) -> Self:
        """The operator for a ``drain``."""
        from planner_provider.hooks.drains import DrainRules
        from planner_provider.spec.workloads import Drain

        drain = entry.action
        assert isinstance(drain, Drain)
        rules = DrainRules(
            timeout=drain.timeout.total_seconds(),
            force=drain.force,
            delete_local_data=drain.local_data == "delete",
        )
        return cls(rules=rules, **base)

    def work(self, node: Node, context: Context) -> dict[str, Any]:
        """Drain."""
        from planner_provider.hooks.drains import Drain

        drain = Drain(
            node.api,
            node.name,
            self.rules,
            pause=self.pause,
            monotonic=self.clock.monotonic,
            tell=self.log.info,
        )
        drain.check()  # before anything is touched
        cordon(self, node, context)
        try:
            done = drain.run()
        except RefusedError:
            self.log.info("%s.", node.uncordon())
            raise
        self.log.info("%s is drained: %d pods evicted.", node.name, len(done.evicted))
        return {"evicted": done.evicted, "left": list(done.left), "blocked": done.blocked}


class BackOperator(NodeTask):
    """Wait until the node was restarted and is back: another boot ID, and Ready.

    Args:
        timeout: longest wait.
        trigger: name in the journal of the task that restarts it and knows its boot ID before;
            ``None``: what it was when the target was begun counts.

    Raises:
        RefusedError: it was not back in time.
    """

    def __init__(self, *, timeout: timedelta, trigger: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.timeout = timeout
        self.trigger = trigger

    def work(self, node: Node, context: Context) -> dict[str, str]:
        """Wait. A node that is down, or an API that does not answer, is waited for as well."""
        index = context["ti"].map_index
        before = None
        if self.trigger is not None:
            before = self.remembered(context, BOOT_ID, step=f"{self.trigger}[{index}]")
        before = before or self.item(context).facts.get(BOOT_ID)
        if not before:
            raise RefusedError(
                f"The boot ID that {node.name} had before is not known, so it cannot be told "
                "whether it was restarted. Look at it."
            )
        end = self.clock.monotonic() + self.timeout.total_seconds()
        told = ""
        while True:
            why = ""
            try:
                state = node.find()
            except UnavailableError as error:
                why = str(error)
            else:
                why = _not_back(state, before)
                if not why and state is not None:
                    self.log.info("%s is back, with boot ID %s.", node.name, state.boot_id)
                    return {"before": str(before), "boot_id": state.boot_id}
            if why != told:
                told = why
                self.log.info("%s: %s.", node.name, why)
            if self.clock.monotonic() >= end:
                raise RefusedError(
                    f"{node.name} was not back {format_duration(self.timeout)} after its reboot: "
                    f"{why}. Look at its console."
                )
            self.pause(min(LOOK_SECONDS, max(0.05, end - self.clock.monotonic())))


def _not_back(state: NodeState | None, before: str) -> str:
    if state is None:
        return "it is not in the cluster"
    if not state.ready:
        return f"it is not ready ({state.problem or 'no reason is given'})"
    if not state.boot_id:
        return "it does not tell its boot ID"
    if state.boot_id == before:
        return f"its boot ID is still {before}, so it was not restarted"
    return ""


def node_for(task: TargetTask, context: Context) -> Node:
    """The node that a task is about. Raises ``RefusedError`` for targets that are no nodes."""
    from planner_provider.hooks.nodes import node_of

    selector = task.rollout.fleet.kubernetes_nodes
    item = task.item(context)
    if selector is None:
        raise RefusedError(
            f"{item.item} of fleet {task.rollout.fleet.name} is no Kubernetes node: it can neither "
            "be cordoned nor drained. Nothing was touched."
        )
    return node_of(selector, item.item, item.plan_id)


def boot_id_of(node: Node) -> str:
    """The boot ID of a node now. Raises ``UnavailableError`` if it tells none."""
    boot_id = node.read().boot_id
    if not boot_id:
        raise UnavailableError(f"{node.name} does not tell its boot ID now")
    return boot_id


def cordon(task: TargetTask, node: Node, context: Context) -> str:
    """Cordon a node, and write down that it is about to be cordoned by us."""
    item = task.item(context)
    if not item.facts.get("cordoned"):
        open_ledger().move_item(
            item.plan_id, item.step, item.item, item.state,
            facts={"cordoned": True}, now=task.clock.now(),
        )  # fmt: skip
    told = node.cordon()
    task.log.info("%s.", told)  # type: ignore[attr-defined]
    return told


def settle_node(task: TargetTask, context: Context, trouble: str | None) -> Settled:
    """Let a node go: no cordon of ours stays, and whether it is available is looked at.

    One that is done must be Ready before. One that failed is uncordoned too: a node that is not
    ready gets no work anyway, and a cordon that nobody remembers is worse. It is available only if
    it is Ready and nobody else cordoned it.
    """
    node = node_for(task, context)
    state = node.find()
    if state is None:
        return Settled(trouble or "it is not in the cluster any more", available=True)
    if trouble is None:
        state, trouble = _ready(task, node, state)
    told = node.uncordon()
    task.log.info("%s.", told)  # type: ignore[attr-defined]
    after = node.find()
    available = after is None or (after.ready and not after.cordoned)
    if trouble is None and after is not None and after.cordoned:
        available = True  # done; whose cordon it is has to take it away
    return Settled(trouble, available=available)


def _ready(task: TargetTask, node: Node, state: NodeState) -> tuple[NodeState, str | None]:
    end = task.clock.monotonic() + SETTLE_PATIENCE.total_seconds()
    found: NodeState | None = state
    while found is not None and not found.ready:
        if task.clock.monotonic() >= end:
            return found, f"end: it is not ready ({found.problem or 'no reason is given'})"
        task.pause(LOOK_SECONDS)
        found = node.find()
    return found or state, None
