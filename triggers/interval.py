"""`IntervalTrigger`: every so much elapsed time, on a grid that never drifts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, ClassVar, Self

from .base import (
    InstantTrigger,
    check_arguments,
    check_jitter,
    check_version,
    keep_own_attributes,
    put,
    state_flag,
    state_instant,
    state_integer,
    state_zone,
)
from .instants import (
    FIRST_INSTANT,
    LAST_INSTANT,
    exact_instant,
    format_instant,
    from_micros,
    optional_instant,
    to_micros,
    zone_name,
    zone_of_dates,
)
from .offsets import offsets_of

__all__ = ["IntervalTrigger"]

_from_timestamp = datetime.fromtimestamp
_MICROSECOND = timedelta(microseconds=1)
_ZERO = timedelta(0)
_LENGTH_NAMES = ("weeks", "days", "hours", "minutes", "seconds", "interval")


class IntervalTrigger(InstantTrigger):
    """Fires at *start_date* and every interval after it, until *end_date* (inclusive).

    The interval is the sum of its parts: numbers (integers or floats, to the microsecond) or timedeltas; *interval* is a part that is a timedelta. It is elapsed
    time: clock changes do not touch it, so ``days=1`` is 24 hours. Every fire time is *start_date* plus a whole number of intervals, so nothing drifts. Without a start the first
    fire time is one interval after the moment at which the job is added, or the `next_run_time` given with the job (settled by `bind`).
    Asked before that, it binds itself to the moment that it is asked about.

    *timezone* is the zone of dates that name none, and in which fire times are given: by default that of *start_date*, else of *end_date*, else the
    local one. *jitter*: see `BaseTrigger.jitter`. Raises ValueError for an interval that is not positive.
    """

    # A million of these stand in memory: nothing here that could be computed, but for what only the API for datetimes fills.
    __slots__ = ("_calm", "_end", "_settled", "_start", "_step", "jitter", "timezone")

    argument_names: ClassVar[frozenset[str]] = frozenset(
        {*_LENGTH_NAMES, "start_date", "end_date", "timezone", "jitter"}
    )

    _step: int
    _start: int | None  # None: unbound
    _end: int  # LAST_INSTANT: no end
    _settled: bool  # the start was settled by bind, not given
    _calm: _Calm | None  # around the last answers of `get_next_fire_time`
    timezone: tzinfo
    jitter: float | None

    def __init__(
        self,
        weeks: float | timedelta = 0,
        days: float | timedelta = 0,
        hours: float | timedelta = 0,
        minutes: float | timedelta = 0,
        seconds: float | timedelta = 0,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | None = None,
        interval: timedelta = _ZERO,
    ) -> None:
        try:
            step = _length(weeks, days, hours, minutes, seconds, interval)
        except TypeError:
            given = dict(zip(_LENGTH_NAMES, (weeks, days, hours, minutes, seconds, interval), strict=True))
            raise TypeError(
                f"the parts of an interval must be numbers or timedeltas (interval: a timedelta), got {given!r}"
            ) from None
        zone = zone_of_dates(timezone, start_date, end_date)
        start = None if start_date is None else exact_instant(start_date, zone, "start_date")
        end = None if end_date is None else optional_instant(end_date, zone, "end_date")
        if start is not None and end is not None and end < start:
            raise ValueError(f"end_date: {end_date} is before start_date, {start_date}: it would never fire")
        put(self, "_step", step)
        put(self, "_start", start)
        put(self, "_end", LAST_INSTANT if end is None else end)
        put(self, "_settled", False)
        put(self, "_calm", None)
        put(self, "timezone", zone)
        put(self, "jitter", None if jitter is None else check_jitter(jitter))

    @property
    def interval(self) -> timedelta:
        return timedelta(microseconds=self._step)

    @property
    def interval_length(self) -> float:
        """The interval in seconds."""
        return self._step / 1_000_000

    @property
    def start_date(self) -> datetime | None:
        """The first fire time, given or settled by `bind`; None before."""
        return None if self._start is None else from_micros(self._start, self.timezone)

    @property
    def end_date(self) -> datetime | None:
        return None if self._end == LAST_INSTANT else from_micros(self._end, self.timezone)

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """Without a start: one that starts at *anchor*, or else one interval after *now*. Otherwise itself."""
        if self._start is not None:
            return self
        start = to_micros(now) + self._step if anchor is None else to_micros(anchor)
        # Behind the last instant that has a datetime in every zone there is nothing: one that begins there never fires.
        return self._started(min(max(start, FIRST_INSTANT), LAST_INSTANT + 1))

    def next_after(self, instant: int) -> int | None:
        start = self._start
        if start is None:
            following = instant + self._step
        elif instant < start:
            following = start
        else:
            following = instant + self._step - (instant - start) % self._step
        return following if following <= self._end else None

    def previous_before(self, instant: int) -> int | None:
        start = self._start
        if start is None or instant <= start or self._end < start:
            return None
        latest = min(instant - 1, self._end)
        return latest - (latest - start) % self._step

    def count_between(self, after: int, until: int) -> int:
        start = self._start
        if start is None:
            start = after + self._step
        until = min(until, self._end)
        if until < start:
            return 0
        passed = 0 if after < start else (after - start) // self._step + 1
        return max(0, (until - start) // self._step + 1 - passed)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """As `InstantTrigger` has it; unbound, one interval after the previous fire time, or else after *now*."""
        if previous_fire_time is None:
            # Now itself may be a fire time, if there is a grid.
            first = self.next_after(to_micros(now) - (self._start is not None))
            if first is None:
                return None
            second, micros = divmod(first, 1_000_000)
            return from_micros(first, self.timezone) if micros else _from_timestamp(second, self.timezone)
        calm = self._calm
        if calm is not None:
            answer = calm.answer
            instant = None
            if answer[0] is previous_fire_time:
                # What is asked for mostly: the fire time behind the one that was answered last. A race with another thread is none: an answer is put in its
                # place whole, and whichever is met, its two parts belong together.
                instant = answer[1]
            elif type(previous_fire_time) is datetime and previous_fire_time.tzinfo is self.timezone:
                # (Of a subclass nobody knows how it subtracts: pandas' goes by elapsed time.)
                since = previous_fire_time - calm.epoch
                instant = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
            if (
                instant is not None
                and calm.begin <= instant
                and (following := instant + self._step) < calm.end
                and not (instant - calm.begin) % self._step
            ):
                moment = previous_fire_time + calm.interval
                calm.answer = (moment, following)
                return moment
        after = self.next_after(to_micros(previous_fire_time))
        if after is None:
            return None
        moment = from_micros(after, self.timezone)
        if self._start is not None:
            put(self, "_calm", _Calm(self, self._start, moment, after))
        return moment

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        keep: dict[str, Any] = {
            "start_date": None if self._settled else self.start_date,
            "end_date": self.end_date,
            "timezone": self.timezone,
            "jitter": self.jitter,
        }
        same_length = trigger_args.keys().isdisjoint(_LENGTH_NAMES)
        if same_length:
            keep["seconds"] = 1  # to be replaced: the length as a float of seconds could lose microseconds
        changed = type(self)(**{**keep, **trigger_args})
        if same_length:
            put(changed, "_step", self._step)
        if self._settled and self._start is not None and "start_date" not in trigger_args:
            return changed._started(self._start)
        return changed

    def get_state(self) -> dict[str, Any]:
        return {
            "version": 1,
            "interval": self._step,
            "start": self._start,
            "settled": self._settled,
            "end": None if self._end == LAST_INSTANT else self._end,
            "timezone": zone_name(self.timezone),
            "jitter": self.jitter,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        step, end = state_integer(state, "interval"), state_instant(state, "end")
        if step is None or step <= 0:
            raise ValueError(f"the state of an interval trigger has an interval of {step} µs")
        put(self, "_step", _shared(step))
        put(self, "_start", state_instant(state, "start"))
        put(self, "_end", LAST_INSTANT if end is None else end)
        put(self, "_settled", state_flag(state, "settled"))
        put(self, "_calm", None)
        put(self, "timezone", state_zone(state))
        put(self, "jitter", check_jitter(state["jitter"]))

    def _started(self, start: int) -> Self:
        """This trigger with a settled start."""
        started = object.__new__(type(self))
        put(started, "_step", self._step)
        put(started, "_start", start)
        put(started, "_end", self._end)
        put(started, "_settled", True)
        put(started, "_calm", None)
        put(started, "timezone", self.timezone)
        put(started, "jitter", self.jitter)
        keep_own_attributes(self, started)
        return started

    def _identity(self) -> tuple[object, ...]:
        start = None if self._settled else self._start
        return (self._step, start, self._end, zone_name(self.timezone), self.jitter)

    def __str__(self) -> str:
        return f"interval[{self.interval}]"

    def __repr__(self) -> str:
        parts = [f"interval={self.interval!r}"]
        if self._start is not None:
            parts.append(f"start_date='{format_instant(self._start, self.timezone)}'")
        if self._end != LAST_INSTANT:
            parts.append(f"end_date='{format_instant(self._end, self.timezone)}'")
        parts.append(f"timezone='{zone_name(self.timezone)}'")
        if self.jitter is not None:
            parts.append(f"jitter={self.jitter!r}")
        return f"<{type(self).__name__} ({', '.join(parts)})>"


class _Calm:
    """A time without clock changes, in which a fire time is the one before it plus the interval on the wall; and the last one that was answered."""

    __slots__ = ("answer", "begin", "end", "epoch", "interval")

    def __init__(self, trigger: IntervalTrigger, start: int, moment: datetime, instant: int) -> None:
        offsets = offsets_of(trigger.timezone)
        span = offsets.at(instant // 1_000_000)
        step = trigger._step
        # The first fire time in it (every other is a whole number of intervals from it), and until before when.
        self.begin = max(start, start + -((start - span.calm * 1_000_000) // step) * step)
        self.end = min(span.until * 1_000_000, trigger._end + 1)
        self.epoch = offsets.epoch + timedelta(0, span.offset)  # what the wall would have shown at the epoch
        self.interval = trigger.interval
        self.answer = (moment, instant)


@lru_cache(maxsize=4096, typed=True)  # or True would be found as 1
def _length(
    weeks: float | timedelta,
    days: float | timedelta,
    hours: float | timedelta,
    minutes: float | timedelta,
    seconds: float | timedelta,
    interval: timedelta,
) -> int:
    """The interval in µs. Cached, for speed, and so that equal intervals are one integer in memory."""
    parts = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    length = _ZERO + interval  # nothing but a timedelta can be added to one
    try:
        for name, part in parts.items():
            if isinstance(part, bool):
                raise TypeError(name)
            length += part if isinstance(part, timedelta) else timedelta(**{name: part})
    except (OverflowError, ValueError) as error:
        raise ValueError(f"not an interval: {error}") from None
    micros = length // _MICROSECOND
    if micros <= 0:
        raise ValueError(
            f"an interval must be positive, got {length!r}: give at least one of {', '.join(_LENGTH_NAMES)}"
        )
    return micros


@lru_cache(maxsize=4096)
def _shared(micros: int) -> int:
    """One integer object for equal intervals that were read from stored states."""
    return micros
