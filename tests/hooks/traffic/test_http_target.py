from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import planner_provider.hooks.traffic.plain_http as plain_http
from planner_provider.errors import CheckFailedError, RefusedError, UnavailableError
from planner_provider.hooks.traffic import Caller, Release, release_for
from planner_provider.hooks.traffic.release import substitute_weight
from planner_provider.sandbox import Sandbox
from planner_provider.spec.delivery import Change, Target, Traffic
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.hooks.kubernetes_emulator import Cluster
from tests.hooks.traffic.shop import shop
from tests.hooks.traffic.worlds import (
    OWNER,
    Killed,
    Time,
    killed_after,
    kubernetes_release,
    restores,
    survives,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

SHIFT: dict[str, Any] = {
    "connection": "sandbox",
    "path": "/services/checkout/weight",
    "body": {"version": "1.5.0", "weight": "{{ weight }}"},
}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(stepped=True) as running:
        monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", running.url)
        yield running


def release(
    version: str = "1.5.0", traffic: dict[str, Any] | None = SHIFT, connection: str = "sandbox"
) -> Release:
    return release_for(
        Target.model_validate({"http": {"connection": connection, "service": "checkout"}}),
        None if traffic is None else Traffic.model_validate({"http": traffic}),
        Change(version=version),
        caller=Caller(owner=OWNER, headers={"baggage": "plan_id=p"}, key="k"),
        patience=Time().patience(seconds=10),
    )


def end(sandbox: Sandbox) -> Any:
    return sandbox.world.service("checkout")


def done(sandbox: Sandbox) -> list[tuple[str, Any, bool]]:
    return [
        (change.act.what, change.act.after, change.act.effective)
        for change in sandbox.world.changes()
    ]


def test_to_the_end_each_change_once(sandbox: Sandbox) -> None:
    release().deploy_canary()
    release().set_weight(5)
    release().set_weight(50)
    assert release().observe().weight == 50
    assert release().promote().changed
    assert not release().promote().changed
    assert release().is_promoted()
    assert done(sandbox) == [
        ("canary", "1.5.0", True),
        ("weight", 5, True),
        ("weight", 50, True),
        ("promote", "1.5.0", True),
    ]


def test_what_is_done_already_is_not_asked_for(sandbox: Sandbox) -> None:
    release().deploy_canary()
    release().set_weight(5)
    assert not release().deploy_canary().changed
    assert not release().set_weight(5).changed
    assert len(done(sandbox)) == 2


def test_in_place_and_back(sandbox: Sandbox) -> None:
    before = end(sandbox)
    memo = release(traffic=None).memo()
    assert release(traffic=None).deploy().changed
    assert not release(traffic=None).deploy().changed
    assert end(sandbox).stable == "1.5.0"
    assert release(traffic=None).restore(memo).changed
    assert not release(traffic=None).restore(memo).changed
    assert end(sandbox) == before


def test_the_canary_of_somebody_else(sandbox: Sandbox) -> None:
    theirs = release("1.4.9")
    theirs.deploy_canary()
    ours = release()
    memo = ours.memo()
    for act in (
        ours.deploy_canary, ours.promote, ours.remove_canary, lambda: ours.set_weight(50),
    ):  # fmt: skip
        with pytest.raises(RefusedError, match=r"has the canary 1\.4\.9 already"):
            act()
    assert not ours.restore(memo).changed
    assert end(sandbox).canary.version == "1.4.9"


def test_what_somebody_else_deployed_since_stays(sandbox: Sandbox) -> None:
    memo = release(traffic=None).memo()
    release(traffic=None).deploy()
    release("9.9.9", traffic=None).deploy()
    with pytest.raises(RefusedError, match="Somebody else changed it since"):
        release(traffic=None).restore(memo)
    assert end(sandbox).stable == "9.9.9"


def test_only_a_version_can_be_carried() -> None:
    target = Target.model_validate({"http": {"connection": "x", "service": "checkout"}})
    for change in (Change(env={"A": "b"}), Change(version="1", patch={"a": 1})):
        with pytest.raises(RefusedError, match="carry a `version` and nothing else"):
            release_for(target, None, change, caller=Caller(OWNER))
    with pytest.raises(RefusedError, match="parts of Kubernetes"):
        release_for(target, Traffic(http_route="x"), Change(version="1"), caller=Caller(OWNER))


def test_killed_after_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    sandboxes: list[Sandbox] = []

    def fresh() -> Sandbox:
        while sandboxes:
            sandboxes.pop().stop()
        sandboxes.append(Sandbox(stepped=True))
        sandboxes[0].start()
        monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", sandboxes[0].url)
        return sandboxes[0]

    def act() -> None:
        one = release()
        if not one.is_promoted():
            one.deploy_canary()
            one.set_weight(50)
            one.promote()

    def look(sandbox: Sandbox) -> Any:
        return end(sandbox), [what for what in done(sandbox) if what[2]]

    try:
        where: dict[str, Any] = {"what": plain_http, "name": "send"}
        assert survives(fresh, act, look, **where) > 8
        assert restores(fresh, release, end, **where) > 8
    finally:
        sandboxes.pop().stop()


def test_faults_of_the_deployer(sandbox: Sandbox) -> None:
    from planner_provider.sandbox import SandboxClient

    SandboxClient(sandbox.url).fault("api_error", "checkout", on="write")
    with pytest.raises(UnavailableError, match="503"):
        release().deploy_canary()
    assert release().deploy_canary().changed


# ---- a deployer of one's own


class Deployer:
    """Answers as a team's own deployer may: without weights, slowly, or with nonsense."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.told: Any = {"stable": {"version": "1.4.2"}, "canary": {"version": "1.5.0"}}
        server.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        body = self.told if asked.method == "GET" else {}
        return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def deployer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployer]:
    with http_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_OWN", server.url)
        yield Deployer(server)


def by(deployer: Deployer, path: str = "/split", **traffic: Any) -> Release:
    given = {"connection": "own", "path": path, **traffic}
    return release(traffic=given, connection="own")


def test_the_call_that_shifts(deployer: Deployer) -> None:
    body = {
        "canary": "{{ weight }}",
        "text": "w={{weight}}",
        "list": [{"weight": "{{ weight }}", "other": "{{ x }}"}],
    }
    by(deployer, "/split/{{ weight }}", method="POST", body=body).set_weight(25)
    (asked,) = [asked for asked in deployer.server.asked if asked.method == "POST"]
    assert asked.path == "/split/25"
    assert asked.json == {
        "canary": 25,
        "text": "w=25",
        "list": [{"weight": 25, "other": "{{ x }}"}],
    }
    assert asked.headers["baggage"] == "plan_id=p"
    assert asked.headers["content-type"] == "application/json"


def test_idempotency_keys_differ_by_what_is_asked(deployer: Deployer) -> None:
    body = {"w": "{{ weight }}"}
    for percent in (25, 50, 25):
        by(deployer, body=body).set_weight(percent)
    keys = [a.headers["idempotency-key"] for a in deployer.server.asked if a.method == "PUT"]
    assert keys[0] == keys[2] != keys[1]


def test_a_deployer_that_does_not_tell_weights_is_believed(deployer: Deployer) -> None:
    assert by(deployer).observe().weight is None
    assert by(deployer).set_weight(25).changed


def test_a_weight_that_does_not_come_about(deployer: Deployer) -> None:
    deployer.told["canary"]["weight"] = 10
    with pytest.raises(
        CheckFailedError, match=r"within 10s: stable 1\.4\.2, canary 1\.5\.0 at 10%"
    ):
        by(deployer).set_weight(25)


def test_a_canary_that_does_not_become_ready(deployer: Deployer) -> None:
    deployer.told["canary"]["ready"] = False
    with pytest.raises(CheckFailedError, match="not ready"):
        by(deployer).deploy_canary()


@pytest.mark.parametrize("told", [[], {"stable": "1"}, {"version": "1"}])
def test_an_answer_of_another_protocol(deployer: Deployer, told: Any) -> None:
    deployer.told = told
    with pytest.raises(RefusedError, match="does not speak the HTTP deployment protocol"):
        by(deployer).observe()


def test_substitution_without_jinja() -> None:
    assert substitute_weight("a{{weight}}-{{ weight }}", 5) == "a5-5"
    assert substitute_weight({"a": 1}, 5) == {"a": 1}


# ---- a Deployment whose traffic is shifted by a call


BY_CALL: dict[str, Any] = {"http": {"connection": "own", "path": "/w/{{ weight }}"}}


def calls(deployer: Deployer) -> list[str]:
    return [asked.path for asked in deployer.server.asked]


def test_a_deployment_by_http(cluster: Cluster, deployer: Deployer) -> None:
    shop(cluster)
    one = kubernetes_release(BY_CALL)
    memo = one.memo()
    one.deploy_canary()
    assert one.observe().weight is None
    one.set_weight(25)
    assert one.observe().weight == 25
    assert not kubernetes_release(BY_CALL).set_weight(25).changed
    assert calls(deployer) == ["/w/25"]
    kubernetes_release(BY_CALL).restore(memo)
    assert calls(deployer) == ["/w/25", "/w/0"]
    assert not kubernetes_release(BY_CALL).restore(memo).changed
    assert cluster.one("deployments", "checkout-canary") is None


def test_traffic_that_may_have_been_shifted_is_shifted_back(
    cluster: Cluster, deployer: Deployer
) -> None:
    """Killed between the call and the note of it: the note says nothing, the world may differ."""
    shop(cluster)
    one = kubernetes_release(BY_CALL)
    memo = one.memo()
    one.deploy_canary()
    with pytest.raises(Killed), killed_after(1, plain_http, "send"):
        one.set_weight(25)
    kubernetes_release(BY_CALL).restore(memo)
    assert calls(deployer) == ["/w/25", "/w/0"]
