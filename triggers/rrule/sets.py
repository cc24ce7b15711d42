"""The wall times of a set of recurrence rules and dates (RFC 5545: RRULE, RDATE, EXRULE, EXDATE)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ..base import NoFireTimeFoundError
from .day_times import DAY, NO_DAY, DayTimes
from .days import year_begin, year_of
from .rule import Rule
from .year_table import YearTable

__all__ = ["RuleSet"]

# What is kept of a set at most: days of times, and combinations of the times of rules.
_KEPT = 64
_KEPT_TABLES = 512

# So many days in a row on which exclusions leave nothing, and a set is given up: a hundred years of days.
_MOST_EMPTY = 36_525


class RuleSet(DayTimes):
    """The wall times of rules and single dates together, each once, without those of the rules and dates that are excluded."""

    __slots__ = (
        "_exdates",
        "_exrules",
        "_kept",
        "_rdates",
        "_rules",
        "_special",
        "_tables",
        "_together",
        "_years",
    )

    def __init__(
        self, rules: Sequence[Rule], exrules: Sequence[Rule], rdates: Iterable[int], exdates: Iterable[int]
    ) -> None:
        self._rules = rules = [left for rule in rules if (left := _left(rule, exrules)) is not None]
        self._exrules = exrules
        self._rdates = _by_day(rdates)
        self._exdates = _by_day(exdates)
        dates = [day * DAY + second for day, seconds in self._rdates.items() for second in seconds]
        self.begin = min([*dates[:1], *[rule.begin for rule in rules]], default=0)
        self.end = max([*dates[-1:], *[rule.end for rule in rules]], default=-1)
        # What is excluded may differ from one cycle of a rule to the next.
        self._years = 9_999 if exrules else None
        # The years that are not like others: those in which something begins or ends, and those of dates.
        edges = [wall // DAY for rule in (*rules, *exrules) for wall in (rule.begin, rule.end)]
        self._special = {year_of(day) for day in (*edges, *self._rdates, *self._exdates)}
        self._tables: dict[object, YearTable] = {}
        self._recent = NO_DAY
        self._kept: dict[int, Sequence[int]] = {}
        self._together: dict[tuple[tuple[int, ...], ...], tuple[object, Sequence[int]]] = {}

    def times(self, day: int) -> Sequence[int]:
        times = self._kept.get(day)
        if times is None:
            if len(self._kept) >= _KEPT:
                self._kept = {}
            times = self._kept[day] = self._times(day)
        return times

    def _times(self, day: int) -> Sequence[int]:
        several = [times for rule in self._rules if (times := rule.within(day))]
        without = [times for rule in self._exrules if (times := rule.within(day))]
        if several == without and day not in self._rdates:
            return ()
        if day in self._rdates:
            several.append(self._rdates[day])
        if day in self._exdates:
            without.append(self._exdates[day])
        if not without and len(several) <= 1:
            return several[0] if several else ()
        # Rules give the same objects on many days, which are put together once. They are kept with the answer, so that no other one can take their place in memory.
        tables = several, without
        key = tuple(map(id, several)), tuple(map(id, without))
        known = self._together.get(key)
        if known is None:
            if len(self._together) >= _KEPT:
                self._together = {}
            left = sorted({second for times in several for second in times}.difference(*without))
            known = self._together[key] = tables, left
        return known[1]

    def days_from(self, day: int) -> Iterator[int]:
        rdays = [known for known in self._rdates if known >= day]
        return self._bounded(heapq.merge(*[rule.days_from(day, self._years) for rule in self._rules], rdays))

    def days_until(self, day: int) -> Iterator[int]:
        rdays = [known for known in reversed(self._rdates) if known <= day]
        return self._bounded(
            heapq.merge(*[rule.days_until(day, self._years) for rule in self._rules], rdays, reverse=True)
        )

    def _bounded(self, days: Iterator[int]) -> Iterator[int]:
        for i, (day, _) in enumerate(groupby(days)):
            if i >= _MOST_EMPTY:
                raise NoFireTimeFoundError(
                    f"the exclusions (EXRULE, EXDATE) leave none of the times of {_MOST_EMPTY:,} days in a row, and the search was given up: "
                    "look whether they exclude all that the rules give"
                )
            yield day

    def _count_days(self, begin: int, end: int) -> int:
        if len(self._rules) == 1 and not self._exrules:
            # All days but a few are those of the rule alone.
            rule = self._rules[0]
            total = rule.count(begin * DAY, end * DAY)
            for day in self._rdates.keys() | self._exdates.keys():
                if begin <= day < end:
                    total += len(self.times(day)) - len(rule.within(day))
            return total
        return sum(
            [self._table(year).between(begin, end) for year in range(year_of(begin), year_of(end - 1) + 1)]
        )

    def _table(self, year: int) -> YearTable:
        """How many times the days of *year* have. Years that are alike to all rules, and have no date, share it."""
        key: object = year
        if year not in self._special:
            key = tuple(
                rule.year_key(year) if rule.begin < year_begin(year) * DAY <= rule.end else None
                for rule in (*self._rules, *self._exrules)
            )
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _KEPT_TABLES:
                self._tables = {}
            dates = [day for day in self._rdates if year_of(day) == year]
            days = sorted({*dates, *[day for rule in self._rules for day in rule.days_in(year)]})
            table = self._tables[key] = YearTable.of(year, days, [len(self._times(day)) for day in days])
        return table.of_year(year)


def _left(rule: Rule, exrules: Sequence[Rule]) -> Rule | None:
    """*rule* from behind the ends of those exclusions that take away all of it until then; None if nothing is left."""
    begin = rule.begin
    for exrule in sorted(exrules, key=lambda exrule: exrule.end):
        if exrule.begin <= begin <= exrule.end and exrule.covers(rule):
            begin = exrule.end + 1
    if begin > rule.end:
        return None
    return rule if begin == rule.begin else rule.beginning(begin)


def _by_day(walls: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """The seconds of each day, both in order."""
    days: dict[int, tuple[int, ...]] = {}
    for wall in sorted(set(walls)):
        day, second = divmod(wall, DAY)
        days[day] = (*days.get(day, ()), second)
    return days
