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
from .fields import FIELD_NAMES, CronExpressionError

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
_LONGEST = 2_000  # characters: each of seven fields with all its values is shorter

# The letters of a line's day of month; `CronTrigger`'s own field understands more ("last", "2nd fri").
_DAY_LETTERS = {"l", "w", "lw", "h"}


def parse_crontab(expression: str, dialect: str) -> _Parsed:
    """The fields of *expression*. Raises CronExpressionError for text that is not understood, ValueError for an unknown dialect."""
    if dialect not in _ORDERS:
        raise ValueError(f"there is no crontab dialect {dialect!r}: give 'unix', 'quartz' or 'apscheduler'")
    if not isinstance(expression, str):
        raise TypeError(f"a crontab expression is expected as text, got {expression!r}")
    return _parse(expression, dialect)


@lru_cache(maxsize=1024)
def _parse(expression: str, dialect: str) -> _Parsed:
    if len(expression) > _LONGEST:
        shown = f"{expression[:30]}…"
        reason = f"{shown!r} has {len(expression):,} characters, more than the {_LONGEST:,} it may have"
        raise CronExpressionError(reason, None, shown)
    text = expression.strip().lower()
    if text.startswith("@"):
        text, dialect = _macro(text, expression), "unix"  # @weekly is Sunday in each of them
    parts = text.split()
    names = next((names for names in _ORDERS[dialect] if len(names) == len(parts)), None)
    if names is None:
        reason = f"{expression!r} has {len(parts)} fields; expected are {_LAYOUTS[dialect]}"
        raise CronExpressionError(reason, None, expression)
    fields = dict(zip(names, parts, strict=True))
    either = False
    if dialect == "unix":
        either = _from_unix(fields)
    elif dialect == "quartz":
        _from_quartz(fields)
    return tuple([fields.get(name) for name in FIELD_NAMES]), either


def _macro(text: str, expression: str) -> str:
    if text in _MACROS:
        return _MACROS[text]
    reason = f"{expression!r} is not one of {', '.join(_MACROS)}"
    if text == "@reboot":
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
        raise CronExpressionError(
            f"cron fields day={day!r}, day_of_week={weekday!r}: a '?' {reason}", "day_of_week", weekday
        )
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
        raise _error(name, part, f"{found[0].upper()!r} is for a single day in this dialect, not for a list")


def _check_letters(day: str) -> None:
    for letters in re.findall("[a-z]+", day):
        if letters not in _DAY_LETTERS:
            raise _error(
                "day", day, f"{letters!r} is not understood; a crontab's day of month has numbers, L, W and H"
            )


def _error(name: str, part: str, reason: str) -> CronExpressionError:
    return CronExpressionError(f"cron field {name}={part!r}: {reason}", name, part)
