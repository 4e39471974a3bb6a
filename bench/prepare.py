"""Write the input of every contender: ``python -m bench.prepare FOLDER COUNT``.

Runs in a process of its own with the benchmark's Airflow settings. Fails if the hand-written
DAGs do not come out equal to the compiled ones.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from airflow.sdk import DAG

from bench.handwritten import dag_source, shape
from bench.peers import write_blueprint, write_dag_factory
from bench.plans import write_plans
from planner_provider.compiler.loader import load_plans

LOADER = """\
from planner_provider.compiler.loader import load_plans

globals().update(load_plans(__file__))
"""
COMPARED = 3
"""How many hand-written DAGs are compared in full; they differ in names and numbers only."""


def prepare(folder: Path, count: int) -> None:
    write_plans(folder / "plan_specs", count)
    loader = folder / "planner" / "plans.py"
    loader.parent.mkdir()
    loader.write_text(LOADER)
    dags = list(load_plans(str(loader)).values())
    if len(dags) != count:
        raise SystemExit(f"{count} plans became {len(dags)} DAGs; run `planner lint` on {folder}")
    for name, only_empty in (("handwritten", False), ("empty", True)):
        (folder / name).mkdir()
        for dag in dags:
            (folder / name / f"{dag.dag_id}.py").write_text(dag_source(dag, only_empty=only_empty))
    write_dag_factory(folder / "dag_factory", dags)
    write_blueprint(folder / "blueprint", dags)
    for dag in dags[:COMPARED]:
        _must_be_equal(dag, folder / "handwritten" / f"{dag.dag_id}.py")


def _must_be_equal(dag: DAG, file: Path) -> None:
    ours, theirs = shape(dag), shape(runpy.run_path(str(file))["dag"])
    for key in ours:
        if key != "tasks" and ours[key] != theirs[key]:
            raise SystemExit(f"{file.name}: {key} is {theirs[key]!r}, compiled {ours[key]!r}")
    for task_id, task in ours["tasks"].items():
        other = theirs["tasks"].get(task_id)
        if task != other:
            raise SystemExit(f"{file.name}: {task_id} is {other}, compiled {task}")
    if ours["tasks"].keys() != theirs["tasks"].keys():
        raise SystemExit(f"{file.name}: has other tasks than the compiled plan")


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), int(sys.argv[2]))
