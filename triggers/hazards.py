"""What people may not expect of a schedule in some period, in plain words: what `hazards()` says.

Of a trigger of the wall clock, what becomes of its times where the clock is changed; of a cron trigger also days that not every month has, and steps that do
not come out even (`cron/pitfalls.py`); of an interval of whole days, that a clock change moves its time of day; of one that leaves out something, what of that
never happens (`idle_exclusions.py`).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import NamedTuple

from .base import BaseTrigger, NoFireTimeFoundError
from .calendarinterval import CalendarIntervalTrigger
from .civil import CivilTrigger, Gap, Overlap, WallTimes
from .combining import AndTrigger
from .combining.parts import CompositeTrigger
from .cron import CronTrigger
from .cron.phrases import listed
from .cron.pitfalls import missing_days, months_between, pitfalls, some
from .description import elapsed_words, wall_start
from .excluding import ExcludingTrigger
from .idle_exclusions import idle_exclusions
from .instants import FIRST_INSTANT, LAST_INSTANT, from_micros, zone_name
from .interval import IntervalTrigger
from .offsets import Span, ZoneOffsets, offsets_of
from .rrule import RRuleTrigger
from .rrule.words import named_days

__all__ = ["hazards"]

_SECOND = 1_000_000
_DAY = 86_400

# More than these nobody reads, and so many years of the period are looked at.
_MOST_LINES = 20
_MOST_YEARS = 400
# So many times at one clock change are told one by one.
_MOST_TIMES = 4

_APART = " (apart from what is excluded)"
_HASHED = "the times of H are settled by the job's id: add the job, and look at job.trigger"


def hazards(trigger: BaseTrigger, start: int, end: int) -> list[str]:
    """The hazards of *trigger* from *start* until *end* (instants, both inclusive), in the first 400 years of that time.

    At most 20 lines; the last one says so if there are more.
    """
    start, end = (
        max(start, FIRST_INSTANT),
        min(end, LAST_INSTANT, max(start, FIRST_INSTANT) + _MOST_YEARS * 366 * _DAY * _SECOND),
    )
    if start > end:
        return []
    lines: list[str] = []
    for line in _hazards(trigger, start, end):
        if line in lines:
            continue
        if len(lines) == _MOST_LINES - 1:
            return [*lines, "and more: look at a shorter period"]
        lines.append(line)
    return lines


def _hazards(trigger: BaseTrigger, start: int, end: int) -> Iterator[str]:
    if isinstance(trigger, CivilTrigger):
        # What is not settled yet, as if it were added at the beginning of the period.
        bound = trigger.bind(from_micros(start, UTC), "")
        start, end = max(start, trigger._start), min(end, trigger._end)
        if start > end:
            return
        if isinstance(bound, CalendarIntervalTrigger):
            yield from _left_out(bound, start, end)
        first, last = from_micros(start, trigger.timezone).date(), from_micros(end, trigger.timezone).date()
        if isinstance(trigger, CronTrigger):
            yield from pitfalls(trigger.settled_fields, trigger._compiled.either, first, last)
        elif isinstance(bound, RRuleTrigger):
            yield from _missing_days(bound, start, end)
        if bound is not trigger and not isinstance(trigger, CalendarIntervalTrigger):
            if isinstance(trigger, CronTrigger):
                yield _HASHED
            return  # its times of day are settled when it is added
        yield from _clock_changes(bound, start, end)
    elif isinstance(trigger, ExcludingTrigger):
        for line in _hazards(trigger.parts[0], start, end):
            yield line if line == _HASHED or line.endswith(_APART) else f"{line}{_APART}"
        yield from _idle_exclusions(trigger, start, end)
    elif isinstance(trigger, CompositeTrigger):
        for part in trigger.parts:
            for line in _hazards(part, start, end):
                yield f"{part}: {line}" if isinstance(trigger, AndTrigger) else line
    elif isinstance(trigger, IntervalTrigger):
        yield from _moved_times(trigger, start, end)


def _missing_days(trigger: RRuleTrigger, start: int, end: int) -> Iterator[str]:
    """The days of rules that not every month has, from which they are counted."""
    try:
        # From its first fire time on, and until its last one, if these are in the period.
        first = start if trigger.previous_before(start) is not None else trigger.next_after(start - 1)
        last = end if trigger.next_after(end) is not None else trigger.previous_before(end + 1)
    except NoFireTimeFoundError:
        return  # excluded for very long
    if first is None or last is None or not start <= first <= last <= end:
        return
    begin, finish = from_micros(first, trigger.timezone).date(), from_micros(last, trigger.timezone).date()
    for parts in trigger._read.rules:
        # With an interval not every month is its turn, and of several days BYSETPOS may choose one that is there.
        if parts.interval == 1 and not parts.setpos:
            days, months = named_days(parts, wall_start(trigger))
            yield from missing_days(
                days, months_between(begin, finish, range(10_000), months), "BYMONTHDAY=-1"
            )


def _idle_exclusions(trigger: ExcludingTrigger, start: int, end: int) -> Iterator[str]:
    if trigger.holds_user_code:
        return  # somebody's code may raise, and take any time
    try:
        bound = trigger.bind(from_micros(start, UTC), "")
    except ValueError:
        return  # that nothing is left of it, it says itself when its job is added
    yield from idle_exclusions(bound, start, end)


def _changes(offsets: ZoneOffsets, start: int, end: int) -> Iterator[Span]:
    """The spans that begin with a clock change from *start* until *end* (instants)."""
    first, last = -(-start // _SECOND), end // _SECOND
    span = offsets.at(first - 1)
    while span.end <= last:
        span = offsets.at(span.end)
        if span.before != span.offset:
            yield span


# Triggers of the wall clock


class _Affected(NamedTuple):
    """The wall times of a schedule from *begin* until before *end*, which a clock change of *zone* affects."""

    times: WallTimes
    zone: str
    begin: int
    end: int
    number: int

    def day(self) -> int:
        return self.begin // _DAY

    def verb(self, one: str, many: str) -> str:
        return one if self.number == 1 else many

    def shown(self, by: int = 0) -> str:
        """The times, *by* seconds later: all of them if they are few, else the first and the last."""
        if self.number <= _MOST_TIMES:
            return listed([_time(wall + by, self.day()) for wall in self.each()])
        first, last = self.times.next(self.begin), self.times.previous(self.end - 1)
        assert first is not None  # there are many
        assert last is not None
        return f"{_time(first + by, self.day())} to {_time(last + by, self.day())}"

    def named(self) -> str:
        return f"{f'{self.number:,} times from ' if self.number > _MOST_TIMES else ''}{self.shown()}"

    def where(self) -> str:
        return f"on {_date(self.day())} in {self.zone}"

    def each(self) -> Iterator[int]:
        wall = self.times.next(self.begin)
        while wall is not None and wall < self.end:
            yield wall
            wall = self.times.next(wall + 1)


def _clock_changes(trigger: CivilTrigger, start: int, end: int) -> Iterator[str]:
    """What becomes of times that a clock change in the period skips or repeats."""
    zone = zone_name(trigger.timezone)
    followed: list[str] = []
    for span in _changes(trigger._offsets, start, end):
        begin, finish = sorted((span.start + span.before, span.start + span.offset))
        times = _Affected(trigger._wall, zone, begin, finish, trigger._wall.count(begin, finish))
        if not times.number:
            continue
        skipped = span.offset > span.before
        follows = trigger.gap is Gap.SKIP if skipped else trigger.overlap is Overlap.BOTH
        usual = trigger._wall.count(times.day() * _DAY, (times.day() + 1) * _DAY)
        if follows and usual >= 24:
            # Every hour or oftener: what each of these times does is no surprise, how many there are may be one.
            runs = usual - times.number if skipped else usual + times.number
            noun = "" if followed else " runs"
            followed.append(f"{max(runs, 0):,}{noun} instead of {usual:,} on {_date(times.day())}")
        elif skipped:
            yield _skipped(times, trigger.gap)
        else:
            yield _repeated(times, trigger.overlap)
    if followed:
        more = f" and so on {len(followed) - _MOST_TIMES:,} times more" if len(followed) > _MOST_TIMES else ""
        shown = ", ".join(followed[:_MOST_TIMES]) if more else listed(followed)
        yield f"follows the clock of {zone} where it is changed: {shown}{more}"


def _skipped(times: _Affected, gap: Gap) -> str:
    words = f"{times.named()} {times.verb('does', 'do')} not exist {times.where()}: "
    if gap is Gap.SKIP:
        return words + times.verb("does not run", "do not run")
    if gap is Gap.AFTER:
        at = _time(times.end, times.day())
        own = times.times.count(times.end, times.end + 1)
        return words + times.verb(f"runs at {at}", f"run once, at {at}") + _as_one(own)
    by = times.end - times.begin
    if times.number <= _MOST_TIMES:
        own = sum(times.times.count(wall + by, wall + by + 1) for wall in times.each())
        return f"{words}{times.verb('runs', 'run')} at {times.shown(by)}{_as_one(own)}"
    own = times.times.count(times.begin + by, times.end + by)
    return f"{words}run from {times.shown(by)}{_as_one(own)}"


def _as_one(own: int) -> str:
    if not own:
        return ""
    return f", as one with {'what runs then anyway' if own > 1 else 'the run of that time'}"


def _repeated(times: _Affected, overlap: Overlap) -> str:
    words = f"{times.named()} {times.verb('happens', 'happen')} twice {times.where()}: {times.verb('runs', 'run')} "
    return words + ("both times" if overlap is Overlap.BOTH else f"the {overlap} time only")


def _left_out(trigger: CalendarIntervalTrigger, start: int, end: int) -> Iterator[str]:
    """The months in the period that are the turn of a calendar interval, and do not have its day."""
    step, first = 12 * trigger.years + trigger.months, trigger.start_date
    if first is None or not step or first.day <= 28:
        return
    begin, last = from_micros(start, trigger.timezone).date(), from_micros(end, trigger.timezone).date()
    if trigger.end_date is not None:
        last = min(last, trigger.end_date)
    month = first.year * 12 + first.month - 1
    # The first turn in the period.
    month += max(0, -(-(begin.year * 12 + begin.month - 1 - month) // step)) * step
    without = []
    while month <= last.year * 12 + last.month - 1:
        year, of_year = divmod(month, 12)
        if monthrange(year, of_year + 1)[1] < first.day:
            without.append(f"{year}-{of_year + 1:02}")
        month += step
    if without:
        yield f"there is no day {first.day} in {some(without)}: left out"


# Intervals


def _moved_times(trigger: IntervalTrigger, start: int, end: int) -> Iterator[str]:
    """Where the times of day of an interval that has such (it divides the day, or is whole days) are moved by a clock change."""
    step = trigger.interval // timedelta(microseconds=1)
    if trigger._start is None or (step % (_DAY * _SECOND) and _DAY * _SECOND % step):
        return
    offsets = offsets_of(trigger.timezone)
    advice = "cron" if step % (_DAY * _SECOND) else "cron or calendarinterval"
    told = None
    for span in _changes(offsets, start, end):
        earlier = trigger.previous_before(span.start * _SECOND)
        later = trigger.next_after(span.start * _SECOND - 1)
        if earlier is None or later is None or later == told:
            continue
        told = later
        before = offsets.at(earlier // _SECOND).offset
        after = offsets.at(later // _SECOND).offset
        if (after - before) * _SECOND % step == 0:
            continue
        second = later // _SECOND
        was, becomes = _clock(second + before), _clock(second + after)
        yield (
            f"{elapsed_words(trigger.interval).removesuffix(' of elapsed time')} of elapsed time: {was} becomes {becomes} "
            f"on {_date((second + after) // _DAY)} in {zone_name(trigger.timezone)}; use {advice} to stay at {was}"
        )


# Wall seconds in words


def _time(wall: int, day: int) -> str:
    """The time of a wall second, with its date if that is not *day* (days since the epoch)."""
    return _clock(wall) if wall // _DAY == day else f"{_clock(wall)} on {_date(wall // _DAY)}"


def _clock(wall: int) -> str:
    moment = from_micros(wall % _DAY * _SECOND, UTC)
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")


def _date(day: int) -> str:
    return from_micros(day * _DAY * _SECOND, UTC).date().isoformat()
