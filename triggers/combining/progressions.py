"""Arithmetic progressions of instants, which bound intervals are, and where two of them meet."""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

from ..instants import FIRST_INSTANT, LAST_INSTANT
from ..interval import IntervalTrigger

__all__ = ["NOTHING", "WHOLE_SECONDS", "Progression", "meet", "progression_of"]


class Progression(NamedTuple):
    """The instants *first*, *first + step*, *first + 2 step* … up to *last*, inclusive (µs since the epoch, UTC)."""

    first: int
    step: int
    last: int

    def next_after(self, instant: int) -> int | None:
        following = self.first
        if instant >= following:
            following = instant + self.step - (instant - following) % self.step
        return following if following <= self.last else None

    def previous_before(self, instant: int) -> int | None:
        latest = min(instant - 1, self.last)
        return latest - (latest - self.first) % self.step if latest >= self.first else None

    def count_between(self, after: int, until: int) -> int:
        until = min(until, self.last)
        after = max(after, self.first - 1)
        return max(0, (until - self.first) // self.step - (after - self.first) // self.step)


#: What a trigger on the wall clock can fire on.
WHOLE_SECONDS = Progression(FIRST_INSTANT, 1_000_000, LAST_INSTANT)

#: No instant at all.
NOTHING = Progression(LAST_INSTANT, 1, FIRST_INSTANT)


def progression_of(trigger: object) -> Progression | None:
    """The fire times of an interval trigger that has its start; None for anything else, a user's subclass too."""
    if type(trigger) is not IntervalTrigger or trigger._start is None:
        return None
    return Progression(trigger._start, trigger._step, trigger._end)


def meet(one: Progression, other: Progression) -> Progression | None:
    """The instants that both have, by the Chinese remainder theorem.

    None if their steps never bring them together; if only their ends keep them apart, *first* is later than *last*.
    """
    common = gcd(one.step, other.step)
    apart = other.first - one.first
    if apart % common:
        return None
    cycle = other.step // common
    # So many steps of the first lead to a common instant: the one from which all the others follow.
    steps = apart // common * pow(one.step // common, -1, cycle) % cycle
    met, step = one.first + steps * one.step, one.step * cycle
    earliest = max(one.first, other.first)
    return Progression(earliest + (met - earliest) % step, step, min(one.last, other.last))
