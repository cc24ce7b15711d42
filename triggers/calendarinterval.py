"""`CalendarIntervalTrigger`: every so many years, months, weeks and days of the calendar, at one time of day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, tzinfo
from typing import Any, ClassVar, Self

from .base import (
    check_arguments,
    check_jitter,
    check_version,
    keep_own_attributes,
    put,
    state_flag,
    state_zone,
)
from .calendargrid import CalendarGrid
from .civil import CivilTrigger
from .instants import (
    FIRST_INSTANT,
    LAST_INSTANT,
    from_micros,
    parse_date,
    to_micros,
    zone_name,
    zone_of_dates,
)
from .policies import Gap, Overlap, as_gap, as_overlap

__all__ = ["CalendarIntervalTrigger"]

_STEP_NAMES = ("years", "months", "weeks", "days")
_TIME_NAMES = ("hour", "minute", "second")
_EPOCH = date(1970, 1, 1).toordinal()
_TWO_DAYS = 2 * 86_400_000_000  # more than any zone is ahead or behind


class CalendarIntervalTrigger(CivilTrigger):
    """Fires at *hour*:*minute*:*second* of *timezone*'s wall clock, on *start_date* and every interval of the calendar after it.

    The k-th date is computed from the start alone: k times the years and months from it, on its day of the month, and k times the weeks and days behind that.
    A month that has no such day is left out; the date is never moved to another day, and the dates behind it do not creep::

        months=1, from 31 January                 31 Jan · – · 31 Mar · – · 31 May · – · 31 Jul · 31 Aug …
        years=1, from 29 February 2024            29 Feb 2024 · – · – · – · 29 Feb 2028 …
        months=1, days=1, from 1 January          1 Jan · 2 Feb · 3 Mar · 4 Apr …

    ``days=1, hour=5`` is at 05:00 on every day, whatever the clocks do (`IntervalTrigger` has elapsed time). A time that the clock skips is made up for right after
    the gap, and of one that it shows twice the first counts; *gap* and *overlap* choose another rule, each drawn in `Gap` and `Overlap`.

    *start_date* and *end_date* (inclusive) are dates, text, or datetimes, of which the date in *timezone* counts. Without a start it is the date on which the job is
    added, or that of the `next_run_time` given with it (settled by `bind`); if the time of day has passed by then, the first run is on the next date. Asked before
    that, it binds itself to the moment that it is asked about.

    *timezone* is by default that of *start_date*, else of *end_date*, else the local one. *jitter*: see `BaseTrigger.jitter`. The interval's parts are integers, not
    negative. Raises ValueError if all are zero, for an end before the start, and if no fire time can ever come of it.
    """

    __slots__ = ("_end_day", "_settled", "_start_day", "_steps", "_time")

    argument_names: ClassVar[frozenset[str]] = frozenset(
        {*_STEP_NAMES, *_TIME_NAMES, "start_date", "end_date", "timezone", "jitter", "gap", "overlap"}
    )

    _steps: tuple[int, ...]  # years, months, weeks, days
    _time: time
    _start_day: date | None  # None: unbound
    _end_day: date | None  # None: no end
    _settled: bool  # the start was settled by bind, not given

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | None = None,
        gap: Gap | str | None = None,
        overlap: Overlap | str | None = None,
    ) -> None:
        steps, at = (years, months, weeks, days), (hour, minute, second)
        _check(steps, at)
        zone = zone_of_dates(timezone, start_date, end_date)
        start, end = _day(start_date, zone, "start_date"), _day(end_date, zone, "end_date")
        if start is not None and end is not None and end < start:
            raise ValueError(f"end_date: {end} is before start_date, {start}: it would never fire")
        policies = as_gap(gap, Gap.AFTER), as_overlap(overlap, Overlap.FIRST)
        self._fill(steps, time(*at), start, end, False, zone, policies, check_jitter(jitter))
        # Only a time that the clock skips can be lost, and one beyond the last instant.
        if start is not None and (self._gap is Gap.SKIP or start.year > 9998) and self._is_empty(start):
            raise ValueError(
                f"no time ever comes of it: from {start}{'' if end is None else f' until {end}'}, {self._time} is always skipped "
                f"by the clock of {zone_name(zone)}, or beyond the end of the calendar"
            )

    @property
    def years(self) -> int:
        return self._steps[0]

    @property
    def months(self) -> int:
        return self._steps[1]

    @property
    def weeks(self) -> int:
        return self._steps[2]

    @property
    def days(self) -> int:
        return self._steps[3]

    @property
    def hour(self) -> int:
        return self._time.hour

    @property
    def minute(self) -> int:
        return self._time.minute

    @property
    def second(self) -> int:
        return self._time.second

    @property
    def start_date(self) -> date | None:  # type: ignore[override]  # a date: it is the day that counts
        """The first date, given or settled by `bind`; None before."""
        return self._start_day

    @property
    def end_date(self) -> date | None:  # type: ignore[override]
        """The last date on which it may fire."""
        return self._end_day

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """Without a start: one that starts on the date of *anchor*, or else of *now*. Otherwise itself."""
        if self._start_day is not None:
            return self
        return self._started_at(to_micros(now if anchor is None else anchor))

    def next_after(self, instant: int) -> int | None:
        if self._start_day is None:
            return self._started_at(instant + 1).next_after(instant)
        return super().next_after(instant)

    def count_between(self, after: int, until: int) -> int:
        if self._start_day is None:
            return self._started_at(after + 1).count_between(after, until)
        # Clock changes of years in which it does not fire are not gone through.
        after = max(after, _instant(self._start_day) - _TWO_DAYS)
        if self._end_day is not None:
            until = min(until, _instant(self._end_day) + 2 * _TWO_DAYS)
        return super().count_between(after, until)

    def silent_from(self, instant: int) -> int:
        if self._start_day is None:
            return self._started_at(instant).silent_from(instant)
        return super().silent_from(instant)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """As `CivilTrigger` has it; unbound, as if it started on the date of the previous fire time, or else of *now*."""
        if self._start_day is not None:
            return super().get_next_fire_time(previous_fire_time, now)
        asked = now if previous_fire_time is None else previous_fire_time
        return self.bind(asked, "").get_next_fire_time(previous_fire_time, now)

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        keep: dict[str, Any] = {
            "start_date": None if self._settled else self._start_day,
            "end_date": self._end_day,
            "timezone": self.timezone,
            "jitter": self.jitter,
            "gap": self._gap,
            "overlap": self._overlap,
        }
        if trigger_args.keys().isdisjoint(_STEP_NAMES + _TIME_NAMES):
            keep.update(zip(_STEP_NAMES, self._steps, strict=True))
            keep.update(zip(_TIME_NAMES, _parts(self._time), strict=True))
        changed = type(self)(**{**keep, **trigger_args})
        if self._settled and self._start_day is not None and "start_date" not in trigger_args:
            return changed._started(self._start_day)
        return changed

    def get_state(self) -> dict[str, Any]:
        state = {
            "version": 1,
            "interval": list(self._steps),
            "time": list(_parts(self._time)),
            "start": None if self._start_day is None else self._start_day.isoformat(),
            "settled": self._settled,
            "end": None if self._end_day is None else self._end_day.isoformat(),
            "timezone": zone_name(self.timezone),
            "jitter": self.jitter,
        }
        return {**state, **self._unusual_policies()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        steps = _stored_integers(state, "interval", 4)
        hour, minute, second = at = _stored_integers(state, "time", 3)
        _check(steps, at)
        start, end = _stored_day(state, "start"), _stored_day(state, "end")
        settled, zone = state_flag(state, "settled"), state_zone(state)
        policies = as_gap(state.get("gap"), Gap.AFTER), as_overlap(state.get("overlap"), Overlap.FIRST)
        jitter = check_jitter(state["jitter"])
        self._fill(steps, time(hour, minute, second), start, end, settled, zone, policies, jitter)

    def _fill(
        self,
        steps: tuple[int, ...],
        at: time,
        start: date | None,
        end: date | None,
        settled: bool,
        zone: tzinfo,
        policies: tuple[Gap, Overlap],
        jitter: float | None,
    ) -> None:
        years, months, weeks, days = steps
        second = (at.hour * 60 + at.minute) * 60 + at.second
        put(self, "_steps", steps)
        put(self, "_time", at)
        put(self, "_start_day", start)
        put(self, "_end_day", end)
        put(self, "_settled", settled)
        # Start and end are dates on the wall, and so the grid's: a time that is made up for after midnight belongs to the day before.
        grid = CalendarGrid(12 * years + months, 7 * weeks + days, second, start, end)
        self._set(grid, None, None, zone, *policies, jitter)

    def _is_empty(self, start: date) -> bool:
        # From where no zone has come to that date yet.
        return self.next_after(_instant(start) - _TWO_DAYS) is None

    def _started_at(self, instant: int) -> Self:
        """This trigger with a settled start: the date of *instant*."""
        instant = min(max(instant, FIRST_INSTANT), LAST_INSTANT)
        return self._started(from_micros(instant, self.timezone).date())

    def _started(self, start: date) -> Self:
        started = object.__new__(type(self))
        policies = self._gap, self._overlap
        started._fill(
            self._steps, self._time, start, self._end_day, True, self.timezone, policies, self.jitter
        )
        keep_own_attributes(self, started)
        return started

    def _identity(self) -> tuple[object, ...]:
        years, months, weeks, days = self._steps
        start = None if self._settled else self._start_day
        steps = 12 * years + months, 7 * weeks + days
        zone = zone_name(self.timezone)
        return (steps, self._time, start, self._end_day, zone, self.jitter, self._gap, self._overlap)

    def __str__(self) -> str:
        given = [(step, name) for step, name in zip(self._steps, _STEP_NAMES, strict=True) if step]
        steps = [f"{step} {name if step > 1 else name[:-1]}" for step, name in given]
        return f"calendarinterval[{', '.join(steps)} at {self._time}]"

    def __repr__(self) -> str:
        parts = [f"{name}={step}" for step, name in zip(self._steps, _STEP_NAMES, strict=True) if step]
        shown = {"time": self._time, "start_date": self._start_day, "end_date": self._end_day}
        parts += [f"{name}='{value}'" for name, value in shown.items() if value is not None]
        return f"{type(self).__name__}({', '.join(parts + self._shown_options())})"


def _instant(day: date) -> int:
    """Its midnight UTC."""
    return (day.toordinal() - _EPOCH) * 86_400_000_000


def _parts(at: time) -> tuple[int, int, int]:
    return at.hour, at.minute, at.second


def _check(steps: tuple[int, ...], at: tuple[int, ...]) -> None:
    """Raise TypeError or ValueError, naming the argument, unless these are an interval and a time of day."""
    for name, value in zip(_STEP_NAMES + _TIME_NAMES, steps + at, strict=True):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}: expected an integer, got {value!r}")
        if value.bit_length() > 64:
            raise ValueError(f"{name}: an integer of {value.bit_length()} bits is more than the calendar has")
    for name, value in zip(_STEP_NAMES, steps, strict=True):
        if value < 0:
            raise ValueError(f"{name}: expected an integer that is not negative, got {value}")
    for name, value, end in zip(_TIME_NAMES, at, (24, 60, 60), strict=True):
        if not 0 <= value < end:
            raise ValueError(f"{name}: expected 0 to {end - 1}, got {value}")
    if not any(steps):
        raise ValueError(
            "an interval must be at least 1 day long: give at least one of years, months, weeks, days"
        )


def _day(value: date | str | None, zone: tzinfo, name: str) -> date | None:
    """The date that an argument means in *zone*; an error names the argument."""
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    try:
        moment = parse_date(value, zone)
        # What is in the zone already stays as it was written, even if the clock skips that time.
        return moment.date() if moment.tzinfo is zone else moment.astimezone(zone).date()
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    except OverflowError:
        raise ValueError(f"{name}: {value} is beyond the calendar in {zone_name(zone)}") from None


def _stored_integers(state: Mapping[str, Any], name: str, n: int) -> tuple[int, ...]:
    value = state[name]
    if isinstance(value, list) and len(value) == n and all(type(part) is int for part in value):
        return tuple(value)
    raise TypeError(f"{name} must be a list of {n} integers, not {value!r}")


def _stored_day(state: Mapping[str, Any], name: str) -> date | None:
    value = state[name]
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise TypeError(f"{name} must be a date such as '2026-01-31' or null, not {value!r}") from None
