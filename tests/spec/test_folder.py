"""Files and folders, references between documents, and which plans come out valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner_provider.spec.folder import LoadOptions, SourceFile, load, read_files
from tests.spec.specs import CHECK, codes, document, loaded, plan, told


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_folders_are_read_recursively_sorted_and_without_hidden_files(tmp_path: Path) -> None:
    write(tmp_path, b_dot_yaml="a: 1", a__c_dot_yml="a: 1", a__note_dot_txt="x")
    write(tmp_path, _dot_hidden_dot_yaml="x", _dot_git__x_dot_yaml="x")
    files, diagnostics = read_files([tmp_path], base=tmp_path)
    assert [file.name for file in files] == ["a/c.yml", "b.yaml"]
    assert not diagnostics


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a_dot_yaml="a: 1")
    files, _ = read_files([tmp_path, tmp_path / "a.yaml"], base=tmp_path)
    assert len(files) == 1


def test_links_inside_are_followed_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path, specs__a_dot_yaml="a: 1", outside__b_dot_yaml="b: 1")
    (tmp_path / "specs" / "loop").symlink_to(tmp_path / "specs")
    (tmp_path / "specs" / "again.yaml").symlink_to(tmp_path / "specs" / "a.yaml")
    (tmp_path / "specs" / "out").symlink_to(tmp_path / "outside")
    files, diagnostics = read_files([tmp_path / "specs"], base=tmp_path / "specs")
    assert [file.name for file in files] == ["a.yaml", "again.yaml"]
    assert [(found.code, found.file) for found in diagnostics] == [("PLN113", "out")]


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, a_dot_yaml="a: 1")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    files, diagnostics = read_files([tmp_path, tmp_path / "missing"], base=tmp_path)
    assert [file.name for file in files] == ["a.yaml"]
    assert [(found.code, found.file) for found in diagnostics] == [
        ("PLN112", "gone.yaml"),
        ("PLN112", "missing"),
    ]


def test_progress_ends_with_all(tmp_path: Path) -> None:
    write(tmp_path, a_dot_yaml=plan(name="a"), b_dot_yaml=plan(name="b"))
    seen: list[tuple[int, int]] = []
    files, _ = read_files([tmp_path], progress=lambda done, total: seen.append((done, total)))
    load(files, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2), (0, 2), (1, 2), (2, 2)]


def test_plans_are_sorted_by_name_whatever_the_order_of_files() -> None:
    texts = [plan(name=name) for name in ("b", "a", "c")]
    assert loaded(*texts).plan_names == ("a", "b", "c")
    assert loaded(*reversed(texts)).plan_names == ("a", "b", "c")


def test_a_broken_document_still_counts_as_a_name() -> None:
    result = loaded(
        plan(spec="touches: [{service: payments}]\n"),
        document("Service", "payments", "{tier: high}"),
    )
    assert codes(result) == ["PLN201"]
    assert result.plan_names == ("release",), "a plan does not need its services to be valid"


def test_a_document_that_is_not_yaml_still_counts_as_a_name() -> None:
    result = loaded(
        plan(spec="touches: [{service: payments}]\n"),
        "apiVersion: planner/v1\nkind: Service\nmetadata:\n  name: payments\nspec: [\n",
    )
    assert codes(result) == ["PLN101"]


@pytest.mark.parametrize("broken", ["spec: {timezone: nowhere}", "spec: ["])
def test_a_plan_is_not_used_while_its_calendar_is_broken(broken: str) -> None:
    result = loaded(
        plan(spec="schedule: {calendar: nights}\n"),
        f"apiVersion: planner/v1\nkind: Calendar\nmetadata: {{name: nights}}\n{broken}\n",
    )
    assert result.plan_names == ()
    assert [plan.name for plan in result.broken] == ["release"]
    assert {found.file for found in result.broken[0].diagnostics} == {"1.yaml"}


def test_a_broken_plan_keeps_its_name_when_it_is_not_yaml() -> None:
    result = loaded(plan(name="fine"), plan(name="torn") + "  torn: [\n")
    assert result.plan_names == ("fine",)
    assert [(plan.name, plan.file) for plan in result.broken] == [("torn", "1.yaml")]


def test_two_plans_of_one_name_are_both_refused() -> None:
    result = loaded(plan(), plan(), plan(name="other"))
    assert result.plan_names == ("other",)
    assert [found.message for found in result.diagnostics] == [
        "the Plan 'release' is defined twice; also in 1.yaml:3",
        "the Plan 'release' is defined twice; also in 0.yaml:3",
    ]


def test_kinds_and_apis_have_names_of_their_own() -> None:
    result = loaded(
        document("Service", "shop"),
        document("Team", "shop"),
        document("Service", "shop", "{}", "openslo/v1"),
        plan(name="shop", owner="shop"),
    )
    assert not result.diagnostics
    assert result.catalog.service("shop") is not None
    assert set(result.catalog.openslo_services) == {"shop"}


def test_owners_are_checked_only_where_there_are_teams() -> None:
    assert not loaded(plan(owner="nobody")).diagnostics
    result = loaded(plan(owner="team-b"), document("Team", "team-a"))
    assert told(result) == [("PLN314", "there is no Team 'team-b'", "did you mean 'team-a'?")]


def test_a_name_of_another_kind_is_pointed_out() -> None:
    result = loaded(
        plan(spec="touches: [{service: fast}]\n"),
        document("Policy", "fast", "{require_rollback: true}"),
    )
    assert told(result)[0][2] == "'fast' is the name of a Policy"


def test_the_files_that_a_plan_depends_on(tmp_path: Path) -> None:
    write(
        tmp_path,
        plans__a_dot_yaml=plan(
            "- id: q\n  sql: {connection: db, file: sql/q.sql}\n  rollback: none\n",
            "touches: [{service: shop}]\n",
        ),
        plans__sql__q_dot_sql="SELECT 1",
        services_dot_yaml=document("Service", "shop", "{depends_on: [pay]}"),
        pay_dot_yaml=document("Service", "pay"),
        other_dot_yaml=document("Service", "other"),
        teams_dot_yaml=document("Team", "team-a"),
    )
    files, _ = read_files([tmp_path], base=tmp_path)
    result = load(files, LoadOptions(root=tmp_path))
    assert not result.has_errors, result.diagnostics
    assert result.plans[0].files == (
        "pay.yaml", "plans/a.yaml", "plans/sql/q.sql", "services.yaml", "teams.yaml",
    )  # fmt: skip
    sql = result.plans[0].plan.spec.steps[0].sql
    assert sql is not None
    assert (sql.statement, sql.file) == ("SELECT 1", None)


def test_sql_files_must_stay_inside_be_there_and_be_text(tmp_path: Path) -> None:
    def found(name: str) -> list[str]:
        steps = f"- id: q\n  sql: {{connection: db, file: {name}}}\n  rollback: none\n"
        (tmp_path / "specs" / "a.yaml").write_text(plan(steps))
        files, _ = read_files([tmp_path / "specs"], base=tmp_path)
        return codes(load(files, LoadOptions(root=tmp_path / "specs")))

    write(
        tmp_path, specs__ok_dot_sql="SELECT 1", secret_dot_sql="SELECT 2", specs__empty_dot_sql=""
    )
    (tmp_path / "specs" / "link.sql").symlink_to(tmp_path / "secret.sql")
    (tmp_path / "specs" / "latin.sql").write_bytes(b"SELECT '\xe9'")
    (tmp_path / "specs" / "bad.sql").write_text("SELECT {{ params.x ")
    assert found("ok.sql") == []
    assert found("missing.sql") == ["PLN311"]
    assert found("../secret.sql") == ["PLN312"]
    assert found(str(tmp_path / "secret.sql")) == ["PLN312"]
    assert found("link.sql") == ["PLN312"]
    assert found("latin.sql") == ["PLN313"]
    assert found("empty.sql") == ["PLN313"]
    assert found("bad.sql") == ["PLN228"]
    assert found('"\\0"') == ["PLN311"]


def test_a_spec_that_is_not_on_disk_has_no_files_beside_it() -> None:
    steps = "- id: q\n  sql: {connection: db, file: q.sql}\n  rollback: none\n"
    assert codes(load([SourceFile("a.yaml", plan(steps).encode())])) == ["PLN311"]


def test_operators_are_allowed_by_name_or_by_prefix() -> None:
    steps = "- id: x\n  operator: {path: acme.operators.Move}\n  rollback: none\n"
    for allowed, expected in (
        ((), ["PLN502"]),
        (("acme.operators.Move",), []),
        (("acme.operators.*",), []),
        (("acme.*",), []),
        (("acme.operators",), ["PLN502"]),
        (("acme.operators.M*",), ["PLN502"]),
        (("acme.operators.Mov",), ["PLN502"]),
        (("acme.oper.*",), ["PLN502"]),
    ):
        assert (
            codes(loaded(plan(steps), options=LoadOptions(allowed_operators=allowed))) == expected
        )


SUB_PLAN = "- id: again\n  plan: {name: other}\n"


def test_what_cannot_run_yet_is_a_warning_and_the_plan_is_valid() -> None:
    other = plan(CHECK).replace("release", "other")
    result = loaded(plan(CHECK + SUB_PLAN) + "---\n" + other)
    assert codes(result) == ["PLN406"]
    assert result.plan_names == ("other", "release")
