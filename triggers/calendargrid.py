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
_LAST_DAY = date.max.toordinal() - _EPOCH
# The calendar repeats after 400 years.
_MONTHS, _DAYS = 4_800, 146_097
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CalendarGrid:
    """A schedule on the wall clock (`civil.WallTimes`): at *second* of the day, every *months* and *days* from *anchor* on.

    *months* and *days* are added up, and one of them at least is positive. *end* is the last date that may be one, by default that of the calendar. Without an
    anchor there is no match.
    """

    __slots__ = (
        "_anchor",
        "_day",
        "_days",
        "_end",
        "_first",
        "_month",
        "_months",
        "_recent",
        "_steps",
        "_stride",
    )

    def __init__(
        self, months: int, days: int, second: int, anchor: date | None, end: date | None = None
    ) -> None:
        self._months = months
        self._days = days
        first = anchor or date.min
        self._anchor = first.toordinal()
        self._month = first.year * 12 + first.month - 1
        self._day = first.day
        self._first = (self._anchor - _EPOCH) * _DAY + second
        # In seconds, where all steps are equally long; else 0.
        self._stride = 0 if months else days * _DAY
        # With more steps than this a month is beyond the calendar.
        self._steps = (_LAST_MONTH - self._month) // months + 1 if months else 0
        # No match comes after this second.
        self._end = (_LAST_DAY if end is None else end.toordinal() - _EPOCH) * _DAY + second
        if anchor is None:
            self._end = self._first - 1
        # A step and its match, for whoever asks for one after the other. Replaced whole, and so safe between threads.
        self._recent = (0, self._first)

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""
        if self._stride:
            match = wall + (self._first - wall) % self._stride if wall > self._first else self._first
            return match if match <= self._end else None
        step, match = self._recent
        # Steps are longer than a day, so the one after the recent match is the next one, if it exists.
        step = step + 1 if match < wall <= match + _DAY else self._step_at(wall)
        # Sixteen in a row may be left out (every 25 years on 29 February), and never more: the anchor's date exists.
        while step < self._steps:
            if self._day <= 28 or self._exists(step):
                match = self._wall(step)
                if match > self._end:
                    return None
                self._recent = (step, match)
                return match
            step += 1
        return None

    def previous(self, wall: int) -> int | None:
        """The last match not after *wall*."""
        step = self._step_at(min(wall, self._end) + 1) - 1
        while step >= 0:
            if self._exists(step):
                return self._wall(step)
            step -= 1
        return None

    def count(self, begin: int, end: int) -> int:
        """How many matches w have begin <= w < end. In closed form."""
        end = min(end, self._end + 1)
        if begin >= end:
            return 0
        first, behind = self._step_at(begin), self._step_at(end)
        if self._stride or self._day <= 28:
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
        """The first step whose match is not before *wall*, left out or not; `_steps` if there is none."""
        since = wall - self._first
        if since <= 0:
            return 0
        if self._stride:
            return -(-since // self._stride)
        # By the mean length of a month, which is a step off at most, for it is never more than a few days off.
        step = since // _DAY * _MONTHS // (self._months * _DAYS + self._days * _MONTHS)
        step = min(step, self._steps)
        while step < self._steps and self._wall(step) < wall:
            step += 1
        while step > 0 and self._wall(step - 1) >= wall:
            step -= 1
        return step

    def _wall(self, step: int) -> int:
        """The match of a step. Of one that is left out: as many days behind the first of its month as if it existed."""
        if self._stride:
            return self._first + step * self._stride
        year, month = divmod(self._month + step * self._months, 12)
        days = date(year, month + 1, 1).toordinal() + self._day - 1 + step * self._days
        return self._first + (days - self._anchor) * _DAY

    def _exists(self, step: int) -> bool:
        return self._stride > 0 or self._day <= 28 or self._day <= _length(self._month + step * self._months)


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
