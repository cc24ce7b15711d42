"""Civil time: which seconds UTC the matches of a wall-clock schedule are, on the days when clocks change too.

A zone is a row of spans of constant offset (`offsets.py`); inside one, wall time and UTC differ by a constant. The two kinds of schedule differ in
which wall times a span answers for:

    wildcard    those that its own clock shows. Times that a gap skips are shown by no span, those of an overlap by two.
    fixed       those from where the wall clock of the span before it stopped until where its own stops. So each wall time has exactly one span:
                after a gap, the span answers for the skipped times too, all of them at its first second; after an overlap, not for
                those that the earlier span has had.

Both follow Vixie cron (cron(8), on "time changes"). Seconds UTC are since the epoch, wall seconds likewise on the wall.
"""

from __future__ import annotations

from typing import Protocol

from .offsets import Span, ZoneOffsets

__all__ = ["WallTimes", "count", "fixed", "next_wildcard", "previous_fixed", "previous_wildcard"]

# A wildcard schedule whose every match falls into a gap (minute="*", hour=2 on the last Sunday of March, in Berlin) is skipped year after
# year. Gaps repeat with the calendar after 400 years, two a year at most: what has been skipped more often than this always will be.
_MOST_GAPS = 1_000


class WallTimes(Protocol):
    """A schedule on the wall clock: a set of wall seconds."""

    def next(self, wall: int) -> int | None:
        """The first match not before *wall*."""

    def previous(self, wall: int) -> int | None:
        """The last match not after *wall*."""

    def count(self, begin: int, end: int) -> int:
        """How many matches w have begin <= w < end."""


def fixed(offsets: ZoneOffsets, match: int, near: int) -> int:
    """The second UTC at which a fixed schedule runs for the wall second *match*; *near* is within a few days of it."""
    span = offsets.at(near)
    while match >= span.end + span.offset:
        span = offsets.at(span.end)
    while match < span.start + span.before:
        span = offsets.at(span.start - 1)
    return max(span.start, match - span.offset)


def previous_fixed(wall: WallTimes, offsets: ZoneOffsets, second: int) -> int | None:
    """The last run of a fixed schedule not after *second*."""
    span = offsets.at(second)
    # In the second pass of an overlap, nothing has come since the end of the first.
    match = wall.previous(max(second + span.offset, span.start + span.before - 1))
    return None if match is None else fixed(offsets, match, match - span.offset)


def next_wildcard(wall: WallTimes, offsets: ZoneOffsets, span: Span) -> int | None:
    """The first run of a wildcard schedule after the end of *span*."""
    floor = following = offsets.at(span.end)
    for _ in range(_MOST_GAPS):
        match = wall.next(following.start + following.offset)
        if match is None:
            return None
        if match >= following.end + following.offset:
            # Far ahead, perhaps: straight to the first span whose clock shows this time or, if it is skipped, a later one.
            following = offsets.at(match - following.offset)
            while match >= following.end + following.offset:
                following = offsets.at(following.end)
            while following.start > floor.start:
                earlier = offsets.at(following.start - 1)
                if match >= earlier.end + earlier.offset:
                    break
                following = earlier
        if match >= following.start + following.offset:
            return match - following.offset
    return None


def previous_wildcard(wall: WallTimes, offsets: ZoneOffsets, second: int) -> int | None:
    """The last run of a wildcard schedule not after *second*."""
    span = offsets.at(second)
    match = wall.previous(second + span.offset)
    if match is not None and match >= span.start + span.offset:
        return match - span.offset
    ceiling = earlier = offsets.at(span.start - 1)
    for _ in range(_MOST_GAPS):
        match = wall.previous(earlier.end + earlier.offset - 1)
        if match is None:
            return None
        if match < earlier.start + earlier.offset:
            # Far back, perhaps: straight to the last span whose clock shows this time or, if it is skipped, an earlier one.
            earlier = offsets.at(match - earlier.offset)
            while match < earlier.start + earlier.offset:
                earlier = offsets.at(earlier.start - 1)
            while earlier.start < ceiling.start:
                later = offsets.at(earlier.end)
                if match < later.start + later.offset:
                    break
                earlier = later
        if match < earlier.end + earlier.offset:
            return match - earlier.offset
    return None


def count(wall: WallTimes, offsets: ZoneOffsets, first: int, last: int, wildcard: bool) -> int:
    """How many runs are from *first* to *last*, both inclusive. Goes by spans and months, not by runs."""
    total = 0
    while first <= last:
        start, end, offset, before = offsets.at(first)
        begin, finish = first + offset, min(last + 1, end) + offset
        if not wildcard:
            if first == start and before < offset and wall.count(start + before, start + offset + 1):
                # All that the gap has swallowed, and what is due at its end anyway, is one run.
                total += 1
                begin += 1
            begin = max(begin, start + before)
        total += wall.count(begin, finish)
        first = end
    return total
