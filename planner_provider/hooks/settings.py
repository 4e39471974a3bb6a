"""The ``[planner]`` section of Airflow's configuration, and the ledger that it names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf

from planner_provider.errors import MisconfiguredError

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger

SECTION = "planner"


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """What operators need to know."""

    sql_alchemy_conn: str
    """Where the ledger is."""
    ledger_auto_upgrade: bool
    life_sign: timedelta
    """How often a step that acts says that it is alive."""
    override_users: tuple[str, ...] = ()
    """Users whose overrides of calendars count."""
    metrics_token: str = ""
    """What who reads ``/planner/metrics`` must show; empty: nobody may read it."""

    @property
    def silence(self) -> timedelta:
        """After so long without a sign of life, an act is taken to be over.

        Two signs may be late, and a process that is told to end has five seconds to do so.
        """
        return 2 * self.life_sign + timedelta(seconds=2)


def load_settings() -> PlannerSettings:
    """Read the configuration. Raises ``MisconfiguredError`` for values that make no sense."""
    import os
    from pathlib import Path

    from planner_provider.ledger.location import airflow_home, default_url

    url = conf.get(SECTION, "sql_alchemy_conn", fallback="")
    life_sign = conf.getfloat(SECTION, "life_sign_seconds", fallback=5.0)
    if not 0 < life_sign <= 300:
        raise MisconfiguredError(
            f"[planner] life_sign_seconds is {life_sign:g}; it must be above 0 and at most 300."
        )
    users = conf.get(SECTION, "override_users", fallback="")
    home = os.environ.get("AIRFLOW_HOME")
    return PlannerSettings(
        sql_alchemy_conn=url or default_url(Path(home) if home else airflow_home(os.environ)),
        ledger_auto_upgrade=conf.getboolean(SECTION, "ledger_auto_upgrade", fallback=True),
        life_sign=timedelta(seconds=life_sign),
        override_users=tuple(filter(None, (name.strip() for name in users.split(",")))),
        metrics_token=(conf.get(SECTION, "metrics_token", fallback="") or "").strip(),
    )


def open_ledger() -> Ledger:
    """The ledger that is configured; one object a process."""
    settings = load_settings()
    return _ledger(settings.sql_alchemy_conn, settings.ledger_auto_upgrade)


@lru_cache(maxsize=4)
def _ledger(url: str, auto_upgrade: bool) -> Ledger:
    from planner_provider.hooks.traced_ledger import TracedLedger

    return TracedLedger(url, auto_upgrade=auto_upgrade)
