from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from planner_provider.cli.inputs import SPECS_FOLDER
from planner_provider.ledger.rows import Mode
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner

HELD = "orders-dddddddd-22222222"


def plan(name: str, *touches: str) -> str:
    lines = "".join(f"    - {{resource: {t.split()[0]}, mode: {t.split()[1]}}}\n" for t in touches)
    return (
        "apiVersion: planner/v1\nkind: Plan\n"
        f"metadata: {{name: {name}, owner: team-a}}\nspec:\n  summary: {name}\n"
        + (f"  touches:\n{lines}" if lines else "")
        + "  steps:\n    - id: put\n"
        "      http: {connection: api, method: PUT, path: /a, body: {n: 1}}\n"
        "      rollback: {http: {connection: api, method: DELETE, path: /a}}\n"
    )


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    return ledger_for("conflicts")


@pytest.fixture(autouse=True)
def folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    specs = here / "specs"
    specs.mkdir()
    (specs / "release.yaml").write_text(
        plan("release", "db://orders exclusive", "k8s://prod/a shared")
    )
    (specs / "orders.yaml").write_text(plan("orders", "db://orders shared"))
    (specs / "other.yaml").write_text(plan("other", "k8s://prod/a shared", "db://x exclusive"))
    monkeypatch.setenv(SPECS_FOLDER, "specs")
    return specs


@pytest.mark.parametrize("what", ["release", "specs/release.yaml"])
def test_nothing_is_in_the_way(case: LedgerCase, what: str) -> None:
    ended = planner("conflicts", what)
    assert (ended.code, ended.err) == (0, "")
    assert "In its way now: nothing." in ended.out
    assert "exclusive  db://orders" in ended.out
    assert "exclusive  plan://release" in ended.out
    assert "  orders (specs/orders.yaml)\n    db://orders" in ended.out
    assert "other" not in ended.out.partition("Other plans")[2]


def test_what_is_held_and_waited_for(case: LedgerCase) -> None:
    case.lock(case.pin(HELD, ago(hours=1)), ago(minutes=9), "db://orders", mode=Mode.SHARED)
    case.lock(case.pin("o-dddddddd-44444444", ago(hours=1)), ago(minutes=9), "k8s://prod/b")
    waits = case.pin("w-dddddddd-33333333", ago(hours=1))
    case.wait_for(waits, ago(seconds=20), "k8s://prod/a", "k8s://prod/b")
    ended = planner("conflicts", "release")
    assert ended.code == 1
    text = " ".join(ended.out.split())
    assert (
        "db://orders is held (shared) since 2026-03-29 00:51:00 UTC, for 9m 0s, by " + HELD
    ) in text
    assert "k8s://prod/a is wanted by a run that waits (exclusive)" in text
    assert "k8s://prod/b" not in text
    (said,) = json.loads(planner("conflicts", "release", "--json").out)
    assert [item["resource"] for item in said["now"]] == ["db://orders", "k8s://prod/a"]
    assert [item["plan"] for item in said["overlaps"]] == ["orders"]


def test_shared_with_shared_is_no_conflict(case: LedgerCase) -> None:
    case.lock(case.pin(HELD, ago(hours=1)), ago(minutes=9), "db://orders", mode=Mode.SHARED)
    assert planner("conflicts", "specs/other.yaml").code == 0


def test_a_run_of_the_same_plan_is_in_the_way(case: LedgerCase) -> None:
    case.lock(case.pin("release-dddddddd-11111111", ago(hours=1)), ago(minutes=9))
    ended = planner("conflicts", "release")
    assert ended.code == 1
    assert "plan://release" in ended.out


def test_without_a_ledger_it_is_not_known_and_the_rest_is_said(here: Path) -> None:
    ended = planner("conflicts", "release")
    assert ended.code == 2
    assert "In its way now: NOT KNOWN" in ended.out
    assert "orders (" in ended.out
    assert "not known what is held now: There is no ledger at" in ended.err
    (said,) = json.loads(planner("conflicts", "release", "--json").out)
    assert said["now"] is None


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["nope"], 2, "there is no plan nope"),
        (["nope.yaml"], 2, "no such file or folder: nope.yaml"),
    ],
)
def test_wrong_use(case: LedgerCase, folder: Path, argv: list[str], code: int, words: str) -> None:
    ended = planner("conflicts", *argv)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err


def test_specs_with_errors(case: LedgerCase, folder: Path) -> None:
    (folder / "bad.yaml").write_text(plan("bad").replace("summary", "sumary"))
    ended = planner("conflicts", "specs/bad.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert "the specs have errors" in ended.err
    ended = planner("conflicts", "release")
    assert ended.code == 0
    assert "1 plan with errors was not looked at (bad)" in ended.out
