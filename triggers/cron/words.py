"""A cron schedule in plain words: "every 15 minutes between 09:00 and 17:45, Monday to Friday".

What has a simple name is said simply; everything else is said field by field ("at minutes 0 to 10 and 30 in hours 9 to 17"). Whatever restricts the
schedule is in the words. The fields' texts are read in the canonical form of `fields.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .fields import CronField, DayRule
from .phrases import (
    MONTH_NAMES,
    WEEKDAY_NAMES,
    listed,
    month_words,
    ordinal,
    runs,
    values_of,
    weekday_words,
)
from .time_words import time_words

__all__ = ["cron_words", "day_rule_words"]

_WORKING_DAY = "working day (Monday to Friday)"


def cron_words(fields: Sequence[CronField], either: bool) -> str:
    """The schedule of the eight *fields*, without zone, start and end. *either*: day or day_of_week must match; else both."""
    year, month, day, week, weekday, hour, minute, second = fields
    times = time_words(hour, minute, second)
    by_day, by_weekday = _restricts(day), _restricts(weekday)
    if either and not (by_day and by_weekday):
        by_day = by_weekday = False  # one of the two is every day
    tail = _years(year)
    if by_day and not by_weekday:
        words = f"{times} on {_date(day, month) or f'{_day_words(day)} of {_of_months(month)}'}"
        if _date(day, month) and len(year.values) == 1:
            tail = f" {year.values[0]}"  # 1 January 2027
    elif by_weekday and not by_day:
        words = times + _weekdays(weekday) + _in_months(month)
    elif by_day:
        words = (
            f"{times} {_both_days(day, weekday, either)}{',' if _restricts(month) else ''}{_in_months(month)}"
        )
    else:
        once = re.match(r"at \d", times)  # by the clock
        words = ("every day " if once else "") + times + _in_months(month)
    if _restricts(week):
        words += f" in {values_of(week, 'ISO week')}"
    words += tail
    hashed = sum(field.text.count("H") for field in fields if field.hashed)
    if hashed:
        words += f", where {'H' if hashed == 1 else 'each H'} is a number of the job's own"
    return words


def day_rule_words(rule: DayRule) -> str:
    """What a rule for a day means, to be followed by "of the month"."""
    nth, weekday, nearest = rule
    if weekday is not None:
        return f"the {_from_end(nth) if nth < 0 else ordinal(nth)} {WEEKDAY_NAMES[weekday]}"
    if nth > 0:
        day = f"day {nth}"
    elif nth == -1:
        day = "the last day"
    else:
        before = "" if nth == -2 else f"{ordinal(-1 - nth)} "
        day = f"the {before}day before the last day"
    if not nearest:
        return day
    return f"the last {_WORKING_DAY}" if nth == -1 else f"the {_WORKING_DAY} nearest to {day}"


def _from_end(nth: int) -> str:
    return "last" if nth == -1 else f"{ordinal(-nth)} last"


def _restricts(field: CronField) -> bool:
    size = {"month": 12, "day": 31, "week": 53, "day_of_week": 7}[field.name]
    return field.hashed or len(field.values) < size


def _rules(field: CronField) -> list[str]:
    return [day_rule_words(rule) for rule in field.rules]


def _date(day: CronField, month: CronField) -> str | None:
    """One day of one month by its date: ``29 February``."""
    if day.rules or day.hashed or month.hashed or (len(day.values), len(month.values)) != (1, 1):
        return None
    return f"{day.values[0]} {MONTH_NAMES[month.values[0] - 1]}"


def _day_words(day: CronField) -> str:
    """ "days 1 and 15 and the last day"."""
    plain = [values_of(day, "day")] if day.values or day.hashed else []
    return listed([*plain, *_rules(day)])


def _weekdays(weekday: CronField) -> str:
    rules = _rules(weekday)
    if rules:
        plain = [weekday_words(weekday.values)] if weekday.values else []
        return f" on {' and '.join([*plain, *rules])} of the month"
    if weekday.hashed:
        return f" on {values_of(weekday, 'weekday')} (0 is Monday)"
    words = weekday_words(weekday.values)
    return f", {words}" if " to " in words else f" on {words}"


def _both_days(day: CronField, weekday: CronField, either: bool) -> str:
    """Day of month together with weekday, or the one or the other."""
    rules = _rules(weekday)
    plain = []
    if weekday.hashed:
        plain = [values_of(weekday, "weekday")]
    elif weekday.values:
        plain = [weekday_words(weekday.values, "or")]
    wanted = listed([*plain, *(f"{rule} of the month" for rule in rules)], "or")
    days = f"on {_day_words(day)} of the month"
    if either:
        return f"{days} or {'from' if any(' to ' in words for words in plain) else 'on'} {wanted}"
    single = len(day.values) == len(weekday.values) == 1 and not rules and not _rules(day)
    if single and not day.hashed and not weekday.hashed:
        return f"on {WEEKDAY_NAMES[weekday.values[0]]} the {ordinal(day.values[0])}"
    return f"{days} if that is {wanted}"


def _of_months(month: CronField) -> str:
    if not _restricts(month):
        return "the month"
    return values_of(month, "month") if month.hashed else month_words(month.values)


def _in_months(month: CronField) -> str:
    if not _restricts(month):
        return ""
    if month.hashed:
        return f" in {values_of(month, 'month')}"
    words = month_words(month.values)
    whole = " to " in words and "," not in words and " and " not in words
    return f" {'from' if whole else 'in'} {words}"


def _years(year: CronField) -> str:
    if year.text == "*":
        return ""
    values = year.values
    if len(runs(values)) == 1 and values[-1] == 9999:
        return f" from {values[0]} on"
    words = values_of(year, "year")
    return (
        f" in {words if words.startswith('every ') else words.removeprefix('years ').removeprefix('year ')}"
    )
