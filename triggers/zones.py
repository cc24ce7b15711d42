"""Time zones as the triggers hold them: every way to write one becomes one object per name, which can be stored by that name."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["as_zone", "local_zone", "zone_name"]

# The name that tzlocal gives to a zone it read from an /etc/localtime which is a copy and not a link: there is nothing to look
# it up by. Stored as this name it means "the local zone of the process that reads it".
_NAMELESS_LOCAL = "local"
_FIXED = re.compile(r"(?:UTC)?([+-])(\d\d):(\d\d)(?::(\d\d))?", re.ASCII)
# How else people write an offset: it is not taken, but understood enough to say how it is written here.
_LIKE_FIXED = re.compile(r"(?:UTC|GMT)? ?([+-]) ?(\d{1,2})(?::?([0-5]\d))?", re.ASCII | re.IGNORECASE)
# Folders of the database with all zones a second time, "right/" counting leap seconds. Not every machine has them.
_FOLDERS = ("posix/", "right/")
_SHOWN = 60  # characters; the longest name of the database has 32
_ZERO = timedelta(0)


def as_zone(value: tzinfo | str | None) -> tzinfo:
    """The zone that *value* means: a name, a `zoneinfo`, `datetime.timezone`, dateutil or pytz object; None is the local zone.

    The answer is a `ZoneInfo` or a `datetime.timezone` of a fixed offset ("UTC+02:00"), and the same object for each spelling of a
    zone, so that two triggers of one zone are equal. UTC is `datetime.timezone.utc`, on which datetimes are ten times faster.
    Raises ValueError for a zone that does not exist or has no name to be stored under, TypeError for anything else.
    """
    if value is None or value == _NAMELESS_LOCAL:
        return local_zone()
    try:
        return _zone(value)
    except TypeError:
        # dateutil's zones cannot be hashed, and so not be looked up in the cache; what is no zone at all raises it again.
        return _zone.__wrapped__(value)


def zone_name(zone: tzinfo) -> str:
    """The name under which *zone* is stored: what `as_zone` gives back as the same zone.

    Raises ValueError, with advice, for a zone without one.
    """
    if zone is UTC:
        return "UTC"
    if type(zone) is timezone:
        # Spelled out, for a timezone may have been given a name that says nothing of its offset.
        return str(timezone(_fixed_offset(zone)))
    if isinstance(zone, ZoneInfo) and zone.key and not zone.key.startswith(_FOLDERS):
        return zone.key
    return zone_name(as_zone(zone))


def local_zone() -> tzinfo:
    """The zone of this machine, or of the environment variable TZ, as tzlocal finds it. Raises ValueError if there is none to be found."""
    import tzlocal  # here: it costs a tenth of the library's import time, and a program that names its zone never needs it

    try:
        zone = tzlocal.get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(
            f"the local time zone cannot be determined ({error}): pass timezone=, or set TZ to a name such as Europe/Berlin"
        ) from error
    if isinstance(zone, ZoneInfo) and zone.key in (None, _NAMELESS_LOCAL):
        return zone
    return _zone(zone)


@lru_cache(maxsize=512)
def _zone(value: tzinfo | str) -> tzinfo:
    if isinstance(value, str):
        return _named(value)
    if not isinstance(value, tzinfo):
        raise TypeError(
            f"a time zone is expected as a name (such as 'Europe/Berlin') or a tzinfo, got {value!r} of type {type(value).__name__}"
        )
    if type(value) is timezone:
        return _fixed(_fixed_offset(value))
    name = _name_of(value)
    if name == _NAMELESS_LOCAL:
        return local_zone()
    if name is not None:
        return _named(name)
    if _library(value) in ("dateutil", "pytz"):
        # Theirs answer for no moment at all if it is the same for every moment.
        offset = value.utcoffset(None)
        if offset is not None:
            return _fixed(offset)
    raise ValueError(
        f"the time zone {value!r} has no name under which it could be stored: give a name such as 'Europe/Berlin', "
        "a zoneinfo.ZoneInfo made from a name, or a datetime.timezone"
    )


def _name_of(zone: tzinfo) -> str | None:
    """The IANA name of a zoneinfo, pytz or dateutil zone, if it has one."""
    library = _library(zone)
    if isinstance(zone, ZoneInfo):
        return zone.key
    if library == "pytz":
        name = getattr(zone, "zone", None)
        return name if isinstance(name, str) else None
    if library == "dateutil":
        kind = type(zone).__name__
        if kind == "tzlocal":
            return _NAMELESS_LOCAL
        if kind == "tzutc":
            return "UTC"
        # A zone read from a file knows the file only; the part after the database's folder is the name.
        # (A tzstr, a rule in text, keeps the rule in the same attribute: it has no folder in it, and so no name.)
        name = str(getattr(zone, "_filename", None) or "")
        if kind == "tzfile" and name == "/etc/localtime":
            return _NAMELESS_LOCAL
        name = name.rpartition("zoneinfo/")[2]
        # One made from a stream has that for a file: "<_io.BytesIO object at 0x7f…>".
        return name if kind == "tzfile" and _found(name) is not None else None
    return None


def _library(zone: tzinfo) -> str:
    return type(zone).__module__.partition(".")[0]


def _named(name: str) -> tzinfo:
    fixed = _FIXED.fullmatch(name)
    if fixed:
        sign, hours, minutes, seconds = fixed.groups(default="0")
        if int(minutes) > 59 or int(seconds) > 59:
            raise ValueError(
                f"there is no time zone named {name!r}: minutes and seconds of an offset are 00 to 59"
            )
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        return _fixed(-offset if sign == "-" else offset)
    if name == "UTC":
        return UTC
    zone = _found(name)
    if zone is None:
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
        near = _nearest(name)
        advice = (
            "names are those of the IANA database, such as 'Europe/Berlin', or 'UTC+02:00'"
            if near is None
            else f"did you mean {near!r}?"
        )
        raise ValueError(f"there is no time zone named {shown!r}: {advice}")
    return zone


def _found(name: str) -> tzinfo | None:
    """The zone of that name in the database; None if there is none."""
    for folder in _FOLDERS:
        name = name.removeprefix(folder)
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        # ZoneInfo raises each of these: unknown, not a relative path, a folder of the database.
        return None


def _nearest(name: str) -> str | None:
    """The name that is most likely meant by one that does not exist; None if none is near. Reads the whole database, for an error's message only."""
    import difflib
    from zoneinfo import available_timezones

    if len(name) > _SHOWN:
        return None
    like = _LIKE_FIXED.fullmatch(name)
    if like:
        sign, hours, minutes = like.groups(default="00")
        return f"UTC{sign}{int(hours):02}:{minutes}" if int(hours) < 24 else None
    asked = name.strip().replace(" ", "_").lower()
    names = {known.lower(): known for known in sorted(available_timezones() | {"UTC"})}
    if asked in names:
        return names[asked]
    cities = {known.rpartition("/")[2]: known for known in names if "/" in known}
    found = [cities[asked]] if asked in cities else difflib.get_close_matches(asked, names, n=1, cutoff=0.8)
    return names[found[0]] if found else None


@lru_cache(maxsize=512)
def _fixed(offset: timedelta) -> tzinfo:
    if offset.microseconds:
        raise ValueError(f"a time zone's offset must be whole seconds, got {offset!r}")
    if offset == _ZERO:
        return UTC
    try:
        return timezone(offset)
    except ValueError:
        raise ValueError(f"a time zone's offset must be less than a day, got {offset!r}") from None


def _fixed_offset(zone: timezone) -> timedelta:
    return zone.utcoffset(None)
