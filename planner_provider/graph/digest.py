"""The digest of a plan: equal for equal behaviour, whatever the machine, file or key order."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from planner_provider.graph.model import PlanGraph

NOT_DIGESTED = {"calendar", "calendars", "digest", "source", "unavailable"}


def canonical(graph: PlanGraph) -> dict[str, Any]:
    """The graph as plain JSON data, in the one form that all equal graphs share.

    What has its default value is left out, so that a field that is added to the language with a
    default changes no digest. Edges are sorted: ``after: [a, b]`` means the same as ``[b, a]``.
    """
    data = graph.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=NOT_DIGESTED)
    data["graph_version"] = graph.graph_version
    data["edges"] = sorted(data["edges"], key=lambda edge: (edge["upstream"], edge["downstream"]))
    return data


def canonical_text(data: Any) -> str:
    """JSON data as text: sorted keys, no blanks. Tells ``1`` from ``1.0`` and from ``true``."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(graph: PlanGraph) -> str:
    """SHA-256 over the canonical JSON of the graph, in hexadecimal."""
    return hashlib.sha256(canonical_text(canonical(graph)).encode()).hexdigest()


def plan_id(plan: str, digest_: str, run_id: str) -> str:
    """The plan ID of one run: ``<plan>-<8 of the digest>-<8 of the run's hash>``.

    It is derived, so that every process knows it without asking, and fits a Kubernetes label.
    """
    run = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"{plan}-{digest_[:8]}-{run}"
