"""Nothing of the machine on which a file was made may be in it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Written in pieces, so that this file does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w./$\-])/(?:work|root|home/\w+|Users/\w+|opt/" + r"pypi)(?=/)")
REGISTRY = re.compile(r"(?:files\.pythonhosted|registry\.npmjs|pypi)\." + r"org|index-url https?:")


def shipped_files() -> list[Path]:
    """Everything that is or would be committed; nothing outside of a Git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a Git checkout")
    names = [name for name in listed.stdout.split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def matches(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in shipped_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def test_no_path_of_a_machine() -> None:
    assert matches(MACHINE_PATH) == []


def test_no_host_of_a_package_registry() -> None:
    assert matches(REGISTRY) == []


@pytest.mark.parametrize("name", ["requirements.lock", "deploy/requirements.lock"])
def test_every_locked_package_has_a_version_and_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.split("\n", 2)[2])
    assert len(entries) > 100
    for entry in entries:
        first = entry.splitlines()[0]
        assert re.match(r"[a-z0-9._-]+==[^ ]+", first), first
        assert "--hash=sha256:" in entry, first


def test_the_lock_says_how_it_was_made() -> None:
    assert "make lock" in (ROOT / "requirements.lock").read_text().splitlines()[1]


def test_the_lock_satisfies_pyproject() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += [need for need in extra if not need.startswith(project["name"])]
    lock = (ROOT / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE))
    for text in wanted:
        need = Requirement(text)
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        assert name in locked, f"{text}: run make lock"
        assert need.specifier.contains(locked[name], prereleases=True), f"{text}: run make lock"
