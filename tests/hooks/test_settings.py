from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from planner_provider.errors import MisconfiguredError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.ledger.location import ledger_url


def test_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.sql_alchemy_conn == f"sqlite:///{tmp_path}/planner.db"
    assert settings.ledger_auto_upgrade is True
    assert settings.life_sign == timedelta(seconds=5)
    assert settings.silence == timedelta(seconds=12)


@pytest.mark.parametrize(("given", "token"), [(None, ""), (" secret\n", "secret")])
def test_nobody_reads_metrics_without_a_token(
    monkeypatch: pytest.MonkeyPatch, given: str | None, token: str
) -> None:
    monkeypatch.delenv("AIRFLOW__PLANNER__METRICS_TOKEN", raising=False)
    if given is not None:
        monkeypatch.setenv("AIRFLOW__PLANNER__METRICS_TOKEN", given)
    assert load_settings().metrics_token == token


@pytest.mark.parametrize("seconds", ["0", "-1", "301"])
def test_life_signs_that_make_no_sense(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__LIFE_SIGN_SECONDS", seconds)
    with pytest.raises(MisconfiguredError, match="life_sign_seconds"):
        load_settings()


def test_a_ledger_that_must_not_upgrade_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/x.db")
    monkeypatch.setenv("AIRFLOW__PLANNER__LEDGER_AUTO_UPGRADE", "False")
    with pytest.raises(MisconfiguredError, match="planner ledger upgrade"):
        open_ledger().acts_of("x")


class TestWithoutAirflow:
    def test_the_environment_comes_first(self, tmp_path: Path) -> None:
        (tmp_path / "airflow.cfg").write_text("[planner]\nsql_alchemy_conn = sqlite:////file.db\n")
        home = {"AIRFLOW_HOME": str(tmp_path)}
        env = {**home, "AIRFLOW__PLANNER__SQL_ALCHEMY_CONN": "sqlite:////env.db"}
        assert ledger_url(env) == "sqlite:////env.db"
        assert ledger_url(home) == "sqlite:////file.db"

    @pytest.mark.parametrize("text", ["", "[core]\nx = 100%\n", "no section\n", "[planner]\n"])
    def test_the_default_is_a_file_in_airflow_home(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "airflow.cfg").write_text(text)
        assert ledger_url({"AIRFLOW_HOME": str(tmp_path)}) == f"sqlite:///{tmp_path}/planner.db"
