"""A zone as a row of spans of constant offset from UTC, which turns clock changes into arithmetic on integers.

zoneinfo answers what the offset is at a moment, but not until when. Here the answer is probed for, once for each year that is asked about, and kept.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

from .instants import FIRST_INSTANT, LAST_INSTANT

__all__ = ["Span", "ZoneOffsets", "offsets_of"]

_DAY = 86_400
_FIRST = FIRST_INSTANT // 1_000_000
_LAST = LAST_INSTANT // 1_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()

# No zone has ever changed its clock there and back within three days: the shortest known is 6.96 days.
_PROBE = 3 * _DAY
# A year is probed from so long before it until so long after it: no change is too near to the edge of what is known to be felt inside.
_MARGIN = 3 * _DAY
# Zones' files list changes one by one until 2087 at most (Casablanca's); after that there are yearly rules by date and weekday only. So from here on a year's
# changes are those of any other year that begins on the same weekday and has the same length; 40 years have all 14 kinds.
_REPEATING = 2200


class Span(NamedTuple):
    """The seconds UTC from *start* until before *end* have this *offset*; just before *start* it was *before*, from *end* on it is *after* (all in seconds).

    From *calm* until before *until* the changes at both ends are not felt: each wall time is shown once, and nothing that was skipped is made up for.
    Where the offset does not change, a span may begin or end all the same.
    """

    start: int
    end: int
    offset: int
    before: int
    after: int
    calm: int
    until: int


class ZoneOffsets:
    """The spans of one zone. Safe to share between threads: what is kept is only ever added or replaced whole."""

    __slots__ = ("_near", "_years", "_zone", "epoch", "recent")

    #: Midnight of 1970-01-01 on the zone's wall: datetimes of the zone are that many wall seconds away from it.
    epoch: datetime
    #: The span that was asked for last, where the next question is likely to be.
    recent: Span

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self.epoch = datetime(1970, 1, 1, tzinfo=zone)
        self._years: dict[int, tuple[Span, ...]] = {}
        self._near: dict[int, Span] = {}
        self.recent = Span(0, 0, 0, 0, 0, 0, 0)
        if isinstance(zone, timezone):
            offset = self._offset(0)
            # Wide enough for whatever is asked, beyond the calendar too; calm as far as there are datetimes.
            # (Beyond that, `at` would look for a year, and find this one too: it is the only one.)
            self.recent = Span(_FIRST * 2, _LAST * 2, offset, offset, offset, _FIRST, _LAST + 1)

    def at(self, second: int) -> Span:
        """The span in which *second* (since the epoch, UTC) lies. Beyond the calendar: the nearest one."""
        span = self.recent
        if span[0] <= second < span[1]:
            return span
        # Then the one that was found last in these 48 days.
        near = self._near.get(second >> 22)
        if near is not None and near[0] <= second < near[1]:
            self.recent = near
            return near
        return self._find(second)

    def _find(self, second: int) -> Span:
        year = date.fromordinal(min(max(second, _FIRST), _LAST) // _DAY + _EPOCH_DAY).year
        if year >= _REPEATING:
            return self._repeated(second, year)
        span = self._in_year(year, second)
        self._near[second >> 22] = self.recent = span
        return span

    def _repeated(self, second: int, year: int) -> Span:
        """The span of a second in one of the years whose changes are those of a year like it. Nothing is kept of these thousands."""
        alike = _year_like(year % 400)
        shift = (_first_day(year) - _first_day(alike)) * _DAY
        start, end, offset, before, after, calm, until = self._in_year(alike, second - shift)
        # Not beyond the last second that has a datetime in every zone.
        until = min(until + shift, _LAST + 1)
        span = Span(start + shift, end + shift, offset, before, after, calm + shift, until)
        self.recent = span
        return span

    def _in_year(self, year: int, second: int) -> Span:
        spans = self._years.get(year)
        if spans is None:
            spans = self._years[year] = self._probe(year)
        for span in spans:
            if second < span.end:
                break
        return span

    def moment(self, instant: int) -> datetime:
        """The datetime of *instant* (microseconds since the epoch, UTC) in this zone, its `fold` included."""
        second, micros = divmod(instant, 1_000_000)
        span = self.recent
        if not span.start <= second < span.end:
            span = self.at(second)
        moment = self.epoch + timedelta(0, second + span.offset, micros)
        # Arithmetic on a datetime is that of its wall, and forgets the fold: in the second pass of an overlap it is 1.
        return moment.replace(fold=1) if second < span.calm and span.before > span.offset else moment

    def _probe(self, year: int) -> tuple[Span, ...]:
        """The spans of a year and of the days around it."""
        start = max(_first_day(year) * _DAY - _MARGIN, _FIRST)
        end = min(_first_day(year + 1) * _DAY + _MARGIN, _LAST + 1)
        before, offset = self._offset(start - 1), self._offset(start)
        spans = []
        known = start  # up to here the offset has been what it is
        for probe in [*range(start + _PROBE, end, _PROBE), end]:
            # A loop, for two changes may come within one probe, if they do not undo each other.
            while self._offset(probe) != offset:
                change = self._change(known, probe, offset)
                after = self._offset(change)
                spans.append(_span(start, change, offset, before, after))
                known, start, before, offset = change, change, offset, after
            known = probe
        spans.append(_span(start, end, offset, before, offset))
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
        return offset.days * _DAY + offset.seconds


@lru_cache(maxsize=512)
def offsets_of(zone: tzinfo) -> ZoneOffsets:
    """The spans of *zone*, which all triggers of that zone share."""
    return ZoneOffsets(zone)


def _span(start: int, end: int, offset: int, before: int, after: int) -> Span:
    # A change is felt after it by as much as the clock was moved (made-up times, or the second pass); before it only if times will come again.
    return Span(start, end, offset, before, after, start + abs(offset - before), end - max(0, offset - after))


def _first_day(year: int) -> int:
    """The first day of a year, in days since the epoch; that of year 10000 too."""
    years = year - 1
    return years * 365 + years // 4 - years // 100 + years // 400 + 1 - _EPOCH_DAY


@lru_cache(maxsize=400)
def _year_like(of_cycle: int) -> int:
    """The first year from _REPEATING on that has the same calendar as those that leave *of_cycle* when divided by 400."""
    year = _REPEATING + (of_cycle - _REPEATING) % 400
    return next(other for other in range(_REPEATING, year + 1) if _calendar(other) == _calendar(year))


def _calendar(year: int) -> tuple[int, int]:
    first = _first_day(year)
    return first % 7, _first_day(year + 1) - first
