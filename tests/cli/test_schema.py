from __future__ import annotations

import json
from pathlib import Path

from tests.cli.runner import planner


def test_schema(here: Path) -> None:
    ended = planner("schema")
    assert ended.code == 0
    assert json.loads(ended.out)["$schema"].startswith(
        ("http://json-schema.org/", "https://json-schema.org/")
    )
    assert planner("schema", "-o", "planner.schema.json").out == ""
    assert (here / "planner.schema.json").read_text() == ended.out
