"""`load_one` reads less than `load`, and says the same of its plan."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from planner_provider.spec import loading
from planner_provider.spec.folder import LoadOptions, SourceFile, load, load_one
from planner_provider.spec.selection import files_for_plan
from tests.properties.mutations import mutate
from tests.spec.specs import document, plan

CORPUS = {path.name: path.read_text() for path in (Path(__file__).parent / "corpus").glob("*.yaml")}
OPTIONS = LoadOptions(allowed_operators=("example.operators.*",))
INVALID = Path(__file__).parents[1] / "invalid"


def as_files(texts: dict[str, bytes]) -> list[SourceFile]:
    return [SourceFile(name, content) for name, content in sorted(texts.items())]


def same(files: list[SourceFile], name: str) -> None:
    whole, alone = load(files, OPTIONS), load_one(files, name, OPTIONS)
    assert [p for p in whole.plans if p.plan.metadata.name == name] == list(alone.plans)
    assert [p for p in whole.broken if p.name == name] == list(alone.broken)


def split(text: str) -> dict[str, bytes]:
    """Each document in a file of its own."""
    return {f"{number}.yaml": part.encode() for number, part in enumerate(text.split("---\n"))}


@pytest.mark.parametrize("seed", range(60))
def test_the_same_for_broken_folders(seed: int) -> None:
    source = random.Random(f"one {seed}")
    texts = split("---\n".join(CORPUS.values()))
    for _ in range(source.randrange(3)):
        name = source.choice(sorted(texts))
        texts[name] = mutate(texts[name].decode(), source)
    for name in ("every-action", "checkout-smoke", "nightly", "small"):
        same(as_files(texts), name)


@pytest.mark.parametrize(
    "named",
    ['{name: pay}', '{"name": "pay"}', "{name: 'pay'}", '{name: "p\\x61y"}', "\n  name:\n    pay",
     "\n  ? name\n  : pay", "{name: !!str pay}", "{name: &x pay}", "\n  name : pay",
     '{"n\\x61me": pay}', "\n  name: >-\n    pay", "\n  labels: {a: &n pay}\n  name: *n"],
)  # fmt: skip
def test_names_however_they_are_written(named: str) -> None:
    service = f"apiVersion: planner/v1\nkind: Service\nmetadata: {named}\nspec: {{tier: 1}}\n"
    texts = {
        "plan.yaml": plan(spec="touches: [{service: pay}]\n").encode(),
        "service.yaml": service.encode(),
        "other.yaml": document("Service", "other").encode(),
    }
    files = as_files(texts)
    assert load(files).plan_names == ("release",)
    same(files, "release")
    chosen = {file.name for file in files_for_plan(files, "release", {})}
    assert chosen == {"plan.yaml", "service.yaml"}


def test_a_second_plan_of_the_name_is_found() -> None:
    files = as_files({"a.yaml": plan().encode(), "b.yaml": plan().encode()})
    assert load_one(files, "release").plans == ()
    same(files, "release")


def test_whether_there_are_teams_is_known() -> None:
    files = as_files({"a.yaml": plan().encode(), "t.yaml": document("Team", "x").encode()})
    assert load_one(files, "release").plans == ()
    same(files, "release")


def test_only_what_can_matter_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {f"{number}.yaml": plan(name=f"plan-{number}").encode() for number in range(50)}
    texts["service.yaml"] = document("Service", "pay").encode()
    texts["3.yaml"] = plan(name="plan-3", spec="touches: [{service: pay}]\n").encode()
    parsed: list[str] = []
    original = loading.read_documents

    def spy(name: str, content: bytes) -> object:
        parsed.append(name)
        return original(name, content)

    monkeypatch.setattr("planner_provider.spec.selection.read_documents", spy)
    monkeypatch.setattr("planner_provider.spec.loading.read_documents", spy)
    assert load_one(as_files(texts), "plan-3").plan_names == ("plan-3",)
    assert sorted(parsed) == ["3.yaml", "service.yaml"]


def test_a_plan_that_is_not_there() -> None:
    result = load_one(as_files({"a.yaml": plan().encode()}), "nothing")
    assert (result.plans, result.broken, result.diagnostics) == ((), (), ())
