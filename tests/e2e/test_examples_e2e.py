"""The plans that people would copy, run in a real Airflow: to their end, and with something broken.

They are run as they are, but for what cannot wait in a test: times are short, nobody is asked, and
they start by hand.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner_provider.ledger.rows import Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.sandbox import Sandbox, SandboxClient
from tests.e2e.kill_matrix import connection
from tests.e2e.local_bundle import make_airflow, make_bundle, run_in_ledger
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.hooks.played_prometheus import answer, played

pytestmark = pytest.mark.timeout(900)

SPECS = Path(__file__).parents[2] / "plan_specs"
FILES = {
    "shop-release": "120-coordinated-release.yaml",
    "orders-migration": "130-orders-migration.yaml",
    "close-public-storage": "140-compliance.yaml",
    "region-failover-test": "150-failover-test.yaml",
    "one-page-checkout": "160-feature-experiment.yaml",
    "orders-cold-storage": "170-cold-storage.yaml",
}
SHORT = {"bake": "1s", "patience": "20s", "every": "1s"}
NOT_OURS = ('INSERT INTO "requests"', 'INSERT INTO "clock"')
"""What the sandbox itself goes on to write."""
CALLS_OF_A_CHECK = 3
"""A check that is not answered is tried again twice."""


def hurried(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with times that a test can wait for."""
    spec = plan["spec"]
    for key in ("schedule", "approval"):
        spec.pop(key, None)
    spec["defaults"]["retries"]["delay"] = "1s"
    for step in spec["steps"]:
        if "wait" in step:
            step["wait"]["for"] = "1s"
        if "gate" in step:
            step["gate"] |= {"for": "2s", "timeout": "30s", "every": "1s"}
        if "canary" in step:
            step["canary"]["analysis"]["every"] = SHORT["every"]
            for weight in step["canary"]["steps"]:
                weight["bake"] = SHORT["bake"]
    return plan


class Stage:
    """One Airflow over the examples, and their world."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, database: Path, home: Path) -> None:
        self.airflow = airflow
        self.sandbox = sandbox
        self.database = database
        self.home = home
        self.breach: Callable[[], bool] = lambda: False

    def reply(self, asked: Asked) -> Reply:
        """What the played Prometheus says: all is well, unless the world is as a test broke it."""
        return played(answer(good=1000 if self.breach() else 9_999))(asked)

    def run(
        self, name: str, breach: Callable[[], bool] = lambda: False
    ) -> tuple[Outcome | None, str]:
        """Run a plan to its end; give outcome and reason. SLOs do not hold while ``breach``."""
        self.breach = breach
        run_id = self.airflow.api.trigger(name, {}).run_id
        self.airflow.api.wait_for_run(name, run_id, timeout=600)
        record = run_in_ledger(self.home, name, run_id)
        return record.outcome, record.reason or ""

    def versions(self) -> dict[str, str]:
        with SandboxClient(self.sandbox.url) as client:
            return {service.name: service.stable.version for service in client.services()}

    def flag(self, name: str) -> int | None:
        """For how many percent a flag is on; ``None``: it is not there."""
        with SandboxClient(self.sandbox.url) as client:
            found = {flag.name: flag for flag in client.flags()}.get(name)
        return None if found is None else found.percentage if found.enabled else 0

    def canary_weight(self, name: str) -> int:
        with SandboxClient(self.sandbox.url) as client:
            canary = client.service(name).canary
        return canary.weight if canary else 0

    def tables(self) -> str:
        """Everything in the database of orders, as text, so that two worlds can be compared."""
        with sqlite3.connect(self.database) as opened:
            kept = [line for line in opened.iterdump() if not line.startswith(NOT_OURS)]
        return "\n".join(sorted(kept))

    def ask(self, statement: str) -> Any:
        with sqlite3.connect(self.database) as opened:
            return opened.execute(statement).fetchone()[0]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("examples")
    specs = make_bundle(root / "bundle")
    (specs / "000-teams.yaml").unlink()
    for shared in ("001-teams", "002-services", "003-slos", "004-calendars"):
        shutil.copy(SPECS / f"{shared}.yaml", specs)
    shutil.copytree(SPECS / "sql", specs / "sql")
    for file in FILES.values():
        documents = list(yaml.safe_load_all((SPECS / file).read_text()))
        plans = [hurried(d) if d["kind"] == "Plan" else d for d in documents]
        (specs / file).write_text(yaml.safe_dump_all(plans, sort_keys=False))
    database = root / "sandbox.db"
    played_now: list[Stage] = []

    def reply(asked: Asked) -> Reply:
        return played_now[0].reply(asked)

    with Sandbox(db=database) as sandbox, http_server(reply) as server:
        env = connections(sandbox, server, database)
        with make_airflow(
            tmp_path_factory, root / "home", dags=root / "bundle" / "dags", env=env
        ) as airflow:
            played_now.append(Stage(airflow, sandbox, database, root / "home"))
            airflow.wait_ready()
            for name in FILES:
                airflow.wait_dag(name)
            yield played_now[0]


def connections(sandbox: Sandbox, server: Server, database: Path) -> dict[str, str]:
    return {
        "AIRFLOW_CONN_SANDBOX": connection(sandbox.port),
        "AIRFLOW_CONN_PROMETHEUS": connection(server.port),
        "AIRFLOW_CONN_SANDBOX_DB": json.dumps({"conn_type": "sqlite", "host": str(database)}),
    }


def test_every_example_of_this_kind_is_here() -> None:
    numbered = [file.name for file in SPECS.glob("1[2-9]0-*.yaml")]
    assert sorted(numbered) == sorted(FILES.values())


def unanswered(stage: Stage, service: str) -> None:
    """The next check of a service is not answered, whoever asks."""
    stage.sandbox.fault("api_error", service=service, value=CALLS_OF_A_CHECK, on="read")


@pytest.mark.e2e
class TestCoordinatedRelease:
    """Services in the order of their dependencies, one canary each."""

    def test_the_last_one_is_bad_and_all_are_taken_back(self, stage: Stage) -> None:
        before = stage.versions()
        outcome, reason = stage.run("shop-release", lambda: stage.canary_weight("frontend") > 0)
        assert outcome is Outcome.ROLLED_BACK, reason
        assert stage.versions() == before

    @pytest.mark.soak
    def test_it_succeeds_in_the_order_of_the_dependencies(self, stage: Stage) -> None:
        begun = len(stage.sandbox.changes())
        outcome, reason = stage.run("shop-release")
        assert outcome is Outcome.SUCCEEDED, reason
        found = stage.versions()
        assert (found["auth"], found["payments"], found["frontend"]) == ("5.1.0", "2.8.0", "4.0.0")
        changed = [change.act.service for change in stage.sandbox.changes()[begun:]]
        first = changed.index("frontend")
        assert set(changed[:first]) == {"auth", "payments"}
        assert set(changed[first:]) == {"frontend"}


class TestMigration:
    """Quiesce, snapshot, expand, fill, verify, cut over, contract."""

    @pytest.mark.soak
    def test_what_does_not_work_is_undone_to_the_byte(self, stage: Stage) -> None:
        before = stage.tables()
        unanswered(stage, "orders")
        outcome, reason = stage.run("orders-migration")
        assert outcome is Outcome.ROLLED_BACK, reason
        assert stage.tables() == before
        assert stage.flag("orders_read_only") is None
        assert stage.flag("orders_new_amount") is None

    @pytest.mark.soak
    def test_it_succeeds_without_losing_a_cent(self, stage: Stage) -> None:
        cents = stage.ask("SELECT sum(amount_cents) FROM orders")
        outcome, reason = stage.run("orders-migration")
        assert outcome is Outcome.SUCCEEDED, reason
        assert round(stage.ask("SELECT sum(amount) FROM orders") * 100) == cents
        columns = "SELECT group_concat(name) FROM pragma_table_info('orders')"
        assert "amount_cents" not in stage.ask(columns)
        assert stage.flag("orders_new_amount") == 100
        assert stage.flag("orders_read_only") is None


@pytest.mark.soak
class TestFailover:
    """There and back again."""

    def test_the_traffic_ends_at_home(self, stage: Stage) -> None:
        outcome, reason = stage.run("region-failover-test")
        assert outcome is Outcome.SUCCEEDED, reason
        assert stage.flag("region_west") == 0

    def test_a_breach_sends_the_traffic_home(self, stage: Stage) -> None:
        before = stage.flag("region_west")
        outcome, reason = stage.run(
            "region-failover-test", lambda: (stage.flag("region_west") or 0) >= 50
        )
        assert outcome is Outcome.ROLLED_BACK, reason
        assert stage.flag("region_west") == before


@pytest.mark.soak
class TestExperiment:
    """Cohorts, measurement, and no flag left behind."""

    def test_the_flag_is_gone_at_the_end(self, stage: Stage) -> None:
        outcome, reason = stage.run("one-page-checkout")
        assert outcome is Outcome.SUCCEEDED, reason
        assert stage.flag("one_page_checkout") is None

    def test_harm_ends_it(self, stage: Stage) -> None:
        outcome, reason = stage.run(
            "one-page-checkout", lambda: (stage.flag("one_page_checkout") or 0) >= 50
        )
        assert outcome is Outcome.ROLLED_BACK, reason
        assert stage.flag("one_page_checkout") is None


@pytest.mark.soak
class TestCompliance:
    """Account by account; the world has a flag for each that is public."""

    ACCOUNTS = ("sandbox", "analytics", "web", "checkout", "payments", "archive")

    @pytest.fixture(autouse=True)
    def public(self, stage: Stage) -> None:
        with SandboxClient(stage.sandbox.url) as client:
            for account in self.ACCOUNTS:
                client.set_flag(f"public-storage.acct-{account}", enabled=True, percentage=100)

    def percentages(self, stage: Stage) -> set[int | None]:
        return {stage.flag(f"public-storage.acct-{account}") for account in self.ACCOUNTS}

    def test_all_accounts_are_closed(self, stage: Stage) -> None:
        outcome, reason = stage.run("close-public-storage")
        assert outcome is Outcome.SUCCEEDED, reason
        assert self.percentages(stage) == {0}

    def test_what_breaks_is_given_back(self, stage: Stage) -> None:
        unanswered(stage, "frontend")
        outcome, reason = stage.run("close-public-storage")
        assert outcome is Outcome.ROLLED_BACK, reason
        assert self.percentages(stage) == {100}


@pytest.mark.soak
class TestColdStorage:
    """A pilot, then the rest; every order is in exactly one place."""

    def test_a_pilot_that_is_not_good_comes_back(self, stage: Stage) -> None:
        before = stage.tables()
        unanswered(stage, "orders")
        outcome, reason = stage.run("orders-cold-storage")
        assert outcome is Outcome.ROLLED_BACK, reason
        assert stage.tables() == before

    def test_what_is_old_moves(self, stage: Stage) -> None:
        rows = stage.ask("SELECT count(*) FROM orders")
        outcome, reason = stage.run("orders-cold-storage")
        assert outcome is Outcome.SUCCEEDED, reason
        moved = stage.ask("SELECT count(*) FROM orders_cold")
        assert moved > 5
        assert stage.ask("SELECT count(*) FROM orders") == rows - moved
