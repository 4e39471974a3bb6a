from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from planner_provider.graph.approvals import (
    ApprovalRule,
    approval_rule,
    change_profile,
    parameters_digest,
)
from planner_provider.spec.actions import Approval
from planner_provider.spec.kinds import Service, Team


def team(name: str, *members: str, notify: tuple[str, ...] = ()) -> Team:
    spec = {"members": members, "notify": notify}
    return Team.model_validate(
        {"apiVersion": "planner/v1", "kind": "Team", "metadata": {"name": name, "owner": "team-x"},
         "spec": spec}
    )  # fmt: skip


def service(name: str, **spec: Any) -> Service:
    return Service.model_validate(
        {"apiVersion": "planner/v1", "kind": "Service", "metadata": {"name": name, "owner": "x"},
         "spec": spec}
    )  # fmt: skip


TEAMS = {
    "sre": team("sre", "bob", "alice", notify=("sre_hook",)),
    "leads": team("leads", "lena", notify=("leads_hook",)),
}


def test_groups_become_people() -> None:
    rule = approval_rule(
        Approval.model_validate(
            {
                "approvers": ("group:sre", "user:chen", "dora", "team:gone"),
                "count": 2,
                "timeout": "2h",
                "escalate": (
                    {"after": "1h", "to": ("team:leads",)},
                    {"after": "30m", "to": ("erik",)},
                ),
            }
        ),
        TEAMS,
    )
    assert rule is not None
    assert rule.users == ("alice", "bob", "chen", "dora")
    assert rule.connections == ("sre_hook",)
    assert [(e.after, e.users, e.connections) for e in rule.escalations] == [
        (timedelta(minutes=30), ("erik",), ()),
        (timedelta(hours=1), ("lena",), ("leads_hook",)),
    ]
    assert rule.everybody == ("alice", "bob", "chen", "dora", "erik", "lena")
    assert rule.not_requester
    assert rule.max_risk is None
    assert ApprovalRule.model_validate_json(rule.model_dump_json()) == rule


def test_never_is_no_rule() -> None:
    assert approval_rule(Approval(required="never"), TEAMS) is None


def test_a_rule_answers_only_with_auto() -> None:
    auto = {"approvers": ("bob",), "auto_approve": {"max_risk": "medium"}}
    for required, risk in (("auto", "medium"), ("always", None)):
        found = approval_rule(Approval.model_validate({**auto, "required": required}), {})
        assert found is not None
        assert found.max_risk == risk


SERVICES = {
    "db": service("db", tier=1, resources=("postgres://shop",)),
    "checkout": service("checkout", tier=2, depends_on=("db",)),
    "shop": service("shop", tier=3, depends_on=("checkout",)),
    "blog": service("blog"),
}


@pytest.mark.parametrize(
    ("changed", "tier", "dependents"),
    [
        (("postgres://shop",), 1, 2),
        (("service://checkout", "postgres://shop"), 1, 1),
        (("service://shop",), 3, 0),
        (("service://blog", "service://shop"), None, 0),
        (("k8s://unheard/of", "service://shop"), None, None),
        ((), None, None),
    ],
)
def test_profile(changed: tuple[str, ...], tier: int | None, dependents: int | None) -> None:
    profile = change_profile(changed, SERVICES, changing_steps=2, irreversible_steps=1)
    assert (profile.tier, profile.dependents) == (tier, dependents)
    assert profile.exclusive_resources == len(changed)


def test_a_plan_that_changes_nothing_is_of_no_tier() -> None:
    profile = change_profile((), SERVICES, changing_steps=0, irreversible_steps=0)
    assert (profile.tier, profile.dependents) == (5, 0)


def test_the_digest_of_parameters_tells_values_and_types_apart() -> None:
    assert parameters_digest({"a": 1, "b": 2}) == parameters_digest({"b": 2, "a": 1})
    assert len({parameters_digest({"a": v}) for v in (1, "1", 1.0, True, None)}) == 5
