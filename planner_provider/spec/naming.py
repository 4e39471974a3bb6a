"""What a document that is not YAML is probably called, so that references to it still hold."""

from __future__ import annotations

import re

from planner_provider.spec.subject import PLANNER_API, Key

_TOP = re.compile(r"[\"']?(apiVersion|kind|metadata)[\"']?\s{0,20}:\s{0,20}(.{0,300})")
_NAME = re.compile(r"(?:^|[{,\s])[\"']?name[\"']?\s{0,20}:\s{0,20}[\"']?([\w.-]{1,100})")
_VALUE = re.compile(r"[\"']?([\w./-]{1,100})")


def guess_key(text: str) -> Key | None:
    """Guess the kind and name of a document from its text. Needs time in proportion to it."""
    found: dict[str, str] = {}
    within_metadata = False
    for line in text.splitlines()[:2000]:
        top = _TOP.match(line)
        if top:
            key, rest = top.groups()
            within_metadata = key == "metadata"
            value = _VALUE.match(rest)
            if value:
                found.setdefault(key, value.group(1))
        elif line[:1] not in {"", " ", "\t", "#"}:
            within_metadata = False
        if within_metadata and "name" not in found and (name := _NAME.search(line[:500])):
            found["name"] = name.group(1)
    if "kind" not in found or "name" not in found:
        return None
    return Key(found.get("apiVersion", PLANNER_API), found["kind"], found["name"])
