"""Triggers as plainly as can be, in whole microseconds: what the model of the scheduler asks, beside the real ones that it stands for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mainspring.triggers.base import BaseTrigger
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.date import DateTrigger
from mainspring.triggers.interval import IntervalTrigger

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(instant: int) -> datetime:
    """An instant as a datetime."""
    return EPOCH + timedelta(microseconds=instant)


def instant_of(time: datetime) -> int:
    """A datetime as an instant."""
    return (time - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class PlainTrigger(ABC):
    """What the model needs of a trigger."""

    one_off = False

    @abstractmethod
    def real(self) -> BaseTrigger:
        """The library's trigger that this one stands for, not bound."""

    def bound(self, now: int, anchor: int | None) -> PlainTrigger:
        """With everything settled that depends on when the job is added."""
        return self

    def given(self) -> PlainTrigger:
        """What was given, without what was settled: two triggers are equal if this is."""
        return self

    def shifted(self, now: int) -> PlainTrigger:
        """As it is drawn, its times are counted from now."""
        return self

    @abstractmethod
    def after(self, instant: int) -> int | None:
        """The first fire time later than that."""

    def first(self, now: int) -> int | None:
        """The first fire time, asked at `now`."""
        return self.after(now - 1)


@dataclass(frozen=True)
class PlainDate(PlainTrigger):
    """Once; at the moment at which the job is added, for None."""

    run: int | None
    settled: bool = False
    one_off = True

    def real(self) -> BaseTrigger:
        return DateTrigger(None if self.run is None else moment(self.run), timezone=UTC)

    def bound(self, now: int, anchor: int | None) -> PlainTrigger:
        if self.run is not None:
            return self
        return PlainDate(now if anchor is None else anchor, True)

    def given(self) -> PlainTrigger:
        return PlainDate(None) if self.settled else self

    def shifted(self, now: int) -> PlainTrigger:
        return self if self.run is None else replace(self, run=now + self.run)

    def after(self, instant: int) -> int | None:
        return self.run if self.run is not None and self.run > instant else None

    def first(self, now: int) -> int | None:
        return self.run


@dataclass(frozen=True)
class PlainInterval(PlainTrigger):
    """Every `step` from `start` to `end`."""

    step: int
    start: int | None = None
    end: int | None = None
    settled: bool = False

    def real(self) -> BaseTrigger:
        start, end = (None if time is None else moment(time) for time in (self.start, self.end))
        return IntervalTrigger(seconds=self.step / SECOND, start_date=start, end_date=end, timezone=UTC)

    def bound(self, now: int, anchor: int | None) -> PlainTrigger:
        if self.start is not None:
            return self
        return replace(self, start=now + self.step if anchor is None else anchor, settled=True)

    def given(self) -> PlainTrigger:
        return replace(self, start=None, settled=False) if self.settled else self

    def shifted(self, now: int) -> PlainTrigger:
        start, end = (None if time is None else now + time for time in (self.start, self.end))
        return replace(self, start=start, end=end)

    def with_step(self, step: int) -> PlainTrigger:
        """As `modify_job(seconds=…)` has it: the same grid's beginning, another step."""
        return replace(self, step=step)

    def after(self, instant: int) -> int | None:
        assert self.start is not None
        time = self.start
        if instant >= time:
            time += (instant - time) // self.step * self.step + self.step
        return time if self.end is None or time <= self.end else None


@dataclass(frozen=True)
class PlainCron(PlainTrigger):
    """At these minutes of these hours of these weekdays (0 is Monday), in UTC; None: all."""

    weekdays: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    minutes: tuple[int, ...]

    def real(self) -> BaseTrigger:
        def text(values: tuple[int, ...] | None) -> str:
            return "*" if values is None else ",".join(map(str, values))

        return CronTrigger(
            day_of_week=text(self.weekdays), hour=text(self.hours), minute=text(self.minutes), timezone=UTC
        )

    def after(self, instant: int) -> int | None:
        day = moment(instant).replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            if self.weekdays is None or day.weekday() in self.weekdays:
                for hour in range(24) if self.hours is None else self.hours:
                    for minute in self.minutes:
                        time = instant_of(day.replace(hour=hour, minute=minute))
                        if time > instant:
                            return time
            day += timedelta(days=1)
