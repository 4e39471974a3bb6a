from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred

from planner_provider.errors import NoAuthorityError, SpecError
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.rows import ActResult
from planner_provider.operators import plan_step
from planner_provider.spec.actions import Operator
from tests.operators.airflow_context import REF, build, context_for
from tests.operators.fake_ledger import FakeLedger

BASH = "airflow.providers.standard.operators.bash.BashOperator"
DEFERRING = "tests.operators.test_foreign.DeferringOperator"


class DeferringOperator(BaseOperator):
    """Defers, and writes into a file when it goes on."""

    template_fields = ("path",)

    def __init__(self, *, path: str, end_from_trigger: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.end_from_trigger = end_from_trigger

    def execute(self, context: Any) -> None:
        self.defer(trigger=TimeDeltaTrigger(timedelta(1)), method_name="go_on")

    def go_on(self, context: Any, event: Any = None) -> str:
        Path(self.path).write_text("acted")
        return "acted"


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    fake = FakeLedger()
    monkeypatch.setattr(plan_step, "open_ledger", lambda: fake)
    monkeypatch.setattr(plan_step, "die_with_parent", lambda: None)
    return fake


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = f"{BASH}, {DEFERRING},tests.operators.test_foreign.REF,no.such.Thing"
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", paths)


def foreign(path: str, /, _base: dict[str, Any] | None = None, **arguments: Any) -> BaseOperator:
    return build("operator", Operator(path=path, arguments=arguments), **(_base or {}))


def run(operator: BaseOperator, context: Any = None) -> Any:
    context = context or context_for()
    operator.render_template_fields(context)
    ExecutorSafeguard.tracker.set(operator)
    return operator.execute(context)


def test_it_runs_under_the_journal(ledger: FakeLedger, tmp_path: Path) -> None:
    operator = foreign(BASH, bash_command="echo {{ params.x }}", cwd=str(tmp_path))
    assert run(operator, context_for({"x": 5})) == "5"
    assert ledger.told == [("begin", "shift", False), ("end", ActResult.DONE)]


def test_it_does_nothing_without_authority(ledger: FakeLedger, tmp_path: Path) -> None:
    ledger.refusal = NoAuthorityError("no")
    with pytest.raises(NoAuthorityError):
        run(foreign(BASH, bash_command=f"touch {tmp_path}/acted"))
    assert not (tmp_path / "acted").exists()


def test_it_does_nothing_twice(ledger: FakeLedger, tmp_path: Path) -> None:
    ledger.permit = Permit.ALREADY_DONE
    assert run(foreign(BASH, bash_command=f"touch {tmp_path}/acted")) is None
    assert not (tmp_path / "acted").exists()


def test_its_failure_is_journalled(ledger: FakeLedger) -> None:
    with pytest.raises(Exception, match="exit code"):
        run(foreign(BASH, bash_command="exit 3"))
    assert ("end", ActResult.FAILED) in ledger.told


def test_what_resumes_after_a_deferral_is_guarded_too(ledger: FakeLedger, tmp_path: Path) -> None:
    operator = foreign(DEFERRING, path=f"{tmp_path}/acted")
    with pytest.raises(TaskDeferred):
        run(operator)
    assert operator.resume_execution("go_on", {"event": 1}, context_for()) == "acted"
    assert ledger.told == [
        ("begin", "shift", False),
        ("park",),
        ("begin", "shift", True),
        ("end", ActResult.DONE),
    ]
    (tmp_path / "acted").unlink()
    ledger.refusal = NoAuthorityError("the run was stopped")
    with pytest.raises(NoAuthorityError):
        operator.resume_execution("go_on", {"event": 1}, context_for())
    assert not (tmp_path / "acted").exists()


def test_airflow_sees_the_operator_as_what_it_is() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    base = {"retries": 3, "execution_timeout": timedelta(minutes=5)}
    operator = foreign(BASH, base, bash_command="x")
    assert operator.task_type == "BashOperator"
    assert operator.retries == 3
    data = DagSerialization.to_dict(operator.dag)
    task = data["dag"]["tasks"][0]["__var"]
    assert task["_task_module"] == "airflow.providers.standard.operators.bash"
    assert task["bash_command"] == "x"
    assert DagSerialization.from_dict(data).task_dict["shift"].task_type == "BashOperator"


def test_default_args_reach_it() -> None:
    with DAG("d", schedule=None, default_args={"owner": "team-payments"}):
        from planner_provider.operators.actions import ACTION_OPERATORS

        action = Operator(path=BASH, arguments={"bash_command": "x"})
        operator = ACTION_OPERATORS["operator"](action, plan_ref=REF, contacts=(), task_id="t")
    assert operator.owner == "team-payments"


@pytest.mark.parametrize(
    ("path", "arguments", "said"),
    [
        ("os.system", {}, r"os.system is not allowed. Ask an administrator to add it"),
        ("no.such.Thing", {}, "there is no module no. Install the package that holds no for"),
        ("tests.operators.test_foreign.REF", {}, "is not an Airflow operator"),
        (BASH, {}, r"does not take these `arguments` \(none\): missing keyword argument"),
        (BASH, {"bash_command": "x", "colour": 1}, r"\(bash_command, colour\): .*colour"),
        (BASH, {"bash_command": "x", "task_id": "y"}, "task_id must not stand in `arguments`"),
        (BASH, {"bash_command": "x", "trigger_rule": "always"}, "trigger_rule must not stand in"),
        (DEFERRING, {"path": "x", "end_from_trigger": True}, "must begin and end on a worker"),
    ],
)
def test_what_cannot_be_built_says_why(path: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        foreign(path, **arguments)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "airflow.providers.amazon.aws.operators.ecs.EcsRunTaskOperator",
            "Install apache-airflow-providers-amazon for",
        ),
        (
            "airflow.providers.common.ai.operators.llm.X",
            "Install apache-airflow-providers-common-ai for",
        ),
        (
            "airflow.providers.standard.operators.bash.BashOprator",
            r"has no BashOprator. Did you mean BashOperator\?",
        ),
    ],
)
def test_missing_packages_and_misspellings(
    path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__ALLOWED_OPERATORS", path)
    with pytest.raises(SpecError, match=said):
        foreign(path)
