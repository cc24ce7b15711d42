"""What people may not expect of cron fields, whatever the zone: days that not every month has, steps that do not come out even."""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import date

from .fields import CronField
from .phrases import MONTH_NAMES, WEEKDAY_NAMES, listed, ordinal

__all__ = ["missing_days", "months_between", "pitfalls", "some"]

# The calendar repeats itself after 400 years.
_CYCLE = 400
_MOST_NAMED = 5
_STEPPED = re.compile(r"(?:\*|\d+)/(\d+)")
# Of the fields whose steps may not come out even: how many values they have, when they begin anew, and their values' names.
_ROUNDS: dict[str, tuple[int, str, Sequence[str]]] = {
    "second": (60, "every minute", ()),
    "minute": (60, "every hour", ()),
    "hour": (24, "every day", ()),
    "day_of_week": (7, "every week", WEEKDAY_NAMES),
    "month": (12, "every year", ("", *MONTH_NAMES)),
}


def pitfalls(fields: Sequence[CronField], either: bool, first: date, last: date) -> Iterator[str]:
    """Those of the *fields* in the months from *first* to *last*; *either*: day or day_of_week must match, else both."""
    year, month, day, week, weekday, *_ = fields
    if either:
        yield "a day of the month and a weekday are given: one of the two is enough, as always in a crontab"
    months = months_between(first, last, year.values, month.values)
    years = sorted({number for number, _ in months})
    yield from missing_days(_named_days(day), months)
    yield from _missing_rules((day, weekday), months)
    if week.text == "53":
        without = [str(number) for number in years if date(number, 12, 28).isocalendar().week == 52]
        if without:
            yield f"there is no ISO week 53 in {some(without)}"
    for field in fields:
        yield from _uneven(field)


def months_between(
    first: date, last: date, years: Container[int], months: Sequence[int]
) -> list[tuple[int, int]]:
    """Year and number of each of the *months* in *years* that has a day from *first* to *last*; those of 400 years at most."""
    until = min(last.year, first.year + _CYCLE - 1)
    begin, end = (first.year, first.month), (last.year, last.month)
    found = [(year, month) for year in range(first.year, until + 1) if year in years for month in months]
    return [month for month in found if begin <= month <= end]


def missing_days(
    days: Iterable[int], months: Sequence[tuple[int, int]], last: str = "'last'"
) -> Iterator[str]:
    """Those of *days* of the month that some of the *months* never or not always have. *last* is how to write the last day."""
    of_year = sorted({month for _, month in months})
    for number in sorted(set(days)):
        without = [MONTH_NAMES[month - 1] for month in of_year if number > monthrange(2000, month)[1]]
        if without:
            yield f"there is no day {number} in {listed(without)}; the last day of every month is {last}"
        common = [str(year) for year, month in months if month == 2 and not isleap(year)]
        if number == 29 and common:
            yield f"there is no 29 February in {some(common)}"


def _named_days(day: CronField) -> Iterator[int]:
    """The days that are given by themselves, or as the beginning of a range."""
    for term in day.text.split(","):
        if found := re.fullmatch(r"(\d+)(?:-\d+)?[wW]?", term):
            yield int(found[1])


def _missing_rules(fields: Sequence[CronField], months: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Weekdays that not every month has so often."""
    for field in fields:
        for nth, weekday, _ in field.rules:
            if weekday is None or nth != 5:
                continue
            without = []
            for year, month in months:
                begin, length = monthrange(year, month)
                if (weekday - begin) % 7 + 29 > length:
                    without.append(f"{year}-{month:02}")
            if without:
                yield f"there is no {ordinal(nth)} {WEEKDAY_NAMES[weekday]} in {some(without)}"


def _uneven(field: CronField) -> Iterator[str]:
    """Steps that are counted anew before they come around."""
    found = _STEPPED.fullmatch(field.text)
    if found is None or len(field.values) < 2:
        return
    step, first, last = int(found[1]), field.values[0], field.values[-1]
    if field.name == "day" and step > 1:
        yield f"{field.text} in day begins anew every month: day {last} is followed by day {first} of the next one"
    elif field.name in _ROUNDS:
        size, anew, names = _ROUNDS[field.name]
        if size % step:
            left = size - last + first
            begin, end = (names[last], names[first]) if names else (last, first)
            unit = {"day_of_week": "day"}.get(field.name, field.name) + ("" if left == 1 else "s")
            yield f"{field.text} in {field.name} begins anew {anew}: from {begin} to {end} it is {left} {unit}, not {step}"


def some(items: Sequence[str]) -> str:
    """The first few of *items*, which are in order and may come twice."""
    if len(items) <= _MOST_NAMED:
        return listed(items)
    return f"{', '.join(items[:_MOST_NAMED])} and {len(items) - _MOST_NAMED} more"
