"""The questions by which an SLO is measured: PromQL and SQL for each window."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from planner_provider.graph.slos import Indicator, Query, Slo
from planner_provider.spec.measurable import prom_query
from planner_provider.spec.promql import WINDOW, quoted
from planner_provider.spec.values import format_duration

LABEL = "planner_fact"
"""Label that tells the answers of a bundle of queries apart."""
MIN_STEP = 15
"""Seconds between two samples of an expression, at least."""
STEPS = 480
"""About how many samples of an expression are taken in a window."""
RATE_WINDOW = "5m"
"""What stands for ``{{.window}}`` in an expression that is sampled."""
_OPERATORS = {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}


@dataclass(frozen=True, slots=True)
class Pair:
    """The questions for one window. Both are of the same source or each of its own."""

    part: str
    part_is: Literal["bad", "good", "bad_ratio"]
    total: str


def prometheus_pair(indicator: Indicator, window: timedelta) -> Pair:
    """PromQL for numerator and denominator in a window that ends now."""
    span = format_duration(window)
    text = indicator.query.text
    if indicator.total is not None:
        kind: Literal["good", "bad"] = "good" if indicator.kind == "good" else "bad"
        return Pair(
            counted(text, span, counter=indicator.counter),
            kind,
            counted(indicator.total.text, span, counter=indicator.counter),
        )
    expression = WINDOW.sub(RATE_WINDOW, text)
    sampled = f"[{span}:{step(window)}s]"
    total = f"count_over_time((\n{expression}\n){sampled})"
    if indicator.kind == "threshold":
        is_good = f"(\n{expression}\n) {_OPERATORS[indicator.op or 'lt']} bool {indicator.limit!r}"
        return Pair(f"sum_over_time(({is_good}){sampled})", "good", total)
    bad = f"(\n{expression}\n)" if indicator.kind == "raw_failure" else f"1 - (\n{expression}\n)"
    return Pair(f"sum_over_time(({bad}){sampled})", "bad", total)


def counted(text: str, span: str, *, counter: bool) -> str:
    """PromQL that counts the events of a ratio's query in a window."""
    query = prom_query(text)
    if not query.is_selector:
        return WINDOW.sub(span, text)
    function = "increase" if counter else "sum_over_time"
    return f"sum({function}({query.selectors[0]}[{span}]))"


def step(window: timedelta) -> int:
    """Seconds between two samples of an expression."""
    wanted = window.total_seconds() / STEPS
    return max(MIN_STEP, MIN_STEP * math.ceil(wanted / MIN_STEP))


def newest(query: Query, *, of_ratio: bool) -> tuple[str, ...]:
    """PromQL for the time of the newest sample, one question for each of its selectors."""
    found = prom_query(query.text, of_ratio=of_ratio).selectors
    return tuple(f"max(timestamp({selector}))" for selector in found)


def bundle(questions: Mapping[str, str]) -> str:
    """One PromQL expression that answers all questions, each under its name in a label.

    All are answered from the same moment, so that numerator and denominator fit together.
    """
    parts = (
        f'label_replace(\n{question}\n, {quoted(LABEL)}, {quoted(name)}, "", "")'
        for name, question in questions.items()
    )
    return "\nor ".join(parts)


def recorded_rules(slo: Slo, windows: tuple[timedelta, ...]) -> str:
    """PromQL that tells which recording rules of Sloth and Pyrra there are for an SLO."""
    spans = "|".join(format_duration(window) for window in windows)
    asked = []
    if slo.sloth_id != "none":
        name = quoted(f"slo:sli_error:ratio_rate({spans})")
        asked.append(f"count by (__name__) ({{__name__=~{name},{_sloth(slo)}}})")
    if slo.pyrra_slo != "none":
        name = quoted(f".+:burnrate({spans})")
        asked.append(f"count by (__name__) ({{__name__=~{name},{_pyrra(slo)}}})")
    return " or ".join(asked)


def recorded_series(slo: Slo, metric: str) -> tuple[str, str]:
    """Selector of the recording rule of this name, and the tool that it is of."""
    sloth = metric.startswith("slo:sli_error:ratio_rate")
    labels = _sloth(slo) if sloth else _pyrra(slo)
    return f"{metric}{{{labels}}}", "sloth" if sloth else "pyrra"


def _sloth(slo: Slo) -> str:
    """Sloth joins service and SLO to an id, and people often put the service into the name too."""
    ids = [slo.sloth_id] if slo.sloth_id else [f"{slo.service}-{slo.name}", slo.name]
    return f"sloth_id=~{quoted('|'.join(re.escape(item) for item in ids))}"


def _pyrra(slo: Slo) -> str:
    return f"slo={quoted(slo.pyrra_slo or slo.name)}"


def sql_pair(indicator: Indicator) -> Pair:
    """SQL for numerator and denominator; the window comes with the parameters."""
    text = _bare(indicator.query.text)
    if indicator.total is not None:
        kind: Literal["good", "bad"] = "good" if indicator.kind == "good" else "bad"
        return Pair(text, kind, _bare(indicator.total.text))
    total = f"SELECT COUNT(*) FROM (\n{text}\n) AS samples"  # noqa: S608 - the author's query
    if indicator.kind == "threshold":
        operator = _OPERATORS[indicator.op or "lt"]
        return Pair(f"{total} WHERE value {operator} {indicator.limit!r}", "good", total)
    bad = "value" if indicator.kind == "raw_failure" else "1 - value"
    worst = f"SUM(CASE WHEN value IS NULL THEN 1 ELSE {bad} END)"
    return Pair(f"SELECT {worst} FROM (\n{text}\n) AS samples", "bad", total)  # noqa: S608


def sql_parameters(text: str, window: timedelta, now: datetime) -> dict[str, str | float]:
    """Those values for ``:since``, ``:until`` and their like that the SQL asks for."""
    since = now - window
    values: dict[str, str | float] = {
        "since": f"{since:%Y-%m-%d %H:%M:%S}",
        "until": f"{now:%Y-%m-%d %H:%M:%S}",
        "since_epoch": since.timestamp(),
        "until_epoch": now.timestamp(),
    }
    named = {name for pair in re.findall(r":(\w+)|%\((\w+)\)s", text) for name in pair}
    return {name: value for name, value in values.items() if name in named}


def _bare(text: str) -> str:
    return text.strip().rstrip(";")
