"""The parts of a backfill over chunks: split, the chunks in a mapped group, check."""

from __future__ import annotations

from planner_provider.graph.model import Part
from planner_provider.spec.values import format_duration
from planner_provider.spec.workloads import Backfill

SPLIT = "split"
CHUNKS = "chunks"
RUN = "run"
CHECK = "check"


def chunk_parts(action: Backfill) -> tuple[Part, ...]:
    """What it is made of, in the order in which it is done."""
    assert action.chunks is not None, "only a backfill over chunks has parts"
    keys, size = action.chunks.keys, action.chunks.size
    of = f"{keys.size} numbers" if keys is not None else format_duration(size) if size else ""
    return (
        Part(id=SPLIT, summary=f"Find out the chunks of {of} each", lists=True, changes=False),
        Part(
            id=CHUNKS,
            summary="Work through the chunks, as many at once as the throttle allows",
            each=(Part(id=RUN, summary="One chunk, or some one after the other"),),
        ),
        Part(
            id=CHECK,
            summary="Count how the chunks ended, and whether too many failed",
            always=True,
            changes=False,
        ),
    )
