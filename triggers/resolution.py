"""When a schedule on the wall clock runs: which seconds UTC its wall times are, by the policies `Gap` and `Overlap`.

Each span of constant offset answers for a range of wall times, by subtracting its offset. Where the clock is not changed, these ranges join. At a change they
are cut as the policy says:

    overlap     the span before it answers for the times that come twice (FIRST, BOTH) or stops short of them (SECOND);
                the span after it answers for them (SECOND, BOTH) or begins behind them (FIRST)
    gap         no span answers for the times that are skipped; but the span after it has extra runs for them: all at its first second (AFTER),
                each by the offset of the span before (SHIFT), or none (SKIP)

Seconds UTC are since the epoch, wall seconds likewise on the wall. All offsets are less than a day.
"""

from __future__ import annotations

from typing import Protocol

from .offsets import Span, ZoneOffsets
from .policies import Gap, Overlap

__all__ = ["WallTimes", "count_runs", "next_run", "previous_run"]

_DAY = 86_400

# A schedule whose every match falls into a gap (minute="*", hour=2 on the last Sunday of March, in Berlin) is skipped year after year. Gaps repeat with
# the calendar after 400 years, two a year at most, and each is looked at from its two sides: what has been skipped more often than this always will be.
_MOST_STEPS = 4_000


class WallTimes(Protocol):
    """A schedule on the wall clock: a set of wall seconds, which are seconds since 1970-01-01 00:00 on the wall, whatever the zone.

    Every search is bounded. Questions may come from some days beyond the calendar's two ends.
    """

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""

    def previous(self, wall: int) -> int | None:
        """The last match not after *wall*."""

    def count(self, begin: int, end: int) -> int:
        """How many matches w have begin <= w < end."""

    def next_gap(self, wall: int) -> int:
        """A wall second not before *wall*, before which all seconds from *wall* on are matches: the farther the better. *wall* itself, if it is no match."""


def next_run(times: WallTimes, offsets: ZoneOffsets, gap: Gap, overlap: Overlap, second: int) -> int | None:
    """The first run not before *second*."""
    for _ in range(_MOST_STEPS):
        span = offsets.at(second)
        run = _first_in(times, span, gap, overlap, second)
        if run is not None:
            return run
        # What any later span answers for is not before this. It may be far ahead: straight to where the clock cannot show it yet.
        match = times.next(span.end + min(span.offset, span.after))
        if match is None:
            return None
        second = max(span.end, match - _DAY)
    return None


def previous_run(
    times: WallTimes, offsets: ZoneOffsets, gap: Gap, overlap: Overlap, second: int
) -> int | None:
    """The last run not after *second*."""
    for _ in range(_MOST_STEPS):
        span = offsets.at(second)
        run = _last_in(times, span, gap, overlap, second)
        if run is not None:
            return run
        match = times.previous(span.start + span.before - 1)
        if match is None:
            return None
        second = min(span.start - 1, match + _DAY)
    return None


def count_runs(
    times: WallTimes, offsets: ZoneOffsets, gap: Gap, overlap: Overlap, first: int, last: int
) -> int:
    """How many runs are from *first* to *last*, both inclusive."""
    total = 0
    while first <= last:
        span = offsets.at(first)
        begin, end = _range(span, overlap)
        total += times.count(max(first + span.offset, begin), min(last + 1 + span.offset, end))
        if span.before < span.offset and first < span.calm and gap is not Gap.SKIP:
            total += _count_skipped(times, span, gap, first, last)
        first = span.end
    return total


def _range(span: Span, overlap: Overlap) -> tuple[int, int]:
    """The wall times that a span answers for, from the first until before the second."""
    start, end, offset, before, after, _, _ = span
    begin = start + before if before > offset and overlap is Overlap.FIRST else start + offset
    return begin, end + after if after < offset and overlap is Overlap.SECOND else end + offset


def _first_in(times: WallTimes, span: Span, gap: Gap, overlap: Overlap, second: int) -> int | None:
    """The first run in *span* not before *second*, which is in it."""
    start, _, offset, before, _, calm, _ = span
    begin, end = _range(span, overlap)
    match = times.next(max(second + offset, begin))
    run = match - offset if match is not None and match < end else None
    if before < offset and second < calm and gap is not Gap.SKIP:
        # Times that this span's gap has skipped come in again: at once, or (in order) by the old offset.
        if gap is Gap.SHIFT:
            skipped = times.next(second + before)
        else:
            skipped = times.next(start + before) if second == start else None
        if skipped is not None and skipped < start + offset:
            late = skipped - before if gap is Gap.SHIFT else start
            run = late if run is None else min(run, late)
    return run


def _last_in(times: WallTimes, span: Span, gap: Gap, overlap: Overlap, second: int) -> int | None:
    """The last run in *span* not after *second*, which is in it."""
    start, _, offset, before, _, _, _ = span
    begin, end = _range(span, overlap)
    match = times.previous(min(second + offset, end - 1))
    run = match - offset if match is not None and match >= begin else None
    if before < offset and gap is not Gap.SKIP:
        latest = start + offset - 1
        skipped = times.previous(min(second + before, latest) if gap is Gap.SHIFT else latest)
        if skipped is not None and skipped >= start + before:
            late = skipped - before if gap is Gap.SHIFT else start
            run = late if run is None else max(run, late)
    return run


def _count_skipped(times: WallTimes, span: Span, gap: Gap, first: int, last: int) -> int:
    """The runs from *first* (in *span*) to *last* that make up for skipped times and do not fall on another run."""
    start, _, offset, before, _, calm, _ = span
    if gap is Gap.AFTER:
        # One run for all of them, unless there is one at that second anyway.
        some = first == start and times.count(start + before, start + offset) > 0
        return int(some and not times.count(start + offset, start + offset + 1))
    # Those that fall on a time of the hours after the gap are not to be counted twice.
    begin, end = first + before, min(last + 1, calm) + before
    later = offset - before
    total = times.count(begin, end)
    if not total or not times.count(begin + later, end + later):
        return total
    match = times.next(begin)
    while match is not None and match < end:
        # By runs of seconds all of which match.
        behind = min(max(times.next_gap(match), match + 1), end)
        total -= times.count(match + later, behind + later)
        match = times.next(behind)
    return total
