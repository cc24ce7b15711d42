"""The options of a job: what each may be, and what is said when it is something else."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def checked_option(name: str, value: Any) -> Any:
    """The value as the job keeps it. Raises TypeError or ValueError that name the option, what it was given and what it takes."""
    return _CHECKS[name](name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}: {value!r}")
    if not value:
        raise ValueError(f"{name} must be a non-empty string")
    return str(value)  # a subclass might bring comparisons of its own


def _grace(name: str, value: Any) -> float | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{name} must be None (no limit) or a positive number of seconds, got {type(value).__name__}: {value!r}"
        )
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be None (no limit) or a positive number of seconds, got {value!r}")
    return value


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


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "id": _text,
    "name": _text,
    "executor": _text,
    "misfire_grace_time": _grace,
    "coalesce": _flag,
    "max_instances": _count,
    "recovery": _recovery,
    "max_recoveries": lambda name, value: _count(name, value, 0),
}
