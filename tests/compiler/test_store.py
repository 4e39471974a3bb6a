from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from planner_provider.compiler.store import UnreadableError, unpacked
from planner_provider.graph.model import PlanGraph
from tests.compiler.test_dag import everything
from tests.graph.plans import graph_of


@pytest.fixture(name="graph", scope="module")
def _graph() -> PlanGraph:
    return graph_of(everything())


def test_a_plan_comes_back_as_it_was(graph: PlanGraph) -> None:
    assert graph.by_id  # what is worked out is not kept
    again = unpacked(pickle.dumps(graph))
    assert again == graph
    assert again.to_json() == graph.to_json()
    assert "by_id" not in vars(again)


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_nothing_but_a_plan_is_read_and_nothing_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(UnreadableError, match="no place in a compiled plan"):
        unpacked(pickle.dumps(Evil(f"touch {trace}")))
    assert not trace.exists()


def test_a_function_of_this_package_is_not_called_either() -> None:
    with pytest.raises(UnreadableError, match="no place in a compiled plan"):
        unpacked(b"cplanner_provider.spec.folder\nload\n.")


@pytest.mark.parametrize("data", [b"", b"{}", pickle.dumps("text"), pickle.dumps({"a": 1})])
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        unpacked(data)


def test_a_plan_that_was_cut_off_is_refused(graph: PlanGraph) -> None:
    with pytest.raises(UnreadableError):
        unpacked(pickle.dumps(graph)[:-20])
