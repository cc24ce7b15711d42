"""The days of a year on which a cron schedule fires, kept by the kind of year: there are 14 kinds, 28 where ISO weeks matter, and all years are of one of them."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from .days import MonthDays, YearKind, is_leap

__all__ = ["Year", "YearDays", "year_days"]

_DAY = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# Where the days of a year begin, in seconds. All tables hold these very numbers, so that a table costs eight bytes a day.
_BEGINS = tuple(range(0, 366 * _DAY, _DAY))

# Begin and end of a year in wall seconds, and where its matching days begin, in seconds from its begin.
Year = tuple[int, int, tuple[int, ...]]


class YearDays:
    """The matching days of each year by *days*, *months* and ISO *weeks* (masks; None: all). Immutable but for its caches, and safe to share between threads."""

    __slots__ = ("_days", "_months", "_tables", "_weeks")

    def __init__(self, days: MonthDays, months: int, weeks: int | None) -> None:
        self._days = days
        self._months = months
        self._weeks = weeks
        self._tables: dict[YearKind, tuple[int, ...]] = {}

    def any_date(self, years: int | None) -> bool:
        """Whether any date of *years* matches (a mask; None: all)."""
        return self._days.any_date(years, self._months, self._weeks)

    def of(self, year: int) -> Year:
        """A year as it is searched."""
        before = year - 1
        first = (
            before * 365 + before // 4 - before // 100 + before // 400
        )  # January 1, in days since that of year 1, which was a Monday
        leap = is_leap(year)
        # What the year before was matters to ISO weeks only.
        kind = (first % 7, leap, self._weeks is not None and is_leap(before))
        table = self._tables.get(kind)
        if table is None:
            mask = self._days.in_year(kind, self._months, self._weeks)
            table = self._tables[kind] = _table(mask)
        begin = (first + 1 - _EPOCH_DAY) * _DAY
        return begin, begin + (366 if leap else 365) * _DAY, table


@lru_cache(maxsize=1024)
def year_days(days: MonthDays, months: int, weeks: int | None) -> YearDays:
    """Shared by all schedules of the same days (`month_days` gives one object for equal fields)."""
    return YearDays(days, months, weeks)


@lru_cache(maxsize=1024)
def _table(mask: int) -> tuple[int, ...]:
    """Where the days of *mask* begin (bit n: the day n of the year, from 1)."""
    if mask & mask + 2 == 0:
        return _BEGINS[: mask.bit_count()]  # all of them
    return tuple([_BEGINS[day] for day, bit in enumerate(bin(mask)[-2:1:-1]) if bit == "1"])
