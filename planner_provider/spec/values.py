"""The scalar types of the language: names, durations, shares, instants, zones, cron, templates.

Each raises ``PydanticCustomError`` with a type that `planner_provider.spec.codes` maps to a
diagnostic code, so that a bad value is reported with its line and with a hint.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import finite

MAX_PLAN_NAME = 44
"""A plan ID is ``<plan>-<8>-<8>`` and must fit a Kubernetes label value (63 characters)."""

MAX_TEMPLATE = 100_000
"""Characters that a template may have."""

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)"
STEP_ID_PATTERN = r"^[a-z][a-z0-9_-]{0,49}$(?!\n)"

_SHORT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_ISO = re.compile(
    r"^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
)
_UNIT = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MAX_SECONDS = 366 * 86400


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``1h30m``, ``1d`` or an ISO 8601 duration such as ``PT15M``.

    A day is 24 hours here; only calendars know nominal days. Raises ``ValueError``, with a
    sentence for the author, for anything else and for more than 366 days.
    """
    stripped = text.strip()
    if stripped.startswith("P"):
        match = _ISO.match(stripped)
        if not match or stripped in {"P", "PT"} or stripped.endswith("T"):
            raise ValueError(f"'{text}' is not an ISO 8601 duration such as PT15M or P1D")
        weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        total = weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + seconds
    else:
        parts = list(_SHORT.finditer(stripped))
        if not parts or "".join(part.group(0) for part in parts) != stripped:
            raise ValueError(f"'{text}' is not a duration; write 90s, 15m, 4h, 1d or PT15M")
        total = sum(float(part.group(1)) * _UNIT[part.group(2)] for part in parts)
    if total > _MAX_SECONDS:
        raise ValueError(f"'{text}' is longer than 366 days")
    return timedelta(seconds=total)


def format_duration(value: timedelta) -> str:
    """Write a duration in the shortest form that ``parse_duration`` reads back: ``1h30m``."""
    milliseconds = round(value.total_seconds() * 1000)
    if milliseconds == 0:
        return "0s"
    out: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            out.append(f"{count}{unit}")
    return "".join(out)


def _to_duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, str):
        raise PydanticCustomError(
            "bad_duration",
            "a duration needs a unit: {value} is not one; write 90s, 15m, 4h, 1d or PT15M",
            {"value": repr(value)},
        )
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("bad_duration", "{why}", {"why": str(error)}) from None


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise PydanticCustomError("bad_duration", "this duration must be longer than zero")
    return value


_DURATION_SCHEMA = WithJsonSchema(
    {
        "type": "string",
        "title": "Duration",
        "pattern": r"^(P.+|(\d+(\.\d+)?(ms|s|m|h|d|w))+)$",
        "examples": ["90s", "15m", "4h", "1d", "PT15M"],
    }
)
Duration = Annotated[
    timedelta,
    BeforeValidator(_to_duration),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]
"""Elapsed time: ``90s``, ``15m``, ``4h``, ``1d`` or ISO 8601."""
PositiveDuration = Annotated[
    timedelta,
    BeforeValidator(_to_duration),
    AfterValidator(_positive),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]
"""A duration longer than zero."""


def _to_share(value: Any) -> Any:
    if isinstance(value, float):  # a fraction, as it is in memory and when serialised
        if 0 <= value <= 1:
            return value
        raise PydanticCustomError(
            "bad_share",
            "{value} is not a share; write a percentage such as 10%",
            {"value": value},
        )
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value.strip()):
        percent = float(value.strip()[:-1])
        if percent <= 100:
            return percent / 100
        raise PydanticCustomError("bad_share", "{value} is more than 100%", {"value": value})
    raise PydanticCustomError(
        "bad_share",
        "{value} is not a share; write a percentage such as 10%",
        {"value": repr(value)},
    )


Share = Annotated[
    float,
    BeforeValidator(_to_share),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?%$", "examples": ["10%"]}),
]
"""A share of a whole, written as a percentage; a fraction from 0 to 1 in memory."""


def _to_count_or_share(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise PydanticCustomError("bad_share", "this count must not be negative")
        return value
    return _to_share(value)


CountOrShare = Annotated[
    int | float,
    BeforeValidator(_to_count_or_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\d+(\.\d+)?%$"},
            ]
        }
    ),
]
"""A count (an integer) or a share of the whole (a percentage)."""


def _to_instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if moment.tzinfo is None:
                raise PydanticCustomError(
                    "bad_instant",
                    "{value} names no time zone; end it with Z or an offset such as +01:00",
                    {"value": value},
                )
            return moment.astimezone(UTC)
    raise PydanticCustomError(
        "bad_instant", "{value} is not a moment such as 2026-11-01T00:00Z", {"value": repr(value)}
    )


Instant = Annotated[
    datetime,
    BeforeValidator(_to_instant),
    PlainSerializer(lambda moment: moment.isoformat().replace("+00:00", "Z"), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-01T00:00Z"]}),
]
"""A moment in time, with its zone; UTC in memory."""


def _local_time(value: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError(
            "bad_instant",
            "'{value}' is not a local time such as 2026-01-05T22:00 (or a moment ending in Z)",
            {"value": value},
        ) from None
    return value


LocalTime = Annotated[StrictStr, Field(max_length=40), AfterValidator(_local_time)]
"""A wall-clock time in the zone of its calendar (C2), kept as text; a moment if it ends in Z."""


@lru_cache(maxsize=1024)
def _known_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _zone(value: str) -> str:
    if not _known_zone(value):
        import difflib
        from zoneinfo import available_timezones

        near = difflib.get_close_matches(value, available_timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else "; use a name such as Europe/Berlin or UTC"
        raise PydanticCustomError(
            "bad_zone",
            "'{value}' is not a time zone of the IANA database{hint}",
            {"value": value, "hint": hint},
        )
    return value


Zone = Annotated[StrictStr, Field(max_length=100), AfterValidator(_zone)]
"""A time zone of the IANA database, such as Europe/Berlin."""


@lru_cache(maxsize=4096)
def _cron_problem(value: str) -> str | None:
    from croniter import CroniterError, croniter

    try:
        if value.startswith("@"):
            if value in {"@once", "@continuous"}:
                return f"'{value}' is not for plans; leave `schedule` out to start a plan by hand"
        elif len(value.split()) != 5:
            return f"'{value}' has {len(value.split())} fields; cron needs five, such as 0 2 * * 1"
        croniter(value).get_next()
    except (CroniterError, ValueError, KeyError, OverflowError) as error:
        return f"'{value}' is not a cron expression: {error}"
    return None


def _cron(value: str) -> str:
    problem = _cron_problem(value)
    if problem:
        raise PydanticCustomError("bad_cron", "{why}", {"why": problem})
    return value


Cron = Annotated[StrictStr, Field(max_length=200), AfterValidator(_cron)]
"""Five cron fields, read by the same parser as Airflow's own (croniter)."""


@lru_cache(maxsize=1024)
def _rrule_problem(value: str) -> str | None:
    from planner_provider.spec.recurrence import parse_rule

    try:
        parse_rule(value)
    except ValueError as error:
        return f"'{value}' is not a recurrence rule (RFC 5545): {error}"
    return None


def _rrule(value: str) -> str:
    problem = _rrule_problem(value)
    if problem:
        raise PydanticCustomError("bad_rrule", "{why}", {"why": problem})
    return value


Rrule = Annotated[StrictStr, Field(max_length=1000), AfterValidator(_rrule)]
"""A recurrence rule of RFC 5545, without DTSTART."""


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise PydanticCustomError(
            "bad_regex",
            "'{value}' is not a regular expression: {why}",
            {"value": value, "why": str(error)},
        ) from None
    return value


Regex = Annotated[StrictStr, Field(max_length=2000), AfterValidator(_regex)]
"""A regular expression of Python's ``re``."""


def _plain(value: str) -> str:
    if "{{" in value or "{%" in value:
        raise PydanticCustomError(
            "template_not_allowed", "templates are not rendered in this field, it is taken as it is"
        )
    return value


def form(pattern: str, **more: Any) -> Any:
    """A field whose text must match a pattern; said to editors as well.

    Pydantic itself leaves a pattern that is checked after a validator out of the JSON Schema.
    """
    return Field(pattern=pattern, json_schema_extra={"pattern": pattern}, **more)


Text = Annotated[StrictStr, AfterValidator(_plain), Field(max_length=20_000)]
"""Text in which templates are not rendered, and therefore refused."""


@lru_cache(maxsize=8192)
def template_problem(value: str) -> str | None:
    """Say why Jinja cannot parse the text, or ``None`` if it can."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(autoescape=False).parse(value)  # noqa: S701 - parsed, never rendered
    except TemplateSyntaxError as error:
        return str(error.message).rstrip(".")
    except (RecursionError, OverflowError, ValueError, MemoryError) as error:
        return f"Jinja gave up: {type(error).__name__}"
    return None


def _template(value: str) -> str:
    if len(value) > MAX_TEMPLATE:
        return value  # refused for its length
    if "{{" in value or "{%" in value or "{#" in value:
        problem = template_problem(value)
        if problem:
            raise PydanticCustomError(
                "bad_template", "this template does not parse: {why}", {"why": problem}
            )
    return value


Template = Annotated[
    StrictStr,
    AfterValidator(_template),
    Field(max_length=MAX_TEMPLATE, json_schema_extra={"x-template": True}),
]
"""Text that Airflow renders with Jinja at run time: ``{{ params.version }}``."""


def _template_tree(value: Any) -> Any:
    if isinstance(value, str):
        return _template(value)
    if isinstance(value, list | tuple):
        return [_template_tree(item) for item in value]
    if isinstance(value, dict):
        return {_template(str(key)): _template_tree(item) for key, item in value.items()}
    return value


TemplateTree = Annotated[
    Any,
    AfterValidator(finite),
    AfterValidator(_template_tree),
    Field(json_schema_extra={"x-template": True}),
]
"""Any YAML value; its strings are templates."""

Name = Annotated[Text, form(NAME_PATTERN)]
"""A name: lower-case letters, digits and dashes, at most 63 characters."""
StepId = Annotated[Text, form(STEP_ID_PATTERN)]
"""The id of a step: lower-case letters, digits, dashes and underscores, at most 50 characters."""
ConnectionId = Annotated[Text, form(r"^[\w.-]{1,200}$(?!\n)")]
"""The id of an Airflow Connection. Secrets live there, never in a spec."""
Labels = dict[
    Annotated[Text, form(r"^[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?$(?!\n)")],
    Annotated[Text, Field(max_length=63)],
]
"""Free labels, in the form that Kubernetes takes."""
