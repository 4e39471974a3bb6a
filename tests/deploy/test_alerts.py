"""The alert rules: that promtool takes them, that each is tested both ways, and that docs help."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner_provider.metrics.definitions import DEFINITIONS

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "alerts"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((ALERTS / "planner.rules.yml").read_text())["groups"]
    for rule in group["rules"]
}
TESTS = yaml.safe_load((ALERTS / "planner.test.yml").read_text())["tests"]


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", ALERTS / "planner.rules.yml")


def test_they_fire_when_they_should() -> None:
    promtool("test", "rules", ALERTS / "planner.test.yml")


def test_promtool_would_notice_a_rule_that_never_fires(tmp_path: Path) -> None:
    text = (ALERTS / "planner.rules.yml").read_text()
    (tmp_path / "planner.rules.yml").write_text(text.replace("> 4", "> 400"))
    (tmp_path / "planner.test.yml").write_text((ALERTS / "planner.test.yml").read_text())
    with pytest.raises(AssertionError, match="PlannerBurnRate fires"):
        promtool("test", "rules", tmp_path / "planner.test.yml")


@pytest.mark.parametrize("name", RULES)
def test_each_is_tried_both_ways(name: str) -> None:
    own = [
        bool(tried["exp_alerts"])
        for test in TESTS
        for tried in test["alert_rule_test"]
        if tried["alertname"] == name
    ]
    assert sorted(own) == [False, True]


@pytest.mark.parametrize("name", RULES)
def test_each_says_how_urgent_it_is_and_where_to_read_on(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert {"summary", "description", "runbook"} == set(rule["annotations"])
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    titles = re.findall(r"^## (\w+)$", (ROOT / file).read_text(encoding="utf-8"), re.M)
    assert anchor == name.lower()
    assert name in titles


def test_docs_have_no_other_alerts() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (Planner\w+)$", text, re.M)) == set(RULES)
    for name, rule in RULES.items():
        own = text.split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
        assert f"**{rule['labels']['severity']}**" in own, name


@pytest.mark.parametrize("name", RULES)
def test_they_ask_for_metrics_that_there_are(name: str) -> None:
    known = {definition.exposed for definition in DEFINITIONS}
    asked = set(re.findall(r"\bplanner_\w+", RULES[name]["expr"]))
    assert asked
    assert asked <= known


def test_the_example_for_alertmanager_hangs_together() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager.yml").read_text())
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} == receivers
    assert config["route"]["group_by"] == ["plan"]
    severities = {rule["labels"]["severity"] for rule in RULES.values()}
    assert severities == {"page", "ticket"}
    assert config["route"]["routes"][0]["matchers"] == ['severity="page"']
