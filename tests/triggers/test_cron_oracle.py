"""Cron triggers against the brute-force oracle, minute by minute and second by second, where clocks change and where they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import CronTrigger
from mainspring.triggers.instants import to_micros

from tests.triggers import oracle
from tests.triggers.schedules import (
    CHANGES,
    count,
    cron,
    cron_fields,
    field_texts,
    fires_backwards,
    fires_between,
    window,
)

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Nuuk",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Asia/Tehran",
    "Europe/Dublin",
    "Pacific/Apia",
    "UTC",
)
SECOND = timedelta(seconds=1)


def check(
    trigger: CronTrigger,
    fields: dict[str, str],
    zone: str,
    begin: datetime,
    end: datetime,
    step: timedelta,
    either: bool = False,
) -> None:
    """All three questions a trigger answers, against the oracle's list."""
    expected = oracle.fire_times(fields, zone, begin, end, step=step, either=either)
    assert fires_between(trigger, begin, end) == expected
    assert fires_backwards(trigger, begin, end) == expected
    assert count(trigger, begin, end) == len(expected)


def check_single_steps(trigger: CronTrigger, expected: list[datetime], asked: datetime) -> None:
    """The neighbours of one instant, which need not be a fire time: it may be in the second pass of an overlap."""
    instant = to_micros(asked)
    later = [moment for moment in expected if moment > asked]
    earlier = [moment for moment in expected if moment < asked]
    if later:
        assert trigger.next_after(instant) == to_micros(later[0])
        assert trigger.count_between(instant, to_micros(later[-1])) == len(later)
    if earlier:
        assert trigger.previous_before(instant) == to_micros(earlier[-1])
        assert trigger.count_between(to_micros(earlier[0]) - 1, instant - 1) == len(earlier)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fields", [{"hour": "0-3,21-23", "minute": "10,45"}, {"minute": "*/45"}])
def test_asked_from_anywhere_around_clock_changes(change: str, fields: dict[str, str]) -> None:
    zone, begin, end = window(change)
    trigger = cron(fields, zone)
    expected = oracle.fire_times(fields, zone, begin, end)
    asked = begin + timedelta(hours=18, seconds=3)
    while asked < end - timedelta(hours=18):
        check_single_steps(trigger, expected, asked)
        asked += timedelta(minutes=10)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "time", [{"minute": "*"}, {"hour": "*", "minute": "17"}, {"hour": "0-23", "minute": "0,17"}]
)
def test_seen_from_far_away(change: str, time: dict[str, str]) -> None:
    # Nothing matches for months before and after, so that the search leaps over other changes of the clock.
    zone, day = CHANGES[change]
    middle = datetime.fromisoformat(day).replace(tzinfo=UTC, hour=12)
    for date in (middle - timedelta(days=1), middle, middle + timedelta(days=1)):
        fields = {"year": str(date.year), "month": str(date.month), "day": str(date.day), **time}
        begin, end = date - timedelta(days=2), date + timedelta(days=2)
        expected = oracle.fire_times(fields, zone, begin, end)
        trigger = cron(fields, zone)
        for days in (0, 100, 200, 300):
            early, late = begin - timedelta(days=days), end + timedelta(days=days)
            assert fires_between(trigger, early, late) == expected
            assert fires_backwards(trigger, early, late) == expected
            assert count(trigger, early, late) == len(expected)


@settings(max_examples=400, deadline=None)
@given(change=st.sampled_from(sorted(CHANGES)), fields=cron_fields())
def test_random_expressions_around_clock_changes(change: str, fields: dict[str, str]) -> None:
    zone, begin, end = window(change)
    check(cron(fields, zone), fields, zone, begin, end, timedelta(minutes=1))


@settings(max_examples=300, deadline=None)
@given(
    change=st.sampled_from(sorted(CHANGES)),
    fields=cron_fields(),
    gap=st.sampled_from([None, "after", "skip", "shift"]),
    overlap=st.sampled_from([None, "first", "second", "both"]),
)
def test_chosen_policies_around_clock_changes(
    change: str, fields: dict[str, str], gap: str | None, overlap: str | None
) -> None:
    zone, begin, end = window(change)
    trigger = cron({**fields, "gap": gap, "overlap": overlap}, zone)
    expected = oracle.fire_times(fields, zone, begin, end, gap=gap, overlap=overlap)
    assert fires_between(trigger, begin, end) == expected
    assert fires_backwards(trigger, begin, end) == expected
    assert count(trigger, begin, end) == len(expected)
    # And by datetimes, which on most days are computed on the wall.
    moment = trigger.get_next_fire_time(None, begin)
    walked = []
    while moment is not None and moment < end:
        walked.append(moment.astimezone(UTC))
        moment = trigger.get_next_fire_time(moment, begin)
    assert walked == expected


@settings(max_examples=100, deadline=None)
@given(
    change=st.sampled_from(
        ["Berlin, spring", "Berlin, autumn", "Lord Howe, half an hour on", "Lord Howe, half an hour back"]
    ),
    hour=st.sampled_from(["*", "1-3", "2", "*/2", "0,2"]),
    minute=st.one_of(st.just("*"), field_texts("minute")),
    second=st.one_of(st.just("*"), field_texts("second")),
)
def test_seconds_around_clock_changes(change: str, hour: str, minute: str, second: str) -> None:
    zone, day = CHANGES[change]
    middle = datetime.fromisoformat(day).replace(tzinfo=UTC, hour=15 if "Lord" in change else 1)
    begin, end = middle - timedelta(hours=2), middle + timedelta(hours=2)
    fields = {"hour": hour, "minute": minute, "second": second}
    check(cron(fields, zone), fields, zone, begin, end, SECOND)


YEAR = [
    {"minute": "0"},
    {"minute": "*/15", "hour": "9-17", "day_of_week": "mon-fri"},
    {"hour": "0"},
    {"hour": "2", "minute": "30"},
    {"hour": "22-2", "minute": "17"},
    {"hour": "*/5", "minute": "59"},
    {"day": "1"},
    {"day": "last"},
    {"day": "last sun", "hour": "2", "minute": "0-59/20"},
    {"day": "2nd fri,13,5th mon", "hour": "12"},
    {"day": "31", "hour": "23", "minute": "59"},
    {"week": "1,53,10-12", "hour": "0"},
    {"month": "feb-apr,oct", "day": "28-2", "hour": "3"},
    {"day_of_week": "fri-mon/2", "hour": "1"},
    {"month": "2", "day": "29"},
    {"year": "2023,2025", "month": "*", "day": "1", "hour": "0"},
]


@pytest.mark.parametrize("zone", ZONES)
def test_a_whole_year_and_more(zone: str) -> None:
    begin, end = oracle.utc(2023, 12, 25), oracle.utc(2025, 1, 10)
    for fields in YEAR:
        check(cron(fields, zone), fields, zone, begin, end, timedelta(minutes=1))


@pytest.mark.parametrize("zone", ZONES)
def test_day_or_weekday(zone: str) -> None:
    begin, end = oracle.utc(2023, 12, 25), oracle.utc(2025, 1, 10)
    trigger = CronTrigger.from_crontab("30 2 1,15 * 1", timezone=zone)
    fields = {"month": "*", "day": "1,15", "day_of_week": "0", "hour": "2", "minute": "30"}
    check(trigger, fields, zone, begin, end, timedelta(minutes=1), either=True)


@settings(max_examples=400, deadline=None)
@given(fields=cron_fields(), zone=st.sampled_from(ZONES), day=st.integers(0, 47_800), data=st.data())
def test_single_steps_from_random_instants(
    fields: dict[str, str], zone: str, day: int, data: st.DataObject
) -> None:
    # One day out of 1970 to 2100, with no state left from a walk.
    begin = datetime(1970, 1, 3, tzinfo=UTC) + timedelta(days=day)
    end = begin + timedelta(days=1)
    trigger = cron(fields, zone)
    expected = oracle.fire_times(fields, zone, begin, end)
    asked = begin + timedelta(microseconds=data.draw(st.integers(0, 86_400_000_000 - 1)))
    later = [moment for moment in expected if moment > asked]
    found = fires_between(trigger, asked + timedelta(microseconds=1), end)
    assert found == later
    earlier = [moment for moment in expected if moment < asked]
    assert fires_backwards(trigger, begin, asked) == earlier
    assert count(trigger, asked + timedelta(microseconds=1), end) == len(later)


def test_the_answer_does_not_depend_on_what_was_asked_before() -> None:
    # The caches of one trigger (a month, a span) against a fresh one for each question, from everywhere in random order.
    zone, begin, end = window("Berlin, autumn")
    fields = {"minute": "*/7", "hour": "1-4"}
    expected = oracle.fire_times(fields, zone, begin, end)
    shared = cron(fields, zone)
    for i in range(200):
        at = expected[(i * 37) % len(expected)]
        # Far away in between, so that both caches are lost.
        shared.get_next_fire_time(None, datetime(1990 + i, 6, 1, tzinfo=UTC))
        assert in_utc(shared.get_next_fire_time(None, at)) == at
        index = expected.index(at)
        if index + 1 < len(expected):
            assert in_utc(shared.get_next_fire_time(at, at)) == expected[index + 1]


def in_utc(moment: datetime | None) -> datetime:
    """To compare it: Python calls a moment of an overlap unequal to every datetime of another zone (PEP 495)."""
    assert moment is not None
    return moment.astimezone(UTC)
