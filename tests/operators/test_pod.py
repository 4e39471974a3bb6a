from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from planner_provider.operators.pod import PodActionOperator
from planner_provider.spec.actions import Pod
from tests.operators.airflow_context import PLAN_ID, REF, RUN_ID, Store, act, build, context_for
from tests.operators.fake_kubernetes import Cluster, fake_kubernetes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with fake_kubernetes() as running:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": running.server.url}}],
            "users": [{"name": "u", "user": {"token": "t0ken"}}],
        }
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(config))
        extra = {"kube_config_path": str(path), "namespace": "ops"}
        given = json.dumps({"conn_type": "kubernetes", "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", given)
        yield running


def pod(**values: Any) -> Pod:
    return Pod.model_validate({"image": "tools/pg:16", "connection": "cluster", **values})


def run(operator: Any, **values: Any) -> Any:
    operator.startup_check_interval_seconds = 0.05
    context = context_for(**values)
    context["dag"] = operator.dag
    return act(operator, context)


def test_the_pod_is_what_the_spec_says_and_names_its_plan(cluster: Cluster) -> None:
    operator = build(
        "pod",
        pod(
            image="tools/pg:{{ params.v }}",
            namespace="shop",
            command=["pg_dump"],
            args=["--file", "/tmp/{{ params.v }}.sql"],
            env={"PGHOST": "db-{{ params.v }}", "PLANNER_STEP": "fake"},
            service_account="dumper",
            resources={"cpu": "250m", "memory": "128Mi", "memory_limit": "256Mi"},
            labels={"tier": "{{ params.v }}"},
        ),
        execution_timeout=timedelta(minutes=10),
    )
    run(operator, params={"v": "16"})

    (made,) = cluster.asked("POST")
    assert made.path == "/api/v1/namespaces/shop/pods"
    assert made.headers["content-type"] == "application/json"
    assert made.headers["authorization"] == "Bearer t0ken"
    body = made.json
    assert body["metadata"]["namespace"] == "shop"
    labels = body["metadata"]["labels"]
    assert labels["planner.dev/plan-id"] == PLAN_ID
    assert labels["planner.dev/plan"] == "checkout-release"
    assert labels["planner.dev/step"] == "shift"
    assert labels["tier"] == "16"
    assert body["metadata"]["annotations"]["planner.dev/run-id"] == RUN_ID
    assert body["metadata"]["annotations"]["planner.dev/digest"] == REF.digest
    spec = body["spec"]
    assert spec["serviceAccountName"] == "dumper"
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 660
    (container,) = spec["containers"]
    assert container["image"] == "tools/pg:16"
    assert container["command"] == ["pg_dump"]
    assert container["args"] == ["--file", "/tmp/16.sql"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "128Mi"},
        "limits": {"memory": "256Mi"},
    }
    env = {item["name"]: item.get("value") for item in container["env"]}
    assert env["PGHOST"] == "db-16"
    assert env["PLANNER_PLAN_ID"] == PLAN_ID
    assert env["PLANNER_STEP"] == "shift"


def test_a_finished_pod_is_deleted(cluster: Cluster) -> None:
    run(build("pod", pod()))
    (deleted,) = cluster.asked("DELETE")
    assert deleted.path.startswith("/api/v1/namespaces/ops/pods/")
    assert cluster.pods == {}


def test_without_a_plan_it_is_an_ordinary_pod(cluster: Cluster) -> None:
    run(build("pod", pod(), plan_ref=None))
    (made,) = cluster.asked("POST")
    assert not any(name.startswith("planner.dev") for name in made.json["metadata"]["labels"])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, CheckFailedError),
        (75, UnavailableError),
        (77, RefusedError),
        (78, MisconfiguredError),
    ],
)
def test_exit_codes_mean_what_they_mean_for_shell(
    cluster: Cluster, code: int, error: type[Exception]
) -> None:
    cluster.exit_code = code
    with pytest.raises(error, match=f"exit code {code}") as caught:
        run(build("pod", pod()))
    assert type(caught.value) is error
    assert cluster.pods == {}, "failed pods are deleted as well; their output is in the log"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, MisconfiguredError),
        (403, RefusedError),
        (404, RefusedError),
        (422, RefusedError),
    ],
)
def test_what_the_api_refuses(cluster: Cluster, status: int, error: type[Exception]) -> None:
    cluster.refuse["POST"] = (status, "pods is forbidden: quota exceeded")
    with pytest.raises(error, match="pods is forbidden: quota exceeded") as caught:
        run(build("pod", pod()))
    assert type(caught.value) is error


def test_a_retry_attaches_to_the_pod_that_still_runs(cluster: Cluster) -> None:
    """The first try dies between making the pod and seeing its end."""
    store = Store()
    first = build("pod", pod())
    first.await_pod_start = _die
    with pytest.raises(KeyboardInterrupt):
        run(first, store=store)
    name = store["pod_identifier"]["name"]
    cluster.pods.update({name: _running(cluster.asked("POST")[0].json)})
    second = build("pod", pod())
    second.await_pod_start = lambda pod: cluster.pods[name].update(status=cluster._status())
    run(second, store=store, try_number=2)
    assert len(cluster.asked("POST")) == 1


def _die(pod: Any) -> None:
    raise KeyboardInterrupt


def _running(pod: dict[str, Any]) -> dict[str, Any]:
    pod["metadata"].setdefault("namespace", "ops")
    return {**pod, "status": {"phase": "Running"}}


def test_an_api_that_is_not_there(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PodActionOperator.find_pod.retry, "sleep", lambda seconds: None)
    path = tmp_path / "kube.json"
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    path.write_text(json.dumps(config))
    with pytest.raises(UnavailableError, match="does not answer"):
        run(build("pod", pod()))


def test_a_missing_connection(cluster: Cluster) -> None:
    with pytest.raises(MisconfiguredError, match="airflow connections add nowhere --conn-json"):
        run(build("pod", pod(connection="nowhere")))


def test_plans_without_pods_do_not_import_kubernetes() -> None:
    """The import costs seconds, and each task start pays it."""
    script = """
import sys
from planner_provider.operators import http, sql, shell, foreign, notify, verify, actions
from planner_provider.sensors import wait
from planner_provider.spec.actions import Http
actions.ACTION_OPERATORS["http"](Http(connection="x"), plan_ref=None, task_id="t")
heavy = {"kubernetes", "requests", "aiohttp", "airflow.providers.http.hooks.http"}
print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
