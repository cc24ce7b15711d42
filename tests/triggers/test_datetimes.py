"""Triggers asked by datetimes of all sorts: of other zones, of subclasses, one question after another, at the ends of the calendar."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import (
    CalendarIntervalTrigger,
    CronTrigger,
    DateTrigger,
    InstantTrigger,
    IntervalTrigger,
    RRuleTrigger,
)
from mainspring.triggers.instants import LAST_INSTANT, from_micros, to_micros

BERLIN = ZoneInfo("Europe/Berlin")
TRIGGERS: dict[str, InstantTrigger] = {
    "interval": IntervalTrigger(hours=1, start_date=datetime(2026, 1, 1, tzinfo=UTC), timezone=BERLIN),
    "half seconds": IntervalTrigger(
        seconds=0.5, start_date=datetime(2026, 3, 29, tzinfo=UTC), timezone=BERLIN
    ),
    "days": IntervalTrigger(hours=24, start_date=datetime(2026, 3, 1, 12, tzinfo=UTC), timezone=BERLIN),
    "cron, fixed": CronTrigger(hour="2,5", minute=30, timezone=BERLIN),
    "cron, wildcard": CronTrigger(minute="*/20", timezone=BERLIN),
    "calendar": CalendarIntervalTrigger(
        days=1, hour=2, minute=15, start_date=date(2026, 1, 1), timezone=BERLIN
    ),
    "rule": RRuleTrigger("FREQ=HOURLY", start_date="2026-01-01", timezone=BERLIN, overlap="both"),
}


class Elapsed(datetime):
    """A datetime whose arithmetic goes by elapsed time, as that of pandas' Timestamp does."""

    def __add__(self, other: Any) -> Any:
        return Elapsed.of(self.astimezone(UTC).replace() + other).astimezone(self.tzinfo)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, timedelta):
            return self + -other
        here, there = datetime.fromtimestamp(self.timestamp(), UTC), datetime.fromtimestamp(0, UTC)
        return here - there - (datetime.fromtimestamp(other.timestamp(), UTC) - there)

    @classmethod
    def of(cls, moment: datetime) -> Elapsed:
        parts = moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
        return cls(*parts, moment.microsecond, moment.tzinfo, fold=moment.fold)


def shapes(moment: datetime) -> list[datetime]:
    """The same instant in many shapes."""
    here = moment.astimezone(BERLIN)
    zones: list[Any] = [BERLIN, UTC, ZoneInfo("America/New_York"), ZoneInfo.no_cache("Europe/Berlin")]
    return [moment.astimezone(zone) for zone in zones] + [Elapsed.of(here), Elapsed.of(moment)]


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(TRIGGERS)),
    minutes=st.lists(st.integers(-3_000, 3_000), min_size=1, max_size=4),
    change=st.sampled_from([datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]),
    shape=st.lists(st.integers(0, 5), min_size=4, max_size=4),
)
def test_the_shape_of_the_question_does_not_matter(
    name: str, minutes: list[int], change: datetime, shape: list[int]
) -> None:
    trigger = TRIGGERS[name]
    for minute, number in zip(minutes, shape, strict=False):
        asked = shapes(change + timedelta(minutes=minute))[number]
        for previous in (asked, None):
            # Twice, and then from its own answer: what it remembers of a question must not change the next answer.
            answer = None
            for _ in range(2):
                answer = trigger.get_next_fire_time(previous, asked)
                expected = trigger.next_after(to_micros(asked) - (previous is None))
                assert answer is not None
                assert expected is not None
                assert to_micros(answer) == expected
                assert type(answer) is datetime
                assert answer.tzinfo is trigger.timezone
                assert answer == from_micros(expected, trigger.timezone)
                assert answer.fold == from_micros(expected, trigger.timezone).fold
            assert answer is not None
            following = trigger.get_next_fire_time(answer, asked)
            assert following is not None
            assert to_micros(following) == trigger.next_after(to_micros(answer))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Africa/Abidjan", "+05:00", "Asia/Tokyo"])
def test_the_calendar_ends_at_the_same_instant_however_it_is_asked(zone: str) -> None:
    trigger = CronTrigger(minute=0, timezone=zone)
    moment: datetime | None = from_micros(LAST_INSTANT, trigger.timezone) - timedelta(hours=50)
    last = moment
    while moment is not None:
        last = moment
        in_utc = trigger.get_next_fire_time(moment.astimezone(UTC), moment)
        moment = trigger.get_next_fire_time(moment, moment)
        assert moment == in_utc
    assert last is not None
    assert to_micros(last) == trigger.previous_before(LAST_INSTANT + 1)


def test_a_date_that_has_passed_is_no_part_of_a_preview() -> None:
    trigger = DateTrigger(datetime(2020, 1, 1, tzinfo=UTC))
    assert trigger.get_next_fire_time(None, datetime(2027, 1, 1, tzinfo=UTC)) is not None
    assert trigger.preview(1, datetime(2027, 1, 1, tzinfo=UTC)) == []
    assert trigger.preview(1, datetime(2020, 1, 1, tzinfo=UTC)) == [datetime(2020, 1, 1, tzinfo=UTC)]


def test_iterating_is_lazy_and_inclusive() -> None:
    trigger = IntervalTrigger(hours=1, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert list(trigger.iterate(start, end)) == [start, start + timedelta(hours=1), end]
    endless = CronTrigger(second="*", timezone=UTC).iterate(start)
    assert next(endless) == start
    assert trigger.preview(0, start) == []


@pytest.mark.parametrize(
    ("n", "start", "error"),
    [
        (-1, datetime(2026, 1, 1, tzinfo=UTC), ValueError),
        ("3", datetime(2026, 1, 1, tzinfo=UTC), TypeError),
        (datetime(2026, 1, 1, tzinfo=UTC), 3, TypeError),
        (3, datetime(2026, 1, 1), ValueError),  # noqa: DTZ001
        (3, date(2026, 1, 1), TypeError),
        (3, "2026-01-01", TypeError),
    ],
)
def test_previews_of_something_else(n: Any, start: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"expected (a datetime with a time zone|how many fire times), got"):
        CronTrigger(hour=5, timezone=UTC).preview(n, start)


def test_hazards_of_a_period_that_ends_before_it_begins() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="is before start"):
        CronTrigger(hour=5, timezone=UTC).hazards(start, end)
    with pytest.raises(TypeError, match="end: expected a datetime"):
        CronTrigger(hour=5, timezone=UTC).hazards(start, "2027-01-01")  # type: ignore[arg-type]


@pytest.mark.parametrize("day", [datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_dates_that_not_every_zone_has_are_refused_where_they_would_have_to_be_moved(day: datetime) -> None:
    with pytest.raises(ValueError, match="run_date: expected a date from 0001-01-04"):
        DateTrigger(day)
    with pytest.raises(ValueError, match="start_date: expected a date from 0001-01-04"):
        IntervalTrigger(days=1, start_date=day)
    # As bounds, they are as good as none.
    assert CronTrigger(hour=5, end_date=datetime.max.replace(tzinfo=UTC), timezone=UTC).preview(
        1, datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert IntervalTrigger(days=1, end_date=datetime.max.replace(tzinfo=UTC), timezone=UTC).preview(
        1, datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_bound_at_the_ends_of_the_calendar() -> None:
    for now in (datetime(9999, 12, 31, 23, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)):
        for trigger in (
            IntervalTrigger(days=4_000_000, timezone="Asia/Tokyo"),
            DateTrigger(timezone="Asia/Tokyo"),
        ):
            bound = trigger.bind(now, "job")
            assert bound.describe()
            assert repr(bound)
            assert type(bound).from_state(bound.get_state()).get_state() == bound.get_state()


@pytest.mark.parametrize(
    "make",
    [
        lambda end, start: CronTrigger(hour=5, start_date=start, end_date=end, timezone=UTC),
        lambda end, start: IntervalTrigger(hours=5, start_date=start, end_date=end, timezone=UTC),
        lambda end, start: CalendarIntervalTrigger(days=5, start_date=start, end_date=end, timezone=UTC),
    ],
)
def test_an_end_before_the_start_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="end_date: 2026-01-01 is before start_date, 2026-01-02"):
        make(date(2026, 1, 1), date(2026, 1, 2))


def test_what_the_clock_always_skips_is_refused() -> None:
    fields: dict[str, Any] = {"year": "2026-2030", "month": 3, "day": "last sun", "hour": 2}
    with pytest.raises(ValueError, match="the clock of Europe/Berlin skips every time"):
        CronTrigger(**fields, timezone=BERLIN, gap="skip")
    assert CronTrigger(**fields, timezone=BERLIN).preview(9, datetime(2026, 1, 1, tzinfo=UTC))


def test_numbers_without_end() -> None:
    huge = 10**5_000
    with pytest.raises(ValueError, match="cron field hour: an integer of 16610 bits"):
        CronTrigger(hour=huge, timezone=UTC)
    for name in ("years", "hour"):
        wrong: dict[str, Any] = {"days": 1, name: huge}
        with pytest.raises(ValueError, match=f"{name}: an integer of 16610 bits"):
            CalendarIntervalTrigger(**wrong, timezone=UTC)
    for jitter in (huge, 1e15):
        with pytest.raises(ValueError, match="jitter: expected a number of seconds from 0"):
            CronTrigger(hour=5, timezone=UTC, jitter=jitter)
    assert "at random" in CronTrigger(hour=5, timezone=UTC, jitter=1e9).describe()


@pytest.mark.parametrize("name", [*TRIGGERS, "date"])
def test_states_with_instants_beyond_the_calendar_or_values_of_other_types(name: str) -> None:
    trigger = TRIGGERS.get(name) or DateTrigger(datetime(2026, 1, 1, tzinfo=UTC))
    state = trigger.get_state()
    wrong: dict[str, list[Any]] = {
        "timezone": [None, 5],
        "settled": ["x", None, 1],
        **{part: [10**30, -(10**30)] for part in ("start", "end", "run_date")},
    }
    for part, values in wrong.items():
        for value in values if part in state else []:
            with pytest.raises(ValueError, match=part):
                type(trigger).from_state({**state, part: value})


class Numbered(DateTrigger):
    def __init__(self, number: int) -> None:
        super().__init__(timezone=UTC)
        self.number = number


def test_what_a_subclass_keeps_is_copied_and_pickled() -> None:
    trigger = Numbered(5)
    copies = [copy.copy(trigger), copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))]
    copies.append(trigger.bind(datetime(2026, 1, 1, tzinfo=UTC), "job"))
    for other in copies:
        assert type(other) is Numbered
        assert other.number == 5
        assert other == trigger


def test_equal_triggers_have_equal_futures() -> None:
    # With the policies given, another schedule made of it keeps them; so it is not the same trigger.
    given, default = (
        CronTrigger(hour=5, timezone=UTC, gap="after"),
        CronTrigger(hour=5, timezone=UTC),
    )
    assert given.modified(hour="*") != default.modified(hour="*")
    assert given != default
