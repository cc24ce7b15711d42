"""The wall times of one recurrence rule (RFC 5545), without a walk from DTSTART.

A rule repeats in periods (years, months, …, seconds), every INTERVAL-th of them counted from the one in which DTSTART lies; which of them a date is in is
arithmetic, so any date can be asked about at once. A rule is taken apart into days and times of day:

    days    those of the calendar on which the BY… parts agree (`days.py`), in periods that count; a year of them at a time
    times   the seconds of such a day. From DAILY on upwards they are the same on all days, unless BYSETPOS picks some of a period. Below, periods are a
            grid of hours, minutes or seconds, and a day's times depend on nothing but where the grid's first point in it lies.

Searches go from day to day. They end with the calendar, or when all that the rule and the calendar have in common has been seen once. What has been
looked up is kept, within bounds. COUNT is turned into the time of its last match, by counting.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from math import gcd

from .containment import contains
from .day_times import DAY, NO_DAY, DayTimes, index_from
from .days import FIRST_DAY, LAST_DAY, CalendarDays, month_begins, year_begin, year_of
from .text import DAILY, HOURLY, MINUTELY, MONTHLY, SECONDLY, WEEKLY, YEARLY, Parts
from .year_table import YearTable

__all__ = ["Rule"]

_FIRST = FIRST_DAY * DAY
_LAST = LAST_DAY * DAY + DAY - 1

# In how many of its periods the calendar repeats itself: 400 years, or 146,097 days.
_CYCLES = {YEARLY: 400, MONTHLY: 4_800, WEEKLY: 20_871, DAILY: 146_097}
_UNITS = {HOURLY: 3_600, MINUTELY: 60, SECONDLY: 1}

# For each year of 400, which then repeat themselves: its first weekday, and which years around it are leap years. More of the calendar no year's days depend on.
_KINDS = tuple(
    (year_begin(year) % 7, *[year_begin(near + 1) - year_begin(near) for near in range(year - 2, year + 3)])
    for year in range(400, 800)
)

# What is kept of a rule at most: years of days, days or periods of times.
_KEPT_YEARS = 64
_KEPT_TIMES = 1_024
_KEPT_TABLES = 512


class Rule(DayTimes):
    """The wall times of one RRULE or EXRULE that starts at wall second *start*, which is a match only if the rule says so; until *until* (inclusive).

    Periods are counted from *start*, but there are no matches before *begin*, if that is later: COUNT counts from there.
    """

    __slots__ = (
        "_calendar",
        "_constant",
        "_counts",
        "_cycle",
        "_grid",
        "_grids",
        "_near",
        "_offsets",
        "_origin",
        "_parts",
        "_periods",
        "_step",
        "_tables",
        "_unit",
        "_years",
    )

    def __init__(self, parts: Parts, start: int, until: int | None, begin: int | None = None) -> None:
        self.begin = max(start if begin is None else begin, start, _FIRST)
        self._origin = max(start, _FIRST) // DAY  # the day from which periods count
        self.end = _LAST if until is None else min(until, _LAST)
        self._recent = NO_DAY
        self._near: tuple[int, int, Sequence[int]] = (
            0,
            0,
            (),
        )  # the year asked for last: from this day until before that one, and its days
        self._parts = parts = _inferred(parts, start)
        self._calendar = CalendarDays(parts)
        self._years: dict[int, Sequence[int]] = {}
        self._tables: dict[object, YearTable] = {}
        self._counts: Sequence[int] | None = None
        self._grids: dict[int, Sequence[int]] = {}
        self._periods: dict[int, Mapping[int, Sequence[int]]] = {}
        self._unit = unit = _UNITS.get(parts.freq, DAY)
        self._step = parts.interval * unit
        self._grid = start - start % unit
        # The seconds in a day, or below DAILY in one point of the grid, before the times of the grid are looked at.
        hours = parts.hour if parts.freq < HOURLY else (0,)
        minutes = parts.minute if parts.freq < MINUTELY else (0,)
        seconds = parts.second if parts.freq < SECONDLY else (0,)
        offsets = sorted({h * 3_600 + m * 60 + s for h in hours for m in minutes for s in seconds})
        picked = parts.setpos and parts.freq >= DAILY
        self._offsets = tuple(_picked(offsets, parts.setpos)) if picked else tuple(offsets)
        self._constant = parts.freq == DAILY or (parts.freq < DAILY and not parts.setpos)
        cycle = _CYCLES.get(parts.freq, 146_097 * (DAY // unit))
        # After so many years without a match, there is none; Easter has no cycle worth the name.
        self._cycle = 9_999 if parts.easter else 400 * parts.interval // gcd(cycle, parts.interval) + 1
        if not self._reachable():
            self.end = self.begin - 1
        if parts.count is not None:
            self.end = self._last_of(parts.count)

    def beginning(self, begin: int) -> Rule:
        """The same rule without its matches before wall second *begin*."""
        later = copy.copy(self)
        later.begin = max(begin, self.begin)
        later._recent = NO_DAY
        return later

    def covers(self, other: Rule) -> bool:
        """Whether all matches of *other* that are from `begin` until `end` are matches of this one. False also if the parts do not show it."""
        aligned = (self._grid, self._origin) == (other._grid, other._origin)
        return contains(self._parts, other._parts, aligned)

    def times(self, day: int) -> Sequence[int]:
        days = self._days(year_of(day))
        i = index_from(days, day)
        return self._times(day) if i < len(days) and days[i] == day else ()

    def _times(self, day: int) -> Sequence[int]:
        """`times` of a day that is one of `_days`."""
        if self._constant:
            return self._offsets
        if self._parts.freq < DAILY:
            begin, end = self._period(day)
            period = self._periods.get(begin)
            if period is None:
                if len(self._periods) >= _KEPT_TIMES:
                    self._periods = {}
                period = self._periods[begin] = self._of_period(begin, end)
            return period.get(day, ())
        first = (self._grid - day * DAY) % self._step
        times = self._grids.get(first)
        if times is None:
            if len(self._grids) >= _KEPT_TIMES:
                self._grids = {}
            times = self._grids[first] = self._on_grid(first)
        return times

    def _next_on_days(self, day: int, second: int) -> int | None:
        begin, end, days = self._near
        if begin <= day < end:
            i = index_from(days, day)
            if i < len(days):
                found = days[i]
                times = self._offsets if self._constant else self._times(found)
                if times and (found > day or second <= times[0]):
                    # The everyday case: the first time of a later day in the same year.
                    self._recent = found, times
                    match = found * DAY + times[0]
                    return match if match <= self.end else None
        return super()._next_on_days(day, second)

    def days_from(self, day: int, years: int | None = None) -> Iterator[int]:
        """The days that may have times, from *day* on, in so many years; by default, in as many as there are before all begins again."""
        year = max(year_of(day), year_of(self.begin // DAY))
        last = min(year_of(self.end // DAY), year + (years or self._cycle))
        stride = 1
        if self._parts.freq == YEARLY:
            stride = self._parts.interval
            year += (year_of(self._origin) - year) % stride
        while year <= last:
            days = self._days(year)
            for i in range(index_from(days, day), len(days)):
                yield days[i]
            year += stride

    def days_until(self, day: int, years: int | None = None) -> Iterator[int]:
        first = year_of(self.begin // DAY)
        year = min(year_of(day), year_of(self.end // DAY))
        first = max(first, year - (years or self._cycle))
        while year >= first:
            days = self._days(year)
            for i in range(index_from(days, day + 1) - 1, -1, -1):
                yield days[i]
            year -= 1

    def _count_days(self, begin: int, end: int) -> int:
        total = 0
        # Where it is all of the grid's points, each day has as many as that one before which the grid repeats itself in whole days.
        counts = self._counts_by_day() if self._parts.freq > DAILY else (len(self._offsets),)
        for year in range(year_of(begin), year_of(end - 1) + 1):
            if not self._constant and self._parts.freq < DAILY:
                total += self._table(year).between(begin, end)
                continue
            days = self._days(year)
            low, high = index_from(days, begin), index_from(days, end)
            if len(counts) == 1:
                total += (high - low) * counts[0]
            else:
                total += sum([counts[day % len(counts)] for day in days[low:high]])
        return total

    def _counts_by_day(self) -> Sequence[int]:
        """How many times a day of `_days` has, below DAILY, by what is left of it when it is divided by their number."""
        if self._step >= DAY:
            return (len(self._offsets),)
        counts = self._counts
        if counts is None:
            left, step = self._left_in_day(), self._step // self._unit
            firsts = [
                (self._grid - day * DAY) % self._step for day in range(self._step // gcd(self._step, DAY))
            ]
            counts = self._counts = [
                left[first // self._unit :: step].count(1) * len(self._offsets) for first in firsts
            ]
        return counts

    def _table(self, year: int) -> YearTable:
        """How many times the days of *year* have."""
        key = self.year_key(year)
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _KEPT_TABLES:
                self._tables = {}
            days = self._days(year)
            table = self._tables[key] = YearTable.of(year, days, [len(self._times(day)) for day in days])
        return table.of_year(year)

    def year_key(self, year: int) -> object:
        """Years with the same key have the same days and times, counted from their first day; `begin` and `end` not regarded."""
        if self._parts.easter or not 1 < year < 9_999:
            return year
        freq, interval = self._parts.freq, self._parts.interval
        if freq <= MONTHLY:
            phase = year * (12 if freq == MONTHLY else 1) % interval
        elif freq == WEEKLY:
            phase = year_begin(year) % (7 * interval)
        else:
            phase = year_begin(year) * DAY % self._step
        return _KINDS[year % 400], phase

    def days_in(self, year: int) -> Sequence[int]:
        """The days of *year* that may have times, `begin` and `end` not regarded."""
        return self._days(year)

    def _days(self, year: int) -> Sequence[int]:
        """The days of *year* that are in periods that count, and on which the parts agree."""
        days = self._years.get(year)
        if days is None:
            if len(self._years) >= _KEPT_YEARS:
                self._years = {}
            days = self._years[year] = self._counting(year)
        self._near = year_begin(year), year_begin(year + 1), days
        return days

    def _counting(self, year: int) -> Sequence[int]:
        parts, interval = self._parts, self._parts.interval
        start = self._origin
        if parts.freq == YEARLY and (year - year_of(start)) % interval:
            return ()
        if interval == 1 or parts.freq == YEARLY or (parts.freq > DAILY and self._step < DAY):
            return self._calendar.of_year(year)
        if parts.freq == MONTHLY:
            days = self._calendar.of_year(year)
            begins = month_begins(year)
            first = month_begins(year_of(start))
            months = year * 12 - year_of(start) * 12 - bisect_left(first, start + 1) + 1
            return [
                day
                for month in range(12)
                if (months + month) % interval == 0
                for day in days[bisect_left(days, begins[month]) : bisect_left(days, begins[month + 1])]
            ]
        if parts.freq == WEEKLY:
            first_week = self._period(start)[0]
            days = self._calendar.of_year(year)
            return [day for day in days if (day - first_week) // 7 % interval == 0]
        begin, end = year_begin(year), year_begin(year + 1)
        if parts.freq == DAILY:
            points: Sequence[int] = range(begin + (start - begin) % interval, end, interval)
        else:
            # The points are further apart than a day: few days have any.
            points = self._days_of_points(begin, end)
            if not points:
                return ()
        days = self._calendar.of_year(year)
        if len(days) == end - begin:
            return points
        return sorted(set(days).intersection(points))

    def _days_of_points(self, begin: int, end: int) -> Sequence[int]:
        """The days from *begin* until before *end* that have a point, of a grid whose points are further apart than a day, at a time of day that is asked for."""
        unit = self._unit
        first = begin * DAY + (self._grid - begin * DAY) % self._step
        points = range(first // unit, end * DAY // unit, self._step // unit)
        units, left = DAY // unit, self._left_in_day()
        if 0 not in left:
            return [point // units for point in points]
        return [point // units for point in points if left[point % units]]

    def _left_in_day(self) -> bytes:
        """For each hour, minute or second of a day, 1 if BYHOUR, BYMINUTE and BYSECOND leave it to the grid, else 0."""
        parts = self._parts
        minutes = parts.minute if parts.freq > HOURLY else ()
        return _left_in_day(parts.hour, minutes, parts.second if parts.freq == SECONDLY else (), self._unit)

    def _period(self, day: int) -> tuple[int, int]:
        """The year, month or week (by WKST) in which *day* lies: its first day, and the day after its last."""
        if self._parts.freq == WEEKLY:
            begin = day - (day + 3 - self._parts.wkst) % 7
            return begin, begin + 7
        year = year_of(day)
        if self._parts.freq == YEARLY:
            return year_begin(year), year_begin(year + 1)
        begins = month_begins(year)
        month = bisect_left(begins, day + 1) - 1
        return begins[month], begins[month + 1]

    def _of_period(self, begin: int, end: int) -> Mapping[int, Sequence[int]]:
        """The times that BYSETPOS picks in a period, by day."""
        years = range(year_of(begin), year_of(end - 1) + 1)
        days = [day for year in years for day in self._days(year) if begin <= day < end]
        walls = _Product(days, self._offsets)
        picked = _picked(walls, self._parts.setpos)
        return {
            day: tuple([wall % DAY for wall in walls])
            for day, walls in groupby(picked, lambda wall: wall // DAY)
        }

    def _on_grid(self, first: int) -> Sequence[int]:
        """The times of a day whose first point of the grid is at second *first*."""
        points, offsets = self._points(first, self._step), self._offsets
        if len(offsets) == 1 and isinstance(points, range):
            return range(points.start + offsets[0], points.stop + offsets[0], points.step)
        return tuple([point + offset for point in points for offset in offsets])

    def _points(self, first: int, step: int) -> Sequence[int]:
        """The points in a day of a grid from second *first* on that BYHOUR and, as far as they do not add times to it, BYMINUTE and BYSECOND leave."""
        parts = self._parts
        by_minute = parts.minute if parts.freq > HOURLY else ()
        by_second = parts.second if parts.freq == SECONDLY else ()
        if not (parts.hour or by_minute or by_second):
            return range(first, DAY, step)
        points: list[int] = []
        for hour in parts.hour or range(24):
            for minute in by_minute or (0,):
                begin = hour * 3_600 + minute * 60
                end = begin + (60 if by_minute else 3_600)
                points += range(begin + (first - begin) % step, end, step)
        return [point for point in points if point % 60 in by_second] if by_second else points

    def _reachable(self) -> bool:
        """Whether the grid ever comes by a time of day for which it is asked, whatever the day."""
        if self._parts.freq > DAILY:
            # In the course of time its points take all these places in a day.
            spacing = gcd(self._step, DAY)
            if not self._points(self._grid % spacing, spacing):
                return False
        return bool(self._offsets)

    def _last_of(self, count: int) -> int:
        """The wall second of the *count*-th match, or the calendar's last if there are fewer."""
        if self.next(self.begin) is None:
            return self.begin - 1
        wall = self.begin
        while wall <= _LAST:
            following = year_begin(year_of(wall // DAY) + 1) * DAY
            matches = self.count(wall, following)
            if count <= matches:
                break
            count, wall = count - matches, following
        else:
            return _LAST
        for day in self.days_from(wall // DAY):
            times = self.within(day)
            if count <= len(times):
                return day * DAY + times[count - 1]
            count -= len(times)
        return _LAST


@lru_cache(maxsize=16)
def _left_in_day(
    hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...], unit: int
) -> bytes:
    second = bytes([not seconds or second in seconds for second in range(60)])
    minute = second if unit == 1 else b"\1"
    hour = b"".join(
        [minute if not minutes or number in minutes else bytes(len(minute)) for number in range(60)]
    )
    hour = hour if unit < 3_600 else b"\1"
    return b"".join([hour if not hours or number in hours else bytes(len(hour)) for number in range(24)])


class _Product(Sequence[int]):
    """All wall seconds of some days and times of day, in order, without listing them."""

    def __init__(self, days: Sequence[int], offsets: Sequence[int]) -> None:
        self._days = days
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._days) * len(self._offsets)

    def __getitem__(self, i: int) -> int:  # type: ignore[override]  # no slices
        day, offset = divmod(i, len(self._offsets))
        return self._days[day] * DAY + self._offsets[offset]


def _picked(walls: Sequence[int], positions: Iterable[int]) -> list[int]:
    """Those at these positions: from 1, or from -1 backwards. What is not there is left out."""
    n = len(walls)
    return sorted({walls[p - 1 if p > 0 else n + p] for p in positions if (p if p > 0 else -p) <= n})


def _inferred(parts: Parts, start: int) -> Parts:
    """*parts* with what RFC 5545 has taken from DTSTART if the rule does not say it: the time of day, and the date of a year, month or week."""
    day, second = divmod(start, DAY)
    if parts.freq < HOURLY and not parts.hour:
        parts = replace(parts, hour=(second // 3_600,))
    if parts.freq < MINUTELY and not parts.minute:
        parts = replace(parts, minute=(second // 60 % 60,))
    if parts.freq < SECONDLY and not parts.second:
        parts = replace(parts, second=(second % 60,))
    if not (parts.weekno or parts.yearday or parts.monthday or parts.weekday or parts.easter):
        begins = month_begins(year_of(day))
        month = bisect_left(begins, day + 1)
        if parts.freq == YEARLY and not parts.month:
            parts = replace(parts, month=(month,))
        if parts.freq <= MONTHLY:
            parts = replace(parts, monthday=(day - begins[month - 1] + 1,))
        elif parts.freq == WEEKLY:
            parts = replace(parts, weekday=(((day + 3) % 7, 0),))
    return parts
