"""A zone as a row of spans of constant offset from UTC, which turns clock changes into arithmetic on integers.

zoneinfo answers what the offset is at a moment, but not until when. Here the answer is probed for, once for each stretch of time that is asked
about, and kept.
"""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

from .instants import FIRST_INSTANT, LAST_INSTANT

__all__ = ["Span", "ZoneOffsets", "offsets_of"]

_FIRST = FIRST_INSTANT // 1_000_000
_LAST = LAST_INSTANT // 1_000_000

# No zone has ever changed its clock there and back within three days: the shortest known is 6.96 days.
_PROBE = 3 * 86_400
# 189 days: the calendar's 400 years are 773 of these.
_STRETCH = 63 * _PROBE
_CYCLE = 773
# Zones' files list changes one by one until 2087 at most (Casablanca's); after that there are yearly rules by date and weekday only, which
# repeat with the calendar: from the year 2500 on a stretch is the same as the one 400 years before it.
_REPEATING = 16_725_225_600 // _STRETCH + 1


class Span(NamedTuple):
    """The seconds UTC from *start* until before *end* have this *offset* (seconds); just before *start* it was *before*."""

    start: int
    end: int
    offset: int
    before: int


class ZoneOffsets:
    """The spans of one zone. Safe to share between threads: what is kept is only ever added or replaced whole."""

    __slots__ = ("_recent", "_stretches", "_zone")

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._stretches: dict[int, tuple[Span, ...]] = {}
        self._recent = Span(0, 0, 0, 0)
        if isinstance(zone, timezone):
            offset = self._offset(0)
            # Wide enough for whatever is asked, beyond the calendar too.
            self._recent = Span(_FIRST * 2, _LAST * 2, offset, offset)

    def at(self, second: int) -> Span:
        """The span in which *second* (since the epoch, UTC) lies. Where the offset does not change, a span may end all the same."""
        span = self._recent
        if span.start <= second < span.end:
            return span
        stretch = second // _STRETCH
        spans = self._stretches.get(stretch)
        if spans is None:
            spans = self._stretches[stretch] = self._find(stretch)
        for span in spans:
            if second < span.end:
                break
        self._recent = span
        return span

    def _find(self, stretch: int) -> tuple[Span, ...]:
        if stretch < _REPEATING:
            return self._probe(stretch)
        cycles = (stretch - _REPEATING) // _CYCLE + 1
        shift = cycles * _CYCLE * _STRETCH
        earlier = self._stretches.get(stretch - cycles * _CYCLE)
        if earlier is None:
            earlier = self._stretches[stretch - cycles * _CYCLE] = self._probe(stretch - cycles * _CYCLE)
        return tuple(Span(start + shift, end + shift, *offsets) for start, end, *offsets in earlier)

    def _probe(self, stretch: int) -> tuple[Span, ...]:
        start = stretch * _STRETCH
        end = start + _STRETCH
        before, offset = self._offset(start - 1), self._offset(start)
        spans = []
        known = start  # up to here the offset has been what it is
        for probe in [*range(start + _PROBE, end, _PROBE), end - 1]:
            # A loop, for two changes may come within one probe, if they do not undo each other.
            while self._offset(probe) != offset:
                change = self._change(known, probe, offset)
                spans.append(Span(start, change, offset, before))
                start, before, offset = change, offset, self._offset(change)
                known = start
            known = probe
        spans.append(Span(start, end, offset, before))
        return tuple(spans)

    def _change(self, low: int, high: int, offset: int) -> int:
        """The first second after *low*, where the offset is *offset*, and up to *high*, where it is not, with another one."""
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _offset(self, second: int) -> int:
        moment = datetime.fromtimestamp(min(max(second, _FIRST), _LAST), self._zone)
        offset = moment.utcoffset()
        assert offset is not None  # as_zone lets no other zone in
        return offset.days * 86_400 + offset.seconds


@lru_cache(maxsize=512)
def offsets_of(zone: tzinfo) -> ZoneOffsets:
    """The spans of *zone*, which all triggers of that zone share."""
    return ZoneOffsets(zone)
