"""What is attached to a plan, in a real Airflow: its cost, its issue, and the words of its team."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from planner_provider.decide.replay import replay
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Outcome, PlanRun
from planner_provider.metrics.evidence import CostChange, cost_change
from planner_provider.metrics.reader import MetricsReader
from tests.cli.runner import planner
from tests.e2e.local_bundle import make_airflow, make_bundle, run_in_ledger, wait_until
from tests.hooks.http_server import Asked, Reply, http_server
from tests.notifications.trackers import Jira

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

BEFORE = 10
"""What an hour costs before a run."""
COSTS = {"grows": (12, 14), "jumps": (30, 31), "runs-away": (12, 30)}
"""What an hour costs after each step of a plan."""
TEAM = """\
apiVersion: planner/v1
kind: Team
metadata: {name: team-shop}
spec:
  notify: [hook]
  templates:
    done: {title: "{{ plan }} is in, says {{ owner }}"}
    rolled_back: {text: "{{ summary }} was undone"}
"""
PLAN = """\
apiVersion: planner/v1
kind: Plan
metadata: {{name: {name}, owner: team-shop}}
spec:
  summary: The plan {name}
  cost: {{connection: {name}, query: sum(shop_cost), currency: EUR, max_increase: 5}}
  ticket:
    via: jira
    connection: {name}
    issue: SHOP-7
    states: {{started: In Progress, done: Done, rolled_back: Open}}
  defaults: {{retries: {{limit: 0}}}}
  steps:
"""
STEP = """\
    - id: to-{cost}
      http: {{connection: {name}, method: PUT, path: /cost/{cost}, body: {{}}}}
      rollback: {{http: {{connection: {name}, method: PUT, path: /cost/{before}, body: {{}}}}}}
"""


def spec(name: str) -> str:
    before = (BEFORE, *COSTS[name])
    steps = (
        STEP.format(name=name, cost=cost, before=before[place])
        for place, cost in enumerate(COSTS[name])
    )
    return PLAN.format(name=name) + "".join(steps)


@dataclass
class World:
    """Of one plan: a service whose steps say what it costs, the Prometheus that knows, Jira, and
    the webhook of the team."""

    cost: float = BEFORE
    calls: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)
    jira: Jira = field(default_factory=Jira)

    def reply(self, asked: Asked) -> Reply:
        if asked.path.startswith("/rest/"):
            return self.jira(asked)
        if asked.path.startswith("/api/v1/"):
            result = [{"metric": {}, "value": [time.time(), str(self.cost)]}]
            data = {"resultType": "vector", "result": result}
            return Reply(body=json.dumps({"status": "success", "data": data}).encode())
        self.calls.append(asked.path)
        self.cost = float(asked.path.rpartition("/")[2])
        return Reply(body=b"{}")


@dataclass
class Over:
    """A run that has ended, when all is told."""

    run: PlanRun
    world: World
    ledger: Ledger
    url: str

    def decided(self) -> list[tuple[str, str, str | None]]:
        found = self.ledger.decisions_of(self.run.plan_id)
        assert all(replay(item.decision).equal for item in found)
        return [(i.decision.kind, i.decision.outcome.kind.value, i.step) for i in found]

    def change(self) -> CostChange | None:
        return cost_change(self.ledger.decisions_of(self.run.plan_id)[-1].decision.verdict)

    def audit(self, what: str) -> list[dict[str, object]]:
        found = self.ledger.audit_of(self.run.plan_id)
        return [dict(entry.detail) for entry in found if entry.what == what]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Over]]:
    """All plans, run at once."""
    base = tmp_path_factory.mktemp("attached")
    specs = make_bundle(base)
    (specs / "000-teams.yaml").write_text(TEAM)
    for name in COSTS:
        (specs / f"010-{name}.yaml").write_text(spec(name))
    assert planner("lint", str(specs)).code == 0
    worlds = {name: World() for name in COSTS}

    def hook(asked: Asked) -> Reply:
        worlds[asked.json["plan"]].told.append(asked.json)
        return Reply(body=b"{}")

    with ExitStack() as stack:
        answers = {"hook": hook} | {name: world.reply for name, world in worlds.items()}
        env = {}
        for name, answer in answers.items():
            server = stack.enter_context(http_server(answer))
            connection = {"conn_type": "http", "host": server.url, "login": "bot", "password": "x"}
            env[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(connection)
        home = base / "home"
        airflow = stack.enter_context(
            make_airflow(tmp_path_factory, home, dags=base / "dags", env=env)
        )
        airflow.wait_ready()
        for name in COSTS:
            airflow.wait_dag(name)
        run_ids = {name: airflow.api.trigger(name, {}).run_id for name in COSTS}
        for name, run_id in run_ids.items():
            airflow.api.wait_for_run(name, run_id)
        url = f"sqlite:///{home / 'planner.db'}"
        ledger = Ledger(url)
        wait_until(lambda: ledger.next_notice_due() is None)
        yield {
            name: Over(run_in_ledger(home, name, run_id), worlds[name], ledger, url)
            for name, run_id in run_ids.items()
        }


def test_what_costs_no_more_than_it_may_stays_and_is_measured(ended: dict[str, Over]) -> None:
    made = ended["grows"]
    assert made.run.outcome is Outcome.SUCCEEDED, made.run.reason
    assert made.world.calls == ["/cost/12", "/cost/14"]
    assert made.change() == CostChange("EUR", 10.0, 14.0)
    assert made.decided() == [
        ("cost", "proceed", None),
        ("cost_cap", "proceed", "to-12"),
        ("cost_cap", "proceed", "to-14"),
        ("cost_cap", "proceed", None),
        ("cost", "proceed", None),
    ]


def test_above_the_limit_no_step_begins_and_all_is_undone(ended: dict[str, Over]) -> None:
    made = ended["jumps"]
    assert made.run.outcome is Outcome.ROLLED_BACK, made.run.reason
    assert "20 EUR more than before; it may cost 5 EUR more at most" in (made.run.reason or "")
    assert made.world.calls == ["/cost/30", "/cost/10"], "the second step never began"
    assert made.change() == CostChange("EUR", 10.0, 10.0)
    assert ("cost_cap", "roll_back", "to-31") in made.decided()


def test_what_the_last_step_costs_too_much_is_undone(ended: dict[str, Over]) -> None:
    made = ended["runs-away"]
    assert made.run.outcome is Outcome.ROLLED_BACK, made.run.reason
    assert "20 EUR more than before" in (made.run.reason or "")
    assert made.world.calls == ["/cost/12", "/cost/30", "/cost/12", "/cost/10"]
    assert ("cost_cap", "roll_back", None) in made.decided()


def test_metrics_and_report_tell_the_cost(ended: dict[str, Over]) -> None:
    made = ended["grows"]
    snapshot = MetricsReader.open(made.url).read(datetime.now(UTC))
    assert snapshot.costs[made.run.plan_id] == CostChange("EUR", 10.0, 14.0)
    told = planner("report", "--ledger", made.url)
    assert f"+4 EUR  {made.run.plan_id}" in told.out


def test_the_issue_keeps_step_and_the_team_hears_its_own_words(ended: dict[str, Over]) -> None:
    made = ended["grows"]
    assert made.world.jira.way == ["In Progress", "Done"]
    comments = made.world.jira.comments
    assert ["Started" in text or "Done" in text for text in comments] == [True, True]
    told = [(item["event"], item["title"]) for item in made.world.told]
    assert told == [("done", "grows is in, says team-shop")]
    states = [detail["state"] for detail in made.audit("notice.sent") if "state" in detail]
    assert states == ["In Progress", "Done"]
    assert made.audit("notice.lost") == []


def test_a_state_that_cannot_be_reached_stops_nothing_and_is_said(ended: dict[str, Over]) -> None:
    made = ended["jumps"]
    assert (made.world.jira.way, len(made.world.jira.comments)) == (["In Progress"], 2)
    [told] = made.world.told
    assert (told["event"], told["title"]) == ("rolled_back", "jumps: Rolled back")
    assert told["text"].startswith("The plan jumps was undone")
    [lost] = made.audit("notice.lost")
    assert "stands at 'In Progress', from where no transition leads to 'Open'" in str(lost["error"])
