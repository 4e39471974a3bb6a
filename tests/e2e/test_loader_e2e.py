"""Twenty plans in a real Airflow; one after another turns bad, and none takes another with it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from planner_provider.ledger.rows import Outcome
from planner_provider.localstack.answers import ImportProblem
from planner_provider.localstack.api import AirflowApi
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import header, make_airflow, make_bundle, run_in_ledger, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAMES = tuple(f"plan-{number:02}" for number in range(1, 21))
NUMBERS = itertools.count(1)


def text_of(name: str, message: str) -> str:
    return header(name) + f"    - {{id: tell, notify: {{message: {message}}}}}\n"


class Watcher(threading.Thread):
    """Looks all the time whether every plan is there, and keeps each moment when one was not."""

    def __init__(self, api: AirflowApi) -> None:
        super().__init__(name="watcher", daemon=True)
        self.api = api
        self.ended = threading.Event()
        self.looks = 0
        self.missing: list[set[str]] = []

    def run(self) -> None:
        while not self.ended.wait(0.3):
            found = {
                d.dag_id for d in self.api.dags() if not d.is_stale and not d.has_import_errors
            }
            self.looks += 1
            if gone := set(NAMES) - found:
                self.missing.append(gone)

    def end(self) -> None:
        self.ended.set()
        self.join()
        self.api.close()


class Stage:
    def __init__(self, airflow: LocalAirflow, specs: Path, watcher: Watcher) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.specs = specs
        self.watcher = watcher

    def problem(self) -> ImportProblem | None:
        problems = self.api.import_errors()
        assert len(problems) <= 1, "the other file must never have one"
        return problems[0] if problems else None

    def doc(self, name: str) -> str:
        return self.api.dag_details(name).doc_md or ""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("loader")
    specs = make_bundle(base / "bundle")
    for name in NAMES:
        (specs / f"{name}.yaml").write_text(text_of(name, "hello"))
    with make_airflow(tmp_path_factory, base / "home", dags=base / "bundle" / "dags") as airflow:
        airflow.wait_ready()
        for name in NAMES:
            airflow.wait_dag(name)
        watcher = Watcher(airflow.api_as("admin"))
        watcher.start()
        yield Stage(airflow, specs, watcher)
        watcher.end()


def syntax(file: Path) -> tuple[str, Callable[[], object]]:
    file.write_text(file.read_text().replace("steps:", "steps: ["))
    return f"{file.name}:7:5: error PLN101", lambda: None


def unknown_key(file: Path) -> tuple[str, Callable[[], object]]:
    file.write_text(file.read_text().replace("summary:", "sumary:"))
    return f"{file.name}:5:3", lambda: None


def dangling_reference(file: Path) -> tuple[str, Callable[[], object]]:
    file.write_text(file.read_text().replace("id: tell,", "id: tell, after: [nothing],"))
    return f"{file.name}:7:26", lambda: None


def taken_name(file: Path) -> tuple[str, Callable[[], object]]:
    other = file.with_name("zz-other.yaml")
    other.write_text(text_of(file.stem, "who am I"))
    return f"{other.name}:3:18", other.unlink


def wrong_encoding(file: Path) -> tuple[str, Callable[[], object]]:
    file.write_bytes(file.read_text().replace("hello", "Grüße").encode("latin-1"))
    return f"{file.name}:7:38: error PLN102", lambda: None


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("plan-03", syntax),
        ("plan-07", unknown_key),
        ("plan-11", dangling_reference),
        ("plan-15", taken_name),
        ("plan-20", wrong_encoding),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_plan_turns_bad_and_is_mended(
    stage: Stage, name: str, spoil: Callable[[Path], tuple[str, Callable[[], object]]]
) -> None:
    assert stage.problem() is None
    file = stage.specs / f"{name}.yaml"
    good = stage.doc(name)

    where, mend = spoil(file)
    wait_until(lambda: stage.problem() is not None, 30)
    problem = stage.problem()
    assert problem is not None
    assert problem.filename.endswith("plan_spec_errors.py")
    assert where in problem.stack_trace
    assert name in problem.stack_trace
    wait_until(lambda: stage.doc(name) != good, 30)
    assert stage.doc(name).startswith("> **Not the newest spec.**")
    assert stage.doc(name).endswith(good), "the last good version is the one in force"

    run = stage.api.trigger(name, run_id=f"run-{next(NUMBERS)}").run_id
    assert stage.api.wait_for_run(name, run).state == "success"
    record = run_in_ledger(stage.airflow.settings.home, name, run)
    assert record.outcome is Outcome.SUCCEEDED
    assert f"Digest: `{record.key.digest}`" in good
    assert stage.problem() is not None

    mend()
    file.write_text(text_of(name, "mended"))
    wait_until(lambda: stage.problem() is None, 30)
    wait_until(lambda: "mended" in stage.doc(name), 30)
    assert "Not the newest" not in stage.doc(name)
    assert record.key.digest not in stage.doc(name)


def test_no_plan_was_ever_stale_or_gone(stage: Stage) -> None:
    assert stage.watcher.is_alive()
    assert stage.watcher.looks > 20
    assert stage.watcher.missing == []
    assert stage.airflow.breakdowns == []
