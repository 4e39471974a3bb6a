"""Plans change while their runs are under way: behind a GitDagBundle, and in a plain folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import header, make_airflow, make_bundle, run_in_ledger, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IDENTITY = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")


def text_of(name: str, message: str) -> str:
    return header(name) + (
        "    - {id: first, notify: {message: it begins}}\n"
        "    - {id: pause, wait: {for: 20s}}\n"
        f"    - {{id: last, notify: {{message: {message}}}}}\n"
    )


class Repository:
    """A local Git repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", *IDENTITY, *arguments],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
            env=clean | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything and give the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


class Stage:
    def __init__(self, airflow: LocalAirflow, repository: Repository, folder: Path) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.repository = repository
        self.folder = folder

    def start(self, name: str) -> str:
        """Start a run and wait until its pause has begun, with the plan as it is now."""
        run = self.api.trigger(name, run_id=f"run-{name}").run_id
        ledger = Ledger(f"sqlite:///{self.airflow.settings.home / 'planner.db'}")

        def pausing() -> bool:
            record = ledger.run_of(name, run)
            return record is not None and any(
                act.step == "pause" for act in ledger.acts_of(record.plan_id)
            )

        wait_until(pausing)
        return run

    def doc(self, name: str) -> str:
        return self.api.dag_details(name).doc_md or ""

    def log(self, name: str, run: str, task: str) -> str:
        return self.api.task_log(name, run, task)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("bundles")
    in_git = make_bundle(base / "repository")
    (in_git / "in-git.yaml").write_text(text_of("in-git", "one"))
    repository = Repository(base / "repository")
    repository.commit("The first version")
    folder = make_bundle(base / "folder")
    (folder / "in-folder.yaml").write_text(text_of("in-folder", "one"))
    bundles = [
        {
            "name": "git",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {
                "repo_url": str(repository.root), "tracking_ref": "main", "refresh_interval": 1,
            },
        },
        {
            "name": "folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(base / "folder" / "dags"), "refresh_interval": 1},
        },
    ]  # fmt: skip
    storage = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(base / "storage")}
    with make_airflow(
        tmp_path_factory, base / "home", bundles=json.dumps(bundles), env=storage
    ) as airflow:
        airflow.wait_ready()
        airflow.wait_dag("in-git")
        airflow.wait_dag("in-folder")
        yield Stage(airflow, repository, folder)


def test_a_run_ends_on_the_commit_that_it_began_with(stage: Stage) -> None:
    first = stage.repository.git("rev-parse", "HEAD")
    (version,) = stage.api.dag_versions("in-git")
    assert version.bundle_version == first
    before = stage.doc("in-git")
    run = stage.start("in-git")

    file = stage.repository.root / "plan_specs" / "in-git.yaml"
    file.write_text(text_of("in-git", "two"))
    second = stage.repository.commit("The second version")
    wait_until(lambda: len(stage.api.dag_versions("in-git")) == 2, 30)
    assert stage.api.dag_versions("in-git")[1].bundle_version == second
    assert stage.doc("in-git") != before
    assert not stage.api.run("in-git", run).is_finished, "the run must still be under way"

    ended = stage.api.wait_for_run("in-git", run)
    assert ended.state == "success"
    assert ended.bundle_version == first
    assert [version.version_number for version in ended.dag_versions] == [1]
    record = run_in_ledger(stage.airflow.settings.home, "in-git", run)
    assert record.outcome is Outcome.SUCCEEDED
    assert f"Digest: `{record.key.digest}`" in before
    log = stage.log("in-git", run, "execute.last")
    assert "one" in log
    assert "two" not in log


@pytest.mark.soak
def test_in_a_plain_folder_a_run_refuses_to_go_on_with_a_changed_plan(stage: Stage) -> None:
    run = stage.start("in-folder")
    before = stage.doc("in-folder")
    (stage.folder / "in-folder.yaml").write_text(text_of("in-folder", "two"))
    wait_until(lambda: stage.doc("in-folder") != before, 30)
    assert not stage.api.run("in-folder", run).is_finished, "the run must still be under way"

    assert stage.api.wait_for_run("in-folder", run).state == "failed"
    record = run_in_ledger(stage.airflow.settings.home, "in-folder", run)
    assert record.outcome is not Outcome.SUCCEEDED
    assert f"Digest: `{record.key.digest}`" in before
    states = {task.task_id: task for task in stage.api.task_instances("in-folder", run)}
    assert states["execute.last"].state != "success"
    logs = [
        stage.log("in-folder", run, task.task_id)
        for task in states.values()
        if task.task_id.startswith("execute.") and task.state == "failed"
    ]
    assert any("changed while this run was under way" in log for log in logs)
    assert "changed while this run was under way" in (record.reason or "")
