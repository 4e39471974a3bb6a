"""The fleets that a plan patches, with what is known of them when it is compiled."""

from __future__ import annotations

from collections.abc import Iterable

from planner_provider.errors import SpecError
from planner_provider.graph.frozen import Frozen
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.inventories import InventoryError, targets_from_csv
from planner_provider.spec.kinds import FleetSpec, FleetTarget, HttpInventory, NodeSelector

ZONE = "zone"
NODE_ZONE = "topology.kubernetes.io/zone"
FLEET = "fleet://"
"""Scheme of the resource that a rollout over a fleet holds, so that no two go on at once."""


class ResolvedFleet(Frozen):
    """A fleet: its targets, or where they are found when a rollout begins."""

    name: str
    targets: tuple[FleetTarget, ...] = ()
    kubernetes_nodes: NodeSelector | None = None
    http: HttpInventory | None = None
    failure_domain: str = ZONE
    """Label by whose values targets fail together."""

    @property
    def is_nodes(self) -> bool:
        """Whether the targets are Kubernetes nodes."""
        return self.kubernetes_nodes is not None


def resolve_fleet(name: str, catalog: Catalog) -> ResolvedFleet:
    """The fleet of this name. Raises ``SpecError`` if it is not there or its list is broken."""
    document = catalog.fleets.get(name)
    if document is None:
        raise SpecError(f"there is no Fleet '{name}'")
    spec = document.spec
    try:
        targets = listed_targets(spec)
    except InventoryError as error:
        raise SpecError(f"the list of Fleet '{name}' is broken: {error}") from error
    default = NODE_ZONE if spec.kubernetes_nodes else ZONE
    return ResolvedFleet(
        name=name,
        targets=targets,
        kubernetes_nodes=spec.kubernetes_nodes,
        http=spec.http,
        failure_domain=spec.failure_domain or default,
    )


def resolve_fleets(names: Iterable[str], catalog: Catalog) -> tuple[ResolvedFleet, ...]:
    """The fleets of these names that there are, sorted, each once."""
    return tuple(resolve_fleet(name, catalog) for name in sorted(set(names)) if catalog.fleet(name))


def listed_targets(spec: FleetSpec) -> tuple[FleetTarget, ...]:
    """The targets that the spec lists; none if they are found later.

    Raises ``InventoryError`` for a broken CSV text.
    """
    if spec.csv is not None and spec.csv.text is not None:
        return targets_from_csv(spec.csv.text, spec.csv.name)
    return spec.targets
