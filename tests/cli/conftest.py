from __future__ import annotations

from pathlib import Path

import pytest

from planner_provider.cli.inputs import ALLOWED_OPERATORS, SPECS_FOLDER
from tests.cli.runner import GOOD


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own, with no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in (SPECS_FOLDER, ALLOWED_OPERATORS, "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def good(here: Path) -> Path:
    path = here / "good.yaml"
    path.write_text(GOOD)
    return path
