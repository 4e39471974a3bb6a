from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from planner_provider.graph.approvals import approval_rule
from planner_provider.graph.contacts import (
    Contact,
    ContactRoute,
    OwnWords,
    contact,
    own_words,
    reach,
)
from planner_provider.graph.model import PlanGraph
from planner_provider.spec.actions import Approval
from planner_provider.spec.folder import Catalog
from planner_provider.spec.kinds import Service, Team
from tests.graph.plans import TEAMS, every_field, graph_of


def team(name: str, **spec: Any) -> Team:
    return Team.model_validate(
        {"apiVersion": "planner/v1", "kind": "Team", "metadata": {"name": name}, "spec": spec}
    )


def resolved(*teams: Team, touched: bool = False) -> Contact:
    by_name = {item.metadata.name: item for item in teams}
    return contact(teams[0].metadata.name, teams[0], by_name, touched=touched)


PAGER = {"connection": "pager", "min_severity": "critical", "events": ["held"]}


def test_connections_alone_are_kept_as_before() -> None:
    found = resolved(team("a", notify=["chat", "chat", "mail"]))
    assert found == Contact(team="a", connections=("chat", "mail"))
    assert [way.connection for way in found.ways] == ["chat", "mail"]


def test_routes_say_what_goes_where() -> None:
    found = resolved(team("a", notify=["chat", PAGER]))
    assert found.connections == ("chat", "pager")
    assert found.routes == (
        ContactRoute(connection="chat"),
        ContactRoute(connection="pager", min_severity="critical", events=("held",)),
    )
    assert reach(found) == ["chat", "pager (held; critical and above)"]


def test_a_plain_name_comes_half_an_hour_after_the_one_before() -> None:
    first = team(
        "a", notify=["chat"], escalation=["b", {"after": "2h", "to": ["team:c"]}, "d", "user:x"]
    )
    others = (team(name, notify=[f"chat-{name}"]) for name in "bcd")
    found = resolved(first, *others)
    assert [(item.team, item.after) for item in found.escalations] == [
        ("b", timedelta(minutes=30)), ("c", timedelta(hours=2)), ("d", timedelta(minutes=150)),
    ]  # fmt: skip
    assert reach(found)[1] == "b (chat-b) if nobody acts for 30m"


def test_who_cannot_be_told_is_no_escalation() -> None:
    found = resolved(team("a", notify=["chat"], escalation=["b"]), team("b"))
    assert found == Contact(team="a", connections=("chat",))


@pytest.mark.parametrize("wants", [False, True])
def test_the_owner_of_a_touched_service_is_told_if_he_wants_to(wants: bool) -> None:
    other = team("team-web", notify=[{"connection": "web", "touched": wants}, "quiet"])
    shop = Service.model_validate(
        {
            "apiVersion": "planner/v1", "kind": "Service",
            "metadata": {"name": "shop", "owner": "team-web"}, "spec": {},
        }
    )  # fmt: skip
    catalog = Catalog(
        teams={**TEAMS.teams, "team-web": other}, services={"shop": shop}, fleets=TEAMS.fleets
    )
    found = {item.team: item for item in graph_of(every_field(), catalog).contacts}
    assert ("team-web" in found) is wants
    if wants:
        assert [way.connection for way in found["team-web"].ways if way.touched] == ["web"]


def test_who_is_named_by_a_step_but_not_touched_hears_no_more_than_that() -> None:
    wants = team("a", notify=[{"connection": "web", "touched": True}])
    assert not any(way.touched for way in resolved(wants).ways)
    assert all(way.touched for way in resolved(wants, touched=True).ways)


def test_approvers_are_told_along_their_routes() -> None:
    approval = Approval.model_validate(
        {
            "approvers": ["group:a"],
            "escalate": [{"after": "1h", "to": ["team:b"]}],
        }
    )
    teams = {"a": team("a", notify=["chat"]), "b": team("b", notify=["chat", PAGER])}
    rule = approval_rule(approval, teams)
    assert rule is not None
    assert (rule.connections, rule.routes) == (("chat",), ())
    assert [way.name for way in rule.ways] == ["chat"]
    assert [way.min_severity for way in rule.escalations[0].ways] == ["info", "critical"]


def test_graphs_of_before_are_read_and_digests_of_plans_without_routes_stay() -> None:
    graph = graph_of(every_field())
    assert '"routes"' not in graph.to_json()
    again = PlanGraph.from_json(graph.to_json())
    assert again.contacts[0].ways == (ContactRoute(connection="chat_shop"),)


@pytest.mark.parametrize(
    "route",
    [
        {"connection": "a", "events": ["nonsense"]},
        {"connection": "a", "min_severity": "high"},
        {"connection": "a", "channel": "a b"},
        {"channel": "#x"},
        {"connection": "a", "unknown": 1},
    ],
)
def test_a_route_that_makes_no_sense_is_refused(route: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        team("a", notify=[route])


DONE = {"done": {"title": "{{ plan }} is in"}}


def test_own_words_go_with_every_route_of_a_team_and_with_no_other() -> None:
    first = team("a", notify=["chat", PAGER], templates=DONE, escalation=["b"])
    other = team("b", notify=["leads"], templates={"failed": {"text": "Look"}})
    found = resolved(first, other)
    said = (OwnWords(event="done", title="{{ plan }} is in"),)
    assert [way.words for way in found.ways] == [said, said]
    assert [way.words for way in found.escalations[0].routes] == [
        (OwnWords(event="failed", text="Look"),)
    ]
    assert reach(found)[0] == "chat", "how a team is told says nothing of the words"
    assert own_words((found,)) == {
        ("a", "done"): OwnWords(event="done", title="{{ plan }} is in"),
        ("b", "failed"): OwnWords(event="failed", text="Look"),
    }


def test_approvers_are_told_in_their_own_words() -> None:
    approval = Approval.model_validate({"approvers": ["group:a"]})
    rule = approval_rule(approval, {"a": team("a", notify=["chat"], templates=DONE)})
    assert rule is not None
    assert [words.event for way in rule.ways for words in way.words] == ["done"]


def test_graphs_with_own_words_are_read_again() -> None:
    shop = team("team-shop", notify=["chat"], templates=DONE)
    graph = graph_of(every_field(), Catalog(teams={"team-shop": shop}, fleets=TEAMS.fleets))
    again = PlanGraph.from_json(graph.to_json())
    assert again.contacts == graph.contacts
    assert again.contacts[0].ways[0].words[0].title == "{{ plan }} is in"
