"""Where the ledger is, for those who cannot ask Airflow."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

ENV_VAR = "AIRFLOW__PLANNER__SQL_ALCHEMY_CONN"
FILE_NAME = "planner.db"


def airflow_home(environ: Mapping[str, str]) -> Path:
    """The folder AIRFLOW_HOME, as Airflow finds it."""
    return Path(environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


def default_url(home: Path) -> str:
    """The SQLite file that is used when nothing is configured."""
    return f"sqlite:///{(home / FILE_NAME).absolute()}"


def ledger_url(environ: Mapping[str, str]) -> str:
    """The ledger's SQLAlchemy URL: from the environment, then ``airflow.cfg``, then the default.

    Airflow's own way also knows ``_cmd`` and ``_secret``; inside Airflow use
    ``planner_provider.hooks.settings``.
    """
    if environ.get(ENV_VAR):
        return environ[ENV_VAR]
    home = airflow_home(environ)
    file = Path(environ.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return default_url(home)
    configured = parser.get("planner", "sql_alchemy_conn", fallback="").strip()
    return configured or default_url(home)
