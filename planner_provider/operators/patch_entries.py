"""The plain actions as they are done to a target: a pod on it, a command, a check, a reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.errors import CheckFailedError
from planner_provider.operators.actions import ACTIONS, operator_class
from planner_provider.operators.patch_node import (
    BOOT_ID,
    BackOperator,
    CordonOperator,
    DrainOperator,
    UncordonOperator,
    boot_id_of,
    node_for,
)
from planner_provider.operators.patch_rollout import TargetTask
from planner_provider.spec.workloads import Reboot, TargetPod, TargetVerify

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

    from planner_provider.graph.slos import Slo
    from planner_provider.spec.base import Model
    from planner_provider.spec.workloads import TargetAction

TARGET = "PLANNER_TARGET"
"""Environment variable of commands and pods: the name of the target."""
NODE = "NODE"
"""The same, in the word that people use."""
HOST = "/host"
"""Where a pod with ``host: true`` finds the root of its node."""


class PodTask(TargetTask):
    """A pod that runs on the target's node, cordoned or not."""

    host: bool = False

    def act(self, context: Context) -> Any:
        """Tell the pod where it is, and run it."""
        own: Any = self
        own.env_vars = {**_as_mapping(own.env_vars), **environment_of(self, context)}
        return super().act(context)

    def build_pod_request_obj(self, context: Context | None = None) -> Any:
        """The pod, bound to its node as a pod of a daemon set is."""
        pod = super().build_pod_request_obj(context)  # type: ignore[misc]
        assert context is not None
        if self.rollout.fleet.is_nodes:
            bind(pod, self.item(context).item)
        if self.host:
            give_host(pod)
        return pod


class ShellTask(TargetTask):
    """A command on the worker that knows the target by its environment."""

    def act(self, context: Context) -> Any:
        """Tell the command for which target it is run, and run it."""
        own: Any = self
        own.env = {**own.env, **environment_of(self, context)}
        return super().act(context)


class VerifyTask(TargetTask):
    """A check of the target; of a node, that it is Ready as well."""

    ready: bool = True

    def _round(self, trace: Any) -> Any:
        yield from super()._round(trace)  # type: ignore[misc]
        if self.ready and self.rollout.fleet.is_nodes:
            yield self._ask("node is Ready", self._ask_ready)  # type: ignore[attr-defined]

    def act(self, context: Context) -> Any:
        """Check."""
        self._context = context
        return super().act(context)

    def _ask_ready(self) -> None:
        state = node_for(self, self._context).read()
        if not state.ready:
            raise CheckFailedError(f"{state.name} is not ready ({state.problem or 'no reason'})")


class RebootTask(TargetTask):
    """What restarts a node. It is not asked for twice: a node with another boot ID is left."""

    def act(self, context: Context) -> Any:
        """Restart it, unless that was done."""
        self.show_target(context)
        self.require_turn(context)
        node = node_for(self, context)
        now = boot_id_of(node)
        before = self.remember_once(context, BOOT_ID, lambda: now)
        if now != before:
            self.log.info("%s was restarted already: boot ID %s, not %s.", node.name, now, before)  # type: ignore[attr-defined]
            return None
        return super().act(context)


class RebootPodTask(RebootTask, PodTask):
    """A reboot by a pod on the node."""


class RebootShellTask(RebootTask, ShellTask):
    """A reboot by a command."""


TASKS: dict[str, type[TargetTask]] = {"pod": PodTask, "shell": ShellTask, "verify": VerifyTask}
REBOOT_TASKS: dict[str, type[TargetTask]] = {
    "pod": RebootPodTask, "shell": RebootShellTask, "http": RebootTask,
}  # fmt: skip


_MADE: dict[tuple[Any, Any], type[BaseOperator]] = {}


def target_operator(
    entry: TargetAction, name: str, *, slos: tuple[Slo, ...] = (), **base: Any
) -> BaseOperator:
    """The operator that does one thing to a target; ``name`` is the id of its task.

    Raises ``SpecError`` for an `operator` that cannot be built.
    """
    action = entry.action
    match entry.action_name:
        case "cordon":
            return CordonOperator(**base)
        case "uncordon":
            return UncordonOperator(**base)
        case "drain":
            return DrainOperator.from_entry(entry, **base)
        case "reboot":
            assert isinstance(action, Reboot)
            return _reboot(action, name, **base)
        case kind:
            return _plain(kind, action, TASKS.get(kind, TargetTask), slos, **base)


def _reboot(action: Reboot, name: str, **base: Any) -> BaseOperator:
    if action.by is None:
        trigger = base["rollout"].entry_name(name.replace("back", "reboot", 1))
        return BackOperator(
            timeout=action.timeout, trigger=trigger if name.startswith("back") else None, **base
        )
    kind = next(iter(action.by.model_fields_set))
    return _plain(kind, getattr(action.by, kind), REBOOT_TASKS[kind], (), **base)


def _plain(
    kind: str, action: Model, task: type[TargetTask], slos: tuple[Slo, ...], **base: Any
) -> BaseOperator:
    if kind == "operator":
        from planner_provider.operators.foreign import ForeignOperator

        return ForeignOperator.from_action(action, kind=_of_target, **base)  # type: ignore[arg-type]
    made: Any = of_target(operator_class(ACTIONS[kind]), task)
    if ACTIONS[kind].slos:
        base["slos"] = slos
    operator: BaseOperator = made.from_action(action, **base)
    marked: Any = operator
    if isinstance(action, TargetPod):
        marked.host = action.host
    elif isinstance(action, TargetVerify):
        marked.ready = action.ready
    return operator


def _of_target(base: type[BaseOperator]) -> type[BaseOperator]:
    return of_target(base, TargetTask)


def of_target(base: type[BaseOperator], task: type[TargetTask]) -> type[BaseOperator]:
    """A subclass of a step's operator that is a task of a target; the same for the same two.

    It keeps name and module of the operator, so that Airflow shows it as what it is.
    """
    if (base, task) in _MADE:
        return _MADE[base, task]

    def __init__(self: Any, **kwargs: Any) -> None:  # noqa: N807
        super(made, self).__init__(**kwargs)

    namespace = {
        "__init__": __init__,
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
    }
    metaclass: Callable[..., type[BaseOperator]] = type(base)
    made: type[BaseOperator] = metaclass(base.__name__, (task, base), namespace)
    _MADE[base, task] = made
    return made


def environment_of(task: TargetTask, context: Context) -> dict[str, str]:
    """What a command or a pod is told of its target."""
    name = task.item(context).item
    return {TARGET: name, NODE: name}


def bind(pod: Any, node: str) -> None:
    """Let a pod run on this node and no other, though it is cordoned, or has taints."""
    from kubernetes.client import models as k8s

    here = k8s.V1NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])
    term = k8s.V1NodeSelectorTerm(match_fields=[here])
    only = k8s.V1NodeSelector(node_selector_terms=[term])
    pod.spec.affinity = k8s.V1Affinity(
        node_affinity=k8s.V1NodeAffinity(required_during_scheduling_ignored_during_execution=only)
    )
    pod.spec.tolerations = [k8s.V1Toleration(operator="Exists")]


def give_host(pod: Any) -> None:
    """Give a pod its node: privileged, in the node's process namespace, its root at ``/host``."""
    from kubernetes.client import models as k8s

    pod.spec.host_pid = True
    root = k8s.V1HostPathVolumeSource(path="/", type="Directory")
    pod.spec.volumes = [*(pod.spec.volumes or []), k8s.V1Volume(name="host", host_path=root)]
    container = pod.spec.containers[0]
    container.security_context = k8s.V1SecurityContext(privileged=True)
    mount = k8s.V1VolumeMount(name="host", mount_path=HOST)
    container.volume_mounts = [*(container.volume_mounts or []), mount]


def _as_mapping(env: Any) -> dict[str, str]:
    if isinstance(env, dict):
        return dict(env)
    return {variable.name: variable.value for variable in env or ()}
