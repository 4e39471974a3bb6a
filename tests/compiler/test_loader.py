from __future__ import annotations

import pytest

from planner_provider.compiler.compilation import Compiler
from planner_provider.compiler.dag import STALE_TAG
from tests.compiler.conftest import TEAM, Bundle, plan

EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"


def of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for one DAG, as a worker does."""
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", name)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "begin")


def test_all_plans_become_dags_and_the_companion_is_silent(bundle: Bundle) -> None:
    dags = bundle.load()
    assert sorted(dags) == ["good", "other"]
    assert {name: dag.dag_id for name, dag in dags.items()} == {n: n for n in dags}
    assert bundle.error() == ""


def test_a_worker_gets_one_plan_only(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    of("other", monkeypatch)
    assert list(bundle.load()) == ["other"]
    bundle.write("good.yaml", "kind: [")
    assert list(bundle.load()) == ["other"]
    assert bundle.error() == ""


def test_only_who_reads_whole_folders_writes(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    of("other", monkeypatch)
    bundle.load()
    assert list(bundle.home.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        plan("good").replace("steps:", "steps: ["),
        plan("good").replace("summary", "sumary"),
        plan("good").replace("{id: tell,", "{id: tell, after: [nothing],"),
        "kind: [\n",
    ],
    ids=["syntax", "unknown key", "reference", "no name"],
)
def test_the_last_good_version_stays_in_force(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    before = bundle.load()["good"]
    bundle.write("good.yaml", text)
    dags = bundle.load()
    assert sorted(dags) == ["good", "other"]
    good, other = dags["good"], dags["other"]
    assert STALE_TAG in good.tags
    assert "**Not the newest spec.**" in (good.doc_md or "")
    assert "good.yaml:" in (good.doc_md or "")
    assert (good.doc_md or "").endswith(before.doc_md or "-")
    assert STALE_TAG not in other.tags
    assert "good.yaml:" in bundle.error()

    of("good", monkeypatch)
    assert list(bundle.load()) == ["good"]
    monkeypatch.undo()


def test_of_two_plans_with_one_name_neither_is_taken(bundle: Bundle) -> None:
    bundle.load()
    bundle.write("zzz.yaml", plan("good", "another"))
    dags = bundle.load()
    assert sorted(dags) == ["good", "other"]
    assert STALE_TAG in dags["good"].tags
    assert "hello" in dags["good"].get_task("execute.tell").message
    assert "zzz.yaml:3:" in bundle.error()


def test_a_plan_taken_away_is_gone(bundle: Bundle) -> None:
    bundle.load()
    (bundle.specs / "good.yaml").unlink()
    bundle.write("third.yaml", plan("third").replace("summary", "sumary"))
    assert list(bundle.load()) == ["other"]


def test_mended_it_is_the_newest_again(bundle: Bundle) -> None:
    bundle.load()
    bundle.write("good.yaml", plan("good").replace("summary", "sumary"))
    bundle.load()
    bundle.write("good.yaml", plan("good", "mended"))
    good = bundle.load()["good"]
    assert STALE_TAG not in good.tags
    assert "Not the newest" not in (good.doc_md or "")
    assert bundle.error() == ""


def test_the_companion_may_come_first(bundle: Bundle) -> None:
    assert bundle.error() == ""
    bundle.load()
    bundle.write("good.yaml", "kind: [\n")
    assert bundle.error() != ""
    assert sorted(bundle.load()) == ["good", "other"]


def test_the_companion_names_every_error_with_its_place(bundle: Bundle) -> None:
    bundle.write("good.yaml", plan("good").replace("summary", "sumary"))
    bundle.write("other.yaml", plan("other").replace("tell,", "tell, after: [nothing],"))
    error = bundle.error()
    assert error.startswith("plan specs in plan_specs/ have errors")
    assert "good.yaml:5:3" in error
    assert "other.yaml:7:" in error


def test_a_ledger_that_does_not_answer_costs_only_the_last_good(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle.root / "file").write_text("no folder")
    nowhere = f"sqlite:///{bundle.root / 'file' / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", nowhere)
    assert sorted(bundle.load()) == ["good", "other"]
    monkeypatch.delenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN")
    assert sorted(bundle.load()) == ["good", "other"]
    assert sorted(bundle.ledger.compiled_digests()) == ["good", "other"], "it is tried again"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", nowhere)
    bundle.write("good.yaml", "kind: [\n")
    assert sorted(bundle.load()) == ["other"]


def test_a_ledger_with_a_senseless_address_hurts_no_plan(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", "nonsense")
    assert sorted(bundle.load()) == ["good", "other"]
    bundle.write("good.yaml", "kind: [\n")
    assert sorted(bundle.load()) == ["other"]


def operator_plan(name: str, path: str) -> str:
    return plan(name).replace(
        "notify: {message: hello}", f"operator: {{path: {path}}}, rollback: none"
    )


def test_only_allowed_operators(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle.write("operator.yaml", operator_plan("operator", EMPTY))
    assert sorted(bundle.load()) == ["good", "other"]
    assert "PLN502" in bundle.error()
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", f" {EMPTY} , x.y.*")
    assert sorted(bundle.load()) == ["good", "operator", "other"]
    assert bundle.error() == ""


def test_an_operator_that_cannot_be_imported_hurts_no_other_plan(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", "no.such.*")
    bundle.write("operator.yaml", operator_plan("operator", "no.such.Operator"))
    assert sorted(bundle.load()) == ["good", "other"]
    assert "operator.yaml:1: plan operator cannot become a DAG" in bundle.error()
    assert "no.such" in bundle.error()
    (bundle.specs / "operator.yaml").unlink()
    bundle.load()
    assert bundle.error() == ""


def test_an_operator_that_cannot_be_imported_leaves_the_last_good_version(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", "no.such.*")
    bundle.load()
    bundle.write("good.yaml", operator_plan("good", "no.such.Operator"))
    for _ in range(2):
        dags = bundle.load()
        assert sorted(dags) == ["good", "other"]
        assert STALE_TAG in dags["good"].tags
        assert STALE_TAG not in dags["other"].tags
        assert "good.yaml:1: plan good cannot become a DAG" in bundle.error()
    of("good", monkeypatch)
    assert STALE_TAG in bundle.load()["good"].tags


def test_what_is_in_the_ledger_already_is_not_written_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner_provider.compiler import loader

    bundle.load()
    monkeypatch.setattr(loader, "remember", lambda _: pytest.fail("there is nothing new"))
    bundle.load()
    bundle.write("good.yaml", plan("good") + "# a comment\n")
    bundle.load()


def test_a_cache_folder_that_cannot_be_written_hurts_no_plan(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = bundle.root / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("AIRFLOW__PLANNER__CACHE_FOLDER", str(blocked / "compiled"))
    assert sorted(bundle.load()) == ["good", "other"]
    assert bundle.error() == ""


def test_a_folder_that_is_not_there_is_an_error_of_the_companion(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__SPECS_FOLDER", "elsewhere")
    assert bundle.load() == {}
    assert f"{bundle.root / 'elsewhere'}: there is no such folder" in bundle.error()
    assert "specs_folder" in bundle.error()


def test_an_unforeseen_error_in_one_plan_hurts_no_other(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner_provider.compiler import loader

    build = loader.build_dag

    def fails_for_good(graph: object, **keys: object) -> object:
        if graph.name == "good":  # type: ignore[attr-defined]
            raise RuntimeError("unforeseen")
        return build(graph, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "build_dag", fails_for_good)
    assert list(bundle.load()) == ["other"]
    assert "plan good cannot become a DAG: unforeseen" in bundle.error()


def test_the_folder_may_stand_beside_the_loader(bundle: Bundle) -> None:
    from planner_provider.compiler.settings import load_settings

    settings = load_settings()
    inside = bundle.root / "flat" / "plan_specs"
    inside.mkdir(parents=True)
    (inside / "teams.yaml").write_text(TEAM)
    assert settings.specs_beside(bundle.root / "flat" / "plans.py") == bundle.root / "plan_specs"
    assert settings.specs_beside(inside.parent / "x.py") == bundle.root / "plan_specs"
    for file in sorted(bundle.specs.iterdir()):
        file.unlink()
    bundle.specs.rmdir()
    assert settings.specs_beside(inside.parent / "plans.py") == inside
    assert isinstance(Compiler(inside, bundle.home).compile_all().errors, str)


def test_what_cannot_be_read_was_not_taken_out(bundle: Bundle) -> None:
    bundle.load()
    bundle.specs.rename(bundle.root / "away")
    dags = bundle.load()
    assert sorted(dags) == ["good", "other"]
    assert all(STALE_TAG in dag.tags for dag in dags.values())
    assert "there is no such folder" in bundle.error()
