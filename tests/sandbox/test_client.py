"""The client, and with it the faults of the API as a client meets them."""

from __future__ import annotations

import pytest

from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.sandbox import Sandbox, SandboxClient


def test_the_plan_id_arrives(client: SandboxClient) -> None:
    client.set_version("payments", "3.0.0")
    (change,) = client.changes()
    assert change.headers["baggage"] == "plan_id=checkout-release-1a2b-7"
    assert (change.service, change.what, change.from_, change.to) == (
        "payments", "version", "2.7.3", "3.0.0",
    )  # fmt: skip


def test_api_error_fails_calls_without_doing_anything(client: SandboxClient) -> None:
    client.fault("api_error", "checkout", value=2)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="503"):
            client.put_canary("checkout", "2.0")
    assert client.changes() == ()
    assert client.put_canary("checkout", "2.0").changed


def test_drop_does_it_but_does_not_say_so(client: SandboxClient) -> None:
    client.fault("drop", "checkout")
    with pytest.raises(UnavailableError, match="did not answer"):
        client.put_canary("checkout", "2.0")
    assert not client.put_canary("checkout", "2.0").changed
    counts = client.change_counts(service="checkout", what="canary", to="2.0")
    assert (counts.effective, counts.no_op) == (1, 1)


def test_hang_up_does_nothing(client: SandboxClient) -> None:
    client.fault("hang_up", calls=1, on="write")
    assert client.service("checkout").canary is None
    with pytest.raises(UnavailableError, match="did not answer"):
        client.put_canary("checkout", "2.0")
    assert client.changes() == ()


@pytest.mark.parametrize(("kind", "done"), [("slow_api", True), ("late_api", False)])
def test_a_client_that_times_out_cannot_know(sandbox: Sandbox, kind: str, done: bool) -> None:
    with SandboxClient(sandbox.url, timeout=0.3) as hasty:
        hasty.fault(kind, "checkout", value=60, on="write")
        with pytest.raises(UnavailableError, match="did not answer"):
            hasty.put_canary("checkout", "2.0")
        assert (hasty.service("checkout").canary is not None) == done


def test_late_calls_are_done_in_the_end(client: SandboxClient) -> None:
    client.fault("late_api", value=0.05, calls=1)
    assert client.put_canary("checkout", "2.0").changed


def test_faults_can_be_listed_lifted_and_end(sandbox: Sandbox, client: SandboxClient) -> None:
    kept = client.fault("errors", "checkout", value=0.5)
    client.fault("down", "auth", for_="30s")
    assert [f.kind for f in client.faults()] == ["errors", "down"]
    sandbox.advance(30)
    assert [f.id for f in client.faults()] == [kept.id]
    (track,) = client.stats("auth", 30).tracks
    assert track.error_ratio == 1
    client.lift_fault(kept.id)
    assert client.faults() == ()
    with pytest.raises(RefusedError, match="404"):
        client.lift_fault(kept.id)


def test_hooks_fail_only_by_faults_of_their_own(sandbox: Sandbox, client: SandboxClient) -> None:
    import requests

    sandbox.fault("api_error", calls=10)
    with requests.post(sandbox.url + "/hooks/chat", json={}, timeout=5) as answer:
        assert answer.status_code == 200
    sandbox.fault("api_error", "hooks", status=429)
    with requests.post(sandbox.url + "/hooks/chat", json={}, timeout=5) as answer:
        assert answer.status_code == 429


def test_nobody_there() -> None:
    with SandboxClient("http://127.0.0.1:1") as lonely:
        assert not lonely.healthy()
        with pytest.raises(UnavailableError, match="did not answer"):
            lonely.services()


def test_healthy(client: SandboxClient) -> None:
    assert client.healthy()
    assert [s.name for s in client.services()][:2] == ["frontend", "checkout"]
