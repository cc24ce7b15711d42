"""Warnings about a schedule: tables of what is said, and that it is what the trigger does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import BaseTrigger, CronTrigger, DateTrigger, IntervalTrigger
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.hazards import hazards
from mainspring.triggers.instants import FIRST_INSTANT, LAST_INSTANT, to_micros
from mainspring.triggers.rrule import RRuleTrigger

from tests.triggers.oracle import allowed, complete, day_matches, utc
from tests.triggers.schedules import CHANGES, cron, cron_fields, fires_between, window

BERLIN = "Europe/Berlin"
_YEAR = (utc(2026, 1, 1), utc(2027, 1, 1))


def told(trigger: BaseTrigger, begin: datetime = _YEAR[0], end: datetime = _YEAR[1]) -> list[str]:
    return hazards(trigger, to_micros(begin), to_micros(end))


@pytest.mark.parametrize(
    ("fields", "policies", "spring", "autumn"),
    [
        ({"hour": 2, "minute": 30}, {}, "02:30 does not exist: runs at 03:00", "02:30 happens twice: runs the first time only"),
        (
            {"hour": 2, "minute": 30}, {"gap": "skip", "overlap": "second"},
            "02:30 does not exist: does not run", "02:30 happens twice: runs the second time only",
        ),
        (
            {"hour": 2, "minute": 30}, {"gap": "shift", "overlap": "both"},
            "02:30 does not exist: runs at 03:30", "02:30 happens twice: runs both times",
        ),
        (
            {"hour": "2-3"}, {},
            "02:00 does not exist: runs at 03:00, as one with the run of that time", "02:00 happens twice: runs the first time only",
        ),
        (
            {"hour": "2-3", "minute": "0,30"}, {"gap": "shift"},
            "02:00 and 02:30 do not exist: run at 03:00 and 03:30, as one with what runs then anyway",
            "02:00 and 02:30 happen twice: run the first time only",
        ),
        (
            {"hour": "2", "minute": "0-59"}, {},
            "60 times from 02:00 to 02:59 do not exist: run once, at 03:00",
            "60 times from 02:00 to 02:59 happen twice: run the first time only",
        ),
        (
            {"hour": "2", "minute": "0-59"}, {"gap": "shift"},
            "60 times from 02:00 to 02:59 do not exist: run from 03:00 to 03:59",
            "60 times from 02:00 to 02:59 happen twice: run the first time only",
        ),
        # Wildcard, and not every hour:
        ({"hour": "*/2"}, {}, "02:00 does not exist: does not run", "02:00 happens twice: runs both times"),
        ({"hour": 2, "minute": 0, "second": "0,30"}, {}, "02:00 and 02:00:30 do not exist: run once, at 03:00", "02:00 and 02:00:30 happen twice: run the first time only"),
    ],
)  # fmt: skip
def test_clock_changes(fields: dict[str, Any], policies: dict[str, Any], spring: str, autumn: str) -> None:
    trigger = CronTrigger(**fields, **policies, timezone=BERLIN)
    assert told(trigger) == [
        _dated(spring, "2026-03-29"),
        _dated(autumn, "2026-10-25"),
    ]


def _dated(line: str, day: str) -> str:
    return re.sub(r" (exist|twice): ", rf" \1 on {day} in {BERLIN}: ", line)


@pytest.mark.parametrize(
    ("trigger", "lines"),
    [
        (CronTrigger(hour=5, timezone=BERLIN), []),
        (CronTrigger(hour=2, timezone="UTC"), []),
        (CronTrigger(hour=2, timezone="+02:00"), []),
        (DateTrigger("2026-03-29 02:30:00", BERLIN), []),
        (
            CronTrigger(minute="*/15", timezone=BERLIN),
            ["follows the clock of Europe/Berlin where it is changed: 92 runs instead of 96 on 2026-03-29 and 100 instead of 96 on 2026-10-25"],
        ),
        # The second pass is the trigger's own choice here, and is told as such.
        (
            CronTrigger(minute="*", timezone=BERLIN, overlap="first"),
            [
                "60 times from 02:00 to 02:59 happen twice on 2026-10-25 in Europe/Berlin: run the first time only",
                "follows the clock of Europe/Berlin where it is changed: 1,380 runs instead of 1,440 on 2026-03-29",
            ],
        ),
        # Not in its time:
        (CronTrigger(hour=2, timezone=BERLIN, start_date="2026-04-01", end_date="2026-10-01"), []),
        (CronTrigger(hour=2, month=3, day="1-28", timezone=BERLIN), []),
        (
            CalendarIntervalTrigger(days=1, hour=2, minute=30, start_date="2026-05-01", timezone=BERLIN),
            ["02:30 happens twice on 2026-10-25 in Europe/Berlin: runs the first time only"],
        ),
        (
            CalendarIntervalTrigger(days=29, hour=2, minute=30, timezone=BERLIN),  # as if added on 1 January: not on 25 October
            ["02:30 does not exist on 2026-03-29 in Europe/Berlin: runs at 03:00"],
        ),
        (
            CalendarIntervalTrigger(months=2, start_date="2024-12-31", timezone="UTC"),
            ["there is no day 31 in 2026-02, 2026-04 and 2026-06: left out"],
        ),
        (
            CalendarIntervalTrigger(months=1, start_date="2026-01-30", end_date="2026-12-31", timezone="UTC"),
            ["there is no day 30 in 2026-02: left out"],
        ),
        (
            RRuleTrigger("FREQ=DAILY", "2026-01-01 02:30:00", BERLIN, gap="shift"),
            [
                "02:30 does not exist on 2026-03-29 in Europe/Berlin: runs at 03:30",
                "02:30 happens twice on 2026-10-25 in Europe/Berlin: runs the first time only",
            ],
        ),
        (RRuleTrigger("FREQ=HOURLY", timezone=BERLIN), []),  # at which minute is not settled
        (
            RRuleTrigger("FREQ=MONTHLY;BYMONTHDAY=30", "2026-01-01", "UTC"),
            ["there is no day 30 in February; the last day of every month is BYMONTHDAY=-1"],
        ),
        (
            RRuleTrigger("FREQ=MONTHLY;BYMONTH=1,2,4", "2026-01-31", "UTC"),
            ["there is no day 31 in February and April; the last day of every month is BYMONTHDAY=-1"],
        ),
        (RRuleTrigger("FREQ=YEARLY", "2024-02-29", "UTC"), ["there is no 29 February in 2026"]),
        (RRuleTrigger("FREQ=MONTHLY;BYDAY=MO", "2026-01-31", "UTC"), []),
    ],
)  # fmt: skip
def test_a_year(trigger: BaseTrigger, lines: list[str]) -> None:
    assert told(trigger) == lines


def test_a_skipped_day() -> None:
    trigger = CronTrigger(hour=9, timezone="Pacific/Apia")
    assert told(trigger, utc(2011, 12, 1), utc(2012, 1, 1)) == [
        "09:00 does not exist on 2011-12-30 in Pacific/Apia: runs at 00:00 on 2011-12-31"
    ]
    assert told(trigger.modified(gap="shift"), utc(2011, 12, 1), utc(2012, 1, 1)) == [
        "09:00 does not exist on 2011-12-30 in Pacific/Apia: runs at 09:00 on 2011-12-31, as one with the run of that time"
    ]


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"day": 31}, ["there is no day 31 in February, April, June, September and November; the last day of every month is 'last'"]),
        ({"day": 31, "month": "1,3"}, []),
        ({"day": "1,30"}, ["there is no day 30 in February; the last day of every month is 'last'"]),
        ({"day": "*"}, []),
        ({"day": "20-31"}, []),
        ({"day": 29, "month": 2}, ["there is no 29 February in 2026, 2027, 2029, 2030, 2031 and 3 more"]),
        ({"day": "5th fri", "month": "1-4", "year": 2026}, ["there is no 5th Friday in 2026-02, 2026-03 and 2026-04"]),
        ({"day_of_week": "fri#5", "month": "1-4", "year": 2026}, ["there is no 5th Friday in 2026-02, 2026-03 and 2026-04"]),
        ({"day": "4th fri,last fri"}, []),
        ({"week": 53}, ["there is no ISO week 53 in 2027, 2028, 2029, 2030, 2031 and 4 more"]),
        ({"minute": "*/7"}, ["*/7 in minute begins anew every hour: from 56 to 0 it is 4 minutes, not 7"]),
        ({"minute": "*/15"}, []),
        ({"hour": "*/5"}, ["*/5 in hour begins anew every day: from 20 to 0 it is 4 hours, not 5"]),
        ({"day": "*/2"}, ["*/2 in day begins anew every month: day 31 is followed by day 1 of the next one"]),
        ({"day_of_week": "*/2"}, ["*/2 in day_of_week begins anew every week: from Sunday to Monday it is 1 day, not 2"]),
        ({"month": "*/5"}, ["*/5 in month begins anew every year: from November to January it is 2 months, not 5"]),
    ],
)  # fmt: skip
def test_fields_in_ten_years(fields: dict[str, Any], lines: list[str]) -> None:
    assert told(CronTrigger(**fields, timezone="UTC"), utc(2026, 1, 1), utc(2036, 12, 31)) == lines


def test_only_months_in_the_period_are_told() -> None:
    trigger = CronTrigger(day=31, timezone="UTC")
    assert told(trigger, utc(2026, 3, 1), utc(2026, 3, 31)) == []
    assert told(trigger, utc(2026, 3, 1), utc(2026, 4, 1)) == [
        "there is no day 31 in April; the last day of every month is 'last'"
    ]


def test_one_of_two_days_is_enough() -> None:
    assert told(CronTrigger.from_crontab("0 12 13 * fri", "UTC")) == [
        "a day of the month and a weekday are given: one of the two is enough, as always in a crontab"
    ]


@pytest.mark.parametrize(
    ("length", "lines"),
    [
        (
            {"days": 1},
            [
                "24 hours of elapsed time: 05:00 becomes 06:00 on 2026-03-29 in Europe/Berlin; use cron or calendarinterval to stay at 05:00",
                "24 hours of elapsed time: 06:00 becomes 05:00 on 2026-10-25 in Europe/Berlin; use cron or calendarinterval to stay at 06:00",
            ],
        ),
        (
            {"hours": 8},
            [
                "8 hours of elapsed time: 05:00 becomes 06:00 on 2026-03-29 in Europe/Berlin; use cron to stay at 05:00",
                "8 hours of elapsed time: 06:00 becomes 05:00 on 2026-10-25 in Europe/Berlin; use cron to stay at 06:00",
            ],
        ),
        # There and back between two runs, or no times of day to speak of:
        ({"weeks": 52}, []),
        ({"hours": 1}, []),
        ({"minutes": 5}, []),
        ({"hours": 7}, []),
    ],
)
def test_intervals_in_a_zone_whose_clock_is_changed(length: dict[str, Any], lines: list[str]) -> None:
    assert told(IntervalTrigger(**length, start_date="2026-01-01 05:00:00", timezone=BERLIN)) == lines
    assert told(IntervalTrigger(**length, start_date="2026-01-01 05:00:00", timezone="UTC")) == []
    assert told(IntervalTrigger(**length, timezone=BERLIN)) == []


def test_triggers_made_of_triggers() -> None:
    """Their parts' lines, marked where another part or an exclusion has a say."""
    one, other = CronTrigger(hour=2, timezone=BERLIN), CronTrigger(hour=2, minute=30, timezone=BERLIN)
    assert told(OrTrigger([one, other, one])) == told(one) + told(other)
    assert told(AndTrigger([one, CronTrigger(hour="5-6", timezone=BERLIN)])) == [
        f"cron[hour='2']: {line}" for line in told(one)
    ]
    assert told(ExcludingTrigger(one, ["2026-01-01"], [other])) == [
        f"{line} (apart from what is excluded)" for line in told(one)
    ]


def test_clock_changes_of_a_hashed_trigger_are_known_when_it_is_bound() -> None:
    trigger = CronTrigger(hour="H(2-2)", minute="H(30-30)", timezone=BERLIN)
    assert told(trigger) == [
        "the times of H are settled by the job's id: add the job, and look at job.trigger"
    ]
    assert told(trigger.bind(_YEAR[0], "job")) == told(CronTrigger(hour=2, minute=30, timezone=BERLIN))


def test_the_list_ends_after_twenty_lines() -> None:
    lines = told(CronTrigger(hour=2, minute=30, timezone=BERLIN), utc(2000, 1, 1), utc(2100, 1, 1))
    assert len(lines) == 20
    assert lines[-1] == "and more: look at a shorter period"
    assert len(set(lines)) == 20


def test_any_period_may_be_asked_for() -> None:
    everything = FIRST_INSTANT - 10**18, LAST_INSTANT + 10**18
    assert (
        hazards(CronTrigger(hour=2, timezone=BERLIN), *everything) == []
    )  # no clock was changed in the first 400 years
    assert hazards(CronTrigger(hour=2, timezone=BERLIN), *everything[::-1]) == []
    leap_days = CronTrigger(day=29, month=2, timezone="UTC")
    assert hazards(leap_days, 0, LAST_INSTANT) == [
        "there is no 29 February in 1970, 1971, 1973, 1974, 1975 and 298 more"
    ]


_POLICIES = st.fixed_dictionaries(
    {}, optional={"gap": st.sampled_from(["after", "skip", "shift"]), "overlap": st.sampled_from(["first", "second", "both"])}
)  # fmt: skip
_SKIPPED = re.compile(r"(?:([0-9,]+) times from )?(\d\d:\d\d).* not exist on ([-0-9]{10}) in [^:]*: (.*)")
_FOLLOWED = re.compile(r"([0-9,]+)(?: runs)? instead of ([0-9,]+) on ([-0-9]{10})")
_TWICE = re.compile(r"(?:([0-9,]+) times from )?(\d\d:\d\d).* happens? twice on ([-0-9]{10}) in [^:]*: (.*)")


@given(cron_fields(), _POLICIES, st.sampled_from(sorted(CHANGES)))
@settings(max_examples=200, deadline=None)
def test_what_is_told_is_what_happens(fields: dict[str, str], policies: dict[str, str], change: str) -> None:
    """For every time that a clock skips or repeats there is a line, and where the line says "runs at", there is a run."""
    zone, begin, end = window(change)
    trigger = cron(fields, zone).modified(**policies)
    lines = told(trigger, begin, end)
    skipped, twice = _affected(fields, zone, begin, end)
    followed = [(*map(_number, found[:2]), found[2]) for line in lines for found in _FOLLOWED.findall(line)]
    gaps = [found for line in lines if (found := _SKIPPED.fullmatch(line))]
    overlaps = [found for line in lines if (found := _TWICE.fullmatch(line))]
    assert bool(skipped) == bool(gaps or any(runs < usual for runs, usual, _ in followed))
    assert bool(twice) == bool(overlaps or any(runs > usual for runs, usual, _ in followed))
    fires = [moment.astimezone(ZoneInfo(zone)) for moment in fires_between(trigger, begin, end)]
    walls = [moment.replace(tzinfo=None, fold=0) for moment in fires]
    for runs, _, day in followed:
        if {wall.date().isoformat() for wall in skipped + twice} == {day}:
            assert runs == sum(wall.date().isoformat() == day for wall in walls)
    for found in gaps:
        first = datetime.fromisoformat(f"{found[3]} {found[2]}")
        assert first == skipped[0]
        assert found[1] is None or _number(found[1]) == len(skipped)
        if at := re.match(r"runs? (?:at|once, at|from) (\d\d:\d\d)(?: on ([-0-9]{10}))?", found[4]):
            assert datetime.fromisoformat(f"{at[2] or found[3]} {at[1]}") in walls
    for found in overlaps:
        first = datetime.fromisoformat(f"{found[3]} {found[2]}")
        assert first == twice[0]
        expected = {"first": [0], "second": [1], "both": [0, 1]}[trigger.overlap]
        assert (
            sorted(moment.fold for moment in fires if moment.replace(tzinfo=None, fold=0) == first)
            == expected
        )


def _affected(
    fields: dict[str, str], zone: str, begin: datetime, end: datetime
) -> tuple[list[datetime], list[datetime]]:
    """The matching wall times that zone's clock does not show at all, and those it shows twice; found by asking zoneinfo about every minute."""
    texts, info = complete(fields), ZoneInfo(zone)
    skipped: list[datetime] = []
    twice: list[datetime] = []
    wall = begin.astimezone(info).replace(tzinfo=None)
    last = end.astimezone(info).replace(tzinfo=None)
    while wall < last:
        first, second = (wall.replace(tzinfo=info, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset() and _matches(texts, wall):
            back = first.astimezone(UTC).astimezone(info).replace(tzinfo=None, fold=0)
            (twice if back == wall else skipped).append(wall)
        wall += timedelta(minutes=1)
    return skipped, twice


def _matches(texts: dict[str, str], wall: datetime) -> bool:
    return (
        wall.minute in allowed("minute", texts["minute"])
        and wall.hour in allowed("hour", texts["hour"])
        and day_matches(texts, wall.date())
    )


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=MONTHLY;INTERVAL=12", "2027-01-31"),  # each January
        ("FREQ=YEARLY;INTERVAL=4", "2024-02-29"),
        ("FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1", "2027-01-01"),  # the last of them
        ("FREQ=MONTHLY", "2030-01-31"),  # not yet
        ("FREQ=MONTHLY;UNTIL=20260401", "2026-01-31"),  # not any more
        ("FREQ=MONTHLY;COUNT=2", "2026-01-31"),
    ],
)
def test_no_day_is_missed_by_a_rule_whose_turn_it_is_not(rule: str, start: str) -> None:
    trigger = RRuleTrigger(rule, start_date=start, timezone="UTC")
    assert told(trigger, utc(2027, 1, 1), utc(2028, 1, 1)) == []


def test_a_day_is_missed_between_the_first_fire_time_and_the_last() -> None:
    trigger = RRuleTrigger("FREQ=MONTHLY;COUNT=2", start_date="2027-01-31", timezone="UTC")
    [line] = told(trigger, utc(2027, 1, 1), utc(2028, 1, 1))
    assert "February" in line or "2027-02" in line
    assert "April" not in line
    assert "2027-04" not in line
