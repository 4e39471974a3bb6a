"""docs/production.md: that its configuration is read as it stands, by those whose it is."""

from __future__ import annotations

import configparser
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.cncf.kubernetes.get_provider_info import get_provider_info as kubernetes_info

from planner_provider.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
FRAGMENTS = re.findall(r"^```ini\n(.*?)^```$", GUIDE, re.M | re.S)
NOT_INSTALLED = {"celery": {"broker_url", "result_backend"}}
"""Sections of providers that are no requirement, with the options that the guide was tried with."""


def options() -> list[tuple[str, str]]:
    return [
        (section, name)
        for text in FRAGMENTS
        for section, found in parsed(text).items()
        for name in found
    ]


def parsed(text: str) -> dict[str, dict[str, str]]:
    """Read as Airflow reads it, interpolation included."""
    parser = configparser.ConfigParser(default_section="none")
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def known() -> dict[str, set[str]]:
    root = Path(next(iter(find_spec("airflow").submodule_search_locations)))  # type: ignore
    core: dict[str, Any] = yaml.safe_load((root / "config_templates" / "config.yml").read_text())
    sections = core | get_provider_info()["config"] | kubernetes_info()["config"]
    return {name: set(section["options"]) for name, section in sections.items()} | NOT_INSTALLED


def test_there_is_one_to_begin_with_and_one_for_kubernetes() -> None:
    assert [parsed(text)["core"]["executor"] for text in FRAGMENTS] == [
        "CeleryExecutor", "KubernetesExecutor",
    ]  # fmt: skip


@pytest.mark.parametrize(("section", "name"), options())
def test_each_option_is_one(section: str, name: str) -> None:
    assert name in known()[section]


def test_the_bundle_is_one() -> None:
    (bundle,) = json.loads(parsed(FRAGMENTS[0])["dag_processor"]["dag_bundle_config_list"])
    assert find_spec(bundle["classpath"].rpartition(".")[0])
    assert bundle["kwargs"]["git_conn_id"] in GUIDE.split("airflow connections add ")[1]


def test_the_celery_that_it_names_is_the_one_of_the_image() -> None:
    wanted = re.search(r'"celery<(\d+)\.(\d+)"', GUIDE)
    locked = re.search(
        r"^celery==(\d+)\.(\d+)\.", (ROOT / "deploy" / "requirements.lock").read_text(), re.M
    )
    assert wanted
    assert locked
    assert tuple(map(int, locked.groups())) < tuple(map(int, wanted.groups()))
    assert f"celery<{wanted[1]}.{wanted[2]}" in (ROOT / "deploy" / "requirements.in").read_text()


def test_files_that_it_names_are_there() -> None:
    named = set(re.findall(r"`((?:deploy|dags)/[\w./*-]+)`", GUIDE))
    assert len(named) > 5
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []
