"""Files as they were at a revision of a Git repository."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from planner_provider.cli.terminal import UserError

MAX_BLOB = 2 * 1024 * 1024
"""Larger files are no specs, and are left out. In bytes."""
_FILE_MODES = frozenset({"100644", "100755"})


@dataclass(frozen=True, slots=True)
class Revision:
    """A path within a repository, at a revision."""

    repository: Path
    """Any folder within the work tree."""
    name: str
    """What Git calls the revision: ``main``, ``v1.2``, ``HEAD~3``."""
    path: str
    """File or folder, from the top of the repository; empty for all of it."""

    def __str__(self) -> str:
        return f"{self.name}:{self.path}"


def parse_revision(text: str, cwd: Path) -> Revision:
    """Read ``REV:path``, as Git does: from the top of the repository, or from here with ``./``."""
    name, _, path = text.partition(":")
    if path.startswith(("./", "../")) or path == ".":
        return at_revision(name, cwd / path)
    return Revision(cwd, name, path.strip("/"))


def at_revision(name: str, path: Path) -> Revision:
    """A path of the work tree, at a revision. It need not exist any more."""
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n")).resolve()
    inside = path.resolve().relative_to(top).as_posix()
    return Revision(folder, name, "" if inside == "." else inside)


def write_tree(revision: Revision, target: Path) -> Path:
    """Write the files of a revision below ``target`` and return where its path is there.

    For a file its whole folder is written, since a spec may name other files of it. Links are
    left out. Raises ``UserError`` if the revision or the path does not exist.
    """
    tree = _resolve(revision)
    kind = _kind(revision, tree)
    folder = revision.path if kind == "tree" else str(PurePosixPath(revision.path).parent)
    folder = "" if folder == "." else folder
    blobs = _blobs(revision, tree, folder)
    contents = _read(revision, [sha for sha, _ in blobs])
    for sha, name in blobs:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(contents[sha])
    found = target / revision.path
    if kind == "tree":
        found.mkdir(parents=True, exist_ok=True)
    return found


def _resolve(revision: Revision) -> str:
    try:
        found = _git(
            revision.repository, "rev-parse", "--verify", "--end-of-options",
            f"{revision.name or 'HEAD'}^{{tree}}",
        )  # fmt: skip
    except UserError as error:
        raise UserError(
            f"Git knows no revision {revision.name!r} here: {error.hint or error.message}"
        ) from None
    return found.decode().strip()


def _kind(revision: Revision, tree: str) -> str:
    if not revision.path:
        return "tree"
    listed = _git(revision.repository, "ls-tree", "-z", "--full-tree", tree, "--", revision.path)
    if not listed:
        raise UserError(
            f"{revision} does not exist",
            "write the path from the top of the repository, or begin it with ./",
        )
    return listed.split(b"\t")[0].split()[1].decode()


def _blobs(revision: Revision, tree: str, folder: str) -> list[tuple[str, str]]:
    """Object name and path of each ordinary file below a folder."""
    where = ["--", f"{folder}/"] if folder else []
    listed = _git(revision.repository, "ls-tree", "-r", "-l", "-z", "--full-tree", tree, *where)
    found: list[tuple[str, str]] = []
    for entry in listed.split(b"\0"):
        if not entry:
            continue
        about, _, name = entry.partition(b"\t")
        mode, _, sha, size = about.decode().split()
        if mode in _FILE_MODES and int(size) <= MAX_BLOB:
            found.append((sha, name.decode("utf-8", "surrogateescape")))
    return found


def _read(revision: Revision, shas: list[str]) -> dict[str, bytes]:
    asked = "".join(f"{sha}\n" for sha in dict.fromkeys(shas)).encode()
    out = _git(revision.repository, "cat-file", "--batch", stdin=asked)
    found: dict[str, bytes] = {}
    start = 0
    while start < len(out):
        end = out.index(b"\n", start)
        sha, _, size = out[start:end].decode().split()
        found[sha] = out[end + 1 : end + 1 + int(size)]
        start = end + 1 + int(size) + 1
    return found


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    git = shutil.which("git")
    if git is None:
        raise UserError("this needs the `git` command, which is not installed")
    ended = subprocess.run(  # noqa: S603 - a fixed program, its arguments are no options
        [git, "-C", str(folder), *arguments], input=stdin, capture_output=True, check=False
    )
    if ended.returncode != 0:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"git {arguments[0]} failed", said[0] if said else None)
    return ended.stdout
