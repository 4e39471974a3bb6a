"""A folder of specs: read the files, judge the documents together, give the valid plans.

This is the door to the spec layer; the work is done by the modules that it names.
"""

from __future__ import annotations

from planner_provider.spec.catalog import Catalog
from planner_provider.spec.diagnostics import Diagnostic, Severity
from planner_provider.spec.loading import (
    BrokenPlan,
    LoadOptions,
    PlanDocument,
    SpecSet,
    load,
    load_one,
)
from planner_provider.spec.sources import SourceFile, read_files

__all__ = [
    "BrokenPlan",
    "Catalog",
    "Diagnostic",
    "LoadOptions",
    "PlanDocument",
    "Severity",
    "SourceFile",
    "SpecSet",
    "load",
    "load_one",
    "read_files",
]
