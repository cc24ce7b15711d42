"""Crontab lines: dialects, each translated into the fields of `CronTrigger`, which have one meaning only.

    dialect         fields                                      weekdays                    day of month and weekday
    "unix"          minute hour day month weekday,              0 and 7 are Sunday          either of them, unless one begins with ``*``
                    or with the second in front of it
    "quartz"        second minute hour day month weekday,       1 is Sunday, 7 Saturday     one of them; the other is ``?``
                    and the year behind it if wanted
    "apscheduler"   minute hour day month weekday               0 is Monday, 6 Sunday       both of them

"unix" is crontab(5) of Vixie cron, with what other programs have added and people have come to expect: seconds, ``L``, ``W``, ``#``, ``?``, ``H``. "quartz" is
org.quartz.CronExpression: what that refuses is refused here, but for years after 2099 and ``H``. "apscheduler" is what APScheduler 3 makes of the same text.
Names of months and weekdays, macros, and ranges that wrap around the end are in all of them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from . import weekdays
from .fields import FIELD_NAMES, WEEKDAYS, CronExpressionError, field_error, parse_fields

__all__ = ["parse_crontab"]

# The eight fields' texts, in the order of FIELD_NAMES, and whether either of the two day fields suffices.
_Parsed = tuple[tuple[str | None, ...], bool]

_FIVE = ("minute", "hour", "day", "month", "day_of_week")
_SIX = ("second", *_FIVE)
_SEVEN = (*_SIX, "year")
_ORDERS = {"unix": (_FIVE, _SIX), "quartz": (_SIX, _SEVEN), "apscheduler": (_FIVE,)}
_LAYOUTS = {
    "unix": "the 5 of a crontab, minute, hour, day, month, day of week, or 6 with the second in front",
    "quartz": "6, second, minute, hour, day, month, day of week, or 7 with the year",
    "apscheduler": "the 5 of a crontab, minute, hour, day, month, day of week",
}
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_DIALECTS = "'unix', 'quartz' or 'apscheduler'"
_LONGEST = 2_000  # characters: each of seven fields with all its values is shorter

# The letters of a line's day of month; `CronTrigger`'s own field understands more ("last", "2nd fri").
_DAY_LETTERS = {"l", "w", "lw", "h"}


def parse_crontab(expression: str, dialect: str) -> _Parsed:
    """The fields of *expression*. Raises CronExpressionError for text that is not understood, ValueError for an unknown dialect."""
    if not isinstance(dialect, str):
        raise TypeError(f"dialect: expected {_DIALECTS}, got {dialect!r} of type {type(dialect).__name__}")
    if dialect not in _ORDERS:
        raise ValueError(f"dialect: there is none called {dialect!r}; give {_DIALECTS}")
    if not isinstance(expression, str):
        raise TypeError(f"a crontab expression is expected as text, got {expression!r}")
    return _parse(expression, dialect)


@lru_cache(maxsize=1024)
def _parse(expression: str, dialect: str) -> _Parsed:
    if len(expression) > _LONGEST:
        shown = f"{expression[:30]}…"
        reason = f"{shown!r} has {len(expression):,} characters, more than the {_LONGEST:,} it may have"
        raise CronExpressionError(reason, None, shown)
    _check_line(expression)
    text = expression.strip()
    if text.startswith("@"):
        text, dialect = _macro(text.lower(), expression), "unix"  # @weekly is Sunday in each of them
    parts = text.split()
    names = next((names for names in _ORDERS[dialect] if len(names) == len(parts)), None)
    if names is None:
        _check_command(parts, expression, dialect)
        reason = f"{expression!r} has {len(parts)} fields; expected are {_LAYOUTS[dialect]}"
        raise CronExpressionError(reason, None, expression)
    given = dict(zip(names, parts, strict=True))
    try:
        return _translated(given, dialect)
    except CronExpressionError as error:
        _check_command(parts, expression, dialect)
        if error.field is None:
            raise
        raise error.as_given(given[error.field], in_line=dialect != "apscheduler") from None


def _translated(given: dict[str, str], dialect: str) -> _Parsed:
    fields = {name: part.lower() for name, part in given.items()}
    either = False
    if dialect == "unix":
        either = _from_unix(fields)
    elif dialect == "quartz":
        _from_quartz(fields)
    texts = tuple([fields.get(name) for name in FIELD_NAMES])
    parse_fields(texts)  # here, where it is known what was given
    return texts, either


def _check_line(expression: str) -> None:
    """Refuse what stands in a crontab beside the fields: this reads none of it, and must not take it for fields."""
    text = expression.strip()
    reason = None
    if len(text.splitlines()) > 1:
        reason = "is broken over several lines; all fields stand on one"
    elif zone := re.match(r"(?:CRON_)?TZ=(\S*)", text, re.IGNORECASE):
        reason = f"begins with a time zone: leave out {zone[0]!r}, and give timezone={zone[1]!r}"
    elif comment := re.search(r"(?:^|(?<=\s))#.*", text):
        reason = f"has a comment: leave out {comment[0]!r}"
    if reason is not None:
        raise CronExpressionError(f"{expression!r} {reason}", None, expression)


def _check_command(parts: list[str], expression: str, dialect: str) -> None:
    """Refuse a line, which is known not to be understood, with the advice to leave out the command, if there is one behind the fields."""
    for names in _ORDERS[dialect]:
        behind = parts[len(names) :]
        # A name of a weekday that is written out is a mistake of another kind.
        if (
            not behind
            or not re.match(r"[a-z_]{2}|[/.~$]", behind[0], re.IGNORECASE)
            or _like_weekday(behind[0])
        ):
            continue
        try:
            _translated(dict(zip(names, parts[: len(names)], strict=True)), dialect)
        except CronExpressionError:
            continue
        command = expression.split(maxsplit=len(names))[-1].strip()
        reason = f"{expression!r} has a command behind its {len(names)} fields: leave out {command!r}"
        raise CronExpressionError(reason, None, expression)


def _like_weekday(part: str) -> bool:
    return part[:3].lower() in WEEKDAYS


def _macro(text: str, expression: str) -> str:
    if text in _MACROS:
        return _MACROS[text]
    macro = text.split(maxsplit=1)[0]
    reason = f"{expression!r} is not one of {', '.join(_MACROS)}"
    if macro in _MACROS:
        command = expression.split(maxsplit=1)[1].strip()
        reason = f"{expression!r} has a command behind {macro}: leave out {command!r}"
    elif macro == "@every":
        reason = f"{expression!r}: time between runs is not for a cron trigger, but for an IntervalTrigger; expected are {', '.join(_MACROS)}"
    elif macro == "@reboot":
        reason = "@reboot is not a time: a job that is to run when the program starts is added without a trigger (once, now)"
    raise CronExpressionError(reason, None, expression)


def _from_unix(fields: dict[str, str]) -> bool:
    """Translates *fields* in place. The answer is whether either of the two day fields suffices."""
    day, weekday = fields["day"], fields["day_of_week"]
    _check_letters(day)
    fields["day"] = "*" if day == "?" else day
    fields["day_of_week"] = "*" if weekday == "?" else weekdays.by_name(weekday, weekdays.UNIX)
    # Vixie's star rule looks at how the texts begin, not at what they mean.
    return day[0] not in "*?" and weekday[0] not in "*?"


def _from_quartz(fields: dict[str, str]) -> None:
    """Translates *fields* in place."""
    for name, part in fields.items():
        if "/" in part:
            # "/5" is short for "*/5".
            fields[name] = ",".join([f"*{term}" if term[:1] == "/" else term for term in part.split(",")])
    day, weekday = fields["day"], fields["day_of_week"]
    if (day == "?") == (weekday == "?"):
        reason = "is expected in one of the two fields day and day of week, the one that does not count"
        shown = f"cron fields day={day!r}, day_of_week={weekday!r}: a '?' {reason}"
        raise CronExpressionError(shown, "day_of_week", weekday)
    if day == "?":
        _check_alone("day_of_week", weekday, "[l#]")
        # Alone, it is the last day of Quartz's week.
        fields["day"] = "*"
        fields["day_of_week"] = "sat" if weekday == "l" else weekdays.by_name(weekday, weekdays.QUARTZ)
    else:
        _check_alone("day", day, "[lw]")
        _check_letters(day)
        fields["day_of_week"] = "*"


def _check_alone(name: str, part: str, special: str) -> None:
    if "," in part and (found := re.search(special, part)):
        raise field_error(
            name, part, f"{found[0].upper()!r} is for a single day in this dialect, not for a list"
        )


def _check_letters(day: str) -> None:
    for letters in re.findall("[a-z]+", day):
        if letters not in _DAY_LETTERS:
            reason = "{} is not understood; a crontab's day of month has numbers, L, W and H, as in '1-5', '*/2', 'L-3', '15W'"
            raise field_error("day", day, reason, letters)
