from __future__ import annotations

import json
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks import kubernetes
from planner_provider.hooks.kubernetes import (
    DEPLOYMENTS,
    ConflictError,
    KubernetesApi,
    check_name,
)
from tests.hooks.http_server import Reply, http_server
from tests.hooks.kubernetes_emulator import kube_config

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, address: str) -> KubernetesApi:
    path = tmp_path / "kube.json"
    path.write_text(json.dumps(kube_config(address)))
    given = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(path)}}
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(given))
    return KubernetesApi("cluster")


STATUS = {"kind": "Status", "message": "said"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, STATUS, RefusedError),
        (401, STATUS, MisconfiguredError),
        (403, STATUS, RefusedError),
        (404, STATUS, RefusedError),
        (409, STATUS, ConflictError),
        (422, {"message": "the server rejected our request due to an error in our request"},
         ConflictError),
        (422, {"message": "Deployment is invalid: said"}, RefusedError),
        (429, STATUS, kubernetes.BusyError),
        (500, b"said", UnavailableError),
        (504, STATUS, UnavailableError),
        (200, b"{\"half\": ", UnavailableError),
        (200, b"[1]", UnavailableError),
    ],
)  # fmt: skip
def test_errors_by_consequence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, status: int, body: Any, error: type[Exception]
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with http_server(lambda asked: Reply(status, data, headers)) as server:
        with pytest.raises(error) as caught:
            api(monkeypatch, tmp_path, server.url).get(DEPLOYMENTS, "shop", "checkout")
        assert caught.type in (error, kubernetes._MissingError)
        where = "GET /apis/apps/v1/namespaces/shop/deployments/checkout (connection cluster)"
        assert where in str(caught.value)


def test_nothing_there_is_none_only_where_asked_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with http_server(lambda asked: Reply(404, b"{}")) as server:
        cluster = api(monkeypatch, tmp_path, server.url)
        assert cluster.find(DEPLOYMENTS, "shop", "checkout") is None
        assert not cluster.delete(DEPLOYMENTS, "shop", "checkout", uid="u")


def test_an_api_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    cluster = api(monkeypatch, tmp_path, "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="GET /apis/apps"):
        cluster.get(DEPLOYMENTS, "shop", "checkout")


def test_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import time

    monkeypatch.setattr(kubernetes, "READ_TIMEOUT", 0.2)

    def late(asked: Any) -> Reply:
        time.sleep(1.0)
        return Reply(200, b"{}")

    with http_server(late) as server:
        cluster = api(monkeypatch, tmp_path, server.url)
        with pytest.raises(UnavailableError, match=r"timed out|timeout"):
            cluster.patch(DEPLOYMENTS, "shop", "checkout", {}, kubernetes.MERGE)
        assert len(server.asked) == 1, "what changes something is not sent again by itself"


def test_connections_that_are_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MisconfiguredError, match="airflow connections add nowhere --conn-json"):
        KubernetesApi("nowhere").get(DEPLOYMENTS, "shop", "checkout")
    extra = {"kube_config_path": "/does/not/exist"}
    given = json.dumps({"conn_type": "kubernetes", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", given)
    with pytest.raises(MisconfiguredError, match="not fit for Kubernetes"):
        KubernetesApi("cluster").get(DEPLOYMENTS, "shop", "checkout")


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a b", "a\n"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(RefusedError, match="cannot be the name"):
        check_name(name, "Deployment")
