"""Zones: every way to write one is the same one; and their spans of constant offset, against zoneinfo itself."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tzlocal
from dateutil import tz
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers.offsets import offsets_of
from mainspring.triggers.zones import as_zone, local_zone, zone_name

BERLIN = ZoneInfo("Europe/Berlin")


class Pytz(tzinfo):
    """As pytz's zones are: the name in `zone`, and a fixed offset of the moment."""

    def __init__(self, zone: str | None, minutes: int = 60) -> None:
        self.zone = zone
        self._offset = timedelta(minutes=minutes)

    def __repr__(self) -> str:  # tests are named by it
        return f"Pytz({self.zone!r})"

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return self._offset

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return self.zone


Pytz.__module__ = "pytz.tzinfo"


@pytest.mark.parametrize(
    "value",
    [
        "Europe/Berlin",
        BERLIN,
        ZoneInfo.no_cache("Europe/Berlin"),
        tz.gettz("Europe/Berlin"),
        Pytz("Europe/Berlin"),
    ],
    ids=repr,
)
def test_every_spelling_of_a_zone_is_one_object(value: Any) -> None:
    assert as_zone(value) is BERLIN
    assert zone_name(value if isinstance(value, tzinfo) else as_zone(value)) == "Europe/Berlin"


@pytest.mark.parametrize(
    "value", ["UTC", UTC, ZoneInfo("UTC"), tz.UTC, tz.tzutc(), Pytz("UTC"), timezone(timedelta(0))], ids=repr
)
def test_utc(value: Any) -> None:
    assert as_zone(value) is UTC
    assert zone_name(UTC) == "UTC"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (timezone(timedelta(hours=2)), "UTC+02:00"),
        (timezone(timedelta(hours=-3, minutes=-30), "NST"), "UTC-03:30"),
        (timezone(timedelta(seconds=3601)), "UTC+01:00:01"),
        (tz.tzoffset("X", 3600), "UTC+01:00"),
        (Pytz(None, 90), "UTC+01:30"),
        ("+05:45", "UTC+05:45"),
        ("UTC-00:30", "UTC-00:30"),
    ],
)
def test_fixed_offsets(value: Any, name: str) -> None:
    zone = as_zone(value)
    assert zone_name(zone) == name
    assert as_zone(name) is zone
    if isinstance(value, timezone):
        # By its offset, whatever it calls itself.
        assert zone_name(value) == name


def test_the_local_zone() -> None:
    assert as_zone(None) is local_zone()
    assert as_zone(tz.tzlocal()) is local_zone()
    assert as_zone(zone_name(local_zone())) is local_zone()


def local_zone_with(**environment: str) -> str:
    program = "from mainspring.triggers.zones import *; z = local_zone(); print(zone_name(z), as_zone(zone_name(z)) is z, end='')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout or done.stderr.splitlines()[-1]


def test_the_local_zone_by_the_environment() -> None:
    assert local_zone_with(TZ="Asia/Tokyo") == "Asia/Tokyo True"
    # A name is not to be had: advice is.
    assert "pass timezone=, or set TZ" in local_zone_with(TZ="CET-1CEST,M3.5.0,M10.5.0/3")


def test_a_local_zone_without_a_name_is_called_local(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (resources.files("tzdata.zoneinfo.Europe") / "Berlin").read_bytes()
    nameless = ZoneInfo.from_file(io.BytesIO(data), key="local")
    monkeypatch.setattr(tzlocal, "get_localzone", lambda: nameless)
    assert local_zone() is nameless
    assert zone_name(nameless) == "local"
    assert as_zone("local") is nameless


@pytest.mark.parametrize(
    "name", ["Europe/Nowhere", "", "Europe", "/etc/passwd", "../x", "berlin time", "UTC+2", "\0"]
)
def test_names_that_do_not_exist(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone named"):
        as_zone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Viena", "Europe/Vienna"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/berlin ", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("Berlin", "Europe/Berlin"),
        ("utc", "UTC"),
        ("Utc", "UTC"),
        ("UTC+2", "UTC+02:00"),
        ("UTC-0330", "UTC-03:30"),
        ("GMT+2", "UTC+02:00"),
        ("+2", "UTC+02:00"),
        ("utc+02:00", "UTC+02:00"),
    ],
)
def test_a_name_that_does_not_exist_gets_the_nearest_one(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match="no time zone named") as caught:
        as_zone(name)
    assert str(caught.value).endswith(f"{name!r}: did you mean {meant!r}?")
    assert zone_name(as_zone(meant)) == meant


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "berlin time", "UTC+25", "x" * 100_000, "٢٠٢٦"])
def test_a_name_that_is_near_to_nothing_gets_none(name: str) -> None:
    with pytest.raises(ValueError, match="names are those of the IANA database") as caught:
        as_zone(name)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["+05:60", "+05:99", "UTC-05:99", "+05:00:60"])
def test_offsets_have_minutes_and_seconds_below_sixty(name: str) -> None:
    with pytest.raises(ValueError, match="minutes and seconds of an offset are 00 to 59"):
        as_zone(name)


def test_offsets_are_written_with_ascii_digits() -> None:
    with pytest.raises(ValueError, match="no time zone named"):
        as_zone("+٠٢:٠٠")


def test_the_databases_other_folders_are_not_part_of_a_name() -> None:
    data = (resources.files("tzdata.zoneinfo.Europe") / "Berlin").read_bytes()
    for folder in ("right/", "posix/"):
        assert as_zone(f"{folder}Europe/Berlin") is BERLIN
        assert as_zone(f"{folder}UTC") is UTC
        zone = ZoneInfo.from_file(io.BytesIO(data), key=f"{folder}Europe/Berlin")
        assert as_zone(zone) is BERLIN
        assert zone_name(zone) == "Europe/Berlin"
        assert as_zone(tz.tzfile(io.BytesIO(data), f"/usr/share/zoneinfo/{folder}Europe/Berlin")) is BERLIN


def test_a_dateutil_zone_read_from_a_stream_has_no_name() -> None:
    data = (resources.files("tzdata.zoneinfo.Europe") / "Berlin").read_bytes()
    for zone in (tz.tzfile(io.BytesIO(data)), tz.tzfile(io.BytesIO(data), "my own zone")):
        with pytest.raises(ValueError, match="no name under which it could be stored: give a name"):
            as_zone(zone)
    assert as_zone(tz.tzfile(io.BytesIO(data), "Europe/Berlin")) is BERLIN


def test_zones_without_a_name_are_refused_with_advice() -> None:
    class Own(Pytz):
        """Somebody's zone, of no library that we know."""

    for zone in (tz.tzstr("EST5EDT"), Own("Europe/Berlin")):
        with pytest.raises(ValueError, match="no name under which it could be stored: give a name"):
            as_zone(zone)
        with pytest.raises(ValueError, match="no name"):
            zone_name(zone)
    with pytest.raises(ValueError, match="whole seconds"):
        as_zone(timezone(timedelta(microseconds=1)))
    with pytest.raises(ValueError, match="less than a day"):
        as_zone("+24:00")


@pytest.mark.parametrize("value", [5, 2.5, object(), b"UTC", ["UTC"]])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="as a name"):
        as_zone(value)


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Europe/Dublin",
        "America/Caracas",
        "+05:45",
    ]
)
SECONDS = st.one_of(
    st.integers(-2_200_000_000, 4_100_000_000),
    st.integers(-60_000_000_000, 250_000_000_000),
)


def offset_at(zone: tzinfo, second: int) -> float:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return offset.total_seconds()


@settings(max_examples=300, deadline=None)
@given(name=ZONES, second=SECONDS)
def test_spans_say_what_zoneinfo_says(name: str, second: int) -> None:
    zone = as_zone(name)
    span = offsets_of(zone).at(second)
    assert span.start <= second < span.end
    for inside in (second, max(span.start, -60_000_000_000), min(span.end - 1, 250_000_000_000)):
        assert offset_at(zone, inside) == span.offset
    if span.start > -60_000_000_000:
        assert offset_at(zone, span.start - 1) == span.before
    assert offsets_of(zone).at(span.end).before == span.offset
