"""Crontab lines: dialects, each translated into the fields of `CronTrigger`, which have one meaning only.

"unix"          crontab(5) of Vixie cron: 0 and 7 are Sunday; day of month or weekday, unless one of them begins with "*"
"apscheduler"   as APScheduler 3 reads it: the fields of `CronTrigger` as they are, 0 is Monday, both days must match
"""

from __future__ import annotations

import re

from .fields import FIELD_NAMES, WEEKDAYS, CronExpressionError

__all__ = ["parse_crontab"]

# The eight fields' texts, in the order of FIELD_NAMES, and whether either of the two day fields suffices.
_Parsed = tuple[tuple[str | None, ...], bool]

_ORDER = ("minute", "hour", "day", "month", "day_of_week")
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

# crontab(5) numbers weekdays 0 to 7 from Sunday to Sunday.
_UNIX_WEEKDAYS = ("sun", *WEEKDAYS)
_WEEKDAY_TERM = re.compile(
    r"(?:(?P<star>\*)|(?P<first>[0-7]|[a-z]+)(?:-(?P<last>[0-7]|[a-z]+))?)(?:/(?P<step>[0-9]{1,9}))?"
)


def parse_crontab(expression: str, dialect: str) -> _Parsed:
    """The fields of *expression*. Raises CronExpressionError for text that is not understood, ValueError for an unknown dialect."""
    if dialect not in ("unix", "apscheduler"):
        raise ValueError(f"there is no crontab dialect {dialect!r}: give 'unix' or 'apscheduler'")
    if not isinstance(expression, str):
        raise TypeError(f"a crontab expression is expected as text, got {expression!r}")
    text = expression.strip().lower()
    if text.startswith("@"):
        if text not in _MACROS:
            raise CronExpressionError(f"{expression!r} is not one of {', '.join(_MACROS)}", None, expression)
        text = _MACROS[text]
        dialect = "unix"  # @weekly is Sunday in each of them
    fields = dict(zip(_ORDER, _split(text, expression), strict=True))
    either = False
    if dialect == "unix":
        for name, part in fields.items():
            _check_characters(name, part)
        either = not (fields["day"].startswith("*") or fields["day_of_week"].startswith("*"))
        fields["day_of_week"] = _unix_weekdays(fields["day_of_week"])
    return tuple(fields.get(name) for name in FIELD_NAMES), either


def _split(text: str, expression: str) -> list[str]:
    parts = text.split()
    if len(parts) != len(_ORDER):
        raise CronExpressionError(
            f"{expression!r} has {len(parts)} fields; expected are the 5 of a crontab: minute, hour, day, month, day of week",
            None,
            expression,
        )
    return parts


def _check_characters(name: str, part: str) -> None:
    """Refuse what only `CronTrigger`'s own fields understand ("last" in day)."""
    if name == "day" and re.search("[a-z]", part):
        raise CronExpressionError(
            f"cron field {name}={part!r}: a crontab's day of month is a number, a range or a list of them",
            name,
            part,
        )


def _unix_weekdays(text: str) -> str:
    """A crontab's weekdays by their names, which mean the same everywhere."""
    return ",".join(_unix_weekday_term(text, term) for term in text.split(","))


def _unix_weekday_term(text: str, term: str) -> str:
    found = _WEEKDAY_TERM.fullmatch(term)
    if found is None:
        raise _error(
            text, f"{term!r} is not understood; weekdays are 0 to 7 (0 and 7 are Sunday) or their names"
        )
    step = 1 if found["step"] is None else int(found["step"])
    if not 1 <= step <= 7:
        raise _error(text, f"the step in {term!r} must be between 1 and 7")
    if found["star"]:
        if found["step"] is None:
            return "*"
        first, last = 0, 7
    else:
        first = _unix_weekday(text, found["first"])
        if found["last"] is not None:
            last = _unix_weekday(text, found["last"])
        else:
            last = first if found["step"] is None else 7
        if last < first:
            # Around Sunday, which is both 0 and 7: sat-tue, fri-sun, 6-1.
            last += 7
    names: list[str] = []
    for number in range(first, last + 1, step):
        name = _UNIX_WEEKDAYS[number % 7]
        if name not in names:
            names.append(name)
    if len(names) == 7:
        return "*" if found["star"] else "mon-sun"
    if len(names) > 2 and step == 1:
        return f"{names[0]}-{names[-1]}"
    return ",".join(names)


def _unix_weekday(text: str, value: str) -> int:
    if value in WEEKDAYS:
        return _UNIX_WEEKDAYS.index(value)
    if value.isdecimal():
        return int(value)
    raise _error(text, f"{value!r} is not one of {', '.join(_UNIX_WEEKDAYS[:7])}")


def _error(text: str, reason: str) -> CronExpressionError:
    return CronExpressionError(f"cron field day_of_week={text!r}: {reason}", "day_of_week", text)
