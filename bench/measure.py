"""One measurement in a process of its own: ``python -m bench.measure CONTENDER FOLDER``.

Prints one line of JSON: CPU milliseconds of importing ``airflow.sdk``, of importing the
contender's library and operators, of loading its DAG files, and what came out of it.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

AIRFLOW = ("airflow.sdk", "airflow.sdk.definitions.dag", "airflow.timetables.base")
"""The first, and what every DAG imports of Airflow when it is built."""
HTTP_PROVIDER = (
    "airflow.providers.http.operators.http",
    "airflow.providers.standard.operators.empty",
)
PLANNER = (
    "planner_provider.compiler.loader",
    "planner_provider.operators.http",
    "planner_provider.operators.verify",
)
LIBRARIES = {
    "planner_warm": PLANNER,
    "planner_cold": PLANNER,
    "handwritten": PLANNER,
    "empty": ("airflow.providers.standard.operators.empty",),
    "dag_factory": ("dagfactory", *HTTP_PROVIDER),
    "blueprint": ("blueprint", *HTTP_PROVIDER),
}
FOLDERS = {"planner_warm": "planner", "planner_cold": "planner"}


def main(contender: str, folder: Path) -> None:
    logging.disable(logging.INFO)
    files = sorted((folder / FOLDERS.get(contender, contender)).glob("*.py"))
    if contender == "blueprint":
        files = [file for file in files if file.name == "loader.py"]
    begin = time.process_time()
    for name in AIRFLOW:
        importlib.import_module(name)
    sdk = time.process_time()
    for name in LIBRARIES[contender]:
        importlib.import_module(name)
    library = time.process_time()
    modules = [_load(number, file) for number, file in enumerate(files)]
    end = time.process_time()
    from airflow.sdk import DAG

    dags = {
        value.dag_id: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, DAG)
    }
    tasks = [task for dag in dags.values() for task in dag.tasks]
    result = {
        "sdk_ms": (sdk - begin) * 1000,
        "library_ms": (library - sdk) * 1000,
        "load_ms": (end - library) * 1000,
        "dags": len(dags),
        "tasks": len(tasks),
        "edges": sum(len(task.downstream_task_ids) for task in tasks),
    }
    print(json.dumps(result))


def _load(number: int, file: Path) -> ModuleType:
    """Import a DAG file as Airflow's dag-processor does: from byte code once it was compiled."""
    name = f"unusual_prefix_{number}_{file.stem}"
    loader = SourceFileLoader(name, str(file))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
