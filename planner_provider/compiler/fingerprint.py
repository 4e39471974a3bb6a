"""Whether a folder of specs is still what it was, without reading what has not been touched.

As in Git's index: a file whose size, times and inode are the same has the same content, unless it
was touched so close to the moment it was recorded that its times cannot tell. Then, and when they
differ, the content decides.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

RACY_NS = 2_000_000_000
"""Coarsest resolution of file times that is reckoned with."""
Seen = tuple[int, int, int, int, str]
"""Size, mtime and ctime in nanoseconds, inode, SHA-256 of the content."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All files of a folder as they were at one moment."""

    at_ns: int
    files: dict[str, Seen]

    def same_content(self, other: Fingerprint) -> bool:
        """Whether both have the same files with the same content."""
        return self.files.keys() == other.files.keys() and all(
            seen[4] == other.files[name][4] for name, seen in self.files.items()
        )

    def vouches_for(self, seen: Seen) -> bool:
        """Whether the file was last touched long enough before this moment for times to tell."""
        return max(seen[1], seen[2]) + RACY_NS < self.at_ns


def fingerprint(folder: Path, known: Fingerprint | None = None) -> Fingerprint:
    """Look at all files below the folder that are not hidden.

    Content is read only where ``known`` cannot vouch for it. A file that cannot be read counts by
    its error, a folder that does not exist has no files; nothing is raised.
    """
    now = time.time_ns()
    before = known.files if known else {}
    files: dict[str, Seen] = {}
    for name, stat in _walk(str(folder)):
        key = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        old = before.get(name)
        if old is not None and old[:4] == key and known is not None and known.vouches_for(old):
            files[name] = old
        else:
            files[name] = (*key, _content(folder / name))
    return Fingerprint(now, files)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _walk(top: str) -> Iterator[tuple[str, os.stat_result]]:
    pending, seen = [(top, "")], set()
    while pending:
        current, prefix = pending.pop()
        try:
            entries = list(os.scandir(current))
        except OSError:
            continue
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            try:
                found = entry.stat()
                if S_ISDIR(found.st_mode):
                    if (found.st_dev, found.st_ino) not in seen:
                        seen.add((found.st_dev, found.st_ino))
                        pending.append((entry.path, f"{prefix}{name}/"))
                else:
                    yield prefix + name, found
            except OSError:
                continue
