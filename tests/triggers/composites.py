"""Random triggers made of triggers, each with the set of moments at which it must fire, got by trying every minute and by set operations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from mainspring.triggers import BaseTrigger, CronExpressionError, DateTrigger, InstantTrigger, IntervalTrigger
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.excluding import ExcludingTrigger

from tests.triggers import oracle
from tests.triggers.schedules import CHANGES, count, cron, cron_fields, fires_backwards, fires_between, window

Fires: TypeAlias = frozenset[datetime]

MINUTE = timedelta(minutes=1)


class Stretch(NamedTuple):
    """A stretch of time around a change of a zone's clock. Everything in it fires on whole minutes, and begins and ends with it."""

    zone: str
    begin: datetime
    end: datetime

    def minutes(self) -> list[datetime]:
        return [self.begin + n * MINUTE for n in range((self.end - self.begin) // MINUTE)]


class Expected(NamedTuple):
    trigger: InstantTrigger
    fires: Fires


STRETCHES = st.sampled_from(sorted(CHANGES)).map(lambda change: Stretch(*window(change)))


def crons(draw: st.DrawFn, stretch: Stretch) -> Expected:
    fields = draw(cron_fields())
    bounds = {"start_date": stretch.begin, "end_date": stretch.end}
    try:
        trigger = cron({**fields, **bounds}, stretch.zone)
    except CronExpressionError:
        fields = {"minute": "*/7"}
        trigger = cron({**fields, **bounds}, stretch.zone)
    return Expected(trigger, frozenset(oracle.fire_times(fields, stretch.zone, stretch.begin, stretch.end)))


def intervals(draw: st.DrawFn, stretch: Stretch) -> Expected:
    step, offset = draw(st.integers(1, 400)), draw(st.integers(0, 500))
    start = stretch.begin + offset * MINUTE
    trigger = IntervalTrigger(minutes=step, start_date=start, end_date=stretch.end, timezone=stretch.zone)
    return Expected(trigger, frozenset(stretch.minutes()[offset::step]))


def single_dates(draw: st.DrawFn, stretch: Stretch) -> Expected:
    moment = draw(st.sampled_from(stretch.minutes()))
    return Expected(DateTrigger(moment, timezone=stretch.zone), frozenset({moment}))


def local_days(stretch: Stretch) -> dict[datetime, date]:
    """The local date of each minute."""
    zone = ZoneInfo(stretch.zone)
    return {minute: minute.astimezone(zone).date() for minute in stretch.minutes()}


def refused(fires: Iterable[datetime]) -> None:
    """A trigger was refused as one that never fires: another one is tried, if that was right."""
    assert not list(fires)
    assume(False)


@st.composite
def composites(draw: st.DrawFn, stretch: Stretch, depth: int = 2) -> Expected:
    kind = draw(st.sampled_from(["cron", "interval", "interval", "date", "and", "or", "excluding"]))
    if depth == 0 or kind in ("cron", "interval", "date"):
        leaf = {"cron": crons, "date": single_dates}.get(kind, intervals)
        return leaf(draw, stretch)
    if kind == "excluding":
        return draw(exclusions(stretch, depth))
    parts = draw(st.lists(composites(stretch, depth - 1), min_size=1, max_size=3))
    triggers = [part.trigger for part in parts]
    if kind == "or":
        return Expected(OrTrigger(triggers), frozenset().union(*(part.fires for part in parts)))
    fires = frozenset.intersection(*(part.fires for part in parts))
    try:
        return Expected(AndTrigger(triggers), fires)
    except ValueError:
        refused(fires)
        raise


@st.composite
def exclusions(draw: st.DrawFn, stretch: Stretch, depth: int = 2) -> Expected:
    part = draw(composites(stretch, depth - 1))
    days_of = local_days(stretch)
    days = draw(st.sets(st.sampled_from(sorted(set(days_of.values())))))
    moments = draw(st.sets(st.sampled_from(sorted(part.fires or days_of)), max_size=4))
    excluded = draw(st.lists(composites(stretch, depth - 1), max_size=2))
    fires = {fire for fire in part.fires if days_of[fire] not in days and fire not in moments}
    fires = fires.difference(*(other.fires for other in excluded))
    # Half of the moments as text, as a person writes them.
    dates: list[date | str] = [*days]
    dates += [str(moment).replace("+00:00", "Z") if moment.minute % 2 else moment for moment in moments]
    try:
        trigger = ExcludingTrigger(part.trigger, dates, [other.trigger for other in excluded])
    except ValueError:
        refused(fires)
        raise
    return Expected(trigger, frozenset(fires))


@st.composite
def expected(draw: st.DrawFn, kind: type) -> tuple[Stretch, Expected]:
    """A trigger of that class, with its stretch and what it must do there."""
    stretch = draw(STRETCHES)
    made = draw(
        exclusions(stretch)
        if kind is ExcludingTrigger
        else composites(stretch).filter(lambda e: type(e.trigger) is kind)
    )
    return stretch, made


NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


def every(step: timedelta | int, start: datetime | None = ANCHOR, **options: Any) -> IntervalTrigger:
    seconds = step if isinstance(step, int) else step.total_seconds()
    return IntervalTrigger(seconds=seconds, start_date=start, **{"timezone": UTC, **options})


def check(trigger: InstantTrigger, stretch: Stretch, fires: frozenset[datetime]) -> None:
    """All three questions, over the whole stretch and over parts of it."""
    begin, end = stretch.begin, stretch.end
    right = sorted(fires)
    assert fires_between(trigger, begin, end) == right
    assert fires_backwards(trigger, begin, end) == right
    assert count(trigger, begin, end) == len(right)
    for third in (1, 2):
        middle = begin + (end - begin) * third // 3
        assert count(trigger, begin, middle) == sum(fire < middle for fire in right)
        assert count(trigger, middle, end) == sum(fire >= middle for fire in right)


def shifted(seconds: float) -> datetime:
    return ANCHOR + timedelta(seconds=seconds)


class EveryHour(BaseTrigger):
    """The least that a trigger must be, with an answer to be wrong about."""

    def __init__(self, wrong: Any = None, name: str = "mine") -> None:
        self.wrong = wrong
        self.name = name

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if self.wrong is not None:
            return self.wrong  # type: ignore[no-any-return]
        if previous_fire_time is None:
            return now.replace(minute=0, second=0, microsecond=0) + timedelta(
                hours=bool(now.minute or now.second or now.microsecond)
            )
        return previous_fire_time.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)

    def __str__(self) -> str:
        return self.name
