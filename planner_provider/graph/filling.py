"""Parameters of a run, put into the texts of its plan for people to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PARAMETER = re.compile(r"\{\{\s*params\.(\w+)\s*\}\}")
MAX_VALUE = 200
"""Longest value of a parameter that is shown, in characters."""


def filled(text: str, parameters: Mapping[str, Any]) -> str:
    """The text with ``{{ params.NAME }}`` replaced by the value. Other templates stay as they are:
    what they stand for may be secret, and is not known before the step runs.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return shown(parameters[name]) if name in parameters else match.group(0)

    return _PARAMETER.sub(value, text)


def shown(value: Any) -> str:
    """A value on one line, not too long, without backquotes."""
    text = " ".join(str(value).split()).replace("`", "'")
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"
