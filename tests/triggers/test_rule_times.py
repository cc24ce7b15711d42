"""The wall times of recurrence rules: against dateutil's walk from DTSTART, against the ISO calendar, in few steps, and in bounded ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise, takewhile
from types import FrameType

import pytest
from dateutil.easter import easter
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import NoFireTimeFoundError
from mainspring.triggers.rrule.day_times import DayTimes
from mainspring.triggers.rrule.days import LAST_DAY
from mainspring.triggers.rrule.rule import Rule
from mainspring.triggers.rrule.sets import RuleSet
from mainspring.triggers.rrule.text import read_rule

from tests.triggers.rules import LIMIT, at, expand, rules, wall

START = at(2026, 1, 1, 9, 30)
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def rule(text: str, start: datetime = START, until: datetime | None = None) -> Rule:
    return Rule(read_rule(text).rules[0], wall(start), None if until is None else wall(until))


def forward(times: DayTimes, first: int, n: int) -> list[int]:
    found: list[int] = []
    match = times.next(first)
    while match is not None and len(found) < n:
        found.append(match)
        match = times.next(match + 1)
    return found


def steps(call: Callable[[], object]) -> int:
    """How many Python functions a call has to call."""
    n = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal n
        n += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    return n


@settings(max_examples=300, deadline=None)
@given(case=rules(), data=st.data())
def test_as_dateutil_has_it(case: tuple[str, datetime], data: st.DataObject) -> None:
    text, start = case
    expected = [wall(moment) for moment in expand(text, start)]
    times = rule(text, start)
    found = [match for match in forward(times, 0, len(expected) + 1) if match < wall(LIMIT)]
    assert found[: len(expected)] == expected
    if len(expected) < 150:
        assert found == expected
    if not expected:
        return
    i = data.draw(st.integers(0, len(expected) - 1))
    j = data.draw(st.integers(i, len(expected) - 1))
    cold = rule(text, start)
    assert cold.next(expected[j]) == expected[j]
    assert cold.previous(expected[j] - 1) == (expected[j - 1] if j else None)
    assert cold.next(expected[i - 1] + 1 if i else 0) == expected[i]
    assert cold.previous(expected[i]) == expected[i]
    assert cold.count(expected[i], expected[j]) == cold.count(expected[i] + 1, expected[j] + 1) == j - i
    assert times.count(0, expected[j] + 1) == j + 1
    gap = cold.next_gap(expected[i])
    assert gap > expected[i]
    assert set(range(expected[i], min(gap, expected[-1]))) <= set(expected)
    before = expected[i] - 1
    assert (cold.next_gap(before) == before) == (i == 0 or expected[i - 1] != before)


@pytest.mark.parametrize("years", [(1999, 2030), (1, 40), (9_970, 9_998)], ids=str)
def test_weeks_are_those_of_the_iso_calendar(years: tuple[int, int]) -> None:
    first, last = date(years[0], 1, 4), date(years[1], 12, 28)
    days = [first + timedelta(days=i) for i in range((last - first).days)]
    for week in (1, 2, 51, 52, 53, -1, -2, -52, -53):
        times = rule(f"FREQ=DAILY;BYWEEKNO={week}", at(first.year, 1, 4))
        expected = []
        for day in days:
            year, number, _ = day.isocalendar()
            weeks = date(year, 12, 28).isocalendar().week
            if number == (week if week > 0 else weeks + 1 + week):
                expected.append(wall(at(day.year, day.month, day.day)))
        assert forward(times, -(10**12), len(expected)) == expected


def test_weeks_that_begin_on_a_sunday() -> None:
    # The first week has at least four days of its year: 2027-01-03 is the first Sunday of a year that begins on a Friday.
    assert forward(rule("FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=SU"), wall(at(2026, 12, 1)), 1) == [
        wall(at(2027, 1, 3, 9, 30))
    ]
    assert forward(rule("FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=MO"), wall(at(2026, 12, 1)), 1) == [
        wall(at(2027, 1, 10, 9, 30))
    ]


@pytest.mark.parametrize("offset", [0, -2, 50, -100, 300, 366])
def test_days_from_easter_reach_into_other_years(offset: int) -> None:
    found = forward(rule(f"FREQ=YEARLY;BYEASTER={offset}", at(2000, 1, 1)), 0, 40)
    expected = sorted(easter(year) + timedelta(days=offset) for year in range(1998, 2050))
    walls = [wall(at(day.year, day.month, day.day)) for day in expected if day.year >= 2000]
    assert found == walls[:40]


def test_weekdays_with_and_without_a_number_are_one_list() -> None:
    found = forward(rule("FREQ=MONTHLY;BYDAY=MO,-1WE;COUNT=6"), 0, 9)
    assert [match // DAY - wall(START) // DAY + 1 for match in found] == [5, 12, 19, 26, 28, 31 + 2]


def test_positions_in_the_first_week_count_from_the_beginning_of_that_week() -> None:
    # 2026-01-01 is a Thursday: the week's Monday and Tuesday are the first and the second of its days, though before the start.
    assert forward(rule("FREQ=WEEKLY;BYDAY=MO,TU,FR;BYSETPOS=1,3"), 0, 3) == [
        wall(at(2026, 1, day, 9, 30)) for day in (2, 5, 9)
    ]


@pytest.mark.parametrize(
    "text", ["FREQ=MINUTELY", "FREQ=MINUTELY;BYHOUR=0,3,9;BYDAY=MO,WE", "FREQ=SECONDLY;INTERVAL=61"]
)
def test_five_months_are_not_walked_through(text: str) -> None:
    times = rule(text)
    asked = wall(START + timedelta(days=150))
    # There are 216,000 minutes.
    assert steps(lambda: times.next(asked)) < 250
    assert steps(lambda: times.previous(asked + 5 * DAY)) < 250
    expected = next(moment for moment in rrulestr(text, dtstart=START) if wall(moment) >= asked)
    assert times.next(asked) == wall(expected)


def test_one_time_after_the_other_takes_few_steps() -> None:
    times = rule("FREQ=MINUTELY;BYHOUR=9,10")
    assert steps(lambda: forward(times, 0, 10_000)) < 50_000


def test_a_count_of_a_thousand_million_is_not_listed() -> None:
    times = rule("FREQ=SECONDLY;COUNT=1000000000")
    assert times.end == wall(START) + 999_999_999
    assert times.next(times.end) == times.end
    assert times.next(times.end + 1) is None
    assert times.count(0, 10**12) == 1_000_000_000


def test_a_count_that_is_never_reached_ends_with_the_calendar() -> None:
    times = rule("FREQ=YEARLY;COUNT=100000", at(9_000, 2, 1))
    assert times.count(0, 10**12) == 1_000
    assert times.previous(10**12) == wall(at(9_999, 2, 1))


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=DAILY;BYYEARDAY=366;BYMONTH=1",
        "FREQ=YEARLY;INTERVAL=4;BYYEARDAY=366",  # from 2026 on, never a leap year
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=8",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=8",
        "FREQ=MINUTELY;INTERVAL=60;BYMINUTE=31",
        "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=10",
        "FREQ=SECONDLY;INTERVAL=120;BYHOUR=9;BYMINUTE=31",
        "FREQ=SECONDLY;INTERVAL=604800;BYDAY=MO",
        "FREQ=MINUTELY;BYSECOND=1;BYSETPOS=2",
        "FREQ=YEARLY;BYEASTER=0;BYMONTH=6",
        "FREQ=DAILY;UNTIL=20251231T235959",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=5",
    ],
)
def test_what_never_comes_is_found_out(text: str) -> None:
    until = read_rule(text).rules[0].until
    times = Rule(read_rule(text).rules[0], wall(START), None if until is None else until.wall)
    assert times.next(0) is None
    assert times.previous(10**12) is None
    assert times.count(0, 10**12) == 0


def test_the_far_ends_of_the_calendar() -> None:
    times = rule("FREQ=DAILY", at(1, 1, 1))
    assert times.next(-(10**12)) == wall(at(1, 1, 1))
    assert times.previous(10**12) == wall(at(9_999, 12, 31))
    assert times.next(wall(at(9_999, 12, 31)) + 1) is None
    assert times.previous(wall(at(1, 1, 1)) - 1) is None
    assert times.count(-(10**12), 10**12) == date.max.toordinal()
    seconds = rule("FREQ=SECONDLY", at(9_999, 12, 31))
    assert seconds.next_gap(10**12) == 10**12
    assert seconds.next_gap(wall(at(9_999, 12, 31, 23))) == wall(at(9_999, 12, 31)) + DAY


def test_what_repeats_once_in_centuries_is_found() -> None:
    # Not in 2100: five Sundays in a February of 2032, 2060, 2088, and then in 2128.
    found = forward(rule("FREQ=MONTHLY;BYMONTH=2;BYDAY=5SU", at(2090, 1, 1)), 0, 1)
    assert found == [wall(at(2128, 2, 29))]
    found = forward(rule("FREQ=DAILY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=29"), 0, 2)
    day = [match // DAY for match in found]
    assert [(number - wall(START) // DAY) % 1_000 for number in day] == [0, 0]


@settings(max_examples=60, deadline=None)
@given(
    cases=st.lists(rules(), min_size=1, max_size=3),
    dates=st.lists(st.integers(0, 300), max_size=6),
    split=st.data(),
)
def test_sets_are_unions_and_differences(
    cases: list[tuple[str, datetime]], dates: list[int], split: st.DataObject
) -> None:
    start = max(start for _, start in cases)
    out = split.draw(st.integers(0, len(cases) - 1))
    texts = [text for text, _ in cases]
    listed = [[wall(moment) for moment in expand(text, start, 300)] for text in texts]
    # As far as all lists go.
    end = min([found[-1] for found in listed if len(found) == 300], default=wall(LIMIT))
    some_dates = [wall(start) + number * 7_200 for number in dates]
    rdates, exdates = some_dates[::2], some_dates[1::2] + listed[0][1::3]
    inside = {w for found in listed[out:] for w in found}.union(rdates)
    expected = sorted(inside.difference(exdates, *listed[:out]))
    times = RuleSet(
        [rule(text, start) for text in texts[out:]],
        [rule(text, start) for text in texts[:out]],
        rdates,
        exdates,
    )
    expected = [match for match in expected if match < end]
    try:
        found = list(takewhile(lambda match: match < end, forward(times, 0, len(expected) + 1)))
    except NoFireTimeFoundError:
        # All that is left lies in the first days.
        found = forward(times, 0, len(expected))
    assert found == expected
    if expected:
        i = split.draw(st.integers(0, len(expected) - 1))
        assert times.previous(expected[i]) == expected[i]
        if i:
            assert times.previous(expected[i] - 1) == expected[i - 1]
        assert times.count(expected[i], expected[-1]) == len(expected) - 1 - i
        assert times.count(0, expected[i]) == i


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("FREQ=MINUTELY", "FREQ=SECONDLY"),
        ("FREQ=DAILY", "FREQ=DAILY"),
        ("FREQ=HOURLY;INTERVAL=7", "FREQ=HOURLY"),
        ("FREQ=HOURLY;INTERVAL=14;BYMONTH=3", "FREQ=HOURLY;INTERVAL=7;BYMONTH=1,3"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU;BYSETPOS=1", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU;BYSETPOS=1"),
        ("FREQ=MONTHLY;BYDAY=2MO,-1FR", "FREQ=WEEKLY;BYDAY=MO,FR,SU"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "FREQ=DAILY;BYWEEKNO=20,21"),
    ],
)
def test_exclusions_of_all_leave_nothing(text: str, excluded: str) -> None:
    counted = rule(f"{text};COUNT=5")
    for times in (
        RuleSet([rule(text)], [rule(excluded)], [], []),
        RuleSet([rule(text), rule(text)], [rule(excluded)], [], []),
        RuleSet([counted], [rule(excluded)], [], []),
    ):
        assert times.next(0) is None
        assert times.previous(10**12) is None
        assert times.count(0, 10**12) == 0


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("FREQ=DAILY;INTERVAL=2", "FREQ=DAILY;INTERVAL=3"),
        ("FREQ=DAILY;INTERVAL=2", "FREQ=HOURLY;INTERVAL=32"),
        ("FREQ=MONTHLY;BYDAY=2MO", "FREQ=YEARLY;BYDAY=2MO"),
        ("FREQ=MONTHLY;BYDAY=MO", "FREQ=MONTHLY;BYDAY=2MO"),
        ("FREQ=WEEKLY;BYDAY=MO,TU", "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=MO", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=SU"),
        ("FREQ=HOURLY", "FREQ=HOURLY;BYHOUR=1,2,3"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=MO", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=SU"),
    ],
)
def test_exclusions_of_some_leave_the_rest(text: str, excluded: str) -> None:
    times = RuleSet([rule(text)], [rule(excluded)], [], [])
    given, without = forward(rule(text), 0, 500), set(forward(rule(excluded), 0, 60_000))
    left = [match for match in given if match <= max(without) and match not in without]
    assert left
    assert forward(times, 0, len(left)) == left


@pytest.mark.parametrize(
    "excluded", ["FREQ=DAILY;COUNT=200000", "FREQ=HOURLY;UNTIL=25730804T093000", "FREQ=DAILY;COUNT=5"]
)
def test_the_end_of_an_exclusion_of_all_is_leapt_to(excluded: str) -> None:
    times = RuleSet([rule("FREQ=DAILY")], [rule(excluded)], [], [])
    until = read_rule(excluded).rules[0].until
    exrule = rule(excluded) if until is None else Rule(read_rule(excluded).rules[0], wall(START), until.wall)
    times = RuleSet([rule("FREQ=DAILY")], [exrule], [], [])
    left = exrule.end // DAY * DAY + DAY + wall(START) % DAY
    assert steps(lambda: times.next(0)) < 2_000
    assert forward(times, 0, 2) == [left, left + DAY]
    assert times.previous(left) == left
    assert times.previous(left - 1) is None
    assert times.count(0, left + 10 * DAY) == 10


def test_exclusions_that_leave_nothing_together_do_not_hang() -> None:
    halves = [rule("FREQ=DAILY;BYMONTH=1,2,3,4,5,6"), rule("FREQ=DAILY;BYMONTH=7,8,9,10,11,12")]
    times = RuleSet([rule("FREQ=DAILY")], halves, [], [])
    with pytest.raises(NoFireTimeFoundError, match="EXRULE"):
        times.next(0)
    ended = RuleSet([rule("FREQ=DAILY", until=START + timedelta(days=9))], halves, [], [])
    assert ended.next(0) is None


def test_what_excluded_for_centuries_comes_again() -> None:
    halves = [rule(f"FREQ=YEARLY;BYMONTH={month};COUNT=450") for month in (1, 2)]
    times = RuleSet([rule("FREQ=YEARLY;BYMONTH=1,2")], halves, [], [])
    first = wall(at(2026 + 450, 1, 1, 9, 30))
    assert times.next(0) == first
    assert times.previous(first) == first
    assert times.previous(first - 1) is None
    assert times.count(0, 10**12) == (9_999 - 2_475) * 2


COUNTED = [
    # What repeats with the calendar, or with several of its cycles; and what does not in so few years.
    "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1",
    "FREQ=WEEKLY;INTERVAL=5;BYDAY=SU,TU,WE;BYSETPOS=2,-1;WKST=TU",
    "FREQ=MONTHLY;INTERVAL=7;BYDAY=MO,FR;BYSETPOS=1,-1;BYHOUR=9,10",
    "FREQ=YEARLY;INTERVAL=3;BYWEEKNO=1,53;BYSETPOS=1,2,-3",
    "FREQ=YEARLY;BYEASTER=-2,1;BYSETPOS=2",
    "FREQ=DAILY;INTERVAL=17;BYMONTH=1,2,3",
    "FREQ=HOURLY;INTERVAL=5;BYHOUR=9,10,11;BYDAY=MO,TU",
    "FREQ=MINUTELY;INTERVAL=1441;BYHOUR=9,10",
    "FREQ=MINUTELY;INTERVAL=11;BYMINUTE=5,6,7;BYSECOND=1,2,3;BYSETPOS=1,3",
    "FREQ=SECONDLY;INTERVAL=86401;BYHOUR=9;BYMINUTE=30,31;BYDAY=MO",
    "FREQ=SECONDLY;INTERVAL=86399;BYMONTH=3",
    "FREQ=SECONDLY;INTERVAL=7;BYHOUR=3;BYMINUTE=5;BYSECOND=1,2,3,4,5",
]


@pytest.mark.parametrize("text", COUNTED)
def test_what_is_counted_is_what_is_listed(text: str) -> None:
    times, other = rule(text), rule("FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE;BYHOUR=9")
    both = RuleSet([times, other], [rule("FREQ=MONTHLY;BYDAY=1MO,3TU,-1WE")], [wall(at(2040, 5, 5))], [])
    for schedule in (times, both):
        # Late years are counted by early ones, if these are like them.
        for year in (2026, 2_190, 2_433, 9_998):
            begin, end = wall(at(year, 4, 3, 9, 31)), wall(at(year + 1, 9, 30, 2, 3))
            listed, match = 0, schedule.next(begin)
            while match is not None and match < end:
                listed, match = listed + 1, schedule.next(match + 1)
            assert schedule.count(begin, end) == listed
    begin, end = wall(at(2026, 1, 1)), wall(at(2_900, 1, 1))
    middles = [wall(at(year, 3, 1, 12)) for year in (2_100, 2_430, 2_431, 2_800)]
    pieces = sum(both.count(*piece) for piece in pairwise([begin, *middles, end]))
    assert both.count(begin, end) == pieces


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1;COUNT=10000000", 250_000),
        ("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,-1;COUNT=10000000", 250_000),
        ("FREQ=MINUTELY;INTERVAL=1441;COUNT=100000000", 250_000),
        ("FREQ=SECONDLY;INTERVAL=86401;BYHOUR=9;BYMINUTE=0;BYSECOND=1;BYDAY=MO", 250_000),
        ("FREQ=SECONDLY;INTERVAL=7;BYMINUTE=0,1;COUNT=10000000000", 250_000),
    ],
)
def test_the_whole_calendar_is_counted_by_its_years(text: str, calls: int) -> None:
    # There are 8,000 of them, and 2.9 million days.
    assert steps(lambda: rule(text).next(0)) < calls
    assert steps(lambda: rule(text).count(0, 10**12)) < 2 * calls


def test_sets_are_counted_beyond_what_is_searched() -> None:
    # Searches end after 400 years.
    times = RuleSet([rule("FREQ=DAILY"), rule("FREQ=HOURLY;BYDAY=MO")], [], [], [])
    days = LAST_DAY + 1 - wall(START) // DAY
    # The first Monday is the fifth day; it has one more time at half past nine than the other days have hours.
    mondays = len(range(4, days, 7))
    assert times.count(0, 10**12) == days + mondays * 23


def test_years_of_excluded_minutes_are_passed_over() -> None:
    months = ",".join(str(month) for month in (1, *range(3, 13)))
    times = RuleSet(
        [rule("FREQ=MINUTELY")],
        [
            rule(f"FREQ=MINUTELY;BYMONTH={months}"),
            rule("FREQ=MINUTELY;BYMONTHDAY=" + ",".join(map(str, range(1, 29)))),
        ],
        [],
        [],
    )
    assert times.next(0) == wall(at(2028, 2, 29))
    assert times.count(0, wall(at(2033, 1, 1))) == 2 * 1_440
