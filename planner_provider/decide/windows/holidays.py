"""The public holidays of a country, as days of a zone. Needs the extra ``holidays``."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from planner_provider.decide.windows.local_time import DAY, EPOCH_DAY, resolve, wall_in, zone
from planner_provider.decide.windows.spans import Span
from planner_provider.errors import MisconfiguredError, SpecError


class Holidays:
    """The holidays of a country or a part of it."""

    def __init__(self, place: str, timezone: str) -> None:
        self._country, _, self._part = place.partition("-")
        self._tz = zone(timezone)

    def between(self, start: int, end: int) -> list[Span]:
        """The holidays that overlap ``[start, end)``, whole, sorted."""
        return [span for span, _ in self.named(start, end)]

    def named(self, start: int, end: int) -> list[tuple[Span, str]]:
        """The holidays that overlap ``[start, end)``, with their names."""
        first = date.fromordinal(wall_in(start, self._tz) // DAY + EPOCH_DAY)
        last = date.fromordinal(wall_in(end, self._tz) // DAY + EPOCH_DAY)
        found = []
        for year in range(first.year, last.year + 1):
            for day, name in holidays_of(self._country, self._part, year):
                local = (day.toordinal() - EPOCH_DAY) * DAY
                span = resolve(local, self._tz), resolve(local + DAY, self._tz)
                if span[0] < end and span[1] > start:
                    found.append((span, name))
        return found


@lru_cache(maxsize=4096)
def holidays_of(country: str, part: str, year: int) -> tuple[tuple[date, str], ...]:
    """The holidays of one year, sorted, with their names in English where there are any.

    Raises ``MisconfiguredError`` if the extra is not installed, ``SpecError`` for a country or a
    part that it does not know.
    """
    try:
        import holidays
    except ImportError:
        raise MisconfiguredError(
            f"A calendar takes the holidays of {country}, and the package that knows them is not "
            "installed. Install the extra: pip install 'airflow-provider-planner[holidays]'."
        ) from None
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=year)
    except NotImplementedError:
        place = f"{country}-{part}" if part else country
        raise SpecError(f"The holidays of {place} are not known; see ISO 3166 for codes.") from None
    return tuple(sorted(found.items()))
