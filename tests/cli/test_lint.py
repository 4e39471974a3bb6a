from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner_provider.cli.inputs import SPECS_FOLDER
from tests.cli.runner import BAD, GOOD, WARNS, planner


def test_good(good: Path) -> None:
    ended = planner("lint", good)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "1 plan, 1 document in 1 file: 0 errors, 0 warnings\n"


def test_bad(here: Path, good: Path) -> None:
    (here / "bad.yaml").write_text(BAD)
    ended = planner("lint", here)
    assert ended.code == 1
    assert "bad.yaml:5:3: error PLN202" in ended.out
    assert "did you mean 'summary'" in ended.out
    assert ended.out.endswith("2 plans, 2 documents in 2 files: 1 error, 0 warnings\n")
    assert "\x1b" not in ended.out


def test_json_is_a_list_with_stable_keys(here: Path) -> None:
    (here / "bad.yaml").write_text(BAD)
    ended = planner("lint", "bad.yaml", "--format", "json")
    assert ended.code == 1
    found = json.loads(ended.out)
    assert set(found[0]) == {
        "code", "severity", "file", "line", "column", "path", "message", "hint",
    }  # fmt: skip
    assert found[0]["file"] == "bad.yaml"


def test_json_of_nothing_is_an_empty_list(good: Path) -> None:
    assert planner("lint", good, "-f", "json").out == "[]\n"


@pytest.mark.parametrize("format_", ["sarif", "github"])
def test_other_formats(here: Path, format_: str) -> None:
    (here / "bad.yaml").write_text(BAD)
    ended = planner("lint", "bad.yaml", "--format", format_)
    assert ended.code == 1
    if format_ == "sarif":
        assert json.loads(ended.out)["version"] == "2.1.0"
    else:
        assert ended.out.startswith("::error file=bad.yaml,line=5,col=3")


def test_warnings_fail_only_if_strict(here: Path) -> None:
    (here / "warns.yaml").write_text(WARNS)
    ended = planner("lint", "warns.yaml")
    assert ended.code == 0
    assert "warning PLN404" in ended.out
    assert "0 errors, 1 warning\n" in ended.out
    assert planner("lint", "warns.yaml", "--strict").code == 1


def test_quiet_says_nothing_of_warnings(here: Path) -> None:
    (here / "warns.yaml").write_text(WARNS)
    assert planner("lint", "warns.yaml", "--quiet").out == ""
    assert "PLN404" in planner("lint", "warns.yaml", "--quiet", "--strict").out


def test_no_such_file() -> None:
    ended = planner("lint", "nowhere.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "planner: no such file or folder: nowhere.yaml\n"


def test_folder_from_the_environment(
    here: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = planner("lint")
    assert ended.code == 2
    assert "plan_specs" in ended.err
    assert SPECS_FOLDER in ended.err
    monkeypatch.setenv(SPECS_FOLDER, str(here))
    assert planner("lint").out.startswith("1 plan,")


def test_output_file(here: Path) -> None:
    (here / "bad.yaml").write_text(BAD)
    ended = planner("lint", "bad.yaml", "--format", "json", "--output", "found.json")
    assert (ended.code, ended.out) == (1, "")
    assert json.loads((here / "found.json").read_text())
    assert [path.name for path in here.iterdir() if "tmp" in path.name] == []


def test_output_that_cannot_be_written(good: Path) -> None:
    ended = planner("lint", good, "--output", "no/such/file")
    assert ended.code == 2
    assert "cannot write no/such/file" in ended.err


def test_same_name_in_two_files(here: Path, good: Path) -> None:
    (here / "again.yaml").write_text(GOOD)
    ended = planner("lint", good, "again.yaml")
    assert ended.code == 1
    assert ended.out.count("PLN301") == 2


SERVICE = "apiVersion: planner/v1\nkind: Service\nmetadata: {name: shop}\nspec: {}\n"
USES_SERVICE = GOOD.replace("  steps:", "  touches: [{service: shop}]\n  steps:")


def test_a_file_of_the_specs_folder_is_read_with_the_folder(here: Path) -> None:
    folder = here / "plan_specs"
    folder.mkdir()
    (folder / "service.yaml").write_text(SERVICE)
    (folder / "plan.yaml").write_text(USES_SERVICE)
    (folder / "bad.yaml").write_text(BAD)
    ended = planner("lint", "plan_specs/plan.yaml")
    assert ended.code == 0, ended.out
    assert ended.out == "1 plan, 1 document in 1 file: 0 errors, 0 warnings\n"
    assert planner("lint", folder / "plan.yaml").code == 0


def test_a_file_elsewhere_is_read_by_itself(here: Path) -> None:
    (here / "service.yaml").write_text(SERVICE)
    (here / "plan.yaml").write_text(USES_SERVICE)
    assert "PLN306" in planner("lint", "plan.yaml").out
    assert planner("lint", "plan.yaml", "service.yaml").code == 0


OPERATOR = GOOD.replace("http: {connection: api, method: PUT, path: /a, body: {n: 1}}", (
    "operator: {path: example.operators.Thing}"
))  # fmt: skip


def test_operators_must_be_allowed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "plan.yaml").write_text(OPERATOR)
    assert "PLN502" in planner("lint", "plan.yaml").out
    allowed = "example.operators.Thing"
    assert planner("lint", "plan.yaml", "--allow-operator", allowed).code == 0
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", f"other.Thing, {allowed}")
    assert planner("lint", "plan.yaml").code == 0
