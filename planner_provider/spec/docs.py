"""The generated pages: ``docs/errors.md`` and ``docs/spec-reference.md``.

``python -m planner_provider.spec.docs [FOLDER]`` writes them; a test proves that they are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner_provider.spec.codes import CODES
from planner_provider.spec.schema import build_schema

_GROUPS = {
    "1": "Reading files and YAML",
    "2": "The shape of a document",
    "3": "References between documents",
    "4": "Meaning",
    "5": "Security",
}
_INTRO = "<!-- Made by `python -m planner_provider.spec.docs`: change the code, not this. -->\n"


def pages() -> dict[str, str]:
    """The generated pages: file name and text."""
    return {"errors.md": "".join(_errors()), "spec-reference.md": "".join(_reference())}


def main(arguments: list[str]) -> None:
    """Write the pages into a folder, ``docs`` if none is given."""
    folder = Path(arguments[0] if arguments else "docs")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _errors() -> Iterator[str]:
    yield _INTRO
    yield "# Diagnostics\n\n"
    yield (
        "`planner lint` reports everything that is wrong with a folder of specs in one pass. Each "
        "finding has a code from this list. An *error* keeps the plan from being compiled; the "
        "last good compilation stays in force until it is mended. A *warning* does not.\n"
    )
    for digit, title in _GROUPS.items():
        yield f"\n## {title}\n"
        for code in CODES.values():
            if code.id[3] != digit:
                continue
            yield f'\n### <a id="{code.id.lower()}"></a>{code.id}: {code.title}\n\n'
            yield f"*{code.severity.value.capitalize()}.* {code.why}\n\n"
            yield f"**What to do:** {code.mend}\n"


def _reference() -> Iterator[str]:
    schema = build_schema()
    definitions = schema["definitions"]
    yield _INTRO
    yield "# Spec reference\n\n"
    yield (
        "Every kind of document and every key. Unknown and duplicate keys are errors. YAML is "
        "read by the core schema of YAML 1.2: `yes`, `no`, `on` and `off` are text, and so are "
        "dates; merge "
        "keys (`<<`) are refused. Durations are `90s`, `15m`, `4h`, `1d` or ISO 8601. Shares are "
        "percentages such as `10%`. Text marked *template* is rendered by Airflow's Jinja when the "
        "step runs, as in `{{ params.version }}`; everywhere else a template is an error.\n"
    )
    roots: list[tuple[str, str]] = []
    for branch in schema["allOf"]:
        conditions = branch["if"]["properties"]
        title = f"{conditions['kind']['const']} ({conditions['apiVersion']['const']})"
        roots.append((title, branch["then"]["$ref"].rsplit("/", 1)[-1]))
    yield "\n## Kinds\n\n"
    for title, name in roots:
        yield f"- [{title}](#{_anchor(name)})\n"
    done: set[str] = set()
    for title, name in roots:
        for part in _within(name, definitions):
            if part not in done:
                done.add(part)
                yield from _section(part, definitions, title if part == name else None)


def _within(name: str, definitions: dict[str, Any]) -> Iterator[str]:
    """A definition and all that it refers to, in the order of reading."""
    seen: list[str] = []
    pending = [name]
    while pending:
        current = pending.pop(0)
        if current not in seen:
            seen.append(current)
            yield current
            pending = [*_references(definitions[current]), *pending]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rsplit("/", 1)[-1]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _section(name: str, definitions: dict[str, Any], title: str | None) -> Iterator[str]:
    definition = definitions[name]
    level = "##" if title else "###"
    yield f'\n{level} <a id="{_anchor(name)}"></a>{title or _short(name)}\n\n'
    if definition.get("description"):
        yield f"{' '.join(definition['description'].split())}\n\n"
    properties = definition.get("properties", {})
    if not properties:
        yield "It has no keys.\n"
        return
    needed = set(definition.get("required", ())) | set(
        definition.get("else", {}).get("required", ())
    )
    yield "| key | value | default | |\n|---|---|---|---|\n"
    for key, shown in properties.items():
        default = "*required*" if key in needed else _default(shown)
        about = " ".join(str(shown.get("description", "")).split())
        yield f"| `{key}` | {_type(shown)} | {default} | {_cell(about)} |\n"


def _default(shown: dict[str, Any]) -> str:
    if "default" not in shown or shown["default"] in ([], {}, ""):
        return ""
    value = shown["default"]
    if isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _type(shown: dict[str, Any]) -> str:
    if "$ref" in shown:
        name = shown["$ref"].rsplit("/", 1)[-1]
        return f"[{_short(name)}](#{_anchor(name)})"
    for combined in ("allOf", "anyOf", "oneOf"):
        if combined in shown:
            return " or ".join(dict.fromkeys(_type(item) for item in shown[combined]))
    if "enum" in shown:
        return ", ".join(f"`{word}`" for word in shown["enum"])
    if "const" in shown:
        return f"`{shown['const']}`"
    kind = shown.get("type")
    if kind == "array":
        return f"list of {_type(shown.get('items', {}))}"
    if kind == "object":
        inner = next(
            iter(shown.get("patternProperties", {}).values()), shown.get("additionalProperties")
        )
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) and inner else "mapping"
    return _scalar(shown, str(kind or ""))


def _scalar(shown: dict[str, Any], kind: str) -> str:
    examples = shown.get("examples")
    if kind == "string" and examples:
        return f"such as `{examples[0]}`"
    if kind == "string":
        return "*template*" if shown.get("x-template") else "text"
    limits = [
        f"{word} {shown[key]}"
        for key, word in (
            ("minimum", "from"), ("exclusiveMinimum", "above"),
            ("maximum", "to"), ("exclusiveMaximum", "below"),
        )
        if key in shown
    ]  # fmt: skip
    name = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}.get(
        kind, "any value"
    )
    if name == "any value" and shown.get("x-template"):
        name = "any value, its text a *template*"
    return " ".join([name, *limits])


def _short(name: str) -> str:
    return name.rsplit("__", 1)[-1]


def _anchor(name: str) -> str:
    return name.replace("planner_provider__spec__", "").replace("__", "-").lower()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    main(sys.argv[1:])
