"""`RRuleTrigger` where its text means instants: dates and ends in UTC or of other zones, and starts in the second pass of an overlap."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import ExcludingTrigger, IntervalTrigger, RRuleTrigger
from mainspring.triggers.instants import LAST_INSTANT, to_micros

from tests.triggers.rules import at, runs
from tests.triggers.schedules import CHANGES, count, fires_backwards, fires_between, window

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEFORE = datetime(2027, 1, 1, tzinfo=UTC)

# On 31 October 2027 Berlin's clock shows 02:00 to 03:00 twice, from 00:00 and from 01:00 UTC on; on 28 March it skips that hour.
OCTOBER = "DTSTART;TZID=Europe/Berlin:20271031T000000\n"
MARCH = "DTSTART;TZID=Europe/Berlin:20270327T023000\n"
FIRST, SECOND = "2027-10-31 02:30+02:00", "2027-10-31 02:30+01:00"


def shown(trigger: RRuleTrigger, n: int = 9, start: datetime = BEFORE) -> list[str]:
    return [moment.isoformat(" ", "minutes") for moment in trigger.preview(n, start)]


@pytest.mark.parametrize("overlap", ["first", "second", "both"])
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("RDATE:20271031T003000Z", [FIRST]),
        ("RDATE:20271031T013000Z", [SECOND]),
        ("RDATE:20271031T003000Z,20271031T013000Z,20271031T003000Z", [FIRST, SECOND]),
        ("RDATE;TZID=Asia/Tokyo:20271031T103000", [SECOND]),
        ("RDATE:20271031T003000Z,20271031T013000Z\nEXDATE:20271031T003000Z", [SECOND]),
        ("RDATE:20271031T003000Z,20271031T013000Z\nEXDATE;TZID=Asia/Tokyo:20271031T103000", [FIRST]),
    ],
)
def test_a_date_of_another_zone_means_one_pass(lines: str, expected: list[str], overlap: str) -> None:
    trigger = RRuleTrigger(OCTOBER + lines, overlap=overlap)
    assert shown(trigger) == expected
    assert trigger.count_between(0, LAST_INSTANT) == len(expected)
    assert trigger.previous_before(LAST_INSTANT) == to_micros(datetime.fromisoformat(expected[-1]))


def test_an_exception_in_utc_takes_away_one_pass() -> None:
    for exdate, left in (("20271031T013000Z", FIRST), ("20271031T003000Z", SECOND)):
        rule = f"DTSTART;TZID=Europe/Berlin:20271030T023000\nRRULE:FREQ=DAILY\nEXDATE:{exdate}"
        trigger = RRuleTrigger(rule, overlap="both")
        assert shown(trigger, 3) == ["2027-10-30 02:30+02:00", left, "2027-11-01 02:30+01:00"]
    # What does not run then anyway is not taken away, nor counted as if it were.
    first_only = RRuleTrigger(rule.replace("T003000Z", "T013000Z"))
    assert shown(first_only, 2) == ["2027-10-30 02:30+02:00", FIRST]
    assert count(first_only, BEFORE, datetime(2027, 11, 1, tzinfo=UTC)) == 2


def test_an_exception_in_utc_takes_away_the_run_that_makes_up() -> None:
    trigger = RRuleTrigger(MARCH + "RRULE:FREQ=DAILY\nEXDATE:20270328T010000Z")
    assert shown(trigger, 2) == ["2027-03-27 02:30+01:00", "2027-03-29 02:30+02:00"]
    shifted = RRuleTrigger(MARCH + "RRULE:FREQ=DAILY\nEXDATE:20270328T013000Z", gap="shift")
    assert shown(shifted, 2) == ["2027-03-27 02:30+01:00", "2027-03-29 02:30+02:00"]
    # A date at the same instant as a run that makes up is one with it.
    same = RRuleTrigger(MARCH + "RRULE:FREQ=DAILY;COUNT=2\nRDATE:20270328T010000Z")
    assert shown(same) == ["2027-03-27 02:30+01:00", "2027-03-28 03:00+02:00"]
    assert same.count_between(0, LAST_INSTANT) == 2


def test_excluded_wall_times_take_away_dates_in_utc_too() -> None:
    dates = "RDATE:20271031T003000Z,20271031T013000Z\n"
    for overlap, left in (("first", [SECOND]), ("second", [FIRST]), ("both", [])):
        for excluded in ("EXDATE:20271031T023000", "EXRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=30"):
            text = OCTOBER + "RDATE:20270501T000000\n" + dates + excluded
            assert shown(RRuleTrigger(text, overlap=overlap)) == ["2027-05-01 00:00+02:00", *left]


def test_dates_in_utc_beside_exclusions_that_leave_nothing() -> None:
    # Together the exclusions take away all that the rule gives, which no search finds out.
    text = (
        "DTSTART;TZID=Europe/Berlin:20270101T090000\nRRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY;BYMONTH=1,2,3,4,5,6\n"
        "EXRULE:FREQ=DAILY;BYMONTH=7,8,9,10,11,12\nRDATE:20271031T003000Z,20271031T013000Z"
    )
    trigger = RRuleTrigger(text)
    assert shown(trigger, 2) == [FIRST, SECOND]
    assert trigger.count_between(0, to_micros(datetime(2040, 1, 1, tzinfo=UTC))) == 2
    assert trigger.previous_before(to_micros(datetime(2040, 1, 1, tzinfo=UTC))) == to_micros(
        datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    )


def test_all_of_it_may_be_taken_away() -> None:
    with pytest.raises(ValueError, match=r"no time ever comes of .* excluded"):
        RRuleTrigger(OCTOBER + "RDATE:20271031T003000Z\nEXDATE:20271031T003000Z")


def test_the_given_end_holds_for_dates_in_utc() -> None:
    text = OCTOBER + "RDATE:20271031T003000Z,20271031T013000Z"
    trigger = RRuleTrigger(text, end_date=datetime(2027, 10, 31, 1, 0, tzinfo=UTC))
    assert shown(trigger) == [FIRST]
    assert count(trigger, BEFORE, BEFORE + 366 * DAY) == 1
    assert trigger.previous_before(LAST_INSTANT) == to_micros(datetime(2027, 10, 31, 0, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("overlap", "until", "last"),
    [
        ("both", "20271031T003000Z", FIRST),
        ("both", "20271031T013000Z", SECOND),
        ("second", "20271031T003000Z", "2027-10-31 01:30+02:00"),
        ("second", "20271031T013000Z", SECOND),
        ("first", "20271031T003000Z", FIRST),
        ("first", "20271031T013000Z", FIRST),
    ],
)
def test_until_in_utc_is_an_instant_in_every_rule(overlap: str, until: str, last: str) -> None:
    start = "DTSTART;TZID=Europe/Berlin:20271031T003000\n"
    rule = f"RRULE:FREQ=HOURLY;UNTIL={until}"
    alone = RRuleTrigger(start + rule, overlap=overlap)
    assert shown(alone)[-1] == last
    beside = RRuleTrigger(f"{start}{rule}\nRDATE:20271101T100000", overlap=overlap)
    assert shown(beside) == [*shown(alone), "2027-11-01 10:00+01:00"]
    two = RRuleTrigger(f"{start}{rule}\nRRULE:FREQ=DAILY;BYHOUR=12", overlap=overlap)
    assert shown(two)[: len(shown(alone)) + 1] == [*shown(alone), "2027-10-31 12:30+01:00"]
    assert two.count_between(0, to_micros(BEFORE + 365 * DAY)) == len(shown(alone)) + 62
    # An EXRULE ends at that instant, too: what it has left is what the rule alone does not run at.
    without = RRuleTrigger(f"{start}RRULE:FREQ=HOURLY\nEX{rule[1:]}", overlap=overlap)
    every = RRuleTrigger(f"{start}RRULE:FREQ=HOURLY", overlap=overlap)
    assert shown(without, 5) == shown(every, 20)[len(shown(alone)) :][:5]


@pytest.mark.parametrize(
    ("freq", "overlap", "expected"),
    [
        ("DAILY", "first", "2027-11-01 02:30+01:00"),  # the one of 31 October ran in the first pass
        ("DAILY", "second", SECOND),
        ("DAILY", "both", SECOND),
        ("HOURLY", "first", "2027-10-31 03:30+01:00"),
    ],
)
def test_a_start_in_the_second_pass(freq: str, overlap: str, expected: str) -> None:
    moment = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    for n in (1, 3):
        rule = f"FREQ={freq};COUNT={n}"
        added = RRuleTrigger(rule, timezone=BERLIN, overlap=overlap)
        started = RRuleTrigger(rule, start_date=moment, timezone=BERLIN, overlap=overlap)
        folded = RRuleTrigger(
            rule, start_date=at(2027, 10, 31, 2, 30).replace(fold=1), timezone=BERLIN, overlap=overlap
        )
        assert len(shown(added, 9, moment)) == n
        for trigger in (added.bind(moment, "job"), started, folded):
            found = shown(trigger)
            assert found[0] == expected
            assert len(found) == n == trigger.count_between(0, LAST_INSTANT)
            assert trigger.previous_before(to_micros(datetime.fromisoformat(expected))) is None
            assert str(trigger.start_date) == "2027-10-31 02:30:00+01:00"
            beside = trigger.modified(rule=f"RRULE:{rule}\nRDATE:20270501T000000,20281031T000000")
            assert shown(beside) == ["2027-05-01 00:00+02:00", *found, "2028-10-31 00:00+01:00"]
    assert started == folded
    assert RRuleTrigger(rule, start_date=moment - HOUR, timezone=BERLIN, overlap=overlap) != started
    assert shown(started.modified(timezone="Asia/Tokyo"), 1) == [
        "2027-10-31 02:30+09:00"
    ]  # where it is shown once


def test_the_state_keeps_the_second_pass() -> None:
    moment = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    for trigger in (
        RRuleTrigger("FREQ=DAILY;COUNT=2", timezone=BERLIN, overlap="both").bind(moment, "job"),
        RRuleTrigger("FREQ=DAILY;COUNT=2", start_date=moment, timezone=BERLIN, overlap="both"),
    ):
        state = json.loads(json.dumps(trigger.get_state()))
        copied = RRuleTrigger.from_state(state)
        assert str(copied.start_date) == str(trigger.start_date) == "2027-10-31 02:30:00+01:00"
        assert copied.get_state() == state
        assert shown(copied) == shown(trigger) == [SECOND, "2027-11-01 02:30+01:00"]
        assert copied.modified(jitter=1).get_state() == {**state, "jitter": 1}
    with pytest.raises(ValueError, match="second_pass"):
        RRuleTrigger.from_state({**state, "second_pass": 5})
    assert "second_pass" not in RRuleTrigger("FREQ=DAILY", start_date=moment + HOUR).get_state()
    with pytest.raises(ValueError, match="DTSTART"):
        RRuleTrigger(
            "DTSTART:20271031T023000\nRRULE:FREQ=DAILY",
            start_date=at(2027, 10, 31, 2, 30).replace(fold=1),
            timezone=BERLIN,
        )


@pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "FREQ=SECONDLY;BYMINUTE=30"])
def test_what_runs_every_second_is_left_out(rule: str) -> None:
    text = (
        f"{OCTOBER}RRULE:{rule};UNTIL=20271031T013500Z\nEXDATE:20271031T013002Z\nRDATE:20271031T013700Z\n"
        "RDATE:20271101T000000"
    )
    excluded = RRuleTrigger(text, overlap="both")
    base = IntervalTrigger(seconds=1, start_date=datetime(2027, 10, 31, 1, 30, tzinfo=UTC))
    trigger = ExcludingTrigger(base, triggers=[excluded])
    found = fires_between(
        trigger, datetime(2027, 10, 31, tzinfo=UTC), datetime(2027, 10, 31, 1, 38, tzinfo=UTC)
    )
    end = 5 * 60 + 1 if rule == "FREQ=SECONDLY" else 60
    seconds = [2, *range(60, 0)] + [n for n in range(end if end > 60 else 60, 480) if n != 420]
    assert [(moment - datetime(2027, 10, 31, 1, 30, tzinfo=UTC)).seconds for moment in found] == seconds
    assert fires_backwards(
        trigger, datetime(2027, 10, 31, tzinfo=UTC), datetime(2027, 10, 31, 1, 38, tzinfo=UTC)
    ) == (found)


RULES = ["FREQ=HOURLY;INTERVAL=2", "FREQ=MINUTELY;INTERVAL=30", "FREQ=DAILY;BYHOUR=0,2,3,23;BYMINUTE=0,30"]


def utc(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


@settings(max_examples=250, deadline=None)
@given(change=st.sampled_from(sorted(CHANGES)), data=st.data())
def test_sets_with_instants(change: str, data: st.DataObject) -> None:
    """Against each wall time by itself, and when it runs."""
    zone, begin, end = window(change)
    start = begin.replace(tzinfo=None) - DAY
    gap = data.draw(st.sampled_from(["after", "skip", "shift"]))
    overlap = data.draw(st.sampled_from(["first", "second", "both"]))
    moments = st.integers(0, 2 * 96).map(lambda n: begin + n * timedelta(minutes=30))
    near = st.lists(moments, max_size=8)
    lines = [f"DTSTART:{start:%Y%m%dT%H%M%S}"]

    def pairs(name: str, most: int) -> set[tuple[datetime, datetime]]:
        found = set()
        for rule in data.draw(st.lists(st.sampled_from(RULES), min_size=most - 1, max_size=most)):
            until = data.draw(st.none() | moments)
            lines.append(f"{name}:{rule}" + ("" if until is None else f";UNTIL={utc(until)}"))
            walls = rrulestr(f"{rule};BYSECOND=0", dtstart=start).between(start, start + 8 * DAY, inc=True)
            for wall in walls:
                for run in runs(wall, zone, gap, overlap):
                    if until is None or run <= until:
                        found.add((wall, run))
        return found

    found, without = pairs("RRULE", 2), pairs("EXRULE", 1)
    added, removed = data.draw(near), data.draw(near)
    walls, exwalls = (
        [moment.replace(tzinfo=None) for moment in data.draw(st.lists(moments, max_size=3))] for _ in "ab"
    )
    for name, dates in (
        ("RDATE", [utc(moment) for moment in added] + [utc(wall)[:-1] for wall in walls]),
        ("EXDATE", [utc(moment) for moment in removed] + [utc(wall)[:-1] for wall in exwalls]),
    ):
        lines += [f"{name}:{','.join(dates)}"] if dates else []
    found |= {(wall, run) for wall in walls for run in runs(wall, zone, gap, overlap)}
    without |= {(wall, run) for wall in exwalls for run in runs(wall, zone, gap, overlap)}
    shown_then = {run for wall, run in without if run in runs(wall, zone, "skip", overlap)}
    expected = {run for _, run in found - without} | (set(added) - shown_then)
    inside = sorted(run for run in expected - set(removed) if begin <= run < end)
    trigger, shown_error = None, ""
    try:
        trigger = RRuleTrigger("\n".join(lines), timezone=zone, gap=gap, overlap=overlap)
    except ValueError as error:
        shown_error = str(error)
    if trigger is None:
        assert "no time" in shown_error or "leave none" in shown_error
        assert not inside
        return
    assert fires_between(trigger, begin, end) == inside
    assert fires_backwards(trigger, begin, end) == inside
    assert count(trigger, begin, end) == len(inside)
    # In UTC: datetimes of different zones are never equal in an overlap.
    assert [moment.astimezone(UTC) for moment in trigger.preview(len(inside), begin)] == inside
