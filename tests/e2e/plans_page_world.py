"""What the Plans page is looked at with: one Airflow with a release, a backfill, a patch rollout.

They are the plans of the canary, backfill and patch tests, slow enough that each can be caught
under way; beside them a plan that asks for approval, one whose window is closed, one whose SLO is
breached and whose rollback fails, some that are due, and one that is hidden from user ``olga``.
Only ``admin`` may override calendars.

Airflow has a PostgreSQL, as in production: with SQLite its API server may block itself for half a
minute when it writes its audit log for one request while another one is being committed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ActResult, ItemState, Outcome, PlanRun
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings
from planner_provider.sandbox import Sandbox
from tests.e2e import partial_auth, test_backfill_e2e, test_canary_e2e
from tests.e2e.local_bundle import QUICK, header, make_bundle
from tests.e2e.scraping import scraping
from tests.hooks.http_server import Asked, Reply, http_server
from tests.hooks.node_world import NodeWorld, connections, node_world
from tests.ledger.databases import postgres, postgres_programs

ROOT = Path(__file__).parents[2]
USERS = {"admin": "admin", "vera": "viewer", "olga": "op"}
CANARY, BACKFILL, PATCH = "checkout-canary", "orders-backfill", "host-patching"
APPROVAL, SECRET = "payments-release", "secret-rotation"
WINDOW, CALENDAR = "log-rotation", "small-hours"
FAILOVER, STRICT = "stock-failover", "checkout-errors"
STARTED = (CANARY, BACKFILL, PATCH, WINDOW, FAILOVER, APPROVAL, SECRET)
HOSTILE = "<img src=x onerror=alert(1)> & </script>"
"""A summary that would be an attack, if it were not shown as text."""
HOSTS, HOURS = 10, 72
"""How many hosts are patched, and how many partitions are filled."""

TARGET = """
import time
from datetime import datetime, timezone
from airflow.sdk import DAG, CronDataIntervalTimetable, task

with DAG(
    "hourly",
    schedule=CronDataIntervalTimetable("0 * * * *", "UTC"),
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
):
    @task
    def load():
        time.sleep(2)
    load()
"""
CALENDARS = """\
apiVersion: planner/v1
kind: Calendar
metadata: {name: low-traffic}
spec:
  timezone: UTC
  windows:
    - {dtstart: 2026-01-05T22:00, rrule: "FREQ=DAILY", duration: PT4H}
"""
OPENS = datetime.now(UTC) + timedelta(hours=6)
CLOSED = f"""\
apiVersion: planner/v1
kind: Calendar
metadata: {{name: {CALENDAR}}}
spec: {{timezone: UTC, windows: [{{dtstart: "{OPENS:%Y-%m-%dT%H:%M}", duration: PT1H}}]}}
"""
STRICTER = (
    test_canary_e2e.SLO.partition("---\n")[2]
    .replace("name: checkout-availability", f"name: {STRICT}")
    .replace("name: checkout-good", f"name: {STRICT}-good")
    .replace("target: 0.98", "target: 0.9999")
)
"""An SLO that the stable version breaches, with its one request of two hundred that fails."""
FLEET = (
    "apiVersion: planner/v1\nkind: Fleet\nmetadata: {name: hosts}\nspec:\n  targets:\n"
    + "".join(
        f"    - {{name: host-{number}, labels: {{zone: {zone}}}}}\n"
        for number, zone in enumerate("aabbccddee"[:HOSTS], 1)
    )
)


def canary() -> str:
    """The canary of its own test, which bakes long enough to be aborted."""
    text = test_canary_e2e.PLAN
    assert "bake: 30s" in text
    return text.replace("bake: 30s", "bake: 5m")


def backfill() -> str:
    """A backfill of three days in which few hours are done at once."""
    plan = test_backfill_e2e.plan(BACKFILL, "hourly", end="2026-11-04T00:00Z", at_once=2)
    return plan.replace(f"The plan {BACKFILL}", "Fill the hours that the outage left out")


def patch() -> str:
    """A rollout over hosts whose agents take their time."""
    return (
        header(PATCH).replace(f"The plan {PATCH}", "Security patches on all hosts, in waves")
        + """\
    - id: kernel
      patch:
        fleet: hosts
        waves: [1, 30%, 100%]
        max_unavailable: 2
        between_waves: {bake: 5s}
        per_target:
          - http: {connection: agent, method: POST, path: "/agent/{{ target.name }}/patch"}
      rollback: none
"""
    )


def simple(name: str, summary: str, extra: str = "") -> str:
    """A plan of one harmless step."""
    text = header(name).replace(f"The plan {name}", json.dumps(summary))
    return (
        text.replace("  steps:\n", f"{extra}  steps:\n") + "    - id: look\n      wait: {for: 1s}\n"
    )


def failover() -> str:
    """A plan that is stopped by an SLO; what it changed cannot be undone."""
    text = header(FAILOVER).replace(f"The plan {FAILOVER}", "Serve the stock from region b")
    return (
        text
        + f"""\
    - id: divert
      http: {{connection: router, method: PUT, path: /routes/stock, body: {{region: b}}}}
      rollback: {{http: {{connection: router, method: DELETE, path: /routes/stock, timeout: 5m}}}}
    - id: healthy
      gate: {{slos: [{STRICT}]}}
      retries: {{limit: 0}}
"""
    )


def due(name: str, summary: str, schedule: str, resource: str) -> str:
    """A plan that starts by itself, some day."""
    return simple(
        name,
        summary,
        f"  schedule: {schedule}\n  touches: [{{resource: {json.dumps(resource)}}}]\n",
    )


SPECS = {
    "010-slos": test_canary_e2e.SLO,
    "011-calendars": CALENDARS,
    "013-closed": CLOSED,
    "014-stricter": STRICTER,
    "012-fleets": FLEET,
    "020-canary": canary(),
    "030-backfill": backfill(),
    "040-patch": patch(),
    "050-approval": simple(
        APPROVAL,
        "Release payments 2.9.0 to production",
        "  approval: {approvers: [admin, olga], count: 1, timeout: 2h}\n",
    ),
    "060-secret": simple(
        SECRET,
        "Rotate the keys of payments",
        "  parameters: {days: {type: integer, default: 90, minimum: 30, maximum: 365}}\n",
    ),
    "061-window": simple(
        WINDOW, "Rotate the logs of all shops", f"  schedule: {{calendar: {CALENDAR}}}\n"
    ),
    "062-failover": failover(),
    "070-reindex": due(
        "search-reindex", HOSTILE, "{calendar: low-traffic, needs: 1h}", "db://search"
    ),
    "071-migration": due(
        "search-migration",
        "Move the index of search",
        "{calendar: low-traffic, needs: 2h}",
        "db://search",
    ),
    "072-certificates": due(
        "certificate-check",
        "Look at all certificates",
        '{cron: "15 5 * * *", timezone: UTC}',
        "file://certificates",
    ),
}


class Stage:
    """One Airflow with its ledger and the world of its plans."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, world: NodeWorld) -> None:
        self.airflow, self.api = airflow, airflow.api
        self.sandbox, self.world = sandbox, world
        self.ledger = Ledger(f"sqlite:///{airflow.settings.home / 'planner.db'}")
        self.runs: dict[str, str] = {}
        """Plan -> the run of it that was started last."""
        self.undoing = threading.Event()
        """Set: the router answers, and refuses, when it is to take a route back."""

    @property
    def page(self) -> str:
        """Where the Plans page is."""
        return f"{self.airflow.settings.url}/planner/"

    def start(self, plan: str, **conf: object) -> None:
        """Start a plan as the first user."""
        self.runs[plan] = self.api.trigger(plan, conf, run_id=f"run-{len(self.runs) + 1}").run_id

    def run(self, plan: str) -> PlanRun | None:
        """Its run in the ledger, if it is there yet."""
        return self.ledger.run_of(plan, self.runs[plan])

    def known(self, plan: str) -> PlanRun:
        """Its run in the ledger."""
        run = self.run(plan)
        assert run is not None, f"the ledger does not know a run of {plan} yet"
        return run

    def outcome(self, plan: str) -> Outcome | None:
        """How it ended."""
        run = self.run(plan)
        return run.outcome if run else None

    def done(self, plan: str, step: str) -> int:
        """How many partitions or targets are done."""
        if (run := self.run(plan)) is None:
            return 0
        return sum(item.state is ItemState.DONE for item in self.ledger.items_of(run.plan_id, step))

    def began(self, plan: str, step: str) -> int:
        """How many were begun."""
        items = self.ledger.items_of(self.known(plan).plan_id, step)
        return sum(item.state is not ItemState.WAITING for item in items)

    def acting(self, plan: str, step: str) -> int:
        """How many go on at this moment."""
        items = self.ledger.items_of(self.known(plan).plan_id, step)
        return sum(item.state is ItemState.ACTING for item in items)

    def target_runs(self) -> int:
        """How many runs of the DAG that is filled have not ended, as Airflow has it."""
        asked = "state=queued&state=running&logical_date_lt=2026-11-04T00:00:00Z"
        found = self.api.call("GET", f"/dags/hourly/dagRuns?{asked}")
        assert isinstance(found, dict)
        return int(str(found["total_entries"]))

    def ended(self, plan: str, part: str) -> bool:
        """Whether a step, or a part of one, is done."""
        acts = self.ledger.acts_of(self.known(plan).plan_id)
        return any(act.step == part and act.result is ActResult.DONE for act in acts)

    def said(self, plan: str) -> list[tuple[str, str]]:
        """What the audit trail has of its run, and who did it."""
        lines = self.ledger.audit_of(self.known(plan).plan_id)
        return [(line.what, line.actor) for line in lines]

    def route(self, asked: Asked) -> Reply:
        """What the router answers."""
        if asked.method != "DELETE":
            return Reply()
        self.undoing.wait(300)
        return Reply(409, b"region a is drained")

    def weight(self) -> int:
        """The weight of the canary that was asked for last."""
        asked = [change.act for change in self.sandbox.changes() if change.act.what == "weight"]
        return int(str(asked[-1].after)) if asked else 0

    def deployed(self) -> tuple[str, str | None]:
        """The versions of the released service: for most, and behind the canary."""
        return test_canary_e2e.deployed(self.sandbox)

    def token(self, user: str) -> str:
        """What Airflow's login would put into the cookie of this user."""
        password = self.airflow.settings.passwords()[user]
        body = {"username": user, "password": password}
        return str(log_in(f"{self.airflow.settings.url}/auth/token", body))


def log_in(url: str, body: dict[str, str]) -> str:
    """Ask Airflow for a token."""
    answer = requests.post(url, json=body, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def migrate(settings: StackSettings) -> None:
    """Make Airflow's tables."""
    settings.prepare_home()
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(
        command, env=settings.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@contextmanager
def stage(factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Start all of it; no plan runs yet."""
    base = factory.mktemp("plans-page")
    specs = make_bundle(base / "bundle")
    for name, text in SPECS.items():
        (specs / f"{name}.yaml").write_text(text)
    dags = base / "bundle" / "dags"
    (dags / "targets.py").write_text(TARGET)
    programs = postgres_programs()
    assert programs, "PostgreSQL is not installed; `make test` installs it"
    with (
        postgres(programs) as database,
        node_world() as world,
        Sandbox(config=test_canary_e2e.WORLD) as sandbox,
        scraping(base / "prometheus", sandbox.port) as prometheus,
        http_server() as router,
    ):
        world.patch_seconds = 5
        env = {
            "AIRFLOW_CONN_SANDBOX": test_canary_e2e.connection(sandbox.port),
            "AIRFLOW_CONN_PROMETHEUS": test_canary_e2e.connection(prometheus),
            "AIRFLOW_CONN_ROUTER": test_canary_e2e.connection(router.port),
            "AIRFLOW__PLANNER__OVERRIDE_USERS": "admin",
            **connections(world, str(base / "kube.json")),
            **partial_auth.environment(str(ROOT), olga=SECRET),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace("://", "+psycopg2://", 1),
        }
        settings = StackSettings(
            home=base / "home", dags=dags, users=USERS, env=QUICK | env, parallelism=7
        )
        migrate(settings)
        cache = factory.getbasetemp() / "airflow-template"
        with LocalAirflow(settings, template_cache=cache) as airflow:
            airflow.wait_ready()
            for name in (*STARTED, "certificate-check", "hourly"):
                airflow.wait_dag(name)
            user, password = next(iter(settings.passwords().items()))
            connection = {
                "connection_id": "airflow_api", "conn_type": "http", "host": "127.0.0.1",
                "port": settings.port, "login": user, "password": password,
            }  # fmt: skip
            airflow.api.call("POST", "/connections", connection)
            made = Stage(airflow, sandbox, world)
            router.answer = made.route
            try:
                yield made
            finally:
                made.undoing.set()
