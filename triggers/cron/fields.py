"""The eight fields of a cron expression: their grammar, strictly read, and what it says which values match.

    field  = term *("," term)
    term   = "*" ["/" step] | value ["-" value] ["/" step] | "H" ["(" value "-" value ")"] ["/" step]
    value  = number | name of a month | name of a weekday      (weekday 0 is Monday)

in `day` also       ``last`` or ``L``, ``L-3`` (the third day before it), ``2nd fri``, ``last sun``,
                    ``15W`` (the working day nearest to the 15th, in the same month), ``LW`` (the last working day)
in `day_of_week`    ``fri#2`` (the second Friday of the month), ``friL`` (its last one)

A range may wrap around the end of its field (``fri-mon``, ``22-2``; not in `year`), and its steps go on counting over it. ``5/15`` is every 15 from 5 to the end of the
field. ``H`` is some value that depends on the job (`hashed.py`; not in `year`). Case and surrounding blanks do not count. Everything else is an
error that names the field and the text; nothing that is not understood is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "FIELD_NAMES",
    "LONGEST",
    "MONTHS",
    "WEEKDAYS",
    "CronExpressionError",
    "CronField",
    "DayRule",
    "field_error",
    "hashed_values",
    "listed",
    "parse_field",
    "parse_fields",
]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NTH = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "last": -1}

#: No list that makes sense is longer: the sixty minutes are 169 characters. What is longer would only cost time, and is neither kept nor quoted.
LONGEST = 500


_WORDS = "'last', '2nd fri', 'last fri', "  # of the forms of `day`, those that only the field itself takes


class CronExpressionError(ValueError):
    """A cron expression that is not understood, or that can never match. The one error that the parsers raise for a text.

    *field* is the field's name, None if it is the whole; *text* is what was given.
    """

    def __init__(self, message: str, field: str | None, text: str) -> None:
        super().__init__(message)
        self.field = field
        self.text = text
        self._reason: tuple[str, str] | None = None  # with a place for the piece of the text, and that piece

    def as_given(self, given: str, in_line: bool = False) -> CronExpressionError:
        """The same error about *given*, of which the text was made: it quotes what people wrote, not its lower case or its translation.

        *in_line*: it stands in the line of a crontab, which takes no words.
        """
        if self._reason is None or self.field is None:
            return self
        reason, piece = self._reason
        if in_line:
            reason = reason.replace(_WORDS, "")
        terms, given_terms = self.text.split(","), given.split(",")
        at = given.lower().find(piece)
        if at >= 0:
            piece = given[at : at + len(piece)]
        elif piece in terms and len(terms) == len(given_terms):
            piece = given_terms[terms.index(piece)]
        return field_error(self.field, given, reason, piece)

    def __reduce__(self) -> tuple[type[CronExpressionError], tuple[str, str | None, str]]:
        return type(self), (str(self), self.field, self.text)


class DayRule(NamedTuple):
    """A day that depends on the month: the *nth* such weekday (-1: the last, -4: the third before it); weekday None: the nth day of the month.

    *nearest*: of the days from Monday to Friday in the same month the one that is nearest to it. A day that the month does not have is none.
    """

    nth: int
    weekday: int | None
    nearest: bool = False


@dataclass(frozen=True, slots=True)
class CronField:
    """One field of a cron trigger. `str()` is its text; `is_default` says that it was left out."""

    name: str
    text: str
    is_default: bool
    mask: int  # bit n: the value n matches
    rules: tuple[DayRule, ...] = ()
    hashed: bool = False  # its values are those of which `hashed.py` chooses

    @property
    def values(self) -> Sequence[int]:
        """The values that match, ascending; hashable. Without those days that depend on the month: `rules` has them."""
        return listed(self.mask)

    @property
    def star(self) -> bool:
        """Whether the text begins with ``*``, which is what Vixie cron's rules for days and for clock changes look at."""
        return self.text.startswith("*")

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)
def listed(mask: int) -> Sequence[int]:
    """The numbers of the bits of *mask*."""
    count = mask.bit_count()
    if count < 8:  # one after the other is quicker then
        numbers = []
        while mask:
            lowest = mask & -mask
            numbers.append(lowest.bit_length() - 1)
            mask ^= lowest
        return tuple(numbers)
    if count > 100:
        first, end = (mask & -mask).bit_length() - 1, mask.bit_length()
        if end - first == count:
            return range(first, end)  # not spelled out: a year has 8,030 values
    return tuple([number for number, bit in enumerate(bin(mask)[:1:-1]) if bit == "1"])


class _Kind:
    """What values a field takes."""

    __slots__ = ("all", "default", "examples", "hash_high", "high", "low", "names", "values")

    def __init__(
        self,
        low: int,
        high: int,
        default: str,
        names: Sequence[str] = (),
        hash_high: int = 0,
        examples: Sequence[str] = (),
    ):
        self.low = low
        self.high = high
        self.default = default  # if a more significant field is given and this one is not
        self.names = names
        self.examples = examples  # of what only this field takes
        self.hash_high = hash_high or high  # so that a hashed value is one of every month or year
        self.all = (1 << high + 1) - (1 << low)
        # How people write most values, looked up instead of read.
        self.values = {str(number): number for number in range(low, min(high, 99) + 1)}
        self.values.update({f"0{number}": number for number in range(low, min(high, 9) + 1)})
        self.values.update({name: number for number, name in enumerate(names, low)})


_KINDS = {
    "year": _Kind(1970, 9999, "*"),
    "month": _Kind(1, 12, "1", MONTHS),
    "day": _Kind(
        1, 31, "1", hash_high=28, examples=("'L'", "'L-3'", "'15W'", "'LW'", _WORDS.removesuffix(", "))
    ),
    "week": _Kind(1, 53, "*", hash_high=52),
    "day_of_week": _Kind(0, 6, "*", WEEKDAYS, examples=("'fri#2'", "'friL'")),
    "hour": _Kind(0, 23, "0"),
    "minute": _Kind(0, 59, "0"),
    "second": _Kind(0, 59, "0"),
}

#: In the order of significance, which is also that of the constructor's arguments and of `CronTrigger.fields`.
FIELD_NAMES = tuple(_KINDS)

# Nine digits are more than any value has, and few enough to be made a number without a thought.
_VALUE = "[0-9]{1,9}|[a-z]+"
_STEP = "(?:/([0-9]{1,9}))?"
_TERM = re.compile(rf"(?:\*|({_VALUE})(?:-({_VALUE}))?){_STEP}")
_HASHED = re.compile(rf"h(?:\(({_VALUE})-({_VALUE})\))?{_STEP}")
_NTH_WEEKDAY = re.compile(r"(1st|2nd|3rd|4th|5th|last)(?: ([a-z]+))?")
_NEAREST = re.compile(r"(?:l(?:-([0-9]{1,9}))?|([0-9]{1,9}))(w?)")
_WEEKDAY_OF_MONTH = re.compile(rf"({_VALUE})#([0-9]{{1,9}})|([0-9]{{1,9}}|[a-z]{{3}})l")


def parse_fields(texts: Sequence[str | None]) -> tuple[CronField, ...]:
    """All fields, of *texts* in the order of FIELD_NAMES, each as `parse_field` takes it. After the least significant one that is given, all are at
    their minimum.
    """
    last_given = len(texts) - 1
    while last_given >= 0 and texts[last_given] is None:
        last_given -= 1
    fields = []
    for i, name in enumerate(FIELD_NAMES):
        text = texts[i]
        if text is not None:
            fields.append(_parse(name, text, False))
        else:
            fields.append(_parse(name, _KINDS[name].default if i > last_given >= 0 else "*", True))
    return tuple(fields)


def parse_field(name: str, text: str | None, fill: bool) -> CronField:
    """The field *name* as *text* (lower case, no superfluous blanks) has it; None: left out, which is its default if *fill* (a more significant
    one was given), else ``*``.

    Raises CronExpressionError.
    """
    if text is None:
        return _parse(name, _KINDS[name].default if fill else "*", True)
    return _parse(name, text, False)


@lru_cache(maxsize=4096)
def _parse(name: str, text: str, is_default: bool) -> CronField:
    if text == "*":
        return CronField(name, text, is_default, _KINDS[name].all)
    value = _KINDS[name].values.get(text)
    if value is not None:
        return CronField(name, text, is_default, 1 << value)
    if len(text) > LONGEST:
        shown = f"{text[:30]}…"
        raise field_error(
            name, shown, f"its {len(text):,} characters are more than the {LONGEST:,} it may have"
        )
    mask = 0
    rules: dict[DayRule, None] = {}  # each once, in their order
    shown_terms = []
    hashed = False
    for term in text.split(","):
        rule, shown = _rule(name, text, term)
        if rule is not None:
            rules[rule] = None
        elif "h" in term and (found := _HASHED.fullmatch(term)) is not None:
            hashed = True
            mask |= sum(1 << value for value in _hashed_range(name, text, found)[0])
            shown = f"H{term[1:]}"
        else:
            mask |= _term_mask(name, text, term)
        shown_terms.append(shown)
    return CronField(name, ",".join(shown_terms), is_default, mask, tuple(rules), hashed)


def _rule(name: str, text: str, term: str) -> tuple[DayRule | None, str]:
    """The rule in a term, None if it is none; and how the term is shown."""
    if name == "day":
        rule = _day_rule(text, term)
        # "last" and "2nd fri" are words; "L-3" and "15W" are shown as they are always written.
        return rule, term if rule is None or term == "last" or " " in term else term.upper()
    if name == "day_of_week":
        rule = _weekday_rule(text, term)
        return rule, f"{term[:-1]}L" if rule is not None and term[-1] == "l" else term
    return None, term


def _day_rule(text: str, term: str) -> DayRule | None:
    """The rule in a term of `day`; None: it is none."""
    found = _NEAREST.fullmatch(term)
    if found is not None:
        before, day, nearest = found.groups()
        if day is None:
            if before is not None and not 1 <= int(before) <= 30:
                raise field_error("day", text, "{} must be between 1 and 30 days before the last one", term)
            return DayRule(-1 - int(before or 0), None, bool(nearest))
        return DayRule(_value("day", text, day), None, True) if nearest else None
    found = _NTH_WEEKDAY.fullmatch(term)
    if found is None:
        return None
    nth, weekday = found.groups()
    if weekday is None:
        # "last" alone is a day; "2nd" alone is nothing.
        if nth != "last":
            raise field_error("day", text, f"{{}} lacks a weekday, as in '{term} fri'", term)
        return DayRule(-1, None)
    if weekday not in WEEKDAYS:
        raise field_error("day", text, f"{{}} is not one of {', '.join(WEEKDAYS)}", weekday)
    return DayRule(_NTH[nth], WEEKDAYS.index(weekday))


def _weekday_rule(text: str, term: str) -> DayRule | None:
    """The rule in a term of `day_of_week`; None: it is none."""
    found = _WEEKDAY_OF_MONTH.fullmatch(term)
    if found is None:
        return None
    weekday, nth, last = found.groups()
    if last is not None:
        return DayRule(-1, _value("day_of_week", text, last))
    if not 1 <= int(nth) <= 5:
        raise field_error("day_of_week", text, f"a month has between 1 and 5 of a weekday, not {int(nth)}")
    return DayRule(int(nth), _value("day_of_week", text, weekday))


def _term_mask(name: str, text: str, term: str) -> int:
    kind = _KINDS[name]
    value = kind.values.get(term)
    if value is not None:
        return 1 << value
    if len(term) == 4 and term.isdecimal() and term.isascii():
        return 1 << _value(name, text, term)  # a year
    found = _TERM.fullmatch(term)
    if found is None:
        raise _not_understood(name, text, term) if term else field_error(name, text, "a part of it is empty")
    begin, end, every = found.groups()
    size = kind.high - kind.low + 1
    step = 1 if every is None else int(every)
    if not 1 <= step < size:
        raise field_error(name, text, f"the step in {{}} must be between 1 and {size - 1}", term)
    if begin is None:
        return _stepped(kind.low, kind.high, step)
    first = _value(name, text, begin)
    if end is not None:
        last = _value(name, text, end)
    else:
        last = first if every is None else kind.high
    if first <= last:
        return _stepped(first, last, step)
    if name == "year":
        raise field_error(name, text, "the range {} ends before it begins", term)
    mask = _stepped(first, kind.high, step)
    # The steps go on where they stepped over the end.
    onward = first + ((kind.high - first) // step + 1) * step - size
    return mask if onward > last else mask | _stepped(onward, last, step)


def _stepped(first: int, last: int, step: int) -> int:
    """The bits *first*, *first* + *step* and so on, up to *last*."""
    count = (last - first) // step + 1
    if count < 16:
        return sum(1 << value for value in range(first, last + 1, step))
    return ((1 << count * step) - 1) // ((1 << step) - 1) << first


def hashed_values(name: str, text: str, term: str) -> tuple[list[int], int | None] | None:
    """The values of which a hashed *term* chooses, in their order, and its step; None: it is not hashed."""
    found = _HASHED.fullmatch(term)
    return None if found is None else _hashed_range(name, text, found)


def _hashed_range(name: str, text: str, found: re.Match[str]) -> tuple[list[int], int | None]:
    kind = _KINDS[name]
    if name == "year":
        raise field_error(name, text, "a year cannot be left to the job's hash")
    begin, end, every = found.groups()
    if begin is None:
        values = list(range(kind.low, kind.hash_high + 1))
    else:
        first, last = _value(name, text, begin), _value(name, text, end)
        length = (last - first) % (kind.high - kind.low + 1) + 1
        values = [*range(first, min(first + length, kind.high + 1))]
        values += range(kind.low, kind.low + length - len(values))
    if every is None:
        return values, None
    step = int(every)
    if not 1 <= step <= len(values):
        # A step over all values is as good as none: it is taken, but not offered; nor is it in "*/60".
        most = max(len(values) - 1, 1)
        raise field_error(name, text, f"the step in {{}} must be between 1 and {most}", found[0])
    return values, step


def _value(name: str, text: str, value: str) -> int:
    kind = _KINDS[name]
    known = kind.values.get(value)
    if known is not None:
        return known
    if not value.isdecimal():
        names = f"its names are {', '.join(kind.names)}" if kind.names else f"expected are {_forms(name)}"
        raise field_error(name, text, f"{{}} is not a value of this field; {names}", value)
    number = int(value)
    if not kind.low <= number <= kind.high:
        meaning = ": 0 is Monday, 6 Sunday" if name == "day_of_week" else ""
        raise field_error(name, text, f"{number} is not between {kind.low} and {kind.high}{meaning}")
    return number


def _not_understood(name: str, text: str, term: str) -> CronExpressionError:
    return field_error(name, text, f"{{}} is not understood; expected are {_forms(name)}", term)


def _forms(name: str) -> str:
    """What may stand in a field, with examples."""
    kind = _KINDS[name]
    low, high = kind.low, kind.high
    begin, end = ("mon", "fri") if name == "day_of_week" else (low + 1, low + 5)
    values = f"{low} to {high}"
    if kind.names:
        values = "0 (Monday) to 6 (Sunday)" if name == "day_of_week" else values
        values += f" or {', '.join(kind.names)}"
    forms = [f"'{begin}-{end}'", "'*/2'", f"'{begin}-{end}/2'", *kind.examples]
    if name != "year":
        forms.append("'H'")
    return f"values {values}, {', '.join(forms)}, or several of these with commas"


def field_error(name: str, text: str, reason: str, piece: str = "") -> CronExpressionError:
    """The error about the field *name*; the *piece* of its *text* that it is about stands in *reason* at ``{}``."""
    message = f"cron field {name}={text!r}: {reason.replace('{}', repr(piece))}"
    if text.startswith("@") or text.count(" ") >= 4:
        message += "; a crontab line is made a trigger by CronTrigger.from_crontab(...)"
    error = CronExpressionError(message, name, text)
    error._reason = reason, piece
    return error
