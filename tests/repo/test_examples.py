"""The example DAGs work, and each operator and sensor that Airflow is told of is in one of them."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from planner_provider.hooks.slo_documents import load_slos
from planner_provider.provider_info import get_provider_info
from planner_provider.sandbox import Sandbox
from planner_provider.spec.delivery import Canary
from tests.operators.airflow_context import act, context_for

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "examples"
FILES = sorted(FOLDER.glob("*.py"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")
ONLY_IN_PLANS = {"planner_provider.operators.frame"}
"""The tasks around the steps of a plan have no use without one."""

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
kept = {
    dag_id: sorted(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids)
    for dag_id, dag in bag.dags.items()
}
print("PARSED", json.dumps([bag.import_errors, kept]))
"""


def module_of(file: Path) -> ModuleType:
    """A DAG file, imported as Airflow does."""
    spec = spec_from_file_location(f"examples_{file.stem}", file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


DAGS = {
    value.dag_id: value
    for file in FILES
    for value in vars(module_of(file)).values()
    if isinstance(value, DAG)
}


def listed_classes() -> list[type[Any]]:
    """The public operators and sensors of the modules that Airflow is told of."""
    info = get_provider_info()
    modules = {
        module
        for kind in ("operators", "sensors")
        for item in info[kind]
        for module in item["python-modules"]
    }
    return [
        value
        for name in sorted(modules - ONLY_IN_PLANS)
        for attribute, value in vars(import_module(name)).items()
        if inspect.isclass(value) and issubclass(value, BaseOperator)
        if value.__module__ == name and not attribute.startswith("_")
    ]


def test_there_are_examples() -> None:
    assert len(FILES) >= 5
    assert len(DAGS) >= len(FILES)


@pytest.mark.parametrize("dag_id", sorted(DAGS))
def test_a_dag_is_whole(dag_id: str) -> None:
    dag = DAGS[dag_id]
    assert dag.task_ids
    assert "example" in dag.tags
    assert dag.schedule is None, "an example must not start by itself"
    for task in dag.tasks:
        assert getattr(task, "plan_ref", None) is None


@pytest.mark.parametrize("made", listed_classes(), ids=lambda made: made.__name__)
def test_every_listed_class_is_in_an_example(made: type[Any]) -> None:
    used = {type(task) for dag in DAGS.values() for task in dag.tasks}
    assert made in used


def test_airflow_finds_and_keeps_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARSE, FOLDER],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("PARSED "))
    errors, kept = json.loads(line.removeprefix("PARSED "))
    assert errors == {}
    assert kept == {dag_id: sorted(dag.task_ids) for dag_id, dag in DAGS.items()}


@pytest.mark.parametrize("dag_id", sorted(DAGS))
def test_templates_name_what_is_there(dag_id: str) -> None:
    dag = DAGS[dag_id]
    for task in dag.tasks:
        text = repr([getattr(task, field) for field in task.template_fields])
        assert set(re.findall(r"params\.(\w+)", text)) <= set(dag.params)
        assert set(re.findall(r"xcom_pull\(\W*(\w+)", text)) <= set(dag.task_ids)


@pytest.mark.parametrize("dag_id", sorted(DAGS))
def test_a_failure_is_never_hidden_by_what_puts_it_back(dag_id: str) -> None:
    """A run is as green as its leaves: one of them must not come after a failure."""
    leaves = DAGS[dag_id].leaves
    assert any(leaf.trigger_rule.value == "all_success" for leaf in leaves)
    undoing = [task for task in DAGS[dag_id].tasks if task.trigger_rule.value == "one_failed"]
    for undo in undoing:
        after = {undo.task_id, *undo.get_flat_relative_ids(upstream=False)}
        assert {leaf.task_id for leaf in leaves} - after


def test_the_slos_of_the_gates_are_there() -> None:
    gates = [t for t in DAGS["example_slo_gate"].tasks if hasattr(t, "documents")]
    assert gates
    for gate in gates:
        found = load_slos(gate.slos, gate.documents)
        assert [slo.name for slo in found] == gate.slos


def test_the_canary_is_one_that_a_spec_could_say() -> None:
    weights = [task for task in DAGS["example_canary"].tasks if hasattr(task, "weight")]
    step = weights[0]
    Canary.model_validate(
        {
            "target": step.target,
            "change": step.change,
            "traffic": step.traffic,
            "steps": [{"weight": task.weight, "bake": "10m"} for task in weights],
            "analysis": step.analysis,
        }
    )
    assert [task.last for task in weights] == [False, True]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(stepped=True, db=tmp_path / "sandbox.db") as running:
        database = {"conn_type": "sqlite", "host": str(tmp_path / "sandbox.db")}
        monkeypatch.setenv("AIRFLOW_CONN_SANDBOX", running.url)
        monkeypatch.setenv("AIRFLOW_CONN_SANDBOX_DB", json.dumps(database))
        yield running


class Run:
    """Carries out single tasks of an example, one after the other, with their XComs."""

    def __init__(self, dag_id: str) -> None:
        file = next(file for file in FILES if dag_id.startswith(file.stem))
        self.dag = next(v for v in vars(module_of(file)).values() if isinstance(v, DAG))
        self.params = {name: self.dag.params[name] for name in self.dag.params}
        self.pushed: dict[tuple[str, str], Any] = {}

    def do(self, task_id: str) -> Any:
        context = context_for(self.params, task_id=task_id)
        ti = context["ti"]
        ti.xcom_pull = lambda of, key: self.pushed.get((of, key))
        result = act(copy(self.dag.get_task(task_id)), context)  # rendering changes it
        self.pushed |= {(task_id, key): value for key, value in ti.pushed.items()}
        return result


def test_the_canary_starts_and_goes_back(sandbox: Sandbox) -> None:
    run = Run("example_canary")
    service = sandbox.world.service("checkout")
    assert service
    before = service.stable
    assert run.do("back")["outcome"] == "already so", "nothing was done yet"
    run.do("deploy")
    canary = sandbox.world.service("checkout")
    assert canary
    assert canary.canary is not None
    assert run.do("back")["outcome"] == "changed"
    after = sandbox.world.service("checkout")
    assert after
    assert (after.stable, after.canary) == (before, None)


def test_the_flag_is_set_and_put_back(sandbox: Sandbox) -> None:
    run = Run("example_delivery")

    def share() -> int:
        return next(f.percentage for f in sandbox.world.flags() if f.name == "dark_mode")

    before = share()
    run.do("flag")
    assert share() == 50
    run.do("unflag")
    assert share() == before != 50


def test_the_plain_actions_that_the_sandbox_can_take_are_done(sandbox: Sandbox) -> None:
    run = Run("example_plain_actions")
    assert run.do("prune")["rows"] is not None
    assert run.do("switch")["status"] == 200
    assert run.do("check")["checks"] == 2
    assert Run("example_slo_gate").do("work")["status"] == 200


def test_the_readme_lists_every_file_and_every_class() -> None:
    assert set(re.findall(r"\]\(([\w.]+)\)", README)) == {
        path.name for path in FOLDER.iterdir() if path.suffix in {".py", ".yaml"}
    }
    named = set(re.findall(r"`(\w+(?:Operator|Sensor))`", README))
    assert named == {made.__name__ for made in listed_classes()}
