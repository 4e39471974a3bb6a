"""deploy/kubernetes: what Airflow's KubernetesExecutor makes of it. There is no cluster here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient, models

TEMPLATE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "pod-template.yaml"


def read(path: Path) -> models.V1Pod:
    return PodGenerator.deserialize_model_file(str(path))


def shown(pod: models.V1Pod) -> dict[str, Any]:
    with ApiClient() as client:
        found: dict[str, Any] = client.sanitize_for_serialization(pod)
    return found


def test_the_client_knows_every_field() -> None:
    """It drops what it does not know, and takes names in the way of the API only."""
    assert shown(read(TEMPLATE)) == yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))


def test_a_field_that_is_misspelt_would_be_noticed(tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(TEMPLATE.read_text(encoding="utf-8").replace("restartPolicy", "restart_policy"))
    assert shown(read(path)) != yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_executor_makes_the_pod_of_a_task_of_it() -> None:
    pod = PodGenerator.construct_pod(
        dag_id="hello",
        task_id="execute.half",
        pod_id="hello-execute-half-abc",
        try_number=1,
        kube_image="",
        date=None,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=None,
        base_worker_pod=read(TEMPLATE),
        namespace="airflow",
        scheduler_job_id="1",
        run_id="manual__1",
    )
    (container,) = pod.spec.containers
    assert container.name == "base"
    assert container.image == read(TEMPLATE).spec.containers[0].image
    assert container.args[0] == "python"
    assert container.env_from[0].secret_ref.name == "airflow-planner"
    assert pod.spec.restart_policy == "Never"
    assert {mount.name for mount in container.volume_mounts} == {
        volume.name for volume in pod.spec.volumes
    }
    assert (pod.metadata.namespace, pod.metadata.labels["dag_id"]) == ("airflow", "hello")
