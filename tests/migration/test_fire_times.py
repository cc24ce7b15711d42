"""The next 100 fire times of migrated jobs are those that APScheduler's own triggers give; each difference is one of the ledger's."""

import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytz  # type: ignore[import-untyped]
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from dateutil import tz

from tests.migration.olds import NOW, arrival, fire_times, state

BERLIN = ZoneInfo("Europe/Berlin")

ZONES = {
    "zoneinfo": BERLIN,
    "pytz": pytz.timezone("Europe/Berlin"),
    "dateutil": tz.gettz("Europe/Berlin"),
    "utc": UTC,
    "zoneinfo utc": ZoneInfo("UTC"),
    "pytz utc": pytz.utc,
    "dateutil utc": tz.tzutc(),
    "fixed": timezone(timedelta(hours=5, minutes=30)),
    "dateutil fixed": tz.tzoffset("there", -3 * 3600),
    "south": ZoneInfo("America/Santiago"),
    "half an hour": ZoneInfo("Australia/Lord_Howe"),
}

CRON = {
    "minute": {"minute": "*"},
    "every second one": {"second": "*/2"},
    "steps": {"minute": "*/7"},
    "a step from": {"minute": "5/20"},
    "a range with a step": {"hour": "5-23/3", "minute": 30},
    "lists": {"hour": "6,8-10,*/12", "minute": "0,15"},
    "hour as a number": {"hour": 5},
    "weekdays by name": {"day_of_week": "mon-fri", "hour": 6},
    "weekdays by number": {"day_of_week": "0-4,6", "hour": 6},
    "a weekday": {"day_of_week": "wed"},  # at midnight, which a Sunday of spring does not have in Santiago
    "months by name": {"month": "jan-mar,nov", "day": 1, "hour": 5},
    "the last day": {"day": "last", "hour": 5},
    "the second friday": {"day": "2nd fri", "hour": 5},
    "the last sunday": {"day": "last sun", "hour": 5},
    "days": {"day": "*/5", "hour": 5},
    "the 31st": {"day": 31, "hour": 5},
    "day and weekday": {"day": "1-7", "day_of_week": "mon", "hour": 5},
    "weeks": {"week": "*/4", "day_of_week": "mon", "hour": 5},
    "week 53": {"week": 53, "hour": 5},
    "years": {"year": "2027-2030", "month": "2", "day": "29", "hour": 5},
    "every second year": {"year": "*/2", "month": 6, "day": 1, "hour": 5},
    "only a year": {"year": 2028},
    "a tail that APScheduler ignores": {"day_of_week": "mon-fri/2", "hour": 5},
    "from": {"hour": "5", "start_date": "2027-05-05 00:00:00"},
    "until": {"hour": "5", "end_date": "2027-01-05 05:00:00"},
    "from in the past": {"minute": "*/10", "start_date": "2020-01-01 00:00:00"},
}

OTHERS: dict[str, Any] = {
    "seconds": lambda zone: IntervalTrigger(seconds=10, start_date="2026-11-23 00:00:00", timezone=zone),
    "less than a second": lambda zone: IntervalTrigger(
        seconds=0.25, start_date="2026-11-23 00:00:00", timezone=zone
    ),
    "days over a change of clocks": lambda zone: IntervalTrigger(
        days=1, start_date="2026-11-23 02:30:00", timezone=zone
    ),
    "all parts": lambda zone: IntervalTrigger(
        weeks=1, days=2, hours=3, minutes=4, seconds=5, start_date="2026-01-01 00:00:00", timezone=zone
    ),
    "an interval with an end": lambda zone: IntervalTrigger(
        hours=6, start_date="2026-11-23 00:00:00", end_date="2026-12-01 00:00:00", timezone=zone
    ),
    "an interval that begins later": lambda zone: IntervalTrigger(
        minutes=5, start_date="2027-07-01 00:00:00", timezone=zone
    ),
    "an interval of zero": lambda zone: IntervalTrigger(start_date="2026-11-23 00:00:00", timezone=zone),
    "a date": lambda zone: DateTrigger("2027-07-01 05:00:00", timezone=zone),
    "a date without a time": lambda zone: DateTrigger(date(2027, 7, 1), timezone=zone),
    "a month": lambda zone: CalendarIntervalTrigger(
        months=1, hour=5, start_date=date(2026, 11, 30), timezone=zone
    ),
    "the 31st of each month": lambda zone: CalendarIntervalTrigger(
        months=1, hour=5, start_date=date(2026, 12, 31), timezone=zone
    ),
    "29 february": lambda zone: CalendarIntervalTrigger(
        years=1, hour=5, start_date=date(2028, 2, 29), timezone=zone
    ),
    "weeks and days": lambda zone: CalendarIntervalTrigger(
        weeks=2,
        days=3,
        hour=23,
        minute=59,
        second=58,
        start_date=date(2026, 12, 1),
        end_date=date(2029, 1, 1),
        timezone=zone,
    ),
    "or": lambda zone: OrTrigger(
        [
            CronTrigger(hour=5, timezone=zone),
            CronTrigger(day_of_week="sun", hour=22, timezone="UTC"),
            CronTrigger(day="last", timezone=zone),
        ]
    ),
    "an interval alone in an or": lambda zone: OrTrigger(
        [IntervalTrigger(hours=7, start_date="2026-11-23 00:00:00", timezone=zone)]
    ),
    "and": lambda zone: AndTrigger(
        [CronTrigger(hour=5, timezone=zone), CronTrigger(hour="5", minute="0", timezone=zone)]
    ),
    "and in or": lambda zone: OrTrigger(
        [
            AndTrigger([CronTrigger(hour=6, timezone=zone), CronTrigger(hour=6, timezone=zone)]),
            CronTrigger(hour=7, timezone=zone),
        ]
    ),
}

TRIGGERS: dict[str, Any] = {
    **{
        f"cron: {name}": (lambda zone, fields=fields: CronTrigger(timezone=zone, **fields))
        for name, fields in CRON.items()
    },
    **OTHERS,
}


def compared(trigger: Any, **options: Any) -> tuple[list[datetime], list[datetime], list[str]]:
    """The next 100 fire times there and here, and the notes."""
    data = state(trigger, **options)
    theirs = pickle.loads(data)["trigger"]  # as its own store gives it back
    taken, notes = arrival(data)
    ours = taken.job.trigger
    first = taken.job.next_run_time
    assert first is not None
    there = fire_times(lambda time: theirs.get_next_fire_time(time, time), first)
    here = fire_times(lambda time: ours.get_next_fire_time(time, time), first)
    return there, here, notes


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", TRIGGERS)
def test_the_next_hundred_fire_times_agree(name: str, zone: str) -> None:
    # Times at 5 and later are no clock's to change; the others are those that run in every hour, or whose day is no such one.
    there, here, _ = compared(TRIGGERS[name](ZONES[zone]))
    assert here == there


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["cron: lists", "seconds", "a date", "a month", "and in or"])
@pytest.mark.parametrize("zone", ["zoneinfo", "pytz", "dateutil", "dateutil fixed", "pytz utc"])
def test_whatever_the_protocol(zone: str, name: str, protocol: int) -> None:
    there, here, _ = compared(TRIGGERS[name](ZONES[zone]), protocol=protocol)
    assert here == there


@pytest.mark.parametrize(
    "moment", [datetime(2026, 11, 23, 12, 7, tzinfo=BERLIN), datetime(2026, 11, 23, 13, 0, 0, 5, tzinfo=UTC)]
)
@pytest.mark.parametrize("length", [{"minutes": 10}, {"days": 1}, {"seconds": 0.7}])
def test_an_interval_goes_on_from_the_next_run_time_that_somebody_has_set(
    length: dict[str, Any], moment: datetime
) -> None:
    trigger = IntervalTrigger(start_date="2026-11-01 00:00:00", timezone=BERLIN, **length)
    there, here, notes = compared(trigger, next_run_time=moment)
    assert here == there
    assert "somebody has set it" in notes[0]


def test_a_calendar_interval_goes_on_from_the_day_that_somebody_has_set() -> None:
    trigger = CalendarIntervalTrigger(weeks=2, hour=5, start_date=date(2026, 11, 1), timezone=BERLIN)
    there, here, notes = compared(trigger, next_run_time=datetime(2026, 12, 2, 5, tzinfo=BERLIN))
    assert here == there
    assert "counted from that day on, 2026-12-02" in notes[0]


def test_a_date_runs_once_at_the_time_that_somebody_has_set() -> None:
    moment = datetime(2026, 12, 2, 5, tzinfo=BERLIN)
    there, here, notes = compared(DateTrigger("2027-07-01 05:00:00", timezone=BERLIN), next_run_time=moment)
    assert here == there == [moment]
    assert "not its trigger's date" in notes[0]


def test_a_datetime_of_pytz_is_the_same_instant_in_both_passes_of_an_hour() -> None:
    zone = pytz.timezone("Europe/Berlin")
    for is_dst, offset in [(True, 2), (False, 1)]:
        moment = zone.localize(datetime(2027, 10, 31, 2, 30), is_dst=is_dst)  # noqa: DTZ001  (as pytz has it)
        taken, _ = arrival(state(DateTrigger(moment)))
        assert taken.job.next_run_time is not None
        assert taken.job.next_run_time.astimezone(UTC) == moment.astimezone(UTC)
        fire_time = taken.job.trigger.get_next_fire_time(None, NOW)
        assert fire_time is not None
        assert fire_time.utcoffset() == timedelta(hours=offset)


def test_a_week_is_not_left_out_where_clocks_went_forward_the_day_before() -> None:
    there, here, _ = compared(CronTrigger(day_of_week="mon", timezone=BERLIN))
    left_out = {datetime(2027, 3, 28, 22, tzinfo=UTC), datetime(2028, 3, 26, 22, tzinfo=UTC)}
    assert set(here) - set(there) == left_out
    assert set(there[:98]) <= set(here)


def test_jitter_is_taken_along_and_moves_nothing_else() -> None:
    trigger = CronTrigger(hour=5, timezone=BERLIN, jitter=30)
    taken, notes = arrival(state(trigger))
    assert taken.job.trigger.jitter == 30
    there = fire_times(lambda time: trigger.get_next_fire_time(time, time), NOW)
    here = fire_times(lambda time: taken.job.trigger.get_next_fire_time(time, time), NOW)
    assert all(
        timedelta(0) <= late - exact <= timedelta(seconds=30)
        for late, exact in zip(there[1:], here[1:], strict=True)
    )
    assert notes == ["jitter delays each run by itself: it no longer adds up from run to run"]


def differences() -> Iterator[Any]:
    """Where the two do not agree: the trigger, what is only there, what is only here, and the note that says so."""
    rule = "on days on which clocks change"
    spring = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    autumn = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    yield pytest.param(
        CronTrigger(year=2027, month="3", day="27-29", hour=2, minute=30, timezone=BERLIN),
        {spring},
        {spring - timedelta(minutes=30)},
        rule,
        id="a time in the gap",
    )
    yield pytest.param(
        CronTrigger(year=2027, month="8,9", day_of_week="sun", timezone=ZONES["south"]),
        set(),
        {datetime(2027, 9, 5, 4, tzinfo=UTC)},
        rule,
        id="a midnight in the gap",
    )
    yield pytest.param(
        CronTrigger(year=2027, month="10", day="30,31", hour=2, minute=30, timezone=BERLIN),
        {autumn},
        set(),
        rule,
        id="a time that comes twice",
    )
    yield pytest.param(
        CalendarIntervalTrigger(
            days=1,
            hour=2,
            minute=30,
            start_date=date(2027, 3, 26),
            end_date=date(2027, 4, 1),
            timezone=BERLIN,
        ),
        set(),
        {spring - timedelta(minutes=30)},
        rule,
        id="a day of a calendar interval in the gap",
    )
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    yield pytest.param(
        OrTrigger(
            [
                IntervalTrigger(
                    hours=2, start_date=midnight, end_date=midnight + timedelta(hours=9), timezone=UTC
                ),
                CronTrigger(month=1, day=1, hour=5, year=2027, timezone=UTC),
            ]
        ),
        {midnight + timedelta(hours=7), midnight + timedelta(hours=9)},
        {midnight + timedelta(hours=6), midnight + timedelta(hours=8)},
        "an 'or' with an interval",
        id="or with an interval",
    )
    noon = datetime(2027, 1, 3, 12, tzinfo=UTC)
    yield pytest.param(
        OrTrigger([DateTrigger(noon), CronTrigger(day="1-5", month=1, year=2027, hour=5, timezone=UTC)]),
        set(),
        {noon},
        "an 'or' with a date",
        id="or with a date",
    )
    yield pytest.param(
        CalendarIntervalTrigger(
            months=1, days=2, start_date=date(2027, 1, 29), end_date=date(2027, 5, 1), timezone=UTC
        ),
        set(),
        set(),
        "months and days",
        id="months and days",
    )


@pytest.mark.parametrize(("trigger", "only_there", "only_here", "note"), [*differences()])
def test_the_differences_are_those_of_the_ledger(
    trigger: Any, only_there: set[datetime], only_here: set[datetime], note: str
) -> None:
    there, here, notes = compared(trigger)
    assert set(there) - set(here) == only_there or note == "months and days"
    assert set(here) - set(there) == only_here or note == "months and days"
    assert any(line.startswith(note) or note in line for line in notes)
