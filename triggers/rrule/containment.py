"""Whether one recurrence rule has all the times of another, as far as their parts show it."""

from __future__ import annotations

from dataclasses import replace

from .days import counts_in_months
from .text import Parts

__all__ = ["contains"]

# The parts each of which leaves only those times that have one of its values.
_FILTERS = ("month", "monthday", "yearday", "weekno", "easter", "hour", "minute", "second")


def contains(parts: Parts, others: Parts, aligned: bool) -> bool:
    """Whether all times of *others* are times of *parts*, of which nothing is left to be taken from a start. False also if that is not seen.

    *aligned* says that both count their periods from the same start. COUNT and UNTIL are not regarded.
    """
    aligned = aligned and (parts.freq, parts.wkst) == (others.freq, others.wkst)
    if aligned and replace(parts, count=None, until=None) == replace(others, count=None, until=None):
        return True
    # All periods, or at least those of the other; and all times of each that have what is asked for.
    if parts.setpos or not (parts.interval == 1 or (aligned and others.interval % parts.interval == 0)):
        return False
    if parts.weekno and parts.wkst != others.wkst:
        return False
    for name in _FILTERS:
        wanted, given = getattr(parts, name), getattr(others, name)
        if wanted and not (given and set(given) <= set(wanted)):
            return False
    return not parts.weekday or _weekdays_within(others, parts)


def _weekdays_within(parts: Parts, others: Parts) -> bool:
    """Whether each weekday of *parts* is one of those of *others*, with the same number in the same stretch or without one."""
    same = counts_in_months(parts) == counts_in_months(others)
    known = set(others.weekday)
    return bool(parts.weekday) and all(
        (weekday, 0) in known or (same and (weekday, number) in known) for weekday, number in parts.weekday
    )
