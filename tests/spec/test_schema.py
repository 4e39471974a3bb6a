"""The JSON Schema for editors says what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from planner_provider.spec.docs import pages
from planner_provider.spec.folder import LoadOptions, load, read_files
from planner_provider.spec.reader import read_documents
from planner_provider.spec.schema import all_models, build_schema, document_models, schema_json

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
VALIDATOR = jsonschema.Draft7Validator(build_schema())


def documents(path: Path) -> list[Any]:
    return [item.data for item in read_documents(path.name, path.read_bytes()).documents]


def examples() -> list[Path]:
    return [*sorted((TESTS / "spec" / "corpus").glob("*.yaml")),
            *sorted((ROOT / "plan_specs").rglob("*.yaml"))]  # fmt: skip


def test_it_is_a_schema_and_always_the_same() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(schema_json()))
    assert schema_json() == schema_json()


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.name)
def test_every_example_is_valid_under_the_schema(path: Path) -> None:
    for document in documents(path):
        errors = [
            f"{list(error.path)}: {error.message}" for error in VALIDATOR.iter_errors(document)
        ]
        assert not errors


def test_every_example_is_valid_under_the_models() -> None:
    for folder in (TESTS / "spec" / "corpus", ROOT / "plan_specs"):
        files, unread = read_files([folder], base=folder)
        options = LoadOptions(allowed_operators=("example.operators.*",), root=folder)
        result = load(files, options)
        assert not [item for item in (*unread, *result.diagnostics) if item.is_error]


@pytest.mark.parametrize(
    "code", ["PLN201", "PLN202", "PLN203", "PLN204", "PLN205", "PLN206", "PLN213"]
)
def test_what_the_models_refuse_by_shape_the_schema_refuses(code: str) -> None:
    for path in (TESTS / "invalid").glob(f"{code}-*.yaml"):
        if "template" not in path.name:
            assert any(list(VALIDATOR.iter_errors(item)) for item in documents(path)), path.name


def test_every_kind_has_a_branch_and_every_model_a_description() -> None:
    kinds = {(api, kind) for (api, kind), _ in document_models()}
    branches = {
        (
            branch["if"]["properties"]["apiVersion"]["const"],
            branch["if"]["properties"]["kind"]["const"],
        )
        for branch in build_schema()["allOf"]
    }
    assert branches == kinds
    assert len(kinds) == 14
    for model in all_models(tuple(model for _, model in document_models())):
        assert model.__doc__, model


@pytest.mark.parametrize("name", ["errors.md", "spec-reference.md"])
def test_the_generated_pages_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name], (
        "run `python -m planner_provider.spec.docs`"
    )
