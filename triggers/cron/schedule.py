"""The wall-clock side of a cron schedule: which times of which days match, on a clock that no zone and no clock change touches.

Times here are *wall seconds*: seconds since 1970-01-01 00:00 on the wall. `offsets.py` knows what they are in UTC, and `cron.py` puts the
two together.

The search: a day is split from its second. If the day matches, the first matching time not before that second is looked up in a table of hours and one of
seconds within an hour; else it is the first time of the next matching day. The matching days of a month depend on no more than the weekday of its first day and its length
(28 kinds), so they are computed once for each kind, and with ISO weeks once for each month of the calendar's 400 years. A month that
has no day left leads to the next month that may have one; since the calendar repeats itself after 400 years and a schedule without any date is refused when it
is made, no search looks at more than 4,800 months.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from .fields import CronField, DayRule

__all__ = ["WallSchedule"]

_DAY = 86_400
_HOUR = 3_600
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_YEAR = 9999
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# A month as it is searched: its first day and that of the next month (days since the epoch), and its matching days of the month.
_Month = tuple[int, int, tuple[int, ...]]


class WallSchedule:
    """The wall seconds at which the fields match. Immutable but for its caches, and safe to share between threads."""

    __slots__ = (
        "_day_rules",
        "_days",
        "_days_in_weeks",
        "_days_of_kind",
        "_either",
        "_first_time",
        "_hour_after",
        "_hour_before",
        "_hours",
        "_last_time",
        "_months",
        "_per_day",
        "_recent",
        "_seconds",
        "_weekday_rules",
        "_weekdays",
        "_weeks",
        "_year_set",
        "_years",
    )

    def __init__(self, fields: Sequence[CronField], either: bool) -> None:
        """*fields* in the order of FIELD_NAMES. *either*: day or day_of_week must match; else both."""
        year, month, day, week, weekday, hour, minute, second = fields
        self._years = None if year.text == "*" else year.values
        self._year_set = frozenset(self._years or ())
        self._months = month.values
        self._days = frozenset(day.values)
        self._day_rules = day.rules
        self._weeks = None if week.text == "*" else frozenset(week.values)
        self._weekdays = frozenset(weekday.values)
        self._weekday_rules = weekday.rules
        self._either = either
        self._hours = hour.values
        self._hour_after, self._hour_before = _hour_tables(hour.values)
        self._seconds = _seconds_of_hour(minute.values, second.values)
        self._first_time = hour.values[0] * _HOUR + self._seconds[0]
        self._last_time = hour.values[-1] * _HOUR + self._seconds[-1]
        self._per_day = len(hour.values) * len(self._seconds)
        self._days_of_kind: dict[int, tuple[int, ...]] = {}
        self._days_in_weeks: dict[tuple[int, int], tuple[int, ...]] = {}
        self._recent: _Month = (0, 0, ())

    def has_dates(self) -> bool:
        """Whether any date matches at all."""
        years = range(2000, 2400) if self._years is None else self._years
        seen: set[tuple[int, bool, bool]] = set()
        for year in years:
            # The weekday of its first day and the leap days decide everything about a year, its ISO weeks included.
            kind = (date(year, 1, 1).weekday(), _is_leap(year), _is_leap(year - 1))
            if kind not in seen:
                seen.add(kind)
                if any(self._month(year, month)[2] for month in self._months):
                    return True
        return False

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""
        day, second = divmod(wall, _DAY)
        month = self._recent
        if not month[0] <= day < month[1]:
            loaded = self._month_of(day)
            if loaded is None:
                return None
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
                return None
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
        if (self._years is None or year in self._year_set) and number in self._months:
            month = self._month(year, number)
        else:
            first = day - at.day + 1
            month = (first, first + _length(year, number), ())
        self._recent = (
            month  # one assignment: another thread sees the one or the other month, each of them whole
        )
        return month

    def _month_after(self, first: int) -> _Month | None:
        """The next month that has matching days, after the one that begins on day *first*."""
        at = date.fromordinal(first + _EPOCH_DAY)
        year = at.year
        index = bisect_right(self._months, at.month)
        if self._years is not None and year not in self._year_set:
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
        if self._years is not None and year not in self._year_set:
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

    def _month(self, year: int, number: int) -> _Month:
        """Month *number* of *year*, both of which match."""
        first = date(year, number, 1).toordinal()
        length = _length(year, number)
        # The day 1 of the calendar is a Monday. 7 weekdays and 4 lengths.
        kind = first % 7 * 4 + length - 28
        days = self._days_of_kind.get(kind)
        if days is None:
            days = self._days_of_kind[kind] = self._matching_days((first - 1) % 7, length)
        if self._weeks is not None:
            days = self._in_weeks(days, year, number, (first - 1) % 7)
        first -= _EPOCH_DAY
        return first, first + length, days

    def _matching_days(self, weekday: int, length: int) -> tuple[int, ...]:
        """The matching days of a month that begins on *weekday* and has *length* days, whatever their ISO week."""
        by_day = self._days | _days_by_rules(self._day_rules, weekday, length)
        by_weekday = {day for day in range(1, length + 1) if (weekday + day - 1) % 7 in self._weekdays}
        by_weekday |= _days_by_rules(self._weekday_rules, weekday, length)
        matching = by_day | by_weekday if self._either else by_day & by_weekday
        return tuple(day for day in range(1, length + 1) if day in matching)

    def _in_weeks(self, days: tuple[int, ...], year: int, number: int, weekday: int) -> tuple[int, ...]:
        """Those of *days* that are in matching ISO weeks. These follow the calendar's 400 years."""
        key = (year % 400, number)
        found = self._days_in_weeks.get(key)
        if found is None:
            matching = []
            monday = 99  # no day's
            for day in days:
                if (begin := day - (weekday + day - 1) % 7) != monday:
                    monday = begin
                    week = date(year, number, day).isocalendar().week
                if week in (self._weeks or ()):
                    matching.append(day)
            found = self._days_in_weeks[key] = tuple(matching)
        return found


@lru_cache(maxsize=256)
def _hour_tables(hours: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """By hour 0 to 24: the first of *hours* not before it, and the last one before it; -1 for none."""
    after = [min((hour for hour in hours if hour >= at), default=-1) for at in range(25)]
    before = [max((hour for hour in hours if hour < at), default=-1) for at in range(25)]
    return tuple(after), tuple(before)


@lru_cache(maxsize=256)
def _seconds_of_hour(minutes: Sequence[int], seconds: Sequence[int]) -> tuple[int, ...]:
    """Cached to be shared: with second="*" these are up to 3,600 numbers."""
    return tuple(minute * 60 + second for minute in minutes for second in seconds)


def _days_by_rules(rules: Sequence[DayRule], weekday: int, length: int) -> set[int]:
    """The days that the rules mean in a month that begins on *weekday* and has *length* days."""
    days = set()
    for nth, wanted in rules:
        if wanted is None:
            such = list(range(1, length + 1))
        else:
            such = list(range(1 + (wanted - weekday) % 7, length + 1, 7))
        if nth <= len(such):
            days.add(such[nth - 1 if nth > 0 else nth])
    return days


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _length(year: int, month: int) -> int:
    return 29 if month == 2 and _is_leap(year) else _LENGTHS[month]
