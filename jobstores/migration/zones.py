"""Time zones in old pickles, of zoneinfo, pytz, dateutil and their shims: none of the libraries has to be here, a zone is its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any, Final

from ...triggers.instants import as_zone, zone_name
from .standins import Foreign, Known, NamedZone, PartialOffset, RefusedPickleError

__all__ = ["ZONES", "finished_zone", "zoneinfo_attribute"]

_FOLDER = "zoneinfo/"
_LOCAL = ("local", "/etc/localtime")


def _place(name: Any) -> tzinfo:
    if type(name) is not str or len(name) > 200:
        raise RefusedPickleError("it has a time zone whose name is no name")
    if name in _LOCAL:
        return as_zone(None)
    try:
        return as_zone(name.rpartition(_FOLDER)[2])
    except ValueError as error:
        raise RefusedPickleError(str(error)) from None


def finished_zone(value: Any) -> tzinfo | None:
    """The zone that an unpickled object stands for; None if it is none."""
    if isinstance(value, NamedZone):
        return value.zone
    if isinstance(value, PartialOffset):
        if value.value is None:
            raise RefusedPickleError("it has a tzoffset without an offset")
        return _offset(value.value)
    return value if isinstance(value, tzinfo) else None


def _offset(offset: Any) -> tzinfo:
    if type(offset) in (int, float):
        offset = timedelta(seconds=offset)
    if not isinstance(offset, timedelta):
        raise RefusedPickleError("it has a time zone whose offset is no time")
    return UTC if not offset else timezone(offset)


def _zoneinfo(key: Any, from_cache: Any = True) -> tzinfo:
    if key is None:
        raise RefusedPickleError(
            "it has a time zone that was read from a file, and has no name to find it by"
        )
    return _place(key)


def _pytz(name: Any = None, offset: Any = None, *_: Any) -> NamedZone:
    if name is None:
        return NamedZone(UTC, None)
    return NamedZone(_place(name), timedelta(seconds=offset) if type(offset) is int else None)


def _pytz_minutes(minutes: Any, *_: Any) -> tzinfo:
    if type(minutes) is not int:
        raise RefusedPickleError("it has a time zone whose offset is no number")
    return _offset(timedelta(minutes=minutes))


def _dateutil_file(stream: Any = None, name: Any = None, *_: Any) -> tzinfo:
    return _place(name if name is not None else stream)


def _dateutil_key(kind: Any, key: Any, name: Any, *_: Any) -> tzinfo:
    return _place(key if key is not None else name)


def _dateutil_offset(*args: Any) -> Any:
    return _offset(args[1]) if len(args) == 2 else PartialOffset()


def _dateutil_rule(*_: Any) -> Foreign:
    return Foreign("dateutil.tz.tz:tzstr", "a zone that is a rule in text, without a name")


def _utc(*_: Any) -> tzinfo:
    return UTC


def _local(*_: Any) -> tzinfo:
    return as_zone(None)


def _wrapped(zone: Any, key: Any = None, *_: Any) -> tzinfo:
    """`pytz_deprecation_shim`, which tzlocal 3 and 4 brought along: a zoneinfo with pytz's methods."""
    found = finished_zone(zone)
    if found is None:
        raise RefusedPickleError("it has a time zone that wraps something else")
    return as_zone(zone_name(found))


def _known(reference: str, make: Callable[..., Any]) -> Known:
    return Known(reference, lambda budget, *args: make(*args))


_UNPICKLED_ZONEINFO: Final = _known("zoneinfo:ZoneInfo._unpickle", _zoneinfo)
ZONEINFO: Final = _known("zoneinfo:ZoneInfo", _zoneinfo)
"""Pickles take `_unpickle` from it by `getattr`, which means nothing else here."""

_MAKERS: dict[str, Any] = {
    "pytz:_p": _pytz,
    "pytz:_UTC": lambda *_: UTC,
    "pytz:FixedOffset": _pytz_minutes,
    "pytz:_FixedOffset": _pytz_minutes,
    "pytz_deprecation_shim._impl:wrap_zone": _wrapped,
    "dateutil.tz._tzfile:_unpickle": _dateutil_key,
    "dateutil.tz._tzfile:tzfile": _dateutil_file,
    **{
        f"{module}:{name}": make
        for module in ("dateutil.tz.tz", "dateutil.tz", "dateutil.tz._common")
        for name, make in {
            "tzfile": _dateutil_file,
            "tzutc": _utc,
            "tzlocal": _local,
            "tzoffset": _dateutil_offset,
            "tzstr": _dateutil_rule,
        }.items()
    },
}
ZONES: Final[dict[str, Known]] = {
    "zoneinfo:ZoneInfo": ZONEINFO,
    "backports.zoneinfo:ZoneInfo": ZONEINFO,
    "zoneinfo:ZoneInfo._unpickle": _UNPICKLED_ZONEINFO,
    **{reference: _known(reference, make) for reference, make in _MAKERS.items()},
}


def zoneinfo_attribute(owner: Any, name: Any) -> Any:
    """In place of `getattr`: the one use of it that pickles of zones make. None for any other."""
    return _UNPICKLED_ZONEINFO if owner is ZONEINFO and name == "_unpickle" else None
