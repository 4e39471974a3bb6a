from __future__ import annotations

from datetime import UTC, datetime, timedelta

from planner_provider.decide.compliance import (
    ComplianceReport,
    TargetReport,
    exposure,
    make_report,
    markdown,
    result_of,
    summary,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def days(number: float) -> timedelta:
    return timedelta(days=number)


def target(name: str, state: str = "done", **more: object) -> TargetReport:
    return TargetReport.model_validate(
        {"name": name, "result": result_of(state), "wave": 1, **more}
    )


def report(
    *targets: TargetReport, present: frozenset[str] | None, **more: object
) -> ComplianceReport:
    return make_report(
        fleet="web", plan_id="p-1", step="kernel", now=NOW, targets=targets, present=present,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_exposure_lasts_until_it_was_patched_and_else_on() -> None:
    since, patched = NOW - days(10), NOW - days(1)
    assert exposure(since, patched, NOW) == days(9)
    assert exposure(since, None, NOW) == days(10)
    assert exposure(None, patched, NOW) is None
    assert exposure(NOW, NOW - days(1), NOW) == days(0)


def test_complete_is_only_what_is_there_now_and_patched() -> None:
    both = (target("a"), target("b"))
    assert report(*both, present=frozenset("ab")).complete
    assert report(*both, target("c", "gone"), present=frozenset("ab")).complete
    new = report(*both, present=frozenset("abz"))
    assert (new.complete, new.appeared) == (False, ("z",))
    assert not report(target("a"), target("b", "failed"), present=frozenset("ab")).complete
    assert not report(*both, present=None, now_unknown="no answer").complete, "not known is not yes"


def test_the_report_says_what_became_of_each() -> None:
    made = report(
        target("a", cvss=9.8, kev=True, exposed_since=NOW - days(9), exposed_for=days(9.25)),
        target("b", "failed", detail="drain: blocked | by web", exposed_for=days(3)),
        target("c", "waiting", wave=2),
        present=frozenset({"a", "b", "c", "d"}),
        foreign_cordons=["b"],
    )
    assert made.counts == {"patched": 1, "failed": 1, "not_begun": 1}
    assert (made.exposed_longest, made.exposed_median) == (days(9.25), days(6.125))
    assert summary(made) == "Fleet web: 1 patched, 1 failed, 1 not begun, 1 new and not covered"
    text = markdown(made)
    assert "**Not complete.**" in text
    assert "Exposed: 6d3h (median), 9d6h (longest)." in text
    assert "| a | 1 | 9.8, exploited | 9d6h |  |  |" in text
    assert "drain: blocked \\| by web" in text, "a bar does not break the table"
    assert "and not covered: d." in text
    assert "Cordoned by somebody else, and left so: b." in text
    assert ComplianceReport.model_validate_json(made.model_dump_json()) == made
