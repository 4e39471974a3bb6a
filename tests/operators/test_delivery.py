from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import TaskDeferred

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import (
    AbortedError,
    CheckFailedError,
    NotAvailableError,
    RefusedError,
    UnavailableError,
)
from planner_provider.graph.model import Part
from planner_provider.hooks.scaling import replicas_after
from planner_provider.ledger.rows import Course
from planner_provider.operators.blue_green import BlueGreenOperator
from planner_provider.operators.deploy import DeployOperator
from planner_provider.operators.flag import FlagOperator
from planner_provider.operators.plan_ref import Role
from planner_provider.operators.rollback import RollbackOperator
from planner_provider.operators.scale import ScaleOperator
from planner_provider.sandbox import Sandbox, SandboxClient
from planner_provider.spec.delivery import BlueGreen, Canary, Deploy, Flag, Scale
from tests.hooks.http_server import http_server
from tests.hooks.kubernetes_emulator import Cluster, deployment, emulated_cluster, kube_config
from tests.operators.airflow_context import Store, act, context_for
from tests.operators.plan_runs import PlanRunCase, database

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

SERVICE = {"http": {"connection": "sandbox", "service": "checkout"}}
KUBERNETES = {
    "kubernetes": {
        "connection": "cluster",
        "namespace": "{{ params.ns }}",
        "deployment": "checkout",
    }
}
SHIFT = {
    "http": {
        "connection": "sandbox",
        "path": "/services/{{ params.service }}/weight",
        "body": {"version": "{{ params.version }}", "weight": "{{ weight }}"},
    }
}
PARAMS = {"version": "1.5.0", "service": "checkout", "ns": "shop"}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(stepped=True) as running:
        monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", running.url)
        yield running


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with emulated_cluster() as running:
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(kube_config(running.address)))
        given = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(path)}}
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(given))
        running.add("deployments", deployment())
        yield running


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return PlanRunCase(database(tmp_path)).leased()


def made(cls: Any, *args: Any, from_action: bool = True, **kwargs: Any) -> Any:
    with DAG("checkout-release", schedule=None):
        build = cls.from_action if from_action else cls
        return build(*args, **{"task_id": "shift", **kwargs})


def run(case: PlanRunCase, operator: BaseOperator, try_number: int = 1) -> Any:
    """Render and execute, in the run's journal."""
    operator.render_template_fields(case.context(operator.task_id, params=PARAMS))
    return case.run(operator, try_number, params=PARAMS)


def step(case: PlanRunCase, cls: Any, action: Any, role: Role = Role.STEP, **more: Any) -> Any:
    name = more.pop("step", "s1")
    return made(cls, action, plan_ref=case.ref(role, name), task_id=f"x{name[:2]}", **more)


def undone(case: PlanRunCase, action: Any) -> Any:
    case.winding_up(Course.UNDO)
    return run(case, step(case, RollbackOperator, action, Role.UNDO))


def serving(sandbox: Sandbox) -> tuple[str, Any, int]:
    service = sandbox.world.service("checkout")
    assert service is not None
    return service.stable, service.canary, service.replicas


DEPLOY = Deploy.model_validate({"target": SERVICE, "change": {"version": "{{ params.version }}"}})


class TestInAPlan:
    def test_deploy_and_automatic_rollback(self, case: PlanRunCase, sandbox: Sandbox) -> None:
        before = serving(sandbox)
        done = run(case, step(case, DeployOperator, DEPLOY))
        assert done["outcome"] == "changed"
        assert "before" not in done, (
            "in a plan the ledger remembers, not an XCom that may be edited"
        )
        assert serving(sandbox)[0] == "1.5.0"
        assert case.ledger.remembered(case.plan_id, "s1", "before")["version"] == before[0]
        assert undone(case, DEPLOY)["outcome"] == "changed"
        assert serving(sandbox) == before

    def test_what_was_before_is_remembered_before_the_first_change(
        self, case: PlanRunCase, sandbox: Sandbox
    ) -> None:
        before = serving(sandbox)
        SandboxClient(sandbox.url).fault("drop", "checkout", on="write", calls=1)
        with pytest.raises(UnavailableError):
            run(case, step(case, DeployOperator, DEPLOY))
        assert serving(sandbox)[0] == "1.5.0", "it was done; only the answer is missing"
        run(case, step(case, DeployOperator, DEPLOY), try_number=2)
        undone(case, DEPLOY)
        assert serving(sandbox) == before

    def test_a_step_that_changed_nothing_has_nothing_to_undo(
        self, case: PlanRunCase, sandbox: Sandbox
    ) -> None:
        before = serving(sandbox)
        ours = Deploy.model_validate({"target": SERVICE, "change": {"version": "{{ none }}"}})
        with pytest.raises(RefusedError, match="`version` is 'None': what it is taken from is"):
            run(case, step(case, DeployOperator, ours))
        undo = step(case, RollbackOperator, DEPLOY, Role.UNDO)
        undo.render_template_fields(case.context("u", params=PARAMS))
        assert undo.act(case.context("u", params=PARAMS))["text"].startswith(
            "Nothing was remembered"
        )
        assert serving(sandbox) == before
        assert not sandbox.world.changes()

    def test_the_headers_name_the_plan(self, case: PlanRunCase, sandbox: Sandbox) -> None:
        run(case, step(case, DeployOperator, DEPLOY))
        headers = sandbox.world.changes()[0].headers
        assert f"plan_id={case.plan_id}" in headers["baggage"]

    def test_blue_green_in_parts(self, case: PlanRunCase, sandbox: Sandbox) -> None:
        action = BlueGreen.model_validate(
            {
                "target": SERVICE,
                "change": {"version": "{{ params.version }}"},
                "traffic": SHIFT,
                "bake": "5s",
            }
        )
        before = serving(sandbox)
        for name in ("deploy", "switch", "promote"):
            part = Part(id=name, summary="x")
            operator = step(case, BlueGreenOperator, action, step=f"s1/{name}", part=part)
            assert run(case, operator)["outcome"] == "changed"
            if name == "switch":
                assert serving(sandbox)[1].weight == 100
                assert case.time.seconds >= 5
        assert serving(sandbox)[:2] == ("1.5.0", None)
        assert case.ledger.remembered(case.plan_id, "s1/promote", "before") is None
        assert undone(case, action)["outcome"] == "changed"
        assert serving(sandbox) == before

    def test_a_canary_is_undone_from_what_its_first_part_remembered(
        self, case: PlanRunCase, sandbox: Sandbox
    ) -> None:
        action = Canary.model_validate(
            {
                "target": SERVICE,
                "change": {"version": "1.5.0"},
                "traffic": SHIFT,
                "steps": [{"weight": 5, "bake": "1m"}],
                "analysis": {"slos": ["x"]},
            }
        )
        before = serving(sandbox)
        memo = {"kind": "http", "name": "checkout", "version": before[0]}
        case.ledger.remember_once(case.plan_id, "s1/deploy", "before", memo)
        client = SandboxClient(sandbox.url)
        client.put_canary("checkout", "1.5.0")
        client.set_weight("checkout", 5)
        undo = step(case, RollbackOperator, action, Role.UNDO)
        undo.act(case.context("u", params=PARAMS))
        assert serving(sandbox) == before

    def test_scale_counts_from_what_was_remembered(
        self, case: PlanRunCase, sandbox: Sandbox
    ) -> None:
        action = Scale.model_validate({"target": SERVICE, "by": "+2"})
        before = serving(sandbox)[2]
        SandboxClient(sandbox.url).fault("drop", "checkout", on="write", calls=1)
        with pytest.raises(UnavailableError):
            run(case, step(case, ScaleOperator, action))
        done = run(case, step(case, ScaleOperator, action), try_number=2)
        assert (done["before"], done["after"]) == (before, before + 2)
        assert serving(sandbox)[2] == before + 2
        undone(case, action)
        assert serving(sandbox)[2] == before

    def test_flag(self, case: PlanRunCase, sandbox: Sandbox) -> None:
        action = Flag.model_validate(
            {
                "name": "new_checkout", "action": "rollout", "percentage": "35%",
                "connection": "sandbox",
            }
        )  # fmt: skip
        before = {flag.name: flag for flag in sandbox.world.flags()}
        assert run(case, step(case, FlagOperator, action))["outcome"] == "changed"
        now = {flag.name: flag for flag in sandbox.world.flags()}["new_checkout"]
        assert (now.enabled, now.percentage) == (True, 35)
        undone(case, action)
        assert {flag.name: flag for flag in sandbox.world.flags()} == before


class TestScale:
    @pytest.mark.parametrize(
        ("before", "by", "wanted"),
        [
            (3, "+2", 5),
            (3, "-2", 1),
            (3, "+50%", 5),
            (3, "-50%", 2),
            (10, "+10%", 11),
            (4, "-0%", 4),
        ],
    )
    def test_relative(self, before: int, by: str, wanted: int) -> None:
        assert replicas_after(before, by) == wanted

    def scaled(self, **action: Any) -> Any:
        operator = made(ScaleOperator, from_action=False, target=KUBERNETES, **action)
        context = context_for(PARAMS)
        return act(operator, context), context["ti"].pushed.get("before")

    def test_a_deployment(self, cluster: Cluster) -> None:
        done, before = self.scaled(by="+50%", max_replicas=5)
        assert (done["before"], done["after"]) == (4, 5)
        (patch,) = cluster.changes()
        assert patch.path == "/apis/apps/v1/namespaces/shop/deployments/checkout"
        assert patch.content_type == "application/json-patch+json"
        assert patch.body[1] == {"op": "add", "path": "/spec/replicas", "value": 5}
        undo = made(
            RollbackOperator, from_action=False, target=KUBERNETES,
            scale={"by": "+50%", "max_replicas": 5}, memo=before,
        )  # fmt: skip
        act(undo, context_for(PARAMS))
        assert cluster.one("deployments", "checkout")["spec"]["replicas"] == 4  # type: ignore[index]

    @pytest.mark.parametrize(
        ("action", "error", "why"),
        [
            ({"by": "+1", "max_replicas": 4}, RefusedError, "4 replicas already"),
            ({"replicas": 9, "max_replicas": 4}, RefusedError, "`max_replicas` is 4"),
            ({"by": "-4"}, RefusedError, "would leave 0"),
            ({"replicas": 5, "cost_cap_per_hour": 3.5}, NotAvailableError, "no source of prices"),
            ({"replicas": 5, "by": "+1"}, RefusedError, "either `replicas` or `by`"),
        ],
    )
    def test_refused(
        self, cluster: Cluster, action: dict[str, Any], error: type[Exception], why: str
    ) -> None:
        with pytest.raises(error, match=why):
            self.scaled(**action)
        assert cluster.changes() == []

    def test_an_autoscaler_would_change_it_back(self, cluster: Cluster) -> None:
        ref = {"kind": "Deployment", "name": "checkout"}
        spec = {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 8}
        cluster.add("horizontalpodautoscalers", {"metadata": {"name": "hpa"}, "spec": spec})
        with pytest.raises(RefusedError, match=r"HorizontalPodAutoscaler hpa \(2 to 8\)"):
            self.scaled(by="+1")
        assert cluster.changes() == []

    def test_somebody_else_scales_meanwhile(self, cluster: Cluster) -> None:
        store = Store()
        store["before"] = {"kind": "replicas", "name": "Deployment shop/checkout", "replicas": 2}
        operator = made(ScaleOperator, from_action=False, target=KUBERNETES, by="+1")
        with pytest.raises(RefusedError, match=r"had 2 replicas .* now it has 4"):
            act(operator, context_for(PARAMS, store))


class TestByHand:
    def test_deploy_and_rollback_by_xcom(self, cluster: Cluster) -> None:
        change = {"image": "shop/checkout:{{ params.version }}"}
        deploy = made(DeployOperator, from_action=False, target=KUBERNETES, change=change)
        before = cluster.one("deployments", "checkout")["spec"]  # type: ignore[index]
        context = context_for(PARAMS)
        act(deploy, context)
        undo = made(
            RollbackOperator, from_action=False, target=KUBERNETES, change=change,
            memo=str(context["ti"].pushed["before"]),
        )  # fmt: skip
        assert act(undo, context_for(PARAMS))["outcome"] == "changed"
        assert cluster.one("deployments", "checkout")["spec"] == before  # type: ignore[index]
        owner = cluster.one("deployments", "checkout")["metadata"]["annotations"]  # type: ignore[index]
        assert owner["planner.dev/plan-id"].startswith("checkout-release/manual__")

    def test_a_task_that_fails_leaves_what_a_rollback_needs(self, cluster: Cluster) -> None:
        cluster.broken_images.add("shop/checkout:2")
        operator = made(
            DeployOperator, from_action=False, target=KUBERNETES, change={"version": "2"},
            progress_deadline=timedelta(milliseconds=50),
        )  # fmt: skip
        context = context_for(PARAMS)
        with pytest.raises(CheckFailedError):
            act(operator, context)
        assert context["ti"].pushed["before"]["version"] == "shop/checkout:1.4.1"

    def test_fields_are_templated(self) -> None:
        operator = made(DeployOperator, DEPLOY, plan_ref=None)
        operator.render_template_fields(context_for(PARAMS))
        assert operator.change == {"version": "1.5.0"}

    def test_a_template_that_gives_nothing_is_refused(self, cluster: Cluster) -> None:
        change = {"image": "{{ params.version }}", "version": "1"}
        operator = made(
            DeployOperator, from_action=False, target={"kubernetes": {"namespace": "shop"}},
            change=change,
        )  # fmt: skip
        with pytest.raises(RefusedError, match=r"kubernetes\.deployment"):
            act(operator, context_for(PARAMS))

    def test_stops_at_once_when_told_to(self, cluster: Cluster) -> None:
        from planner_provider.operators.acting import Acting, Stopped

        cluster.broken_images.add("shop/checkout:2")
        operator = made(
            DeployOperator, from_action=False, target=KUBERNETES, change={"version": "2"}
        )
        operator._acting = Acting(needed=True)
        operator._acting.tell_to_stop("a person stopped the run")
        with pytest.raises(Stopped):
            act(operator, context_for(PARAMS))

    def test_progress_deadline(self, cluster: Cluster) -> None:
        cluster.broken_images.add("shop/checkout:2")
        operator = made(
            DeployOperator, from_action=False, target=KUBERNETES, change={"version": "2"},
            progress_deadline=timedelta(milliseconds=50),
        )  # fmt: skip
        with pytest.raises(CheckFailedError, match="within 50ms"):
            act(operator, context_for(PARAMS))

    def blue_green(self, **more: Any) -> Any:
        return made(
            BlueGreenOperator, from_action=False, target=SERVICE,
            change={"version": "1.5.0"}, traffic=SHIFT, **more,
        )  # fmt: skip

    def test_blue_green_in_one_task(self, sandbox: Sandbox) -> None:
        store = Store()
        operator = self.blue_green(bake=timedelta(minutes=10))
        with pytest.raises(TaskDeferred) as deferred:
            act(operator, context_for(PARAMS, store))
        assert serving(sandbox)[1].weight == 100
        trigger = deferred.value.trigger
        assert trigger.moment == store["baked_until"]
        assert deferred.value.method_name == "baked"
        store["baked_until"] = "2020-01-01T00:00:00+00:00"
        operator.baked(context_for(PARAMS, store), {"due": "x"})
        assert serving(sandbox)[:2] == ("1.5.0", None)
        assert operator.baked(context_for(PARAMS, store), {"due": "x"})["outcome"] == "already so"
        assert [change.act.what for change in sandbox.world.changes()] == [
            "canary", "weight", "promote",
        ]  # fmt: skip

    def test_blue_green_that_is_aborted(self, sandbox: Sandbox) -> None:
        operator = self.blue_green()
        with pytest.raises(AbortedError, match="A person stopped this run"):
            operator.baked(context_for(PARAMS), {"abort": "2026-11-23T10:00:00+00:00"})

    def test_an_unknown_part(self) -> None:
        with pytest.raises(ValueError, match="deploy, switch, promote"):
            self.blue_green(part="half")

    def test_a_memo_that_is_none(self) -> None:
        with http_server():
            undo = made(RollbackOperator, from_action=False, target=SERVICE, memo="None")
            assert act(undo, context_for(PARAMS))["outcome"] == "already so"
        undo = made(RollbackOperator, from_action=False, target=SERVICE, memo="no json")
        with pytest.raises(RefusedError, match="neither JSON"):
            act(undo, context_for(PARAMS))


def test_what_is_not_used_is_not_imported() -> None:
    """These imports cost seconds, and each parse of a DAG and each start of a task pays them."""
    script = """
import sys
from planner_provider.operators import blue_green, deploy, flag, rollback, scale
print(sorted({"kubernetes", "requests", "aiohttp"} & set(sys.modules)))
from planner_provider.hooks.traffic import kubernetes_release
print("airflow.providers.http.hooks.http" in sys.modules)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-2:] == ["[]", "False"]
