"""`IntervalTrigger`: its arguments and attributes, the grid, binding, changing, and its cost."""

from __future__ import annotations

import sys
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.triggers import IntervalTrigger
from mainspring.triggers.instants import to_micros

NOW = datetime(2026, 11, 22, 5, 0, 0, 123_456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        ({"seconds": 60}, MINUTE),
        ({"weeks": 1, "days": 2, "hours": 3, "minutes": 4, "seconds": 5}, timedelta(9, 11045)),
        ({"minutes": 0.5}, timedelta(seconds=30)),
        ({"hours": 1, "minutes": -1}, timedelta(minutes=59)),
        ({"seconds": 0.000_001}, timedelta(microseconds=1)),
        ({"days": 400_000.5}, timedelta(400_000, 43_200)),
        ({"weeks": MINUTE}, MINUTE),  # the first argument: IntervalTrigger(timedelta(minutes=1))
        ({"seconds": MINUTE, "minutes": 1}, 2 * MINUTE),
        ({"interval": MINUTE}, MINUTE),
        ({"interval": MINUTE, "hours": 1}, 61 * MINUTE),
    ],
)
def test_lengths(parts: dict[str, Any], length: timedelta) -> None:
    trigger = IntervalTrigger(**parts)
    assert trigger.interval == length
    assert trigger.interval_length == length.total_seconds()


@pytest.mark.parametrize(
    "parts",
    [{}, {"seconds": 0}, {"seconds": -5}, {"minutes": 1, "seconds": -60}, {"seconds": 1e-9}, {"weeks": 1e15}]
    + [{"seconds": value} for value in (float("nan"), float("inf"))],
)
def test_what_is_not_positive_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="interval"):
        IntervalTrigger(**parts)


@pytest.mark.parametrize("value", ["60", None, [1], True])
def test_parts_are_numbers_or_timedeltas(value: Any) -> None:
    IntervalTrigger(seconds=1)  # which True must not be taken for
    with pytest.raises(TypeError, match=r"must be numbers or timedeltas.*seconds"):
        IntervalTrigger(seconds=value)
    with pytest.raises(TypeError, match=r"interval: a timedelta.*'interval': 60"):
        IntervalTrigger(interval=60)  # type: ignore[arg-type]  # of what?


def test_the_grid_does_not_drift() -> None:
    trigger = IntervalTrigger(seconds=7, start_date=NOW, timezone=UTC)
    # Asked late, and off the grid, each time.
    at = NOW - timedelta(days=1)
    for i in range(100):
        fire = trigger.get_next_fire_time(at, at)
        assert fire is not None
        assert (fire - NOW) % timedelta(seconds=7) == timedelta(0)
        at = fire + timedelta(seconds=6, microseconds=i)
    assert trigger.get_next_fire_time(None, NOW) == NOW
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + timedelta(seconds=7)


def test_the_end_is_inclusive() -> None:
    trigger = IntervalTrigger(minutes=1, start_date=NOW, end_date=NOW + 2 * MINUTE, timezone=UTC)
    assert trigger.get_next_fire_time(NOW + MINUTE, NOW) == NOW + 2 * MINUTE
    assert trigger.get_next_fire_time(NOW + 2 * MINUTE, NOW) is None
    assert trigger.count_between(0, to_micros(NOW + timedelta(days=1))) == 3
    assert trigger.previous_before(to_micros(NOW + timedelta(days=1))) == to_micros(NOW + 2 * MINUTE)


def test_elapsed_time_whatever_the_clocks_do() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    trigger = IntervalTrigger(days=1, start_date="2026-10-24 12:00:00", timezone=berlin)
    first = trigger.get_next_fire_time(None, NOW - timedelta(days=60))
    assert first is not None
    second = trigger.get_next_fire_time(first, first)
    assert str(first) == "2026-10-24 12:00:00+02:00"
    assert str(second) == "2026-10-25 11:00:00+01:00"


def test_bound_to_the_moment_it_is_added() -> None:
    trigger = IntervalTrigger(minutes=1, timezone=UTC)
    assert trigger.start_date is None
    bound = trigger.bind(NOW, "job")
    assert bound.start_date == NOW + MINUTE
    assert bound.get_next_fire_time(None, NOW) == NOW + MINUTE
    assert trigger.start_date is None
    assert (bound.get_state()["settled"], trigger.get_state()["settled"]) == (True, False)


def test_bound_to_a_given_next_run_time() -> None:
    anchor = NOW + timedelta(seconds=10)
    bound = IntervalTrigger(minutes=1, timezone=UTC).bind(NOW, "job", anchor)
    assert bound.start_date == anchor
    assert bound.get_next_fire_time(None, NOW) == anchor
    assert bound.get_next_fire_time(anchor, NOW) == anchor + MINUTE


def test_a_given_start_is_not_settled_again() -> None:
    trigger = IntervalTrigger(minutes=1, start_date=NOW, timezone=UTC)
    assert trigger.bind(NOW + MINUTE, "job", NOW + timedelta(seconds=3)) is trigger


def test_asked_unbound_it_binds_itself() -> None:
    trigger = IntervalTrigger(minutes=1, timezone=UTC)
    assert trigger.get_next_fire_time(None, NOW) == NOW + MINUTE
    assert trigger.get_next_fire_time(NOW, NOW + timedelta(seconds=3)) == NOW + MINUTE
    assert trigger.previous_before(to_micros(NOW)) is None
    assert trigger.count_between(to_micros(NOW), to_micros(NOW + timedelta(minutes=10))) == 10


def test_modified_keeps_all_but_the_length() -> None:
    end = NOW + timedelta(days=1)
    trigger = IntervalTrigger(minutes=1, start_date=NOW, end_date=end, timezone="Europe/Berlin", jitter=3)
    changed = trigger.modified(seconds=90)
    assert changed == IntervalTrigger(
        seconds=90, start_date=NOW, end_date=end, timezone="Europe/Berlin", jitter=3
    )
    assert trigger.modified(seconds=60) == trigger
    assert trigger.modified(jitter=None, end_date=None) == IntervalTrigger(
        minutes=1, start_date=NOW, timezone="Europe/Berlin"
    )
    with pytest.raises(TypeError, match="'second'; did you mean 'seconds'"):
        trigger.modified(second=5)
    with pytest.raises(ValueError, match="positive"):
        trigger.modified(seconds=0)


def test_modified_keeps_a_settled_start_as_settled() -> None:
    bound = IntervalTrigger(minutes=1, timezone=UTC).bind(NOW, "job")
    changed = bound.modified(seconds=30)
    assert changed.start_date == bound.start_date
    assert changed == IntervalTrigger(seconds=30, timezone=UTC)
    assert changed.modified(start_date=NOW) == IntervalTrigger(seconds=30, start_date=NOW, timezone=UTC)
    assert changed.modified(start_date=None).start_date is None


def test_dates_are_read_in_the_zone() -> None:
    trigger = IntervalTrigger(
        hours=1, start_date="2026-11-22 05:00:00", end_date=date(2026, 11, 23), timezone="Europe/Berlin"
    )
    assert str(trigger.start_date) == "2026-11-22 05:00:00+01:00"
    assert str(trigger.end_date) == "2026-11-23 00:00:00+01:00"
    assert IntervalTrigger(hours=1, start_date=NOW).timezone is UTC
    assert IntervalTrigger(hours=1, end_date=NOW.astimezone(ZoneInfo("Asia/Tokyo"))).timezone == ZoneInfo(
        "Asia/Tokyo"
    )
    with pytest.raises(ValueError, match="start_date: 'soon'"):
        IntervalTrigger(hours=1, start_date="soon")
    wrong: Any = 5
    with pytest.raises(TypeError, match="end_date: expected"):
        IntervalTrigger(hours=1, end_date=wrong)


def test_shown() -> None:
    trigger = IntervalTrigger(minutes=1, start_date=NOW, timezone="Europe/Berlin")
    assert str(trigger) == "interval[0:01:00]"
    assert repr(trigger) == (
        "<IntervalTrigger (interval=datetime.timedelta(seconds=60), start_date='2026-11-22 06:00:00 CET', "
        "timezone='Europe/Berlin')>"
    )
    changed = trigger.modified(start_date=None, end_date=NOW, jitter=5)
    assert repr(changed) == (
        "<IntervalTrigger (interval=datetime.timedelta(seconds=60), end_date='2026-11-22 06:00:00 CET', "
        "timezone='Europe/Berlin', jitter=5)>"
    )
    assert str(IntervalTrigger(days=2, seconds=0.5)) == "interval[2 days, 0:00:00.500000]"


def test_it_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [IntervalTrigger(seconds=3600, timezone=UTC).bind(NOW, "job") for _ in range(10_000)]
        each = (tracemalloc.get_traced_memory()[0] - before) / len(kept) - sys.getsizeof(None) / 2
    finally:
        tracemalloc.stop()
    assert each <= 150


def test_a_long_backlog_is_counted_not_listed() -> None:
    trigger = IntervalTrigger(seconds=1, start_date=NOW, timezone=UTC)
    # Were they listed, these thirty thousand million times would take hours.
    assert trigger.count_between(to_micros(NOW), to_micros(NOW + timedelta(days=365_000))) == 365_000 * 86_400
