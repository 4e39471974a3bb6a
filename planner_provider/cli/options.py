"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

AllowOperator = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-operator",
        metavar="PATH",
        help="Import path of an Airflow operator that plans may use; may be repeated. "
        "Added to those of AIRFLOW__PLANNER__ALLOWED_OPERATORS.",
    ),
]
PlanName = Annotated[
    str | None, typer.Option("--plan", metavar="NAME", help="Only the plan of this name.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to stdout."),
]


class TextOrJson(StrEnum):
    """Output for people or for programs."""

    TEXT = "text"
    JSON = "json"
