from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planner_provider.cli.inputs import ALLOWED_OPERATORS, SPECS_FOLDER
from planner_provider.ledger.location import ENV_VAR
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import GOOD


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own, with no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in (SPECS_FOLDER, ALLOWED_OPERATORS, "NO_COLOR", ENV_VAR, "AIRFLOW_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def good(here: Path) -> Path:
    path = here / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def ledger_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LedgerCase]:
    """Makes a ledger that the commands find; for the commands that are named it is ``ago()``."""

    def make(*commands: str) -> LedgerCase:
        for command in commands:
            monkeypatch.setattr(f"planner_provider.cli.{command}.now", ago)
        case = LedgerCase(here / "planner.db")
        case.ledger.upgrade()
        monkeypatch.setenv(ENV_VAR, case.url)
        return case

    return make
