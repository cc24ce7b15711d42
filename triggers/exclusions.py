"""What an `ExcludingTrigger` leaves out: whole days, single moments, the fire times of other triggers.

Each kind answers the same question forwards and backwards: from this instant, which is the nearest one that it does not exclude? A search
leaps from there, so a holiday or a weekend costs a step, not one step a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import tzinfo
from typing import Protocol

from .civil import CivilTrigger
from .instants import FIRST_INSTANT, LAST_INSTANT
from .offsets import offsets_of
from .progressions import Progression
from .sources import Source, Steps

__all__ = ["Days", "Exclusion", "Moments", "Range", "Seconds", "Times"]

_SECOND = 1_000_000
_DAY = 86_400
_FIRST = FIRST_INSTANT // _SECOND
_LAST = LAST_INSTANT // _SECOND


class Exclusion(Protocol):
    """A set of instants that are left out."""

    def free_from(self, instant: int, steps: Steps) -> int:
        """*instant* if it is not excluded; else a later one before which all are excluded or at which nothing can fire."""

    def free_until(self, instant: int, steps: Steps) -> int:
        """The same backwards."""


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
        return self._free(instant)

    def excludes(self, instant: int) -> bool:
        return self._free(instant) != instant

    def _free(self, instant: int) -> int:
        second = instant // _SECOND
        while True:
            span = self._offsets.at(second)
            run = self._runs.get((second + span.offset) // _DAY)
            if run is None or second > _LAST:
                return max(instant, second * _SECOND)
            # A change of the clock may come first, and show another day, or the same one once more.
            second = min(run[1] * _DAY - span.offset, span.end)

    def free_until(self, instant: int, steps: Steps) -> int:
        second = instant // _SECOND
        while True:
            span = self._offsets.at(second)
            run = self._runs.get((second + span.offset) // _DAY)
            # Before the calendar there is no earlier span to go on in.
            if run is None or second < _FIRST:
                return min(instant, second * _SECOND + _SECOND - 1)
            second = max(run[0] * _DAY - span.offset, span.start) - 1

    def stretches(self, after: int, until: int) -> Iterator[tuple[int, int]]:
        """The stretches of days in between, as what is later than the one instant and not later than the other."""
        begin = self._free(after + 1)
        while begin <= until:
            end = self._next_excluded(begin)
            yield begin - 1, min(end - 1, until)
            if end > until:
                break
            begin = self._free(end)

    def _next_excluded(self, instant: int) -> int:
        """The first instant not before *instant* that is excluded; far beyond the calendar if none is."""
        second = instant // _SECOND
        while True:
            if second > _LAST:
                return LAST_INSTANT * 2
            span = self._offsets.at(second)
            day = (second + span.offset) // _DAY
            if day in self._runs:
                return max(instant, second * _SECOND)
            i = bisect_left(self._begins, day)
            # A clock that is put back over midnight shows the day before again, and Manila's was put back by a whole day.
            if i == len(self._begins) and (
                not self._begins or (day - 2 not in self._runs and day - 1 not in self._runs)
            ):
                return LAST_INSTANT * 2
            begin = self._begins[i] * _DAY - span.offset if i < len(self._begins) else span.end
            second = min(begin, span.end)


class Moments:
    """Single instants."""

    __slots__ = ("_instants",)

    def __init__(self, instants: tuple[int, ...]) -> None:
        self._instants = frozenset(instants)

    def free_from(self, instant: int, steps: Steps) -> int:
        return instant + 1 if instant in self._instants else instant

    def free_until(self, instant: int, steps: Steps) -> int:
        return instant - 1 if instant in self._instants else instant


class Range:
    """All instants from the first to the last of a progression: what is asked about has no others in between."""

    __slots__ = ("_first", "_last")

    def __init__(self, covered: Progression) -> None:
        self._first = covered.first
        self._last = covered.last

    def free_from(self, instant: int, steps: Steps) -> int:
        return self._last + 1 if self._first <= instant <= self._last else instant

    def free_until(self, instant: int, steps: Steps) -> int:
        return self._first - 1 if self._first <= instant <= self._last else instant


class Times:
    """The exact instants at which a trigger fires."""

    __slots__ = ("_source",)

    def __init__(self, source: Source) -> None:
        self._source = source

    def free_from(self, instant: int, steps: Steps) -> int:
        return instant + 1 if self._source.next(instant - 1, steps) == instant else instant

    def free_until(self, instant: int, steps: Steps) -> int:
        return instant - 1 if self._source.previous(instant + 1, steps) == instant else instant


class Seconds:
    """The whole seconds in which a trigger fires that fires on whole seconds only, such as a cron trigger."""

    __slots__ = ("_civil", "_source")

    def __init__(self, source: Source, civil: CivilTrigger | None) -> None:
        """*civil* is the trigger itself, if it can tell where a run of seconds ends."""
        self._source = source
        self._civil = civil

    def free_from(self, instant: int, steps: Steps) -> int:
        second = instant - instant % _SECOND
        if self._source.next(second - 1, steps) != second:
            return instant
        after = second + _SECOND
        return after if self._civil is None else max(after, self._civil.silent_from(second))

    def free_until(self, instant: int, steps: Steps) -> int:
        second = instant - instant % _SECOND
        if self._source.previous(second + 1, steps) != second:
            return instant
        return (second if self._civil is None else _first_of_run(self._civil, second)) - 1


def _first_of_run(trigger: CivilTrigger, last: int) -> int:
    """The first of the consecutive seconds (µs) up to *last* in all of which *trigger* fires. It doubles its steps, then halves them."""

    def fires_throughout(first: int) -> bool:
        return trigger.count_between(first - 1, last) == (last - first) // _SECOND + 1

    first, step = last, _SECOND
    while first - step >= FIRST_INSTANT and fires_throughout(first - step):
        first -= step
        step *= 2
    while step > _SECOND:
        step //= 2
        if first - step >= FIRST_INSTANT and fires_throughout(first - step):
            first -= step
    return first
