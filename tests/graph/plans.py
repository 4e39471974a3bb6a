"""Plans for the tests of graphs: built from plain data, without going through files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from planner_provider.graph.build import build_graph
from planner_provider.graph.model import PlanGraph
from planner_provider.spec.folder import Catalog, PlanDocument
from planner_provider.spec.kinds import Fleet, Team
from planner_provider.spec.plan import Plan

HERE = Path(__file__).parent
EVERY_FIELD: dict[str, Any] = yaml.safe_load((HERE / "every_field.yaml").read_text())


NODES = Fleet.model_validate(
    {
        "apiVersion": "planner/v1",
        "kind": "Fleet",
        "metadata": {"name": "nodes"},
        "spec": {"kubernetes_nodes": {"selector": "pool=web"}},
    }
)


def catalog(**connections: list[str]) -> Catalog:
    """A catalog of teams, each with the connections that reach it."""
    teams = {
        name.replace("_", "-"): Team.model_validate(
            {
                "apiVersion": "planner/v1",
                "kind": "Team",
                "metadata": {"name": name.replace("_", "-")},
                "spec": {"notify": notify},
            }
        )
        for name, notify in connections.items()
    }
    return Catalog(teams=teams, fleets={"nodes": NODES})


TEAMS = catalog(team_shop=["chat_shop"])


def graph_of(
    data: dict[str, Any], teams: Catalog = TEAMS, file: str = "plans.yaml", line: int = 1
) -> PlanGraph:
    """The graph of a plan given as data. Raises ``ValidationError`` if it is no plan."""
    document = PlanDocument(plan=Plan.model_validate(data), file=file, line=line, files=())
    return build_graph(document, teams)


def every_field() -> dict[str, Any]:
    """A plan in which every key has a value that is not its default."""
    return copy.deepcopy(EVERY_FIELD)


def small(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A plan of the steps given; one that tells something if there are none."""
    return {
        "apiVersion": "planner/v1",
        "kind": "Plan",
        "metadata": {"name": spec.pop("name", "small"), "owner": spec.pop("owner", "team-shop")},
        "spec": {
            "summary": "A small plan",
            "steps": list(steps) or [{"id": "tell", "notify": {"message": "hello"}}],
            **spec,
        },
    }


def put(step: str, path: str = "/a", **keys: Any) -> dict[str, Any]:
    """A step that sends a PUT."""
    return {"id": step, "http": {"connection": "api", "method": "PUT", "path": path}, **keys}


def undo(path: str = "/undo") -> dict[str, Any]:
    """A rollback that sends a DELETE."""
    return {"http": {"connection": "api", "method": "DELETE", "path": path}}
