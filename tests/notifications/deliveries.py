"""In place of the services: keeps what is delivered, and fails as a test says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from planner_provider.errors import PlannerError
from planner_provider.notifications import outbox
from planner_provider.notifications.services.parcel import Parcel


@dataclass
class Deliveries:
    told: list[tuple[str, str]] = field(default_factory=list)
    """Connection and kind of event."""
    parcels: list[Parcel] = field(default_factory=list)
    errors: dict[str, PlannerError] = field(default_factory=dict)
    """By connection."""
    hangs: threading.Event | None = None
    """While this is not set, nothing comes back."""

    def deliver(self, parcel: Parcel, *, closes: bool = False) -> str | None:
        if self.hangs is not None:
            self.hangs.wait(30)
        if parcel.connection in self.errors:
            raise self.errors[parcel.connection]
        self.told.append((parcel.connection, parcel.event.kind))
        self.parcels.append(parcel)
        return parcel.thread or f"thread of {parcel.key}"


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    found = Deliveries()
    monkeypatch.setattr(outbox, "deliver", found.deliver)
    return found
