"""The schedule of a rule's text in a zone: its wall times, and what of it holds at instants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from ..instants import FIRST_INSTANT, LAST_INSTANT, to_micros
from ..offsets import ZoneOffsets, offsets_of
from ..policies import Gap, Overlap
from ..zones import zone_name
from .day_times import DayTimes
from .rule import Rule
from .sets import RuleSet
from .text import Moment, Parts, read_rule, to_wall
from .timeline import Stretch, Timeline

__all__ = ["Schedule", "Start", "in_second_pass", "schedule_of"]

_SECOND = 1_000_000
_FIRST = FIRST_INSTANT // _SECOND
_LAST = LAST_INSTANT // _SECOND
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (wall times have no zone)


class Start(NamedTuple):
    """From when rules count: a wall second, and whether the clock shows it for the second time then."""

    wall: int
    second_pass: bool = False


class Schedule(NamedTuple):
    """All runs are from second *first* until *last* (UTC, both inclusive; None: no such bound), and those of *wall*; or, if there is one, of *timeline*."""

    wall: DayTimes
    first: int | None
    last: int | None
    timeline: Timeline | None


def in_second_pass(wall: int, zone: tzinfo) -> int | None:
    """The second (UTC) at which the clock of *zone* shows *wall* for the second time; None if it does not."""
    there = (_EPOCH + timedelta(seconds=wall)).replace(tzinfo=zone)
    first, second = to_micros(there), to_micros(there.replace(fold=1))
    return second // _SECOND if second > first else None


@lru_cache(maxsize=256)
def schedule_of(text: str, start: Start, zone: tzinfo, gap: Gap, overlap: Overlap) -> Schedule:
    """The schedule of a text, which all triggers of that text, start, zone and policies share."""
    read, offsets = read_rule(text), offsets_of(zone)
    begin, since = _begin(start, zone, overlap)
    rules = [Rule(parts, start.wall, _until(parts, offsets), begin) for parts in read.rules]
    exrules = [Rule(parts, start.wall, _until(parts, offsets), begin) for parts in read.exrules]
    ends = [_end(parts, offsets) for parts in read.rules]
    exends = [_end(parts, offsets) for parts in read.exrules]
    if len(rules) == 1 and not (read.exrules or read.rdates or read.exdates):
        return Schedule(rules[0], since, ends[0], None)
    rdates, added = _dates(read.rdates, zone)
    exdates, removed = _dates(read.exdates, zone)
    wall = RuleSet(rules, exrules, rdates, exdates)
    cuts = {end for end in (*ends, *exends) if end is not None}
    if not (added or removed or cuts or since is not None):
        return Schedule(wall, None, None, None)
    stretches = []
    firsts = sorted({_FIRST, *[cut + 1 for cut in cuts], *([] if since is None else [since])})
    for first, following in zip(firsts, [*firsts[1:], _LAST + 1], strict=True):
        # Before the start there are no rules, and after its end none of each.
        begun = since is None or first >= since
        active = [rule for rule, end in zip(rules, ends, strict=True) if begun and _lasts(end, first)]
        exactive = [rule for rule, end in zip(exrules, exends, strict=True) if begun and _lasts(end, first)]
        times = RuleSet(active, exactive, rdates, exdates)
        stretches.append(Stretch(first, following - 1, times, RuleSet(exactive, [], exdates, [])))
    return Schedule(wall, None, None, Timeline(stretches, added, removed, offsets, (gap, overlap)))


def _begin(start: Start, zone: tzinfo, overlap: Overlap) -> tuple[int, int | None]:
    """The wall second from which rules have matches and COUNT counts them; and the second (UTC) before which they do not run, if that says more."""
    second = in_second_pass(start.wall, zone) if start.second_pass else None
    if second is None or overlap is Overlap.SECOND:
        return start.wall, None
    if overlap is Overlap.BOTH:
        return start.wall, second
    # What the clock shows again has been.
    span = offsets_of(zone).at(second)
    return span.start + span.before, None


def _until(parts: Parts, offsets: ZoneOffsets) -> int | None:
    """The last wall second that UNTIL allows. One in UTC allows what any policy can have fired by then; `_end` does the rest."""
    if parts.until is None or parts.until.zone is None:
        return None if parts.until is None else parts.until.wall
    span = offsets.at(parts.until.wall)
    # In the second pass of an overlap, all times of the first one have been.
    return max(parts.until.wall + span.offset, span.start + span.before - 1)


def _end(parts: Parts, offsets: ZoneOffsets) -> int | None:
    """The second (UTC) of an UNTIL for which the last wall second is not enough to say what runs until then; None for all others."""
    if parts.until is None or parts.until.zone is not UTC:
        return None
    second = parts.until.wall
    return None if not _FIRST <= second < _LAST or _is_calm(second, offsets) else second


def _lasts(end: int | None, second: int) -> bool:
    return end is None or end >= second


def _dates(moments: Iterable[Moment], zone: tzinfo) -> tuple[Sequence[int], Sequence[int]]:
    """RDATEs or EXDATEs as wall seconds of *zone*; and as seconds UTC, those of UTC and of other zones that are near to a change of its clock."""
    walls, seconds = [], []
    offsets = offsets_of(zone)
    for moment in moments:
        if moment.zone is None or moment.zone is zone:
            walls.append(moment.wall)
            continue
        there = (_EPOCH + timedelta(seconds=moment.wall)).replace(tzinfo=moment.zone)
        second = to_micros(there) // _SECOND
        if _is_calm(second, offsets):
            walls.append(second + offsets.at(second).offset)
        elif _FIRST <= second <= _LAST:
            seconds.append(second)
        else:
            try:
                walls.append(to_wall(there.astimezone(zone)))
            except OverflowError:
                raise ValueError(f"rule: {there} is beyond the calendar in {zone_name(zone)}") from None
    return walls, seconds


def _is_calm(second: int, offsets: ZoneOffsets) -> bool:
    """Whether no clock change is felt at *second*: the clock shows that time once, and by no policy anything else runs then."""
    span = offsets.at(second)
    return span.calm <= second < span.until
