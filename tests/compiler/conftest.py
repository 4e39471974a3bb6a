"""A bundle in a temporary folder: ``dags/``, ``plan_specs/`` and an Airflow home beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import DAG

import tests.operators.airflow_context  # noqa: F401
from planner_provider.compiler.compilation import Compiler
from planner_provider.compiler.loader import load_plans, raise_spec_errors
from planner_provider.errors import SpecError
from planner_provider.ledger import Ledger

TEAM = "apiVersion: planner/v1\nkind: Team\nmetadata: {name: team-shop}\nspec: {notify: [chat]}\n"


def plan(name: str, message: str = "hello") -> str:
    """The text of a good spec."""
    return (
        "apiVersion: planner/v1\n"
        "kind: Plan\n"
        f"metadata: {{name: {name}, owner: team-shop}}\n"
        "spec:\n"
        f"  summary: The plan {name}\n"
        "  steps:\n"
        f"    - {{id: tell, notify: {{message: {message}}}}}\n"
    )


class Bundle:
    """What a repository with plans has, and what Airflow would do with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.specs = root / "plan_specs"
        self.home = root / "home"
        self.compiler = Compiler(self.specs, self.home / "planner" / "compiled")

    def write(self, file: str, *documents: str) -> Path:
        path = self.specs / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(documents))
        return path

    def load(self) -> dict[str, DAG]:
        return load_plans(str(self.root / "dags" / "plans.py"))

    def error(self) -> str:
        """What the companion file shows; empty if all is well."""
        try:
            raise_spec_errors(str(self.root / "dags" / "plan_spec_errors.py"))
        except SpecError as error:
            return str(error)
        return ""

    @property
    def ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.home / 'planner.db'}")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    made = Bundle(tmp_path)
    monkeypatch.setenv("AIRFLOW_HOME", str(made.home))
    made.home.mkdir()
    made.write("000-teams.yaml", TEAM)
    made.write("good.yaml", plan("good"))
    made.write("other.yaml", plan("other"))
    return made
