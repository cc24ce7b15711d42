"""Known traps of cron on days when clocks change, each as the list of times that a person would write down."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.triggers import CronTrigger
from mainspring.triggers.instants import to_micros

from tests.triggers.schedules import cron


def times(trigger: CronTrigger, after: str, n: int) -> list[str]:
    """The next *n* fire times after the wall time *after*, as text with offset."""
    found = []
    moment: datetime | None = datetime.fromisoformat(after).replace(tzinfo=trigger.timezone)
    assert moment is not None
    for _ in range(n):
        moment = trigger.get_next_fire_time(moment, moment)
        if moment is None:
            break
        assert moment.tzinfo is trigger.timezone
        found.append(moment.strftime("%m-%d %H:%M%z"))
    return found


Trap = tuple[str, dict[str, Any], str, list[str]]
TRAPS: dict[str, Trap] = {
    "a fixed time in the spring gap runs once, right after it": (
        "Europe/Berlin",
        {"hour": 2, "minute": 30},
        "2026-03-28 00:00",
        ["03-28 02:30+0100", "03-29 03:00+0200", "03-30 02:30+0200"],
    ),
    "several times in one gap, and one at its end, are one run": (
        "Europe/Berlin",
        {"hour": "2-3", "minute": "0,20,40"},
        "2026-03-29 00:00",
        ["03-29 03:00+0200", "03-29 03:20+0200", "03-29 03:40+0200", "03-30 02:00+0200"],
    ),
    "a wildcard one skips the gap": (
        "Europe/Berlin",
        {"hour": "*/2", "minute": 30},
        "2026-03-29 00:00",
        ["03-29 00:30+0100", "03-29 04:30+0200", "03-29 06:30+0200"],
    ),
    "a fixed time in the autumn overlap runs the first time": (
        "Europe/Berlin",
        {"hour": 2, "minute": 30},
        "2026-10-24 12:00",
        ["10-25 02:30+0200", "10-26 02:30+0100"],
    ),
    "a wildcard one runs in both passes": (
        "Europe/Berlin",
        {"minute": "*/30"},
        "2026-10-25 01:59",
        ["10-25 02:00+0200", "10-25 02:30+0200", "10-25 02:00+0100", "10-25 02:30+0100", "10-25 03:00+0100"],
    ),
    "midnight on the day after a spring change is not lost": (
        "Europe/Berlin",
        {"hour": 0},
        "2024-03-30 12:00",
        ["03-31 00:00+0100", "04-01 00:00+0200", "04-02 00:00+0200"],
    ),
    "the first of the month across a spring change": (
        "Europe/Berlin",
        {"day": 1, "hour": 0},
        "2024-03-01 12:00",
        ["04-01 00:00+0200", "05-01 00:00+0200"],
    ),
    "Monday midnight in New York": (
        "America/New_York",
        {"day_of_week": "mon", "hour": 0, "minute": 0},
        "2026-03-02 12:00",
        ["03-09 00:00-0400", "03-16 00:00-0400"],
    ),
    "Cairo has no midnight on that day": (
        "Africa/Cairo",
        {"hour": 0},
        "2024-04-25 12:00",
        ["04-26 01:00+0300", "04-27 00:00+0300"],
    ),
    "Sao Paulo had none either": (
        "America/Sao_Paulo",
        {"hour": 0, "minute": 15},
        "2018-11-03 12:00",
        ["11-04 01:00-0200", "11-05 00:15-0200"],
    ),
    "Lord Howe moves by half an hour": (
        "Australia/Lord_Howe",
        {"hour": 2, "minute": "15,45"},
        "2026-10-04 00:00",
        ["10-04 02:30+1100", "10-04 02:45+1100", "10-05 02:15+1100"],
    ),
    "and back by half an hour": (
        "Australia/Lord_Howe",
        {"minute": "*/15"},
        "2026-04-05 01:30",
        ["04-05 01:45+1100", "04-05 01:30+1030", "04-05 01:45+1030", "04-05 02:00+1030"],
    ),
    "Apia skipped a whole day: what was due on it runs once, when the next begins": (
        "Pacific/Apia",
        {"hour": "9,17"},
        "2011-12-29 10:00",
        ["12-29 17:00-1000", "12-31 00:00+1400", "12-31 09:00+1400"],
    ),
    "Troll moves by two hours": (
        "Antarctica/Troll",
        {"hour": "1-2", "minute": 30},
        "2026-03-29 00:00",
        ["03-29 03:00+0200", "03-30 01:30+0200"],
    ),
    "Dublin's summer time is its standard time": (
        "Europe/Dublin",
        {"hour": 1, "minute": 30},
        "2026-10-24 12:00",
        ["10-25 01:30+0100", "10-26 01:30+0000"],
    ),
    "after 2037 the rules go on": (
        "America/New_York",
        {"hour": 2, "minute": 30},
        "2090-03-11 12:00",
        ["03-12 03:00-0400", "03-13 02:30-0400"],
    ),
    "gap=skip: a night without it": (
        "Europe/Berlin",
        {"hour": 2, "minute": 30, "gap": "skip"},
        "2026-03-28 00:00",
        ["03-28 02:30+0100", "03-30 02:30+0200"],
    ),
    "gap=shift: as much later as the clock was put forward": (
        "Europe/Berlin",
        {"hour": "2,3", "minute": "15,30", "gap": "shift"},
        "2026-03-29 00:00",
        ["03-29 03:15+0200", "03-29 03:30+0200", "03-30 02:15+0200"],
    ),
    "gap=shift by a whole day": (
        "Pacific/Apia",
        {"hour": "9", "gap": "shift"},
        "2011-12-29 08:00",
        ["12-29 09:00-1000", "12-31 09:00+1400", "01-01 09:00+1400"],
    ),
    "gap=after for a wildcard one": (
        "Europe/Berlin",
        {"hour": "*/2", "minute": 30, "gap": "after"},
        "2026-03-29 00:00",
        ["03-29 00:30+0100", "03-29 03:00+0200", "03-29 04:30+0200"],
    ),
    "overlap=second": (
        "Europe/Berlin",
        {"hour": 2, "minute": 30, "overlap": "second"},
        "2026-10-24 12:00",
        ["10-25 02:30+0100", "10-26 02:30+0100"],
    ),
    "overlap=both": (
        "Europe/Berlin",
        {"hour": 2, "minute": 30, "overlap": "both"},
        "2026-10-24 12:00",
        ["10-25 02:30+0200", "10-25 02:30+0100", "10-26 02:30+0100"],
    ),
    "overlap=first for a wildcard one": (
        "Europe/Berlin",
        {"hour": "*", "minute": 30, "overlap": "first"},
        "2026-10-25 01:40",
        ["10-25 02:30+0200", "10-25 03:30+0100"],
    ),
    "overlap=second in Lord Howe's half hour": (
        "Australia/Lord_Howe",
        {"minute": "*/15", "overlap": "second"},
        "2026-04-05 01:00",
        ["04-05 01:15+1100", "04-05 01:30+1030", "04-05 01:45+1030", "04-05 02:00+1030"],
    ),
    "Casablanca puts its clock back before Ramadan, and forward after it": (
        "Africa/Casablanca",
        {"hour": 2, "minute": 30},
        "2026-02-14 12:00",
        ["02-15 02:30+0100", "02-16 02:30+0000"],
    ),
    "Nuuk had no 23:30 in the night of its change": (
        "America/Nuuk",
        {"hour": 23, "minute": 30},
        "2024-03-30 12:00",
        ["03-31 00:00-0100", "03-31 23:30-0100"],
    ),
    "Tehran had no midnight": (
        "Asia/Tehran",
        {"hour": 0, "minute": 0},
        "2021-03-21 12:00",
        ["03-22 01:00+0430", "03-23 00:00+0430"],
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_trap(name: str) -> None:
    zone, fields, after, expected = TRAPS[name]
    assert times(cron(fields, zone), after, len(expected)) == expected


def test_the_last_match_of_all_may_come_in_the_second_pass() -> None:
    trigger = CronTrigger(year=2026, month=10, day=25, hour=2, minute="*/30", timezone="Europe/Berlin")
    assert times(trigger, "2026-10-25 02:10", 9) == [
        "10-25 02:30+0200",
        "10-25 02:00+0100",
        "10-25 02:30+0100",
    ]
    # And the first of all in the first one, seen from the second.
    second_pass = datetime(2026, 10, 25, 2, 0, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    found = trigger.previous_before(to_micros(second_pass))
    assert found == to_micros(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))


def test_one_whose_every_match_is_skipped_ends() -> None:
    trigger = CronTrigger(month=3, day="last sun", hour=2, minute="*", timezone="Europe/Berlin")
    assert times(trigger, "2026-01-01 00:00", 1) == []
    # Before 1980 there was no summer time there, and in 1980 it began on 6 April.
    assert trigger.previous_before(to_micros(datetime(2026, 1, 1, tzinfo=UTC))) == to_micros(
        datetime(1980, 3, 30, 1, 59, tzinfo=UTC)
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Cairo", "Pacific/Apia", "America/New_York"])
def test_every_fire_time_exists_in_its_zone(zone: str) -> None:
    trigger = CronTrigger(hour="0-3", minute="0,30", timezone=zone)
    moment: datetime | None = datetime(2011, 1, 1, tzinfo=UTC)
    for _ in range(3000):
        moment = trigger.get_next_fire_time(moment, datetime(2011, 1, 1, tzinfo=UTC))
        assert moment is not None
        there_and_back = moment.astimezone(UTC).astimezone(ZoneInfo(zone))
        assert there_and_back.replace(tzinfo=None) == moment.replace(tzinfo=None)
        assert there_and_back.utcoffset() == moment.utcoffset()


def test_the_process_zone_does_not_matter() -> None:
    program = (
        "from datetime import *; from mainspring.triggers import CronTrigger;"
        "t = CronTrigger(hour='2', minute='*/20', timezone='Europe/Berlin'); at = datetime(2026, 3, 28, tzinfo=UTC)\n"
        "for _ in range(9):\n    at = t.get_next_fire_time(at, at); print(at.isoformat())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for zone in ("UTC", "America/New_York", "Asia/Kolkata")
    }
    assert len(outputs) == 1
    assert outputs.pop().count("\n") == 9


def test_asked_in_any_zone_it_answers_the_same() -> None:
    trigger = CronTrigger(hour=5, minute=30, timezone="Asia/Kolkata")
    asked = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    answers = {
        to_micros(answer)
        for zone in ("UTC", "Europe/Berlin", "Pacific/Apia")
        if (answer := trigger.get_next_fire_time(None, asked.astimezone(ZoneInfo(zone)))) is not None
    }
    assert answers == {to_micros(datetime(2026, 3, 30, tzinfo=UTC))}
    assert timedelta(hours=5, minutes=30) == trigger.timezone.utcoffset(asked.replace(tzinfo=None))
