"""The commands that the README and CI rely on."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TARGETS = ("demo", "test", "check", "bench", "soak", "lock", "clean", "help", "env", "compose-env")
SCRIPTS = sorted((ROOT / "tools").glob("*.sh"))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # make's own variables would reach down when the tests themselves were started by make
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, env=env
    )


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_exists(target: str) -> None:
    done = make("--dry-run", target)
    assert done.returncode == 0, done.stderr


def test_help_is_the_default_and_lists_every_target() -> None:
    done = make()
    assert done.returncode == 0, done.stderr
    listed = set(re.findall(r"^make (\S+)", done.stdout, re.MULTILINE))
    assert set(TARGETS) <= listed


def test_make_test_runs_everything_but_soak_runs() -> None:
    done = make("--dry-run", "test")
    selections = re.findall(r"-m '([^']+)'", done.stdout)
    assert selections == ["not e2e and not soak", "e2e and not soak"]


def test_ci_runs_check_and_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text().splitlines() if line.startswith("make")]
    assert lines == ["make check", "make test"]


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_scripts_are_sound(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    subprocess.run(["bash", "-n", script], check=True)


def test_pre_commit_runs_the_checks_of_make_check() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    entries = " ".join(hook["entry"] for hook in hooks)
    for tool in ("ruff check", "ruff format", "mypy", "lint-imports", "planner lint"):
        assert tool in entries


def test_a_python_that_is_too_old_gets_a_clear_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for tool in ("bash", "sh"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    done = subprocess.run(
        ["bash", ROOT / "tools" / "find_python.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13; found: Python 3.9.2" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def system_packages(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", ROOT / "tools" / "system_packages.sh"],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def programs(folder: Path, *names: str, code: str = "exit 0") -> None:
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\n{code}\n")
        (folder / name).chmod(0o755)


def test_system_packages_that_are_there_are_left_alone(tmp_path: Path) -> None:
    programs(tmp_path, "git", "promtool", "prometheus-alertmanager", "postgres", "chromium")
    programs(tmp_path, "apt-get", "sudo", code="echo called; exit 9")
    done = system_packages(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_missing_system_packages_are_named_when_they_cannot_be_installed(tmp_path: Path) -> None:
    programs(tmp_path, "git", "postgres", "chromium", "apt-get")
    programs(tmp_path, "id", code="echo 1000")
    programs(tmp_path, "sudo", code="exit 1")
    done = system_packages(tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sudo apt-get install prometheus" in done.stderr


def test_without_apt_the_programs_are_named(tmp_path: Path) -> None:
    programs(tmp_path, "postgres", "chromium")
    done = system_packages(tmp_path)
    assert done.returncode == 1
    assert "git prometheus" in done.stderr


def test_missing_system_packages_are_installed_by_an_administrator(tmp_path: Path) -> None:
    programs(tmp_path, "git", "postgres", "chromium")
    programs(tmp_path, "id", code="echo 1000")
    programs(tmp_path, "sudo", code=f'echo "$@" >> {tmp_path}/asked')
    programs(tmp_path, "apt-get", code="exit 9")
    done = system_packages(tmp_path)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text()
    assert "install --no-install-recommends prometheus" in asked
    assert "DEBIAN_FRONTEND=noninteractive" in asked
    if not Path("/usr/sbin/policy-rc.d").exists():
        assert "tee /usr/sbin/policy-rc.d" in asked
        assert asked.splitlines()[-1].endswith("rm -f /usr/sbin/policy-rc.d")
