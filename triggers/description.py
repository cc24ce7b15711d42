"""Triggers in plain words, for people: what `describe()` says.

"every 15 minutes between 09:00 and 17:45, Monday to Friday, Europe/Berlin". The schedule first, then the zone of its times, then from when until when, then what
else was asked for. Whatever restricts the trigger is in the words; what cannot be said simply is said plainly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo

from .base import BaseTrigger
from .calendarinterval import CalendarIntervalTrigger
from .civil import CivilTrigger, Gap, Overlap
from .combining import AndTrigger, OrTrigger
from .combining.parts import CompositeTrigger
from .cron import CronTrigger
from .cron.phrases import MONTH_NAMES, clock_time, listed
from .cron.words import cron_words
from .date import DateTrigger
from .excluding import ExcludingTrigger
from .instants import zone_name
from .interval import IntervalTrigger
from .rrule import RRuleTrigger
from .rrule.words import rule_words

__all__ = ["describe", "elapsed_words", "length_words", "shown", "wall_start"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (wall times have no zone)

# More dates than these are counted, not listed.
_MOST_DATES = 5

_GAPS = {
    Gap.AFTER: "times that a clock change skips run right after it",
    Gap.SKIP: "times that a clock change skips do not run",
    Gap.SHIFT: "times that a clock change skips run as much later as it skips",
}
_OVERLAPS = {
    Overlap.FIRST: "times that come twice run the first time",
    Overlap.SECOND: "times that come twice run the second time",
    Overlap.BOTH: "times that come twice run both times",
}


def describe(trigger: BaseTrigger) -> str:
    """What the trigger does, as one line without a full stop. That of a class that is not known here is its `str()`."""
    words = _words(trigger)
    if trigger.jitter and words is not None:
        words += f", up to {length_words(timedelta(seconds=trigger.jitter))} later at random"
    return str(trigger) if words is None else words


def _words(trigger: BaseTrigger) -> str | None:
    """The description without the jitter, which has no effect in a trigger that is part of another; None: not known here."""
    if isinstance(trigger, CronTrigger):
        return _cron(trigger)
    if isinstance(trigger, IntervalTrigger):
        return _interval(trigger)
    if isinstance(trigger, CalendarIntervalTrigger):
        return _calendar_interval(trigger)
    if isinstance(trigger, DateTrigger):
        return _date(trigger)
    if isinstance(trigger, RRuleTrigger):
        start = wall_start(trigger)
        zone, end = trigger.timezone, trigger.end_date
        return rule_words(trigger._read, start) + _frame(zone, start, end, _policies(trigger))
    if isinstance(trigger, OrTrigger):
        return " or ".join(map(_part, trigger.triggers))
    if isinstance(trigger, AndTrigger):
        return " and at the same moment ".join(map(_part, trigger.triggers))
    if isinstance(trigger, ExcludingTrigger):
        return _excluding(trigger)
    return None


def _part(trigger: BaseTrigger) -> str:
    return f"({_words(trigger) or trigger.describe()})"


def _excluding(trigger: ExcludingTrigger) -> str:
    kept = trigger.parts[0]
    words = _part(kept) if isinstance(kept, CompositeTrigger) else _words(kept) or kept.describe()
    days = [day for day in trigger.dates if not isinstance(day, datetime)]
    moments = [moment for moment in trigger.dates if isinstance(moment, datetime)]
    excluded = [f"on {_several(days, 'days')}"] if days else []
    excluded += [f"at {_several(moments, 'moments')}"] if moments else []
    excluded += [f"when this fires: {_part(part)}" for part in trigger.triggers]
    return words + "".join(f", except {item}" for item in excluded)


def _several(dates: Sequence[date], noun: str) -> str:
    if len(dates) > _MOST_DATES:
        return f"{len(dates):,} {noun} from {shown(dates[0])} to {shown(dates[-1])}"
    return listed([shown(day) for day in dates])


def shown(moment: date) -> str:
    """``2026-03-28 05:00``: a date, or the wall time of a datetime with as much of its seconds as there is."""
    if not isinstance(moment, datetime):
        return moment.isoformat()
    plain = moment.replace(tzinfo=None)
    if plain.microsecond:
        return plain.isoformat(" ")
    return plain.isoformat(" ", "seconds" if plain.second else "minutes")


def length_words(length: timedelta) -> str:
    """``8 hours``, ``1 day and 12 hours``, ``2 weeks``."""
    seconds, micros = divmod(length // timedelta(microseconds=1), 1_000_000)
    if not micros and seconds and seconds % 604_800 == 0:
        return _counted(str(seconds // 604_800), "week")
    parts = []
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(_counted(str(number), unit))
    if seconds or micros or not parts:
        parts.append(_counted(f"{seconds}.{micros:06}".rstrip("0") if micros else str(seconds), "second"))
    return listed(parts)


def elapsed_words(length: timedelta) -> str:
    """`length_words` that cannot be taken for days of the calendar, which have 23 hours now and then."""
    if length == timedelta(days=1):
        return "24 hours"
    return f"{length_words(length)}{'' if length % timedelta(days=1) else ' of elapsed time'}"


def every(words: str) -> str:
    """``every 8 hours``, ``every hour``."""
    return f"every {words.removeprefix('1 ') if ' and ' not in words and ',' not in words else words}"


def _counted(number: str, unit: str) -> str:
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"


def _cron(trigger: CronTrigger) -> str:
    words = cron_words(trigger.settled_fields, trigger._compiled.either)
    return words + _frame(trigger.timezone, trigger.start_date, trigger.end_date, _policies(trigger))


def _interval(trigger: IntervalTrigger) -> str:
    words = every(elapsed_words(trigger.interval))
    if trigger.start_date is None:
        words += ", the first time that long after the job is added"
    return words + _frame(trigger.timezone, trigger.start_date, trigger.end_date)


def _calendar_interval(trigger: CalendarIntervalTrigger) -> str:
    steps = (
        (trigger.years, "year"),
        (trigger.months, "month"),
        (trigger.weeks, "week"),
        (trigger.days, "day"),
    )
    words = every(listed([_counted(str(number), unit) for number, unit in steps if number]))
    words += f" at {clock_time(trigger.hour, trigger.minute, trigger.second)}"
    start, end = trigger.start_date, trigger.end_date
    if start is None:
        words += ", from the day on which the job is added"
    elif (trigger.years or trigger.months) and not (trigger.weeks or trigger.days):
        yearly = trigger.months % 12 == 0
        words += (
            f" on {start.day} {MONTH_NAMES[start.month - 1]}"
            if yearly
            else f" on day {start.day} of the month"
        )
    if start is not None and start.day > 28 and (trigger.years or trigger.months):
        words += ", left out where there is no such day"
    return words + _frame(trigger.timezone, start, end, _policies(trigger))


def _date(trigger: DateTrigger) -> str:
    if trigger.run_date is None:
        return "once, when the job is added"
    return f"once, at {shown(trigger.run_date)}, {zone_name(trigger.timezone)}"


def _frame(zone: tzinfo, start: date | None, end: date | None, policies: str = "") -> str:
    """Zone, start, end and what the policies say, which follow the schedule."""
    words = f", {zone_name(zone)}"
    if start is not None:
        words += f", from {shown(start)}"
    if end is not None:
        words += f", until {shown(end)}"
    return words + policies


def wall_start(trigger: RRuleTrigger) -> datetime | None:
    """The wall time at which rules start; None if that is not settled, or if there are none, but dates only."""
    if trigger._start_wall is None or not (trigger._read.rules or trigger._read.exrules):
        return None
    return _EPOCH + timedelta(seconds=trigger._start_wall)


def _policies(trigger: CivilTrigger) -> str:
    """The policies of clock changes, as far as they are not what goes without saying."""
    gap, overlap = Gap.AFTER, Overlap.FIRST
    if isinstance(trigger, CronTrigger) and trigger._compiled.wildcard:
        gap, overlap = Gap.SKIP, Overlap.BOTH
    words = "" if trigger.gap is gap else f", {_GAPS[trigger.gap]}"
    return words if trigger.overlap is overlap else f"{words}, {_OVERLAPS[trigger.overlap]}"
