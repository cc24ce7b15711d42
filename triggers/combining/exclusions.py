"""What an `ExcludingTrigger` leaves out: whole days, single moments, the fire times of other triggers.

Each kind answers the same question forwards and backwards: from this instant, which is the nearest one that it does not exclude? A search
leaps from there, so a holiday or a weekend costs a step, not one step a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import tzinfo
from typing import Protocol

from ..civil import CivilTrigger
from ..instants import FIRST_INSTANT, LAST_INSTANT
from ..offsets import offsets_of
from .progressions import Progression, meet
from .sources import MAX_LEAPS, Nested, Plain, Source, Steps

__all__ = [
    "Days",
    "Exclusion",
    "Moments",
    "Range",
    "Seconds",
    "Times",
    "civil_of",
    "coinciding",
    "count_excluded",
    "count_free",
]

_SECOND = 1_000_000
_DAY = 86_400
_FIRST = FIRST_INSTANT // _SECOND
_LAST = LAST_INSTANT // _SECOND
_NEVER = LAST_INSTANT * 2
# Runs of seconds are followed so far in one question: 48 days.
_LONGEST = _SECOND << 22
# Each interval that is left out of another by arithmetic doubles the work.
_MOST_MEETINGS = 6


class Exclusion(Protocol):
    """A set of instants that are left out. Every question to one takes a step, or those of its source."""

    def free_from(self, instant: int, steps: Steps) -> int:
        """*instant* if it is not excluded; else a later one before which all are excluded or at which nothing can fire."""

    def free_until(self, instant: int, steps: Steps) -> int:
        """The same backwards."""

    def excluded_from(self, instant: int, steps: Steps, until: int) -> int:
        """The first instant not before *instant* that is excluded; if that is later than *until*, any later one."""


class Days:
    """Whole days of a zone's calendar, however long a clock change makes them."""

    __slots__ = ("_begins", "_offsets", "_runs")

    def __init__(self, days: tuple[int, ...], zone: tzinfo) -> None:
        """*days*, sorted, are numbered from 1970-01-01."""
        self._offsets = offsets_of(zone)
        begins: list[int] = []
        ends: list[int] = []
        for day in days:
            if ends and ends[-1] == day:
                ends[-1] += 1
            else:
                begins.append(day)
                ends.append(day + 1)
        self._begins = begins  # of the runs of consecutive days
        # The run that each day belongs to, its end exclusive.
        self._runs = {
            day: (begin, end) for begin, end in zip(begins, ends, strict=True) for day in range(begin, end)
        }

    def free_from(self, instant: int, steps: Steps) -> int:
        steps.left -= 1
        second = instant // _SECOND
        while True:
            span = self._offsets.at(second)
            run = self._runs.get((second + span.offset) // _DAY)
            if run is None or second > _LAST:
                return max(instant, second * _SECOND)
            # A change of the clock may come first, and show another day, or the same one once more.
            second = min(run[1] * _DAY - span.offset, span.end)

    def free_until(self, instant: int, steps: Steps) -> int:
        steps.left -= 1
        second = instant // _SECOND
        while True:
            span = self._offsets.at(second)
            run = self._runs.get((second + span.offset) // _DAY)
            # Before the calendar there is no earlier span to go on in.
            if run is None or second < _FIRST:
                return min(instant, second * _SECOND + _SECOND - 1)
            second = max(run[0] * _DAY - span.offset, span.start) - 1

    def excluded_from(self, instant: int, steps: Steps, until: int) -> int:
        second = instant // _SECOND
        while True:
            if second > _LAST:
                return _NEVER
            span = self._offsets.at(second)
            day = (second + span.offset) // _DAY
            if day in self._runs:
                return max(instant, second * _SECOND)
            i = bisect_left(self._begins, day)
            # A clock that is put back over midnight shows the day before again, and Manila's was put back by a whole day.
            if i == len(self._begins) and (
                not self._begins or (day - 2 not in self._runs and day - 1 not in self._runs)
            ):
                return _NEVER
            begin = self._begins[i] * _DAY - span.offset if i < len(self._begins) else span.end
            second = min(begin, span.end)


class Moments:
    """Single instants."""

    __slots__ = ("_instants", "_sorted")

    def __init__(self, instants: tuple[int, ...]) -> None:
        """*instants* are sorted."""
        self._instants = frozenset(instants)
        self._sorted = instants

    def free_from(self, instant: int, steps: Steps) -> int:
        steps.left -= 1
        return instant + 1 if instant in self._instants else instant

    def free_until(self, instant: int, steps: Steps) -> int:
        steps.left -= 1
        return instant - 1 if instant in self._instants else instant

    def excluded_from(self, instant: int, steps: Steps, until: int) -> int:
        place = bisect_left(self._sorted, instant)
        return self._sorted[place] if place < len(self._sorted) else _NEVER


class Range:
    """All instants from the first to the last of a progression: what is asked about has no others in between."""

    __slots__ = ("_first", "_last")

    def __init__(self, covered: Progression) -> None:
        self._first = covered.first
        self._last = covered.last

    def free_from(self, instant: int, steps: Steps) -> int:
        steps.left -= 1
        return self._last + 1 if self._first <= instant <= self._last else instant

    def free_until(self, instant: int, steps: Steps) -> int:
        steps.left -= 1
        return self._first - 1 if self._first <= instant <= self._last else instant

    def excluded_from(self, instant: int, steps: Steps, until: int) -> int:
        return max(instant, self._first) if instant <= self._last else _NEVER


class Times:
    """The exact instants at which a trigger fires."""

    __slots__ = ("source",)

    def __init__(self, source: Source) -> None:
        self.source = source

    def free_from(self, instant: int, steps: Steps) -> int:
        return instant + 1 if self.source.next(instant - 1, steps, instant) == instant else instant

    def free_until(self, instant: int, steps: Steps) -> int:
        return instant - 1 if self.source.previous(instant + 1, steps, instant) == instant else instant

    def excluded_from(self, instant: int, steps: Steps, until: int) -> int:
        fire = self.source.next(instant - 1, steps, until)
        return _NEVER if fire is None else fire


class Seconds:
    """The whole seconds in which a trigger fires that fires on whole seconds only, such as a cron trigger."""

    __slots__ = ("_civil", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        # It can tell where a run of seconds ends.
        self._civil = civil_of(source)

    def free_from(self, instant: int, steps: Steps) -> int:
        second = instant - instant % _SECOND
        if self._source.next(second - 1, steps, second) != second:
            return instant
        after, civil = second + _SECOND, self._civil
        if civil is None:
            return after
        steps.left -= 1
        silent = civil.silent_from(second)
        if silent > after:
            return silent
        # Near a clock change it does not look farther than a second.
        if self._source.next(second, steps, after) == after:
            return _end_of_run(civil, after, _SECOND, steps) + _SECOND
        return after

    def free_until(self, instant: int, steps: Steps) -> int:
        second = instant - instant % _SECOND
        if self._source.previous(second + 1, steps, second) != second:
            return instant
        return (second if self._civil is None else _end_of_run(self._civil, second, -_SECOND, steps)) - 1

    def excluded_from(self, instant: int, steps: Steps, until: int) -> int:
        fire = self._source.next(instant - instant % _SECOND - 1, steps, until)
        return _NEVER if fire is None else max(fire, instant)


def _end_of_run(trigger: CivilTrigger, second: int, step: int, steps: Steps) -> int:
    """The last of the consecutive seconds (µs) from *second* on in all of which *trigger* fires, or one before it that is months away.

    Forwards, or backwards with a negative *step* of a second, which is doubled, then halved.
    """

    def fires_until(other: int) -> bool:
        steps.left -= 2
        low, high = sorted([second, other])
        if low < FIRST_INSTANT or high > LAST_INSTANT:
            return False
        return trigger.count_between(low - 1, high) == (high - low) // _SECOND + 1

    while abs(step) < _LONGEST and fires_until(second + step):
        second += step
        step *= 2
    while abs(step) > _SECOND:
        step //= 2
        if fires_until(second + step):
            second += step
    return second


def civil_of(source: Source) -> CivilTrigger | None:
    """The trigger of the wall clock that is asked, if it is one."""
    return (
        source.instants if isinstance(source, Plain) and isinstance(source.instants, CivilTrigger) else None
    )


def progression_in(source: Source) -> Progression | None:
    """The progression that is asked, if it is one."""
    return source.instants if isinstance(source, Plain) and isinstance(source.instants, Progression) else None


def coinciding(source: Source, others: Source) -> Exclusion:
    """The moments at which *source* fires, to leave them out of those of *others*."""
    grid = progression_in(others)
    if grid is not None:
        whole = grid.first % _SECOND == grid.step % _SECOND == 0
    elif isinstance(others, Nested):
        whole = others.trigger.whole_seconds
    else:
        whole = civil_of(others) is not None
    # By runs of seconds, where that is the same.
    return Seconds(source) if whole and civil_of(source) is not None else Times(source)


def count_free(source: Source, exclusions: Sequence[Exclusion], after: int, until: int) -> int:
    """How many of the fire times of *source* in (after, until] are not excluded.

    It goes by the days and runs of seconds that are excluded, and by arithmetic between intervals; else by the times of *source* or those that are
    excluded, whichever are fewer.
    """
    grid = progression_in(source)
    others = [progression_in(each.source) if isinstance(each, Times) else None for each in exclusions]
    if grid is not None and sum(other is not None for other in others) <= _MOST_MEETINGS:
        for i, other in enumerate(others):
            if other is not None:
                rest = [*exclusions[:i], *exclusions[i + 1 :]]
                met = meet(grid, other)
                gone = 0 if met is None else count_free(Plain(met), rest, after, until)
                return count_free(source, rest, after, until) - gone
    return source.count(after, until) - count_excluded(source, exclusions, after, until)


def count_excluded(source: Source, exclusions: Sequence[Exclusion], after: int, until: int) -> int:
    """How many of the fire times of *source* in (after, until] are excluded. The farther they are apart on either side, the faster."""
    if not exclusions:
        return 0
    total, steps, at = 0, Steps(), after + 1
    while at <= until:
        steps.left = MAX_LEAPS
        fire = source.next(at - 1, steps, until)
        if fire is None or fire > until:
            break
        at = min([exclusion.excluded_from(fire, steps, until) for exclusion in exclusions])
        if at == fire:
            for exclusion in exclusions:
                at = exclusion.free_from(at, steps)
            last = min(at - 1, until)
            total += 1 if last == fire else source.count(fire - 1, last)
    return total
