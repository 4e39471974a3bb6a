"""A report as text for a terminal, as Markdown, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from planner_provider.cli.layout import aligned, field, moment, plain, section, short, span
from planner_provider.metrics.figures import Figures, Spending
from planner_provider.metrics.report import MOST, Report


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, as people read it."""

    number: str
    """``M1`` to ``M12``."""
    name: str
    now: str
    before: str
    aim: str


def figures_of(report: Report) -> tuple[Figure, ...]:
    """The figures by which the planner is measured, with those of the period before."""
    now, before = report.now, report.before
    return (
        Figure("M1", "plans that succeed", _share(now.success), _share(before.success), "98%"),
        Figure("M2", "approval to success", _span(now.completion), _span(before.completion), ""),
        Figure(
            "M3", "trouble to rolled back", _span(now.rollback), _span(before.rollback), "< 10m"
        ),
        Figure("M4", "approval, median", _span(now.approval), _span(before.approval), ""),
        Figure(
            "M4", "approval if urgent", _span(now.urgent_approval), _span(before.urgent_approval),
            "< 30m",
        ),
        Figure("M5", "conflicts per 100", _number(now.conflicts), _number(before.conflicts), "< 1"),
        Figure("M6", "budget burnt a run", _share(now.burnt), _share(before.burnt), ""),
        *_cost_figures(report),
        Figure("M8", "inputs known, now", _share(report.coverage), "-", "100%"),
        Figure("M9", "checks passed first", _share(now.checks), _share(before.checks), "100%"),
        Figure("M10", "rolled back", _share(now.rollbacks), _share(before.rollbacks), "< 2%"),
        Figure("M11", "M3, times that before", _number(report.mitigation), "-", "< 1"),
        Figure("M12", "automated plans, now", _share(report.automated), "-", ""),
    )  # fmt: skip


def change(report: Report) -> str:
    """By how much the share of plans that succeed moved, in words."""
    now, before = report.now.success, report.before.success
    if now is None or before is None:
        return "no comparison with the period before"
    points = round(100 * (now - before), 1)
    if points == 0:
        return "as in the period before"
    return f"{abs(points):g} points {'up' if points > 0 else 'down'}"


def as_text(report: Report, columns: int) -> str:
    """For a terminal."""
    now = report.now
    lines = [
        field("Period", f"{moment(report.period.start)} to {moment(report.period.end)} UTC",
              columns),
        field("Ended", _ended(report), columns),
        field("Success", f"{_share(now.success)}, {change(report)}", columns),
        field("Cost", _cost(report), columns),
    ]  # fmt: skip
    rows = [("", "", "now", "before", "aim")]
    rows += [(f.number, f.name, f.now, f.before, f.aim) for f in figures_of(report)]
    lines += section("Figures", aligned(rows, columns))
    for title, table in _tables(report):
        shown = [tuple(plain(cell) for cell in row) for row in table[:MOST]]
        if len(table) > MOST:
            shown.append(("...", f"and {len(table) - MOST} more"))
        lines += section(title, aligned(shown, columns) or ["  None."])
    return "\n".join(lines) + "\n"


def as_markdown(report: Report) -> str:
    """For a document. Text of people and specs is quoted, so that it stays text."""
    lines = [
        f"# Plans from {report.period.start:%Y-%m-%d} to {report.period.end:%Y-%m-%d}",
        "",
        f"**{_ended(report)}.** Success: **{_share(report.now.success)}**, {change(report)}. "
        f"Cost: {_cost(report)}.",
        "",
        "| | figure | now | before | aim |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {f.number} | {f.name} | {f.now} | {f.before} | {f.aim} |" for f in
              figures_of(report)]  # fmt: skip
    heads = {
        "Waiting for approval": ("since", "plan ID", "task"),
        "Slow approvals": ("took", "plan ID", "answer"),
        "Plans with slow approvals": ("median", "plan", "approvals"),
        "Failed and rolled back": ("when", "outcome", "plan ID", "why"),
        "Change of cost": ("an hour", "plan ID", "cost"),
        "Held": ("since", "plan ID", "why"),
        "Stale plans": ("plan", "why"),
    }
    for title, table in _tables(report):
        lines += ["", f"## {title}", ""]
        if not table:
            lines.append("None.")
            continue
        head = heads[title]
        lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table[:MOST]]
        if len(table) > MOST:
            lines += ["", f"And {len(table) - MOST} more."]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> dict[str, Any]:
    """For programs. Times are in seconds, shares between 0 and 1."""
    return {
        "from": report.period.start,
        "to": report.period.end,
        "now": _figures_json(report.now),
        "before": _figures_json(report.before),
        "m8_input_coverage": report.coverage,
        "m11_mitigation": report.mitigation,
        "m12_automated": report.automated,
        "cost": {
            "runs": [
                {
                    "plan_id": item.run.plan_id,
                    "plan": item.run.plan,
                    "outcome": item.run.outcome.value,
                    "ended_at": item.run.ended_at,
                    "currency": item.change.currency,
                    "before_per_hour": item.change.before,
                    "after_per_hour": item.change.after,
                    "increase_per_hour": item.change.increase,
                }
                for item in report.costs
            ],
        },
        "pending": [
            {
                "plan_id": item.approval.plan_id,
                "plan": item.approval.plan,
                "task": item.approval.task,
                "asked_at": item.approval.asked_at,
                "waited_seconds": item.waited.total_seconds(),
                "slow": item.slow,
            }
            for item in report.pending
        ],
        "slow": [
            {
                "plan_id": item.plan_id,
                "plan": item.plan,
                "task": item.task,
                "state": item.state,
                "seconds": item.latency.total_seconds(),
            }
            for item in report.slow
        ],
        "slow_plans": [
            {
                "plan": item.plan,
                "owner": item.owner,
                "approvals": item.approvals,
                "median_seconds": item.median.total_seconds(),
                "slowest_seconds": item.slowest.total_seconds(),
            }
            for item in report.slow_plans
        ],
        "bad": [
            {
                "plan_id": run.plan_id,
                "plan": run.plan,
                "outcome": run.outcome.value,
                "ended_at": run.ended_at,
                "reason": run.reason,
            }
            for run in report.bad
        ],
        "held": [
            {
                "plan_id": run.plan_id,
                "plan": run.plan,
                "held_at": run.held_at,
                "held_by": run.held_by,
                "reason": run.held_reason,
            }
            for run in report.held
        ],
        "stale": [
            {
                "plan": item.plan,
                "owner": item.owner,
                "why": item.why,
                "last_success": item.last_success,
                "since": item.since,
            }
            for item in report.stale
        ],
    }


def _tables(report: Report) -> Iterator[tuple[str, Sequence[tuple[str, ...]]]]:
    """Title and rows of each list; the last cell is text."""
    yield (
        "Waiting for approval",
        [
            (
                f"{span(item.waited)}{' (slow)' if item.slow else ''}",
                item.approval.plan_id,
                item.approval.task,
            )
            for item in report.pending
        ],
    )
    yield (
        "Slow approvals",
        [(span(item.latency), item.plan_id, item.state) for item in report.slow],
    )
    yield (
        "Plans with slow approvals",
        [
            (
                span(item.median),
                f"{item.plan}{f' ({item.owner})' if item.owner else ''}",
                f"{item.approvals}, the slowest {span(item.slowest)}",
            )
            for item in report.slow_plans
        ],
    )
    yield (
        "Failed and rolled back",
        [
            (moment(run.ended_at), run.outcome.value, run.plan_id, short(run.reason, 200))
            for run in report.bad
        ],
    )
    yield (
        "Change of cost",
        [
            (
                _money(item.change.increase, item.change.currency),
                item.run.plan_id,
                f"{item.change.before:.6g} before, {item.change.after:.6g} after; "
                f"{item.run.outcome.value}",
            )
            for item in report.costs
        ],
    )
    yield (
        "Held",
        [
            (moment(run.held_at), run.plan_id, f"{run.held_by or '?'}: {run.held_reason or '-'}")
            for run in report.held
        ],
    )
    yield (
        "Stale plans",
        [(item.plan, _stale(item.why, item.last_success, item.since)) for item in report.stale],
    )


def _stale(why: str, last_success: datetime | None, since: datetime) -> str:
    if why == "never_run":
        return f"compiled since {moment(since)[:10]}, and never run"
    last = f"the last time {moment(last_success)}" if last_success else "never"
    return f"starts by itself and has not succeeded since {moment(since)}; {last}"


def _ended(report: Report) -> str:
    found = [f"{n} {outcome.value}" for outcome, n in report.now.outcomes.items() if n]
    told = f": {', '.join(found)}" if found else ""
    return f"{report.now.runs} runs ended{told} ({report.before.runs} in the period before)"


def _cost(report: Report) -> str:
    """What the runs of the period changed about the cost of an hour, in words."""
    now, before = _totals(report.now), _totals(report.before)
    unknown = report.now.costs_unknown
    if not now and not unknown:
        return "not known: no run acted whose plan says how its cost is measured (spec.cost)"
    told = [
        f"{_money(item.total, currency)} an hour by {_runs(item.runs)}, "
        f"{_money(before[currency].total, currency) if currency in before else 'nothing known'} "
        "in the period before"
        for currency, item in now.items()
    ]
    told += [f"not known of {_runs(unknown)}"] if unknown else []
    return "; ".join(told)


def _cost_figures(report: Report) -> list[Figure]:
    now, before = _totals(report.now), _totals(report.before)
    found = sorted({*now, *before})
    if not found:
        return [Figure("M7", "change of hourly cost", "-", "-", "")]
    return [
        Figure(
            "M7", "change of hourly cost",
            _money(now[currency].total, currency) if currency in now else "-",
            _money(before[currency].total, currency) if currency in before else "-", "",
        )
        for currency in found
    ]  # fmt: skip


def _totals(figures: Figures) -> dict[str, Spending]:
    return {item.currency: item for item in figures.costs}


def _money(value: float, currency: str) -> str:
    """An increase: ``+12.4 EUR``, ``-2 EUR``, ``0 EUR``."""
    return f"{value:+.6g} {currency}" if value else f"0 {currency}"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _figures_json(figures: Any) -> dict[str, Any]:
    def seconds(value: timedelta | None) -> float | None:
        return None if value is None else value.total_seconds()

    return {
        "runs": figures.runs,
        "outcomes": {outcome.value: n for outcome, n in figures.outcomes.items()},
        "m1_success": figures.success,
        "m2_completion_seconds": seconds(figures.completion),
        "m3_rollback_seconds": seconds(figures.rollback),
        "m4_approval_seconds": seconds(figures.approval),
        "m4_urgent_approval_seconds": seconds(figures.urgent_approval),
        "m5_conflicts_per_hundred": figures.conflicts,
        "m6_budget_burnt": figures.burnt,
        "m7_cost_per_hour": [
            {"currency": item.currency, "runs": item.runs, "increase": item.total}
            for item in figures.costs
        ],
        "m7_runs_not_known": figures.costs_unknown,
        "m9_checks_passed": figures.checks,
        "m10_rolled_back": figures.rollbacks,
        "slow_approvals": figures.slow_approvals,
    }


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.4g}%"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _span(value: timedelta | None) -> str:
    return span(value)


def _cell(text: str) -> str:
    """Text in a cell of a table, with nothing in it that Markdown or HTML would take as its own."""
    escaped = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{char}" if char in "\\`*_[]|#!~" else char for char in escaped)
