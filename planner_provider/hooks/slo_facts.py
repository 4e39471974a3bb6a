"""Measures SLOs: numerator and denominator of every window, each with its source and its age.

Where Sloth or Pyrra have recorded the share of bad events of a window, that is taken; the number
of all events is counted in any case. The error budget's own window is always counted: Sloth's
ratio over the period is the mean of five-minute ratios, in which a quiet night weighs as much as
a busy day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from planner_provider.decide.model import Decision, Fact, Verdict
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import Count, SloFacts, SloGateInputs, SloRules
from planner_provider.errors import PlannerError, RefusedError
from planner_provider.graph.slos import Slo
from planner_provider.hooks.prometheus import Prometheus, Sample, prometheus
from planner_provider.hooks.slo_queries import (
    LABEL,
    bundle,
    newest,
    prometheus_pair,
    recorded_rules,
    recorded_series,
    sql_pair,
    sql_parameters,
)
from planner_provider.hooks.spans import span
from planner_provider.spec.measurable import UnusableError
from planner_provider.spec.values import format_duration


@dataclass(frozen=True, slots=True)
class Look:
    """One look at SLOs: what was decided, and the record of it."""

    verdict: Verdict
    decision: Decision

    def told(self) -> tuple[str, ...]:
        """The decision in words, a line each: reasons first, then every number."""
        lines = [f"{self.verdict.kind.value}: {reason.text}" for reason in self.verdict.reasons]
        for measure in self.verdict.measures:
            value = "not known" if measure.value is None else f"{measure.value:.6g}"
            unit = f" {measure.unit}" if measure.unit and measure.value is not None else ""
            limit = "" if measure.limit is None else f", limit {measure.limit:g}"
            note = f" ({measure.note})" if measure.note else ""
            lines.append(f"{measure.name}: {value}{unit}{limit}{note}")
        return tuple(lines)


def look_at(
    slos: Iterable[Slo],
    rules: SloRules,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    client: Callable[[str], Prometheus] = prometheus,
) -> Look:
    """Measure the SLOs and decide. Whatever cannot be measured is not known; nothing is raised."""
    asked = tuple(slos)
    with span("gate", {"planner.slos": ", ".join(slo.name for slo in asked)}) as traced:
        facts = tuple(gather(slo, rules, now=clock(), client=client) for slo in asked)
        verdict, decision = decide(SloGateInputs(now=clock(), slos=facts, rules=rules))
        traced.set("planner.outcome", verdict.kind.value)
    return Look(verdict, decision)


def gather(
    slo: Slo,
    rules: SloRules,
    *,
    now: datetime,
    client: Callable[[str], Prometheus] = prometheus,
) -> SloFacts:
    """What is known about an SLO. Never raises a ``PlannerError``: what fails is not known."""
    windows = rules.spans(slo.window)
    measured = _Measured(slo, now)
    if slo.indicator.query.source == "prometheus":
        try:
            counts = _ask_prometheus(measured, windows, client)
        except UnusableError as error:
            counts = tuple(_not_counted(measured, window, str(error)) for window in windows)
    else:
        counts = tuple(_count_by_sql(measured, window) for window in windows)
    return SloFacts(
        slo=slo.name,
        targets=slo.targets,
        window=slo.window,
        unit=slo.indicator.unit,
        min_events=slo.min_events,
        counts=counts,
        path=" and ".join(dict.fromkeys(measured.paths)) or RAW,
    )


@dataclass(slots=True)
class _Measured:
    """An SLO while it is measured."""

    slo: Slo
    now: datetime
    paths: list[str] = field(default_factory=list)
    """How its numbers were had, such as ``raw queries``."""

    def unknown(self, name: str, problem: str, source: str) -> Fact:
        return Fact.unknown(
            name, problem, source=source, observed_at=self.now, unit=self.slo.indicator.unit
        )

    def fact(
        self, name: str, value: float, source: str, at: datetime, *, unit: str | None = None
    ) -> Fact:
        return Fact.measured(
            name,
            value,
            unit=unit or self.slo.indicator.unit,
            source=source,
            observed_at=at,
            max_age=self.slo.max_age,
        )


RAW = "raw queries"


@dataclass(frozen=True, slots=True)
class _Question:
    """A number to ask Prometheus for, and the questions that tell how fresh it is."""

    name: str
    text: str
    connection: str
    ages: tuple[str, ...]
    ages_connection: str
    path: str = RAW
    missing_is_zero: bool = False


@dataclass(frozen=True, slots=True)
class _Window:
    """The questions for one window."""

    window: timedelta
    part: _Question
    part_is: Literal["bad", "good", "bad_ratio"]
    total: _Question


class _Answers:
    """What one Prometheus said to a bundle of questions."""

    def __init__(self, connection: str) -> None:
        self._connection = connection
        self._questions: dict[str, str] = {}
        self._samples: dict[str, list[Sample]] = {}
        self._problem: str | None = None

    def add(self, question: str) -> None:
        self._questions.setdefault(question, f"q{len(self._questions)}")

    def ask(self, client: Callable[[str], Prometheus], problem: str | None = None) -> None:
        """Ask all questions at once, unless a problem is known already."""
        if problem is not None:
            self._problem = problem
            return
        named = {name: text for text, name in self._questions.items()}
        try:
            for sample in client(self._connection).query(bundle(named)):
                self._samples.setdefault(sample.labels.get(LABEL, ""), []).append(sample)
        except PlannerError as error:
            self._problem = str(error)

    def number(self, question: str) -> float | str | None:
        """The number, or why there is none; ``None`` if no series was found."""
        if self._problem is not None:
            return self._problem
        samples = self._samples.get(self._questions[question], [])
        if len(samples) > 1:
            return f"the query gave {len(samples)} series where one is needed"
        return samples[0].value if samples else None

    def moment(self, question: str) -> datetime | str:
        """The answer as a moment."""
        number = self.number(question)
        if number is None:
            return "it has no sample in the last five minutes"
        if isinstance(number, str):
            return number
        try:
            return datetime.fromtimestamp(number, UTC)
        except (ValueError, OverflowError, OSError):
            return f"its newest sample is dated {number}"


def _ask_prometheus(
    measured: _Measured, windows: tuple[timedelta, ...], client: Callable[[str], Prometheus]
) -> tuple[Count, ...]:
    problem: str | None = None
    recorded: dict[timedelta, tuple[str, str]] = {}
    try:
        recorded = _recorded(measured.slo, windows, client)
    except RefusedError:
        pass  # rules are a short cut: the SLO's own queries tell as much
    except PlannerError as error:
        problem = str(error)
    asked = [_questions(measured.slo, window, recorded.get(window)) for window in windows]
    answers: dict[str, _Answers] = {}
    for question in (question for item in asked for question in (item.part, item.total)):
        answers.setdefault(question.connection, _Answers(question.connection)).add(question.text)
        aged = answers.setdefault(question.ages_connection, _Answers(question.ages_connection))
        for text in question.ages:
            aged.add(text)
    for answer in answers.values():
        answer.ask(client, problem)
    return tuple(
        Count(
            window=item.window,
            part=_fact(measured, item.part, answers),
            part_is=item.part_is,
            total=_fact(measured, item.total, answers),
        )
        for item in asked
    )


def _questions(slo: Slo, window: timedelta, recorded: tuple[str, str] | None) -> _Window:
    indicator = slo.indicator
    total, of_ratio = indicator.total or indicator.query, indicator.total is not None
    pair, span = prometheus_pair(indicator, window), format_duration(window)
    whole = _Question(
        name=f"{slo.name}: all in {span}",
        text=pair.total,
        connection=total.connection,
        ages=newest(total, of_ratio=of_ratio),
        ages_connection=total.connection,
    )
    if recorded is not None:
        series, tool = recorded
        part = _Question(
            name=f"{slo.name}: share of bad in {span}",
            text=series,
            connection=indicator.query.connection,
            ages=(f"max(timestamp({series}))",),
            ages_connection=indicator.query.connection,
            path=f"recording rules of {tool}",
        )
        return _Window(window, part, "bad_ratio", whole)
    part = _Question(
        name=f"{slo.name}: {pair.part_is} in {span}",
        text=pair.part,
        connection=indicator.query.connection,
        ages=newest(indicator.query, of_ratio=of_ratio),
        ages_connection=indicator.query.connection,
    )
    if slo.missing_bad_is_zero and indicator.kind == "bad":
        part = replace(
            part, missing_is_zero=True, ages=whole.ages, ages_connection=whole.connection
        )
    return _Window(window, part, pair.part_is, whole)


def _fact(measured: _Measured, question: _Question, answers: Mapping[str, _Answers]) -> Fact:
    source = f"prometheus (connection {question.connection}), {question.path}: {question.text}"
    number = answers[question.connection].number(question.text)
    if number is None and question.missing_is_zero:
        number = 0.0
        source += " (no series, which this SLO says means none)"
    if number is None:
        return measured.unknown(question.name, "the query found no series", source)
    if isinstance(number, str):
        return measured.unknown(question.name, number, source)
    moments: list[datetime] = []
    for age in question.ages:
        moment = answers[question.ages_connection].moment(age)
        if isinstance(moment, str):
            return measured.unknown(question.name, moment, source)
        moments.append(moment)
    measured.paths.append(question.path)
    unit = None if question.path == RAW else "ratio"
    return measured.fact(question.name, number, source, min(moments), unit=unit)


def _recorded(
    slo: Slo, windows: tuple[timedelta, ...], client: Callable[[str], Prometheus]
) -> dict[timedelta, tuple[str, str]]:
    """The recording rule of each window that has exactly one series, Sloth's before Pyrra's."""
    shorter = tuple(window for window in windows if window != slo.window)
    question = recorded_rules(slo, shorter)
    if slo.indicator.total is None or not question or not shorter:
        return {}
    samples = client(slo.indicator.query.connection).query(question)
    found: dict[timedelta, tuple[str, str]] = {}
    for window in shorter:
        span = format_duration(window)
        names = [
            sample.labels.get("__name__", "")
            for sample in samples
            if sample.labels.get("__name__", "").endswith((f"ratio_rate{span}", f"burnrate{span}"))
            and sample.value == 1
        ]
        sloth = [name for name in names if name.startswith("slo:sli_error:")]
        if len(sloth or names) == 1:
            found[window] = recorded_series(slo, (sloth or names)[0])
    return found


def _count_by_sql(measured: _Measured, window: timedelta) -> Count:
    slo, indicator = measured.slo, measured.slo.indicator
    pair, span = sql_pair(indicator), format_duration(window)
    total = indicator.total or indicator.query

    def ask(what: str, connection: str, sql: str) -> Fact:
        return _ask_sql(measured, f"{slo.name}: {what} in {span}", connection, sql, window)

    return Count(
        window=window,
        part=ask(pair.part_is, indicator.query.connection, pair.part),
        part_is=pair.part_is,
        total=ask("all", total.connection, pair.total),
    )


def _not_counted(measured: _Measured, window: timedelta, why: str) -> Count:
    fact = measured.unknown(f"{measured.slo.name}: all in {format_duration(window)}", why, "none")
    return Count(window=window, part=fact, part_is="bad", total=fact)


def _ask_sql(measured: _Measured, name: str, connection: str, sql: str, window: timedelta) -> Fact:
    from planner_provider.hooks.sql import SqlRequest, SqlSession

    source = f"sql (connection {connection}): {sql}"
    try:
        result = SqlSession().run(
            SqlRequest(
                connection=connection,
                sql=sql,
                parameters=sql_parameters(sql, window, measured.now),
                read_only=True,
            )
        )
    except PlannerError as error:
        return measured.unknown(name, str(error), source)
    problem = _not_a_number(result.value, result.has_row, result.rows)
    if problem is not None:
        return measured.unknown(name, problem, source)
    measured.paths.append("sql queries")
    return measured.fact(name, float(result.value), source, measured.now)


def _not_a_number(value: Any, has_row: bool, rows: int | None) -> str | None:
    if not has_row:
        return "the query gave no row"
    if rows is not None and rows > 1:
        return f"the query gave {rows} rows where one is needed"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return f"the query gave {'NULL' if value is None else type(value).__name__}, no number"
    return None
