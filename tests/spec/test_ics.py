"""iCalendar files: which events are read, and what is refused."""

from __future__ import annotations

import pytest

from planner_provider.spec.ics import IcsError, ImportedEvent, parse_ics

OWN_ZONE = """BEGIN:VTIMEZONE
TZID:Head Office
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
END:VTIMEZONE
"""


DAILY = "UID:1\nDTSTART:20260105T220000Z\nRRULE:FREQ=DAILY"


def events(*bodies: str, before: str = "") -> tuple[ImportedEvent, ...]:
    parts = "".join(f"BEGIN:VEVENT\n{body.strip()}\nEND:VEVENT\n" for body in bodies)
    text = (
        f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//example.com//EN\n{before}{parts}END:VCALENDAR\n"
    )
    return parse_ics(text, "Europe/Berlin")


def test_a_series_with_what_is_left_out_and_added() -> None:
    (found,) = events(
        "UID:1\nSUMMARY:Night\nDTSTART;TZID=America/New_York:20260105T220000\n"
        "DTEND;TZID=America/New_York:20260106T020000\nRRULE:FREQ=WEEKLY;BYDAY=MO\n"
        "EXDATE;TZID=America/New_York:20260112T220000\nEXDATE:20260120T030000Z\n"
        "RDATE;TZID=America/New_York:20260116T220000"
    )
    assert found == ImportedEvent(
        timezone="America/New_York",
        dtstart="2026-01-05T22:00:00",
        duration="PT14400S",
        rrule="FREQ=WEEKLY;BYDAY=MO",
        exdate=("2026-01-12T22:00:00", "2026-01-19T22:00:00"),
        rdate=("2026-01-16T22:00:00", "2026-01-05T22:00:00"),
        summary="Night",
    )


def test_whole_days_lengths_and_zones() -> None:
    found = events(
        "UID:1\nDTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227",
        "UID:2\nDTSTART;VALUE=DATE:20261231",
        "UID:3\nDTSTART:20260105T220000\nDURATION:P1DT2H",
        "UID:4\nDTSTART:20260105T220000Z\nDURATION:PT30M",
        "UID:5\nDTSTART;TZID=Head Office:20260705T220000\nDURATION:PT30M",
        "UID:6\nDTSTART:20260105T220000Z",
        before=OWN_ZONE,
    )
    assert [(one.timezone, one.dtstart, one.duration) for one in found] == [
        ("Europe/Berlin", "2026-12-24", "P3D"),
        ("Europe/Berlin", "2026-12-31", "P1D"),
        ("Europe/Berlin", "2026-01-05T22:00:00", "P1DT7200S"),
        ("UTC", "2026-01-05T22:00:00", "PT1800S"),
        ("Europe/Berlin", "2026-07-05T22:00:00", "PT1800S"),
    ]


def test_changed_and_cancelled_occurrences() -> None:
    series = "UID:1\nDTSTART:20260105T220000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY"
    moved = "UID:1\nRECURRENCE-ID:20260106T220000Z\nDTSTART:20260106T233000Z\nDURATION:PT1H"
    gone = "UID:1\nRECURRENCE-ID:20260107T220000Z\nDTSTART:20260107T220000Z\nSTATUS:CANCELLED"
    base, other = events(series, moved, gone)
    assert base.exdate == ("2026-01-06T22:00:00", "2026-01-07T22:00:00")
    assert (other.dtstart, other.rrule) == ("2026-01-06T23:30:00", None)
    assert events(series + "\nSTATUS:CANCELLED", moved) == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("UID:1\nSUMMARY:X", "has no DTSTART"),
        ("UID:1\nDTSTART;TZID=Nowhere/Odd:20260105T220000\nDURATION:PT1H", "'Nowhere/Odd'"),
        ("UID:1\nDTSTART:20260105T220000Z\nDURATION:PT1S\nRRULE:FREQ=MINUTELY", "hourly at most"),
        ("UID:1\nDTSTART:20260105T220000Z\nDTEND;VALUE=DATE:20260106", "or the reverse"),
        ("UID:1\nDTSTART:2026\nDURATION:PT1H", "cannot be read"),
        ("UID:1\nDTSTART:20260105T220000Z\nDTEND:20260105T210000Z", "ends before it begins"),
        ("UID:1\nDTSTART:20260105T220000Z\nDURATION:-PT1H", "ends before it begins"),
        ("UID:1\nDTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260105", "ends before it"),
        (f"{DAILY}\nDTEND:20260105T230000Z\nDTEND:20260105T233000Z", "more than one DTEND"),
        (f"{DAILY}\nDURATION:PT1H\nEXRULE:FREQ=WEEKLY", "EXRULE"),
        (f"{DAILY}\nDURATION:PT1H\nEXDATE;TZID=No/Where:20260106T230000", "EXDATE of the .*No/W"),
        (f"{DAILY}\nDURATION:PT1H\nRDATE;TZID=No/Where:20260106T230000", "RDATE of the .*No/W"),
        ("UID:1\nRECURRENCE-ID;TZID=No/Where:20260105T220000\nDTSTART:20260105T230000Z", "No/W"),
    ],
)
def test_what_cannot_be_understood_is_refused(body: str, said: str) -> None:
    with pytest.raises(IcsError, match=said):
        events(body)


def test_all_later_occurrences_at_once_are_refused() -> None:
    series = "UID:1\nDTSTART:20260105T220000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY"
    later = "UID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260106T220000Z\nDTSTART:20260106T230000Z"
    with pytest.raises(IcsError, match="THISANDFUTURE"):
        events(series, later)


EVENT = "BEGIN:VEVENT\nUID:1\nDTSTART:20260105T220000Z\nDURATION:PT1H\nEND:VEVENT\n"
WHOLE = f"BEGIN:VCALENDAR\nVERSION:2.0\n{EVENT}{EVENT}END:VCALENDAR\n"


@pytest.mark.parametrize("lines", range(len(WHOLE.splitlines())))
def test_a_file_that_is_cut_off_anywhere_is_refused(lines: int) -> None:
    """Else its freezes would be gone without a word."""
    assert len(parse_ics(WHOLE, "UTC")) == 2
    with pytest.raises(IcsError, match=r"cut off|holds no calendar"):
        parse_ics("\n".join(WHOLE.splitlines()[:lines]), "UTC")


def test_a_mark_of_the_encoding_is_no_harm_and_lines_that_are_not_read_are_told() -> None:
    assert len(parse_ics("\ufeff" + WHOLE, "UTC")) == 2
    with pytest.raises(IcsError, match="not all of its 2 events"):
        parse_ics(WHOLE.replace("\n", "\r"), "UTC")


def test_what_ends_without_a_begin_is_refused_and_folded_lines_are_read() -> None:
    with pytest.raises(IcsError, match="END:VEVENT ends nothing"):
        parse_ics(WHOLE.replace("BEGIN:VEVENT", "X-NOTE:", 1), "UTC")
    folded = WHOLE.replace("UID:1\n", "UID:1\nSUMMARY:at the\n  END:VEVENT of it\n", 1)
    assert [event.summary for event in parse_ics(folded, "UTC")] == [
        "at the END:VEVENT of it",
        None,
    ]
