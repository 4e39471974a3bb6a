from __future__ import annotations

from typing import Any

import pytest

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from planner_provider.hooks.kubernetes import JSON_PATCH, STRATEGIC, BusyError
from tests.hooks.kubernetes_emulator import Asked, Cluster, deployment
from tests.hooks.traffic.shop import (
    DEPLOYMENT,
    NEW,
    OLD,
    end,
    image,
    shop,
)
from tests.hooks.traffic.worlds import OWNER, kubernetes_release

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


class TestDeploy:
    def test_the_request(self, cluster: Cluster) -> None:
        shop(cluster)
        version = cluster.one("deployments", "checkout")["metadata"]["resourceVersion"]  # type: ignore[index]
        change = {
            "image": NEW,
            "env": {"MODE": "b"},
            "patch": {"spec": {"minReadySeconds": 5, "template": {"spec": {"priority": None}}}},
        }
        assert kubernetes_release(change=change).deploy().changed
        (patch,) = cluster.changes()
        assert (patch.method, patch.path, patch.query) == ("PATCH", DEPLOYMENT, {})
        assert patch.content_type == STRATEGIC
        assert patch.authorization == "Bearer t0ken"
        assert patch.body == {
            "metadata": {
                "resourceVersion": version,
                "annotations": {"planner.dev/plan-id": OWNER},
            },
            "spec": {
                "minReadySeconds": 5,
                "template": {
                    "spec": {
                        "priority": None,
                        "containers": [
                            {
                                "name": "app",
                                "image": NEW,
                                "env": [{"name": "MODE", "value": "b"}],
                            }
                        ],
                    }
                },
            },
        }

    def test_again_changes_nothing(self, cluster: Cluster) -> None:
        shop(cluster)
        kubernetes_release().deploy()
        done = kubernetes_release().deploy()
        assert not done.changed
        assert len(cluster.changes()) == 1

    def test_waits_until_it_is_rolled_out(self, cluster: Cluster) -> None:
        shop(cluster)
        kubernetes_release().deploy()
        after = cluster.asked[cluster.asked.index(cluster.changes()[0]) + 1 :]
        assert len(after) == 2, "the first look after the change still shows the old status"

    def test_by_version_the_tag_changes(self, cluster: Cluster) -> None:
        shop(cluster)
        kubernetes_release(change={"version": "2.0"}).deploy()
        assert image(cluster) == "shop/checkout:2.0"

    def test_somebody_changes_it_at_the_same_time(self, cluster: Cluster) -> None:
        shop(cluster)
        times: list[int] = []

        def meddle(asked: Asked) -> None:
            if asked.method == "PATCH" and len(times) < 2:
                times.append(1)
                cluster._stamp(cluster.one("deployments", "checkout"))  # type: ignore[arg-type]

        cluster.meddle = meddle
        kubernetes_release().deploy()
        assert image(cluster) == NEW
        assert len(cluster.changes()) == 3

    def test_a_failure_names_pod_condition_and_event(self, cluster: Cluster) -> None:
        shop(cluster).broken_images.add(NEW)
        waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
        pod = {
            "metadata": {"name": "checkout-abc-1", "labels": {"app": "checkout"}},
            "status": {
                "phase": "Pending",
                "containerStatuses": [{"name": "app", "state": {"waiting": waiting}}],
            },
        }
        cluster.add("pods", pod)
        event = {
            "metadata": {"name": "e1"},
            "involvedObject": {"name": "checkout-abc-1"},
            "type": "Warning",
            "reason": "Failed",
            "message": "manifest unknown",
        }
        cluster.add("events", event)
        with pytest.raises(CheckFailedError) as caught:
            kubernetes_release().deploy()
        text = str(caught.value)
        assert "did not come about within 1m: 0 of 4 updated replicas are available" in text
        assert "pod checkout-abc-1: container app is waiting: ImagePullBackOff, Back-off" in text
        assert "event Failed: manifest unknown" in text

    def test_kubernetes_gives_up(self, cluster: Cluster) -> None:
        shop(cluster).broken_images.add(NEW)

        def meddle(asked: Asked) -> None:
            found = cluster.one("deployments", "checkout")
            if found and found["status"].get("availableReplicas") == 0:
                found["status"]["conditions"] = [
                    {
                        "type": "Progressing",
                        "status": "False",
                        "reason": "ProgressDeadlineExceeded",
                        "message": "ReplicaSet has timed out progressing",
                    }
                ]

        cluster.meddle = meddle
        with pytest.raises(CheckFailedError, match=r"gave up .* has timed out progressing"):
            kubernetes_release().deploy()

    @pytest.mark.parametrize(
        ("status", "error", "hint"),
        [
            (401, MisconfiguredError, "Renew the credentials"),
            (403, RefusedError, "RBAC"),
            (422, RefusedError, "is invalid"),
            (429, BusyError, "429"),
            (503, UnavailableError, "503"),
        ],
    )
    def test_what_the_api_answers(
        self, cluster: Cluster, status: int, error: type[Exception], hint: str
    ) -> None:
        shop(cluster)
        cluster.refuse = lambda asked: (
            (status, "Deployment is invalid") if asked.method == "PATCH" else None
        )
        with pytest.raises(error, match=hint) as caught:
            kubernetes_release().deploy()
        assert type(caught.value) is error
        assert image(cluster) == OLD

    def test_an_api_that_fails_while_it_is_waited_for(self, cluster: Cluster) -> None:
        shop(cluster)
        seen: list[str] = []

        def refuse(asked: Asked) -> tuple[int, str] | None:
            seen.append(asked.method)
            return (503, "no leader") if seen.count("PATCH") and len(seen) in (3, 4) else None

        cluster.refuse = refuse
        assert kubernetes_release().deploy().changed

    def test_there_is_no_such_deployment(self, cluster: Cluster) -> None:
        with pytest.raises(RefusedError, match="404"):
            kubernetes_release().deploy()

    def test_a_paused_one_is_refused(self, cluster: Cluster) -> None:
        shop(cluster).add("deployments", deployment(paused=True))
        with pytest.raises(RefusedError, match="paused"):
            kubernetes_release().deploy()

    @pytest.mark.parametrize(
        ("patch", "what"),
        [
            ({"metadata": {"name": "other"}}, "metadata.name"),
            ({"spec": {"selector": {}}}, "spec.selector"),
            ({"status": {}}, "status"),
        ],
    )
    def test_what_a_patch_must_not_touch(
        self, cluster: Cluster, patch: dict[str, Any], what: str
    ) -> None:
        with pytest.raises(RefusedError, match=what):
            kubernetes_release(change={"patch": patch})

    def test_several_containers_need_a_name(self, cluster: Cluster) -> None:
        body = deployment()
        body["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "p:1"})
        shop(cluster).add("deployments", body)
        with pytest.raises(RefusedError, match=r"containers app, proxy; say .* `container`"):
            kubernetes_release().deploy()
        kubernetes_release(container="proxy").deploy()
        assert image(cluster) == OLD

    def test_a_name_that_cannot_be_one(self, cluster: Cluster) -> None:
        with pytest.raises(RefusedError, match="cannot be the name of a namespace"):
            kubernetes_release(namespace="shop/../kube-system")


class TestRestore:
    def test_puts_template_and_spec_back(self, cluster: Cluster) -> None:
        shop(cluster)
        before = end(cluster)
        patch = {
            "spec": {"minReadySeconds": 5},
            "metadata": {"annotations": {"kubernetes.io/change-cause": "x"}},
        }
        change = {"image": NEW, "patch": patch}
        memo = kubernetes_release(change=change).memo()
        kubernetes_release(change=change).deploy()
        assert kubernetes_release(change=change).restore(memo).changed
        assert end(cluster) == before
        last = cluster.changes()[-1]
        assert (last.method, last.path, last.content_type) == ("PATCH", DEPLOYMENT, JSON_PATCH)
        assert [(op["op"], op["path"]) for op in last.body] == [
            ("test", "/metadata/resourceVersion"),
            ("remove", "/spec/minReadySeconds"),
            ("add", "/spec/template"),
            ("remove", "/metadata/annotations/kubernetes.io~1change-cause"),
        ]
        assert not kubernetes_release(change=change).restore(memo).changed

    def test_what_somebody_else_deployed_since_stays(self, cluster: Cluster) -> None:
        shop(cluster)
        memo = kubernetes_release().memo()
        kubernetes_release().deploy()
        kubernetes_release(change={"version": "9"}, owner="other").deploy()
        with pytest.raises(RefusedError, match="Somebody else changed it since"):
            kubernetes_release().restore(memo)
        assert image(cluster) == "shop/checkout:9"

    def test_the_memo_of_another_deployment(self, cluster: Cluster) -> None:
        shop(cluster)
        memo = kubernetes_release().memo() | {"name": "payments"}
        with pytest.raises(RefusedError, match="about Deployment shop/payments"):
            kubernetes_release().restore(memo)
