"""The days of cron schedules that depend on the month, and schedules on the wall clock alone, against the brute-force oracle."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import CronExpressionError, CronTrigger
from mainspring.triggers.cron.fields import FIELD_NAMES, parse_field
from mainspring.triggers.cron.schedule import WallSchedule

from tests.triggers import oracle
from tests.triggers.schedules import (
    CHANGES,
    DAY_RULES,
    WEEKDAY_RULES,
    count,
    cron,
    fires_backwards,
    fires_between,
    window,
)

DAY = timedelta(days=1)
EPOCH = oracle.utc(1970, 1, 1)  # wall times are written as UTC here


@pytest.mark.parametrize(
    ("day", "year", "month", "expected"),
    [
        # 2026-08-15 is a Saturday, 2026-11-15 a Sunday; August 2026 begins on a Saturday, May 2026 ends on a Sunday, February on a Saturday.
        ("15W", 2026, 7, 15),
        ("15W", 2026, 8, 14),
        ("15W", 2026, 11, 16),
        ("1W", 2026, 8, 3),
        ("1W", 2026, 11, 2),
        ("31W", 2026, 5, 29),
        ("31W", 2026, 6, None),
        ("30W", 2026, 2, None),
        ("28W", 2026, 2, 27),
        ("LW", 2026, 5, 29),
        ("LW", 2026, 2, 27),
        ("LW", 2026, 6, 30),
        ("L", 2028, 2, 29),
        ("L-1", 2026, 2, 27),
        ("L-3", 2026, 6, 27),
        ("L-28", 2026, 2, None),
        ("L-30", 2026, 6, None),
        ("L-30", 2026, 7, 1),
        ("L-1W", 2026, 6, 29),
        ("L-2W", 2026, 3, 30),
        ("5th sat", 2026, 8, 29),
        ("5th mon", 2026, 7, None),
        ("last sat", 2026, 8, 29),
    ],
)
def test_days_of_a_month(day: str, year: int, month: int, expected: int | None) -> None:
    trigger = CronTrigger(day=day, timezone=UTC)
    first = datetime(year, month, 1, tzinfo=UTC)
    found = trigger.get_next_fire_time(None, first)
    assert found is not None
    if expected is None:
        assert (found.year, found.month) != (year, month)
    else:
        assert found == first + (expected - 1) * DAY


@pytest.mark.parametrize(
    ("weekday", "expected"),
    [
        ("fri#2", [12]),
        ("4#2", [12]),
        ("mon#5", [29]),
        ("mon#1,fri#2", [1, 12]),
        ("friL", [26]),
        ("1L", [30]),
        ("tueL,mon", [1, 8, 15, 22, 29, 30]),
    ],
)
def test_weekdays_of_june_2026(weekday: str, expected: list[int]) -> None:
    trigger = CronTrigger(day_of_week=weekday, timezone=UTC)
    fires = fires_between(trigger, oracle.utc(2026, 6, 1), oracle.utc(2026, 7, 1))
    assert [moment.day for moment in fires] == expected


RULED = [
    {"day": "L-3", "hour": "2", "minute": "30"},
    {"day": "15W,LW", "hour": "0"},
    {"day": "1W,31W,L-1W", "hour": "*", "minute": "45"},
    {"day": "L-30,L", "hour": "3"},
    {"day_of_week": "sunL", "hour": "2", "minute": "0-59/20"},
    {"day_of_week": "sun#1,sun#2,6#5,wed", "hour": "1-3"},
    {"day": "LW", "day_of_week": "fri", "hour": "23", "minute": "59"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_month_and_a_half_around_every_clock_change(change: str) -> None:
    zone, begin, end = window(change, 23)
    for fields in RULED:
        trigger = cron(fields, zone)
        expected = oracle.fire_times(fields, zone, begin, end)
        assert fires_between(trigger, begin, end) == expected
        assert fires_backwards(trigger, begin, end) == expected
        assert count(trigger, begin, end) == len(expected)


def days_of(fields: dict[str, str], first: date, last: date, either: bool) -> list[date]:
    """Those of the trigger's wall clock, by `next`; it has one time a day."""
    wall = schedule(fields, either)
    found = []
    at = wall.next(seconds(oracle.utc(first.year, first.month, first.day)))
    while at is not None and (day := (EPOCH + timedelta(seconds=at)).date()) <= last:
        found.append(day)
        at = wall.next(at + 1)
    return found


def schedule(fields: dict[str, str], either: bool = False) -> WallSchedule:
    texts = oracle.complete(fields)
    return WallSchedule([parse_field(name, texts[name].lower(), False) for name in FIELD_NAMES], either)


def seconds(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds())


DATES = st.fixed_dictionaries(
    {"hour": st.just("12")},
    optional={
        "day": st.one_of(DAY_RULES, st.lists(DAY_RULES, min_size=2, max_size=3).map(",".join), st.just("13")),
        "day_of_week": st.one_of(WEEKDAY_RULES, st.sampled_from(["mon-fri", "fri", "sat-mon"])),
        "month": st.sampled_from(["2", "1-6", "*/5", "12"]),
        "week": st.sampled_from(["1", "53", "52-1", "9", "1-26/5", "2-52"]),
        "year": st.sampled_from(["2024", "2020-2030", "*/2", "2026/3", "1999,2004"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(fields=DATES, either=st.booleans(), year=st.integers(1970, 2099))
def test_the_dates_of_a_year(fields: dict[str, str], either: bool, year: int) -> None:
    texts = oracle.complete(fields)
    days = [date(year, 1, 1) + i * DAY for i in range(366)]
    expected = [day for day in days if oracle.day_matches(texts, day, either)]
    if schedule(fields, either).has_dates():
        assert days_of(fields, days[0], days[-1], either) == expected
    else:
        assert expected == []


@settings(max_examples=60, deadline=None)
@given(fields=DATES, either=st.booleans())
def test_whether_there_is_any_date(fields: dict[str, str], either: bool) -> None:
    texts = oracle.complete(fields)
    # Long enough for every kind of year among those that the fields want.
    years = [year for year in range(1998, 2110) if year in oracle.allowed("year", texts["year"])]
    every_day = (date(year, 1, 1) + i * DAY for year in years for i in range(366))
    expected = any(oracle.day_matches(texts, day, either) for day in every_day)
    assert schedule(fields, either).has_dates() == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"year": "1970-9999", "month": 2, "day": "30,31"},
        {"year": "1970-9999,1970-9999", "month": 2, "week": 20},
        {"year": "1970/2,1971/2", "week": 53, "day": "4-26"},
        {"year": "*/2", "month": "feb-nov", "week": 53},
        {"year": "1971-9999/4", "month": 2, "day": 29},
        {"day": "L-29", "month": 2},
        {"day": "31W", "month": "4,6"},
        {"day": "1W", "day_of_week": "sat,sun"},
        {"day": "LW", "day_of_week": "sat"},
        {"day": "15W", "day_of_week": "mon#4"},
        {"day": "25", "day_of_week": "fri#2"},
        {"day_of_week": "mon#5", "month": 2, "year": "2025-2031"},
        {"day": "H", "day_of_week": "mon#5", "month": 2},
        {"day": 31, "month": "H(4-4),6"},
    ],
)
def test_what_can_never_match_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CronExpressionError, match="would never fire"):
        CronTrigger(**fields, timezone=UTC)


TIMES = st.fixed_dictionaries(
    {
        "hour": st.sampled_from(["*", "2", "3-5", "0,23", "22-1", "*/2"]),
        "minute": st.sampled_from(["*", "0", "59", "0,59", "10-12", "*/7"]),
        "second": st.sampled_from(["*", "0", "0-30", "30-29", "58-3", "59", "*/2"]),
    },
    optional={"day": st.sampled_from(["1", "28-2", "L", "LW"])},
)


@settings(max_examples=300, deadline=None)
@given(fields=TIMES, day=st.integers(0, 800), second=st.integers(0, 86_399))
def test_the_next_gap(fields: dict[str, str], day: int, second: int) -> None:
    wall = schedule(fields)
    at = day * 86_400 + second
    gap = wall.next_gap(at)
    assert gap >= at
    assert wall.count(at, gap) == gap - at, "a second on the way is no match"
    matches = wall.next(at) == at
    assert (gap > at) == matches
    # Asked again and again, it comes to a second that is no match, in one step for each hour of those that match.
    for _ in range(1_000):
        further = wall.next_gap(gap)
        if further == gap:
            break
        gap = further
    expected = at
    while oracle_matches(fields, expected) and expected < at + 4_000:
        expected += 1
    assert gap == expected or (expected == at + 4_000 <= gap)


def oracle_matches(fields: dict[str, str], second: int) -> bool:
    texts = oracle.complete(fields)
    moment = EPOCH + timedelta(seconds=second)
    times = {"hour": moment.hour, "minute": moment.minute, "second": moment.second}
    if any(value not in oracle.allowed(name, texts[name]) for name, value in times.items()):
        return False
    return oracle.day_matches(texts, moment.date())


def test_every_second_is_passed_over_by_years() -> None:
    wall = schedule({"second": "*"})
    gap = wall.next_gap(seconds(oracle.utc(2026, 2, 3, 4, 5, 6)))
    assert EPOCH + timedelta(seconds=gap) == oracle.utc(2027, 1, 1)


def test_outside_of_the_calendar() -> None:
    wall = schedule({"second": "*"})
    first, last = seconds(oracle.utc(1, 1, 1)), seconds(oracle.utc(9999, 12, 31, 23, 59, 59))
    two_days = 2 * 86_400
    assert wall.next(first - two_days) == first
    assert wall.previous(first - two_days) is None
    assert wall.next(last + two_days) is None
    assert wall.previous(last + two_days) == last
    assert wall.count(first - two_days, first + 10) == 10
    assert wall.count(last - 9, last + two_days) == 10
    assert wall.next_gap(first - two_days) == first - two_days
    assert wall.next_gap(last) == last + 1
    assert wall.next_gap(last + 1) == last + 1
