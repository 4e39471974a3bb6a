"""JSON Schema of all kinds of documents, for editors that complete and check YAML."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from planner_provider.spec.base import Model
from planner_provider.spec.judge import PLANNER_KINDS, kinds_of, model_for
from planner_provider.spec.subject import OPENSLO_API, PLANNER_API
from planner_provider.spec.values import format_duration, parse_duration

SCHEMA_DIALECT = "http://json-schema.org/draft-07/schema#"
"""What the YAML language server reads best."""
_REF = "#/definitions/"
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Limits of a choice of number types, which pydantic leaves in its own words."""


def schema_json() -> str:
    """The schema as text. Equal calls give equal text."""
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"


def build_schema() -> dict[str, Any]:
    """The schema of any document, chosen by its ``apiVersion`` and ``kind``."""
    from pydantic.json_schema import models_json_schema

    models = dict(document_models())
    chosen, top = models_json_schema(
        [(model, "validation") for model in models.values()],
        by_alias=True,
        ref_template=_REF + "{model}",
    )
    definitions = top["$defs"]
    for model in all_models(tuple(models.values())):
        name = _definition_name(model, definitions)
        if name:
            _describe(definitions[name], model)
    _add_rules(definitions)
    branches = [
        {
            "if": {
                "properties": {"apiVersion": {"const": api}, "kind": {"const": kind}},
                "required": ["apiVersion", "kind"],
            },
            "then": chosen[model, "validation"],
        }
        for (api, kind), model in models.items()
    ]
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "Planner specs",
        "description": "Plans, and what they refer to: planner/v1 and openslo/v1 documents.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"enum": [PLANNER_API, OPENSLO_API]},
            "kind": {"enum": sorted({kind for _, kind in models})},
        },
        "allOf": branches,
        "definitions": dict(sorted((name, _tidy(item)) for name, item in definitions.items())),
    }


def document_models() -> Iterator[tuple[tuple[str, str], type[Model]]]:
    """Each kind of document with its model."""
    for api, kinds in ((PLANNER_API, PLANNER_KINDS), (OPENSLO_API, kinds_of(OPENSLO_API))):
        for kind in kinds:
            model = model_for(api, kind)
            if model is not None:
                yield (api, kind), model


def all_models(roots: tuple[type[Model], ...]) -> tuple[type[Model], ...]:
    """The models, and all that they are made of."""
    from planner_provider.spec.fields import models_within

    found: dict[type[Model], None] = {}
    pending = list(roots)
    while pending:
        model = pending.pop()
        if model not in found:
            found[model] = None
            pending.extend(models_within(model))
    return tuple(found)


@lru_cache(maxsize=256)
def field_docs(model: type[Model]) -> dict[str, str]:
    """What the strings below the fields of a class say, by field name; base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (isinstance(base, type) and issubclass(base, Model)) or base is Model:
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        if not isinstance(tree, ast.ClassDef):
            continue
        name = None
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
            elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                docs[name] = inspect.cleandoc(str(node.value.value))
                name = None
            else:
                name = None
    return docs


def _definition_name(model: type[Model], definitions: dict[str, Any]) -> str | None:
    qualified = f"{model.__module__}.{model.__qualname__}".replace(".", "__")
    return next((name for name in (qualified, model.__name__) if name in definitions), None)


def _describe(definition: dict[str, Any], model: type[Model]) -> None:
    docs = field_docs(model)
    properties = definition.get("properties", {})
    for name, field in model.model_fields.items():
        shown = properties.get(field.alias or name)
        if shown is not None and name in docs:
            shown.setdefault("description", docs[name])


def _add_rules(definitions: dict[str, Any]) -> None:
    """Rules between keys that editors can show: a step has exactly one action."""
    from planner_provider.spec.plan import ACTION_NAMES

    for name in ("Step", "RollbackAction"):
        definitions[name]["oneOf"] = [{"required": [action]} for action in ACTION_NAMES]
    # A plan takes the rest from its template, so only a plan without one needs all keys.
    spec = definitions["PlanSpec"]
    needed = spec.pop("required", [])
    spec["if"] = {"required": ["template"]}
    spec["else"] = {"required": needed}


def _tidy(value: Any, key: str = "") -> Any:
    """Drop titles that repeat the key, and keep what stands beside a reference readable."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if key == "properties":
        return {name: _tidy(item, "property") for name, item in value.items()}
    out = {
        name: item if name in {"default", "examples", "enum", "const"} else _tidy(item, name)
        for name, item in value.items()
        if not (name == "title" and isinstance(item, str))
        and not (name == "default" and item is None)
    }
    for ours, theirs in _LIMITS.items():
        if ours in out:
            out[theirs] = out.pop(ours)
    if "patternProperties" in out:
        out.setdefault("additionalProperties", False)
    if "90s" in out.get("examples", ()) and str(out.get("default", "")).startswith("P"):
        out["default"] = format_duration(parse_duration(out["default"]))
    if isinstance(out.get("anyOf"), list):
        choices = [item for item in out["anyOf"] if item != {"type": "null"}]
        rest = {name: item for name, item in out.items() if name != "anyOf"}
        out = {**choices[0], **rest} if len(choices) == 1 and "$ref" not in choices[0] else (
            {"allOf": choices, **rest} if len(choices) == 1 else {**rest, "anyOf": choices}
        )  # fmt: skip
    if "$ref" in out and len(out) > 1:
        reference = out.pop("$ref")
        out = {"allOf": [{"$ref": reference}], **out}
    return out
