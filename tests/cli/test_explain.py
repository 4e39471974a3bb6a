from __future__ import annotations

import json
from pathlib import Path

from tests.cli.runner import BAD, GOOD, planner


def test_text(good: Path) -> None:
    ended = planner("explain", good)
    assert ended.code == 0
    assert ended.out.startswith("good: A good plan\nOwner team-a, version ")
    assert "    1. put: DELETE /a on connection api\n" in ended.out


def test_json(here: Path, good: Path) -> None:
    one = json.loads(planner("explain", good, "--format", "json").out)
    assert one["undone"] == [{"step": "put", "how": "DELETE /a on connection api"}]
    (here / "other.yaml").write_text(GOOD.replace("name: good", "name: other"))
    several = json.loads(planner("explain", here, "--format", "json").out)
    assert [item["plan"] for item in several] == ["good", "other"]


def test_next_starts_come_from_the_clock(here: Path) -> None:
    (here / "plan.yaml").write_text(
        GOOD.replace("  steps:", '  schedule: {cron: "0 2 * * *"}\n  steps:')
    )
    starts = json.loads(planner("explain", "plan.yaml", "-f", "json").out)["next_starts"]
    assert len(starts) == 3
    assert all(start.endswith("02:00 UTC") for start in starts)


def test_errors(here: Path) -> None:
    (here / "bad.yaml").write_text(BAD)
    ended = planner("explain", "bad.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert "did you mean 'summary'" in ended.err


def test_next_starts_come_from_the_calendar(here: Path) -> None:
    calendar = (
        "---\napiVersion: planner/v1\nkind: Calendar\nmetadata: {name: nights}\nspec:\n"
        "  timezone: Europe/Berlin\n"
        '  windows: [{dtstart: 2020-01-01T22:00, rrule: "FREQ=DAILY", duration: PT4H}]\n'
    )
    schedule = "  schedule: {calendar: nights, needs: 1h}\n  steps:"
    (here / "plan.yaml").write_text(GOOD.replace("  steps:", schedule) + calendar)
    starts = json.loads(planner("explain", "plan.yaml", "-f", "json").out)["next_starts"]
    assert len(starts) == 3
    assert all(" 22:00 CE" in start for start in starts)
    assert "at each opening of calendar nights, if 1h are left" in planner(
        "explain", "plan.yaml"
    ).out.replace("\n", " ").replace("  ", " ")
