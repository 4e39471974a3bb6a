from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planner_provider.hooks.process import Command, Ended, ProcessGroup, inherited_environment


def run(*argv: str, lines: list[str] | None = None, **env: str) -> Ended:
    with ProcessGroup(Command(argv, env)) as group:
        return group.follow((lines if lines is not None else []).append, lambda: False)


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(pid: int, seconds: float = 15) -> bool:
    limit = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not alive(pid)


def test_lines_and_exit_code() -> None:
    lines: list[str] = []
    ended = run("bash", "-c", "echo one; echo two >&2; printf three; exit 3", lines=lines)
    assert lines == ["one", "two", "three"]
    assert (ended.exit_code, ended.last_line, ended.stopped, ended.left_behind) == (
        3,
        "three",
        False,
        False,
    )


def test_the_last_line_is_the_last_that_is_not_blank() -> None:
    assert run("bash", "-c", "echo a; echo; echo '  '").last_line == "a"
    assert run("true").last_line == ""


def test_very_long_lines_are_cut() -> None:
    lines: list[str] = []
    run("bash", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo end", lines=lines)
    assert max(len(line) for line in lines) < 10_000
    assert lines[-1] == "end"


def test_bytes_that_are_not_utf8() -> None:
    lines: list[str] = []
    run("bash", "-c", "printf '\\377a\\n'", lines=lines)
    assert lines == ["\ufffda"]


def test_lines_come_while_the_command_runs(tmp_path: Path) -> None:
    """The command waits for a file that only the receiver of its first line makes."""
    go = tmp_path / "go"
    script = 'echo ready; for i in {1..100}; do [ -e "$1" ] && exit 0; sleep 0.1; done; exit 1'
    with ProcessGroup(Command(["bash", "-c", script, "x", str(go)])) as group:
        assert group.follow(lambda line: go.touch(), lambda: False).exit_code == 0


def test_a_signal_is_a_negative_exit_code() -> None:
    assert run("bash", "-c", "kill -9 $$").exit_code == -9


def test_only_a_part_of_the_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PROD", "secret")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("BASH_ENV", "/etc/passwd")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    lines: list[str] = []
    run("env", lines=lines, GIVEN="1")
    names = {line.partition("=")[0] for line in lines}
    assert names <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "GIVEN"}
    assert {"PATH", "TZ", "GIVEN"} <= names


def test_there_is_always_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert inherited_environment()["PATH"] == os.defpath


def test_stop_ends_the_whole_group() -> None:
    pids: list[str] = []
    script = "sleep 300 & echo $!; sleep 300"
    with ProcessGroup(Command(["bash", "-c", script])) as group:
        ended = group.follow(pids.append, lambda: bool(pids))
    assert ended.stopped
    assert ended.exit_code == -signal.SIGTERM
    assert wait_until_gone(int(pids[0]))


def test_what_ignores_term_is_killed() -> None:
    pids: list[str] = []
    script = "trap '' TERM; echo $$; while true; do sleep 0.1; done"
    with ProcessGroup(Command(["bash", "-c", script]), kill_grace=0.5) as group:
        ended = group.follow(pids.append, lambda: bool(pids))
    assert ended.exit_code == -signal.SIGKILL
    assert wait_until_gone(int(pids[0]))


def test_what_is_left_behind_is_ended_and_said() -> None:
    ended = run("bash", "-c", "sleep 300 >/dev/null 2>&1 & echo $!")
    assert (ended.exit_code, ended.left_behind) == (0, True)
    assert wait_until_gone(int(ended.last_line))


def test_a_background_process_that_holds_the_output_does_not_hold_the_step() -> None:
    ended = run("bash", "-c", "sleep 300 & echo $!")
    assert ended.left_behind
    assert wait_until_gone(int(ended.last_line))


def test_an_error_in_the_block_ends_the_group() -> None:
    with pytest.raises(KeyError), ProcessGroup(Command(["sleep", "300"])) as group:
        raise KeyError
    assert not alive(group.pid)


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError):
        ProcessGroup(Command(["no-such-program-here"]))


WORKER = """
import sys, time
from planner_provider.hooks.process import Command, ProcessGroup
script = "trap '' TERM; sleep 300 & echo $!; while true; do sleep 0.2; done"
with ProcessGroup(Command(["bash", "-c", script])) as group:
    print(group.pid, flush=True)
    group.follow(lambda line: print(line, flush=True), lambda: False)
"""


def test_nothing_outlives_a_worker_that_is_killed() -> None:
    """Neither the command, which ignores TERM, nor what it started."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pids = [int(worker.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in pids)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert all(wait_until_gone(pid) for pid in pids)
