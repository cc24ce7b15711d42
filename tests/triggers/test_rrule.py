"""`RRuleTrigger`: start, zone and end, clock changes, binding, changing, states, what it shows, and what it refuses."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import InstantTrigger, NoFireTimeFoundError
from mainspring.triggers.instants import LAST_INSTANT, to_micros
from mainspring.triggers.rrule import RRuleTrigger

from tests.triggers.rules import at, rules, runs
from tests.triggers.schedules import CHANGES, count, fires_backwards, fires_between, window

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 5, 0, 0, 123_456, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def shown(trigger: InstantTrigger, start: datetime, n: int = 3) -> list[str]:
    return [moment.isoformat(" ", "minutes") for moment in trigger.preview(n, start)]


@pytest.mark.parametrize("overlap", ["first", "second", "both"])
@pytest.mark.parametrize("gap", ["after", "skip", "shift"])
@pytest.mark.parametrize("change", CHANGES)
def test_on_days_when_clocks_change(change: str, gap: str, overlap: str) -> None:
    zone, begin, end = window(change)
    start = (begin - 3 * DAY).replace(tzinfo=None)
    for rule in ("FREQ=MINUTELY;INTERVAL=20", "FREQ=DAILY;BYHOUR=0,2,3,22;BYMINUTE=0,30;BYSECOND=0"):
        trigger = RRuleTrigger(rule, start_date=start, timezone=zone, gap=gap, overlap=overlap)
        walls = rrulestr(rule + ";WKST=MO", dtstart=start).between(start, start + 10 * DAY, inc=True)
        expected = {run for wall in walls for run in runs(wall, zone, gap, overlap)}
        inside = sorted(run for run in expected if begin <= run < end)
        assert fires_between(trigger, begin, end) == inside
        assert fires_backwards(trigger, begin, end) == inside
        assert count(trigger, begin, end) == len(inside)


def test_the_zone_of_dtstart_is_the_rules() -> None:
    rule = "DTSTART;TZID=America/New_York:20260301T090000\nRRULE:FREQ=DAILY"
    trigger = RRuleTrigger(rule, timezone="Europe/Berlin")
    assert trigger.timezone == ZoneInfo("America/New_York")
    assert shown(trigger, NOW) == [f"2026-11-{day} 09:00-05:00" for day in (22, 23, 24)]
    utc = RRuleTrigger("DTSTART:20260301T090000Z\nRRULE:FREQ=DAILY", timezone="Europe/Berlin")
    assert utc.timezone is UTC
    local = RRuleTrigger("DTSTART:20260301T090000\nRRULE:FREQ=DAILY", timezone="Europe/Berlin")
    assert shown(local, NOW, 1) == ["2026-11-22 09:00+01:00"]


def test_the_start_as_an_argument() -> None:
    text = RRuleTrigger("DTSTART:20260329T023000\nRRULE:FREQ=WEEKLY", timezone=BERLIN)
    # A time that the clock skips stays what the rule is counted from: half past two on Sundays.
    for start in ("2026-03-29 02:30:00", at(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)):
        trigger = RRuleTrigger("FREQ=WEEKLY", start_date=start, timezone=BERLIN)
        assert shown(trigger, NOW - 365 * DAY) == shown(text, NOW - 365 * DAY)
        assert str(trigger.start_date) == "2026-03-29 03:30:00+02:00"
        assert RRuleTrigger(text.rule, start_date=start, timezone=BERLIN) == text
    assert shown(text, NOW - 365 * DAY, 2) == ["2026-03-29 03:00+02:00", "2026-04-05 02:30+02:00"]
    other = RRuleTrigger("FREQ=DAILY", start_date=datetime(2026, 3, 1, 23, tzinfo=UTC), timezone=BERLIN)
    assert shown(other, NOW, 1) == ["2026-11-23 00:00+01:00"]
    assert RRuleTrigger("FREQ=DAILY", start_date=NOW).timezone is UTC
    with pytest.raises(ValueError, match=r"start_date: got .* DTSTART, 2026-03-29 02:30:00"):
        text.modified(start_date="2026-03-29 02:30:01")
    with pytest.raises(ValueError, match="start_date: 'soon'"):
        RRuleTrigger("FREQ=DAILY", start_date="soon")


def test_dates_and_exceptions_in_other_zones() -> None:
    trigger = RRuleTrigger(
        "DTSTART;TZID=Europe/Berlin:20261123T090000\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE:20261124T080000Z\n"
        "EXDATE;TZID=Asia/Tokyo:20261125T170000\nRDATE;TZID=America/New_York:20261125T060000\nRDATE:20270101T000000"
    )
    assert shown(trigger, NOW, 9) == [
        "2026-11-23 09:00+01:00",
        "2026-11-25 12:00+01:00",
        "2026-11-26 09:00+01:00",
        "2027-01-01 00:00+01:00",
    ]
    only_dates = RRuleTrigger("RDATE:20270101T000000,20260101T000000", timezone=UTC)
    assert only_dates.bind(NOW, "job") is only_dates
    assert only_dates.start_date is None
    assert shown(only_dates, NOW - 365 * DAY) == ["2026-01-01 00:00+00:00", "2027-01-01 00:00+00:00"]


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20261025T023000", "2026-10-25 02:30+02:00"),  # wall time: the first half past two
        ("20261025T002959Z", "2026-10-25 02:15+02:00"),
        ("20261025T003000Z", "2026-10-25 02:30+02:00"),
        ("20261025T013000Z", "2026-10-25 02:45+02:00"),  # the second one; all of the first pass has been
        ("20261025T020000Z", "2026-10-25 03:00+01:00"),
        ("20261026", "2026-10-26 00:00+01:00"),
    ],
)
def test_until_is_inclusive(until: str, last: str) -> None:
    trigger = RRuleTrigger(
        f"FREQ=MINUTELY;INTERVAL=15;UNTIL={until}", start_date="2026-10-24 00:00:00", timezone=BERLIN
    )
    found = shown(trigger, NOW - 365 * DAY, 1_000)
    assert found[-1] == last
    assert trigger.end_date is None
    # With another rule or a date beside it, UNTIL is resolved to wall time.
    beside = RRuleTrigger(
        f"{trigger.rule}\nRDATE:20270101T000000".replace("FREQ", "RRULE:FREQ", 1), trigger.start_date
    )
    assert shown(beside, NOW - 365 * DAY, 1_000) == [*found, "2027-01-01 00:00+01:00"]


def test_until_in_utc_holds_for_the_second_pass_too() -> None:
    rule = "FREQ=MINUTELY;INTERVAL=15;UNTIL=20261025T011500Z"
    trigger = RRuleTrigger(rule, start_date="2026-10-25 02:00:00", timezone=BERLIN, overlap="both")
    assert shown(trigger, NOW - 365 * DAY, 9)[-3:] == [
        "2026-10-25 02:45+02:00",
        "2026-10-25 02:00+01:00",
        "2026-10-25 02:15+01:00",
    ]


def test_the_end_is_inclusive() -> None:
    trigger = RRuleTrigger(
        "FREQ=MINUTELY", start_date="2026-11-22 05:00:00", end_date="2026-11-22 05:02:00", timezone=UTC
    )
    assert count(trigger, NOW - DAY, NOW + DAY) == 3
    assert trigger.next_after(to_micros(NOW + 2 * 60 * SECOND)) is None
    assert trigger.previous_before(to_micros(NOW + DAY)) == to_micros(
        datetime(2026, 11, 22, 5, 2, tzinfo=UTC)
    )


def test_bound_to_the_moment_it_is_added() -> None:
    trigger = RRuleTrigger("FREQ=DAILY;COUNT=2", timezone=BERLIN)
    assert trigger.start_date is None
    bound = trigger.bind(NOW, "job")
    assert str(bound.start_date) == "2026-11-22 06:00:01+01:00"
    assert bound.bind(NOW + DAY, "job") is bound
    assert bound.preview(9, NOW) == [NOW.replace(second=1, microsecond=0) + i * DAY for i in range(2)]
    assert (trigger.get_state()["start"], bound.get_state()["start"]) == (None, "2026-11-22T06:00:01")
    assert (trigger.get_state()["settled"], bound.get_state()["settled"]) == (False, True)
    assert bound == trigger
    assert hash(bound) == hash(trigger)
    anchored = trigger.bind(NOW, "job", datetime(2026, 12, 1, tzinfo=BERLIN))
    assert shown(anchored, NOW) == ["2026-12-01 00:00+01:00", "2026-12-02 00:00+01:00"]


def test_asked_unbound_it_binds_itself() -> None:
    trigger = RRuleTrigger("FREQ=MINUTELY", timezone=UTC)
    whole = NOW.replace(microsecond=0)
    assert trigger.get_next_fire_time(None, NOW) == whole + SECOND
    assert trigger.get_next_fire_time(whole, NOW) == whole + 60 * SECOND
    assert trigger.next_after(to_micros(whole)) == to_micros(whole + 60 * SECOND)
    assert trigger.previous_before(to_micros(whole)) is None
    assert trigger.count_between(to_micros(whole), to_micros(whole + 600 * SECOND)) == 10
    assert trigger.silent_from(to_micros(whole)) == to_micros(whole + SECOND)


def test_modified() -> None:
    trigger = RRuleTrigger(
        "FREQ=DAILY", start_date="2026-01-01 09:00:00", timezone=BERLIN, gap="skip", end_date=NOW, jitter=3
    )
    changed = trigger.modified(rule="FREQ=HOURLY")
    assert (changed.rule, changed.start_date, changed.end_date) == (
        "FREQ=HOURLY",
        trigger.start_date,
        trigger.end_date,
    )
    assert (changed.gap, changed.overlap, changed.jitter) == ("skip", "first", 3)
    assert trigger.modified(rule=trigger.rule) == trigger.modified() == trigger
    assert trigger.modified(end_date=None, jitter=None, gap=None) == RRuleTrigger(
        "FREQ=DAILY", start_date="2026-01-01 09:00:00", timezone=BERLIN
    )
    # The wall time of the start is kept in another zone; a DTSTART takes its place.
    assert shown(trigger.modified(timezone="Asia/Tokyo"), NOW - 9 * DAY, 1) == ["2026-11-14 09:00+09:00"]
    restarted = trigger.modified(rule="DTSTART:20260301T100000\nRRULE:FREQ=DAILY")
    assert str(restarted.start_date) == "2026-03-01 10:00:00+01:00"
    assert restarted.modified(rule="FREQ=HOURLY").start_date == restarted.start_date
    with pytest.raises(TypeError, match="'ruel'; did you mean 'rule'"):
        trigger.modified(ruel="FREQ=DAILY")


def test_modified_keeps_a_settled_start_as_settled() -> None:
    bound = RRuleTrigger("FREQ=DAILY", timezone=UTC).bind(NOW, "job")
    changed = bound.modified(rule="FREQ=HOURLY")
    assert changed.start_date == bound.start_date
    assert changed == RRuleTrigger("FREQ=HOURLY", timezone=UTC)
    assert changed.modified(start_date=None).start_date is None


@pytest.mark.parametrize(
    "trigger",
    [
        RRuleTrigger("FREQ=DAILY", timezone=UTC),
        RRuleTrigger("FREQ=DAILY", timezone=BERLIN).bind(NOW, "job"),
        RRuleTrigger(
            "FREQ=DAILY", start_date="2026-03-29 02:30:00", timezone=BERLIN, end_date=NOW, jitter=1.5
        ),
        RRuleTrigger(
            "DTSTART;TZID=Asia/Tokyo:20260101T000000\nRRULE:FREQ=DAILY", gap="shift", overlap="both"
        ),
        RRuleTrigger("RDATE:20270101T000000", timezone=BERLIN),
    ],
    ids=str,
)
def test_states(trigger: RRuleTrigger) -> None:
    state = json.loads(json.dumps(trigger.get_state()))
    for copied in (RRuleTrigger.from_state(state), pickle.loads(pickle.dumps(trigger))):
        assert copied == trigger
        assert repr(copied) == repr(trigger)
        assert copied.get_state() == trigger.get_state()
        assert copied.start_date == trigger.start_date
        assert copied.preview(5, NOW) == trigger.preview(5, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"rule": 5},
        {"rule": "FREQ=SOMETIMES"},
        {"start": 5},
        {"start": "soon"},
        {"end": "2026"},
        {"timezone": "Mars"},
        {"jitter": -1},
        {"gap": "whatever"},
    ],
)
def test_states_that_are_not_understood(change: dict[str, Any]) -> None:
    state = RRuleTrigger("FREQ=DAILY", timezone=UTC).get_state()
    with pytest.raises(ValueError, match=r"."):
        RRuleTrigger.from_state({**state, **change})
    with pytest.raises(ValueError, match="not the state of RRuleTrigger"):
        RRuleTrigger.from_state({"version": 1})


def test_shown() -> None:
    trigger = RRuleTrigger("RRULE:freq=daily;count=3", start_date=NOW, timezone=BERLIN)
    assert str(trigger) == "rrule[FREQ=DAILY;COUNT=3]"
    assert repr(trigger) == (
        "<RRuleTrigger (rule='FREQ=DAILY;COUNT=3', start_date='2026-11-22 06:00:00 CET', timezone='Europe/Berlin')>"
    )
    rule = "DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY"
    other = RRuleTrigger(rule, end_date=NOW, jitter=5, gap="skip", overlap="second")
    assert str(other) == "rrule[DTSTART;TZID=Europe/Berlin:20260101T090000 RRULE:FREQ=DAILY]"
    assert repr(other) == (
        "<RRuleTrigger (rule='DTSTART;TZID=Europe/Berlin:20260101T090000\\nRRULE:FREQ=DAILY', "
        "end_date='2026-11-22 06:00:00 CET', timezone='Europe/Berlin', jitter=5, gap='skip', overlap='second')>"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "no date ever matches 'FREQ=YEARLY;BYMONTH=2"),
        (
            {"rule": "FREQ=HOURLY;INTERVAL=2;BYHOUR=8", "start_date": "2026-01-01 09:00:00"},
            "counted from its start",
        ),
        ({"rule": "FREQ=DAILY;UNTIL=20251231", "start_date": "2026-01-01"}, "counted from its start"),
        ({"rule": "FREQ=DAILY", "start_date": "2026-01-01", "end_date": "2025-12-31"}, "no time ever comes"),
        (
            {"rule": "FREQ=DAILY;BYMONTH=3;BYDAY=-1SU;BYHOUR=2", "start_date": "2026-01-01"},
            "a number before a weekday",
        ),
        (
            {"rule": "FREQ=MONTHLY;BYMONTH=3;BYDAY=-1SU;BYHOUR=2", "start_date": "2026-01-01", "gap": "skip"},
            "skipped by the clock of Europe/Berlin",
        ),
        ({"rule": "FREQ=DAILY", "gap": "never"}, "gap: expected one of"),
        ({"rule": "FREQ=DAILY", "overlap": "never"}, "overlap: expected one of"),
        ({"rule": "FREQ=DAILY", "jitter": -1}, "jitter"),
        ({"rule": "FREQ=DAILY", "end_date": "soon"}, "end_date: 'soon'"),
    ],
)
def test_refused_with_the_reason(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        RRuleTrigger(**{"timezone": "Europe/Berlin", **arguments})
    assert message in str(caught.value)


def test_refused_types() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="rule: expected a text"):
        RRuleTrigger(wrong)
    with pytest.raises(TypeError, match="start_date: expected"):
        RRuleTrigger("FREQ=DAILY", start_date=wrong)


def test_exclusions_that_leave_nothing() -> None:
    start = "DTSTART:20260101T000000Z\nRRULE:FREQ=MINUTELY\n"
    with pytest.raises(ValueError, match=r"no time ever matches .* EXRULE") as caught:
        RRuleTrigger(start + "EXRULE:FREQ=SECONDLY")
    assert not isinstance(caught.value, NoFireTimeFoundError)
    # With a date beside them, there is one fire time, and then none.
    date = RRuleTrigger(start + "EXRULE:FREQ=MINUTELY\nRDATE:20260105T120030")
    (only,) = date.preview(9, NOW - 365 * DAY)
    assert date.get_next_fire_time(only, only) is None
    with pytest.raises(NoFireTimeFoundError, match="EXRULE"):
        RRuleTrigger(
            start
            + "EXRULE:FREQ=HOURLY;BYMINUTE=0\nEXRULE:FREQ=MINUTELY;BYMINUTE="
            + ",".join(map(str, range(1, 60)))
        )


def test_a_rule_without_a_start_may_lie_beyond_all_starts() -> None:
    # From no start before it, it is not refused when it is bound: there just is no fire time.
    bound = RRuleTrigger("FREQ=DAILY;UNTIL=20200101", timezone=UTC).bind(NOW, "job")
    assert bound.next_after(0) is None
    assert bound.count_between(0, LAST_INSTANT) == 0


@settings(max_examples=150, deadline=None)
@given(case=rules(), zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]), data=st.data())
def test_next_previous_and_count_agree(case: tuple[str, datetime], zone: str, data: st.DataObject) -> None:
    rule, start = case
    # In a year with clock changes of its own, which the far end of the calendar would make slow to find.
    start = start.replace(year=2020 + start.year % 10, day=min(start.day, 28))
    try:
        trigger = RRuleTrigger(
            rule,
            start_date=start,
            timezone=zone,
            gap=data.draw(st.sampled_from(["after", "skip", "shift"])),
            overlap=data.draw(st.sampled_from(["first", "second", "both"])),
        )
    except ValueError:
        return
    asked = to_micros(start.replace(tzinfo=UTC)) + data.draw(st.integers(-(10**12), 10**14))
    found: list[int] = []
    fire = trigger.next_after(asked)
    while fire is not None and len(found) < 8:
        found.append(fire)
        fire = trigger.next_after(fire)
    assert found == sorted(set(found))
    for i, fire in enumerate(found):
        assert fire > asked
        assert trigger.next_after(fire - 1) == fire
        assert trigger.previous_before(fire + 1) == fire
        assert trigger.count_between(asked, fire) == i + 1
        assert trigger.count_between(fire, fire) == 0
    state = json.loads(json.dumps(trigger.get_state()))
    assert RRuleTrigger.from_state(state) == trigger
