"""The fields of an old cron trigger, back as the text that they were made of."""

from __future__ import annotations

from typing import Any, Final

from .standins import RefusedPickleError, StandIn

__all__ = ["FIELDS", "cron_fields"]

FIELDS: Final = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
_PREFIX = "apscheduler.triggers.cron.expressions:"
# A weekday's position in the month is kept as its index in this list.
_POSITIONS = ("1st", "2nd", "3rd", "4th", "5th", "last")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_fields(fields: Any) -> list[tuple[str, bool, str]]:
    """Of each field its name, whether it was left out, and its text. Raises RefusedPickleError for what is no list of cron fields."""
    if type(fields) is not list or len(fields) > 50:
        raise RefusedPickleError("its cron trigger has no list of fields")
    return [_field(field) for field in fields]


def _field(field: Any) -> tuple[str, bool, str]:
    state = field.state if isinstance(field, StandIn) else {}
    name, expressions = state.get("name"), state.get("expressions")
    if name not in FIELDS or type(expressions) is not list or not 0 < len(expressions) <= 1_000:
        raise RefusedPickleError("its cron trigger has a field that is none")
    return name, state.get("is_default") is True, ",".join([_expression(one) for one in expressions])


def _expression(expression: Any) -> str:
    if not isinstance(expression, StandIn) or not expression.reference.startswith(_PREFIX):
        raise RefusedPickleError("its cron trigger has an expression that is none of APScheduler's")
    kind, state = expression.reference.removeprefix(_PREFIX).removesuffix("Expression"), expression.state
    if kind == "All":
        return f"*{_step(state)}"
    if kind == "LastDayOfMonth":
        return "last"
    if kind == "WeekdayPosition":
        return f"{_POSITIONS[_index(state, 'option_num', 5)]} {_WEEKDAYS[_index(state, 'weekday', 6)]}"
    first, last = _number(state, "first"), state.get("last")
    # "5/2" has no last; the names of months and weekdays have become numbers.
    if last is None:
        return f"{first}{_step(state)}"
    last = _number(state, "last")
    return f"{first}{_step(state)}" if first == last and not _step(state) else f"{first}-{last}{_step(state)}"


def _step(state: dict[str, Any]) -> str:
    return "" if state.get("step") is None else f"/{_number(state, 'step')}"


def _index(state: dict[str, Any], name: str, greatest: int) -> int:
    index = _number(state, name)
    if index > greatest:
        raise RefusedPickleError(f"its cron trigger has an expression whose {name} is {index}")
    return index


def _number(state: dict[str, Any], name: str) -> int:
    value = state.get(name)
    if type(value) is not int or not 0 <= value <= 9_999:
        raise RefusedPickleError(f"its cron trigger has an expression whose {name} is no number")
    return value
