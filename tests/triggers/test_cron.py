"""`CronTrigger`: its arguments, defaults and attributes, bounds, changing, and how it shows itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.triggers import CronTrigger
from mainspring.triggers.cron import fields as cron_fields
from mainspring.triggers.instants import LAST_INSTANT, to_micros

from tests.triggers.schedules import cron

NOW = datetime(2026, 11, 22, 4, 17, 33, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "complete"),
    [
        ({}, "* * * * * * * *"),
        ({"second": "5"}, "* * * * * * * 5"),
        ({"minute": "5"}, "* * * * * * 5 0"),
        ({"hour": 5}, "* * * * * 5 0 0"),
        ({"hour": 5, "minute": "*/10"}, "* * * * * 5 */10 0"),
        ({"day_of_week": "fri"}, "* * * * fri 0 0 0"),
        ({"week": 1}, "* * * 1 * 0 0 0"),
        ({"day": "last"}, "* * last * * 0 0 0"),
        ({"month": 6}, "* 6 1 * * 0 0 0"),
        ({"year": 2030}, "2030 1 1 * * 0 0 0"),
        ({"year": 2030, "hour": 5}, "2030 * * * * 5 0 0"),
        ({"hour": " 5 , 6 ", "day": " 2ND   Fri ,13"}, "* * 2nd fri,13 * * 5,6 0 0"),
    ],
)
def test_fields_left_out(fields: dict[str, Any], complete: str) -> None:
    trigger = cron(fields, "UTC")
    texts = [str(field) for field in trigger.fields]
    assert " ".join(texts) == complete
    assert [field.name for field in trigger.fields] == list(CronTrigger.FIELD_NAMES)
    assert {field.name for field in trigger.fields if not field.is_default} == set(fields)


def test_arguments_by_position() -> None:
    trigger = CronTrigger(2030, 6, 5, None, None, 4, 3, 2, None, None, "UTC", 1.5)
    assert trigger.get_next_fire_time(None, NOW) == datetime(2030, 6, 5, 4, 3, 2, tzinfo=UTC)
    assert trigger.jitter == 1.5


def test_start_and_end_are_inclusive() -> None:
    start, end = datetime(2026, 12, 1, 5, tzinfo=UTC), datetime(2026, 12, 3, 5, tzinfo=UTC)
    trigger = CronTrigger(hour=5, start_date=start, end_date=end, timezone=UTC)
    assert (trigger.start_date, trigger.end_date) == (start, end)
    assert trigger.get_next_fire_time(None, NOW) == start
    assert trigger.get_next_fire_time(end - timedelta(microseconds=1), NOW) == end
    assert trigger.get_next_fire_time(end, NOW) is None
    assert trigger.previous_before(to_micros(start)) is None
    assert trigger.previous_before(LAST_INSTANT) == to_micros(end)
    assert trigger.count_between(0, LAST_INSTANT) == 3
    # To the microsecond, though fire times are whole seconds.
    late = trigger.modified(
        start_date=start + timedelta(microseconds=1), end_date=end - timedelta(microseconds=1)
    )
    assert late.count_between(0, LAST_INSTANT) == 1


def test_bounds_and_zone_as_people_write_them() -> None:
    trigger = CronTrigger(
        hour=5, start_date="2026-12-01", end_date=date(2026, 12, 3), timezone="Europe/Berlin"
    )
    assert str(trigger.start_date) == "2026-12-01 00:00:00+01:00"
    assert str(trigger.end_date) == "2026-12-03 00:00:00+01:00"
    assert trigger.timezone == ZoneInfo("Europe/Berlin")
    assert CronTrigger(hour=5, start_date=NOW).timezone is UTC
    with pytest.raises(ValueError, match="end_date: 'never'"):
        CronTrigger(hour=5, end_date="never")
    with pytest.raises(ValueError, match="Mars"):
        CronTrigger(hour=5, timezone="Mars/Olympus")


def test_between_two_seconds() -> None:
    trigger = CronTrigger(timezone=UTC)
    assert trigger.get_next_fire_time(None, NOW) == NOW
    half = NOW + timedelta(microseconds=500_000)
    assert trigger.get_next_fire_time(None, half) == NOW + timedelta(seconds=1)
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + timedelta(seconds=1)
    assert trigger.previous_before(to_micros(half)) == to_micros(NOW)
    assert trigger.previous_before(to_micros(NOW)) == to_micros(NOW) - 1_000_000


def test_modified_builds_the_fields_anew() -> None:
    start = datetime(2026, 12, 1, tzinfo=UTC)
    trigger = CronTrigger(hour=5, minute=30, start_date=start, timezone="Europe/Berlin", jitter=9)
    assert trigger.modified(minute="*/10") == CronTrigger(
        minute="*/10", start_date=start, timezone="Europe/Berlin", jitter=9
    )
    assert trigger.modified(jitter=None) == CronTrigger(
        hour=5, minute=30, start_date=start, timezone="Europe/Berlin"
    )
    either = CronTrigger.from_crontab("0 0 1 * mon", timezone=UTC)
    assert either.modified(jitter=3).modified(jitter=None) == either
    with pytest.raises(TypeError, match="'seconds'; did you mean 'second'"):
        trigger.modified(seconds=5)


def test_shown() -> None:
    trigger = CronTrigger(hour=5, minute="*/10", timezone="Europe/Berlin")
    assert str(trigger) == "cron[hour='5', minute='*/10']"
    assert repr(trigger) == "<CronTrigger (hour='5', minute='*/10', timezone='Europe/Berlin')>"
    bounded = trigger.modified(start_date=NOW, end_date=NOW, jitter=5)
    assert repr(bounded) == (
        "<CronTrigger (hour='5', minute='*/10', start_date='2026-11-22 05:17:33 CET', "
        "end_date='2026-11-22 05:17:33 CET', timezone='Europe/Berlin', jitter=5)>"
    )
    crontab = CronTrigger.from_crontab("0 5 1 * 1", timezone=UTC)
    assert str(crontab) == "cron[month='*', day='1', day_of_week='mon', hour='5', minute='0', days='either']"


def test_states_with_unknown_parts_are_refused() -> None:
    state = CronTrigger(hour=5, timezone=UTC).get_state()
    assert state["fields"] == {"hour": "5"}
    for part in (
        {"days": "some"},
        {"fields": {"hours": "5"}},
        {"fields": {"hour": "25"}},
        {"fields": {"hour": [5]}},
    ):
        with pytest.raises(ValueError, match=r"hour|some"):
            CronTrigger.from_state({**state, **part})


def test_triggers_of_one_expression_share_what_is_computed() -> None:
    one, other = (CronTrigger(hour=5, timezone=zone) for zone in ("UTC", "Asia/Tokyo"))
    assert one.fields is other.fields


def test_counting_goes_by_months_not_by_runs() -> None:
    trigger = CronTrigger(timezone="Europe/Berlin")
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2126, 1, 1, tzinfo=UTC)
    # Three thousand million seconds; both passes of each overlap, and no second of a gap.
    assert trigger.count_between(to_micros(begin) - 1, to_micros(end) - 1) == (end - begin).total_seconds()


def test_the_doc_of_the_field_names() -> None:
    assert CronTrigger.FIELD_NAMES == cron_fields.FIELD_NAMES
    assert CronTrigger.FIELD_NAMES.index("hour") == 5
