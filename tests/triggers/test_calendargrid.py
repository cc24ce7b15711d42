"""The dates of calendar intervals, against a walk with nothing but `datetime`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers.calendargrid import CalendarGrid

DAY = 86_400
CALENDAR_END = 253_402_300_800  # 10000-01-01, in wall seconds
CALENDAR_BEGIN = -62_135_596_800  # 0001-01-01


def wall(day: date, second: int = 0) -> int:
    """Wall seconds, by datetime."""
    return int((datetime(day.year, day.month, day.day, tzinfo=UTC)).timestamp()) + second


def walk(months: int, days: int, anchor: date, until: date) -> list[date]:
    """The dates, one after the other, as a person would count them on a calendar."""
    found = []
    year, month, moved = anchor.year, anchor.month, 0
    while year <= until.year:
        try:
            day = date(year, month, anchor.day)
        except ValueError:
            pass  # there is no such date
        else:
            if (until - day).days < moved:
                break
            found.append(day + timedelta(days=moved))
        month += months
        while month > 12:
            year, month = year + 1, month - 12
        moved += days
    return found


def check(grid: CalendarGrid, matches: list[int], asked: int) -> None:
    """All four questions about one second; *matches* has all of them for a long while around it."""
    later = [match for match in matches if match >= asked]
    earlier = [match for match in matches if match <= asked]
    assert grid.next(asked) == (later[0] if later else None)
    assert grid.previous(asked) == (earlier[-1] if earlier else None)
    assert grid.next_gap(asked) == asked + (asked in matches)


STEPS = [(0, 1), (0, 10), (1, 1), (1, 30), (12, 7), (14, 25), (36, 0)]
STEPS += [(months, 0) for months in (1, 2, 3, 5, 6, 7, 11, 12, 13)]


@pytest.mark.parametrize(("months", "days"), STEPS)
def test_every_anchor_of_four_years_against_the_walk(months: int, days: int) -> None:
    begin, until = date(2095, 1, 1), date(2112, 12, 31)  # with 2100, which is no leap year
    for offset in range(0, 366 * 4, 1 if months else 97):
        anchor = begin + timedelta(days=offset)
        if anchor.day not in (1, 15, 28, 29, 30, 31):
            continue
        matches = [wall(day, 18_000) for day in walk(months, days, anchor, until)]
        grid = CalendarGrid(months, days, 18_000, anchor, until)
        found, at = [], grid.next(wall(begin) - DAY)
        while at is not None:
            found.append(at)
            at = grid.next(at + 1)
        assert found == matches
        found, at = [], grid.previous(CALENDAR_END)
        while at is not None:
            found.append(at)
            at = grid.previous(at - 1)
        assert found[::-1] == matches
        for first in (0, len(matches) // 3, len(matches) - 1):
            for last in (first, len(matches) // 2, len(matches) - 1):
                for edge in (0, 1):
                    expected = max(0, last - first - edge)
                    assert grid.count(matches[first] + edge, matches[last]) == expected
        assert grid.count(CALENDAR_BEGIN, CALENDAR_END) == len(matches)


@pytest.mark.parametrize("step", [(1, 0), (12, 0), (0, 3), (1, 5)])
def test_every_day_and_both_sides_of_its_time(step: tuple[int, int]) -> None:
    anchor = date(2023, 10, 31) if step[0] != 12 else date(2024, 2, 29)
    matches = [wall(day, 60) for day in walk(*step, anchor, date(2036, 1, 1))]
    grid = CalendarGrid(*step, 60, anchor)
    for offset in range(-40, 366 * 5):
        for second in (0, 59, 60, 61, DAY - 1):
            check(grid, matches, wall(anchor) + offset * DAY + second)


@settings(max_examples=400, deadline=None)
@given(
    months=st.one_of(st.integers(0, 60), st.integers(0, 12_000)),
    days=st.one_of(st.just(0), st.integers(0, 1_000)),
    anchor=st.one_of(st.dates(), st.integers(1, 9999).map(lambda year: date(year, 1, 31))),
    second=st.integers(0, DAY - 1),
    years=st.integers(0, 130),
    asked=st.integers(-500 * DAY, 150 * 366 * DAY),
    span=st.integers(0, 150 * 366 * DAY),
)
def test_anything_against_the_walk(
    months: int, days: int, anchor: date, second: int, years: int, asked: int, span: int
) -> None:
    if not months:
        days = max(days, 1)
    end = date(min(anchor.year + years, 9999), 12, 31)
    matches = [wall(day, second) for day in walk(months, days, anchor, end)]
    grid = CalendarGrid(months, days, second, anchor, end)
    asked += wall(anchor)
    check(grid, matches, asked)
    check(grid, matches, matches[asked % len(matches)])
    assert grid.count(asked, asked + span) == sum(asked <= match < asked + span for match in matches)
    assert grid.count(asked, asked - span) == 0


@pytest.mark.parametrize("years", [1, 2, 3, 5, 7, 25, 50, 75, 99, 100, 125, 399, 400])
def test_leap_days_until_the_end_of_the_calendar(years: int) -> None:
    anchor = date(1600, 2, 29)
    matches = [wall(day) for day in walk(12 * years, 0, anchor, date.max)]
    grid = CalendarGrid(12 * years, 0, 0, anchor)
    at, found = grid.next(CALENDAR_BEGIN), []
    while at is not None:
        found.append(at)
        assert grid.previous(at) == at
        at = grid.next(at + 1)
    assert found == matches
    assert grid.count(CALENDAR_BEGIN, CALENDAR_END) == len(matches)
    for i in range(0, len(matches), 7):
        assert grid.count(matches[i], CALENDAR_END) == len(matches) - i


def test_far_outside_of_the_calendar() -> None:
    for months, days in [(0, 1), (1, 0), (1, 1), (5, 40), (12 * 10**30, 0), (0, 10**30), (10**9, 10**9)]:
        for anchor in (date.min, date(2024, 2, 29), date.max):
            grid = CalendarGrid(months, days, DAY - 1, anchor)
            first = wall(anchor, DAY - 1)
            for far in (5 * DAY, 10**15):
                assert grid.next(CALENDAR_BEGIN - far) == first
                assert grid.previous(CALENDAR_BEGIN - far) is None
                assert grid.next(CALENDAR_END + far) is None
                assert grid.previous(CALENDAR_END + far) == grid.previous(CALENDAR_END)
                every = grid.count(CALENDAR_BEGIN, CALENDAR_END)
                assert every >= 1
                assert grid.count(CALENDAR_BEGIN - far, CALENDAR_END + far) == every
            last = grid.previous(CALENDAR_END)
            assert last is not None
            assert grid.next(last + 1) is None
            assert last < CALENDAR_END


def test_the_end_is_inclusive_and_may_come_before_the_anchor() -> None:
    anchor = date(2026, 1, 31)
    for end, n in [(date(2026, 3, 31), 2), (date(2026, 3, 30), 1), (anchor, 1), (date(2026, 1, 30), 0)]:
        grid = CalendarGrid(1, 0, DAY - 1, anchor, end)
        assert grid.count(CALENDAR_BEGIN, CALENDAR_END) == n
        assert (grid.next(CALENDAR_BEGIN) is None) == (n == 0)
        assert (grid.previous(CALENDAR_END) is None) == (n == 0)


def test_without_an_anchor_there_is_nothing() -> None:
    grid = CalendarGrid(1, 0, 0, None)
    assert grid.next(0) is None
    assert grid.previous(CALENDAR_END) is None
    assert grid.count(CALENDAR_BEGIN, CALENDAR_END) == 0
    assert grid.next_gap(5) == 5


def test_a_question_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    real = CalendarGrid._wall

    def counting(self: CalendarGrid, step: int) -> int:
        nonlocal asked
        asked += 1
        return real(self, step)

    monkeypatch.setattr(CalendarGrid, "_wall", counting)
    for months, days in [(1, 0), (1, 1), (12, 0), (300, 0), (7, 1_000), (4_800, 0), (11, 29)]:
        for anchor in (date(1, 1, 31), date(1600, 2, 29), date(1999, 12, 30)):
            grid = CalendarGrid(months, days, 0, anchor)
            for at in range(CALENDAR_BEGIN, CALENDAR_END, 9_000 * DAY):
                asked = 0
                grid.next(at)
                grid.previous(at)
                grid.count(at, CALENDAR_END)
                assert asked <= 20
