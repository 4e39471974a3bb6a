"""The compliance report of a patch rollout: what was patched, what was not, how long exposed. Pure.

The exposure of a target lasts from the day its oldest finding is known, by the scanner's report,
until it was patched; of one that was not patched it lasts on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import Literal

from pydantic import AwareDatetime, Field

from planner_provider.decide.model import Frozen
from planner_provider.spec.values import Duration, format_duration

Result = Literal["patched", "failed", "skipped", "gone", "not_begun", "unclear", "undone"]
TITLES: dict[Result, str] = {
    "patched": "Patched",
    "failed": "Failed",
    "undone": "Patched or tried, and undone again",
    "unclear": "Begun, and how it ended is not known",
    "not_begun": "Not begun",
    "skipped": "Left out",
    "gone": "Vanished",
}
_OF_STATE: dict[str, Result] = {
    "done": "patched",
    "failed": "failed",
    "acting": "unclear",
    "waiting": "not_begun",
    "skipped": "skipped",
    "gone": "gone",
}


class TargetReport(Frozen):
    """What became of one target."""

    name: str
    result: Result
    wave: int | None = None
    began_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    tries: int = 0
    detail: str | None = None
    kev: bool = False
    """Whether it had a vulnerability that is known to be exploited."""
    cvss: float | None = None
    cves: tuple[str, ...] = ()
    exposed_since: AwareDatetime | None = None
    exposed_for: Duration | None = None
    """``None``: since when is not known."""


class ComplianceReport(Frozen):
    """What became of a fleet."""

    fleet: str
    plan_id: str
    step: str
    made_at: AwareDatetime
    began_at: AwareDatetime | None = None
    """When the first target was begun."""
    counts: dict[str, int] = Field(default_factory=dict)
    """Result -> how many targets."""
    complete: bool = False
    """Whether every target that the fleet has now is patched."""
    exposed_longest: Duration | None = None
    exposed_median: Duration | None = None
    targets: tuple[TargetReport, ...] = ()
    appeared: tuple[str, ...] = ()
    """Targets that the fleet has now and did not have when the rollout began: not covered."""
    foreign_cordons: tuple[str, ...] = ()
    """Targets that somebody else had cordoned; they were left so."""
    our_cordons: tuple[str, ...] = ()
    """Targets on which a cordon of ours is left."""
    now_unknown: str | None = None
    """Why it is not known what the fleet has now."""


def result_of(state: str) -> Result:
    """What a state of the ledger means for compliance."""
    return _OF_STATE[state]


def exposure(since: datetime | None, ended: datetime | None, now: datetime) -> timedelta | None:
    """How long a target was exposed; ``ended`` is when it was patched, if it was."""
    if since is None:
        return None
    return max(timedelta(0), (ended or now) - since)


def make_report(
    *,
    fleet: str,
    plan_id: str,
    step: str,
    now: datetime,
    targets: Iterable[TargetReport],
    present: frozenset[str] | None,
    foreign_cordons: Iterable[str] = (),
    our_cordons: Iterable[str] = (),
    now_unknown: str | None = None,
) -> ComplianceReport:
    """Put the report together; ``present`` is what the fleet has now, ``None`` if not known."""
    listed = tuple(targets)
    exposed = [t.exposed_for for t in listed if t.exposed_for is not None]
    appeared = sorted((present or frozenset()) - {target.name for target in listed})
    known = {target.name: target.result for target in listed}
    everything = present if present is not None else frozenset(known)
    return ComplianceReport(
        fleet=fleet,
        plan_id=plan_id,
        step=step,
        made_at=now,
        began_at=min((t.began_at for t in listed if t.began_at), default=None),
        counts={
            result: count
            for result in TITLES
            if (count := sum(target.result == result for target in listed))
        },
        complete=present is not None and all(known.get(name) == "patched" for name in everything),
        exposed_longest=max(exposed, default=None),
        exposed_median=_median(exposed),
        targets=listed,
        appeared=tuple(appeared),
        foreign_cordons=tuple(sorted(foreign_cordons)),
        our_cordons=tuple(sorted(our_cordons)),
        now_unknown=now_unknown,
    )


def summary(report: ComplianceReport) -> str:
    """The report in one line."""
    counts = [f"{n} {TITLES[result].lower()}" for result, n in _counts(report)]
    counts += [f"{len(report.appeared)} new and not covered"] if report.appeared else []
    return f"Fleet {report.fleet}: {', '.join(counts) or 'no targets'}"


def markdown(report: ComplianceReport) -> str:
    """The report as Markdown, ending in a line break."""
    lines = [
        f"# Patch compliance: fleet {_text(report.fleet)}",
        "",
        f"Plan `{report.plan_id}`, step `{report.step}`, made {_moment(report.made_at)}.",
        "",
        f"**{'Complete' if report.complete else 'Not complete'}.** {_text(summary(report))}.",
        "",
    ]
    if report.exposed_longest is not None and report.exposed_median is not None:
        lines += [
            f"Exposed: {_rough(report.exposed_median)} (median), "
            f"{_rough(report.exposed_longest)} (longest).",
            "",
        ]
    for names, text in (
        (report.appeared, "New in the fleet since the rollout began, and not covered"),
        (report.foreign_cordons, "Cordoned by somebody else, and left so"),
        (report.our_cordons, "**Still cordoned by this plan; look now**"),
    ):
        if names:
            lines += [f"{text}: {', '.join(map(_text, names))}.", ""]
    if report.now_unknown:
        lines += [f"What the fleet has now is not known: {_text(report.now_unknown)}.", ""]
    for result, count in _counts(report):
        lines += [f"## {TITLES[result]} ({count})", "", *_table(report, result), ""]
    return "\n".join(lines).rstrip() + "\n"


def _counts(report: ComplianceReport) -> list[tuple[Result, int]]:
    return [(result, report.counts[result]) for result in TITLES if result in report.counts]


def _table(report: ComplianceReport, result: Result) -> list[str]:
    rows = [
        "| Target | Wave | Worst finding | Exposed | Ended | Why |",
        "|---|---|---|---|---|---|",
    ]
    for target in report.targets:
        if target.result != result:
            continue
        worst = "" if target.cvss is None else f"{target.cvss:g}{', exploited' * target.kev}"
        cells = (
            target.name,
            "" if target.wave is None else str(target.wave),
            worst,
            "" if target.exposed_for is None else _rough(target.exposed_for),
            "" if target.ended_at is None else _moment(target.ended_at),
            target.detail or "",
        )
        rows.append(f"| {' | '.join(map(_text, cells))} |")
    return rows


def _median(values: list[timedelta]) -> timedelta | None:
    if not values:
        return None
    return timedelta(seconds=median(value.total_seconds() for value in values))


def _rough(value: timedelta) -> str:
    """Days and hours are enough, where there are any."""
    seconds = round(value.total_seconds())
    unit = 3600 if seconds >= 86400 else 60 if seconds >= 3600 else 1
    return format_duration(timedelta(seconds=seconds // unit * unit))


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _text(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|~])", r"\\\1", " ".join(text.split()))
