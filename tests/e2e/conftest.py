"""The order of the tests with real parts: the longest files first, so that no worker idles."""

from __future__ import annotations

import pytest

LONG = (
    "test_kill_matrix", "test_situations", "test_approval", "test_patch", "test_windows",
    "test_plans_page_e2e", "test_canary", "test_rollback",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort; within a file, and among the others, the order stays."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    name = item.path.name
    return next((place for place, long in enumerate(LONG) if name.startswith(long)), len(LONG))
