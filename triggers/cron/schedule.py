"""The wall-clock side of a cron schedule: which times of which days match, on a clock that no zone and no clock change touches.

Times here are *wall seconds*: seconds since 1970-01-01 00:00 on the wall. `offsets.py` knows what they are in UTC, and `civil.py` puts the
two together. The calendar is that of `datetime`, the years 1 to 9999: nothing matches before or after it.

The search: a day is split from its second. If the day matches, the first matching time not before that second is looked up in a table of hours and one of
seconds within an hour; else it is the first time of the next matching day. The matching days of a month depend on no more than the weekday of its first day and its length
(28 kinds), so they are computed once for each kind (`days.py`), and with ISO weeks once for each month of the calendar's 400 years. A month that
has no day left leads to the next month that may have one; since the calendar repeats itself after 400 years and a schedule without any date is refused when it
is made, no search looks at more than 4,800 months.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from .days import month_days, month_length, week_days
from .fields import CronField, listed

__all__ = ["WallSchedule"]

_DAY = 86_400
_HOUR = 3_600
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_YEAR = 9999
_BEGIN = (1 - _EPOCH_DAY) * _DAY  # of the calendar
_END = (date.max.toordinal() + 1 - _EPOCH_DAY) * _DAY

# A month as it is searched: its first day and that of the next month (days since the epoch), and its matching days of the month.
_Month = tuple[int, int, Sequence[int]]


class WallSchedule:
    """The wall seconds at which the fields match. Immutable but for its caches, and safe to share between threads."""

    __slots__ = (
        "_days",
        "_days_in_weeks",
        "_first_time",
        "_has_dates",
        "_hour_after",
        "_hour_before",
        "_hours",
        "_last_time",
        "_months",
        "_per_day",
        "_recent",
        "_seconds",
        "_weeks",
        "_year_mask",
        "_years",
    )

    def __init__(self, fields: Sequence[CronField], either: bool) -> None:
        """*fields* in the order of FIELD_NAMES. *either*: day or day_of_week must match; else both."""
        year, month, day, week, weekday, hour, minute, second = fields
        self._year_mask = None if year.text == "*" else year.mask
        self._weeks = None if week.text == "*" else week.mask
        self._days = month_days(day, weekday, either)
        self._has_dates = self._days.any_date(self._year_mask, month.mask, self._weeks)
        self._years: Sequence[int] | None = None
        if self._year_mask is not None:
            # Thousands of them take a while to spell out, which a schedule that is refused need not wait for.
            self._years = year.values if self._has_dates else ()
        self._months = month.values
        self._hours = hour.values
        self._hour_after, self._hour_before = _hour_tables(hour.mask)
        self._seconds = _seconds_of_hour(minute.mask, second.mask)
        self._first_time = self._hours[0] * _HOUR + self._seconds[0]
        self._last_time = self._hours[-1] * _HOUR + self._seconds[-1]
        self._per_day = len(self._hours) * len(self._seconds)
        self._days_in_weeks: dict[tuple[int, int], Sequence[int]] = {}
        self._recent: _Month = (0, 0, ())

    def has_dates(self) -> bool:
        """Whether any date matches at all."""
        return self._has_dates

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""
        day, second = divmod(wall, _DAY)
        month = self._recent
        if not month[0] <= day < month[1]:
            loaded = self._month_of(day)
            if loaded is None:
                return self.next(_BEGIN) if wall < _BEGIN else None
            month = loaded
        first, _, days = month
        at = bisect_left(days, day - first + 1)
        if at < len(days) and days[at] == day - first + 1:
            hour, rest = divmod(second, _HOUR)
            seconds = self._seconds
            following = self._hour_after[hour]
            if following == hour:
                if rest <= seconds[-1]:
                    return wall - rest + seconds[bisect_left(seconds, rest)]
                following = self._hour_after[hour + 1]
            if following >= 0:
                return day * _DAY + following * _HOUR + seconds[0]
            at += 1
        if at < len(days):
            return (first + days[at] - 1) * _DAY + self._first_time
        later = self._month_after(first)
        return None if later is None else (later[0] + later[2][0] - 1) * _DAY + self._first_time

    def previous(self, wall: int) -> int | None:
        """The last match not after *wall*."""
        day, second = divmod(wall, _DAY)
        month = self._recent
        if not month[0] <= day < month[1]:
            loaded = self._month_of(day)
            if loaded is None:
                return None if wall < _BEGIN else self.previous(_END - 1)
            month = loaded
        first, _, days = month
        at = bisect_right(days, day - first + 1) - 1
        if at >= 0 and days[at] == day - first + 1:
            hour, rest = divmod(second, _HOUR)
            seconds = self._seconds
            if self._hour_after[hour] == hour and rest >= seconds[0]:
                return wall - rest + seconds[bisect_right(seconds, rest) - 1]
            earlier = self._hour_before[hour]
            if earlier >= 0:
                return day * _DAY + earlier * _HOUR + seconds[-1]
            at -= 1
        if at >= 0:
            return (first + days[at] - 1) * _DAY + self._last_time
        before = self._month_before(first)
        return None if before is None else (before[0] + before[2][-1] - 1) * _DAY + self._last_time

    def count(self, begin: int, end: int) -> int:
        """How many matches w have begin <= w < end. Goes by months, not by matches."""
        begin, end = max(begin, _BEGIN), min(end, _END)
        if begin >= end:
            return 0
        first_day, first_second = divmod(begin, _DAY)
        last_day, last_second = divmod(end, _DAY)
        total = self._days_before(first_day, last_day) * self._per_day
        if self._days_before(first_day, first_day + 1):
            total -= self._times_before(first_second)
        if last_second and self._days_before(last_day, last_day + 1):
            total += self._times_before(last_second)
        return total

    def next_gap(self, wall: int) -> int:
        """The first second not before *wall* that is no match, or a later one than *wall* up to which all are matches."""
        day, second = divmod(wall, _DAY)
        month = self._recent
        if not month[0] <= day < month[1]:
            loaded = self._month_of(day)
            if loaded is None:
                return wall
            month = loaded
        first, _, days = month
        at = bisect_left(days, day - first + 1)
        hour, rest = divmod(second, _HOUR)
        seconds = self._seconds
        found = bisect_left(seconds, rest)
        if (
            at == len(days)
            or days[at] != day - first + 1
            or self._hour_after[hour] != hour
            or found == len(seconds)
            or seconds[found] != rest
        ):
            return wall
        if self._per_day == _DAY:
            # To the end of the last of the matching days that follow one another.
            while at < len(days) and days[at] == day - first + 1:
                at += 1
                day += 1
            return day * _DAY
        if len(seconds) == _HOUR:
            while hour < 24 and self._hour_after[hour] == hour:
                hour += 1
            return day * _DAY + hour * _HOUR
        # Seconds that follow one another grow with their index: the last one of which that is true.
        last = bisect_right(range(len(seconds)), rest - found, key=lambda index: seconds[index] - index) - 1
        return wall - rest + seconds[last] + 1

    def _times_before(self, second: int) -> int:
        """How many times of a matching day are before *second* of the day."""
        hour, rest = divmod(second, _HOUR)
        total = bisect_left(self._hours, hour) * len(self._seconds)
        if self._hour_after[hour] == hour:
            total += bisect_left(self._seconds, rest)
        return total

    def _days_before(self, begin: int, end: int) -> int:
        """How many matching days d have begin <= d < end."""
        total = 0
        month = self._month_of(begin)
        while month is not None and month[0] < end:
            first, _, days = month
            total += bisect_left(days, end - first + 1) - bisect_left(days, begin - first + 1)
            month = self._month_after(first)
        return total

    def _month_of(self, day: int) -> _Month | None:
        """The month in which *day* is, whether or not anything matches in it; None outside of the calendar."""
        if not 1 <= day + _EPOCH_DAY <= date.max.toordinal():
            return None
        at = date.fromordinal(day + _EPOCH_DAY)
        year, number = at.year, at.month
        if self._in_years(year) and number in self._months:
            month = self._month(year, number)
        else:
            first = day - at.day + 1
            month = (first, first + month_length(year, number), ())
        self._recent = (
            month  # one assignment: another thread sees the one or the other month, each of them whole
        )
        return month

    def _month_after(self, first: int) -> _Month | None:
        """The next month that has matching days, after the one that begins on day *first*."""
        at = date.fromordinal(first + _EPOCH_DAY)
        year = at.year
        index = bisect_right(self._months, at.month)
        if not self._in_years(year):
            index = len(self._months)
        while True:
            if index == len(self._months):
                following = self._year_after(year)
                if following is None:
                    return None
                year, index = following, 0
            month = self._month(year, self._months[index])
            if month[2]:
                self._recent = month
                return month
            index += 1

    def _month_before(self, first: int) -> _Month | None:
        """The last month that has matching days, before the one that begins on day *first*."""
        at = date.fromordinal(first + _EPOCH_DAY)
        year = at.year
        index = bisect_left(self._months, at.month) - 1
        if not self._in_years(year):
            index = -1
        while True:
            if index < 0:
                earlier = self._year_before(year)
                if earlier is None:
                    return None
                year, index = earlier, len(self._months) - 1
            month = self._month(year, self._months[index])
            if month[2]:
                self._recent = month
                return month
            index -= 1

    def _year_after(self, year: int) -> int | None:
        if self._years is None:
            return year + 1 if year < _LAST_YEAR else None
        at = bisect_right(self._years, year)
        return self._years[at] if at < len(self._years) else None

    def _year_before(self, year: int) -> int | None:
        if self._years is None:
            return year - 1 if year > 1 else None
        at = bisect_left(self._years, year)
        return self._years[at - 1] if at else None

    def _in_years(self, year: int) -> bool:
        return self._year_mask is None or self._year_mask >> year & 1 == 1

    def _month(self, year: int, number: int) -> _Month:
        """Month *number* of *year*, both of which match."""
        first = date(year, number, 1).toordinal()
        length = month_length(year, number)
        weekday = (first - 1) % 7  # the day 1 of the calendar is a Monday
        if self._weeks is None:
            days = self._days.of(weekday, length)
        else:
            days = self._in_weeks(year, number, weekday, length)
        first -= _EPOCH_DAY
        return first, first + length, days

    def _in_weeks(self, year: int, number: int, weekday: int, length: int) -> Sequence[int]:
        """Those of the month's days that are in matching ISO weeks. These follow the calendar's 400 years."""
        key = (year % 400, number)
        days = self._days_in_weeks.get(key)
        if days is None:
            before = date(year, number, 1).timetuple().tm_yday - 1
            in_weeks = week_days(year, self._weeks or 0) >> before
            days = self._days_in_weeks[key] = listed(self._days.mask(weekday, length) & in_weeks)
        return days


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
