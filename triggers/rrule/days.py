"""The days that the parts of a recurrence rule leave: a year at a time, and shared by the years that are alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import pairwise

from .text import MONTHLY, YEARLY, Parts

__all__ = [
    "FIRST_DAY",
    "LAST_DAY",
    "CalendarDays",
    "counts_in_months",
    "month_begins",
    "year_begin",
    "year_of",
]

# Days are since 1970-01-01, which is 719,163 in the count of `date.toordinal`; these two are the calendar's ends.
_ORDINAL = 719_163
FIRST_DAY = 1 - _ORDINAL
LAST_DAY = date.max.toordinal() - _ORDINAL

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def year_of(day: int) -> int:
    """The year in which *day* lies; beyond the calendar's ends, its first or last year."""
    return date.fromordinal(min(max(day, FIRST_DAY), LAST_DAY) + _ORDINAL).year


def year_begin(year: int) -> int:
    """The first day of any year; the years before 1 and after 9999 go on by the same rule."""
    past = year - 1
    return 365 * past + past // 4 - past // 100 + past // 400 - _ORDINAL + 1


def month_begins(year: int) -> list[int]:
    """The first days of the twelve months of *year*, and that of the next year."""
    begins = [year_begin(year)]
    leap = year_begin(year + 1) - begins[0] == 366
    for month, length in enumerate(_LENGTHS):
        begins.append(begins[-1] + length + (leap and month == 1))
    return begins


class CalendarDays:
    """The days on which all of BYMONTH, BYMONTHDAY, BYYEARDAY, BYWEEKNO, BYDAY and BYEASTER agree, of those that are given.

    Whether a part adds days or takes some away (the table in RFC 5545, section 3.3.10) comes to the same: for each frequency the days are those
    that have all the properties. Weekdays with and without a number are one list, of which one must match.
    """

    __slots__ = ("_kinds", "_parts", "_plain")

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._plain = not (parts.month or parts.monthday or parts.yearday or parts.weekno or parts.weekday)
        # By the lengths of a year and of its neighbours, and its first weekday: but for Easter, nothing else makes one year's days differ from another's.
        self._kinds: dict[tuple[int, int, int, int], tuple[int, ...]] = {}

    def of_year(self, year: int) -> Sequence[int]:
        """The days of *year*, in order."""
        begin, end = year_begin(year), year_begin(year + 1)
        near_easter = self._parts.easter and _of_easter(year, self._parts.easter)
        if self._plain:
            return [day for day in near_easter if begin <= day < end] if near_easter else range(begin, end)
        kind = (begin - year_begin(year - 1), end - begin, year_begin(year + 2) - end, begin % 7)
        days = self._kinds.get(kind)
        if days is None:
            days = self._kinds[kind] = tuple([day - begin for day in sorted(self._matching(year))])
        if near_easter:
            return [day for day in near_easter if day - begin in days]
        return [begin + day for day in days]

    def _matching(self, year: int) -> set[int]:
        parts = self._parts
        begins = month_begins(year)
        days = set(range(begins[0], begins[-1]))
        if parts.month:
            days &= {day for month in parts.month for day in range(begins[month - 1], begins[month])}
        if parts.monthday:
            days &= {day for begin, end in pairwise(begins) for day in _counted(begin, end, parts.monthday)}
        if parts.yearday:
            days.intersection_update(_counted(begins[0], begins[-1], parts.yearday))
        if parts.weekno:
            days.intersection_update(_of_weeks(year, parts.wkst, parts.weekno))
        if parts.weekday:
            days.intersection_update(_of_weekdays(parts, begins))
        return days


def _counted(begin: int, end: int, numbers: Iterable[int]) -> list[int]:
    """The days of these numbers, counted from 1 at *begin* or from -1 backwards at *end*, that lie between the two."""
    days = [begin + number - 1 if number > 0 else end + number for number in numbers]
    return [day for day in days if begin <= day < end]


def _of_weeks(year: int, wkst: int, numbers: Iterable[int]) -> Iterable[int]:
    """The days of these weeks. The first week of a year is the first with four of its days, and so some days of *year* may be of its neighbours' weeks."""
    for week_year in (year - 1, year, year + 1):
        first = _first_week(week_year, wkst)
        weeks = (_first_week(week_year + 1, wkst) - first) // 7
        for number in numbers:
            week = number if number > 0 else weeks + 1 + number
            if 1 <= week <= weeks:
                yield from range(first + 7 * (week - 1), first + 7 * week)


def _first_week(year: int, wkst: int) -> int:
    begin = year_begin(year)
    # 1970-01-01 was a Thursday.
    into = (begin + 3 - wkst) % 7
    return begin - into if into <= 3 else begin - into + 7


def counts_in_months(parts: Parts) -> bool:
    """Whether the number before a weekday counts in a month; else in a year."""
    return parts.freq == MONTHLY or bool(parts.freq == YEARLY and parts.month)


def _of_weekdays(parts: Parts, begins: list[int]) -> Iterable[int]:
    if counts_in_months(parts):
        stretches = list(pairwise(begins))
    else:
        stretches = [(begins[0], begins[-1])]
    for begin, end in stretches:
        for weekday, number in parts.weekday:
            days = range(begin + (weekday - begin - 3) % 7, end, 7)
            if not number:
                yield from days
            elif -len(days) <= number <= len(days):
                yield days[number - 1 if number > 0 else number]


def _of_easter(year: int, offsets: Iterable[int]) -> list[int]:
    """The days so many days after (or before) Easter Sunday, in order; some of them in another year."""
    # Easter of the years around reaches into this one, if it is far enough from it.
    sundays = [_easter(near) for near in (year - 1, year, year + 1) if 1 <= near <= 9999]
    return sorted({sunday + offset for sunday in sundays for offset in offsets})


@lru_cache(maxsize=64)
def _easter(year: int) -> int:
    from dateutil.easter import easter  # here: few need it

    return easter(year).toordinal() - _ORDINAL
