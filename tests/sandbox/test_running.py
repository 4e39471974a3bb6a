from __future__ import annotations

import time
from pathlib import Path

import pytest

from planner_provider.errors import MisconfiguredError
from planner_provider.sandbox import Sandbox, SandboxClient

from .reading import query, sums_in_file, sums_in_metrics


def test_a_world_outlives_a_restart_with_state(tmp_path: Path, db: Path) -> None:
    state = tmp_path / "state.json"
    with Sandbox(stepped=True, db=db, state=state) as first, SandboxClient(first.url) as client:
        client.put_canary("checkout", "2.0")
        client.set_weight("checkout", 20)
        client.fault("errors", "auth", value=0.2)
        first.advance(33)
        first.world.post("chat", {"text": "hello"}, {})
        query(db, "INSERT INTO schema_version VALUES (2, 'note', '')")
        before = first.world.save()
    with Sandbox(stepped=True, db=db, state=state) as second, SandboxClient(second.url) as client:
        after = second.world.save()
        assert after.generation == before.generation + 1
        for part in ("services", "flags", "faults", "changes", "counts", "totals", "hooks"):
            assert getattr(after, part) == getattr(before, part), part
        assert client.service("orders").schema_version == 2
        second.advance(40)
        assert sums_in_metrics(client.metrics()) == sums_in_file(db)
        client.set_weight("checkout", 30)
        assert [change.seq for change in client.changes()] == [1, 2, 3]


def test_a_change_is_saved_before_it_is_answered(tmp_path: Path, db: Path) -> None:
    state = tmp_path / "state.json"
    killed = Sandbox(stepped=True, db=db, state=state).start()
    try:
        with SandboxClient(killed.url) as client:
            killed.advance(30)
            saved = state.read_bytes()
            client.fault("drop", "checkout")
            client.fault("slow_api", "auth", value=100, on="read")
            with pytest.raises(Exception, match="did not answer"):
                client.put_canary("checkout", "2.0")
            assert b'"2.0"' in state.read_bytes()
            copy = tmp_path / "copy.json"
            copy.write_bytes(saved)
            killed.advance(30)
    finally:
        killed.stop()
    # As after kill -9 between the two writes: the file has more than the saved state.
    with Sandbox(stepped=True, db=db, state=copy) as again, SandboxClient(again.url) as client:
        assert sums_in_metrics(client.metrics()) == sums_in_file(db)


def test_a_real_clock_ticks_and_writes(db: Path) -> None:
    with Sandbox(speed=600, db=db) as running, SandboxClient(running.url) as client:
        assert client.sim().speed == 600
        for _ in range(200):
            sums = sums_in_metrics(client.metrics())
            if sums:
                break
        assert sums
        assert client.sim().epoch > 0
        with pytest.raises(MisconfiguredError):
            running.advance(1)
    assert sum(row[0] for row in sums_in_file(db).values()) >= sum(r[0] for r in sums.values())


def test_the_ticker_writes_without_being_asked(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner_provider.sandbox.running.TICK_S", 0.05)
    with Sandbox(speed=600, db=db):
        for _ in range(400):
            if sums_in_file(db):
                return
            time.sleep(0.02)
    pytest.fail("nothing was written")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"speed": 0}, "speed"),
        ({"speed": 1e6}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"port": 70_000}, "cannot listen"),
        ({"listen": "no such address"}, "cannot listen"),
        ({"db": Path("/nonexistent/x.db")}, "unable to open"),
        ({"state": Path("/nonexistent/x.json")}, "does not exist"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(MisconfiguredError, match=said):
        Sandbox(**arguments)  # type: ignore[arg-type]


def test_a_broken_state_file_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"generation": 1}')
    with pytest.raises(MisconfiguredError, match="move the file away"):
        Sandbox(state=state)
    assert state.read_text() == '{"generation": 1}'


def test_a_port_in_use_is_said(sandbox: Sandbox) -> None:
    with pytest.raises(MisconfiguredError, match="cannot listen"):
        Sandbox(port=sandbox.port)


def test_stopping_twice_is_harmless() -> None:
    sandbox = Sandbox().start()
    assert sandbox.url.startswith("http://127.0.0.1:")
    sandbox.stop()
    sandbox.stop()


def test_in_process_faults_and_changes(sandbox: Sandbox) -> None:
    fault = sandbox.fault("latency", "auth", value=2, for_="5m")
    sandbox.lift_fault(fault)
    assert sandbox.world.all_faults() == ()
    assert sandbox.service("auth").stable == "5.0.2"
    with pytest.raises(KeyError):
        sandbox.service("nobody")
    assert sandbox.messages("chat") == ()
