from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import CheckFailedError, MisconfiguredError, RefusedError
from planner_provider.hooks.flags import FlagChange
from planner_provider.hooks.kubernetes import JSON_PATCH
from planner_provider.hooks.traffic import Caller
from planner_provider.sandbox import Sandbox
from planner_provider.spec.delivery import Flag
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.hooks.kubernetes_emulator import Cluster, emulated_cluster, kube_config
from tests.hooks.traffic.worlds import Killed, Time, killed_after

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

PATH = "/apis/core.openfeature.dev/v1beta1/namespaces/shop/featureflags/shop-flags"


def change(
    action: str, connection: str = "sandbox", name: str = "new_checkout", **more: Any
) -> Any:
    flag = Flag.model_validate({"name": name, "action": action, "connection": connection, **more})
    return FlagChange(flag, Caller("p-1"), Time().patience())


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(stepped=True) as running:
        monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", running.url)
        yield running


def flag_in(sandbox: Sandbox, name: str = "new_checkout") -> tuple[bool, int] | None:
    found = [flag for flag in sandbox.world.flags() if flag.name == name]
    return (found[0].enabled, found[0].percentage) if found else None


CASES: list[tuple[str, dict[str, Any], tuple[bool, int] | None]] = [
    ("enable", {}, (True, 40)),
    ("disable", {}, (False, 40)),
    ("rollout", {"percentage": "10%"}, (True, 10)),
    ("remove", {}, None),
]


class TestHttp:
    @pytest.mark.parametrize(("action", "more", "wanted"), CASES)
    def test_done_once_and_put_back(
        self, sandbox: Sandbox, action: str, more: dict[str, Any], wanted: tuple[bool, int] | None
    ) -> None:
        sandbox.world.set_flag("new_checkout", action != "enable", 40, {})
        before = flag_in(sandbox)
        one = change(action, **more)
        memo = one.memo()
        assert one.apply(memo).changed
        assert flag_in(sandbox) == wanted
        assert not change(action, **more).apply(memo).changed
        assert change(action, **more).restore(memo).changed
        assert flag_in(sandbox) == before
        assert not change(action, **more).restore(memo).changed

    def test_a_flag_that_was_not_there_is_removed_again(self, sandbox: Sandbox) -> None:
        one = change("enable", name="brand_new")
        memo = one.memo()
        assert memo["flag"] is None
        assert one.apply(memo).changed
        assert flag_in(sandbox, "brand_new") == (True, 100)
        assert one.restore(memo).changed
        assert flag_in(sandbox, "brand_new") is None

    def test_what_somebody_else_set_meanwhile_stays(self, sandbox: Sandbox) -> None:
        sandbox.world.set_flag("new_checkout", True, 40, {})
        one = change("rollout", percentage="50%")
        memo = one.memo()
        one.apply(memo)
        sandbox.world.set_flag("new_checkout", True, 77, {})
        for act in (one.apply, one.restore):
            with pytest.raises(RefusedError, match="Somebody else changed it meanwhile"):
                act(memo)
        assert flag_in(sandbox) == (True, 77)

    def test_a_provider_that_does_not_take_values(self, sandbox: Sandbox) -> None:
        one = change("set", value="blue")
        with pytest.raises(RefusedError, match="400"):
            one.apply(one.memo())

    def test_a_provider_that_forgets_the_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It answers well, and the value is not there; that must not count as set."""
        with http_server(lambda asked: Reply(200, b'{"enabled": true}')) as server:
            monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", server.url)
            one = change("set", value="blue")
            with pytest.raises(CheckFailedError, match="did not come about"):
                one.apply(one.memo())
            assert [asked.method for asked in server.asked].count("PUT") == 1

    def test_a_value_that_was_not_there_goes_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept: dict[str, Any] = {"enabled": True}

        def answer(asked: Asked) -> Reply:
            if asked.method == "PUT":
                new = {**kept, **asked.json}
                kept.clear()
                kept.update({key: value for key, value in new.items() if value is not None})
            return Reply(200, json.dumps(kept).encode())

        with http_server(answer) as server:
            monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", server.url)
            one = change("set", value={"limit": 5})
            memo = one.memo()
            one.apply(memo)
            assert kept == {"enabled": True, "value": {"limit": 5}}
            assert one.restore(memo).changed
            assert kept == {"enabled": True}
            assert server.asked[-2].json == {"enabled": True, "value": None}

    def test_killed_after_any_request(self, sandbox: Sandbox) -> None:
        import planner_provider.hooks.traffic.plain_http as plain_http

        sandbox.world.set_flag("new_checkout", False, 40, {})
        memo = change("rollout", percentage="50%").memo()
        for points in range(1, 5):
            for act, wanted in (("apply", (True, 50)), ("restore", (False, 40))):
                with pytest.raises(Killed), killed_after(points, plain_http, "send"):
                    getattr(change("rollout", percentage="50%"), act)(memo)
                getattr(change("rollout", percentage="50%"), act)(memo)
                assert flag_in(sandbox) == wanted


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with emulated_cluster() as running, http_server() as ofrep:
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(kube_config(running.address)))
        extra = {"kube_config_path": str(path), "feature_flag": "shop/shop-flags"}
        monkeypatch.setenv(
            "AIRFLOW_CONN_FLAGD", json.dumps({"conn_type": "kubernetes", "extra": extra})
        )
        both = json.dumps({"conn_type": "kubernetes", "extra": extra | {"ofrep_connection": "o"}})
        monkeypatch.setenv("AIRFLOW_CONN_FLAGD_ASKED", both)
        monkeypatch.setenv("AIRFLOW_CONN_O", ofrep.url)
        Flagd(running, ofrep)
        yield running


class Flagd:
    """Answers OFREP from the resource."""

    def __init__(self, cluster: Cluster, server: Server) -> None:
        self.cluster = cluster
        server.answer = self.answer
        flags = {
            "new_checkout": {
                "state": "DISABLED",
                "variants": {"on": True, "off": False},
                "defaultVariant": "on",
            },
            "colour": {
                "state": "ENABLED",
                "variants": {"r": "red"},
                "defaultVariant": "r",
            },
            "ruled": {
                "state": "ENABLED",
                "variants": {"on": True, "off": False},
                "defaultVariant": "on",
                "targeting": {"if": [True, "on", "off"]},
            },
        }
        body = {"metadata": {"name": "shop-flags"}, "spec": {"flagSpec": {"flags": flags}}}
        cluster.add("featureflags", body)

    def answer(self, asked: Asked) -> Reply:
        name = asked.path.removeprefix("/ofrep/v1/evaluate/flags/")
        assert asked.json == {"context": {"targetingKey": "planner"}}
        flag = defined(self.cluster, name)
        if self.cluster.stuck and flag is not None:
            flag = flag | {"state": "ENABLED"}
        if flag is None or flag["state"] == "DISABLED":
            return Reply(404, b'{"errorCode": "FLAG_NOT_FOUND"}')
        value = flag["variants"][flag["defaultVariant"]]
        return Reply(200, json.dumps({"value": value, "reason": "STATIC"}).encode())


def defined(cluster: Cluster, name: str) -> Any:
    found = cluster.one("featureflags", "shop-flags")
    assert found is not None
    return found["spec"]["flagSpec"]["flags"].get(name)


class TestFlagd:
    @pytest.mark.parametrize("connection", ["flagd", "flagd_asked"])
    @pytest.mark.parametrize(
        ("action", "name", "more", "wanted"),
        [
            ("enable", "new_checkout", {}, {"state": "ENABLED"}),
            ("disable", "colour", {}, {"state": "DISABLED"}),
            ("enable", "fresh", {}, {"state": "ENABLED", "defaultVariant": "on"}),
            (
                "rollout", "new_checkout", {"percentage": "10%"},
                {
                    "state": "ENABLED", "defaultVariant": "off",
                    "targeting": {"fractional": [["on", 10], ["off", 90]]},
                },
            ),
            (
                "set", "colour", {"value": "blue"},
                {"variants": {"r": "red", "set": "blue"}, "defaultVariant": "set"},
            ),
            ("set", "new_checkout", {"value": False}, {"defaultVariant": "off"}),
            ("remove", "colour", {}, None),
        ],
    )  # fmt: skip
    def test_done_once_and_put_back(
        self, cluster: Cluster, connection: str, action: str, name: str, more: Any, wanted: Any
    ) -> None:
        before = json.dumps(cluster.one("featureflags", "shop-flags")["spec"])  # type: ignore[index]
        version = cluster.one("featureflags", "shop-flags")["metadata"]["resourceVersion"]  # type: ignore[index]
        one = change(action, connection, name, **more)
        memo = one.memo()
        assert one.apply(memo).changed
        (patch,) = cluster.changes()
        assert (patch.method, patch.path, patch.content_type) == ("PATCH", PATH, JSON_PATCH)
        assert patch.body[0] == {
            "op": "test", "path": "/metadata/resourceVersion", "value": version,
        }  # fmt: skip
        assert patch.body[1]["path"] == f"/spec/flagSpec/flags/{name}"
        now = defined(cluster, name)
        assert (now is None) if wanted is None else (now | wanted == now)
        assert not change(action, connection, name, **more).apply(memo).changed
        assert change(action, connection, name, **more).restore(memo).changed
        assert json.loads(before) == cluster.one("featureflags", "shop-flags")["spec"]  # type: ignore[index]

    @pytest.mark.parametrize(
        ("action", "name", "more", "why"),
        [
            ("set", "ruled", {"value": False}, "targeting rules of its own"),
            ("rollout", "ruled", {"percentage": "5%"}, "targeting rules of its own"),
            ("rollout", "colour", {"percentage": "5%"}, "not one of true and false"),
            ("rollout", "new_checkout", {"percentage": "2.5%"}, "whole percentages only"),
        ],
    )
    def test_what_it_cannot_do(
        self, cluster: Cluster, action: str, name: str, more: Any, why: str
    ) -> None:
        one = change(action, "flagd", name, **more)
        with pytest.raises(RefusedError, match=why):
            one.apply(one.memo())
        assert cluster.changes() == []

    def test_flagd_that_does_not_follow(self, cluster: Cluster) -> None:
        one = change("disable", "flagd_asked", "colour")
        memo = one.memo()
        cluster.stuck = True
        with pytest.raises(CheckFailedError, match='flagd gives "red", reason STATIC'):
            one.apply(memo)


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        ({"conn_type": "launchdarkly"}, MisconfiguredError, "no known kind of flag provider"),
        (
            {"conn_type": "http", "host": "x", "extra": {"flag_provider": "ofrep"}},
            RefusedError,
            "reads flags and cannot change them",
        ),
        (
            {"conn_type": "http", "host": "x", "extra": {"flag_provider": "acme"}},
            MisconfiguredError,
            "flag_provider acme",
        ),
        ({"conn_type": "kubernetes"}, MisconfiguredError, '"feature_flag": "namespace/name"'),
    ],
)
def test_providers_that_are_not_known(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], error: type[Exception], why: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(given))
    with pytest.raises(error, match=why):
        change("enable", "other")
