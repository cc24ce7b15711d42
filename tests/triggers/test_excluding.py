"""One trigger without days, moments and the fire times of others: against sets, at clock changes, in leaps, as jobs that are stored and run."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainspring.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.serialization.serializer import CallableNotAllowedError, Serializer
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers import (
    BaseTrigger,
    CronTrigger,
    DateTrigger,
    InstantTrigger,
    IntervalTrigger,
    NoFireTimeFoundError,
)
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.combining.exclusions import Days
from mainspring.triggers.combining.sources import MAX_LEAPS, Plain, Steps
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.instants import LAST_INSTANT, to_micros

from tests.triggers.composites import (
    ANCHOR,
    NOW,
    SLOW,
    STRETCHES,
    EveryHour,
    Expected,
    Stretch,
    check,
    every,
    expected,
    local_days,
    shifted,
)
from tests.triggers.schedules import count, fires_backwards, fires_between

BERLIN = "Europe/Berlin"


@SLOW
@given(expected(ExcludingTrigger))
def test_excluding_is_the_difference(case: tuple[Stretch, Expected]) -> None:
    check(case[1].trigger, case[0], case[1].fires)


@SLOW
@given(STRETCHES, st.sets(st.integers(-3, 3)))
def test_days_at_clock_changes(stretch: Stretch, numbers: set[int]) -> None:
    """Minute by minute, with what zoneinfo says the date is: days that a clock change repeats, cuts short or skips."""
    middle = (stretch.begin + (stretch.end - stretch.begin) / 2).date()
    days = {middle + timedelta(days=number) for number in numbers}
    free = [minute for minute, day in local_days(stretch).items() if day not in days]
    trigger = ExcludingTrigger(every(60, stretch.begin, timezone=stretch.zone), days)
    assert fires_between(trigger, stretch.begin, stretch.end) == free
    assert fires_backwards(trigger, stretch.begin, stretch.end) == free
    assert count(trigger, stretch.begin, stretch.end) == len(free)


def test_the_day_is_that_of_the_triggers_zone() -> None:
    hourly = every(3600, timezone="Asia/Tokyo")
    fires = ExcludingTrigger(hourly, ["2026-03-02"]).preview(500, datetime(2026, 3, 1, tzinfo=UTC))
    tokyo = ZoneInfo("Asia/Tokyo")
    gone = [at for at, following in pairwise(fires) if following - at != timedelta(hours=1)]
    assert gone == [datetime(2026, 3, 1, 23, tzinfo=tokyo)]
    assert datetime(2026, 3, 3, tzinfo=tokyo) in fires


def test_days_end_at_midnight_to_the_microsecond() -> None:
    trigger = ExcludingTrigger(every(1, shifted(0.999999)), ["2026-01-02"])
    day = timedelta(days=1)
    last, first = ANCHOR + day - timedelta(microseconds=1), ANCHOR + 2 * day + timedelta(microseconds=999_999)
    assert trigger.next_after(to_micros(last)) == to_micros(first)
    assert trigger.previous_before(to_micros(first)) == to_micros(last)
    assert trigger.count_between(to_micros(last) - 1, to_micros(first)) == 2


def test_dates_as_people_give_them() -> None:
    nine = CronTrigger(hour=9, timezone=BERLIN)
    given: list[Any] = [
        date(2026, 3, 3),
        "2026-3-4",
        "2026-03-05 09:00:00",
        datetime(2026, 3, 6, 9),  # noqa: DTZ001  (wall time of the trigger's zone)
        datetime(2026, 3, 7, 8, tzinfo=UTC),
        datetime(2026, 3, 8, 9, tzinfo=UTC),  # 10:00 there
        "2026-03-03",
    ]
    trigger = ExcludingTrigger(nine, given)
    assert [fire.day for fire in trigger.preview(4, NOW)] == [2, 8, 9, 10]
    zone = ZoneInfo(BERLIN)
    moments = [datetime(2026, 3, day, 9 + (day == 8), tzinfo=zone) for day in (5, 6, 7, 8)]
    assert trigger.dates == (date(2026, 3, 3), date(2026, 3, 4), *moments)
    assert trigger == ExcludingTrigger(nine, iter(reversed(given)))
    # A calendar is a mapping of dates to names.
    holidays = {date(2026, 3, 2): "Monday", date(2026, 3, 3): "Tuesday"}
    assert [fire.day for fire in ExcludingTrigger(nine, holidays).preview(2, NOW)] == [4, 5]
    assert ExcludingTrigger(nine).preview(3, NOW) == nine.preview(3, NOW)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"dates": "2026-03-03"}, TypeError, "dates: expected a list of dates, got '2026-03-03'"),
        ({"dates": date(2026, 3, 3)}, TypeError, "dates: expected a list"),
        ({"dates": None}, TypeError, "dates: expected a list"),
        ({"dates": ["2026-02-30"]}, ValueError, "dates: '2026-02-30' is not a date"),
        ({"dates": [5]}, TypeError, "dates: expected a datetime"),
        (
            {"dates": {}},
            ValueError,
            r"dates: the calendar holds no day yet; make it with years=range\(\.\.\.\)",
        ),
        ({"dates": UserDict()}, ValueError, "dates: the calendar holds no day yet"),
        ({"base": "cron"}, TypeError, "base: expected a trigger, got 'cron'"),
        ({"triggers": every(5)}, TypeError, "triggers: expected a list of triggers"),
        ({"triggers": [5]}, TypeError, r"triggers\[0\]: expected a trigger"),
        ({"jitter": "5"}, TypeError, "jitter"),
        ({"triggers": [CronTrigger(hour=9, timezone=BERLIN)]}, ValueError, "the very trigger .* never fire"),
    ],
)
def test_what_is_not_understood(arguments: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        ExcludingTrigger(**{"base": CronTrigger(hour=9, timezone=BERLIN), **arguments})


# -- what excluded triggers stand for --------------------------------------------------------------------------------------


def weekend(zone: str = "UTC") -> CronTrigger:
    return CronTrigger(day_of_week="sat,sun", hour="*", minute="*", second="*", timezone=zone)


def test_every_two_hours_but_not_at_weekends() -> None:
    """Anchored to the microsecond at which the job was added: a cron trigger that is excluded stands for whole seconds."""
    trigger = ExcludingTrigger(IntervalTrigger(hours=2, timezone=BERLIN), triggers=[weekend(BERLIN)]).bind(
        NOW, "job"
    )
    zone = ZoneInfo(BERLIN)
    grid = [NOW + timedelta(hours=2) * n for n in range(1, 12 * 60)]
    right = [moment for moment in grid if moment.astimezone(zone).weekday() < 5]
    assert fires_between(trigger, NOW, grid[-1] + timedelta(seconds=1)) == right
    assert fires_backwards(trigger, NOW, grid[-1] + timedelta(seconds=1)) == right
    assert count(trigger, NOW, grid[-1] + timedelta(seconds=1)) == len(right)


@pytest.mark.parametrize("micros", [1, 999_999])
def test_which_kinds_stand_for_the_whole_second(micros: int) -> None:
    off = every(1, ANCHOR + timedelta(microseconds=micros))
    nightly = CronTrigger(hour=4, timezone=UTC)
    four = shifted(4 * 3600 - 1)
    for civil in (
        nightly,
        OrTrigger([nightly]),
        AndTrigger([nightly, every(3600)]),
        ExcludingTrigger(nightly, ["2026-01-07"]),
    ):
        seconds = [fire.second for fire in ExcludingTrigger(off, triggers=[civil]).preview(3, four)]
        assert seconds == [59, 1, 2]
    for exact in (
        every(3600),
        DateTrigger(shifted(4 * 3600), timezone=UTC),
        OrTrigger([nightly, every(3600 * 24 - 1)]),
    ):
        seconds = [fire.second for fire in ExcludingTrigger(off, triggers=[exact]).preview(3, four)]
        assert seconds == ([59, 1, 2] if isinstance(exact, OrTrigger) else [59, 0, 1])


def test_runs_of_excluded_seconds_are_passed_over_in_leaps() -> None:
    """A weekend has 172,800 seconds, and five days 432,000: more than a search may ask."""
    for trigger, gap in (
        (ExcludingTrigger(every(1), triggers=[weekend()]), 2),
        (ExcludingTrigger(every(1), triggers=[CronTrigger(day_of_week="mon-fri", hour="*", minute="*", second="*", timezone=UTC)]), 5),
        (ExcludingTrigger(every(1), ["2026-02-28", "2026-03-01"]), 2),
        (ExcludingTrigger(every(1), triggers=[every(1, datetime(2026, 2, 28, tzinfo=UTC), end_date="2026-03-01 23:59:59")]), 2),
        (ExcludingTrigger(CronTrigger(second="*", timezone=UTC), triggers=[weekend()]), 2),
    ):  # fmt: skip
        begin = datetime(2026, 2, 28, tzinfo=UTC) if gap == 2 else datetime(2026, 3, 2, tzinfo=UTC)
        end = begin + timedelta(days=gap)
        last = to_micros(begin - timedelta(seconds=1))
        assert trigger.next_after(last) == to_micros(end)
        assert trigger.previous_before(to_micros(end)) == last


@pytest.mark.parametrize(("gap", "overlap"), [("after", "first"), ("skip", "both"), ("shift", "second")])
@pytest.mark.parametrize(
    ("zone", "change"),
    [(BERLIN, "2026-03-29 01:00"), (BERLIN, "2026-10-25 01:00"), ("Africa/Cairo", "2024-04-25 22:00"), ("Australia/Lord_Howe", "2026-04-04 15:00")],
)  # fmt: skip
def test_runs_of_excluded_seconds_across_clock_changes(
    zone: str, change: str, gap: str, overlap: str
) -> None:
    """The leaps against a list of the excluded seconds, one by one."""
    middle = datetime.fromisoformat(change).replace(tzinfo=UTC)
    begin, end = middle - timedelta(minutes=70), middle + timedelta(minutes=70)
    hour = middle.astimezone(ZoneInfo(zone)).hour
    policies: dict[str, Any] = {"timezone": zone, "gap": gap, "overlap": overlap}
    for hours in (f"{hour}", f"{hour - 1 if hour else 23}", f"{(hour + 23) % 24}-{hour}"):
        excluded = CronTrigger(hour=hours, minute="5-54", second="*", **policies)
        gone = set(fires_between(excluded, begin, end))
        free = [second for n in range(8400) if (second := begin + timedelta(seconds=n)) not in gone]
        trigger = ExcludingTrigger(every(1, begin - timedelta(days=2)), triggers=[excluded])
        assert fires_between(trigger, begin, end) == free
        assert fires_backwards(trigger, begin, end) == free


class Asked:
    """A trigger that counts what it is asked."""

    def __init__(self, trigger: InstantTrigger) -> None:
        self.trigger, self.asked = trigger, 0

    def next_after(self, instant: int) -> int | None:
        self.asked += 1
        return self.trigger.next_after(instant)

    def previous_before(self, instant: int) -> int | None:
        self.asked += 1
        return self.trigger.previous_before(instant)

    def count_between(self, after: int, until: int) -> int:
        self.asked += 1
        return self.trigger.count_between(after, until)


def test_years_of_holidays_cost_a_few_steps() -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(10_000)]
    trigger = ExcludingTrigger(every(1), days)
    asked = Asked(every(1))
    object.__setattr__(trigger, "_source", Plain(asked))
    free = to_micros(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=10_000))
    assert trigger.next_after(to_micros(NOW)) == free
    assert trigger.previous_before(free) is None
    assert trigger.count_between(to_micros(NOW), free + 9_000_000) == 10
    assert asked.asked < 10


def test_nothing_left_ends_at_the_bound() -> None:
    trigger = ExcludingTrigger(
        CronTrigger(hour=4, timezone=UTC), triggers=[CronTrigger(hour="4,5", timezone=UTC)]
    )
    asked = Asked(CronTrigger(hour=4, timezone=UTC))
    object.__setattr__(trigger, "_source", Plain(asked))
    for ask in (trigger.next_after, trigger.previous_before):
        asked.asked = 0
        with pytest.raises(
            NoFireTimeFoundError,
            match=r"excluding\[cron.*no fire time that is not excluded between .* 100,000",
        ):
            ask(to_micros(NOW))
        # What the exclusion is asked counts, too.
        assert MAX_LEAPS / 5 <= asked.asked <= MAX_LEAPS / 2


def test_an_interval_inside_of_another_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"fires whenever .* leaves nothing"):
        ExcludingTrigger(every(7200), triggers=[every(3600)])
    unbound = ExcludingTrigger(every(7200), triggers=[IntervalTrigger(hours=1)])
    with pytest.raises(ValueError, match="leaves nothing"):
        unbound.bind(NOW, "job", ANCHOR)
    assert ExcludingTrigger(every(3600), triggers=[every(7200)]).preview(2, ANCHOR) == [
        shifted(3600),
        shifted(10_800),
    ]
    apart = ExcludingTrigger(every(3600), triggers=[every(3600, shifted(1))])
    assert apart.preview(2, ANCHOR) == [shifted(0), shifted(3600)]


def test_days_are_counted_without_asking_for_each() -> None:
    trigger = ExcludingTrigger(
        every(1), ["2026-01-02", "2026-02-01", "2026-02-02", shifted(5), "2026-02-01 12:00:00"]
    )
    year = to_micros(shifted(365 * 86_400))
    assert trigger.count_between(to_micros(ANCHOR) - 1, year - 1) == (365 - 3) * 86_400 - 1
    assert Days((), ZoneInfo(BERLIN)).excluded_from(5, Steps(), LAST_INSTANT) > LAST_INSTANT


# -- a user's own parts, states, jobs ----------------------------------------------------------------------------------------


def test_a_users_own_trigger() -> None:
    trigger = ExcludingTrigger(EveryHour(), ["2026-03-02"], [CronTrigger(hour="13-22", timezone=UTC)])
    assert trigger.preview(3, NOW) == [
        datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((1, 23), (3, 0), (3, 1))
    ]
    assert trigger.timezone is UTC
    assert trigger.holds_user_code
    other = ExcludingTrigger(every(1800), triggers=[EveryHour()])
    assert other.preview(2, ANCHOR) == [shifted(1800), shifted(5400)]
    for each in (trigger, other):
        for ask in (partial(each.previous_before, 0), partial(each.count_between, 0, 1)):
            with pytest.raises(TypeError, match="class of your own, EveryHour"):
                ask()


class Stored(BaseTrigger):
    """A user's trigger with a state, as a job store keeps it."""

    def __init__(self, hour: int) -> None:
        self.hour = hour

    def __repr__(self) -> str:  # tests are named by it
        return f"Stored({self.hour})"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return CronTrigger(hour=self.hour, timezone=UTC).get_next_fire_time(previous_fire_time, now)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stored) and other.hour == self.hour

    def __hash__(self) -> int:
        return hash(self.hour)


def payload(trigger: BaseTrigger) -> dict[str, Any]:
    return {"version": 1, "id": "job", "func": "time:sleep", "trigger": trigger, "args": (1,), "kwargs": {}}


COMPOSITES: list[InstantTrigger] = [
    AndTrigger([Stored(4), OrTrigger([Stored(5), CronTrigger(hour="3-5", timezone=UTC)])], jitter=2),
    ExcludingTrigger(
        OrTrigger([Stored(4), IntervalTrigger(hours=5)]), ["2026-03-02", NOW], [Stored(5), every(60)]
    ),
    ExcludingTrigger(AndTrigger([CronTrigger(hour="3-5"), every(7200)]), ["2026-03-02"]).bind(NOW, "job"),
]


def test_by_its_alias() -> None:
    """add_job() has an argument `trigger` of its own; all of this trigger's can be given beside it."""
    scheduler = VirtualScheduler(start=NOW, timezone=UTC)
    scheduler.start()
    nine = CronTrigger(hour=9, timezone=BERLIN)
    job = scheduler.add_job("time:time", "excluding", base=nine, dates=["2026-03-02"])
    assert job.trigger == ExcludingTrigger(nine, ["2026-03-02"])
    assert job.next_run_time == datetime(2026, 3, 3, 9, tzinfo=ZoneInfo(BERLIN))
    scheduler.shutdown()


@pytest.mark.parametrize("trigger", COMPOSITES, ids=str)
def test_through_the_serializers_of_job_stores(trigger: InstantTrigger) -> None:
    name = f"{__name__}:Stored"
    options: list[dict[str, Any]] = [
        {},
        {"serializer": "pickle"},
        {"signing_keys": ["k"], "allowed_callables": [name, "time:sleep"]},
        {"serializer": "pickle", "allowed_callables": [name, "time:sleep"]},
    ]
    for option in options:
        serializer = Serializer(**option)
        back = serializer.loads("job", serializer.dumps("job", payload(trigger)))["trigger"]
        assert back == trigger
        assert back.get_state() == trigger.get_state()
    strict = Serializer(allowed_callables=["time:sleep"])
    if trigger.holds_user_code:  # type: ignore[attr-defined]
        with pytest.raises(CallableNotAllowedError, match="Stored"):
            strict.dumps("job", payload(trigger))
    else:
        assert strict.loads("job", strict.dumps("job", payload(trigger)))["trigger"] == trigger


STORES: list[Callable[[], BaseJobStore]] = [MemoryJobStore, lambda: SQLAlchemyJobStore(url="sqlite://")]


@pytest.mark.parametrize("make", STORES, ids=["memory", "sqlite"])
def test_jobs_in_virtual_time(make: Callable[[], BaseJobStore]) -> None:
    """A week: weekdays at 9 and 17 but for a holiday, and a user's part every day at 4; then a stop from Friday evening until Sunday."""
    moments: dict[str, list[datetime]] = {"week": [], "backlog": []}

    def note(event: JobExecutionEvent) -> None:
        moments[event.job_id].append(event.scheduled_run_time)

    scheduler = VirtualScheduler(
        start=datetime(2026, 3, 1, tzinfo=UTC), jobstores={"default": make()}, timezone=UTC
    )
    scheduler.add_listener(note, EVENT_JOB_EXECUTED)
    scheduler.start()
    days = CronTrigger(day_of_week="mon-fri", hour="9,17", timezone=UTC)
    week = OrTrigger([ExcludingTrigger(days, ["2026-03-03"]), Stored(4)])
    scheduler.add_job("time:time", week, id="week")
    scheduler.advance_to(datetime(2026, 3, 6, 20, tzinfo=UTC))
    hours = [(day, hour) for day in range(1, 7) for hour in (4, 9, 17) if hour == 4 or day in (2, 4, 5, 6)]
    assert moments["week"] == [datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in hours]

    every_second = ExcludingTrigger(IntervalTrigger(seconds=1, timezone=UTC), triggers=[weekend()])
    scheduler.add_job("time:time", every_second, id="backlog", misfire_grace_time=None)
    scheduler.pause()
    scheduler.advance_to(datetime(2026, 3, 8, 23, tzinfo=UTC))
    scheduler.resume()
    scheduler.advance_to(datetime(2026, 3, 9, 0, 0, 1, tzinfo=UTC))
    last = datetime(2026, 3, 6, 23, 59, 59, tzinfo=UTC)
    # 14,400 fire times, and 169,200 excluded ones: neither are listed.
    assert moments["backlog"] == [
        last,
        datetime(2026, 3, 9, tzinfo=UTC),
        datetime(2026, 3, 9, 0, 0, 1, tzinfo=UTC),
    ]
    with pytest.raises(ValueError, match="use ExcludingTrigger"):
        scheduler.add_job("time:time", AndTrigger([IntervalTrigger(hours=2, start_date=NOW), days]))
    with pytest.raises(NoFireTimeFoundError):
        scheduler.add_job("time:time", AndTrigger([days, CronTrigger(hour=10, timezone=UTC)]))
    scheduler.shutdown()


def test_texts() -> None:
    nine = CronTrigger(hour=9, timezone=BERLIN)
    trigger = ExcludingTrigger(nine, ["2026-12-25", "2026-12-24 09:00:00"], [every(60)], jitter=5)
    assert (
        str(trigger) == "excluding[cron[hour='9'], 2026-12-24 09:00:00+01:00, 2026-12-25, interval[0:01:00]]"
    )
    assert repr(trigger) == (
        f"<ExcludingTrigger (base={nine!r}, dates=['2026-12-24 09:00:00+01:00', '2026-12-25'], triggers=[{every(60)!r}], jitter=5)>"
    )
    many = ExcludingTrigger(nine, [f"2026-12-{day}" for day in range(10, 31)])
    assert str(many) == "excluding[cron[hour='9'], 21 dates from 2026-12-10 to 2026-12-30]"
    assert "'2026-12-17'" in repr(many)


def test_modified_and_unequal_by_each_part() -> None:
    nine = CronTrigger(hour=9, timezone=BERLIN)
    trigger = ExcludingTrigger(nine, ["2026-12-25", "2026-12-24 09:00:00"], [every(7200)], jitter=5)
    assert trigger.modified() == trigger
    variants = [
        trigger,
        trigger.modified(base=CronTrigger(hour=9, timezone=UTC)),
        trigger.modified(dates=["2026-12-25"]),
        trigger.modified(dates=["2026-12-24 09:00:00"]),
        trigger.modified(triggers=[]),
        trigger.modified(jitter=None),
    ]
    assert len(set(variants)) == len(variants)
    settled = ExcludingTrigger(IntervalTrigger(hours=2), ["2026-12-25"]).bind(NOW, "job")
    assert settled.modified(dates=[]).base is settled.base
    assert settled.modified(dates=[]).bind(NOW, "other").next_after(0) == to_micros(NOW + timedelta(hours=2))
