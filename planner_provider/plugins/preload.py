"""What tasks of plans import, imported once where their processes are forked from.

Airflow's LocalExecutor and Celery's pool fork a process for each task. What the parent has
imported, a task need not import again, which is about half a second of CPU time for each.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

log = logging.getLogger(__name__)

PARENTS = (("scheduler",), ("celery", "worker"))
"""Commands of Airflow whose processes fork those of tasks."""
MODULES = (
    "planner_provider.compiler.loader",
    "planner_provider.ledger.ledger",
    "planner_provider.operators.frame",
    "planner_provider.operators.http",
    "planner_provider.operators.verify",
)


def forks_tasks(arguments: Sequence[str]) -> bool:
    """Whether a process with these arguments is one that tasks are forked from."""
    return any(tuple(arguments[1 : 1 + len(parent)]) == parent for parent in PARENTS)


def preload(arguments: Sequence[str] | None = None) -> bool:
    """Import it, if this process is one that tasks are forked from. Gives whether it was done.

    What cannot be imported here fails where it is used, and says so there.
    """
    if not forks_tasks(sys.argv if arguments is None else arguments):
        return False
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - only an economy
            log.warning("Module %s was not imported ahead: %s", name, error)
            return False
    return True
