"""The sandbox's dashboard asks for metrics that the sandbox has."""

import json
import re
import urllib.request
from pathlib import Path

from planner_provider.sandbox.running import Sandbox

BOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "sandbox.json"


def test_every_metric_of_the_dashboard_is_exposed() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    asked = {
        metric
        for panel in board["panels"]
        for target in panel["targets"]
        for metric in re.findall(r"\b((?:http|sandbox)_\w+)\b", target["expr"])
    }
    with (
        Sandbox(seed=1, stepped=True) as sandbox,
        urllib.request.urlopen(f"{sandbox.url}/metrics") as answer,
    ):
        text = answer.read().decode()
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    exposed = families | {f"{name}_bucket" for name in families}
    assert len(asked) >= 5
    assert asked <= exposed
