"""The options of a job: what each may be, and what is said when it is something else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from .serialization.references import resolve_reference


def checked_option(name: str, value: Any) -> Any:
    """The value as the job keeps it. Raises TypeError or ValueError that name the option, what it was given and what it takes."""
    return _CHECKS[name](name, value)


def stored_option(name: str, value: Any) -> Any:
    """The same for what a store has kept, which may be anything by now: nothing is imported for it."""
    if name != "retry_on":
        return _CHECKS[name](name, value)
    if not isinstance(value, list | tuple) or not value or not all(type(one) is str for one in value):
        raise TypeError(
            f"{name} must be a list of references to exception classes, got {type(value).__name__}"
        )
    return tuple(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}: {value!r}")
    if not value:
        raise ValueError(f"{name} must be a non-empty string")
    return str(value)  # a subclass might bring comparisons of its own


def _limit(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value, "None (no limit) or a positive number of seconds")


def _pause(name: str, value: Any) -> float:
    return _number(name, value, "a number of seconds, 0 or more", least=0)


def _factor(name: str, value: Any) -> float:
    if isinstance(value, timedelta):
        raise TypeError(f"{name} must be a number of at least 1 (a factor), got {value!r}")
    return _number(name, value, "a number of at least 1 (the factor by which a delay grows)", least=1)


def _number(name: str, value: Any, expected: str, least: float | None = None) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be {expected}, got {type(value).__name__}: {value!r}")
    # An int may be larger than that, and no clock can count with it.
    if not (0 < value <= sys.float_info.max if least is None else least <= value <= sys.float_info.max):
        raise ValueError(f"{name} must be {expected}, got {value!r}")
    return value


def exception_classes(name: str, value: Any) -> tuple[str, ...]:
    """References of exception classes, given as classes or as references, one or several."""
    if isinstance(value, str | type) or not isinstance(value, Iterable):
        value = (value,)
    references = tuple(dict.fromkeys(_exception(name, one) for one in value))
    if not references:
        raise ValueError(
            f"{name} must name at least one exception class; for a job that is not to be retried, leave max_retries at 0"
        )
    return references


def _exception(name: str, value: Any) -> str:
    cls = value
    if isinstance(value, str):
        try:
            cls = resolve_reference(value)
        except LookupError as exc:
            raise LookupError(f"{name}: {exc}") from exc
        except ValueError as exc:
            raise ValueError(
                f"{name}: {value!r} is not a reference to an exception class: expected 'package.module:Class', such as 'builtins:OSError'"
            ) from exc
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        named = "" if cls is value else f", which names no exception class, but {cls!r:.100}"
        raise TypeError(
            f"{name} must be exception classes, or references to them ('module:Class'), got {type(value).__name__}: {value!r}{named}"
        )
    return f"{cls.__module__}:{cls.__qualname__}"


def _flag(name: str, value: Any) -> bool:
    # APScheduler takes the truth of whatever it is given; a non-empty text such as "false" would count as true there.
    if isinstance(value, str):
        raise TypeError(f"{name} must be True or False, got the text {value!r}")
    return bool(value)


def _count(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be an integer of at least {least}, got {type(value).__name__}: {value!r}"
        )
    if value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return value


def _recovery(name: str, value: Any) -> str:
    if value not in ("skip", "rerun"):
        raise ValueError(
            f"{name} must be 'skip' (a lost run is listed, never started again) or 'rerun', got {value!r}"
        )
    return str(value)


def _while_running(name: str, value: Any) -> str:
    if value not in ("skip", "queue"):
        raise ValueError(
            f"{name} must be 'skip' (a fire time that finds no room is skipped) or 'queue' (the job runs once more right after), got {value!r}"
        )
    return str(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "id": _text,
    "name": _text,
    "executor": _text,
    "misfire_grace_time": _limit,
    "coalesce": _flag,
    "max_instances": _count,
    "recovery": _recovery,
    "max_recoveries": lambda name, value: _count(name, value, 0),
    "timeout": _limit,
    "max_retries": lambda name, value: _count(name, value, 0),
    "retry_delay": _pause,
    "backoff": _factor,
    "max_delay": _limit,
    "retry_jitter": _pause,
    "retry_on": exception_classes,
    "keep_failed": _flag,
    "while_running": _while_running,
}
