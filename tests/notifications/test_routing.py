from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from planner_provider.graph.contacts import (
    Contact,
    ContactEscalation,
    ContactRoute,
    OwnWords,
)
from planner_provider.notifications.letter import Letter
from planner_provider.notifications.routing import drafts, escalations, routes_for, wanted
from tests.notifications.cases import NOW, event

CHAT = ContactRoute(connection="chat", channel="#deploys")
PAGER = ContactRoute(connection="pager", min_severity="critical")


def contact(team: str = "team-checkout", *routes: ContactRoute, **values: Any) -> Contact:
    names = tuple(route.connection for route in routes)
    return Contact(team=team, connections=names, routes=routes, **values)


@pytest.mark.parametrize(
    ("route", "kind", "goes"),
    [
        ({}, "done", True),
        ({}, "started", False),
        ({"events": ("started",)}, "started", True),
        ({"events": ("held",)}, "held", True),
        ({"events": ("held",)}, "done", False),
        ({"min_severity": "warning"}, "done", False),
        ({"min_severity": "warning"}, "held", True),
        ({"min_severity": "warning"}, "rollback_failed", True),
        ({"min_severity": "critical", "events": ("held",)}, "held", False),
    ],
)
def test_a_route_takes_what_it_wants(route: dict[str, Any], kind: str, goes: bool) -> None:
    assert wanted(ContactRoute(connection="c", **route), event(kind)) is goes


def test_the_owner_hears_and_who_is_touched_if_he_wants_to() -> None:
    touched = ContactRoute(connection="other", touched=True)
    quiet = ContactRoute(connection="quiet")
    contacts = (contact("team-checkout", CHAT, PAGER), contact("team-web", touched, quiet))
    names = [route.name for route in routes_for("team-checkout", contacts)]
    assert names == ["chat/#deploys", "pager", "other"]


def test_connections_alone_are_told_everything() -> None:
    old = Contact(team="team-checkout", connections=("a", "b", "a"))
    assert [route.name for route in routes_for("team-checkout", (old,))] == ["a", "b"]


def test_one_notice_for_each_way() -> None:
    found = drafts(event("held"), (CHAT, CHAT, PAGER))
    assert [draft.channel for draft in found] == ["chat/#deploys"]
    letter = Letter.model_validate_json(found[0].body)
    assert (letter.connection, letter.channel, letter.closes) == ("chat", "#deploys", False)
    assert found[0].due_at == NOW


def test_what_closes_an_alert_goes_where_the_alert_went() -> None:
    opened = Letter.of(event(), PAGER)
    found = drafts(event("done"), (CHAT, PAGER), (opened, opened))
    letters = {d.channel: Letter.model_validate_json(d.body) for d in found}
    assert set(letters) == {"chat/#deploys", "pager"}
    assert letters["pager"].closes
    assert not letters["chat/#deploys"].closes
    assert [d.channel for d in drafts(event("held"), (PAGER,), (opened,))] == []


def test_who_was_called_because_nobody_acted_hears_that_somebody_has() -> None:
    called = Letter.of(event("approval_escalated", waited="30m"), CHAT)
    for earlier in ([called], [Letter.of(event(), CHAT), called]):
        (draft,) = drafts(event("approved"), (), earlier)
        assert not Letter.model_validate_json(draft.body).closes


def test_others_are_told_later() -> None:
    leads = ContactEscalation(
        after=timedelta(minutes=30), team="leads", routes=(ContactRoute(connection="leads"),)
    )
    owner = contact("team-checkout", CHAT, escalations=(leads,))
    (draft,) = escalations(event("needs_approval"), (owner, contact("team-web", CHAT)))
    letter = Letter.model_validate_json(draft.body)
    assert draft.due_at == NOW + timedelta(minutes=30)
    assert (letter.event.kind, letter.event.severity) == ("approval_escalated", "warning")
    assert letter.event.waited == "30m"
    assert letter.unless_acted == "needs_approval"
    assert draft.subject != event().subject
    assert escalations(event("done"), (owner,)) == ()


def test_the_state_of_an_issue_is_a_notice_of_its_own_after_the_comment() -> None:
    issue = ContactRoute(
        connection="jira", channel="SHOP-7", tracker="jira", events=("started", "done"),
        states=(("done", "Done"), ("held", "On hold")),
    )  # fmt: skip
    comment, chat, state = drafts(event("done"), (issue, CHAT))
    assert (comment.channel, chat.channel, state.channel) == (
        "jira/SHOP-7", "chat/#deploys", "jira/SHOP-7",
    )  # fmt: skip
    assert comment.subject is None
    assert state.subject == "state s"
    letters = [Letter.model_validate_json(draft.body) for draft in (comment, state)]
    assert [(letter.tracker, letter.state) for letter in letters] == [
        ("jira", None), ("jira", "Done"),
    ]  # fmt: skip
    assert len(drafts(event("started"), (issue,))) == 1
    assert drafts(event("held"), (issue,)) == (), "what it does not hear of does not move it"


def test_a_letter_takes_the_words_of_its_event_and_of_those_that_close_it() -> None:
    def words(*kinds: Any) -> tuple[OwnWords, ...]:
        return tuple(OwnWords(event=kind, title=f"{kind} {{{{ plan }}}}") for kind in kinds)

    route = ContactRoute(connection="chat", words=words("done", "held", "started", "failed"))
    (draft,) = drafts(event("held"), (route,))
    letter = Letter.model_validate_json(draft.body)
    assert letter.words == words("done", "held")
    assert letter.route.words == letter.words, "whoever was called hears the end in these words"
