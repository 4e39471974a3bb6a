"""The state of an issue in Jira or GitHub, brought to what a plan says. Twice does no harm.

Jira: ``GET /rest/api/2/issue/KEY``, ``GET`` and ``POST`` of its ``transitions``. GitHub: ``PATCH
/repos/OWNER/REPOSITORY/issues/NUMBER``.
"""

from __future__ import annotations

import json
from typing import Any

from planner_provider.errors import PlannerError, RefusedError, UnavailableError
from planner_provider.hooks.http import HttpAnswer, HttpRequest, HttpServer, connect, send
from planner_provider.notifications.services.issues import github_path, jira_path, refusal
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

GITHUB: dict[str, dict[str, str]] = {
    "open": {"state": "open"},
    "closed": {"state": "closed", "state_reason": "completed"},
    "not_planned": {"state": "closed", "state_reason": "not_planned"},
}


def set_state(parcel: Parcel) -> None:
    """Bring the issue ``channel`` to ``state``, if it is not there.

    Raises:
        UnavailableError: the tracker did not answer.
        MisconfiguredError: its login was refused.
        RefusedError: there is no such issue, nothing leads from its state to that one, or the
            login may not do it.
    """
    server = connect(parcel.connection)
    with server.session:
        if parcel.tracker == "jira":
            _jira(parcel, server)
        else:
            _github(parcel, server)


def _jira(parcel: Parcel, server: HttpServer) -> None:
    issue, wanted = parcel.channel or "", parcel.state or ""
    path = jira_path(issue)
    answer = _ask(parcel, server, "GET", f"{path}?fields=status")
    try:
        status = str(_json(answer)["fields"]["status"]["name"])
        if _same(status, wanted):
            return
        answer = _ask(parcel, server, "GET", f"{path}/transitions")
        known = [
            (str(item["id"]), str(item["to"]["name"]), bool(item.get("hasScreen")))
            for item in _json(answer)["transitions"]
            if item.get("isAvailable", True)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise UnavailableError(
            f"{answer.where} answered in a form that its API does not promise: '{answer.excerpt}'"
        ) from error
    # a transition with a screen may ask for fields, which nobody fills in here
    fitting = sorted((screen, number) for number, to, screen in known if _same(to, wanted))
    if not fitting:
        others = ", ".join(f"'{name}'" for name in dict.fromkeys(to for _, to, _ in known))
        raise RefusedError(
            f"Issue {issue} stands at '{status}', from where no transition leads to '{wanted}'. "
            f"The login of connection '{parcel.connection}' can take it to: {others or 'nothing'}. "
            "Name one of these in `states` of the plan's ticket, or mend the workflow or the "
            "rights in Jira"
        )
    body = {"transition": {"id": fitting[0][1]}}
    _ask(parcel, server, "POST", f"{path}/transitions", body, status=204)


def _github(parcel: Parcel, server: HttpServer) -> None:
    wanted = GITHUB.get(parcel.state or "")
    if wanted is None:
        raise RefusedError(
            f"An issue on GitHub has no state '{parcel.state}'; name open, closed or not_planned"
        )
    answer = _ask(parcel, server, "PATCH", github_path(parcel.channel or ""), wanted)
    found = _json(answer)
    found = found if isinstance(found, dict) else {}
    for key, value in wanted.items():
        if found.get(key) not in (value, None):
            raise RefusedError(
                f"Issue {parcel.channel} was to have the {key} '{value}', and GitHub left it at "
                f"'{found[key]}'. It gives a reason only to an issue that is being closed: reopen "
                "it first, if that matters"
            )


def _ask(
    parcel: Parcel,
    server: HttpServer,
    method: str,
    path: str,
    body: Any = None,
    *,
    status: int = 200,
) -> HttpAnswer:
    request = HttpRequest(
        parcel.connection, method=method, path=path, body=body, timeout=TIMEOUT,
        headers={"Accept": "application/json"},
    )  # fmt: skip
    answer = send(request, server)
    if answer.status != status:
        raise _refused(parcel, answer)
    return answer


def _refused(parcel: Parcel, answer: HttpAnswer) -> PlannerError:
    doing = "change the state of" if answer.where.startswith(("POST", "PATCH")) else "read"
    may_not = f"connection '{parcel.connection}' may not {doing} {parcel.channel}"
    found = refusal(answer, may_not)
    if answer.status != 403:
        return found
    # to ask again for an hour would only hold up the comments that come after it
    busy = "rate limit" in answer.excerpt.lower()
    return UnavailableError(str(found)) if busy else RefusedError(str(found))


def _json(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise UnavailableError(f"{answer.where} answered no JSON: '{answer.excerpt}'") from error


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
