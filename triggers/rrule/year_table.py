"""How many times the days of a year have, for counting a year, or some of its days, at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, Self

from .days import year_begin

__all__ = ["YearTable"]


class YearTable(NamedTuple):
    """The days of a year that have times, counted from its first day *begin*; and before each of them, and after the last, the sum of all times until then."""

    begin: int
    days: Sequence[int]
    sums: Sequence[int]

    @classmethod
    def of(cls, year: int, days: Iterable[int], counts: Iterable[int]) -> Self:
        begin = year_begin(year)
        return cls(begin, tuple([day - begin for day in days]), tuple(accumulate(counts, initial=0)))

    def of_year(self, year: int) -> Self:
        """The table of a year that is like this one."""
        return self._replace(begin=year_begin(year))

    def between(self, begin: int, end: int) -> int:
        """How many times are on the days from *begin* until before *end*, as far as they are in the year."""
        first = bisect_left(self.days, begin - self.begin)
        return self.sums[max(bisect_left(self.days, end - self.begin), first)] - self.sums[first]
