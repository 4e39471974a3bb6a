"""The front end of the Plans page: its contract with the server, and what is shipped of it."""

import gzip
import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from planner_provider.web import models

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "frontend" / "src").rglob("*.ts*"))
STATIC = ROOT / "planner_provider" / "web" / "static"
INDEX = (STATIC / "index.html").read_text(encoding="utf-8")
CONTRACT = (ROOT / "frontend" / "src" / "contract.ts").read_text(encoding="utf-8")
INTERFACES = {
    name: dict(re.findall(r"^  (\w+): (.+);$", body, re.M))
    for name, body in re.findall(r"^export interface (\w+) \{\n(.*?)^\}$", CONTRACT, re.M | re.S)
}
MODELS = {
    name: model
    for name, model in vars(models).items()
    if isinstance(model, type)
    and issubclass(model, BaseModel)
    and model.__module__ == models.__name__
    and name != "Answer"
}
PLAIN = {
    "str": "string", "int": "number", "float": "number", "bool": "boolean", "datetime": "string",
}  # fmt: skip


def in_typescript(annotation: Any) -> str:
    """What a field of a model is in the contract."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " | ".join(in_typescript(part) for part in parts)
    if annotation is type(None):
        return "null"
    if origin is Literal:
        words = " | ".join(f'"{part}"' for part in parts)
        return next((name for name, known in ALIASES.items() if known == words), words)
    if origin is tuple and parts[-1] is ...:
        inner = in_typescript(parts[0])
        return f"({inner})[]" if " | " in inner and inner[0] != "[" else f"{inner}[]"
    if origin is tuple:
        return f"[{', '.join(in_typescript(part) for part in parts)}]"
    if origin is dict:
        inner = in_typescript(parts[1])
        return "JsonObject" if inner == "Json" else f"Record<string, {inner}>"
    if annotation is Any:
        return "Json"
    return PLAIN.get(annotation.__name__, annotation.__name__)


ALIASES = {
    name: re.sub(r"\s*\|\s*", " | ", words).strip(" |\n")
    for name, words in re.findall(r"^export type (\w+) =([^;{]+);", CONTRACT, re.M)
}


def test_the_contract_names_all_models_and_no_others() -> None:
    assert set(INTERFACES) == set(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_contract_has_the_fields_of_the_model(name: str) -> None:
    fields = MODELS[name].model_fields
    expected = {field: in_typescript(info.annotation) for field, info in fields.items()}
    assert INTERFACES[name] == expected


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_text_is_never_taken_for_html(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", text)
    assert "new Function" not in text
    assert not re.search(r'\bstyle="', text), "the Content-Security-Policy forbids it"


def test_the_page_loads_only_its_own_files_by_relative_addresses() -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', INDEX)
    assert named
    for address in named:
        assert address.startswith("./assets/")
        assert (STATIC / address).is_file()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", INDEX)


def test_it_is_small() -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    total = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert total < 150_000


def test_the_licences_of_what_is_built_in_are_shipped() -> None:
    text = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")
    package = json.loads((ROOT / "frontend" / "package.json").read_text())
    assert set(package["dependencies"]) <= set(re.findall(r"^[@a-z/-]+$", text, re.M))
    assert text.count("Permission is hereby granted") >= len(package["dependencies"])


def test_all_versions_of_npm_packages_are_exact() -> None:
    package = json.loads((ROOT / "frontend" / "package.json").read_text())
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name}: {version}"
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())
    assert not any("resolved" in entry for entry in lock["packages"].values())
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
