"""Wall times as days and the times of each day: what a schedule of that kind answers once it can name its days."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from .days import LAST_DAY

__all__ = ["DAY", "NO_DAY", "DayTimes", "index_from"]

DAY = 86_400

# What a new schedule has as its most recent answer: none.
NO_DAY: tuple[int, Sequence[int]] = (LAST_DAY + 1, ())


def index_from(values: Sequence[int], value: int) -> int:
    """The index of the first of *values*, which are in order, that is not less than *value*; their number, if there is none."""
    if type(values) is range:
        # By division: a search would make an integer of each element that it looks at.
        return min(max((value - values.start + values.step - 1) // values.step, 0), len(values))
    return bisect_left(values, value)


class DayTimes(ABC):
    """`WallTimes` out of days and the times of each. Safe to share between threads: what is kept is only ever replaced whole."""

    __slots__ = ("_recent", "begin", "end")

    begin: int  # no match is before this wall second
    end: int  # or after this one
    _recent: tuple[int, Sequence[int]]  # the day of the last answer, and its times

    @abstractmethod
    def times(self, day: int) -> Sequence[int]:
        """The seconds of *day* that match, in order; `begin` and `end` not regarded."""

    @abstractmethod
    def days_from(self, day: int) -> Iterator[int]:
        """The days that may have times, from *day* on, until there can be none any more."""

    @abstractmethod
    def days_until(self, day: int) -> Iterator[int]:
        """The same from *day* backwards."""

    @abstractmethod
    def _count_days(self, begin: int, end: int) -> int:
        """How many times the days from *begin* until before *end* have."""

    def next(self, wall: int) -> int | None:
        if wall < self.begin:
            wall = self.begin
        day, second = divmod(wall, DAY)
        recent, times = self._recent
        if day == recent:
            i = index_from(times, second)
            if i < len(times):
                match = day * DAY + times[i]
                return match if match <= self.end else None
            day, second = day + 1, 0
        return self._next_on_days(day, second)

    def _next_on_days(self, day: int, second: int) -> int | None:
        """The first match not before *second* of *day*, which may not be the day of the last answer."""
        for found in self.days_from(day):
            times = self.times(found)
            i = bisect_left(times, second) if found == day else 0
            if i < len(times):
                self._recent = found, times
                match = found * DAY + times[i]
                return match if match <= self.end else None
        return None

    def previous(self, wall: int) -> int | None:
        day, second = divmod(min(wall, self.end), DAY)
        for found in self.days_until(day):
            times = self.times(found)
            i = bisect_left(times, second + 1) if found == day else len(times)
            if i:
                match = found * DAY + times[i - 1]
                return match if match >= self.begin else None
        return None

    def count(self, begin: int, end: int) -> int:
        begin, end = max(begin, self.begin), min(end, self.end + 1)
        if begin >= end:
            return 0
        first, from_second = divmod(begin, DAY)
        last, to_second = divmod(end, DAY)
        total = self._count_days(first, last) if first < last else 0
        if from_second:
            total -= bisect_left(self.times(first), from_second)
        return total + bisect_left(self.times(last), to_second) if to_second else total

    def next_gap(self, wall: int) -> int:
        if not self.begin <= wall <= self.end:
            return wall
        day, second = divmod(wall, DAY)
        times = self.times(day)
        i = bisect_left(times, second)
        while i < len(times) and times[i] == second:
            i, second = i + 1, second + 1
        return min(day * DAY + second, self.end + 1)

    def within(self, day: int) -> Sequence[int]:
        """The seconds of *day* that match, `begin` and `end` regarded."""
        times = self.times(day)
        begin, end = self.begin - day * DAY, self.end - day * DAY
        if begin > 0 or end < DAY - 1:
            times = times[bisect_left(times, begin) : bisect_left(times, end + 1)]
        return times
