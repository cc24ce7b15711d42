"""The eight fields of a cron expression: their grammar, strictly read, and what it says which values match.

    field  = term *("," term)
    term   = "*" ["/" step] | value ["-" value] ["/" step]
    value  = number | name of a month | name of a weekday      (weekday 0 is Monday)

and in `day` also ``last``, ``2nd fri``, ``last sun``. A range may wrap around the end of its field (``fri-mon``, ``22-2``; not in `year`), and its
steps go on counting over it. ``5/15`` is every 15 from 5 to the end of the field. Case and surrounding blanks do not count. Everything else is an
error that names the field and the text; nothing that is not understood is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

__all__ = ["FIELD_NAMES", "MONTHS", "WEEKDAYS", "CronExpressionError", "CronField", "DayRule", "parse_field"]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NTH = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "last": -1}


class CronExpressionError(ValueError):
    """A cron expression that is not understood, or that can never match. The one error that the parsers raise for a text.

    *field* is the field's name, None if it is the whole; *text* is what was given.
    """

    def __init__(self, message: str, field: str | None, text: str) -> None:
        super().__init__(message)
        self.field = field
        self.text = text

    def __reduce__(self) -> tuple[type[CronExpressionError], tuple[str, str | None, str]]:
        return type(self), (str(self), self.field, self.text)


class DayRule(NamedTuple):
    """A day that depends on the month: the *nth* such weekday (-1: the last); weekday None: any day, so that (-1, None) is the last day."""

    nth: int
    weekday: int | None


@dataclass(frozen=True, slots=True)
class CronField:
    """One field of a cron trigger. `str()` is its text; `is_default` says that it was left out."""

    name: str
    text: str
    is_default: bool
    values: Sequence[int]  # ascending; hashable
    rules: tuple[DayRule, ...]

    @property
    def star(self) -> bool:
        """Whether the text begins with ``*``, which is what Vixie cron's rules for days and for clock changes look at."""
        return self.text.startswith("*")

    def __str__(self) -> str:
        return self.text


class _Kind(NamedTuple):
    """What values a field takes."""

    low: int
    high: int
    default: str  # if a more significant field is given and this one is not
    names: dict[str, int]


_KINDS = {
    "year": _Kind(1970, 9999, "*", {}),
    "month": _Kind(1, 12, "1", {name: number for number, name in enumerate(MONTHS, 1)}),
    "day": _Kind(1, 31, "1", {}),
    "week": _Kind(1, 53, "*", {}),
    "day_of_week": _Kind(0, 6, "*", {name: number for number, name in enumerate(WEEKDAYS)}),
    "hour": _Kind(0, 23, "0", {}),
    "minute": _Kind(0, 59, "0", {}),
    "second": _Kind(0, 59, "0", {}),
}

#: In the order of significance, which is also that of the constructor's arguments and of `CronTrigger.fields`.
FIELD_NAMES = tuple(_KINDS)

# Nine digits are more than any value has, and few enough to be made a number without a thought.
_VALUE = "[0-9]{1,9}|[a-z]+"
_TERM = re.compile(
    rf"(?:(?P<star>\*)|(?P<first>{_VALUE})(?:-(?P<last>{_VALUE}))?)(?:/(?P<step>[0-9]{{1,9}}))?"
)
_DAY_RULE = re.compile(r"(?P<nth>1st|2nd|3rd|4th|5th|last)(?: (?P<weekday>[a-z]+))?")


def parse_field(name: str, text: str | None, fill: bool) -> CronField:
    """The field *name* as *text* has it; None: left out, which is its default if *fill* (a more significant one was given), else ``*``.

    Raises CronExpressionError.
    """
    if text is None:
        default = _KINDS[name].default if fill else "*"
        return _parse(name, default, True)
    return _parse(name, text, False)


@lru_cache(maxsize=2048)
def _parse(name: str, text: str, is_default: bool) -> CronField:
    if text == "*":
        # Not spelled out: a year has 8,030 values.
        return CronField(name, text, is_default, range(_KINDS[name].low, _KINDS[name].high + 1), ())
    values: set[int] = set()
    rules: set[DayRule] = set()
    for term in text.split(","):
        rule = _day_rule(text, term) if name == "day" else None
        if rule is None:
            values.update(_term_values(name, text, term))
        else:
            rules.add(rule)
    return CronField(name, text, is_default, tuple(sorted(values)), tuple(sorted(rules, key=repr)))


def _day_rule(text: str, term: str) -> DayRule | None:
    found = _DAY_RULE.fullmatch(term)
    if found is None:
        return None
    weekday = found["weekday"]
    if weekday is None:
        # "last" alone is a day; "2nd" alone is nothing.
        if found["nth"] != "last":
            raise _error("day", text, f"{term!r} lacks a weekday, as in '{term} fri'")
        return DayRule(-1, None)
    if weekday not in WEEKDAYS:
        raise _error("day", text, f"{weekday!r} is not one of {', '.join(WEEKDAYS)}")
    return DayRule(_NTH[found["nth"]], WEEKDAYS.index(weekday))


def _term_values(name: str, text: str, term: str) -> list[int]:
    found = _TERM.fullmatch(term)
    if found is None:
        raise _error(name, text, f"{term!r} is not understood" if term else "a part of it is empty")
    kind = _KINDS[name]
    size = kind.high - kind.low + 1
    step = 1 if found["step"] is None else int(found["step"])
    if not 1 <= step < size:
        raise _error(name, text, f"the step in {term!r} must be between 1 and {size - 1}")
    if found["star"]:
        return list(range(kind.low, kind.high + 1, step))
    first = _value(name, text, found["first"])
    if found["last"] is not None:
        last = _value(name, text, found["last"])
    else:
        last = first if found["step"] is None else kind.high
    if last < first and name == "year":
        raise _error(name, text, f"the range {term!r} ends before it begins")
    return [
        kind.low + (value - kind.low) % size
        for value in range(first, first + (last - first) % size + 1, step)
    ]


def _value(name: str, text: str, value: str) -> int:
    kind = _KINDS[name]
    if value in kind.names:
        return kind.names[value]
    if not value.isdecimal():
        known = f"; its names are {', '.join(kind.names)}" if kind.names else ""
        raise _error(name, text, f"{value!r} is not a value of this field{known}")
    number = int(value)
    if not kind.low <= number <= kind.high:
        raise _error(name, text, f"{number} is not between {kind.low} and {kind.high}")
    return number


def _error(name: str, text: str, reason: str) -> CronExpressionError:
    return CronExpressionError(f"cron field {name}={text!r}: {reason}", name, text)
