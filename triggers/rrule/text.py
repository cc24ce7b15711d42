"""Recurrence rules as they are written (RFC 5545, sections 3.3.10 and 3.8.5): the lines of a rule's text, its dates, and the parts of its rules.

python-dateutil reads the parts. What it lets pass and then answers wrongly, never or with today's date is refused here: an INTERVAL of 0 (it would
search for ever), a number before a weekday where there is no month or year to count in (it would drop the number), and dates that are not whole (it would
fill them up from the clock).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from ..zones import as_zone

__all__ = [
    "DAILY",
    "FREQUENCIES",
    "HOURLY",
    "MINUTELY",
    "MONTHLY",
    "SECONDLY",
    "WEEKLY",
    "YEARLY",
    "Moment",
    "Parts",
    "RuleText",
    "read_rule",
    "to_wall",
]

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY = range(7)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (wall times have no zone)
#: A calendar's set of rules has one or two; whoever can write to a job store could have a search take minutes.
MAX_RULES: Final = 200

_PROPERTY = re.compile(r"(DTSTART|RRULE|EXRULE|RDATE|EXDATE)((?:;[^:]*)?):", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.ASCII)
_PARAMETER = re.compile(r';(?:TZID="?([^;"]+)"?|VALUE=DATE(?:-TIME)?|X-[A-Z0-9-]+=[^;]*)', re.IGNORECASE)
_WEEKDAYS = {name: day for day, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_WKST = re.compile("MO|TU|WE|TH|FR|SA|SU")
# Also dateutil's own form, MO(+1).
_BYDAY = re.compile(rf"[+-]?[0-9]{{0,9}}(?:{_WKST.pattern})|(?:{_WKST.pattern})\([+-]?[0-9]{{1,9}}\)")
_NUMBER = re.compile("[+-]?[0-9]{1,9}")
_QUOTED = 200  # characters of a text that errors quote
_NUMBERED = re.compile(r"([+-]?\d*)(MO|TU|WE|TH|FR|SA|SU)")

# The least and the greatest value of each part that is a list of numbers; of those that count from the end too, also the negatives, and never 0.
_RANGES = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (1, 31),
    "BYYEARDAY": (1, 366),
    "BYWEEKNO": (1, 53),
    "BYSETPOS": (1, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "BYEASTER": (-366, 366),
}
_FROM_THE_END = frozenset({"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"})
_OURS = frozenset({"INTERVAL", "COUNT", "UNTIL"})
_KNOWN = frozenset({"FREQ", "WKST", "BYDAY", *_RANGES, *_OURS})


class Moment(NamedTuple):
    """A date of a rule's text: wall seconds, and the zone of that wall (None: that of the trigger)."""

    wall: int
    zone: tzinfo | None


@dataclass(frozen=True, slots=True)
class Parts:
    """One RRULE or EXRULE as it is written; nothing is inferred yet. What is not given is empty."""

    freq: int
    interval: int
    wkst: int  # 0 is Monday
    count: int | None
    until: Moment | None
    month: tuple[int, ...]
    monthday: tuple[int, ...]
    yearday: tuple[int, ...]
    weekno: tuple[int, ...]
    weekday: tuple[tuple[int, int], ...]  # the weekday and its number, 0 if it has none
    easter: tuple[int, ...]
    hour: tuple[int, ...]
    minute: tuple[int, ...]
    second: tuple[int, ...]
    setpos: tuple[int, ...]


class RuleText(NamedTuple):
    """What stands in the text of a rule, or of a set of them."""

    text: str  # in normal form
    start: Moment | None
    rules: tuple[Parts, ...]
    exrules: tuple[Parts, ...]
    rdates: tuple[Moment, ...]
    exdates: tuple[Moment, ...]


@lru_cache(maxsize=512)
def read_rule(text: str) -> RuleText:
    """The rule that *text* means: ``FREQ=…;…``, or lines with DTSTART, RRULE, EXRULE, RDATE and EXDATE (folded or not).

    Raises ValueError that names the piece of text that is not understood.
    """
    starts: list[Moment] = []
    dates: dict[str, list[Moment]] = {"DTSTART": starts, "RDATE": [], "EXDATE": []}
    rules: dict[str, list[Parts]] = {"RRULE": [], "EXRULE": []}
    lines = []
    for given in _lines(text):
        line, shown = "".join(given.split()), _shown(given)
        name, parameters, value = _property(line, shown)
        if name in rules:
            if parameters:
                raise ValueError(
                    f"rule: {shown!r}: {name} takes no parameters, got {_shown(parameters[1:])!r}"
                )
            pairs = _pairs(given[given.index(":") + 1 :] if ":" in line else given)
            value = "".join(";".join(pairs).upper().split())
            rules[name].append(_read_parts(shown, pairs))
            if len(rules[name]) > MAX_RULES:
                raise ValueError(
                    f"rule: more than {MAX_RULES} lines of {name}: each is asked at every search"
                )
        else:
            zone = _zone(parameters, shown)
            dates[name] += [_moment(date, zone, shown) for date in value.split(",")]
            value = value.upper()
        lines.append(f"{name}{parameters}:{value}")
    if len(starts) > 1:
        raise ValueError(f"rule: {_shown(text)!r} has more than one DTSTART")
    if not rules["RRULE"] and not dates["RDATE"]:
        raise ValueError(
            f"rule: {_shown(text)!r} has neither an RRULE nor an RDATE, and so no time at which to fire"
        )
    normal = lines[0].removeprefix("RRULE:") if len(lines) == 1 else "\n".join(lines)
    return RuleText(
        normal,
        starts[0] if starts else None,
        tuple(rules["RRULE"]),
        tuple(rules["EXRULE"]),
        tuple(dates["RDATE"]),
        tuple(dates["EXDATE"]),
    )


def to_wall(moment: datetime) -> int:
    """The wall seconds of a datetime: what its clock shows, whatever its zone. Less than a second is dropped, as dateutil does."""
    since = moment.replace(tzinfo=None) - _EPOCH
    return since.days * 86_400 + since.seconds


def _shown(text: str) -> str:
    """A text as errors quote it: as it was given, but not a whole file."""
    text = text.strip()
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _lines(text: str) -> list[str]:
    """The properties in *text*, each with the blanks and line breaks that it was given with. What does not begin with a property's name
    goes on with the one before: so RFC 5545 folds long lines.
    """
    begins: list[int] = []
    end = 0
    for piece in re.finditer(r"\S+", text):
        if not begins or _PROPERTY.match(piece[0]):
            begins.append(piece.start())
        end = piece.end()
    if not begins:
        raise ValueError(
            "rule: the text is empty: expected 'FREQ=…;…', or lines such as DTSTART:… and RRULE:…"
        )
    return [text[begin:until].strip() for begin, until in pairwise([*begins, end])]


def _property(line: str, where: str) -> tuple[str, str, str]:
    """Name, parameters and value of one line without blanks; the name in capitals."""
    found = _PROPERTY.match(line)
    if found is None:
        if ":" in line:
            raise ValueError(
                f"rule: {where!r} is not understood: the lines known are DTSTART, RRULE, EXRULE, RDATE and EXDATE"
            )
        if "=" not in line:
            raise ValueError(
                f"rule: {where!r} is not understood: expected 'FREQ=…;…' (as in 'FREQ=WEEKLY;BYDAY=MO'), or lines such as DTSTART:… and RRULE:…"
            )
        return "RRULE", "", line
    name, parameters = found.groups()
    value = line[found.end() :]
    if ":" in value and "TZID=" in parameters.upper():
        # The name of a zone may have a colon in it ("UTC+02:00"); a date has none.
        tail, _, value = value.rpartition(":")
        parameters += f":{tail}"
    return name.upper(), parameters, value.strip(";")


def _zone(parameters: str, line: str) -> tzinfo | None:
    """The zone in the parameters of a line of dates."""
    zone = None
    at = 0
    while at < len(parameters):
        found = _PARAMETER.match(parameters, at)
        if found is None:
            raise ValueError(
                f"rule: {line!r}: the parameters {_shown(parameters[1:])!r} are not understood: expected TZID=… or VALUE=DATE"
            )
        if found[1]:
            try:
                zone = as_zone(found[1])
            except ValueError as error:
                raise ValueError(f"rule: {line!r}: {error}") from None
        at = found.end()
    return zone


def _moment(text: str, zone: tzinfo | None, where: str) -> Moment:
    found = _DATE.fullmatch(text.upper())
    if found is None:
        raise ValueError(
            f"rule: {where!r}: {_shown(text)!r} is not a date: expected 20260131, 20260131T093000 or 20260131T093000Z"
        )
    *numbers, utc = found.groups(default="0")
    if utc == "Z" and zone is not None:
        raise ValueError(
            f"rule: {where!r}: {_shown(text)!r} is UTC by its Z, and has another zone by its TZID"
        )
    try:
        moment = datetime(*map(int, numbers))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise ValueError(f"rule: {where!r}: {_shown(text)!r} is not a date: {error}") from None
    return Moment(to_wall(moment), UTC if utc == "Z" else zone)


def _read_parts(where: str, pairs: list[str]) -> Parts:
    given = _split(where, pairs)
    for name in ("FREQ", "BYDAY"):
        if name in given and not given[name]:
            raise ValueError(f"rule: {where!r}: {name} is empty")
    if given.get("FREQ", "").upper() not in FREQUENCIES:
        raise ValueError(f"rule: {where!r}: FREQ must be one of {', '.join(FREQUENCIES)}")
    _check_weekdays(where, given)
    numbers = {name: _numbers(where, name, given.get(name)) for name in _RANGES}
    read = _split(where, _canonical(where, given).split(";"))
    freq = FREQUENCIES.index(read["FREQ"])
    count = _positive(where, given, "COUNT")
    until = _moment(given["UNTIL"], None, where) if "UNTIL" in given else None
    if count is not None and until is not None:
        raise ValueError(f"rule: {where!r} has both COUNT and UNTIL, of which RFC 5545 allows one")
    return Parts(
        freq=freq,
        interval=_positive(where, given, "INTERVAL") or 1,
        wkst=_WEEKDAYS[read.get("WKST", "MO")],
        count=count,
        until=until,
        month=numbers["BYMONTH"],
        monthday=numbers["BYMONTHDAY"],
        yearday=numbers["BYYEARDAY"],
        weekno=numbers["BYWEEKNO"],
        weekday=_weekdays(where, freq, given, read.get("BYDAY")),
        easter=numbers["BYEASTER"],
        hour=numbers["BYHOUR"],
        minute=numbers["BYMINUTE"],
        second=numbers["BYSECOND"],
        setpos=numbers["BYSETPOS"],
    )


def _pairs(value: str) -> list[str]:
    """The parts of a rule, as they were given. Semicolons around the rule do not count."""
    pairs = [pair.strip() for pair in value.split(";")]
    filled = [i for i, pair in enumerate(pairs) if pair]
    return pairs[filled[0] : filled[-1] + 1] if filled else [""]


def _split(where: str, pairs: list[str]) -> dict[str, str]:
    """What the parts say, by their names in capitals; without blanks, in the letters that they were given in."""
    parts: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = "".join(pair.split()).partition("=")
        name = name.upper()
        name = "BYDAY" if name == "BYWEEKDAY" else name  # dateutil's own name for it
        if not equals or name not in _KNOWN:
            raise ValueError(
                f"rule: {where!r}: {_shown(pair)!r} is not understood: the parts known are {', '.join(sorted(_KNOWN))}"
            )
        if name in parts:
            raise ValueError(f"rule: {where!r}: {name} is given twice")
        parts[name] = text
    return parts


def _check_weekdays(where: str, given: dict[str, str]) -> None:
    """Raise ValueError for what is no weekday in BYDAY and WKST: dateutil would say it in words of its own program."""
    for name, form, more in (
        ("BYDAY", _BYDAY, ", or one with its number in the month or year, as in -1FR"),
        ("WKST", _WKST, ""),
    ):
        for day in given[name].split(",") if name in given else ():
            if not form.fullmatch(day.upper()):
                raise ValueError(
                    f"rule: {where!r}: {name}: expected {', '.join(_WEEKDAYS)}{more}; got {_shown(day)!r}"
                )


def _canonical(where: str, given: dict[str, str]) -> str:
    """What dateutil has read, as it writes it itself: there are several ways to number a weekday."""
    from dateutil.rrule import rrulestr  # here: only those who have such rules need it

    # A week begins on Monday if nothing is said; dateutil would ask the module calendar, which a program may have set otherwise.
    asked = {"WKST": "MO", **given}
    text = ";".join(f"{name}={text.upper()}" for name, text in asked.items() if name not in _OURS)
    try:
        # The date only keeps it from reading the clock.
        rule = rrulestr(text, dtstart=_EPOCH)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"rule: {where!r} is not understood: {error}") from None
    return str(rule).rpartition("RRULE:")[2]


def _positive(where: str, given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise ValueError(f"rule: {where!r}: {name} must be a positive integer, got {_shown(text)!r}")
    return int(text)


def _numbers(where: str, name: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    low, high = _RANGES[name]
    numbers = set()
    for given in text.split(","):
        # dateutil passes over a day 0 and takes any month.
        number = int(given) if _NUMBER.fullmatch(given) else None
        if number is None or not low <= (abs(number) if name in _FROM_THE_END else number) <= high:
            negative = f" or {-high} to {-low}" if name in _FROM_THE_END else ""
            shown = repr(_shown(given)) if number is None else number
            raise ValueError(f"rule: {where!r}: {name} must be {low} to {high}{negative}, got {shown}")
        numbers.add(number)
    return tuple(sorted(numbers))


def _weekdays(where: str, freq: int, given: dict[str, str], text: str | None) -> tuple[tuple[int, int], ...]:
    if text is None:
        return ()
    if (freq > MONTHLY or "BYWEEKNO" in given) and any(letter.isdigit() for letter in given["BYDAY"]):
        raise ValueError(
            f"rule: {where!r}: BYDAY has a number before a weekday, which only FREQ=MONTHLY and FREQ=YEARLY (without BYWEEKNO) can count"
        )
    days = set()
    for number, name in _NUMBERED.findall(text):
        if abs(int(number or 0)) > 53:
            raise ValueError(
                f"rule: {where!r}: the number before a weekday must be 1 to 53 or -53 to -1, got {_shown(number)}"
            )
        days.add((_WEEKDAYS[name], int(number or 0)))
    return tuple(sorted(days))
