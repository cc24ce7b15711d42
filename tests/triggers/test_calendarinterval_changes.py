"""`CalendarIntervalTrigger` on the days when clocks change, against brute force; what its questions and states say, over random triggers."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
from mainspring.triggers.instants import FIRST_INSTANT, LAST_INSTANT, from_micros, to_micros
from mainspring.triggers.policies import Gap, Overlap

from tests.triggers.oracle import moments
from tests.triggers.schedules import CHANGES, count, fires_backwards, fires_between, window

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 12, tzinfo=BERLIN)
MINUTE = timedelta(minutes=1)


def calendar(**arguments: Any) -> CalendarIntervalTrigger:
    return CalendarIntervalTrigger(**{"timezone": BERLIN, **arguments})


def dates(trigger: CalendarIntervalTrigger, after: str, n: int) -> list[str]:
    """The next *n* fire times from the wall time *after* on, as text."""
    start = datetime.fromisoformat(after).replace(tzinfo=trigger.timezone)
    return [f"{moment:%m-%d %H:%M%z}" for moment in trigger.preview(n, start)]


RULES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "a skipped time, after": (
        {"hour": 2, "minute": 30},
        "2026-03-28",
        ["03-28 02:30+0100", "03-29 03:00+0200", "03-30 02:30+0200"],
    ),
    "a skipped time, skip": (
        {"hour": 2, "minute": 30, "gap": "skip"},
        "2026-03-28",
        ["03-28 02:30+0100", "03-30 02:30+0200"],
    ),
    "a skipped time, shift": (
        {"hour": 2, "minute": 30, "gap": Gap.SHIFT},
        "2026-03-28",
        ["03-28 02:30+0100", "03-29 03:30+0200", "03-30 02:30+0200"],
    ),
    "twice, first": (
        {"hour": 2, "minute": 30},
        "2026-10-24",
        ["10-24 02:30+0200", "10-25 02:30+0200", "10-26 02:30+0100"],
    ),
    "twice, second": (
        {"hour": 2, "minute": 30, "overlap": "second"},
        "2026-10-24",
        ["10-24 02:30+0200", "10-25 02:30+0100", "10-26 02:30+0100"],
    ),
    "twice, both": (
        {"hour": 2, "minute": 30, "overlap": Overlap.BOTH},
        "2026-10-24",
        ["10-24 02:30+0200", "10-25 02:30+0200", "10-25 02:30+0100", "10-26 02:30+0100"],
    ),
    "midnight is skipped": (
        {"timezone": "Africa/Cairo"},
        "2024-04-25",
        ["04-25 00:00+0200", "04-26 01:00+0300", "04-27 00:00+0300"],
    ),
    "a day is skipped": (
        {"timezone": "Pacific/Apia", "hour": 12},
        "2011-12-29",
        ["12-29 12:00-1000", "12-31 00:00+1400", "12-31 12:00+1400"],
    ),
    "the end is a date, though its run comes after it": (
        {"timezone": "America/Nuuk", "hour": 23, "minute": 30, "gap": "shift", "end_date": "2024-03-30"},
        "2024-03-29",
        ["03-29 23:30-0200", "03-31 00:30-0100"],
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_clock_changes(name: str) -> None:
    arguments, after, expected = RULES[name]
    trigger = calendar(days=1, start_date="2000-01-01", **arguments)
    found = dates(trigger, after, len(expected) + ("end_date" in arguments))
    assert found == expected


def by_brute_force(
    matches: Any, zone: str, begin: datetime, end: datetime, gap: str, overlap: str
) -> list[datetime]:
    """The fire times of a schedule, whose *matches* says which wall times are its, from a look at every minute."""
    found = set()
    passes = {"first": (False,), "second": (True,), "both": (False, True)}[overlap]
    every = moments(zone, begin, end, MINUTE)
    twice = {moment.wall for moment in every if moment.second_pass}
    for moment in every:
        if matches(moment.wall) and (moment.wall not in twice or moment.second_pass in passes):
            found.add(moment.instant)
        for i, wall in enumerate(moment.skipped):
            if matches(wall) and gap != "skip":
                found.add(moment.instant + (i * MINUTE if gap == "shift" else timedelta(0)))
    return sorted(instant for instant in found if instant < end)


@settings(max_examples=300, deadline=None)
@given(
    change=st.sampled_from(sorted(CHANGES)),
    minute=st.integers(0, 1439),
    near=st.integers(-3, 3),
    step=st.integers(1, 3),
    gap=st.sampled_from(["after", "skip", "shift"]),
    overlap=st.sampled_from(["first", "second", "both"]),
)
def test_every_zone_against_brute_force(
    change: str, minute: int, near: int, step: int, gap: str, overlap: str
) -> None:
    zone, begin, end = window(change)
    # Mostly times of the night, at which clocks are changed.
    hour, minute = divmod(minute if minute % 2 else minute // 6, 60)
    start = begin.date() + timedelta(days=near)
    expected = by_brute_force(
        lambda wall: (
            (wall.hour, wall.minute) == (hour, minute)
            and wall.date() >= start
            and (wall.date() - start).days % step == 0
        ),
        zone,
        begin,
        end,
        gap,
        overlap,
    )
    at = {"days": step, "hour": hour, "minute": minute, "gap": gap, "overlap": overlap}
    try:
        trigger = calendar(**at, start_date=start, timezone=zone)
    except ValueError:
        raise AssertionError("refused, though it has dates to come") from None
    assert fires_between(trigger, begin, end) == expected
    assert fires_backwards(trigger, begin, end) == expected
    assert count(trigger, begin, end) == len(expected)


def test_what_never_fires_is_refused_when_it_is_made() -> None:
    skipped: dict[str, Any] = {
        "timezone": "Pacific/Apia",
        "start_date": "2011-12-30",
        "end_date": "2011-12-30",
    }
    with pytest.raises(ValueError, match="always skipped by the clock of Pacific/Apia"):
        calendar(days=1, gap="skip", **skipped)
    assert len(calendar(days=1, **skipped).preview(5, NOW.replace(year=2011))) == 1
    # Once only is not never.
    assert len(calendar(years=9_999, start_date=NOW, hour=23).preview(5, NOW)) == 1


def test_silence() -> None:
    fire = to_micros(datetime(2026, 11, 23, 5, tzinfo=BERLIN))
    trigger = calendar(days=1, hour=5, start_date="2020-01-01")
    assert [trigger.silent_from(fire + i) for i in (-1, 0, 1)] == [fire + 1_000_000] * 2 + [fire + 1_000_000]
    assert trigger.silent_from(fire - 1_000_000) == fire - 1_000_000


def test_both_ends_of_the_calendar() -> None:
    trigger = calendar(days=1, start_date=date.min, timezone="Pacific/Apia")
    assert trigger.next_after(-(10**18)) is not None
    assert trigger.previous_before(FIRST_INSTANT) is None
    last = trigger.previous_before(10**18)
    assert last is not None
    assert last <= LAST_INSTANT
    assert trigger.next_after(last) is None
    assert trigger.count_between(-(10**18), 10**18) > 3_652_000


DAYS = st.dates(date(1970, 1, 3), date(2300, 1, 1))


@st.composite
def triggers(draw: st.DrawFn) -> CalendarIntervalTrigger:
    arguments: dict[str, Any] = {name: draw(st.integers(0, 14)) for name in ("months", "weeks", "days")}
    arguments["years"] = draw(st.integers(0, 3)) + (not any(arguments.values()))
    arguments.update(hour=draw(st.integers(0, 23)), minute=draw(st.integers(0, 59)))
    arguments["start_date"] = start = draw(st.one_of(st.none(), DAYS))
    end = draw(st.one_of(st.none(), DAYS))
    if end is not None:
        arguments["end_date"] = end if start is None else max(end, start)
    arguments["timezone"] = draw(st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "+05:45"]))
    arguments["gap"] = draw(st.sampled_from([None, "after", "shift"]))
    arguments["overlap"] = draw(st.sampled_from([None, "first", "second", "both"]))
    arguments["jitter"] = draw(st.one_of(st.none(), st.integers(0, 100)))
    trigger = CalendarIntervalTrigger(**arguments)
    return (
        trigger.bind(from_micros(draw(st.integers(0, 10**16)), UTC), "j") if draw(st.booleans()) else trigger
    )


@settings(max_examples=300, deadline=None)
@given(trigger=triggers(), asked=st.integers(2 * 86_400_000_000, 10**16))
def test_states_and_the_three_questions_agree(trigger: CalendarIntervalTrigger, asked: int) -> None:
    state = trigger.get_state()
    for other in (
        CalendarIntervalTrigger.from_state(json.loads(json.dumps(state))),
        pickle.loads(pickle.dumps(trigger)),
        trigger.modified(),
    ):
        assert (other, hash(other), other.get_state()) == (trigger, hash(trigger), state)
        assert (str(other), repr(other)) == (str(trigger), repr(trigger))
    trigger = trigger.bind(from_micros(asked, UTC), "job")
    fires: list[int] = []
    fire = trigger.next_after(asked)
    while fire is not None and len(fires) < 8:
        fires.append(fire)
        fire = trigger.next_after(fire)
    for i, fire in enumerate(fires):
        assert fire > ([asked, *fires])[i]
        assert trigger.next_after(fire - 1) == fire
        assert trigger.previous_before(fire + 1) == fire
        assert trigger.count_between(asked, fire) == i + 1
        moment = from_micros(fire, trigger.timezone)
        assert trigger.get_next_fire_time(None, moment) == moment
    if len(fires) < 8:
        assert trigger.count_between(asked, LAST_INSTANT) == len(fires)
    before = trigger.previous_before(asked + 1)
    assert before is None or before <= asked
    if before is not None and fires:
        assert trigger.next_after(before) == fires[0]
