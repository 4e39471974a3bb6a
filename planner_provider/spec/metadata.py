"""The head that most kinds of documents share."""

from __future__ import annotations

from pydantic import Field

from planner_provider.spec.base import Model
from planner_provider.spec.values import Labels, Name


class Metadata(Model):
    """Name, owner and labels of a document."""

    name: Name
    owner: Name | None = None
    labels: Labels = Field(default_factory=dict)
