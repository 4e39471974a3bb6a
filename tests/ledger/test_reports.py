"""The reports on both kinds of database; what they say is tested with the commands."""

from __future__ import annotations

import pytest

from planner_provider.errors import MisconfiguredError
from planner_provider.ledger import Ledger
from planner_provider.ledger.reports import Reports
from planner_provider.ledger.rows import Hold, Outcome
from tests.ledger.cases import NOW, Run, later


def test_all_of_them(ledger: Ledger) -> None:
    run = Run(ledger).pin()
    run.lease("db://x")
    run.do("s1")
    other = Run(ledger, run_id="run-2", plan="other").pin()
    ledger.ask_for_lease(other.key.plan_id, [Hold("db://x")], actor="t", now=NOW)
    reports = Reports.open(ledger.url)
    plan_id = run.key.plan_id
    assert {item.run.plan_id for item in reports.runs()} == {plan_id, other.key.plan_id}
    assert reports.runs(outcome=Outcome.FAILED) == ()
    assert reports.plan_ids("release-") == (plan_id,)
    story = reports.story(plan_id)
    assert story is not None
    assert (len(story.acts), len(story.leases), story.waits) == (1, 1, None)
    locked = reports.locked(later(1))
    assert [item.run.plan_id for item in locked.held] == [plan_id]
    assert [item.waiter.plan_id for item in locked.waiting] == [other.key.plan_id]
    found = reports.in_the_way([Hold("db://x")], later(1))
    assert [(item.plan_id, item.holds) for item in found] == [
        (plan_id, True),
        (other.key.plan_id, False),
    ]
    assert len(reports.audit(plan_id)) == len(ledger.audit_of(plan_id))
    assert reports.check_audit(reports.audit_head()).intact
    assert reports.decision(1) is None


def test_an_empty_database_stays_empty(ledger_url: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"has no ledger in it|There is no ledger"):
        Reports.open(ledger_url)
    assert Ledger(ledger_url, auto_upgrade=False).version() is None
