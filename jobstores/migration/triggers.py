"""Old triggers to ours: the same fire times, from the job's next one on, and a note for each case in which they are not."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final

from ...triggers import (
    AndTrigger,
    BaseTrigger,
    CalendarIntervalTrigger,
    CronTrigger,
    DateTrigger,
    IntervalTrigger,
    OrTrigger,
)
from ...triggers.instants import as_zone, to_micros
from .crontext import cron_fields
from .standins import APSCHEDULER, Allowed, Foreign, RefusedPickleError, StandIn
from .zones import finished_zone

__all__ = ["UntakableTriggerError", "differs_on_clock_changes", "mapped_trigger"]

_PACKAGE: Final = "apscheduler.triggers."
_VERSIONS: Final = {"date": 1, "interval": 2, "cron": 2, "calendarinterval": 1, "combining": 1}
"""The last version of each one's state that is known here."""
_DEEPEST: Final = 10
_JITTER: Final = "jitter delays each run by itself: it no longer adds up from run to run"
_ZONE_RULE: Final = "on days on which clocks change it follows mainspring's rule (a time in the gap: once, right after it; a time that comes twice: once)"


class UntakableTriggerError(ValueError):
    """The trigger cannot be taken; the text says why, as something about the job."""


def mapped_trigger(old: Any, next_run_time: datetime | None) -> tuple[BaseTrigger, list[str]]:
    """Our trigger for one of APScheduler's, and notes on what is different.

    `next_run_time` is the job's: APScheduler counts an interval from it, wherever it is. Raises UntakableTriggerError.
    """
    notes: list[str] = []
    try:
        made = _mapped(old, next_run_time, notes, _DEEPEST)
    except UntakableTriggerError:
        raise
    except RefusedPickleError as error:
        raise UntakableTriggerError(str(error)) from None
    except (ValueError, TypeError, OverflowError) as error:
        raise UntakableTriggerError(f"its trigger is refused here: {error}") from None
    return made, list(dict.fromkeys(notes))


def _mapped(old: Any, next_run_time: datetime | None, notes: list[str], depth: int) -> BaseTrigger:
    if isinstance(old, Foreign | Allowed):
        raise UntakableTriggerError(_foreign(old.reference))
    if isinstance(old, BaseTrigger):
        notes.append(
            f"its trigger is of the program's own class {type(old).__qualname__}: check its fire times"
        )
        return old
    if not isinstance(old, StandIn) or not old.reference.startswith(_PACKAGE):
        raise UntakableTriggerError("what it has for a trigger is none of APScheduler's")
    if not depth:
        raise UntakableTriggerError("its trigger is nested too deep")
    module, _, name = old.reference.removeprefix(_PACKAGE).partition(":")
    state = old.state
    version = state.get("version", 1)
    if type(version) is not int or version > _VERSIONS.get(module, 0):
        raise UntakableTriggerError(
            f"its {name} is of version {version!r:.20} of APScheduler's format; {_VERSIONS.get(module, 0)} is the last one known here"
        )
    if name == "DateTrigger":
        return _date(state, next_run_time, notes)
    if name == "IntervalTrigger":
        return _interval(state, next_run_time, notes)
    if name == "CronTrigger":
        return _cron(state, notes)
    if name == "CalendarIntervalTrigger":
        return _calendar_interval(state, next_run_time, notes)
    if name in ("AndTrigger", "OrTrigger"):
        return _combined(name, state, notes, depth)
    raise UntakableTriggerError(f"its trigger is a {name}, which is none")


def _foreign(reference: str) -> str:
    return (
        f"its trigger is of the class {reference}, which is not APScheduler's: add the job anew with a trigger of mainspring's, or, "
        f"if that class now derives from mainspring's BaseTrigger, allow it ({_module(reference)})"
    )


def _module(reference: str) -> str:
    return reference.partition(":")[0]


# -- each kind -------------------------------------------------------------------------------------------------------


def _date(state: dict[str, Any], next_run_time: datetime | None, notes: list[str]) -> DateTrigger:
    run_date = _moment(state, "run_date")
    if run_date is None:
        raise UntakableTriggerError("its date trigger has no date")
    if next_run_time is not None and next_run_time != run_date:
        # APScheduler's ends with its first run, whenever that was; ours would run once more on its own date.
        notes.append(
            f"its next run time is not its trigger's date, {run_date}: it runs once, at that next run time"
        )
        run_date = next_run_time
    return DateTrigger(run_date)


def _interval(state: dict[str, Any], next_run_time: datetime | None, notes: list[str]) -> IntervalTrigger:
    length = state.get("interval")
    if type(length) is not timedelta:
        raise UntakableTriggerError("its interval trigger has no interval")
    zone, start, end = _zone(state), _moment(state, "start_date"), _moment(state, "end_date")
    jitter = _jitter(state, notes)
    if start is None:
        raise UntakableTriggerError("its interval trigger has no start")
    if next_run_time is not None and length > timedelta(0) and (end is None or next_run_time <= end):
        step = length // timedelta(microseconds=1)
        if next_run_time < start or (to_micros(next_run_time) - to_micros(start)) % step:
            start = next_run_time
            because = "jitter has moved it" if jitter else "somebody has set it"
            notes.append(
                f"its next run time is not a whole number of intervals behind its start date ({because}): the interval is counted "
                "from that time on, as APScheduler does"
            )
    return IntervalTrigger(interval=length, start_date=start, end_date=end, timezone=zone, jitter=jitter)


def _cron(state: dict[str, Any], notes: list[str]) -> CronTrigger:
    fields = cron_fields(state.get("fields"))
    given: dict[str, str] = {name: text for name, is_default, text in fields if not is_default}
    options: dict[str, Any] = {
        "start_date": _moment(state, "start_date"),
        "end_date": _moment(state, "end_date"),
        "timezone": _zone(state),
        "jitter": _jitter(state, notes),
    }
    made = CronTrigger(**{**given, **options})
    ours = {field.name: str(field) for field in made.fields}
    # Those that were left out had a default, which is the same here; unless a program has made the fields by itself.
    others = {name: text for name, is_default, text in fields if is_default and ours[name] != text}
    return CronTrigger(**{**given, **others, **options}) if others else made


def _calendar_interval(
    state: dict[str, Any], next_run_time: datetime | None, notes: list[str]
) -> CalendarIntervalTrigger:
    parts, at = state.get("interval"), state.get("time")
    if not _is_numbers(parts, 4) or not _is_numbers(at, 3):
        raise UntakableTriggerError("its calendar interval has no interval, or no time of day")
    assert isinstance(parts, list | tuple)
    assert isinstance(at, list | tuple)
    zone, start, end = _zone(state), _day(state, "start_date"), _day(state, "end_date")
    years, months, weeks, days = parts
    options: dict[str, Any] = {
        **{"years": years, "months": months, "weeks": weeks, "days": days},
        **{"hour": at[0], "minute": at[1], "second": at[2]},
        **{"end_date": end, "timezone": zone, "jitter": _jitter(state, notes)},
    }
    made = CalendarIntervalTrigger(start_date=start, **options)
    if (
        next_run_time is not None
        and not made.jitter
        and made.count_between(to_micros(next_run_time) - 1, to_micros(next_run_time)) == 0
    ):
        day = next_run_time.astimezone(zone).date()
        if end is None or day <= end:
            notes.append(
                f"its next run time is not one of its calendar interval's: that is counted from that day on, {day}"
            )
            made = CalendarIntervalTrigger(start_date=day, **options)
    if (years or months) and (weeks or days):
        notes.append(
            "its calendar interval has months and days: each date is counted from the first one, and not from the one before; a date "
            "that does not exist is left out"
        )
    return made


def _combined(name: str, state: dict[str, Any], notes: list[str], depth: int) -> BaseTrigger:
    olds = state.get("triggers")
    if type(olds) is not list or not 0 < len(olds) <= 1_000:
        raise UntakableTriggerError(f"its {name} has no triggers")
    # In a combination, nobody knows which of them the next run time is of; so none is moved to it.
    theirs: list[str] = []
    parts = [_mapped(_as_stand_in(old), None, theirs, depth - 1) for old in olds]
    notes += [note for note in theirs if note != _JITTER]
    jitter = _jitter(state, notes)
    if any(getattr(part, "jitter", None) for part in parts):
        notes.append("the jitter of the triggers in a combination has no effect; that of the whole has")
    kinds = {type(part) for part in parts}
    if name == "AndTrigger":
        return AndTrigger(parts, jitter)
    if kinds & {IntervalTrigger, CalendarIntervalTrigger} and len(parts) > 1:
        notes.append(
            "an 'or' with an interval: each interval keeps its own times; in APScheduler it was counted anew from the last run of any of them"
        )
    if DateTrigger in kinds and len(parts) > 1:
        notes.append(
            "an 'or' with a date: the date keeps its run; APScheduler forgot it after the first run of any of them"
        )
    return OrTrigger(parts, jitter)


def _as_stand_in(old: Any) -> Any:
    """A part of a combination: a pair of a reference and a state (3.6 and later), or the trigger itself."""
    if type(old) is not tuple or len(old) != 2 or type(old[0]) is not str:
        return old
    reference, state = old
    if reference not in APSCHEDULER:
        raise UntakableTriggerError(_foreign(reference[:200]))
    part = StandIn(reference)
    part.fill(state)
    return part


# -- parts of states -------------------------------------------------------------------------------------------------


def _zone(state: dict[str, Any]) -> tzinfo:
    value = state.get("timezone")
    if isinstance(value, Foreign):
        raise UntakableTriggerError(
            f"its trigger's time zone is {value.reference}: {value.reason or 'not one that is known here'}"
        )
    zone = finished_zone(value)
    if zone is None:
        raise UntakableTriggerError("its trigger has no time zone")
    return as_zone(zone)


def _moment(state: dict[str, Any], name: str) -> datetime | None:
    value = state.get(name)
    if isinstance(value, Foreign):
        raise UntakableTriggerError(
            f"its trigger's {name} is in the time zone {value.reference}: {value.reason or 'not known here'}"
        )
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        raise UntakableTriggerError(f"its trigger's {name} is no datetime with a time zone")
    return value


def _day(state: dict[str, Any], name: str) -> date | None:
    value = state.get(name)
    if value is not None and not isinstance(value, date):
        raise UntakableTriggerError(f"its trigger's {name} is no date")
    return value


def _jitter(state: dict[str, Any], notes: list[str]) -> float | None:
    value = state.get("jitter")
    if value is None or value == 0:
        return None
    if type(value) not in (int, float):
        raise UntakableTriggerError("its trigger's jitter is no number")
    notes.append(_JITTER)
    return float(value) if type(value) is float else value


def _is_numbers(value: Any, size: int) -> bool:
    return type(value) in (list, tuple) and len(value) == size and all(type(part) is int for part in value)


def differs_on_clock_changes(trigger: BaseTrigger, now: datetime) -> str | None:
    """A note, if it has times that a clock change of the next two years skips or repeats, and APScheduler has another rule for them."""
    for line in trigger.hazards(now, now + timedelta(days=731)):
        # Those that follow the wall clock ("does not run", "runs both times") do so there, too.
        if (" exist on " in line or " twice on " in line) and not line.endswith(("not run", "both times")):
            return _ZONE_RULE
    return None
