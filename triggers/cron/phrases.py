"""The pieces that descriptions of schedules are made of: numbers, names, lists and ranges in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .fields import CronField

__all__ = [
    "MONTH_NAMES",
    "WEEKDAY_NAMES",
    "clock_time",
    "cycle",
    "evenly",
    "listed",
    "month_words",
    "numbers",
    "ordinal",
    "runs",
    "values_of",
    "weekday_words",
]

MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_STEPPED = re.compile(r"H(?:\((?P<among>[^)]*)\))?/(?P<step>\d+)")


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``11th``, ``23rd``."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def listed(items: Sequence[str], word: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"


def clock_time(hour: int, minute: int, second: int = 0) -> str:
    """``09:00``, or ``09:00:30`` if there are seconds."""
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def weekday_words(values: Sequence[int], word: str = "and") -> str:
    """Weekdays (0 is Monday) by name: ``Friday to Monday``, ``Saturday and Sunday``."""
    return _names(values, 0, WEEKDAY_NAMES, word)


def month_words(values: Sequence[int]) -> str:
    """Months (1 to 12) by name: ``November to February``, ``January, April, July and October``."""
    return _names(values, 1, MONTH_NAMES, "and")


def values_of(field: CronField, noun: str) -> str:
    """The values of a field with their noun: ``minutes 0 to 10 and 30``, ``every 7th minute from 0 to 56``, ``minute H``."""
    if not field.hashed:
        return numbers(field.values, noun)
    terms = field.text.split(",")
    if len(terms) == 1 and (found := _STEPPED.fullmatch(field.text)) is not None:
        within = f", within {found['among'].replace('-', ' to ')}" if found["among"] else ""
        return f"every {ordinal(int(found['step']))} {noun} from H{within}"
    return f"{noun}{'s' if len(terms) > 1 else ''} {listed(terms)}"


def numbers(values: Sequence[int], noun: str) -> str:
    """``day 13``, ``days 1 to 7 and 15``, ``every 2nd day from 1 to 31``."""
    step = evenly(values)
    if step is not None and step > 1:
        return f"every {ordinal(step)} {noun} from {values[0]} to {values[-1]}"
    items = []
    for first, last in runs(values):
        items += (
            [str(first), str(last)]
            if last == first + 1
            else [f"{first} to {last}" if last > first else str(first)]
        )
    return f"{noun}{'s' if len(values) > 1 else ''} {listed(items)}"


def runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of each stretch of successive values."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found


def cycle(values: Sequence[int], size: int) -> int | None:
    """The step, if the values come in equal steps for ever: over the end of a field of *size* values, too."""
    step = size // len(values)
    return (
        step
        if len(values) > 1 and list(values) == list(range(values[0], size, step)) and size % step == 0
        else None
    )


def evenly(values: Sequence[int]) -> int | None:
    """The step, if these are five values or more in equal steps."""
    if len(values) < 5:
        return None
    step = values[1] - values[0]
    return step if list(values) == list(range(values[0], values[-1] + 1, step)) else None


def _names(values: Sequence[int], low: int, names: Sequence[str], word: str) -> str:
    """By name, a stretch of three or more as ``first to last``, also one that goes around the end."""
    size = len(names)
    stretches = runs(values)
    if len(stretches) > 1 and stretches[0][0] == low and stretches[-1][1] == low + size - 1:
        first, last = stretches[-1][0], stretches[0][1] + size
        if len(stretches) == 2 or last - first >= 2:
            # Around the end: from Saturday to Monday is one stretch.
            stretches = [*stretches[1:-1], (first, last)]
    items = []
    for first, last in stretches:
        found = [names[(value - low) % size] for value in range(first, last + 1)]
        items += [f"{found[0]} to {found[-1]}"] if len(found) > 2 else found
    return listed(items, word)
