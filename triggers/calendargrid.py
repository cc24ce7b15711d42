"""The dates of a calendar interval: every so many months and days from one date on, each at one time of day, on the wall clock.

Step k is k times the months from the anchor, on the anchor's day of the month, and k times the days after that. A step whose month has no such
day (the 31st of April) is left out; it moves neither itself nor the steps behind it. So each date is computed from the anchor alone.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import isleap
from datetime import date
from functools import lru_cache
from math import gcd

__all__ = ["CalendarGrid"]

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_MONTH = 9999 * 12 + 11
# The calendar repeats after 400 years.
_MONTHS, _DAYS = 4_800, 146_097
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CalendarGrid:
    """A schedule on the wall clock (`civil.WallTimes`): at *second* of the day, every *months* and *days* from *anchor* on.

    *months* and *days* are added up, and one of them at least is positive. *end* is the last date that may be one, by default that of the calendar. Without an
    anchor there is no match. Instances never change.
    """

    __slots__ = ("_anchor", "_day", "_days", "_last", "_month", "_months", "_second")

    def __init__(
        self, months: int, days: int, second: int, anchor: date | None, end: date | None = None
    ) -> None:
        self._months = months
        self._days = days
        self._second = second
        anchor_date = date.min if anchor is None else anchor
        self._anchor = anchor_date.toordinal()
        self._month = anchor_date.year * 12 + anchor_date.month - 1
        self._day = anchor_date.day
        # The greatest step there is: up to here, every month is one of the calendar's.
        self._last = (_LAST_MONTH - self._month) // months if months else date.max.toordinal() // days
        self._last = self._step((date.max if end is None else end).toordinal() + 1) - 1
        if anchor is None:
            self._last = -1

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""
        step = self._step_at(wall)
        # Sixteen in a row may be left out (every 25 years on 29 February), and never more: the anchor's date exists.
        while step <= self._last:
            if self._exists(step):
                return self._wall(step)
            step += 1
        return None

    def previous(self, wall: int) -> int | None:
        """The last match not after *wall*."""
        step = min(self._step_at(wall + 1) - 1, self._last)
        while step >= 0:
            if self._exists(step):
                return self._wall(step)
            step -= 1
        return None

    def count(self, begin: int, end: int) -> int:
        """How many matches w have begin <= w < end. In closed form."""
        first, behind = self._step_at(begin), min(self._step_at(end), self._last + 1)
        if first >= behind:
            return 0
        if not self._months or self._day <= 28:
            return behind - first
        cycle = 12 if self._day > 29 else _MONTHS
        missing, period = _left_out(self._month % cycle, self._months % cycle, self._day, cycle)
        (whole, part), (whole_before, part_before) = divmod(behind, period), divmod(first, period)
        left_out = (whole - whole_before) * len(missing)
        left_out += bisect_left(missing, part) - bisect_left(missing, part_before)
        return behind - first - left_out

    def next_gap(self, wall: int) -> int:
        """The first second not before *wall* that is no match. Matches are a day apart at least."""
        return wall + 1 if self.next(wall) == wall else wall

    def _step_at(self, wall: int) -> int:
        """The first step whose match is not before *wall*, left out or not."""
        day, second = divmod(wall, _DAY)
        return self._step(day + _EPOCH + (second > self._second))

    def _step(self, day: int) -> int:
        """The first step whose date is not before *day* (an ordinal), left out or not; the last one and one if there is none."""
        if day <= self._anchor:
            return 0
        behind = self._last + 1
        if not self._months:
            return min(-((self._anchor - day) // self._days), behind)
        # By the mean length of a month, which is a step off at most, for it is never more than a few days off.
        step = min((day - self._anchor) * _MONTHS // (self._months * _DAYS + self._days * _MONTHS), behind)
        while step < behind and self._date(step) < day:
            step += 1
        while step > 0 and self._date(step - 1) >= day:
            step -= 1
        return step

    def _date(self, step: int) -> int:
        """The ordinal of the date of a step. Of one that is left out: as many days behind the first of its month as if it existed."""
        if not self._months:
            return self._anchor + step * self._days
        year, month = divmod(self._month + step * self._months, 12)
        return date(year, month + 1, 1).toordinal() + self._day - 1 + step * self._days

    def _wall(self, step: int) -> int:
        return (self._date(step) - _EPOCH) * _DAY + self._second

    def _exists(self, step: int) -> bool:
        return self._day <= 28 or self._day <= _length(self._month + step * self._months)


def _length(month: int) -> int:
    """How many days a month has, counted from January of the year 0."""
    year, month = divmod(month, 12)
    return 29 if month == 1 and isleap(year) else _LENGTHS[month]


@lru_cache(maxsize=256)
def _left_out(month: int, months: int, day: int, cycle: int) -> tuple[tuple[int, ...], int]:
    """Which steps from *month* on have no such *day*, until they repeat, and after how many steps they do.

    The months repeat after *cycle*: a year where leap years do not matter, else 400 years.
    """
    period = cycle // gcd(cycle, months)
    return tuple([step for step in range(period) if _length(month + step * months) < day]), period
