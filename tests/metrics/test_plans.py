"""What a compiled plan says, and since when one that starts by itself is stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from planner_provider.metrics.plans import PlanFacts, plan_facts, stale_since
from tests.cli.ledgers import NOW
from tests.metrics.played import graphs


def facts(name: str) -> PlanFacts:
    graph = graphs()[name]
    return plan_facts(name, graph.digest, NOW, graph.to_json())


def test_a_plan_that_is_started_by_hand() -> None:
    found = facts("checkout-canary")
    assert (found.starts, found.automated, found.critical) == ("by_hand", False, True)
    assert found.slo_coverage == 1
    assert set(found.kinds.values()) >= {"canary"}
    assert stale_since(found, NOW) is None


def test_a_plan_by_cron_is_stale_after_three_periods() -> None:
    found = facts("certificate-check")
    assert (found.starts, found.automated) == ("cron", True)
    assert stale_since(found, NOW) == datetime(2026, 3, 26, 5, 15, tzinfo=UTC)


def test_cron_is_in_its_own_zone() -> None:
    found = PlanFacts(
        "p", "d", NOW, starts="cron", schedule={"cron": "0 1 * * *", "timezone": "Asia/Tokyo"}
    )
    assert stale_since(found, NOW, 1) == datetime(2026, 3, 28, 16, tzinfo=UTC)


def test_a_plan_by_calendar_is_stale_after_three_openings() -> None:
    found = facts("shop-release")
    assert (found.starts, found.automated) == ("calendar", found.approval != "always")
    since = stale_since(found, NOW)
    assert since is not None
    assert timedelta(days=2) < NOW - since < timedelta(days=7)
    before = stale_since(found, NOW - timedelta(days=7))
    assert before == since - timedelta(days=7), "it is open every week alike"


@pytest.mark.parametrize("graph", ["", "[]", '{"touches": [{}]}', '{"schedule": 3}'])
def test_what_cannot_be_read_is_a_plan_of_which_nothing_is_known(graph: str) -> None:
    assert plan_facts("p", "d", NOW, graph) == PlanFacts("p", "d", NOW)


def test_a_schedule_that_makes_no_sense_is_never_stale() -> None:
    found = PlanFacts("p", "d", NOW, starts="cron", schedule={"cron": "99 99 * * *"})
    assert stale_since(found, NOW) is None


def test_urgent_plans_say_so() -> None:
    found = plan_facts("p", "d", NOW, '{"labels": {"urgency": "urgent"}}')
    assert found.urgent
    assert not plan_facts("p", "d", NOW, '{"labels": {"urgency": "low"}}').urgent
