"""Zones as the triggers take them: in every library's spelling, without a name, and not at all, which is the local one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tzlocal
from dateutil import tz
from mainspring.triggers import CronTrigger, DateTrigger, InstantTrigger, IntervalTrigger
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
from mainspring.triggers.zones import as_zone

pytz = pytest.importorskip("pytz")

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER = datetime(2026, 7, 1, 5)  # noqa: DTZ001
NOW = datetime(2026, 3, 28, tzinfo=UTC)

Make = Callable[..., InstantTrigger]
KINDS: dict[str, Make] = {
    "date": lambda **zone: DateTrigger("2026-03-29 05:00:00", **zone),
    "interval": lambda **zone: IntervalTrigger(hours=24, start_date="2026-03-29 05:00:00", **zone),
    "cron": lambda **zone: CronTrigger(day=29, hour=5, **zone),
    "calendarinterval": lambda **zone: CalendarIntervalTrigger(
        months=1, hour=5, start_date="2026-03-29", **zone
    ),
}
BERLINS = {
    "name": "Europe/Berlin",
    "zoneinfo": BERLIN,
    "another zoneinfo": ZoneInfo.no_cache("Europe/Berlin"),
    "dateutil": tz.gettz("Europe/Berlin"),
    # A pytz zone is a fixed offset, that of local mean time at first; which one it is must not matter.
    "pytz": pytz.timezone("Europe/Berlin"),
    "pytz in summer": pytz.timezone("Europe/Berlin").localize(SUMMER).tzinfo,
}
OTHERS = {
    "pytz.utc": (pytz.utc, UTC),
    "pytz, fixed": (pytz.FixedOffset(-90), timezone(timedelta(minutes=-90))),
    "pytz, static": (pytz.timezone("Etc/GMT+5"), ZoneInfo("Etc/GMT+5")),
    "dateutil, UTC": (tz.UTC, UTC),
    "dateutil, fixed": (tz.tzoffset("CET", 3600), timezone(timedelta(hours=1))),
    "dateutil, a range without summer time": (tz.tzrange("EST", -18_000), timezone(timedelta(hours=-5))),
    "offset": ("+01:00", timezone(timedelta(hours=1))),
}


def nameless() -> dict[str, tzinfo]:
    data = (resources.files("tzdata.zoneinfo.Europe") / "Berlin").read_bytes()
    return {
        "zoneinfo from a file": ZoneInfo.from_file(io.BytesIO(data)),
        "dateutil, a rule": tz.tzstr("CET-1CEST,M3.5.0,M10.5.0/3"),
        "dateutil, a range": tz.tzrange("EST", -18_000, "EDT"),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spelling", BERLINS)
def test_every_spelling_makes_the_same_trigger(kind: str, spelling: str) -> None:
    trigger = KINDS[kind](timezone=BERLINS[spelling])
    assert trigger == KINDS[kind](timezone=BERLIN)
    assert trigger.timezone is BERLIN
    assert trigger.get_state()["timezone"] == "Europe/Berlin"
    # 05:00 is in summer time already.
    assert str(trigger.get_next_fire_time(None, NOW)) == "2026-03-29 05:00:00+02:00"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spelling", OTHERS)
def test_zones_that_never_change_are_stored_by_their_offset_or_name(kind: str, spelling: str) -> None:
    given, expected = OTHERS[spelling]
    trigger = KINDS[kind](timezone=given)
    assert trigger.timezone is as_zone(expected)
    restored = type(trigger).from_state(json.loads(json.dumps(trigger.get_state())))
    assert restored.timezone is trigger.timezone
    fire = restored.get_next_fire_time(None, NOW)
    assert fire is not None
    assert fire.replace(tzinfo=None) == datetime(2026, 3, 29, 5)  # noqa: DTZ001


@pytest.mark.parametrize("spelling", [name for name in BERLINS if name != "name"])
def test_the_zone_of_a_start_is_the_trigger_s(spelling: str) -> None:
    zone: Any = BERLINS[spelling]
    if spelling.startswith("pytz"):
        start = pytz.timezone("Europe/Berlin").localize(SUMMER)
    else:
        start = SUMMER.replace(tzinfo=zone)
    triggers: list[InstantTrigger] = [
        DateTrigger(start),
        IntervalTrigger(days=1, start_date=start),
        CronTrigger(hour=5, start_date=start),
        CalendarIntervalTrigger(days=1, hour=5, start_date=start),
    ]
    for trigger in triggers:
        assert trigger.timezone is BERLIN
        assert str(trigger.get_next_fire_time(None, NOW)) == "2026-07-01 05:00:00+02:00"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spelling", nameless())
def test_a_zone_without_a_name_is_refused_with_advice(kind: str, spelling: str) -> None:
    zone = nameless()[spelling]
    with pytest.raises(ValueError, match="no name under which it could be stored: give a name such as"):
        KINDS[kind](timezone=zone)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_zone_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="no time zone named 'Europe/Nowhere'"):
        KINDS[kind](timezone="Europe/Nowhere")
    with pytest.raises(TypeError, match="as a name"):
        KINDS[kind](timezone=5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_zone_it_is_the_local_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tzlocal, "get_localzone", lambda: ZoneInfo("Asia/Tokyo"))
    trigger = KINDS[kind]()
    assert trigger.timezone is ZoneInfo("Asia/Tokyo")
    # Settled: the machine's zone may be another one when it is restored.
    assert trigger.get_state()["timezone"] == "Asia/Tokyo"
    monkeypatch.setattr(tzlocal, "get_localzone", lambda: BERLIN)
    assert type(trigger).from_state(trigger.get_state()).timezone is ZoneInfo("Asia/Tokyo")
    assert str(trigger.get_next_fire_time(None, NOW)) == "2026-03-29 05:00:00+09:00"


@pytest.mark.parametrize("kind", KINDS)
def test_a_local_zone_that_is_not_to_be_found_is_an_error_with_advice(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> tzinfo:
        raise ValueError("Timezone offset does not match system offset")

    monkeypatch.setattr(tzlocal, "get_localzone", fails)
    with pytest.raises(ValueError, match=r"cannot be determined .* pass timezone=, or set TZ"):
        KINDS[kind]()
    assert KINDS[kind](timezone="UTC").timezone is UTC


PROGRAM = """
from datetime import UTC, datetime
from mainspring.triggers.calendarinterval import CalendarIntervalTrigger
trigger = CalendarIntervalTrigger(days=1, hour=2, minute=30, start_date="2026-03-01", timezone="Europe/Berlin")
print(*[f"{moment:%d %H:%M%z}" for moment in trigger.preview(3, datetime(2026, 3, 28, tzinfo=UTC))])
bound = CalendarIntervalTrigger(days=1, hour=1).bind(datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "job")
print(bound.timezone, bound.start_date)
"""


@pytest.mark.parametrize(
    ("local", "own_day"),
    [("America/New_York", "2026-03-28"), ("Asia/Tokyo", "2026-03-29"), ("Europe/Berlin", "2026-03-29")],
)
def test_the_process_s_zone_matters_only_where_none_is_given(local: str, own_day: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "TZ": local},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["28 02:30+0100 29 03:00+0200 30 02:30+0200", f"{local} {own_day}"]
