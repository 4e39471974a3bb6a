"""CPU time of loading plans as DAGs, against DAGs by hand and against other YAML tools."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.plans import STEPS, plan_name

FULL = (10, 100, 1000)
QUICK = (10, 50)
ROOT = Path(__file__).parent.parent
OLD_ENOUGH_S = 2.2
"""After it, a file's times tell by themselves that it has not changed."""

CONTENDERS = {
    "planner_warm": "this project, compiled plans on disk: what every parse but the first is",
    "planner_cold": "this project, nothing on disk: parse, check, compile, keep",
    "handwritten": "Python by hand: the same operators, arguments, edges, setups and teardowns",
    "empty": "Python by hand: the same tasks and edges, but all EmptyOperator without arguments",
    "dag_factory": "dag-factory: same tasks, edges, groups; HttpOperator for steps, EmptyOperator "
    "for the frame; no setup/teardown, parameters, retry classes or checks of the answer",
    "blueprint": "airflow-blueprint: as dag-factory, but without task groups",
}
TARGETS = {
    "per_plan_ms_above_handwritten": 1.0,
    "ratio_vs_dag_factory": 0.5,
    "one_of_1000_warm_ms": 30.0,
}
"""Figures of the summary that must not be above this."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process measured; CPU times in milliseconds."""

    sdk_ms: float
    library_ms: float
    load_ms: float
    dags: int
    tasks: int
    edges: int


@dataclass(frozen=True, slots=True)
class Result:
    """The medians of one contender at one number of plans; CPU times in milliseconds."""

    contender: str
    plans: int
    one: bool
    """Whether Airflow asked for one plan only, as a worker does."""
    load_ms: float
    load_ms_all: tuple[float, ...]
    per_plan_ms: float
    library_ms: float
    sdk_ms: float
    dags: int
    tasks: int
    edges: int


def run(counts: tuple[int, ...], *, repeat: int, as_json: bool) -> int:
    """Measure, print, and return the exit code: 0, whether or not the targets are met."""
    results: list[Result] = []
    for count in counts:
        with _prepared(count) as folder:
            _tell(f"{count} plans of {STEPS} steps: measuring")
            results += _measure(folder, count, repeat, one=False)
            if count == counts[-1]:
                results += _measure(folder, count, repeat, one=True)
    summary = summarise(results)
    if as_json:
        report = {
            "python": platform.python_version(),
            "versions": {
                name: version(name)
                for name in ("apache-airflow", "dag-factory", "airflow-blueprint")
            },
            "steps_per_plan": STEPS,
            "repeat": repeat,
            "contenders": CONTENDERS,
            "results": [asdict(result) for result in results],
            "summary": summary,
        }
        print(json.dumps(report, indent=2))
    else:
        _print_table(results, summary)
    return 0


def summarise(results: list[Result]) -> dict[str, object]:
    """The figures that have targets, at the largest number of plans measured."""
    largest = max(result.plans for result in results)
    per_plan = {r.contender: r.per_plan_ms for r in results if r.plans == largest and not r.one}
    alone = {r.contender: r.load_ms for r in results if r.one}
    ours = per_plan["planner_warm"]
    figures = {
        "per_plan_ms_above_handwritten": ours - per_plan["handwritten"],
        "per_plan_ms_above_empty": ours - per_plan["empty"],
        "ratio_vs_dag_factory": ours / per_plan["dag_factory"],
        "ratio_vs_blueprint": ours / per_plan["blueprint"],
        "one_of_1000_warm_ms": alone["planner_warm"],
        "one_of_1000_cold_ms": alone["planner_cold"],
    }
    met = {name: figures[name] <= limit for name, limit in TARGETS.items()}
    rounded = {name: round(value, 3) for name, value in figures.items()}
    return {"plans": largest, **rounded, "targets": TARGETS, "targets_met": met}


def _measure(folder: Path, count: int, repeat: int, *, one: bool) -> list[Result]:
    """Contenders take turns, so that a slow minute of the machine is shared by all."""
    names = ["planner_warm", "planner_cold"] if one else list(CONTENDERS)
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for turn in range(repeat):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            samples[name].append(_sample(folder, name, plan_name(count // 2) if one else None))
    return [_result(name, count, one, taken) for name, taken in samples.items()]


def _result(name: str, count: int, one: bool, samples: list[Sample]) -> Result:
    first = samples[0]
    load = median(sample.load_ms for sample in samples)
    return Result(
        contender=name,
        plans=count,
        one=one,
        load_ms=round(load, 3),
        load_ms_all=tuple(round(sample.load_ms, 3) for sample in samples),
        per_plan_ms=round(load / first.dags, 4) if first.dags else 0.0,
        library_ms=round(median(sample.library_ms for sample in samples), 3),
        sdk_ms=round(median(sample.sdk_ms for sample in samples), 3),
        dags=first.dags,
        tasks=first.tasks,
        edges=first.edges,
    )


def _sample(folder: Path, contender: str, one: str | None = None) -> Sample:
    home = folder / "home"
    if contender == "planner_cold":
        home = folder / "home-cold"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
    asked = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": one} if one else {}
    if one:
        asked["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = "begin"
    out = _python("bench.measure", contender, str(folder), home=home, more=asked)
    return Sample(**json.loads(out.splitlines()[-1]))


@contextmanager
def _prepared(count: int) -> Iterator[Path]:
    _tell(f"{count} plans of {STEPS} steps: writing the DAG files of all contenders")
    with tempfile.TemporaryDirectory(prefix="planner-bench-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        _python("bench.prepare", str(folder), str(count), home=folder / "home")
        time.sleep(OLD_ENOUGH_S)
        for contender in CONTENDERS:  # byte code, compiled plans, and the kernel's file cache
            if contender != "planner_cold" and _sample(folder, contender).dags != count:
                raise SystemExit(f"{contender} did not make {count} DAGs of {folder}")
        yield folder


def _python(module: str, *arguments: str, home: Path, more: dict[str, str] | None = None) -> str:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON"))
    }
    environment = kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "PYTHONHASHSEED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment | (more or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_table(results: list[Result], summary: dict[str, object]) -> None:
    print(f"\nCPU ms beyond imports, median; plans of {STEPS} steps\n")
    print(f"{'plans':>6}  {'contender':<14}{'load':>10}{'per plan':>10}{'imports':>9}{'tasks':>8}")
    for result in results:
        what = f"{result.contender}{' (1)' if result.one else ''}"
        print(
            f"{result.plans:>6}  {what:<18}{result.load_ms:>6.0f}{result.per_plan_ms:>10.2f}"
            f"{result.library_ms:>9.0f}{result.tasks:>8}"
        )
    print("\n(1): one plan asked for, as a worker does. `imports` is the contender's library,")
    print("after `import airflow.sdk`.\n")
    for name, text in CONTENDERS.items():
        print(f"  {name:<14}{text}")
    print()
    met = summary["targets_met"]
    assert isinstance(met, dict)
    for name, value in summary.items():
        if isinstance(value, float):
            limit = TARGETS.get(name)
            told = f"   at most {limit:g}: {'met' if met[name] else 'MISSED'}" if limit else ""
            print(f"  {name:<32}{value:>10.3f}{told}")
