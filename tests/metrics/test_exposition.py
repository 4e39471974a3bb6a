"""What Prometheus reads: values against a ledger whose numbers are known."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from planner_provider import metrics
from planner_provider.ledger.rows import Outcome
from planner_provider.metrics import fold as fold_module
from planner_provider.metrics.definitions import BY_NAME, DEFINITIONS
from planner_provider.metrics.reader import MetricsReader
from tests.cli.ledgers import DIGEST, NOW, LedgerCase
from tests.metrics import played

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(case: LedgerCase, now: datetime = NOW) -> Samples:
    text, _ = metrics.exposition(case.url, now)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"planner_{name}", frozenset(labels.items())))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    case = LedgerCase(tmp_path_factory.mktemp("found") / "planner.db")
    played.fill(case, NOW)
    return samples(case)


@pytest.mark.parametrize(
    ("plan", "to", "count"),
    [
        (played.CRITICAL, "created", 5),
        (played.CRITICAL, "approved", 2),
        (played.CRITICAL, "executing", 5),
        (played.CRITICAL, "succeeded", 2),
        (played.CRITICAL, "rolled_back", 1),
        (played.CRITICAL, "rollback_failed", 1),
        ("demo-release", "blocked", 1),
        ("demo-release", "executing", 1),
        ("demo-release", "succeeded", 0),
    ],
)
def test_lifecycle(found: Samples, plan: str, to: str, count: int) -> None:
    assert value(found, "run_transitions_total", plan=plan, to=to) == count


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        ("orders-backfill", "held"),
        ("orders-expand", "approval"),
        ("orders-release", "locks"),
        (played.CRITICAL, "acting"),
        ("search-blue-green", "running"),
    ],
)
def test_what_runs_is_doing(found: Samples, plan: str, state: str) -> None:
    assert value(found, "runs", plan=plan, state=state) == 1
    others = {s for s in ("held", "approval", "locks", "acting", "running") if s != state}
    assert {value(found, "runs", plan=plan, state=other) for other in others} == {0}


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("success_ratio", {"window": "30d"}, 2 / 5),  # blocked is not judged
        ("success_ratio", {"window": "7d"}, 1 / 3),
        ("completion_median_seconds", {"window": "7d"}, 240),
        ("rollback_median_seconds", {"window": "7d"}, 180),
        ("approval_median_seconds", {"window": "7d", "urgent": "any"}, 120),
        ("conflicts_per_hundred_runs", {"window": "7d"}, 0),
        ("budget_burnt_ratio", {"window": "7d"}, 0.2),
        ("cost_change_per_hour", {"window": "7d", "currency": "EUR"}, 2.5),
        ("cost_change_per_hour", {"window": "30d", "currency": "EUR"}, 4.75),
        ("cost_change_mean_per_hour", {"window": "30d", "currency": "EUR"}, 4.75 / 3),
        ("cost_known_runs", {"window": "30d", "currency": "EUR"}, 3),
        ("cost_unknown_runs", {"window": "30d"}, 0),
        ("plan_cost_change_ratio", {"plan": played.CRITICAL}, 0.25),
        ("checks_passed_ratio", {"window": "7d"}, 1),
        ("rollback_ratio", {"window": "7d"}, 2 / 3),
        ("automated_plans_ratio", {}, 4 / 17),
        ("input_coverage_mean_ratio", {}, 0.75),
    ],
)
def test_figures(found: Samples, name: str, labels: dict[str, str], expected: float) -> None:
    assert value(found, name, **labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("lock_conflicts_total", {"plan": "orders-release"}, 1),
        ("lock_waiting_seconds", {"plan": "orders-release"}, 14 * 60),
        ("approvals_open", {"plan": "orders-expand", "urgent": "false"}, 1),
        ("approval_open_seconds", {"plan": "orders-expand", "urgent": "false"}, 3600),
        ("run_held_seconds", {"plan": "orders-backfill"}, 8 * 3600),
        ("throttle_used_ratio", {"plan": "orders-backfill", "throttle": "partitions"}, 0.25),
        ("slo_burn_rate", {"plan": played.CRITICAL, "slo": "checkout"}, 10),
        ("slo_budget_left_ratio", {"plan": played.CRITICAL, "slo": "checkout"}, -9),
        ("input_age_seconds", {"plan": played.CRITICAL, "kind": "slo_gate"}, 60),
        ("input_coverage_ratio", {"plan": "search-blue-green", "kind": "slo_gate"}, 0.5),
        ("notices_lost_total", {"plan": "orders-backfill"}, 1),
        ("notices_waiting", {"plan": "orders-backfill"}, 1),
        ("plan_stale", {"plan": played.BY_CRON}, 1),
        (
            "task_failures_total",
            {"plan": "demo-release", "error": "CheckFailedError"},
            1,
        ),
        ("approval_latency_seconds_bucket", {"state": "granted", "le": "60"}, 0),
        ("approval_latency_seconds_bucket", {"state": "granted", "le": "300"}, 3),
        ("rollback_seconds_sum", {}, 360),
        ("ledger_up", {}, 1),
    ],
)
def test_values(found: Samples, name: str, labels: dict[str, str], expected: float) -> None:
    assert value(found, name, **labels) == expected


def test_a_plan_says_what_it_is(found: Samples) -> None:
    infos = [dict(labels) for name, labels in found if name == "planner_plan_info"]
    canary = next(info for info in infos if info["plan"] == played.CRITICAL)
    assert (canary["critical"], canary["starts"]) == ("true", "by_hand")
    assert next(i for i in infos if i["plan"] == played.BY_CRON)["starts"] == "cron"


def test_a_run_that_is_cleared_lets_no_count_fall(case: LedgerCase) -> None:
    key = played.roll_back(case, f"demo-{DIGEST[:8]}-1", NOW - timedelta(hours=1))
    before = counters(samples(case))
    case.ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=NOW)
    after = counters(samples(case, NOW + timedelta(minutes=1)))
    assert {name for name, count in before.items() if after[name] < count} == set()
    case.finish(key, Outcome.SUCCEEDED, "", NOW + timedelta(minutes=2))
    again = samples(case, NOW + timedelta(minutes=3))
    assert value(again, "run_transitions_total", plan="demo", to="rolled_back") == 1
    assert value(again, "run_transitions_total", plan="demo", to="succeeded") == 1
    assert value(again, "run_transitions_total", plan="demo", to="created") == 1
    assert value(again, "success_ratio", window="7d") == 1, "the last ending of a run counts"


def counters(found: Samples) -> Samples:
    return {k: v for k, v in found.items() if k[0].endswith(("_total", "_bucket", "_count"))}


def test_of_what_could_not_be_read_it_is_counted_that_it_is_not_known(case: LedgerCase) -> None:
    key = case.pin(f"demo-{DIGEST[:8]}-1", NOW - timedelta(hours=1))
    case.lock(key, NOW - timedelta(hours=1), "service://x")
    case.act(key, "put", NOW - timedelta(minutes=50))
    played.spend(case, key, NOW - timedelta(minutes=40), None)
    case.finish(key, Outcome.SUCCEEDED, "", NOW - timedelta(minutes=40))
    found = samples(case)
    assert value(found, "cost_unknown_runs", window="7d") == 1
    assert value(found, "cost_change_per_hour", window="7d", currency="EUR") is None
    assert value(found, "plan_cost_change_ratio", plan="demo") is None


def test_of_a_plan_the_last_run_tells_what_became_dearer(case: LedgerCase) -> None:
    for name, hours, after in (("1", 3, 20.0), ("2", 1, 9.0), ("3", 5, 30.0)):
        played.roll_back(case, f"demo-{DIGEST[:8]}-{name}", NOW - timedelta(hours=hours), after)
    assert value(samples(case), "plan_cost_change_ratio", plan="demo") == -0.1


def test_every_process_comes_to_the_same(case: LedgerCase) -> None:
    played.fill(case, NOW, with_incident=False)
    samples(case, NOW - timedelta(minutes=1))
    played.incident(case, NOW)
    in_steps = samples(case)
    metrics.forget()
    assert samples(case) == in_steps


def test_another_ledger_in_the_same_place_is_read_anew(case: LedgerCase) -> None:
    played.fill(case, NOW)
    samples(case)
    Path(case.url.removeprefix("sqlite:///")).unlink()
    other = LedgerCase(Path(case.url.removeprefix("sqlite:///")))
    played.roll_back(other, f"demo-{DIGEST[:8]}-1", NOW - timedelta(hours=1))
    found = samples(other, NOW + timedelta(minutes=1))
    assert value(found, "run_transitions_total", plan="demo", to="rolled_back") == 1
    assert value(found, "run_transitions_total", plan=played.CRITICAL, to="created") is None


def test_it_is_made_anew_after_ten_seconds(case: LedgerCase) -> None:
    key = case.pin(f"demo-{DIGEST[:8]}-1", NOW)
    assert value(samples(case), "run_age_seconds", plan="demo") == 0
    case.finish(key, Outcome.BLOCKED, "", NOW)
    nearly = samples(case, NOW + timedelta(seconds=9.9))
    assert value(nearly, "run_age_seconds", plan="demo") == 0
    after = samples(case, NOW + timedelta(seconds=10))
    assert value(after, "run_age_seconds", plan="demo") is None
    assert value(after, "run_transitions_total", plan="demo", to="blocked") == 1


def test_a_ledger_that_is_not_there_is_down(tmp_path: Path) -> None:
    case = LedgerCase.__new__(LedgerCase)
    case.url = f"sqlite:///{tmp_path}/none.db"
    assert value(samples(case), "ledger_up") == 0
    assert not (tmp_path / "none.db").exists(), "looking makes none"
    real = LedgerCase(tmp_path / "none.db")
    real.pin(f"demo-{DIGEST[:8]}-1", NOW)
    assert value(samples(real, NOW + timedelta(seconds=11)), "ledger_up") == 1


def statements(case: LedgerCase) -> Iterator[int]:
    """How many statements each reading took, from a fresh reader and from one that knows."""
    reader = MetricsReader.open(case.url)
    asked: list[str] = []
    event.listen(reader._engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    for minute in range(2):
        asked.clear()
        reader.read(NOW + timedelta(minutes=minute))
        yield len([text for text in asked if text.startswith("SELECT")])


def test_the_number_of_statements_does_not_depend_on_the_runs(
    case: LedgerCase, tmp_path: Path
) -> None:
    other = LedgerCase(tmp_path / "other.db")
    played.fill(other, NOW)
    for number in range(20):
        played.succeed(case, f"p{number}-{DIGEST[:8]}-{number}", NOW - timedelta(hours=1 + number))
    played.fill(case, NOW)
    assert list(statements(case)) == list(statements(other))


def test_plans_beyond_the_bound_are_one(case: LedgerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_module, "MAX_PLANS", 2)
    for name in ("a", "b", "c", "d"):
        played.roll_back(case, f"{name}-{DIGEST[:8]}-1", NOW - timedelta(hours=1))
    found = samples(case)
    plans = {
        dict(labels)["plan"] for name, labels in found if name == "planner_run_transitions_total"
    }
    assert plans == {"a", "b", "other"}
    assert value(found, "run_transitions_total", plan="other", to="rolled_back") == 2


def test_no_plan_id_is_in_it(case: LedgerCase) -> None:
    played.fill(case, NOW)
    text, _ = metrics.exposition(case.url, NOW)
    assert DIGEST[:8].encode() not in text


def test_promtool_finds_nothing_to_say(case: LedgerCase) -> None:
    played.fill(case, NOW)
    text, _ = metrics.exposition(case.url, NOW)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_labels_and_names_are_those_that_are_defined(found: Samples) -> None:
    for name, labels in found:
        base = re.sub(r"_(bucket|sum|count|total)$", "", name)
        definition = BY_NAME.get(name) or BY_NAME[base]
        assert {key for key, _ in labels} - {"le"} == set(definition.labels), name
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in found}
    rare = {
        "planner_act_retries_total", "planner_throttle_changes_total",
        "planner_lock_wait_seconds", "planner_mitigation_ratio",
    }  # fmt: skip
    assert {d.exposed for d in DEFINITIONS} - told == rare


def test_an_entry_that_makes_no_sense_is_passed_over(case: LedgerCase) -> None:
    key = case.pin(f"demo-{DIGEST[:8]}-1", NOW)
    case.ledger.record(
        "run.finished", plan_id=key.plan_id, actor="t", detail={"outcome": "lost"}, now=NOW
    )
    case.finish(key, Outcome.BLOCKED, "", NOW)
    assert value(samples(case), "run_transitions_total", plan="demo", to="blocked") == 1
