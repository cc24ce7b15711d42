"""Instants and datetimes, exactly; and dates as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainspring.triggers.instants import (
    FIRST_INSTANT,
    LAST_INSTANT,
    as_zone,
    from_micros,
    local_zone,
    parse_date,
    to_micros,
    zone_of_dates,
)

BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.integers(FIRST_INSTANT, LAST_INSTANT),
    st.sampled_from([UTC, BERLIN, ZoneInfo("Pacific/Apia"), timezone(timedelta(hours=-11, minutes=-30))]),
)
def test_there_and_back_exactly(instant: int, zone: Any) -> None:
    moment = from_micros(instant, zone)
    assert moment.tzinfo is zone
    assert to_micros(moment) == instant
    assert (moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1) == instant


def test_both_passes_of_an_overlap() -> None:
    first, second = (to_micros(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold)) for fold in (0, 1))
    assert second - first == 3_600_000_000
    assert (from_micros(first, BERLIN).fold, from_micros(second, BERLIN).fold) == (0, 1)


@pytest.mark.parametrize("value", [EPOCH.replace(tzinfo=None), date(2026, 1, 1), "2026-01-01", None])
def test_only_aware_datetimes_are_moments(value: Any) -> None:
    with pytest.raises(ValueError, match="with a time zone"):
        to_micros(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22", "2026-11-22T00:00:00+01:00"),
        ("2026-7-2", "2026-07-02T00:00:00+02:00"),
        (" 2026-11-22 05:00:00 ", "2026-11-22T05:00:00+01:00"),
        ("2026-11-22T05:00:00", "2026-11-22T05:00:00+01:00"),
        ("2026-11-22 5:00:00.25", "2026-11-22T05:00:00.250000+01:00"),
        ("2026-11-22 05:00:00.000001", "2026-11-22T05:00:00.000001+01:00"),
        ("2026-11-22T05:00:00Z", "2026-11-22T05:00:00+00:00"),
        ("2026-11-22T05:00:00-03:30", "2026-11-22T05:00:00-03:30"),
        ("2026-11-22 10:00", "2026-11-22T10:00:00+01:00"),
        ("2026-11-22T8:05", "2026-11-22T08:05:00+01:00"),
        ("2026-11-22T08:00Z", "2026-11-22T08:00:00+00:00"),
        ("2026-11-22 08:00-05", "2026-11-22T08:00:00-05:00"),
        ("2026-11-22T05:00:00+0230", "2026-11-22T05:00:00+02:30"),
        ("2026-11-22T05:00:00.5-02", "2026-11-22T05:00:00.500000-02:00"),
        ("1890-01-01T00:00:00+00:53:28", "1890-01-01T00:00:00+00:53:28"),
        (date(2026, 7, 2), "2026-07-02T00:00:00+02:00"),
        (datetime(2026, 11, 22, 5, tzinfo=UTC).replace(tzinfo=None), "2026-11-22T05:00:00+01:00"),
        (datetime(2026, 11, 22, 5, tzinfo=UTC), "2026-11-22T05:00:00+00:00"),
        # The one does not exist, the other exists twice.
        ("2026-03-29 02:30:00", "2026-03-29T02:30:00+01:00"),
        ("2026-10-25 02:30:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_dates_as_people_write_them(value: Any, expected: str) -> None:
    assert parse_date(value, BERLIN).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026",
        "2026-11",
        "2026-13-01",
        "2026-02-29",
        "2026-11-22 25:00:00",
        "2026-11-22 05:00:00+1",
        "2026-11-22 05:00:00 Europe/Berlin",
        "22.11.2026",
        "2026-11-22x",
        "٢٠٢٦-11-22",
        "2026-11-22T05:00:00+25:00",
        "2026-11-22T05:00:00+24:00",
        "2026-11-22T05:00:00+05:60",
        "2026-11-22T05:00:00+05:99",
        "2026-11-22T05:00:00-0560",
        "2026-11-22T05:00:00+01:00:60",
        "2026-11-22T05:00:00+010000",
        "2026-11-22T05:00:00+٠٢:00",
        "2026-11-22 05",
        "2026-11-22 05:0",
        "2026-11-22 05:00.5",
        "26-11-22",
        "12026-11-22",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date") as caught:
        parse_date(text, BERLIN)
    assert repr(text) in str(caught.value)


def test_the_error_says_in_which_forms_a_date_is_written() -> None:
    with pytest.raises(ValueError, match="is not a date: expected") as caught:
        parse_date("tomorrow", BERLIN)
    forms = [form for form in str(caught.value).split("'")[3::2] if form.startswith("2026")]
    assert len(forms) == 3
    for form in forms:
        parse_date(form, BERLIN)
    assert all(part in str(caught.value) for part in ("'T'", "'Z'", "'+01:00'", "'+0100'", "'+01'", ".25"))
    with pytest.raises(ValueError, match="is not a date") as caught:
        parse_date("x" * 100_000, BERLIN)
    assert len(str(caught.value)) < 500


TOKYO = ZoneInfo("Asia/Tokyo")
WITH_ZONE = datetime(2026, 1, 1, tzinfo=TOKYO)
WITHOUT = WITH_ZONE.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("timezone_given", "dates", "expected"),
    [
        ("Europe/Berlin", (WITH_ZONE,), "Europe/Berlin"),
        (TOKYO, ("2026-01-01T00:00+02:00",), "Asia/Tokyo"),
        (None, (WITH_ZONE,), "Asia/Tokyo"),
        (None, (WITHOUT, WITH_ZONE), "Asia/Tokyo"),
        (None, (None, date(2026, 1, 1), "2026-01-01", "2026-01-01T00:00+0200", WITH_ZONE), "UTC+02:00"),
        (None, (" 2026-01-01 00:00:00Z ",), "UTC"),
        # What is no date is for parse_date to refuse, by the argument's name.
        (None, ("soon", "2026-13-01T00:00Z", "2026-01-01T00:00+25:00", WITH_ZONE), "Asia/Tokyo"),
    ],
)
def test_the_zone_of_a_trigger_by_its_dates(timezone_given: Any, dates: Any, expected: str) -> None:
    zone = zone_of_dates(timezone_given, *dates)
    assert zone is as_zone(expected)


def test_without_any_zone_it_is_the_local_one() -> None:
    assert zone_of_dates(None) is local_zone()
    assert zone_of_dates(None, None, WITHOUT, date(2026, 1, 1), "2026-01-01 05:00") is local_zone()


@pytest.mark.parametrize("value", [5, 5.5, None, b"2026-01-01", timedelta(1)])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="expected a datetime, a date or a text"):
        parse_date(value, BERLIN)
