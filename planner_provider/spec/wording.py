"""How values, types and forms are named when a spec is wrong."""

from __future__ import annotations

import re
from typing import Any

from planner_provider.spec.plaintext import hide_secret

_NAME = (
    "a name has lower-case letters, digits and dashes, and begins and ends with a letter or digit"
)
_WAYS = {
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)":
        f"{_NAME} (63 characters at most)",
    r"^[a-z][a-z0-9_-]{0,49}$(?!\n)":
        "a step id begins with a lower-case letter, then letters, digits, dashes or "
        "underscores (50 characters at most)",
    r"^[a-zA-Z_][a-zA-Z0-9_]*$(?!\n)":
        "a label has letters, digits and underscores, and begins with no digit",
    r"^[A-Z]{3}$(?!\n)":
        "a currency is three capital letters, such as EUR (ISO 4217)",
    r"^[^\s,]{1,200}$(?!\n)":
        "a channel, address, team or tag has no blanks and no commas (200 characters at most)",
    r"^[\w.-]{1,200}$(?!\n)":
        "a connection id has letters, digits, dots, dashes and underscores",
    r"^[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?$(?!\n)":
        "a label key has letters, digits, dots, dashes, underscores and slashes (63 "
        "characters at most)",
    r"^[A-Za-z_]\w*$(?!\n)":
        "an environment variable has letters, digits and underscores, no digit first",
    r"^(log|(team|connection):[\w.-]+)$(?!\n)":
        "a receiver is team:NAME, connection:ID or log",
    r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$(?!\n)":
        "an import path looks like package.module.ClassName",
    r"^[a-z_]\w*$(?!\n)":
        "an argument name has lower-case letters, digits and underscores",
    r"^((user|group|team):)?[\w.@-]+$(?!\n)":
        "an approver is group:NAME, team:NAME or user:NAME",
    r"^[a-z][a-z0-9+.-]*://\S+$(?!\n)":
        "a resource is a URI such as k8s://prod/shop/deployments/checkout",
    r"^https?://\S+$(?!\n)":
        "a link begins with https:// and has no spaces",
    r"^[\w. -]{1,200}$(?!\n)":
        "a pool name has letters, digits, dots, dashes, underscores and spaces",
    r"^[a-z_][a-z0-9_]{0,62}$(?!\n)":
        "a parameter name has lower-case letters, digits and underscores, no digit first",
    r"^[\w.-]{1,250}$(?!\n)":
        "a DAG id has letters, digits, dots, dashes and underscores",
    r"^[+-]\d+%?$(?!\n)":
        "a relative change looks like +3, -1 or +50%",
    r"\{\{":
        "a moment such as 2026-11-01T00:00Z, or a template, is needed",
    r"^P(\d+W|(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$(?!\n)":
        "windows last PT4H or PT90M (elapsed time), or P1D or P2W (calendar days)",
    r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)":
        'a wall-clock time looks like "04:30", in quotes',
    r"^((1st|2nd|3rd|4th|5th|last) "
    r"(mon(day)?|tue(sday)?|wed(nesday)?|thu(rsday)?|fri(day)?|sat(urday)?|sun(day)?)"
    r"|last day|(0?[1-9]|[12]\d|3[01])(st|nd|rd|th)?)$(?!\n)":
        "a day of the month is 2nd tuesday, last friday, last day or 15th",
    r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$(?!\n)":
        "a country is DE, a subdivision DE-BY (ISO 3166)",
    r"^[\w.@-]+$(?!\n)":
        "a user name has letters, digits, dots, dashes, underscores and @",
    r"^CVE-\d{4}-\d{4,}$(?!\n)":
        "vulnerabilities are named by their CVE, such as CVE-2026-12345",
    r"^[\w.@:/-]{1,253}$(?!\n)":
        "a target name has letters, digits and . @ : / - _",
    r"^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$(?!\n)":
        "a label key has letters, digits, dashes, dots and underscores (63 characters at "
        "most)",
    r"^\d*[1-9]\d*[mhdwMQY]$(?!\n)":
        "OpenSLO durations are a number and one of m, h, d, w, M, Q, Y, such as 30d",
    r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$(?!\n)":
        "OpenSLO calendars start at a time such as 2026-01-01 00:00:00",
    r"^\d+[mhdwMQY]$(?!\n)":
        "OpenSLO durations are a number and one of m, h, d, w, M, Q, Y, such as 5m",
}  # fmt: skip
"""Pattern -> the same in words."""


def describe_form(pattern: str) -> str:
    """Say in words what text has to look like."""
    return _WAYS.get(pattern, f"it must match {pattern}")


def has_words_for(pattern: str) -> bool:
    """Whether a pattern has been put into words."""
    return pattern in _WAYS


def name_type(value: Any) -> str:
    """Name what was found, such as ``the number 3``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if len(str(value)) < 40 else "a number"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    if isinstance(value, list):
        return "a list"
    return "a mapping"


def quote(value: Any, limit: int = 60) -> str:
    """A value as it is echoed: in quotes, shortened, and never a secret."""
    if not isinstance(value, str):
        return name_type(value) if isinstance(value, list | dict) else str(value)
    text = hide_secret(value)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"[^\x20-\x7e\u00a0-\uffff]", "?", text)
    return f"'{text if len(text) <= limit else text[: limit - 3] + '...'}'"


TYPE_WORDS = {
    "string_type": "text",
    "string_unicode": "text",
    "string_sub_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing",
}
"""Type of a pydantic error -> what was expected."""
