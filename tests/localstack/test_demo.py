"""The demo from start to end, with hand-written DAGs in place of compiled plans."""

import io
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from planner_provider.errors import MisconfiguredError
from planner_provider.localstack.demo import Demo, DemoOptions
from planner_provider.localstack.keeper import is_alive
from tests.localstack.stacks import until

pytestmark = pytest.mark.e2e

REPO = Path(__file__).parents[2]

PLAN = '''
from airflow.sdk import DAG, Connection, task
from airflow.sdk.exceptions import AirflowFailException

for plan, outcome in {"good": "succeeded", "bad": "rolled_back"}.items():
    with DAG(plan, schedule=None):

        @task
        def look() -> None:
            """Ask the sandbox, as a plan's steps do."""
            import urllib.request

            sandbox = Connection.get("sandbox")
            url = f"http://{sandbox.host}:{sandbox.port}/healthz"
            print(urllib.request.urlopen(url).status, Connection.get("sandbox_db").host)

        @task
        def finish(outcome: str, ti=None) -> None:
            """Record the outcome, and fail unless the change is in."""
            ti.xcom_push("outcome", outcome)
            if outcome != "succeeded":
                raise AirflowFailException("the plan did not succeed")

        look() >> finish(outcome)
'''


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with two plans; the template of the database is shared by the tests here."""
    folder = tmp_path_factory.mktemp("repo")
    (folder / "plan_specs").mkdir()
    (folder / "dags").mkdir()
    (folder / "dags" / "plans.py").write_text(PLAN)
    return folder


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for temporary files, so that what is left there can be seen."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def demo(root: Path, **options: object) -> tuple[Demo, io.StringIO]:
    out = io.StringIO()
    return Demo(DemoOptions(root=root, **options), Console(file=out, width=200)), out  # type: ignore[arg-type]


def test_a_plan_that_succeeds(root: Path, temp: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    made, out = demo(root, plan="good")
    assert made.run() == 0
    text = out.getvalue()
    assert "outcome of good: succeeded" in text
    assert "log in as admin with the password" in text
    assert [line.split()[2:4] for line in text.splitlines() if " success" in line] == [
        ["look", "success"],
        ["finish", "success"],
    ]
    assert list(temp.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) == before


@pytest.mark.soak
def test_a_plan_that_does_not_succeed(root: Path, temp: Path) -> None:
    made, out = demo(root, plan="bad")
    assert made.run() == 1
    text = out.getvalue()
    assert "outcome of bad: rolled_back" in text
    assert "the plan did not succeed" in text, "the log of the task that failed is shown"
    assert list(temp.iterdir()) == []


@pytest.mark.soak
def test_a_file_that_cannot_be_imported(root: Path, temp: Path) -> None:
    broken = root / "dags" / "broken.py"
    broken.write_text("# a dag for airflow\nraise ValueError('spec.yaml:3:5: no such step')\n")
    try:
        made, _ = demo(root, plan="good")
        with pytest.raises(MisconfiguredError, match=r"broken\.py(?s:.*)no such step"):
            made.run()
    finally:
        broken.unlink()
    assert list(temp.iterdir()) == []


def test_interrupted_it_ends_everything(root: Path, tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import sys
        from planner_provider.localstack import demo
        from pathlib import Path
        demo.__file__ = str(Path(sys.argv[1]) / "a" / "b" / "demo.py")
        sys.exit(demo.main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root)],
        cwd=REPO,
        env={**os.environ, "TMPDIR": str(tmp_path), "PLAN": "good"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "the four processes start" in line:
                break
        owner = psutil.Process(process.pid)
        assert until(lambda: len(owner.children(recursive=True)) >= 7)
        started = owner.children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert "everything has been ended" in process.stdout.read()
    assert process.returncode == 130
    assert [one for one in started if is_alive(one)] == []
    assert list(tmp_path.iterdir()) == []
