"""An auth manager for tests that hides DAGs: Airflow's simple one lets everybody read all of them.

``AIRFLOW__CORE__AUTH_MANAGER=tests.e2e.partial_auth.PartialAuthManager``, and the root of this
repository in ``PYTHONPATH``. ``PARTIAL_AUTH_HIDDEN=olga=secret-,pia=pay-`` hides the DAGs whose ids
begin with ``secret-`` from user ``olga``. Everything else is as the simple auth manager has it.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

HIDDEN = "PARTIAL_AUTH_HIDDEN"


def environment(root: str, **hidden: str) -> dict[str, str]:
    """What a local Airflow needs to use it: user -> prefix of the DAG ids that are hidden."""
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": f"{__name__}.{PartialAuthManager.__name__}",
        HIDDEN: ",".join(f"{user}={prefix}" for user, prefix in hidden.items()),
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", "")))),
    }


def hidden_prefix(user: str) -> str | None:
    """What the ids of DAGs begin with that this user may not see; ``None``: all are seen."""
    pairs = (part.partition("=") for part in os.environ.get(HIDDEN, "").split(",") if part)
    return {name: prefix for name, _, prefix in pairs}.get(user)


class PartialAuthManager(SimpleAuthManager):
    """The simple auth manager, with DAGs that some users may neither see nor touch."""

    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        """As the simple auth manager says, if the DAG is not hidden from the user."""
        prefix = hidden_prefix(user.username)
        dag_id = details.id if details else None
        if prefix is not None and dag_id is not None and dag_id.startswith(prefix):
            return False
        return bool(
            super().is_authorized_dag(
                method=method, access_entity=access_entity, details=details, user=user
            )
        )
