"""Lists of targets in CSV and JSON, as inventories and scanners give them. Pure: text in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from planner_provider.spec.kinds import FleetTarget

Record = Mapping[str, Any]
MAX_LABEL = 63


class InventoryError(ValueError):
    """The text is not a list of targets; the message says where."""


def targets_from_csv(text: str, name: str = "name") -> tuple[FleetTarget, ...]:
    """Targets of a CSV text with a header. Raises ``InventoryError``."""
    return targets_of(records_from_csv(text), name)


def targets_of(records: Iterable[Record], name: str = "name") -> tuple[FleetTarget, ...]:
    """Targets of records: ``name`` is the field with the name, the others become labels.

    Values that are empty, longer than a label may be, or not one value each are left out. Raises
    ``InventoryError`` for a record without a name, and for names that occur twice.
    """
    found: dict[str, FleetTarget] = {}
    for number, record in enumerate(records, 1):
        value = str(record.get(name) or "").strip()
        if not value:
            known = ", ".join(sorted(str(key) for key in record)) or "nothing"
            raise InventoryError(f"record {number} has no '{name}'; it has {known}")
        if value in found:
            raise InventoryError(f"'{value}' is listed twice, the second time in record {number}")
        labels = {
            str(key): text
            for key, item in record.items()
            if key != name and (text := _label(item)) is not None
        }
        try:
            found[value] = FleetTarget(name=value, labels=labels)
        except ValueError:
            raise InventoryError(
                f"'{value[:80]}' in record {number}, or one of its labels, is not in the form that "
                "names and labels have"
            ) from None
    return tuple(found.values())


def records_from_csv(text: str) -> list[Record]:
    """The rows of a CSV text with a header. Raises ``InventoryError``."""
    try:
        reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), strict=True)
        rows: list[Record] = []
        for row in reader:
            if None in row or None in row.values():
                raise InventoryError(
                    f"line {reader.line_num} does not have as many columns as the header"
                )
            rows.append(row)
    except csv.Error as error:
        raise InventoryError(f"this is not CSV: {error}") from error
    if not reader.fieldnames:
        raise InventoryError("there is no header line")
    return rows


def records_from_json(text: str, items: str = "", name: str = "name") -> list[Record]:
    """The records of a JSON text: a list of objects, or of names. Raises ``InventoryError``.

    ``items`` is the dotted path to the list.
    """
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise InventoryError(f"this is not JSON: {error}") from error
    for part in items.split(".") if items else ():
        if not isinstance(value, dict) or part not in value:
            raise InventoryError(f"there is no '{items}' in the answer")
        value = value[part]
    if not isinstance(value, list):
        where = f"'{items}'" if items else "the answer"
        raise InventoryError(f"{where} is not a list")
    found: list[Record] = []
    for number, item in enumerate(value, 1):
        if isinstance(item, str):
            found.append({name: item})
        elif isinstance(item, dict):
            found.append(item)
        else:
            raise InventoryError(f"record {number} is neither an object nor a name")
    return found


def _label(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        text = str(value).strip()
        return text if 0 < len(text) <= MAX_LABEL else None
    return None
