"""What Airflow itself knows of DAGs: which there are, which are paused, whose they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from airflow.configuration import conf
from airflow.models.dag import DagModel  # noqa: TID251 - within the API server, as its own routes
from airflow.utils.session import create_session
from sqlalchemy import select

LIFE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class DagNow:
    """A DAG that Airflow knows."""

    is_paused: bool
    is_stale: bool
    """Whether its file, or its spec, is gone."""
    team: str | None = None
    """With ``[core] multi_team``."""


class Dags:
    """All DAGs, read anew when what is known is older than two seconds."""

    def __init__(self) -> None:
        self._known: Mapping[str, DagNow] = {}
        self._until = 0.0
        self._turn = threading.Lock()

    def now(self) -> Mapping[str, DagNow]:
        """DAG id -> what is known of it."""
        with self._turn:
            if time.monotonic() >= self._until:
                fresh = read_dags()
                if fresh != self._known:
                    self._known = fresh
                self._until = time.monotonic() + LIFE_SECONDS
            return self._known


def read_dags() -> dict[str, DagNow]:
    """Ask Airflow's database."""
    with create_session() as session:
        query = select(DagModel.dag_id, DagModel.is_paused, DagModel.is_stale)
        found = session.execute(query).all()
        teams: Mapping[str, str | None] = {}
        if conf.getboolean("core", "multi_team", fallback=False):
            ids = [row.dag_id for row in found]
            teams = DagModel.get_dag_id_to_team_name_mapping(ids, session=session)
    return {
        row.dag_id: DagNow(bool(row.is_paused), bool(row.is_stale), teams.get(row.dag_id))
        for row in found
    }
