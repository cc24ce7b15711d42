"""Weekdays of crontab lines, whose numbers mean something else in every dialect, by their names, which mean the same everywhere."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .fields import WEEKDAYS, field_error

__all__ = ["QUARTZ", "UNIX", "Numbering", "by_name"]

_NAMES = ("sun", *WEEKDAYS[:6])
_VALUE = "[0-9]{1,9}|[a-z]+"
_STEP = "(?:/([0-9]{1,9}))?"
_TERM = re.compile(rf"(?:\*|({_VALUE})(?:-({_VALUE}))?){_STEP}")
_HASHED = re.compile(rf"h(?:\(({_VALUE})-({_VALUE})\))?({_STEP})")
_OF_MONTH = re.compile(rf"({_VALUE})(#[0-9]{{1,9}})|([0-9]{{1,9}}|[a-z]{{3}})l")


class Numbering(NamedTuple):
    """How a dialect numbers weekdays: Sunday is *sunday*, and so on up to *high*, which may be Sunday again."""

    sunday: int
    high: int
    described: str


UNIX = Numbering(0, 7, "0 to 7 (0 and 7 are Sunday)")
QUARTZ = Numbering(1, 7, "1 to 7 (1 is Sunday)")


@lru_cache(maxsize=1024)
def by_name(text: str, numbering: Numbering) -> str:
    """The field *text* (lower case) for `CronTrigger`. Raises CronExpressionError."""
    if text == "*":
        return text
    return ",".join([_term(text, term, numbering) for term in text.split(",")])


def _term(text: str, term: str, numbering: Numbering) -> str:
    if found := _OF_MONTH.fullmatch(term):
        weekday, nth, last = found.groups()
        if last is not None:
            return f"{_NAMES[_index(text, last, numbering) % 7]}l"
        return f"{_NAMES[_index(text, weekday, numbering) % 7]}{nth}"
    if found := _HASHED.fullmatch(term):
        begin, end, step, _ = found.groups()
        if begin is None:
            return term
        names = _range(_index(text, begin, numbering), _index(text, end, numbering), 1)
        return f"h({names[0]}-{names[-1]}){step}"
    found = _TERM.fullmatch(term)
    if found is None:
        known = f"weekdays are {numbering.described} or their names, alone or as in 'mon-fri', 'fri#2', 'friL', 'H', or several with commas"
        reason = f"{{}} is not understood; {known}" if term else "a part of it is empty"
        raise field_error("day_of_week", text, reason, term)
    begin, end, every = found.groups()
    step = 1 if every is None else int(every)
    if not 1 <= step <= 7:
        raise field_error("day_of_week", text, "the step in {} must be between 1 and 7", term)
    if begin is None:
        if every is None:
            return "*"
        first, last = 0, numbering.high - numbering.sunday
    else:
        first = _index(text, begin, numbering)
        if end is not None:
            last = _index(text, end, numbering)
        else:
            last = first if every is None else numbering.high - numbering.sunday
    names = _range(first, last, step)
    if len(names) == 7:
        return "*" if begin is None else "mon-sun"
    if len(names) > 2 and step == 1:
        return f"{names[0]}-{names[-1]}"
    return ",".join(names)


def _range(first: int, last: int, step: int) -> list[str]:
    """The names from one number to another; in a row, each once."""
    if last < first:
        last += 7  # around the end of the week: sat-tue, 6-1
    return list(dict.fromkeys(_NAMES[number % 7] for number in range(first, last + 1, step)))


def _index(text: str, value: str, numbering: Numbering) -> int:
    """Days after Sunday, 0 to 7."""
    if value in _NAMES:
        return _NAMES.index(value)
    if not value.isdecimal():
        raise field_error("day_of_week", text, f"{{}} is not one of {', '.join(_NAMES)}", value)
    number = int(value)
    if not numbering.sunday <= number <= numbering.high:
        reason = f"{number} is not a weekday: they are {numbering.described}"
        raise field_error("day_of_week", text, reason)
    return number - numbering.sunday
