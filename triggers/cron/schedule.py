"""The wall-clock side of a cron schedule: which times of which days match, on a clock that no zone and no clock change touches.

Times here are *wall seconds*: seconds since 1970-01-01 00:00 on the wall. `offsets.py` knows what they are in UTC, and `resolution.py` puts the
two together. The calendar is that of `datetime`, the years 1 to 9999: nothing matches before or after it.

The search: a year has a table of where its matching days begin (`years.py`), so one bisection finds the last matching day not behind the second that is asked about. If that
is in it, a second bisection, in the times of a day, finds the time; else it is the first time of the table's next day, or of the next year that has
any. The calendar repeats itself after 400 years, and a schedule without any date is refused when it is made, so no search looks at more years than that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from .days import month_days
from .fields import CronField, listed
from .years import Year, YearDays, year_days

__all__ = ["WallSchedule"]

_DAY = 86_400
_HOUR = 3_600
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_YEAR, _LAST_YEAR = 1, 9999
# Schedules with more times a day than this (a list of seconds in many minutes) are searched by hours, instead of in one list of all times.
_MOST_TIMES = 1_440
# So many years a schedule remembers; what is asked about is mostly this year and the next.
_MOST_YEARS = 64


class WallSchedule:
    """The wall seconds at which the fields match. Immutable but for its caches, and safe to share between threads."""

    __slots__ = (
        "_days",
        "_first_time",
        "_has_dates",
        "_hour_after",
        "_hour_before",
        "_hours",
        "_known",
        "_last_time",
        "_per_day",
        "_recent",
        "_seconds",
        "_times",
        "_year_mask",
        "_years",
    )

    _days: YearDays
    _recent: Year  # the one that was asked about last
    _known: dict[int, Year]
    _times: tuple[int, ...] | None  # of a day; None: not spelled out (yet)

    def __init__(self, fields: Sequence[CronField], either: bool) -> None:
        """*fields* in the order of FIELD_NAMES. *either*: day or day_of_week must match; else both."""
        year, month, day, week, weekday, hour, minute, second = fields
        self._year_mask = None if year.text == "*" else year.mask
        weeks = None if week.text == "*" else week.mask
        self._days = year_days(month_days(day, weekday, either), month.mask, weeks)
        self._has_dates = self._days.any_date(self._year_mask)
        self._years: Sequence[int] | None = None
        if self._year_mask is not None:
            # Thousands of them take a while to spell out, which a schedule that is refused need not wait for.
            self._years = year.values if self._has_dates else ()
        self._hours = hour.values
        self._hour_after, self._hour_before = _hour_tables(hour.mask)
        self._seconds = _seconds_of_hour(minute.mask, second.mask)
        self._first_time = self._hours[0] * _HOUR + self._seconds[0]
        self._last_time = self._hours[-1] * _HOUR + self._seconds[-1]
        self._per_day = len(self._hours) * len(self._seconds)
        self._times = None
        self._known = {}
        self._recent = (0, 0, ())

    def has_dates(self) -> bool:
        """Whether any date matches at all."""
        return self._has_dates

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""
        begin, end, days = self._recent
        if not begin <= wall < end:
            begin, end, days = self._year_of(wall)
        place = bisect_right(days, wall - begin)
        if place:
            second = wall - begin - days[place - 1]
            if second <= self._last_time:
                times = self._times
                if times is None:
                    return wall - second + self._time_from(second)
                return wall - second + times[bisect_left(times, second)]
        if place < len(days):
            return begin + days[place] + self._first_time
        begin, _, days = self._year_with_days(begin, 1)
        return begin + days[0] + self._first_time if days else None

    def previous(self, wall: int) -> int | None:
        """The last match not after *wall*."""
        begin, end, days = self._recent
        if not begin <= wall < end:
            begin, end, days = self._year_of(wall)
        place = bisect_right(days, wall - begin)
        if place:
            second = wall - begin - days[place - 1]
            if second >= self._first_time:
                return wall - second + self._time_until(second)
            if place > 1:
                return begin + days[place - 2] + self._last_time
        begin, _, days = self._year_with_days(begin, -1)
        return begin + days[-1] + self._last_time if days else None

    def count(self, begin: int, end: int) -> int:
        """How many matches w have begin <= w < end. Goes by years, not by matches."""
        if begin >= end:
            return 0
        first, last = _year_number(begin), _year_number(end)
        days = sum(len(self._year(year)[2]) for year in range(first, last))
        return days * self._per_day + self._rank(last, end) - self._rank(first, begin)

    def next_gap(self, wall: int) -> int:
        """The first second not before *wall* that is no match, or a later one than *wall* up to which all are matches."""
        begin, end, days = self._recent
        if not begin <= wall < end:
            begin, end, days = self._year_of(wall)
        place = bisect_right(days, wall - begin)
        second = wall - begin - days[place - 1] if place else _DAY
        if second > self._last_time or self._time_from(second) != second:
            return wall
        if self._per_day == _DAY:
            # To the end of the last of the matching days that follow one another.
            while place < len(days) and days[place] == days[place - 1] + _DAY:
                place += 1
            return begin + days[place - 1] + _DAY
        hour, rest = divmod(second, _HOUR)
        seconds = self._seconds
        if len(seconds) == _HOUR:
            while self._hour_after[hour] == hour:
                hour += 1
            return wall - second + hour * _HOUR
        # Seconds that follow one another grow with their index: the last one of which that is true.
        found = bisect_left(seconds, rest)
        last = bisect_right(range(len(seconds)), rest - found, key=lambda index: seconds[index] - index) - 1
        return wall - rest + seconds[last] + 1

    def _time_from(self, second: int) -> int:
        """The first time of a day that is not before *second* of it, which the last one is not."""
        times = self._times
        if times is None and self._per_day <= _MOST_TIMES:
            times = self._times = tuple(
                [hour * _HOUR + second for hour in self._hours for second in self._seconds]
            )
        if times is not None:
            return times[bisect_left(times, second)]
        hour, rest = divmod(second, _HOUR)
        following = self._hour_after[hour]
        if following == hour:
            if rest <= self._seconds[-1]:
                return second - rest + self._seconds[bisect_left(self._seconds, rest)]
            following = self._hour_after[hour + 1]
        return following * _HOUR + self._seconds[0]

    def _time_until(self, second: int) -> int:
        """The last time of a day that is not after *second* of it (or is of the days behind), which the first one is not."""
        if second >= self._last_time:
            return self._last_time
        hour, rest = divmod(second, _HOUR)
        if self._hour_after[hour] == hour and rest >= self._seconds[0]:
            return second - rest + self._seconds[bisect_right(self._seconds, rest) - 1]
        return self._hour_before[hour] * _HOUR + self._seconds[-1]

    def _rank(self, year: int, wall: int) -> int:
        """How many matches of *year* are before *wall*."""
        begin, _, days = self._year(year)
        place = bisect_right(days, wall - begin)
        if not place:
            return 0
        second = wall - begin - days[place - 1]
        if second > self._last_time:
            return place * self._per_day
        hour, rest = divmod(second, _HOUR)
        of_day = bisect_left(self._hours, hour) * len(self._seconds)
        if self._hour_after[hour] == hour:
            of_day += bisect_left(self._seconds, rest)
        return (place - 1) * self._per_day + of_day

    def _year_of(self, wall: int) -> Year:
        """The year in which *wall* is; beyond the calendar its first or last one."""
        # One assignment: another thread sees the one or the other year, each of them whole.
        year = self._recent = self._year(_year_number(wall))
        return year

    def _year(self, number: int) -> Year:
        year = self._known.get(number)
        if year is None:
            year = self._days.of(number)
            if self._year_mask is not None and not self._year_mask >> number & 1:
                year = (year[0], year[1], ())
            if len(self._known) >= _MOST_YEARS:
                self._known = {}
            self._known[number] = year
        return year

    def _year_with_days(self, begin: int, step: int) -> Year:
        """The next year (or with a *step* of -1 the one before), after the one that begins at *begin*, that has matching days; without any if there is none."""
        number = _year_number(begin)
        while True:
            if self._years is None:
                number += step
            else:
                # There may be thousands between two.
                number = self._listed_year(number, step)
            if not _FIRST_YEAR <= number <= _LAST_YEAR:
                return 0, 0, ()
            year = self._year(number)
            if year[2]:
                self._recent = year
                return year

    def _listed_year(self, number: int, step: int) -> int:
        """The matching year after *number*, or with a *step* of -1 the one before; 0 if there is none."""
        years = self._years or ()
        place = bisect_right(years, number) if step > 0 else bisect_left(years, number) - 1
        return years[place] if 0 <= place < len(years) else 0


def _year_number(wall: int) -> int:
    """The year in which *wall* is; beyond the calendar its first or last one."""
    return date.fromordinal(min(max(wall // _DAY + _EPOCH_DAY, 1), 3_652_059)).year


@lru_cache(maxsize=256)
def _hour_tables(hours: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """By hour 0 to 24: the first of the *hours* (a mask) not before it, and the last one before it; -1 for none."""
    after, before = [-1] * 25, [-1] * 25
    last = -1
    for hour in range(25):
        before[hour] = last
        if hours >> hour & 1:
            after[last + 1 : hour + 1] = [hour] * (hour - last)
            last = hour
    return tuple(after), tuple(before)


@lru_cache(maxsize=256)
def _seconds_of_hour(minutes: int, seconds: int) -> tuple[int, ...]:
    """The seconds of an hour at which both match (masks). Cached to be shared: with second="*" these are up to 3,600 numbers."""
    of_minute = listed(seconds)
    return tuple([minute * 60 + second for minute in listed(minutes) for second in of_minute])
