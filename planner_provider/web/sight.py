"""What the page sees of plans and runs at one moment, shared by all who look within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

from sqlalchemy import Engine

from planner_provider.hooks.settings import PlannerSettings, load_settings, open_ledger
from planner_provider.ledger import Ledger
from planner_provider.ledger.engine import make_engine
from planner_provider.ledger.overview import Board, Overviews
from planner_provider.ledger.upgrade import require_schema
from planner_provider.web.access import Accesses
from planner_provider.web.airflow_dags import DagNow, Dags

LIFE_SECONDS = 1.0
"""For so long everybody sees the same."""

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Sight:
    """The ledger and Airflow's DAGs at one moment."""

    board: Board
    dags: Mapping[str, DagNow]


class Shared(Generic[Seen]):
    """Something that is read again when it is older than a second, by one thread for all.

    What is read and equals what was there leaves that in place, so that it can be told by its
    identity whether anything changed.
    """

    def __init__(self, read: Callable[[], Seen], life: float | None = None) -> None:
        self._read = read
        self._life = LIFE_SECONDS if life is None else life
        self._value: Seen | None = None
        self._until = 0.0
        self._turn = threading.Lock()

    def fresh(self) -> Seen | None:
        """What is there, if it is fresh enough."""
        return self._value if time.monotonic() < self._until else None

    def get(self) -> Seen:
        """What is there, read again if it must be. Blocks."""
        with self._turn:
            if (value := self.fresh()) is not None:
                return value
            began = time.monotonic()
            value = self._read()
            if self._value is None or value != self._value:
                self._value = value
            self._until = began + self._life
            return self._value

    def forget(self) -> None:
        """Read it anew for whoever asks next: something was just changed."""
        self._until = 0.0


class Planner:
    """All that the routes work with; one a process, made when the first request comes."""

    def __init__(self, settings: PlannerSettings) -> None:
        self.settings = settings
        self.dags = Dags()
        self.accesses = Accesses()
        self.sight: Shared[Sight] = Shared(self._look)
        self.dag_ids: Shared[frozenset[str]] = Shared(lambda: self.overviews.dag_ids())

    @cached_property
    def engine(self) -> Engine:
        """Connections that are kept, for reading. Raises ``MisconfiguredError``."""
        engine = make_engine(self.settings.sql_alchemy_conn, pooled=True)
        require_schema(engine, upgrade=self.settings.ledger_auto_upgrade)
        return engine

    @cached_property
    def overviews(self) -> Overviews:
        """What reads the ledger."""
        return Overviews(self.engine, override_users=self.settings.override_users)

    @property
    def ledger(self) -> Ledger:
        """What changes the ledger."""
        return open_ledger()

    @staticmethod
    def now() -> datetime:
        """The moment."""
        return datetime.now(UTC)

    def _look(self) -> Sight:
        return Sight(self.overviews.board(self.now()), self.dags.now())


@lru_cache(maxsize=1)
def planner() -> Planner:
    """The one of this process."""
    return Planner(load_settings())
