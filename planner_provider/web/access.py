"""Who asks, and what they may: always Airflow's answer, never one of our own."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep

from planner_provider.web.airflow_dags import DagNow
from planner_provider.web.models import Rights

Method = Literal["GET", "POST", "PUT"]
LIFE_SECONDS = 10.0
"""For so long what a user may read is remembered. What a user changes is always asked anew."""
MOST_USERS = 500

__all__ = ["Access", "Accesses", "GetUserDep", "may", "may_override", "user_name"]


@dataclass(frozen=True, slots=True)
class Access:
    """What a user may do with plans, as Airflow said a moment ago."""

    user: str
    rights: Mapping[str, Rights]
    """By DAG; a DAG that is not in it may not be read."""
    audits: frozenset[str]
    """DAGs of which the audit trail may be read."""
    key: str
    """Equal for users who see the same."""

    def reads(self, dag_id: str) -> bool:
        """Whether the user may see a DAG and its runs."""
        return dag_id in self.rights

    @property
    def dag_ids(self) -> Collection[str]:
        """What the user may read."""
        return self.rights.keys()


class Accesses:
    """What users may read, remembered for some seconds. Fit for many threads."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[str], Access]] = {}
        self._turn = threading.Lock()

    def known(self, user: BaseUser, dag_ids: frozenset[str]) -> Access | None:
        """What is remembered of a user; ``None`` if that is too old, or about other DAGs."""
        kept = self._known.get(_identity(user))
        if kept is None or kept[0] < time.monotonic() or not dag_ids <= kept[1]:
            return None
        return kept[2]

    def find(
        self,
        user: BaseUser,
        dag_ids: frozenset[str],
        dags: Mapping[str, DagNow],
        override_users: Collection[str],
    ) -> Access:
        """Ask Airflow what a user may do with these DAGs."""
        access = _ask(user, dag_ids, dags, override_users)
        with self._turn:
            now = time.monotonic()
            self._known[_identity(user)] = (now + LIFE_SECONDS, dag_ids, access)
            if len(self._known) > MOST_USERS:
                self._known = {k: kept for k, kept in self._known.items() if kept[0] >= now}
        return access


def user_name(user: BaseUser) -> str:
    """The name under which a user's acts are written down."""
    return str(user.get_name())


def may(
    user: BaseUser,
    dag_id: str,
    method: Method,
    entity: DagAccessEntity | None = DagAccessEntity.RUN,
    team: str | None = None,
) -> bool:
    """Ask Airflow whether a user may do something with a DAG, or with what belongs to it."""
    details = DagDetails(id=dag_id, team_name=team)
    return bool(
        get_auth_manager().is_authorized_dag(
            method=method, access_entity=entity, details=details, user=user
        )
    )


def may_override(user: str, override_users: Collection[str]) -> bool:
    """Whether the configuration lets a user open closed calendars.

    A name with a colon in it never counts: the ledger takes what comes after one for the name.
    """
    return ":" not in user and user in override_users


def _ask(
    user: BaseUser,
    dag_ids: frozenset[str],
    dags: Mapping[str, DagNow],
    override_users: Collection[str],
) -> Access:
    by_team: dict[str | None, set[str]] = defaultdict(set)
    for dag_id in dag_ids:
        known = dags.get(dag_id)
        by_team[known.team if known else None].add(dag_id)
    name = user_name(user)
    overrides = may_override(name, override_users)
    rights: dict[str, Rights] = {}
    audits: set[str] = set()
    for team, ids in by_team.items():
        read = get_auth_manager().filter_authorized_dag_ids(
            dag_ids=ids, user=user, method="GET", team_name=team
        )
        for dag_id in sorted(read):
            if may(user, dag_id, "GET", team=team):
                rights[dag_id] = Rights(
                    trigger=may(user, dag_id, "POST", team=team),
                    steer=may(user, dag_id, "PUT", team=team),
                    override=overrides,
                )
                if may(user, dag_id, "GET", DagAccessEntity.AUDIT_LOG, team):
                    audits.add(dag_id)
    told = sorted(
        (dag_id, dag_id in audits, right.trigger, right.steer, right.override)
        for dag_id, right in rights.items()
    )
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]
    return Access(name, rights, frozenset(audits), key)


def _identity(user: BaseUser) -> str:
    """All that the token says about a user: another role is another entry."""
    claims: dict[str, Any] = get_auth_manager().serialize_user(user)
    text = json.dumps(claims, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
