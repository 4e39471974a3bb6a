"""A cluster, a way to wait without time, and a way to be killed after any request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.operators.airflow_context  # noqa: F401
from tests.hooks.kubernetes_emulator import Cluster, emulated_cluster, kube_config


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with emulated_cluster() as running:
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(kube_config(running.address)))
        extra = {"kube_config_path": str(path)}
        given = json.dumps({"conn_type": "kubernetes", "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", given)
        yield running
