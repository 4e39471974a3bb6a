"""10,000 broken specs: diagnostics or a graph, never another exception, none over a second."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from planner_provider.graph.build import build_graph
from planner_provider.spec.codes import CODES
from planner_provider.spec.folder import LoadOptions, SourceFile, SpecSet, load
from planner_provider.spec.output import render_github, render_json, render_sarif, render_text
from tests.properties.mutations import mutate

CORPUS = Path(__file__).parent.parent / "spec" / "corpus"
FILES = {path.name: path.read_text() for path in sorted(CORPUS.glob("*.yaml"))}
DOCUMENTS = [part for text in FILES.values() for part in re.split(r"^---\n", text, flags=re.M)]
OPTIONS = LoadOptions(allowed_operators=("example.operators.*",))
BATCHES, PER_BATCH = 20, 500
JARGON = ("pydantic", "Input should", "errors.pydantic", "Traceback", "validation error", "None")


def check(files: tuple[SourceFile, ...], result: SpecSet) -> None:
    lines = {file.name: file.content.count(b"\n") + file.content.count(b"\r") + 2 for file in files}
    for found in result.diagnostics:
        assert found.code in CODES
        assert found.message
        assert found.column >= 1
        assert found.line >= 1
        if not re.search(rb"\xc2\x85|\xe2\x80[\xa8\xa9]", b"".join(f.content for f in files)):
            assert found.line <= lines[found.file]
        assert not any(word in found.message for word in JARGON[:-1]), found
    names = [plan.plan.metadata.name for plan in result.plans]
    assert len(set(names)) == len(names)
    for plan in result.plans:
        assert build_graph(plan, result.catalog).digest
    for broken in result.broken:
        assert broken.diagnostics, broken
    for text in (
        render_text(result.diagnostics, files, color=True, width=80),
        render_json(result.diagnostics),
        render_sarif(result.diagnostics),
        render_github(result.diagnostics),
    ):
        assert isinstance(text, str)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_specs(batch: int) -> None:
    source = random.Random(f"specs {batch}")
    good = broken = 0
    for number in range(PER_BATCH):
        whole = number % 25 == 0
        if whole:  # now and then all documents together, so that references lead somewhere
            chosen = source.choice(sorted(FILES))
            texts = {
                name: mutate(text, source) if name == chosen else text.encode()
                for name, text in FILES.items()
            }
        else:
            texts = {"spec.yaml": mutate(source.choice(DOCUMENTS), source)}
        files = tuple(SourceFile(name, content) for name, content in texts.items())
        started = time.process_time()
        try:
            result = load(files, OPTIONS)
            check(files, result)
        except BaseException:
            print(f"seed {batch}, number {number}: {texts!r}"[:20_000])
            raise
        assert time.process_time() - started < 1, texts
        good += bool(result.plans)
        broken += result.has_errors
    assert good > PER_BATCH // 50, "hardly any mutation leaves a plan valid: the test sees one side"
    assert broken > PER_BATCH // 2, "most mutations are not noticed"
