"""What the loader reads from the ``[planner]`` section of Airflow's configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk.configuration import conf

from planner_provider.hooks.settings import SECTION
from planner_provider.ledger.location import airflow_home


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """Where specs and compiled plans are, and what specs may use."""

    specs_folder: str
    cache_folder: Path
    allowed_operators: tuple[str, ...]

    def specs_beside(self, loader_file: Path) -> Path:
        """The folder of specs: a relative one is looked up beside ``dags/``, the bundle's root.

        Where the loader itself lies in the root, the folder beside the loader is taken.
        """
        folder = Path(self.specs_folder).expanduser()
        if folder.is_absolute():
            return folder
        here = loader_file.absolute().parent
        beside = here.parent / folder
        inside = here / folder
        return inside if inside.is_dir() and not beside.is_dir() else beside


def load_settings() -> LoaderSettings:
    """Read the configuration."""
    allowed = conf.get(SECTION, "allowed_operators", fallback="") or ""
    cache = conf.get(SECTION, "cache_folder", fallback="") or ""
    home = Path(os.environ.get("AIRFLOW_HOME") or airflow_home(os.environ))
    return LoaderSettings(
        specs_folder=conf.get(SECTION, "specs_folder", fallback="") or "plan_specs",
        cache_folder=Path(cache).expanduser() if cache else home / "planner" / "compiled",
        allowed_operators=tuple(sorted({part.strip() for part in allowed.split(",")} - {""})),
    )
