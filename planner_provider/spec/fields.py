"""Which keys the models of the language have, found by following a path through annotations."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath


@lru_cache(maxsize=512)
def keys_of(model: type[Model]) -> tuple[str, ...]:
    """The keys of a model as they are written in a spec."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def models_at(root: type[Model], path: SpecPath) -> tuple[type[Model], ...]:
    """The models that the value under a path may be: none if it is free-form."""
    found: tuple[Any, ...] = (root,)
    for part in path:
        found = tuple(inner for annotation in found for inner in _inside(annotation, part))
        if not found:
            return ()
    return tuple(item for item in found if isinstance(item, type) and issubclass(item, Model))


def models_within(model: type[Model]) -> Iterator[type[Model]]:
    """The models that the fields of a model are made of."""
    for field in model.model_fields.values():
        yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    for inner in _unwrap(annotation):
        if isinstance(inner, type) and issubclass(inner, Model):
            yield inner
        else:
            for argument in get_args(inner):
                yield from _models_in(argument)


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        for name, field in annotation.model_fields.items():
            if (field.alias or name) == part:
                yield from _unwrap(field.annotation)
        return
    origin = get_origin(annotation)
    if origin is tuple and isinstance(part, int):
        yield from _unwrap(get_args(annotation)[0])
    elif origin is dict and isinstance(part, str):
        yield from _unwrap(get_args(annotation)[1])


def _unwrap(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _unwrap(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for inner in get_args(annotation):
            yield from _unwrap(inner)
    else:
        yield annotation
