"""The keeper starts programs, reports them, and never lets one outlive its owner."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from planner_provider.localstack.keeper import Keeper, KeeperError, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are followed on Linux")

# A program with a child that goes to a session of its own and does not listen to TERM.
STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print("child", os.getpid(), flush=True)
    time.sleep(300)
print("parent", os.getpid(), flush=True)
time.sleep(300)
"""

# Programs that a shell starts in the background begin with SIGINT ignored.
OWNER = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from planner_provider.localstack.keeper import Keeper
keeper = Keeper(grace=0.3)
folder = Path(sys.argv[1])
keeper.remove_at_end(folder / "scratch")
argv = [sys.executable, "-c", sys.argv[2]]
keeper.start("stubborn", argv, env=dict(os.environ), cwd=folder, log=folder / "log")
print(keeper.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with Keeper(grace=0.3) as made:
        yield made


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start(keeper: Keeper, folder: Path, code: str, name: str = "program") -> int:
    return keeper.start(
        name,
        [sys.executable, "-c", code],
        env=dict(os.environ),
        cwd=folder,
        log=folder / f"{name}.log",
    )


def start_stubborn(keeper: Keeper, folder: Path) -> tuple[psutil.Process, psutil.Process]:
    start(keeper, folder, STUBBORN)
    return stubborn_pair(folder / "program.log")


def stubborn_pair(log: Path) -> tuple[psutil.Process, psutil.Process]:
    assert until(lambda: log.exists() and len(log.read_text().split()) == 4)
    words = log.read_text().split()
    pids = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return psutil.Process(pids["parent"]), psutil.Process(pids["child"])


def test_output_environment_and_folder_reach_the_program(keeper: Keeper, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(os.environ['COLOUR'], os.getcwd()); print('bad', file=sys.stderr)"
    argv = [sys.executable, "-c", code]
    keeper.start("program", argv, env={"COLOUR": "green"}, cwd=tmp_path, log=log)
    assert until(lambda: "bad" in log.read_text())
    assert f"green {tmp_path}" in log.read_text()


def test_a_program_that_ends_is_reported_with_its_code(keeper: Keeper, tmp_path: Path) -> None:
    pid = start(keeper, tmp_path, "raise SystemExit(3)")
    exits = []
    assert until(lambda: bool(exits.extend(keeper.take_exits()) or exits))
    assert [(e.name, e.pid, e.code) for e in exits] == [("program", pid, 3)]
    assert str(exits[0]) == "program ended with exit code 3"
    assert keeper.process_id("program") is None


def test_a_signal_ends_the_program_but_not_its_child(keeper: Keeper, tmp_path: Path) -> None:
    parent, child = start_stubborn(keeper, tmp_path)
    keeper.signal("program", signal.SIGKILL)
    assert until(lambda: keeper.process_id("program") is None)
    assert str(keeper.take_exits()[0]) == "program was ended by SIGKILL"
    assert not is_alive(parent)
    assert is_alive(child), "an orphan must stay, as after a real crash"
    assert child in keeper.below()


def test_stop_ends_a_program_with_everything_below(keeper: Keeper, tmp_path: Path) -> None:
    parent, child = start_stubborn(keeper, tmp_path)
    other = start(keeper, tmp_path, "import time; time.sleep(300)", name="other")
    keeper.stop("program", grace=0.2)
    assert not is_alive(parent)
    assert not is_alive(child)
    assert keeper.process_id("other") == other


def test_close_ends_orphans_too(tmp_path: Path) -> None:
    keeper = Keeper(grace=0.3)
    parent, child = start_stubborn(keeper, tmp_path)
    keeper.signal("program", signal.SIGKILL)
    assert until(lambda: not is_alive(parent))
    keeper.close()
    keeper.close()
    assert not is_alive(child)
    assert not psutil.pid_exists(keeper.pid)


def test_close_ends_everything_even_if_the_keeper_was_killed(tmp_path: Path) -> None:
    keeper = Keeper(grace=0.3)
    parent, child = start_stubborn(keeper, tmp_path)
    below = keeper.below()
    assert parent in below
    os.kill(keeper.pid, signal.SIGKILL)
    assert until(lambda: not is_alive(parent)), "a program ends with the keeper"
    child.kill()  # nothing is above it any more that could end it
    keeper.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "file").touch()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), STUBBORN],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        keeper = psutil.Process(int(owner.stdout.readline()))
        parent, child = stubborn_pair(tmp_path / "log")
        owner.send_signal(number)
    for process in (keeper, parent, child):
        assert until(lambda process=process: not is_alive(process)), process
    assert not (tmp_path / "scratch").exists()


def test_a_name_can_be_used_again_after_the_end(keeper: Keeper, tmp_path: Path) -> None:
    first = start(keeper, tmp_path, "import time; time.sleep(300)")
    with pytest.raises(KeeperError, match="running already"):
        start(keeper, tmp_path, "pass")
    keeper.stop("program")
    assert start(keeper, tmp_path, "import time; time.sleep(300)") != first


def test_a_program_that_does_not_exist_says_so_in_its_log(keeper: Keeper, tmp_path: Path) -> None:
    log = tmp_path / "log"
    keeper.start("program", ["no-such-program"], env={}, cwd=tmp_path, log=log)
    assert until(lambda: log.exists() and "cannot start no-such-program" in log.read_text())
    exits = []
    assert until(lambda: bool(exits.extend(keeper.take_exits()) or exits))
    assert exits[0].code == 127


def test_a_log_that_cannot_be_written_is_an_error(keeper: Keeper, tmp_path: Path) -> None:
    with pytest.raises(KeeperError, match="cannot start program"):
        keeper.start("program", ["true"], env={}, cwd=tmp_path, log=tmp_path / "no" / "log")


def test_after_close_nothing_can_be_started(tmp_path: Path) -> None:
    keeper = Keeper()
    keeper.close()
    with pytest.raises(KeeperError, match="gone"):
        start(keeper, tmp_path, "pass")
