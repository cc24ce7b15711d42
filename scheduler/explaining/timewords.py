"""Times in words for people: a moment with how far it is from now, and a length of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def moment(at: datetime, now: datetime) -> str:
    """``2026-03-02 12:05:00 UTC (in 4 min)``."""
    return f"{clock_time(at)} ({relative(at, now)})"


def clock_time(at: datetime) -> str:
    """``2026-03-02 12:05:00 UTC``: in the zone that it has, with its milliseconds only where it has some."""
    shown = at.replace(tzinfo=None)
    if not shown.microsecond // 1_000:
        text = shown.isoformat(" ", "seconds")
    else:
        text = shown.isoformat(" ", "milliseconds")
    return f"{text} {at:%Z}".rstrip()


def relative(at: datetime, now: datetime) -> str:
    """``in 4 min``, ``2 h 5 min ago``; ``now`` for what is less than half a second away."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < 0.5:
        return "now"
    return f"in {length(seconds)}" if seconds > 0 else f"{length(-seconds)} ago"


def length(seconds: float | timedelta) -> str:
    """``4 min``, ``2 h 5 min``, ``0.25 s``: the two largest units, the rest is dropped."""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if seconds < 10 and seconds != int(seconds):
        return f"{round(seconds, 1 if seconds >= 1 else 3):g} s"
    left = round(seconds)
    parts = []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break  # "2 h", and not "2 h 5 s"
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"
