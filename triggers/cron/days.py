"""The days of a cron schedule: which days of a month match, and whether any date does.

Sets of days, values and weekdays are masks: bit n stands for n. The matching days of a month depend on no more than the weekday of its first day and its
length (28 kinds); ISO weeks add what kind of year it is (three facts decide on those: the weekday of its first day, and whether it and the
year before are leap years). So "does any date match" is a finite check, and takes a fraction of a millisecond however the fields are combined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from .fields import CronExpressionError, CronField, DayRule, listed

__all__ = ["MonthDays", "YearKind", "any_date", "is_leap", "month_days", "never_fires"]

_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CYCLE = 400  # years, after which the calendar repeats itself
_FEBRUARY = 2
_ALL_WEEKDAYS = 0b111_1111
# Times a mask of seven days: that week five times over.
_EVERY_WEEK = sum(1 << 7 * week for week in range(5))


class MonthDays:
    """The matching days of a month of each kind, whatever its ISO weeks. Immutable but for its caches, and safe to share between threads."""

    __slots__ = ("_days", "_either", "_masks", "_rules", "_weekday_rules", "_weekdays")

    def __init__(
        self,
        days: int,
        rules: tuple[DayRule, ...],
        weekdays: int,
        weekday_rules: tuple[DayRule, ...],
        either: bool,
    ) -> None:
        self._days = days
        self._rules = rules
        self._weekdays = weekdays
        self._weekday_rules = weekday_rules
        self._either = either
        self._masks: dict[tuple[int, int], int] = {}

    def mask(self, weekday: int, length: int) -> int:
        """The days of a month whose first is a *weekday* (0 is Monday) and that has *length* days."""
        mask = self._masks.get((weekday, length))
        if mask is not None:
            return mask
        by_day = self._days
        for rule in self._rules:
            by_day |= _bit(rule, weekday, length)
        # The seven weekdays from the first day on, from week to week.
        week = (self._weekdays << 7 | self._weekdays) >> weekday & _ALL_WEEKDAYS
        by_weekday = week * _EVERY_WEEK << 1
        for rule in self._weekday_rules:
            by_weekday |= _bit(rule, weekday, length)
        mask = by_day | by_weekday if self._either else by_day & by_weekday
        mask &= (2 << length) - 2
        self._masks[weekday, length] = mask
        return mask

    def any_date(self, years: int | None, months: int, weeks: int | None) -> bool:
        """Whether any date matches, in months and years and weeks that are masks, or None for all of them."""
        if years is None and weeks is None:
            # In 400 years every month begins on every weekday, February with 29 days too.
            lengths = {_LENGTHS[month] for month in listed(months)}
            if months >> _FEBRUARY & 1:
                lengths.add(29)
            return any(self.mask(weekday, length) for length in lengths for weekday in range(7))
        return any(self.in_year(kind, months, weeks) for kind in _kinds_of(years))

    def in_year(self, kind: YearKind, months: int, weeks: int | None) -> int:
        """The days of a year of that kind, in *months* and ISO *weeks* (None: all); bit n: the day n of the year, from 1."""
        year = 0
        weekday, leap, _ = kind
        begin = 0
        for month in range(1, 13):
            length = 29 if leap and month == _FEBRUARY else _LENGTHS[month]
            if months >> month & 1:
                year |= self.mask((weekday + begin) % 7, length) << begin
            begin += length
        return year if weeks is None else year & _week_mask(kind, weeks)


# Weekday of January 1; whether it is a leap year; whether the one before is.
YearKind = tuple[int, bool, bool]


@lru_cache(maxsize=1024)
def _month_days(
    days: int, rules: tuple[DayRule, ...], weekdays: int, weekday_rules: tuple[DayRule, ...], either: bool
) -> MonthDays:
    return MonthDays(days, rules, weekdays, weekday_rules, either)


def month_days(day: CronField, weekday: CronField, either: bool) -> MonthDays:
    """The days of these two fields, shared by all schedules that have the same. *either*: one of the two must match; else both."""
    return _month_days(day.mask, day.rules, weekday.mask, weekday.rules, either)


def any_date(fields: Sequence[CronField], either: bool) -> bool:
    """Whether any date matches the first five of *fields* (in the order of FIELD_NAMES)."""
    year, month, day, week, weekday = fields[:5]
    days = month_days(day, weekday, either)
    return days.any_date(
        None if year.text == "*" else year.mask, month.mask, None if week.text == "*" else week.mask
    )


def never_fires(fields: Sequence[CronField]) -> CronExpressionError:
    """The error for *fields* that no date matches."""
    dates = ", ".join(f"{field.name}={field.text!r}" for field in fields[:5] if not field.is_default)
    return CronExpressionError(f"no date ever matches {dates}: it would never fire", None, dates)


def _bit(rule: DayRule, weekday: int, length: int) -> int:
    """The day that *rule* means in a month whose first is a *weekday* and that has *length* days, as a mask; 0: it has no such day."""
    nth, wanted, nearest = rule
    if wanted is None:
        day = nth if nth > 0 else length + 1 + nth
        if not 1 <= day <= length:
            return 0
        at = (weekday + day - 1) % 7
        if nearest and at == 5:  # Saturday: the Friday before it, unless that is of the month before
            day += -1 if day > 1 else 2
        elif nearest and at == 6:  # Sunday: the Monday after it, unless that is of the next month
            day += 1 if day < length else -2
        return 1 << day
    first = 1 + (wanted - weekday) % 7
    day = first + (nth - 1) * 7 if nth > 0 else first + ((length - first) // 7 + 1 + nth) * 7
    return 1 << day if first <= day <= length else 0


def _first_weekday(year: int) -> int:
    """The weekday of January 1 (0 is Monday)."""
    before = year - 1
    return (before + before // 4 - before // 100 + before // 400) % 7


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _kinds_of(years: int | None) -> Iterator[YearKind]:
    """The kinds of year that are among *years*."""
    folded = 0  # into the first 400
    if years is None:
        folded = -1
    else:
        while years:
            folded |= years & (1 << _CYCLE) - 1
            years >>= _CYCLE
    return (kind for kind, such in _year_kinds().items() if such & folded)


@cache
def _year_kinds() -> dict[YearKind, int]:
    """The years of a cycle by their kind; bit n stands for all years that leave n when divided by 400."""
    kinds: dict[YearKind, int] = {}
    for year in range(_CYCLE, 2 * _CYCLE):
        kind = (_first_weekday(year), is_leap(year), is_leap(year - 1))
        kinds[kind] = kinds.get(kind, 0) | 1 << year % _CYCLE
    return kinds


@lru_cache(maxsize=256)
def _week_mask(kind: YearKind, weeks: int) -> int:
    """The week 1 is the one with the first Thursday of the year (ISO 8601)."""
    weekday, leap, leap_before = kind
    length = 366 if leap else 365
    # Bit n + 10 is day n until the end, since the days of these weeks may be before day 1.
    monday = 10 + (1 - weekday if weekday <= 3 else 8 - weekday)  # that of week 1
    last = 53 if _has_week_53(weekday, leap) else 52
    mask = 0
    for number in range(1, last + 1):
        if weeks >> number & 1:
            mask |= _ALL_WEEKDAYS << monday + 7 * (number - 1)
    if weeks >> 1 & 1:
        mask |= _ALL_WEEKDAYS << monday + 7 * last  # the first week of the next year
    before = 53 if _has_week_53((weekday - 1 - leap_before) % 7, leap_before) else 52
    if weeks >> before & 1:
        mask |= _ALL_WEEKDAYS << monday - 7  # the last week of the year before
    return mask >> 10 & (2 << length) - 2


def _has_week_53(weekday: int, leap: bool) -> bool:
    """Whether a year has 53 weeks: it begins on a Thursday, or ends on one."""
    return weekday == 3 or (leap and weekday == 2)
