"""Warnings about exclusions: those that leave out nothing, or less than they seem to."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import (
    BaseTrigger,
    CalendarIntervalTrigger,
    CronTrigger,
    DateTrigger,
    IntervalTrigger,
)
from mainspring.triggers.combining import AndTrigger, OrTrigger
from mainspring.triggers.excluding import ExcludingTrigger
from mainspring.triggers.hazards import hazards
from mainspring.triggers.instants import FIRST_INSTANT, LAST_INSTANT, to_micros

from tests.triggers.oracle import utc

BERLIN = "Europe/Berlin"
_MONTH = (utc(2026, 6, 1), utc(2026, 7, 1))
_DAYS = "for whole days give hour='*', minute='*', second='*', or dates"
_WEEKEND = CronTrigger(day_of_week="sat,sun", timezone="UTC")
_SHOWN = "cron[day_of_week='sat,sun']"


def told(trigger: BaseTrigger, begin: datetime = _MONTH[0], end: datetime = _MONTH[1]) -> list[str]:
    return hazards(trigger, to_micros(begin), to_micros(end))


def every(**length: Any) -> IntervalTrigger:
    return IntervalTrigger(**length, start_date="2026-06-01 00:00:00", timezone="UTC")


def cron(**fields: Any) -> CronTrigger:
    return CronTrigger(**fields, timezone="UTC")


@pytest.mark.parametrize(
    ("base", "excluded", "lines"),
    [
        # At midnight, and at other times of the days that it names:
        (cron(minute=0), _WEEKEND, [f"{_SHOWN}: leaves out 00:00:00 of its days only; {_DAYS}"]),
        (every(hours=2), _WEEKEND, [f"{_SHOWN}: leaves out 00:00:00 of its days only; {_DAYS}"]),
        (cron(hour=9), _WEEKEND, [f"{_SHOWN}: leaves out nothing in this period: it is 00:00:00 of its days only; {_DAYS}"]),
        (cron(hour=9, day_of_week="mon-sat"), _WEEKEND, [f"{_SHOWN}: leaves out nothing in this period: it is 00:00:00 of its days only; {_DAYS}"]),
        # The whole days, and nothing but midnight to be left out:
        (cron(minute=0), cron(day_of_week="sat,sun", hour="*", minute="*", second="*"), []),
        (cron(hour=0), _WEEKEND, []),
        # Never on these days anyway:
        (cron(hour=9, day_of_week="mon-fri"), _WEEKEND, [f"{_SHOWN}: leaves out nothing in this period"]),
        (
            cron(minute="*/20"), cron(hour="9-17"),
            ["cron[hour='9-17']: leaves out the first second of its hours only; for whole hours give minute='*', second='*'"],
        ),
        (
            every(seconds=20), cron(hour="9-17", minute="*"),
            ["cron[hour='9-17', minute='*']: leaves out the first second of its minutes only; for whole minutes give second='*'"],
        ),
        (cron(minute=0), cron(hour="9-17"), []),
        (cron(minute="*/20"), cron(hour=9, minute=0), []),
        (cron(minute="*/20"), cron(hour=9, minute=0, second=0), []),
        (cron(minute="*/20"), cron(hour=9, minute=0, second=1), ["cron[hour='9', minute='0', second='1']: leaves out nothing in this period"]),
        # Intervals, with and without a moment that both have:
        (every(minutes=1), every(minutes=5), []),
        (every(minutes=1), IntervalTrigger(minutes=1, start_date="2026-06-01 00:00:30", timezone="UTC"), ["interval[0:01:00]: leaves out nothing in this period"]),
        (every(days=1), IntervalTrigger(minutes=1, start_date="2026-06-01 00:00:30", timezone="UTC"), ["interval[0:01:00]: leaves out nothing in this period"]),
        # Off the whole second, an interval is met by cron, whose seconds are whole, and not by another one.
        (IntervalTrigger(days=1, start_date="2026-06-01 09:00:00.5", timezone="UTC"), cron(hour=9), []),
        (cron(hour=9), IntervalTrigger(days=1, start_date="2026-06-01 09:00:00.5", timezone="UTC"), ["interval[1 day, 0:00:00]: leaves out nothing in this period"]),
        # Not bound yet: as if it were added at the beginning of the period.
        (IntervalTrigger(hours=2, timezone="UTC"), _WEEKEND, [f"{_SHOWN}: leaves out 00:00:00 of its days only; {_DAYS}"]),
        # What an "or" leaves out, each of its parts does.
        (cron(hour=0), OrTrigger([_WEEKEND, cron(hour=9, second=30)]), ["cron[hour='9', second='30']: leaves out nothing in this period"]),
        (cron(minute=0), AndTrigger([_WEEKEND, cron(day=1, hour=0)]), []),
        (cron(minute=30), AndTrigger([cron(day="1-7", hour=0), _WEEKEND]), ["and[cron[day='1-7', hour='0'], cron[day_of_week='sat,sun']]: leaves out nothing in this period"]),
        (cron(hour=9), CalendarIntervalTrigger(days=1, hour=10, start_date="2026-01-01", timezone="UTC"), ["calendarinterval[1 day at 10:00:00]: leaves out nothing in this period"]),
        (cron(hour=9), DateTrigger("2026-06-03 09:00:00", "UTC"), []),
        # Not in this period at all, the one or the other:
        (cron(hour=9), DateTrigger("2027-06-03 09:30:00", "UTC"), []),
        (cron(hour=9, year=2027), _WEEKEND, []),
    ],
)  # fmt: skip
def test_exclusions_by_triggers(base: BaseTrigger, excluded: BaseTrigger, lines: list[str]) -> None:
    assert told(ExcludingTrigger(base, triggers=[excluded])) == lines


def test_seconds_beside_minutes_are_looked_at_as_far_as_the_steps_go() -> None:
    half = IntervalTrigger(minutes=1, start_date="2026-06-01 00:00:30", timezone="UTC")
    (line,) = told(ExcludingTrigger(cron(minute="*"), triggers=[half]))
    # Which day depends on how many questions the parts put to theirs.
    assert re.fullmatch(
        r"interval\[0:01:00\]: leaves out nothing before 2026-06-0\d; later times were not looked at", line
    )
    short = told(ExcludingTrigger(cron(minute="*"), triggers=[half]), end=utc(2026, 6, 2))
    assert short == ["interval[0:01:00]: leaves out nothing in this period"]


@pytest.mark.parametrize(
    ("base", "dates", "lines"),
    [
        (cron(hour=9), ["2026-06-04", date(2026, 6, 6)], []),
        (cron(hour=9), [datetime.fromisoformat("2026-06-04")], ["2026-06-04 00:00:00 is a moment, not a day: for a whole day give a date"]),
        (cron(hour="0,9"), [datetime.fromisoformat("2026-06-04")], ["2026-06-04 00:00:00 is a moment, not a day: for a whole day give a date"]),
        (
            cron(hour=9), [datetime.fromisoformat("2026-06-04"), "2026-06-05 00:00:00"],
            ["2026-06-04 00:00:00 and 2026-06-05 00:00:00 are moments, not days: for whole days give dates"],
        ),
        (CronTrigger(hour=9, timezone=BERLIN), [datetime.fromisoformat("2026-06-04")], ["2026-06-04 00:00:00 is a moment, not a day: for a whole day give a date"]),
        (cron(hour=0), [datetime.fromisoformat("2026-06-04")], []),
        (cron(hour=9, day_of_week="mon-fri"), [datetime.fromisoformat("2026-06-06")], []),
        (cron(hour=9), ["2026-06-04 09:00:00"], []),
        (cron(hour=9), ["2026-06-04 09:30:00"], ["2026-06-04 09:30:00 leaves out nothing: it does not fire then"]),
        (cron(hour=9), [datetime.fromisoformat("2026-07-04")], []),
    ],
)  # fmt: skip
def test_moments(base: BaseTrigger, dates: list[Any], lines: list[str]) -> None:
    assert told(ExcludingTrigger(base, dates)) == lines


class Own(BaseTrigger):
    """A trigger whose answers are not to be had."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        raise AssertionError("nobody asked for it")

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Own:
        raise AssertionError("nobody asked for it")


def test_nobodys_code_is_called() -> None:
    assert told(ExcludingTrigger(Own(), triggers=[_WEEKEND])) == []
    assert told(ExcludingTrigger(cron(hour=9), triggers=[Own(), _WEEKEND])) == []


def test_of_exclusions_in_exclusions_it_is_said_once() -> None:
    inner = ExcludingTrigger(cron(day=31, hour=9), ["2026-06-04"])
    assert told(ExcludingTrigger(inner, ["2026-06-05"]), utc(2026, 5, 1)) == [
        "there is no day 31 in June; the last day of every month is 'last' (apart from what is excluded)"
    ]


def test_what_leaves_nothing_when_it_is_bound_has_no_lines() -> None:
    nothing = ExcludingTrigger(IntervalTrigger(hours=2, timezone="UTC"), triggers=[every(hours=1)])
    assert told(nothing) == []


def test_a_search_in_a_part_ends_without_a_line() -> None:
    never = AndTrigger([cron(minute="*", second=1), cron(minute="*", second=2)])
    assert told(ExcludingTrigger(cron(hour=9), triggers=[never])) == []
    assert told(ExcludingTrigger(never, triggers=[_WEEKEND])) == []


def test_any_period_and_any_number_of_exclusions() -> None:
    many = [cron(hour=9, minute=minute, second=30) for minute in range(60)] * 20
    trigger = ExcludingTrigger(
        cron(minute="*"), [utc(2026, 1, 1) + timedelta(hours=n) for n in range(5_000)], many
    )
    assert len(hazards(trigger, FIRST_INSTANT - 10**18, LAST_INSTANT + 10**18)) <= 20
    assert len(told(trigger)) == 20


def test_hashed_fields_are_told_until_they_are_settled() -> None:
    line = "the times of H are settled by the job's id: add the job, and look at job.trigger"
    trigger = cron(hour="H", minute="H")
    assert told(trigger) == [line]
    assert told(trigger.bind(_MONTH[0], "job")) == []
    assert told(ExcludingTrigger(trigger, ["2026-06-04"])) == [line]


@given(
    st.integers(1, 12), st.integers(0, 24), st.sampled_from(["0", "*/4", "9", "5-7", "*/7"]), st.sampled_from(["*", "1-3", "2"])
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_what_is_told_is_so(hours: int, first: int, hour: str, day: str) -> None:
    """Against the fire times themselves: "nothing" is told if and only if the exclusion has times in the period and none of them is one of the trigger's."""
    begin, end = _MONTH[0], _MONTH[0] + timedelta(days=7)
    base = IntervalTrigger(hours=hours, start_date=begin + timedelta(hours=first))
    excluded = cron(day=day, hour=hour)
    fires, left_out = set(base.iterate(begin, end)), set(excluded.iterate(begin, end))
    try:
        trigger = ExcludingTrigger(base, triggers=[excluded])
    except ValueError:
        return
    lines = told(trigger, begin, end)
    assert any("leaves out nothing" in line for line in lines) == (bool(left_out) and not fires & left_out)
