"""What the local Airflow is told through its environment."""

import json
import os
from pathlib import Path

import pytest

from planner_provider.localstack.settings import StackSettings, free_port


def test_everything_stays_on_this_machine(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, port=18111)
    env = settings.environment()
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18111/execution/"
    assert env["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert settings.url == "http://127.0.0.1:18111"


def test_keys_and_passwords_are_random_and_private(tmp_path: Path) -> None:
    one = StackSettings(home=tmp_path / "one", users={"ann": "admin", "bob": "user"})
    two = StackSettings(home=tmp_path / "two")
    for name in ("API_AUTH__JWT_SECRET", "CORE__FERNET_KEY", "API__SECRET_KEY"):
        values = {settings.environment()[f"AIRFLOW__{name}"] for settings in (one, two)}
        assert len(values) == 2
        assert all(len(value) >= 44 for value in values)
    one.prepare_home()
    passwords = one.passwords()
    assert set(passwords) == {"ann", "bob"}
    assert passwords["ann"] != passwords["bob"]
    assert one.passwords_file.stat().st_mode & 0o077 == 0
    one.prepare_home()
    assert one.passwords() == passwords, "a home that is used again keeps its passwords"
    assert one.environment()["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "ann:admin,bob:user"


def test_the_callers_airflow_does_not_leak_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_PROD", "http://example.com")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("COLOUR", "green")
    env = StackSettings(home=tmp_path).environment()
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONN_PROD" not in env
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert env["COLOUR"] == "green"
    assert env["AIRFLOW_HOME"] == str(tmp_path)


def test_dags_specs_bundles_and_own_settings(tmp_path: Path) -> None:
    bundles = json.dumps([{"name": "specs"}])
    env = StackSettings(
        home=tmp_path,
        dags=tmp_path / "dags",
        specs=tmp_path / "specs",
        bundles=bundles,
        env={"AIRFLOW__CORE__PARALLELISM": "3"},
    ).environment()
    assert env["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "dags")
    assert env["AIRFLOW__PLANNER__SPECS_FOLDER"] == str(tmp_path / "specs")
    assert env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] == bundles
    assert env["AIRFLOW__CORE__PARALLELISM"] == "3"


def test_fast_changes_only_timing(tmp_path: Path) -> None:
    fast = StackSettings(home=tmp_path, port=1).environment()
    slow = StackSettings(home=tmp_path, port=1, fast=False).environment()
    assert fast["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"] == "0.1"
    extra = set(fast) - set(slow)
    assert "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME" in extra
    assert all(fast[name].replace(".", "").isdigit() for name in extra)


def test_the_environments_own_programs_come_first(tmp_path: Path) -> None:
    first, _, rest = StackSettings(home=tmp_path).environment()["PATH"].partition(os.pathsep)
    assert (Path(first) / "python").exists()
    assert rest == os.environ["PATH"]


def test_a_free_port_can_be_taken() -> None:
    assert 1024 < free_port() < 65536
