"""Tags for values that JSON does not have or alters: dates, zones, bytes, decimals, paths, NaN; each with its way back.

A tag is a JSON object with a single key that begins with "$". `ENCODERS` is keyed by exact type, since a subclass would come
back as its base; `DECODERS` by tag. A decoder may raise anything on damaged input; the caller takes care of it.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from pickle import PicklingError
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

Json: TypeAlias = Any

# Beyond this an integer travels in hexadecimal: Python limits the decimal digits that it converts (640 at the least).
BIG = 1 << 2000

SIMPLER = (
    "Give something simpler (numbers, text, dates, lists, dicts, dataclasses) or look it up inside the job, "
    'or open the job store with serializer="pickle"'
)


class Refusal(Exception):
    """Inside the encoder: this value cannot be stored. Containers add to `trail`, innermost first, where it was found."""

    def __init__(self, value: Any, reason: str, remedy: str = SIMPLER) -> None:
        super().__init__(reason)
        self.kind = type(value)
        self.reason = reason
        self.remedy = remedy
        self.trail: list[str] = []


def is_plain(value: Any) -> bool:
    """Whether JSON carries this value as it is. The test that nearly all arguments pass: it must be fast."""
    kind = type(value)
    if kind is str:
        return value.isascii() or _is_utf8(value)
    if kind is int:
        return bool(-BIG < value < BIG)
    if kind is float:
        return math.isfinite(value)
    return kind is bool or value is None


def _is_utf8(text: str) -> bool:
    """False for text with lone surrogates, as os.fsdecode makes them: UTF-8 has no bytes for those."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encode_str(value: str) -> Json:
    return {"$str": b64encode(value.encode(errors="surrogatepass")).decode()}


def _decode_str(spec: Json) -> str:
    return b64decode(spec, validate=True).decode(errors="surrogatepass")


def _encode_bytes(value: bytes) -> Json:
    return {"$bytes": b64encode(value).decode()}


def _encode_bytearray(value: bytearray) -> Json:
    return {"$bytearray": b64encode(value).decode()}


def _encode_timezone(value: timezone) -> Json:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]  # what pickle uses; the name only if given
    return {"$timezone": [_timedelta_parts(offset), *name]}


def _decode_timezone(spec: Json) -> timezone:
    parts, *name = spec
    return timezone(timedelta(*parts), *name)


def _encode_zoneinfo(value: ZoneInfo) -> Json:
    try:
        value.__reduce__()
    except PicklingError:
        raise Refusal(value, "it was read from a file and has no key", "Use ZoneInfo('Area/City')") from None
    return {"$zoneinfo": value.key}


def _encode_zone(value: tzinfo) -> Json:
    """The zone inside a datetime or a time."""
    encode = ENCODERS.get(type(value))
    if encode is None:
        refusal = Refusal(value, "zones of this type have no name to find them by", _ZONE_REMEDY)
        refusal.trail.append(".tzinfo")
        raise refusal
    return encode(value)


_ZONE_REMEDY = "Use zoneinfo.ZoneInfo('Area/City') or datetime.timezone"


def _encode_datetime(value: datetime) -> Json:
    return {"$datetime": _moment(value)}


def _encode_time(value: time) -> Json:
    return {"$time": _moment(value)}


def _moment(value: datetime | time) -> Json:
    """ISO text of the wall clock; where there is more to say, a list of it, the zone, and the fold if it is 1."""
    text = value.replace(tzinfo=None).isoformat()
    if value.tzinfo is None and not value.fold:
        return text
    zone = None if value.tzinfo is None else _encode_zone(value.tzinfo)
    return [text, zone, 1] if value.fold else [text, zone]


def _decode_datetime(spec: Json) -> datetime:
    if isinstance(spec, str):
        return datetime.fromisoformat(spec)
    text, zone, *fold = spec
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold[0] if fold else 0)


def _decode_time(spec: Json) -> time:
    if isinstance(spec, str):
        return time.fromisoformat(spec)
    text, zone, *fold = spec
    return time.fromisoformat(text).replace(tzinfo=zone, fold=fold[0] if fold else 0)


def _timedelta_parts(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _encode_complex(value: complex) -> Json:
    return {"$complex": [repr(value.real), repr(value.imag)]}


def _encode_path(value: PurePath) -> Json:
    kind, text = type(value), str(value)
    if kind(text) != value:
        raise Refusal(value, "its text gives another path")
    return {"$path": [kind.__name__, text if is_plain(text) else _encode_str(text)]}


def _decode_path(spec: Json) -> PurePath:
    name, text = spec
    return _PATHS[name](text)


_PATHS: dict[str, type[PurePath]] = {
    kind.__name__: kind for kind in (PosixPath, PurePosixPath, PureWindowsPath, WindowsPath)
}

ENCODERS: dict[type, Callable[[Any], Json]] = {
    str: _encode_str,
    int: lambda value: {"$int": hex(value)},
    float: lambda value: {"$float": repr(value)},
    complex: _encode_complex,
    bytes: _encode_bytes,
    bytearray: _encode_bytearray,
    range: lambda value: {"$range": [hex(value.start), hex(value.stop), hex(value.step)]},
    datetime: _encode_datetime,
    date: lambda value: {"$date": value.isoformat()},
    time: _encode_time,
    timedelta: lambda value: {"$timedelta": _timedelta_parts(value)},
    timezone: _encode_timezone,
    ZoneInfo: _encode_zoneinfo,
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": value.hex},
    **dict.fromkeys(_PATHS.values(), _encode_path),
}

DECODERS: dict[str, Callable[[Json], Any]] = {
    "$str": _decode_str,
    "$int": lambda spec: int(spec, 16),
    "$float": lambda spec: float(_text(spec)),
    "$complex": lambda spec: complex(*map(float, spec)),
    "$bytes": lambda spec: b64decode(spec, validate=True),
    "$bytearray": lambda spec: bytearray(b64decode(spec, validate=True)),
    "$range": lambda spec: range(*(int(part, 16) for part in spec)),
    "$datetime": _decode_datetime,
    "$date": lambda spec: date.fromisoformat(spec),
    "$time": _decode_time,
    "$timedelta": lambda spec: timedelta(*spec),
    "$timezone": _decode_timezone,
    "$zoneinfo": lambda spec: ZoneInfo(spec),
    "$decimal": lambda spec: Decimal(_text(spec)),
    "$uuid": lambda spec: UUID(hex=spec),
    "$path": _decode_path,
}


def _text(spec: Json) -> str:
    if not isinstance(spec, str):
        raise TypeError(f"expected text, got {type(spec).__name__}")
    return spec
