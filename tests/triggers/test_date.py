"""`DateTrigger`: once, at a given date or when it is added."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from mainspring.triggers import DateTrigger
from mainspring.triggers.instants import to_micros

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def test_once() -> None:
    trigger = DateTrigger(LATER)
    assert trigger.get_next_fire_time(None, NOW) == LATER
    assert trigger.get_next_fire_time(NOW, NOW) == LATER
    assert trigger.get_next_fire_time(LATER, NOW) is None
    assert trigger.run_date == LATER
    assert trigger.jitter is None


def test_a_past_date_is_overdue_and_not_over() -> None:
    assert DateTrigger(NOW).get_next_fire_time(None, LATER) == NOW


def test_without_a_date_it_is_when_it_is_added() -> None:
    trigger = DateTrigger(timezone=UTC)
    assert trigger.run_date is None
    assert trigger.get_next_fire_time(None, NOW) == NOW
    assert trigger.next_after(0) is None
    bound = trigger.bind(NOW, "job")
    assert bound.run_date == NOW
    assert bound.get_next_fire_time(None, LATER) == NOW
    assert bound == trigger
    assert bound != DateTrigger(NOW)
    assert trigger.bind(NOW, "job", LATER).run_date == LATER
    assert DateTrigger(NOW).bind(LATER, "job").run_date == NOW


def test_dates_are_read_in_the_zone() -> None:
    assert (
        str(DateTrigger("2026-11-22 05:00:00", timezone="Europe/Berlin").run_date)
        == "2026-11-22 05:00:00+01:00"
    )
    assert DateTrigger("2026-11-22T05:00:00Z", "Europe/Berlin").run_date == datetime(
        2026, 11, 22, 5, tzinfo=UTC
    )
    assert str(DateTrigger(date(2026, 7, 1), timezone="Asia/Tokyo").run_date) == "2026-07-01 00:00:00+09:00"
    assert DateTrigger(NOW.astimezone(ZoneInfo("Asia/Tokyo"))).timezone == ZoneInfo("Asia/Tokyo")
    with pytest.raises(ValueError, match="run_date: 'tomorrow'"):
        DateTrigger("tomorrow")


def test_count_and_neighbours() -> None:
    trigger, at = DateTrigger(NOW), to_micros(NOW)
    assert [
        trigger.count_between(at - 1, at),
        trigger.count_between(at, at + 9),
        trigger.count_between(0, at - 1),
    ] == [1, 0, 0]
    assert (trigger.next_after(at - 1), trigger.next_after(at)) == (at, None)
    assert (trigger.previous_before(at + 1), trigger.previous_before(at)) == (at, None)


def test_modified() -> None:
    trigger = DateTrigger(NOW, timezone="Europe/Berlin")
    assert trigger.modified(run_date="2026-11-22 06:00:00") == DateTrigger(LATER, timezone="Europe/Berlin")
    assert trigger.modified(timezone=UTC) == DateTrigger(NOW, timezone=UTC)
    bound = DateTrigger(timezone=UTC).bind(NOW, "job")
    assert bound.modified(timezone="Asia/Tokyo").run_date == NOW
    assert bound.modified(timezone="Asia/Tokyo") == DateTrigger(timezone="Asia/Tokyo")
    with pytest.raises(TypeError, match="'rundate'; did you mean 'run_date'"):
        trigger.modified(rundate=NOW)


def test_shown() -> None:
    trigger = DateTrigger("2026-11-22 05:00:00", timezone="Europe/Berlin")
    assert str(trigger) == "date[2026-11-22 05:00:00 CET]"
    assert repr(trigger) == "<DateTrigger (run_date='2026-11-22 05:00:00 CET')>"
    assert str(DateTrigger()) == "date[now]"
