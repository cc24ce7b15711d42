"""`CalendarIntervalTrigger`: its arguments and attributes, dates, clock changes against brute force, binding, changing, states."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
from mainspring.triggers.instants import LAST_INSTANT, to_micros
from mainspring.triggers.policies import Gap, Overlap

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 12, tzinfo=BERLIN)
MINUTE = timedelta(minutes=1)


def calendar(**arguments: Any) -> CalendarIntervalTrigger:
    return CalendarIntervalTrigger(**{"timezone": BERLIN, **arguments})


def dates(trigger: CalendarIntervalTrigger, after: str, n: int) -> list[str]:
    """The next *n* fire times from the wall time *after* on, as text."""
    start = datetime.fromisoformat(after).replace(tzinfo=trigger.timezone)
    return [f"{moment:%Y-%m-%d %H:%M%z}" for moment in trigger.preview(n, start)]


def days(trigger: CalendarIntervalTrigger, after: str, n: int) -> list[str]:
    return [text[:10] for text in dates(trigger, after, n)]


def test_what_programs_read() -> None:
    trigger = calendar(
        years=1, months=2, weeks=3, days=4, hour=5, minute=6, second=7, start_date="2026-01-31", jitter=3
    )
    assert (trigger.years, trigger.months, trigger.weeks, trigger.days) == (1, 2, 3, 4)
    assert (trigger.hour, trigger.minute, trigger.second) == (5, 6, 7)
    assert type(trigger.start_date) is date
    assert (trigger.start_date, trigger.end_date) == (date(2026, 1, 31), None)
    assert (trigger.timezone, trigger.jitter) == (BERLIN, 3)
    assert (trigger.gap, trigger.overlap) == (Gap.AFTER, Overlap.FIRST)
    assert str(trigger) == "calendarinterval[1 year, 2 months, 3 weeks, 4 days at 05:06:07]"
    assert repr(trigger) == (
        "CalendarIntervalTrigger(years=1, months=2, weeks=3, days=4, time='05:06:07', start_date='2026-01-31', "
        "timezone='Europe/Berlin', jitter=3)"
    )
    assert str(calendar(months=1)) == "calendarinterval[1 month at 00:00:00]"
    ended = calendar(days=2, end_date="2027-01-01", gap="skip", overlap="both")
    assert repr(ended) == (
        "CalendarIntervalTrigger(days=2, time='00:00:00', end_date='2027-01-01', timezone='Europe/Berlin', gap='skip', overlap='both')"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "at least 1 day long"),
        ({"hour": 5}, "years, months, weeks, days"),
        ({"months": -1, "years": 1}, "months: expected an integer that is not negative, got -1"),
        ({"days": 1, "hour": 24}, "hour: expected 0 to 23, got 24"),
        ({"days": 1, "minute": 60}, "minute: expected 0 to 59, got 60"),
        ({"days": 1, "second": -1}, "second: expected 0 to 59, got -1"),
        ({"days": 1, "start_date": "2026-13-01"}, "start_date: .*2026-13-01"),
        ({"days": 1, "end_date": "tomorrow"}, "end_date: 'tomorrow' is not a date"),
        ({"days": 1, "start_date": "2026-01-02", "end_date": "2026-01-01"}, "end_date: .* before start_date"),
        ({"days": 1, "gap": "jump"}, "gap: expected one of 'after', 'skip', 'shift'"),
        ({"days": 1, "overlap": 2}, "overlap: expected one of"),
        ({"days": 1, "jitter": -1}, "jitter"),
        ({"days": 1, "timezone": "Europe/Nowhere"}, "no time zone named"),
        ({"days": 1, "start_date": "9999-12-31"}, "end of the calendar"),
        ({"days": 1, "start_date": datetime.max.replace(tzinfo=UTC)}, "start_date: .* beyond the calendar"),
    ],
)
def test_wrong_values(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calendar(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": 1.5}, "days: expected an integer, got 1.5"),
        ({"years": "1"}, "years: expected an integer"),
        ({"weeks": True}, "weeks"),
        ({"days": 1, "hour": "5"}, "hour"),
        ({"days": 1, "start_date": 5}, "start_date: expected a datetime"),
        ({"days": 1, "jitter": "5"}, "jitter"),
        ({"days": 1, "timezone": 5}, "time zone"),
    ],
)
def test_wrong_types(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        calendar(**arguments)
    positional: Any = CalendarIntervalTrigger
    with pytest.raises(TypeError, match="positional"):
        positional(1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 3, 29), date(2026, 3, 29)),
        ("2026-03-29", date(2026, 3, 29)),
        ("2026-03-29 02:30:00", date(2026, 3, 29)),  # which does not exist
        (datetime(2026, 3, 29, 23, 30), date(2026, 3, 29)),  # noqa: DTZ001
        (datetime(2026, 3, 29, 23, 30, tzinfo=UTC), date(2026, 3, 30)),
        (datetime(2026, 3, 29, 23, 30, tzinfo=BERLIN), date(2026, 3, 29)),
        ("2026-03-29T23:30:00Z", date(2026, 3, 30)),
        ("2026-03-29T23:30:00-05:00", date(2026, 3, 30)),
    ],
    ids=str,
)
def test_dates_are_those_of_the_zone(value: Any, expected: date) -> None:
    trigger = calendar(days=3, start_date=value, end_date=value)
    assert (trigger.start_date, trigger.end_date) == (expected, expected)
    assert days(trigger, "2026-01-01", 2) == [str(expected)]


def test_the_zone_is_that_of_the_dates() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")
    start = datetime(2026, 1, 1, tzinfo=kathmandu)
    assert CalendarIntervalTrigger(days=1, start_date=start).timezone is kathmandu
    assert CalendarIntervalTrigger(days=1, end_date=start).timezone is kathmandu
    assert CalendarIntervalTrigger(days=1, start_date=start, timezone="UTC").timezone is UTC


@pytest.mark.parametrize(
    ("arguments", "after", "expected"),
    [
        (
            {"months": 1, "start_date": "2026-01-31"},
            "2026-01-01",
            ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31", "2026-10-31"],
        ),
        ({"months": 1, "start_date": "2026-01-30"}, "2026-01-31", ["2026-03-30", "2026-04-30"]),
        ({"years": 1, "start_date": "2096-02-29"}, "2096-03-01", ["2104-02-29", "2108-02-29"]),
        ({"years": 1, "months": 1, "start_date": "2026-12-15"}, "2027-01-01", ["2028-01-15", "2029-02-15"]),
        (
            {"months": 1, "days": 1, "start_date": "2026-01-01"},
            "2026-01-01",
            ["2026-01-01", "2026-02-02", "2026-03-03", "2026-04-04"],
        ),
        ({"weeks": 2, "start_date": "2026-01-05"}, "2026-03-01", ["2026-03-02", "2026-03-16", "2026-03-30"]),
        ({"weeks": 1, "days": 1, "start_date": "2026-01-01"}, "2025-01-01", ["2026-01-01", "2026-01-09"]),
        (
            {"months": 1, "start_date": "2026-01-31", "end_date": "2026-05-31"},
            "2026-03-01",
            ["2026-03-31", "2026-05-31"],
        ),
        ({"days": 1, "start_date": "2026-01-01", "end_date": "2026-01-05"}, "2026-01-06", []),
    ],
)
def test_dates(arguments: dict[str, Any], after: str, expected: list[str]) -> None:
    assert days(calendar(**arguments), after, len(expected) or 1) == expected


def test_now_counts_though_the_start_is_long_ago() -> None:
    trigger = calendar(days=1, hour=5, start_date="2020-01-01")
    assert trigger.get_next_fire_time(None, NOW) == datetime(2026, 11, 23, 5, tzinfo=BERLIN)
    exact = datetime(2026, 11, 23, 5, tzinfo=BERLIN)
    assert trigger.get_next_fire_time(None, exact) == exact
    assert trigger.get_next_fire_time(exact, exact) == exact + timedelta(days=1)


def test_bound_to_the_day_on_which_its_job_is_added() -> None:
    trigger = calendar(months=1, hour=5)
    assert trigger.start_date is None
    bound = trigger.bind(NOW, "job")
    assert bound.start_date == date(2026, 11, 22)
    assert bound == trigger
    assert hash(bound) == hash(trigger)
    # It is past five.
    assert bound.get_next_fire_time(None, NOW) == datetime(2026, 12, 22, 5, tzinfo=BERLIN)
    assert bound.bind(NOW + timedelta(days=5), "job") is bound
    given_start = calendar(months=1, hour=5, start_date=NOW)
    assert given_start.bind(NOW, "job") is given_start
    assert given_start != trigger
    # By the date in its own zone; and by the anchor, if there is one.
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert trigger.bind(late, "job").start_date == date(2026, 11, 23)
    assert trigger.bind(NOW, "job", late).start_date == date(2026, 11, 23)
    for state in (bound.get_state(), json.loads(json.dumps(bound.get_state()))):
        assert CalendarIntervalTrigger.from_state(state).bind(late, "job").start_date == date(2026, 11, 22)
    ended = calendar(days=1, end_date="2026-01-01").bind(NOW, "job")
    assert ended.get_next_fire_time(None, NOW) is None


def test_asked_before_it_is_bound() -> None:
    trigger = calendar(days=10, hour=5)
    midnight = datetime(2026, 11, 23, tzinfo=BERLIN)
    assert trigger.get_next_fire_time(None, midnight) == midnight.replace(hour=5)
    assert trigger.next_after(to_micros(midnight) - 1) == to_micros(midnight.replace(hour=5))
    fire = trigger.get_next_fire_time(None, NOW)
    assert fire == datetime(2026, 12, 2, 5, tzinfo=BERLIN)
    assert trigger.get_next_fire_time(fire, fire) == datetime(2026, 12, 12, 5, tzinfo=BERLIN)
    assert trigger.count_between(to_micros(NOW), to_micros(NOW + timedelta(days=30))) == 3
    assert trigger.previous_before(to_micros(NOW)) is None
    assert trigger.silent_from(to_micros(midnight)) == to_micros(midnight)
    assert trigger.next_after(LAST_INSTANT) is None
    assert trigger.next_after(-(10**18)) is not None
    with pytest.raises(ValueError, match="with a time zone"):
        trigger.get_next_fire_time(None, NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="with a time zone"):
        trigger.bind(NOW.replace(tzinfo=None), "job")


def test_modified() -> None:
    trigger = calendar(months=1, hour=5, start_date="2026-01-31", end_date="2027-01-31", jitter=5, gap="skip")
    assert trigger.modified(days=3) == calendar(
        days=3, start_date="2026-01-31", end_date="2027-01-31", jitter=5, gap="skip"
    )
    same = {"months": 1, "hour": 5, "start_date": "2026-01-31", "gap": "skip"}
    assert trigger.modified(end_date=None, jitter=None) == calendar(**same)
    assert trigger.modified(timezone="UTC").get_state() == {**trigger.get_state(), "timezone": "UTC"}
    assert trigger.modified().get_state() == trigger.get_state()
    bound = calendar(weeks=1, minute=7).bind(NOW, "job")
    assert bound.modified(jitter=1).get_state() == {**bound.get_state(), "jitter": 1}
    assert bound.modified(days=2).start_date == bound.start_date
    assert bound.modified(start_date=None).start_date is None
    assert bound.modified(start_date="2026-01-01") != bound.modified()
    with pytest.raises(TypeError, match="'month'; did you mean 'months'"):
        trigger.modified(month=1)
    with pytest.raises(ValueError, match="at least one of years"):
        trigger.modified(hour=6)


def test_equal_if_the_schedule_is() -> None:
    assert calendar(years=1) == calendar(months=12)
    assert calendar(weeks=1, days=1) == calendar(days=8)
    assert calendar(days=1, start_date="2026-01-01") == calendar(days=1, start_date=date(2026, 1, 1))
    assert calendar(days=1, gap="after") == calendar(days=1)
    others: list[dict[str, Any]] = [
        {"days": 2},
        {"months": 1},
        {"days": 1, "hour": 1},
        {"days": 1, "start_date": "2026-01-01"},
        {"days": 1, "end_date": "2026-01-01"},
        {"days": 1, "timezone": UTC},
        {"days": 1, "jitter": 1},
        {"days": 1, "gap": "skip"},
        {"days": 1, "overlap": "both"},
    ]
    triggers = [calendar(**arguments) for arguments in ({"days": 1}, *others)]
    assert len(set(triggers)) == len(triggers)
    assert calendar(days=1) != "x"


@pytest.mark.parametrize(
    "trigger", [calendar(days=1), calendar(months=2, start_date=NOW, gap="skip")], ids=str
)
def test_states_that_are_not_understood(trigger: CalendarIntervalTrigger) -> None:
    state = trigger.get_state()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"version": 2}, "version 2"),
        ({"interval": [1, 2, 3]}, "interval"),
        ({"interval": [0, 0, 0, 0]}, "at least 1 day"),
        ({"interval": [0, 0, 0, -1]}, "days"),
        ({"time": [25, 0, 0]}, "hour"),
        ({"time": "05:00"}, "time"),
        ({"start": "2026-02-30"}, "start"),
        ({"start": 5}, "start|argument"),
        ({"end": "never"}, "end"),
        ({"timezone": "Europe/Nowhere"}, "no time zone named"),
        ({"jitter": "5"}, "jitter"),
        ({"gap": "jump"}, "gap"),
    ]
    for change, message in wrong:
        with pytest.raises(ValueError, match=message):
            CalendarIntervalTrigger.from_state({**state, **change})
    for name in state.keys() - {"gap", "overlap"}:
        with pytest.raises(ValueError, match=name):
            CalendarIntervalTrigger.from_state({key: state[key] for key in state if key != name})


def test_a_subclass_may_keep_attributes_of_its_own() -> None:
    class Named(CalendarIntervalTrigger):
        pass

    trigger = Named(days=1, timezone="UTC")
    trigger.name = "mine"
    bound: Any = trigger.bind(NOW, "job")
    assert (type(bound), bound.name) == (Named, "mine")
    with pytest.raises(AttributeError, match="start_date"):
        bound.start_date = None
    assert not hasattr(calendar(days=1), "__dict__")


def test_stored_and_restored() -> None:
    serializer = Serializer()
    for trigger in (calendar(months=1, hour=5, start_date="2026-01-31"), calendar(days=1).bind(NOW, "job")):
        state = {"trigger": trigger, "args": (), "kwargs": {}, "func": "operator:not_"}
        restored = serializer.loads("job", serializer.dumps("job", state))["trigger"]
        assert restored == trigger
        assert restored.get_state() == trigger.get_state()


def test_a_year_on_the_engine() -> None:
    scheduler = VirtualScheduler(start=datetime(2026, 1, 31, 12, tzinfo=UTC))
    ran: list[str] = []
    scheduler.add_job(
        lambda: ran.append(f"{scheduler.now.astimezone(BERLIN):%m-%d %H:%M}"), calendar(months=1, hour=13)
    )
    scheduler.start()
    scheduler.advance(timedelta(days=364))
    scheduler.shutdown()
    assert ran == [f"{month:02}-31 13:00" for month in (1, 3, 5, 7, 8, 10, 12)]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", BERLIN, tz.gettz("Europe/Berlin"), timezone(timedelta(hours=1))], ids=repr
)
def test_zones_in_every_spelling(zone: Any) -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=5, timezone=zone, start_date="2026-01-01")
    assert trigger.timezone in (BERLIN, timezone(timedelta(hours=1)))
    assert dates(trigger, "2026-01-01", 1) == ["2026-01-01 05:00+0100"]
    with pytest.raises(ValueError, match="no name under which it could be stored"):
        CalendarIntervalTrigger(days=1, timezone=tz.tzstr("EST5EDT"))
