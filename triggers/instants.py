"""Instants: integer microseconds since the epoch in UTC, to and from datetimes, and dates as people write them.

All arithmetic is exact; no instant is ever a float. Conversions of zones stand in `zones.py` and can be imported from here.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from .zones import as_zone, local_zone, zone_name

__all__ = [
    "FIRST_INSTANT",
    "LAST_INSTANT",
    "as_zone",
    "exact_instant",
    "format_instant",
    "from_micros",
    "local_zone",
    "optional_instant",
    "parse_date",
    "to_micros",
    "zone_name",
    "zone_of_dates",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_from_timestamp = datetime.fromtimestamp

# Two days of room at both ends of the calendar, so that each instant between them has a datetime in every zone.
FIRST_INSTANT = -62_135_424_000 * _SECOND  # 0001-01-03 00:00 UTC
LAST_INSTANT = 253_402_128_000 * _SECOND  # 9999-12-30 00:00 UTC

_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d|:\d\d:\d\d)?)?)?",
    re.ASCII,
)
_FORMS = (
    "expected '2026-11-22', '2026-11-22 05:00' or '2026-11-22 05:00:00' (or with fractions of the second, '05:00:00.25'), "
    "with a blank or a 'T' between date and time; behind the time may stand 'Z', '+01:00', '+0100' or '+01'"
)
_SHOWN = 60  # characters of what is no date: a whole file may be given by mistake


def to_micros(moment: datetime) -> int:
    """*moment* as microseconds since the epoch, UTC. Exact; `fold` is honoured. Raises ValueError for a naive datetime."""
    try:
        since = moment - _EPOCH
    except TypeError:
        raise ValueError(f"expected a datetime with a time zone, got {moment!r}") from None
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds


def from_micros(instant: int, zone: tzinfo) -> datetime:
    """The datetime of *instant* (microseconds since the epoch, UTC) in *zone*. Exact, and its `fold` is right."""
    if zone is UTC:
        return _EPOCH + timedelta(0, 0, instant)  # three times as fast
    seconds, micros = divmod(instant, _SECOND)
    # The timestamp is an integer, so nothing is rounded.
    moment = _from_timestamp(seconds, zone)
    return moment.replace(microsecond=micros) if micros else moment


def parse_date(value: datetime | date | str, zone: tzinfo) -> datetime:
    """A date as people give it, as an aware datetime.

    A datetime; a date (its midnight); or text: ``2026-11-22``, ``2026-11-22 05:00``, ``2026-11-22T05:00:00.25+01:00`` (or ``+0100``, ``+01``, ``Z``). What names no zone
    is wall time in *zone*: one that a clock change skips is taken by the offset before the change (02:30 is 03:30), one that occurs twice the first time.
    Raises ValueError for text that is no date, TypeError for another type.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001  (the zone follows)
    elif isinstance(value, str):
        moment = _parse_text(value)
    else:
        raise TypeError(f"expected a datetime, a date or a text such as '2026-11-22 05:00:00', got {value!r}")
    if moment.tzinfo is None or moment.utcoffset() is None:
        return moment.replace(tzinfo=zone)
    return moment


def zone_of_dates(timezone: tzinfo | str | None, *dates: datetime | date | str | None) -> tzinfo:
    """The zone of a trigger that is given *timezone* and *dates*: *timezone*; if it is None, that of the first date with one; else the local zone.

    A date's zone is the tzinfo of a datetime, or the offset at the end of a text. What is no date is passed over here: `parse_date` refuses it.
    Raises what `as_zone` raises.
    """
    if timezone is not None:
        return as_zone(timezone)
    for value in dates:
        if isinstance(value, datetime):
            zone = value.tzinfo if value.utcoffset() is not None else None
        else:
            zone = _zone_in(value) if isinstance(value, str) else None
        if zone is not None:
            return as_zone(zone)
    return local_zone()


def optional_instant(value: datetime | date | str | None, zone: tzinfo, name: str) -> int | None:
    """`parse_date` as an instant, None staying None; an error names the argument *name*."""
    if value is None:
        return None
    try:
        moment = parse_date(value, zone)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    # Clamped, so that whatever is computed from it has a datetime in every zone.
    return min(max(to_micros(moment), FIRST_INSTANT), LAST_INSTANT)


def exact_instant(value: datetime | date | str, zone: tzinfo, name: str) -> int:
    """`parse_date` as an instant that means itself; ValueError, naming the argument, for one that not every zone has a datetime for."""
    instant = optional_instant(value, zone, name)
    if instant in (None, FIRST_INSTANT, LAST_INSTANT):
        raise ValueError(f"{name}: expected a date from 0001-01-04 to 9999-12-29, got {value}")
    assert instant is not None
    return instant


def format_instant(instant: int, zone: tzinfo) -> str:
    """``2026-11-22 05:00:00 CET``, as `str()` of triggers and jobs shows a time."""
    moment = from_micros(instant, zone)
    return f"{moment.replace(tzinfo=None).isoformat(' ', 'seconds')} {moment.tzname()}"


def _zone_in(text: str) -> tzinfo | None:
    try:
        return _parse_text(text).tzinfo
    except ValueError:
        return None


def _parse_text(text: str) -> datetime:
    parts = _DATE.fullmatch(text.strip())
    if parts is None:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise ValueError(f"{shown!r} is not a date: {_FORMS}")
    year, month, day, hour, minute, second, fraction, offset = parts.groups()
    try:
        return datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "").ljust(6, "0")),
            tzinfo=_parse_offset(offset),
        )
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date: {error}") from None


def _parse_offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"its offset {text!r} must have 00 to 23 hours, and 00 to 59 minutes")
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-offset if text[0] == "-" else offset)
