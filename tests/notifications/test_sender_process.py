from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from planner_provider.notifications.sender_process import SenderProcess

MARK = "import sys, time; open(sys.argv[1], 'a').write('x'); time.sleep(float(sys.argv[2]))"


def program(mark: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", MARK, str(mark))


def test_at_most_one_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    sender = SenderProcess(program(mark))
    assert sender.wait(0), "nothing was started"
    sender.wake(timedelta(seconds=0.5))
    sender.wake()
    assert not sender.wait(0.01)
    assert sender.wait(30)
    assert mark.read_text() == "x"
    sender.wake()
    assert sender.wait(30)
    assert mark.read_text() == "xx"


def test_a_program_that_is_not_there_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender = SenderProcess((str(tmp_path / "none"),))
    sender.wake()
    assert sender.wait(0)
    assert "no process could be started" in caplog.text


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="death signals are Linux only")
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = (
        "import time\n"
        "from datetime import timedelta\n"
        "from planner_provider.notifications.sender_process import SenderProcess\n"
        "sender = SenderProcess()\n"
        "sender.wake(timedelta(seconds=60))\n"
        "print(sender._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = os.environ | {"AIRFLOW__PLANNER__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/x.db"}
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        _wait_until_idle(child)
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while _command(child):
        assert time.monotonic() < end, "it goes on alone"
        time.sleep(0.1)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _wait_until_idle(pid: int) -> None:
    """It has imported what it needs, and waits."""
    used, before = 0, -1
    while used == 0 or used != before:
        time.sleep(1)
        used, before = (
            int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]),
            used,
        )
