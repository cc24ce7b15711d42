"""The policies of civil time: what becomes of wall times that a clock skips, and of those that it shows twice."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

__all__ = ["Gap", "Overlap", "as_gap", "as_overlap"]


class Gap(StrEnum):
    """What becomes of wall times that a clock skips when it is put forward. Berlin, 29 March 2026, a schedule of 02:15, 02:45 and 03:30::

        wall   01:45   01:59│03:00   03:15   03:30   03:45
        AFTER               ●                ●               02:15 and 02:45 are one run, at the first instant after the gap
        SKIP                                 ●               they do not run that day
        SHIFT                       ●        ●       ●       they run as much later as the clock was put forward

    Runs that fall on the same instant are one run.
    """

    AFTER = "after"
    SKIP = "skip"
    SHIFT = "shift"


class Overlap(StrEnum):
    """Which of the two, if a clock that is put back shows a wall time twice. Berlin, 25 October 2026, a schedule of 02:30::

    wall   02:00   02:30   02:59│02:00   02:30   02:59   03:00
    FIRST            ●
    SECOND                               ●
    BOTH             ●                   ●
    """

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


_Policy = TypeVar("_Policy", bound=StrEnum)


def as_gap(value: Gap | str | None, default: Gap) -> Gap:
    """The policy that an argument ``gap`` means, None being *default*. Raises ValueError, naming the choices."""
    return default if value is None else _policy(Gap, "gap", value)


def as_overlap(value: Overlap | str | None, default: Overlap) -> Overlap:
    """The policy that an argument ``overlap`` means, None being *default*. Raises ValueError, naming the choices."""
    return default if value is None else _policy(Overlap, "overlap", value)


def _policy(kind: type[_Policy], name: str, value: object) -> _Policy:
    try:
        return kind(value)  # type: ignore[arg-type]  # whatever it is: what is none of them is refused
    except ValueError:
        choices = ", ".join(repr(choice.value) for choice in kind)
        raise ValueError(f"{name}: expected one of {choices}, got {value!r}") from None
