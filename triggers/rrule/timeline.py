"""What of a rule's text holds at instants, where a wall time is not enough to say it: in the hours that a clock change skips or repeats.

A date in UTC, or of another zone, says which pass of an overlap it means, and no policy moves it; so does an UNTIL in UTC. Far from clock changes an instant and
its wall time are the same, and these are not needed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import resolution
from ..base import NoFireTimeFoundError
from ..offsets import ZoneOffsets
from ..policies import Gap, Overlap
from .day_times import DAY, DayTimes

__all__ = ["Stretch", "Timeline"]

# A search that was given up has looked at more than these days (see `sets.py`): what lies inside of them is the answer.
_SEARCHED = 36_500 * DAY


class Stretch(NamedTuple):
    """From second *first* until *last*, both inclusive, the runs are those of *times*; but for single dates, none of *excluded*."""

    first: int
    last: int
    times: DayTimes
    excluded: DayTimes


class Timeline:
    """The runs of consecutive stretches of time, with single ones added and taken away. All times are seconds since the epoch, UTC."""

    __slots__ = ("_added", "_gap", "_offsets", "_overlap", "_removed", "_stretches")

    def __init__(
        self,
        stretches: Sequence[Stretch],
        added: Iterable[int],
        removed: Iterable[int],
        offsets: ZoneOffsets,
        policies: tuple[Gap, Overlap],
    ) -> None:
        self._stretches = stretches
        self._offsets = offsets
        self._gap, self._overlap = policies
        without = set(removed)
        # What is kept is only what makes a difference, so that it can be counted.
        self._removed = sorted(second for second in without if self._scheduled(second))
        self._added = sorted(
            second
            for second in set(added) - without
            if not self._scheduled(second) and not self._excluded(second)
        )

    def next(self, second: int) -> int | None:
        """The first run not before *second*."""
        i = bisect_left(self._added, second)
        single = self._added[i] if i < len(self._added) else None
        for first, last, times, _ in self._stretches:
            if last < second:
                continue
            if single is not None and single < first:
                return single
            asked = max(first, second)
            try:
                run = self._next_of(times, asked)
            except NoFireTimeFoundError:
                if single is not None and single < max(asked, times.begin - DAY) + _SEARCHED:
                    return single
                raise
            if run is not None and run <= last:
                return run if single is None else min(run, single)
        return single

    def previous(self, second: int) -> int | None:
        """The last run not after *second*."""
        i = bisect_right(self._added, second)
        single = self._added[i - 1] if i else None
        for first, last, times, _ in reversed(self._stretches):
            if first > second:
                continue
            if single is not None and single > last:
                return single
            asked = min(last, second)
            try:
                run = self._previous_of(times, asked)
            except NoFireTimeFoundError:
                if single is not None and single > min(asked, times.end + DAY) - _SEARCHED:
                    return single
                raise
            if run is not None and run >= first:
                return run if single is None else max(run, single)
        return single

    def count(self, first: int, last: int) -> int:
        """How many runs are from *first* until *last*, both inclusive."""
        if first > last:
            return 0
        total = 0
        for begin, end, times, _ in self._stretches:
            # Clock changes of years in which it does not fire are not gone through: no zone is as far from UTC as two days.
            begin, end = max(begin, first, times.begin - 2 * DAY), min(end, last, times.end + 2 * DAY)
            total += resolution.count_runs(times, self._offsets, self._gap, self._overlap, begin, end)
        total += bisect_right(self._added, last) - bisect_left(self._added, first)
        return total - bisect_right(self._removed, last) + bisect_left(self._removed, first)

    def silent_from(self, second: int) -> int:
        """A second not before *second*, before which it runs in every second from there on."""
        if not self.count(second, second):
            return second
        _, last, times, _ = self._stretch(second)
        span = self._offsets.at(second)
        if not span.calm <= second < span.until:
            return second + 1
        silent = min(times.next_gap(second + span.offset) - span.offset, span.until, last + 1)
        i = bisect_left(self._removed, second)
        return max(min([silent, *self._removed[i : i + 1]]), second + 1)

    def _next_of(self, times: DayTimes, second: int) -> int | None:
        run = resolution.next_run(times, self._offsets, self._gap, self._overlap, second)
        while run is not None and self._is_removed(run):
            run = resolution.next_run(times, self._offsets, self._gap, self._overlap, run + 1)
        return run

    def _previous_of(self, times: DayTimes, second: int) -> int | None:
        run = resolution.previous_run(times, self._offsets, self._gap, self._overlap, second)
        while run is not None and self._is_removed(run):
            run = resolution.previous_run(times, self._offsets, self._gap, self._overlap, run - 1)
        return run

    def _is_removed(self, second: int) -> bool:
        i = bisect_left(self._removed, second)
        return i < len(self._removed) and self._removed[i] == second

    def _stretch(self, second: int) -> Stretch:
        return next(stretch for stretch in self._stretches if second <= stretch.last)

    def _scheduled(self, second: int) -> bool:
        """Whether the stretches have a run at *second*. By counting, which never searches."""
        times = self._stretch(second).times
        return resolution.count_runs(times, self._offsets, self._gap, self._overlap, second, second) > 0

    def _excluded(self, second: int) -> bool:
        """Whether *second* is one that an excluded wall time stands for. It takes away nothing but what the clock shows at that time."""
        excluded = self._stretch(second).excluded
        return resolution.count_runs(excluded, self._offsets, Gap.SKIP, self._overlap, second, second) > 0
