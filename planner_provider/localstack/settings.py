"""The environment in which the local Airflow's processes run."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PASSWORDS_FILE = "simple_auth_manager_passwords.json.generated"

FAST: dict[str, str] = {
    # Default 1 s: it is the gap between two tasks of a run. 0.1 s costs about 15 % of a core.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__API__AUTO_REFRESH_INTERVAL": "1",
}
"""Quicker heartbeats, parsing and crash recovery than Airflow's defaults; for one machine only."""


def free_port() -> int:
    """Return a port on loopback that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True)
class StackSettings:
    """What a local Airflow is started with.

    ``home`` is AIRFLOW_HOME and must be writable; ``dags`` is the folder with DAG files, or
    ``bundles`` the value of ``[dag_processor] dag_bundle_config_list`` as JSON text instead.
    ``users`` maps names to the simple auth manager's roles (viewer, user, op, admin). ``env`` is
    added last, so that it wins. ``fast`` sets :data:`FAST`.
    """

    home: Path
    dags: Path | None = None
    bundles: str | None = None
    specs: Path | None = None
    port: int = field(default_factory=free_port)
    users: Mapping[str, str] = field(default_factory=lambda: {"admin": "admin"})
    env: Mapping[str, str] = field(default_factory=dict)
    fast: bool = True
    parallelism: int = 8

    @property
    def url(self) -> str:
        """Where the API and the UI answer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """Airflow's SQLite file."""
        return self.home / "airflow.db"

    @property
    def passwords_file(self) -> Path:
        """Where the simple auth manager keeps its passwords."""
        return self.home / PASSWORDS_FILE

    def passwords(self) -> dict[str, str]:
        """Return the password of each user; made at random by :meth:`prepare_home`."""
        read: dict[str, str] = json.loads(self.passwords_file.read_text(encoding="utf-8"))
        return read

    def prepare_home(self) -> None:
        """Make AIRFLOW_HOME with a configuration file and random passwords.

        The configuration file is all but empty: it keeps four processes from writing Airflow's
        long default file at the same time. All settings are in the environment.
        """
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        configuration = self.home / "airflow.cfg"
        if not configuration.exists():
            configuration.write_text("[core]\n", encoding="utf-8")
        if not self.passwords_file.exists():
            passwords = {name: secrets.token_urlsafe(12) for name in self.users}
            self.passwords_file.touch(mode=0o600)
            self.passwords_file.write_text(json.dumps(passwords), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """Return the full environment, with new random keys at every call."""
        roles = ",".join(f"{name}:{role}" for name, role in self.users.items())
        ours = {name: value for name, value in os.environ.items() if is_harmless(name)}
        ours |= {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONFIG": str(self.home / "airflow.cfg"),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(48),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": str(self.parallelism),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords_file),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": roles,
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            # SQLite waits 5 s for a lock by default, then the process that asked exits.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}?timeout=30",
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "DO_NOT_TRACK": "true",
            "SCARF_ANALYTICS": "false",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PATH": os.pathsep.join(
                (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
            ),
            "PYTHONUNBUFFERED": "1",
        }
        if self.dags is not None:
            ours["AIRFLOW__CORE__DAGS_FOLDER"] = str(self.dags)
        if self.bundles is not None:
            ours["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = self.bundles
        if self.specs is not None:
            ours["AIRFLOW__PLANNER__SPECS_FOLDER"] = str(self.specs)
        if self.fast:
            ours |= FAST
        return ours | dict(self.env)


def is_harmless(name: str) -> bool:
    """Tell whether an inherited variable can reach the local Airflow without changing it.

    Without compiled files every process would compile a thousand modules at its start, which
    costs each of them 2 s.
    """
    if name == "PYTHONDONTWRITEBYTECODE":
        return False
    return not name.startswith(("AIRFLOW", "COVERAGE_", "COV_CORE_", "PYTEST_"))
