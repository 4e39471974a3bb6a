from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from planner_provider.operators.acting import Stopped
from planner_provider.spec.actions import Shell
from tests.operators.airflow_context import PLAN_ID, act, build, context_for


def shell(command: Any, **values: Any) -> Shell:
    return Shell.model_validate({"command": command, **values})


def test_text_is_run_by_bash_and_the_last_line_is_the_result() -> None:
    operator = build("shell", shell("echo first; echo {{ params.version }} | tr a-z A-Z"))
    assert act(operator, context_for({"version": "v1"})) == "V1"


def test_a_list_is_run_as_it_is() -> None:
    operator = build("shell", shell(["echo", "{{ params.text }}", "; id"]))
    assert act(operator, context_for({"text": "$HOME `id`"})) == "$HOME `id` ; id"


@pytest.mark.parametrize(
    "command", ["false; echo on", "echo $nothing; echo on", "false | cat; echo on"]
)
def test_bash_stops_at_the_first_failure(command: str) -> None:
    with pytest.raises(CheckFailedError, match=r"exit code 1\."):
        act(build("shell", shell(command)))


def test_the_command_knows_its_plan_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PROD", "http://u:secret@h")
    script = 'echo "$PLANNER_PLAN_ID $PLANNER_PLAN $PLANNER_STEP $GIVEN ${AIRFLOW_CONN_PROD:-none}"'
    operator = build(
        "shell", shell(script, env={"GIVEN": "{{ params.x }}", "PLANNER_STEP": "fake"})
    )
    expected = f"{PLAN_ID} checkout-release shift 5 none"
    assert act(operator, context_for({"x": 5})) == expected
    assert act(build("shell", shell("echo $BAGGAGE"))).startswith(f"plan_id={PLAN_ID},")


def test_working_directory(tmp_path: Path) -> None:
    operator = build("shell", shell("pwd -P", working_directory="{{ params.where }}"))
    assert act(operator, context_for({"where": str(tmp_path)})) == str(tmp_path.resolve())


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, CheckFailedError),
        (2, CheckFailedError),
        (75, UnavailableError),
        (77, RefusedError),
        (78, MisconfiguredError),
        (126, MisconfiguredError),
    ],
)
def test_exit_codes_by_consequence(code: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        act(build("shell", shell(f"echo the disk is full; exit {code}")))
    assert type(caught.value) is error
    assert f"exit code {code}" in str(caught.value)
    assert "Its last line: 'the disk is full'" in str(caught.value)


def test_death_by_a_signal() -> None:
    with pytest.raises(CheckFailedError, match=r"ended by signal 9; was there enough memory\?"):
        act(build("shell", shell("kill -9 $$")))


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(MisconfiguredError, match="exit code 127: a program is not found"):
        act(build("shell", shell("no-such-program-here")))
    with pytest.raises(MisconfiguredError, match="no-such-program-here could not be started"):
        act(build("shell", shell(["no-such-program-here"])))


def test_output_goes_to_the_log() -> None:
    operator = build("shell", shell("echo one; echo two >&2; sleep 300 >/dev/null &"))
    with capture_logs() as lines:
        act(operator)
    messages = [line["event"] % line.get("positional_args", ()) for line in lines]
    assert messages[:2] == ["one", "two"]
    assert any("left processes running" in message for message in messages)


def test_on_kill_ends_the_command(tmp_path: Path) -> None:
    """Not in a plan: the journal is the mixin's matter."""
    started = tmp_path / "started"
    operator = build("shell", shell(f"touch {started}; sleep 300"), plan_ref=None)

    def kill() -> None:
        while not started.exists():
            time.sleep(0.05)
        operator.on_kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Stopped):
        operator.execute(context_for())
    thread.join()
