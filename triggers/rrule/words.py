"""Recurrence rules in plain words: "every 2 weeks on Monday and Friday at 09:00"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product

from ..cron.fields import DayRule
from ..cron.phrases import (
    MONTH_NAMES,
    WEEKDAY_NAMES,
    clock_time,
    listed,
    month_words,
    numbers,
    ordinal,
    weekday_words,
)
from ..cron.words import day_rule_words
from ..zones import zone_name
from .text import DAILY, MONTHLY, WEEKLY, YEARLY, Moment, Parts, RuleText

__all__ = ["named_days", "rule_words"]

_UNITS = ("year", "month", "week", "day", "hour", "minute", "second")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (wall times have no zone)
_MOST_TIMES = 12
_MOST_DATES = 3


def rule_words(rule: RuleText, start: datetime | None) -> str:
    """What the text of a rule means, without zone and start. *start*, a wall time, is what a rule takes from it if it does not say so itself."""
    parts = [_parts_words(parts, start) for parts in rule.rules]
    words = parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)
    if rule.rdates:
        words += f"{', and ' if words else ''}at {_dates(rule.rdates)}"
    for excluded in rule.exrules:
        words += f", except ({_parts_words(excluded, start)})"
    if rule.exdates:
        words += f", except at {_dates(rule.exdates)}"
    return words


def named_days(parts: Parts, start: datetime | None) -> tuple[Sequence[int], Sequence[int]]:
    """The days of the month that a rule names, or takes from its *start*, and in which months."""
    months = parts.month or range(1, 13)
    days = [day for day in parts.monthday if day > 0]
    if start is None or parts.monthday or parts.yearday or parts.weekno or parts.weekday or parts.easter:
        return days, months
    if parts.freq == YEARLY and not parts.month:
        months = (start.month,)
    return ([start.day] if parts.freq in (YEARLY, MONTHLY) else days), months


def _parts_words(parts: Parts, start: datetime | None) -> str:
    unit = _UNITS[parts.freq]
    words = f"every {unit}" if parts.interval == 1 else f"every {parts.interval} {unit}s"
    days = _days(parts, start)
    if days:
        words += f" on {' if that is '.join(days)}"
    words += _weeks(parts) + _months(parts, days) + _times(parts, start)
    if parts.setpos:
        places = [f"the {_place(place)}" for place in parts.setpos]
        words += f", of these only {listed(places)} in each {unit}"
    if parts.wkst and (parts.weekno or (parts.freq == WEEKLY and parts.interval > 1) or parts.setpos):
        words += f", weeks beginning on {WEEKDAY_NAMES[parts.wkst]}"
    if parts.count is not None:
        words += ", once" if parts.count == 1 else f", {parts.count:,} times"
    if parts.until is not None:
        words += f", until {_dates([parts.until])}"
    return words


def _days(parts: Parts, start: datetime | None) -> list[str]:
    """On which days: phrases that must all be true."""
    days = []
    if parts.weekday:
        days.append(_weekdays(parts))
    if parts.monthday:
        days.append(f"{_month_days(parts.monthday)} of the month")
    if parts.yearday:
        days.append(f"{_month_days(parts.yearday)} of the year")
    if parts.easter:
        days.append(listed([_easter(shift) for shift in parts.easter]))
    if not days and not parts.weekno and start is not None:
        # What the start says if the rule does not.
        if parts.freq == WEEKLY:
            days.append(WEEKDAY_NAMES[start.weekday()])
        elif parts.freq == MONTHLY or (parts.freq == YEARLY and parts.month):
            days.append(f"day {start.day} of the month")
        elif parts.freq == YEARLY:
            days.append(f"{start.day} {MONTH_NAMES[start.month - 1]}")
    return days


def _weekdays(parts: Parts) -> str:
    plain = [weekday for weekday, nth in parts.weekday if not nth]
    rules = [day_rule_words(DayRule(nth, weekday)) for weekday, nth in parts.weekday if nth]
    words = listed([*([weekday_words(plain)] if plain else []), *rules])
    if not rules:
        return words
    return f"{words} of the {'year' if parts.freq == YEARLY and not parts.month else 'month'}"


def _month_days(days: Sequence[int]) -> str:
    """Days of a month or year, negative ones counted from its end."""
    plain = [day for day in days if day > 0]
    rules = [day_rule_words(DayRule(day, None)) for day in days if day < 0]
    return listed([*([numbers(plain, "day")] if plain else []), *rules])


def _easter(shift: int) -> str:
    if not shift:
        return "Easter Sunday"
    days = "1 day" if abs(shift) == 1 else f"{abs(shift)} days"
    return f"the day {days} {'after' if shift > 0 else 'before'} Easter Sunday"


def _weeks(parts: Parts) -> str:
    if not parts.weekno:
        return ""
    plain = [number for number in parts.weekno if number > 0]
    last = [f"the {_place(number)} week of the year" for number in parts.weekno if number < 0]
    return f" in {listed([*([numbers(plain, 'week') + ' of the year'] if plain else []), *last])}"


def _months(parts: Parts, days: Sequence[str]) -> str:
    return f"{',' if len(days) > 1 else ''} in {month_words(parts.month)}" if parts.month else ""


def _times(parts: Parts, start: datetime | None) -> str:
    """At which times of day; what is neither in the rule nor in its start is left out."""
    if parts.freq <= DAILY and (start is not None or parts.hour):
        hours = parts.hour or (start.hour,)  # type: ignore[union-attr]
        minutes = parts.minute or (() if start is None else (start.minute,))
        seconds = parts.second or (() if start is None else (start.second,))
        if minutes and seconds and len(hours) * len(minutes) * len(seconds) <= _MOST_TIMES:
            return f" at {listed([clock_time(*time) for time in product(hours, minutes, seconds)])}"
    given = ((parts.second, "second"), (parts.minute, "minute"), (parts.hour, "hour"))
    words = [f" in {numbers(values, unit)}" for values, unit in given if values]
    return "".join(words)


def _place(number: int) -> str:
    if number > 0:
        return ordinal(number)
    return "last" if number == -1 else f"{ordinal(-number)} last"


def _dates(moments: Sequence[Moment]) -> str:
    if len(moments) > _MOST_DATES:
        return f"{len(moments)} times from {_date(moments[0])} to {_date(moments[-1])}"
    return listed([_date(moment) for moment in moments])


def _date(moment: Moment) -> str:
    at = (_EPOCH + timedelta(seconds=moment.wall)).isoformat(
        " ", "minutes" if moment.wall % 60 == 0 else "seconds"
    )
    return at if moment.zone is None else f"{at} {zone_name(moment.zone)}"
