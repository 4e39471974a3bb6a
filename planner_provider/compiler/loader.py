"""What ``dags/plans.py`` and ``dags/plan_spec_errors.py`` call.

Each plan is compiled inside its own guard: a broken spec never makes another plan stale or vanish.
Airflow takes all DAGs of a file for broken when the file raises, so the errors are raised by a
companion file that holds no DAG.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from planner_provider.collector import collector_paused
from planner_provider.compiler.compilation import Compilation, Compiler
from planner_provider.compiler.dag import STALE_TAG, build_dag
from planner_provider.compiler.last_good import InForce, in_force, last_good, remember
from planner_provider.compiler.settings import load_settings
from planner_provider.compiler.store import write_atomically
from planner_provider.errors import SpecError
from planner_provider.graph.model import PlanGraph
from planner_provider.operators.plan_log import bind_while_parsing

log = logging.getLogger(__name__)


def load_plans(loader_file: str) -> dict[str, DAG]:
    """The DAGs of all plans, by name; of one plan only where Airflow asks for one.

    ``loader_file`` is the ``__file__`` of the caller: specs are looked up beside its folder.
    """
    with collector_paused():
        return _load_plans(loader_file)


def _load_plans(loader_file: str) -> dict[str, DAG]:
    compiler = _compiler(loader_file)
    only: str | None = get_parsing_context().dag_id
    compilation = compiler.compile_one(only) if only else compiler.compile_all()
    if compilation.fresh:
        plans, broken = len(compilation.graphs), len(compilation.broken)
        log.info("Compiled %d plans anew; %d cannot be compiled.", plans, broken)
    dags: dict[str, DAG] = {}
    problems: list[str] = []
    for plan in in_force(compilation, only):
        dag = _build(plan, problems) or _build_last_good(plan, problems)
        if dag is not None:
            dags[plan.graph.name] = dag
    if not only:
        _keep(compiler, [graph for graph in compilation.graphs if not _is_stale(dags, graph)])
        _leave_problems(compiler, problems)
    return dags


def _build(plan: InForce, problems: list[str]) -> DAG | None:
    graph = plan.graph
    bind_while_parsing(graph.name, graph.digest)
    try:  # whatever it is, the other plans must not suffer
        return build_dag(graph, stale=plan.stale)
    except Exception as error:
        where = f"{graph.source.file}:{graph.source.line}" if graph.source else graph.name
        problems.append(f"{where}: plan {graph.name} cannot become a DAG: {error}")
        log.warning("%s", problems[-1], exc_info=not isinstance(error, SpecError))
        return None


def _build_last_good(plan: InForce, problems: list[str]) -> DAG | None:
    """What was in force before a plan whose spec is good, but of which no DAG can be made."""
    older = None if plan.stale else last_good(plan.graph, problems[-1])
    return _build(older, problems) if older else None


def _is_stale(dags: dict[str, DAG], graph: PlanGraph) -> bool:
    return graph.name not in dags or STALE_TAG in dags[graph.name].tags


def _keep(compiler: Compiler, built: list[PlanGraph]) -> None:
    """Make these the last good ones, unless that has been done already."""
    what = [
        (
            graph.name,
            graph.digest,
            graph.source and graph.source.file,
            graph.calendar,  # calendars are not in the digest
            graph.calendars,
        )
        for graph in built
    ]
    mark = hashlib.sha256(repr(what).encode()).hexdigest()
    with contextlib.suppress(OSError):
        if compiler.kept_file.read_text() == mark:
            return
    if built and remember(built):
        write_atomically(compiler.kept_file, mark.encode())


def raise_spec_errors(companion_file: str) -> None:
    """Raise ``SpecError`` with everything that is wrong in the specs; return if nothing is.

    Airflow shows it as the import error of the companion file.
    """
    if get_parsing_context().dag_id:
        return  # a worker looks for one DAG, which is not here
    compiler = _compiler(companion_file)
    text = all_errors(compiler, compiler.compile_all())
    if text:
        raise SpecError(f"plan specs in {compiler.folder.name}/ have errors\n\n{text}")


def all_errors(compiler: Compiler, compilation: Compilation) -> str:
    """Errors in specs, and what went wrong when the loader built DAGs of good ones."""
    parts = [compilation.errors]
    if not compiler.folder.is_dir():
        parts.append(
            f"{compiler.folder}: there is no such folder. Set [planner] specs_folder, or put the "
            "specs there."
        )
    if compiler.record_file.is_file():
        parts.append(compiler.record_file.read_text())
    return "\n".join(part for part in parts if part)


def _compiler(loader_file: str) -> Compiler:
    settings = load_settings()
    return Compiler(
        folder=settings.specs_beside(Path(loader_file)),
        cache_folder=settings.cache_folder,
        allowed_operators=settings.allowed_operators,
    )


def _leave_problems(compiler: Compiler, problems: list[str]) -> None:
    if problems:
        write_atomically(compiler.record_file, "\n".join(problems).encode())
    else:
        with contextlib.suppress(OSError):
            compiler.record_file.unlink(missing_ok=True)
