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
    configured = setting(environ, "sql_alchemy_conn")
    return configured or default_url(airflow_home(environ))


def setting(environ: Mapping[str, str], name: str) -> str:
    """A setting of the section ``[planner]``: from the environment, else from ``airflow.cfg``.

    Empty if there is none.
    """
    given = environ.get(f"AIRFLOW__PLANNER__{name.upper()}")
    if given is not None:
        return given
    file = Path(environ.get("AIRFLOW_CONFIG") or airflow_home(environ) / "airflow.cfg").expanduser()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return ""
    return parser.get("planner", name, fallback="").strip()
