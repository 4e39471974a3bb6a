"""Which of many files matter to one plan, found without parsing the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from planner_provider.spec.judge import subject_of
from planner_provider.spec.reader import ReadFile, read_documents
from planner_provider.spec.references import references_of
from planner_provider.spec.sources import SourceFile

_ESCAPES = b"xuU\r\n"
_ESCAPED = re.compile(rb"\"[^\"\r\n]*\\[xuU\r\n]")
"""Text in double quotes with an escape: a name may be hidden in it."""
_ODD = re.compile(rb"name(?!: \w)")
"""A name that does not follow its key as nearly all do, or something that looks like one."""
_UNUSUAL = re.compile(rb"name[\"']?\s*:\s*[&*!|>\r\n]|\?\s")
"""A name whose end cannot be told by a pattern."""
_TEAM = re.compile(rb"kind[\"']?\s*:\s*[\"']?Team\b")


def files_for_plan(
    files: Sequence[SourceFile], name: str, reads: dict[str, ReadFile]
) -> list[SourceFile]:
    """The files that a plan can depend on: those that hold a name it needs, and so on.

    May give too many, never too few. What is parsed on the way is put into ``reads``.
    """
    chosen = {file.name: file for file in files if _may_hide(file.content)}
    needed, wanted = {name}, {name}
    while wanted:
        for word in sorted(wanted):
            for file in files:
                if file.name not in chosen and _may_define(file.content, word):
                    chosen[file.name] = file
        for file in chosen.values():
            if file.name not in reads:
                reads[file.name] = read_documents(file.name, file.content)
        wanted = _needs(reads.values(), needed) - needed
        needed |= wanted
    # Whether an owner must be a team depends on whether there is any team at all.
    for file in files:
        if b"Team" in file.content and _TEAM.search(file.content):
            chosen[file.name] = file
            break
    return [file for file in files if file.name in chosen]


def _may_hide(content: bytes) -> bool:
    if b"\\" not in content:
        return False
    if not any(part[:1] in _ESCAPES for part in content.split(b"\\")[1:]):
        return False
    return bool(_ESCAPED.search(content))


def _may_define(content: bytes, name: str) -> bool:
    """Whether a file may hold a document of this name."""
    needle = name.encode(errors="replace")
    if b"name: " + needle in content and _definition(needle).search(content):
        return True
    if needle not in content or not _ODD.search(content):
        return False
    return bool(_UNUSUAL.search(content)) or bool(_definition(needle).search(content))


@lru_cache(maxsize=256)
def _definition(name: bytes) -> re.Pattern[bytes]:
    """Finds where a document is given this name, in the usual ways to write it."""
    return re.compile(rb"name[\"']?[ \t]*:[ \t]*[\"']?" + re.escape(name) + rb"(?![\w.-])")


def _needs(reads: Iterable[ReadFile], names: set[str]) -> set[str]:
    """The names that documents of these names refer to."""
    found: set[str] = set()
    for read in reads:
        for document in read.documents:
            subject = subject_of(document)
            if subject.key is not None and subject.key.name in names:
                found.update(reference.key.name for reference in references_of(subject))
    return found
