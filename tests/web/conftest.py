from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.pages import Page, made


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """The app over a ledger of its own, with an Airflow that is told what to know."""
    with made(tmp_path, monkeypatch) as ready:
        yield ready
