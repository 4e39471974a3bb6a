"""Small specs for tests, and what is found in them."""

from __future__ import annotations

from textwrap import dedent, indent

from planner_provider.spec.folder import LoadOptions, SourceFile, SpecSet, load

CHECK = "- id: check\n  http: {connection: sandbox}\n"


def plan(steps: str = CHECK, spec: str = "", name: str = "release", owner: str = "team-a") -> str:
    """A plan with these steps and these further keys of `spec`."""
    return (
        f"apiVersion: planner/v1\nkind: Plan\nmetadata: {{name: {name}, owner: {owner}}}\n"
        f"spec:\n  summary: Something\n{indent(dedent(spec), '  ')}  steps:\n"
        f"{indent(dedent(steps), '    ')}"
    )


def document(kind: str, name: str, spec: str = "{}", api: str = "planner/v1") -> str:
    """A document of another kind, with its `spec` in one line."""
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def loaded(*texts: str, options: LoadOptions | None = None, **files: str) -> SpecSet:
    """Load texts as files `0.yaml`, `1.yaml` and so on, or under the names given."""
    named = {f"{index}.yaml": text for index, text in enumerate(texts)}
    named.update({f"{name}.yaml": text for name, text in files.items()})
    return load([SourceFile(name, text.encode()) for name, text in named.items()], options)


def codes(result: SpecSet) -> list[str]:
    """The codes of all findings, in order of file and place."""
    return [found.code for found in result.diagnostics]


def told(result: SpecSet) -> list[tuple[str, str, str | None]]:
    """Code, message and hint of all findings."""
    return [(found.code, found.message, found.hint) for found in result.diagnostics]
