from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from planner_provider.graph.render_mermaid import LABEL_WIDTH, escape, render_mermaid
from tests.graph.plans import every_field, graph_of, put, small, undo

NODE = re.compile(r' {2,4}(t\d+)\["<b>([^"<>]*)</b><br/>([^"<>]*)"\]:::(\w+)')
EDGE = re.compile(r"  (t\d+) (-->|-\.->) (t\d+)")
OTHER = re.compile(r'flowchart TD|  subgraph g\d+\["[^"<>]*"\]|  end|  classDef \w+ \S+')


def test_every_line_is_one_of_four_kinds() -> None:
    graph = graph_of(every_field())
    nodes: set[str] = set()
    ends: set[str] = set()
    for line in render_mermaid(graph).splitlines():
        if node := NODE.fullmatch(line):
            nodes.add(node[1])
        elif edge := EDGE.fullmatch(line):
            ends |= {edge[1], edge[3]}
        else:
            assert OTHER.fullmatch(line), line
    assert len(nodes) == len(graph.tasks)
    assert ends == nodes


def test_edges_that_the_chain_of_undoing_implies_are_left_out() -> None:
    graph = graph_of(small(put("a", rollback=undo()), put("b", rollback=undo())))
    drawn = len(EDGE.findall(render_mermaid(graph)))
    assert drawn == len(graph.edges) - 1


@given(st.text())
def test_labels_are_harmless(text: str) -> None:
    label = escape(text)
    plain = re.sub(r"#\d+;", "", label)
    assert not set(plain) & set("\"'`<>#;&%{}[]|\\\n\r")
    shown = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)
    line = " ".join(text.split())
    assert shown == line or (shown.endswith("…") and len(shown) == LABEL_WIDTH)
