"""Action ``pod``: run a pod in Kubernetes to its end, with Airflow's KubernetesPodOperator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import urllib3
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodLaunchFailedException
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowSkipException
from kubernetes.client import ApiException, V1EnvVar, V1ResourceRequirements

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.hooks.connections import missing_connection, shorten
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.shell import exit_error
from planner_provider.operators.tracing import (
    LABEL_PREFIX,
    environment,
    label_value,
    pod_labels,
    trace_of,
    traceparent,
)
from planner_provider.spec.actions import Pod, Resources

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact

STARTUP_TIMEOUT = 300
"""Longest wait for a pod to be scheduled, and then to start, in seconds."""
DEADLINE_MARGIN = 60
"""How much longer than the task a pod may live, in seconds, if Airflow cannot end it."""


class PodActionOperator(PlanStepMixin, KubernetesPodOperator):
    """Run a pod to its end; its output goes to the task's log.

    The pod carries the labels ``planner.dev/plan-id``, ``/plan`` and ``/step``, annotations with
    the run and the digest of the plan, and PLANNER_PLAN_ID, PLANNER_PLAN, PLANNER_STEP and BAGGAGE
    in its environment. A retry after the worker's death attaches to the pod that still runs. The
    pod is deleted when it has ended, or when the task is stopped; Kubernetes itself ends it a
    minute after the task's time-out. Exit codes mean what they mean for ``shell``.

    Args:
        image: container image (templated).
        kubernetes_conn_id: Airflow Connection of type kubernetes (templated).
        command: entry point; the image's own if empty (templated).
        resources_wanted: CPU and memory.
        plan_ref: the plan that this is a step of, if any.

    All other arguments are those of KubernetesPodOperator.

    Raises:
        CheckFailedError, UnavailableError, RefusedError, MisconfiguredError: by exit code, or by
            what the Kubernetes API answers.
    """

    labels: dict[str, Any]
    annotations: dict[str, Any]
    env_vars: Any

    def __init__(
        self,
        *,
        command: Sequence[str] = (),
        resources_wanted: Resources | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("startup_timeout_seconds", STARTUP_TIMEOUT)
        kwargs.setdefault("on_finish_action", "delete_pod")
        kwargs.setdefault("log_events_on_failure", True)
        kwargs.setdefault("log_pod_spec_on_failure", False)  # it may hold values of env
        kwargs.setdefault("deferrable", False)
        if resources_wanted is not None:
            kwargs.setdefault("container_resources", _requirements(resources_wanted))
        if (limit := kwargs.get("execution_timeout")) is not None:
            margin = timedelta(seconds=DEADLINE_MARGIN)
            kwargs.setdefault("active_deadline_seconds", int((limit + margin).total_seconds()))
        if command:
            kwargs.setdefault("cmds", list(command))
        super().__init__(**kwargs)

    @classmethod
    def from_action(
        cls,
        action: Pod,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``pod`` action of a spec."""
        return cls(
            image=action.image,
            kubernetes_conn_id=action.connection,
            namespace=action.namespace,
            command=action.command,
            arguments=list(action.args),
            env_vars=dict(action.env),
            service_account_name=action.service_account,
            resources_wanted=action.resources,
            labels=dict(action.labels),
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> Any:
        """Run the pod to its end, or go on with the one that an earlier try began."""
        self._trace(context)
        try:
            return super().act(context)
        except PlannerError:
            raise
        except AirflowSkipException:
            raise
        except AirflowNotFoundException:
            raise missing_connection(str(self.kubernetes_conn_id), "kubernetes") from None
        except (ApiException, AirflowException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._by_consequence(error) from error

    def _trace(self, context: Context) -> None:
        trace = trace_of(self.plan_ref, context)
        own = {name: label_value(str(value)) for name, value in self.labels.items()}
        self.labels = {**own, **pod_labels(trace)}
        if self.plan_ref is not None:
            self.annotations = {
                **self.annotations,
                f"{LABEL_PREFIX}/run-id": context["ti"].run_id,
                f"{LABEL_PREFIX}/digest": self.plan_ref.digest,
            }
        added = environment(trace, traceparent())
        self.env_vars = [
            *_env_list(self.env_vars),
            *(V1EnvVar(name=name, value=value) for name, value in added.items()),
        ]

    def _by_consequence(self, error: Exception) -> PlannerError:
        if isinstance(error, ApiException):
            return _api_error(error)
        if isinstance(error, PodLaunchFailedException):
            return UnavailableError(f"The pod did not start: {shorten(str(error), 500)}")
        if isinstance(error, urllib3.exceptions.HTTPError | OSError):
            return UnavailableError(
                f"The Kubernetes API of connection '{self.kubernetes_conn_id}' does not answer: "
                f"{shorten(str(error), 300)}"
            )
        code = self._exit_code()
        name = self.pod.metadata.name if self.pod else "?"
        if code is not None:
            known = exit_error(code, shorten(str(error)), f"Pod {name}")
            if known is not None:
                return known
        return CheckFailedError(f"Pod {name} failed: {shorten(str(error), 500)}")

    def _exit_code(self) -> int | None:
        status = self.remote_pod.status if self.remote_pod else None
        for container in (status.container_statuses if status else None) or ():
            if container.name == self.base_container_name and container.state.terminated:
                code: int | None = container.state.terminated.exit_code
                return code
        return None


def _env_list(env: Any) -> list[V1EnvVar]:
    if isinstance(env, Mapping):
        return [V1EnvVar(name=name, value=value) for name, value in env.items()]
    return list(env or ())


def _requirements(wanted: Resources) -> V1ResourceRequirements:
    requests = {"cpu": wanted.cpu, "memory": wanted.memory}
    limits = {"cpu": wanted.cpu_limit, "memory": wanted.memory_limit}
    return V1ResourceRequirements(
        requests={name: value for name, value in requests.items() if value} or None,
        limits={name: value for name, value in limits.items() if value} or None,
    )


def _api_error(error: ApiException) -> PlannerError:
    text = f"The Kubernetes API answered {error.status} {error.reason}: {_api_message(error)}"
    status = error.status or 0
    if status == 401:
        return MisconfiguredError(f"{text}. Renew the credentials in the connection.")
    if status == 429 or status >= 500 or status == 0:
        return UnavailableError(text)
    return RefusedError(text)


def _api_message(error: ApiException) -> str:
    import json

    try:
        return shorten(str(json.loads(error.body)["message"]), 300)
    except (TypeError, ValueError, KeyError):
        return shorten(str(error.body or ""), 300)
