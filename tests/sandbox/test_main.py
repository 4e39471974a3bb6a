from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planner_provider.sandbox import SandboxClient
from planner_provider.sandbox.__main__ import main

from .reading import query

COMMAND = [sys.executable, "-m", "planner_provider.sandbox"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_from_ready_to_the_end(tmp_path: Path, number: signal.Signals) -> None:
    db, portfile = tmp_path / "x.db", tmp_path / "port"
    config = tmp_path / "world.json"
    config.write_text('{"services": [{"name": "shop", "version": "1", "rps": 0.2}]}')
    arguments = ["--stepped", "--seed", "3", "--db", db, "--portfile", portfile, "--config", config]
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.removeprefix("sandbox ready at ").strip()
        assert url == f"http://127.0.0.1:{portfile.read_text().strip()}"
        with SandboxClient(url) as client:
            client.advance(600)
            assert [service.name for service in client.services()] == ["shop"]
            # A call that waits must not hold up the end.
            client.fault("slow_api", value=100)
            address = ("127.0.0.1", int(portfile.read_text()))
            with socket.create_connection(address, timeout=20) as waiting:
                waiting.sendall(
                    b"PUT /flags/seen HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n"
                    b'{"enabled": true}'
                )
                while not client.changes():
                    time.sleep(0.01)
                process.send_signal(number)
                rest, errors = process.communicate(timeout=20)
                assert waiting.recv(100) == b""
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest, errors) == (0, "", "")
    assert not portfile.exists()
    assert not Path(f"{db}-wal").exists(), "closed cleanly"
    ((requests,),) = query(db, "SELECT sum(requests) FROM requests")
    assert requests == pytest.approx(120, abs=50)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--speed", "0"], "speed 0 is not between"),
        (["--db", "/nonexistent/x.db"], "unable to open"),
        (["--config", "/nonexistent.json"], "cannot use the configuration"),
        (["--listen", "no.such.invalid"], "cannot listen"),
    ],
)
def test_what_cannot_start_says_why(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert main(arguments) == 2
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_only_this_machine_is_served_unless_told_otherwise() -> None:
    from planner_provider.sandbox.__main__ import _parser

    assert _parser().parse_args([]).listen == "127.0.0.1"
    assert _parser().parse_args(["--listen", "0.0.0.0"]).listen == "0.0.0.0"


def test_the_sandbox_never_imports_airflow() -> None:
    code = "import planner_provider.sandbox, sys; sys.exit('airflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
