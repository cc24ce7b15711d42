"""What pickles of plain values call, done here by hand: each of these takes what such a pickle gives it, and nothing else."""

from __future__ import annotations

import collections
import datetime as dt
import pathlib
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from .standins import Budget, Foreign, Known, NamedZone, PartialUUID, RefusedPickleError
from .zones import finished_zone

__all__ = ["VALUES", "checked_key"]

_LONGEST_NUMBER = 10_000
"""Characters of a Decimal: converting digits takes time that grows with their square."""
_DEEPEST_KEY = 20


def _bad(what: str) -> RefusedPickleError:
    return RefusedPickleError(f"it makes a {what} of something that no pickle of a {what} has")


def _raw(value: Any, sizes: tuple[int, ...], what: str) -> bytes:
    """The bytes of a date or time, which Python 2 has written as text."""
    if type(value) is str:
        value = value.encode("latin-1")
    if type(value) is not bytes or len(value) not in sizes:
        raise _bad(what)
    return value


def _datetime(budget: Budget, state: Any, zone: Any = None) -> Any:
    naive = dt.datetime(_raw(state, (10,), "datetime"))  # type: ignore[call-arg, arg-type]  # noqa: DTZ001  (what pickles do)
    if isinstance(zone, Foreign):
        return zone
    if isinstance(zone, NamedZone):
        return zone.moment(naive)
    return naive.replace(tzinfo=_zone_or_none(zone))


def _zone_or_none(zone: Any) -> dt.tzinfo | None:
    if zone is None:
        return None
    found = finished_zone(zone)
    if found is None:
        raise _bad("datetime")
    return found


def _date(budget: Budget, state: Any) -> dt.date:
    return dt.date(_raw(state, (4,), "date"))  # type: ignore[call-arg, arg-type]


def _time(budget: Budget, state: Any, zone: Any = None) -> Any:
    if isinstance(zone, Foreign):
        return zone
    made = dt.time(_raw(state, (6,), "time"))  # type: ignore[arg-type]
    return made.replace(tzinfo=_zone_or_none(zone))


def _timedelta(budget: Budget, *parts: Any) -> dt.timedelta:
    if len(parts) > 3 or any(type(part) not in (int, float) for part in parts):
        raise _bad("timedelta")
    return dt.timedelta(*parts)


def _timezone(budget: Budget, offset: Any, *name: Any) -> dt.tzinfo:
    if type(offset) is not dt.timedelta or any(type(part) is not str for part in name) or len(name) > 1:
        raise _bad("timezone")
    made = dt.timezone(offset, *name)
    return dt.UTC if made is dt.UTC or (not offset and not name) else made


def _decimal(budget: Budget, text: Any) -> Decimal:
    if type(text) is not str or len(text) > _LONGEST_NUMBER:
        raise _bad("Decimal")
    return Decimal(text)


def _uuid(budget: Budget, *args: Any) -> PartialUUID:
    return PartialUUID()


def _safe_uuid(budget: Budget, value: Any) -> uuid.SafeUUID:
    return uuid.SafeUUID(value)


def _complex(budget: Budget, real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise _bad("complex")
    return complex(real, imaginary)


def _range(budget: Budget, *args: Any) -> range:
    if any(type(arg) is not int for arg in args):
        raise _bad("range")
    return range(*args)


def _items(budget: Budget, args: tuple[Any, ...], what: str) -> list[Any]:
    """The items of a container that is made of another one; never of a range or of an iterator, which may have no end."""
    if not args:
        return []
    if len(args) > 1 or type(args[0]) not in (list, tuple, set, frozenset):
        raise _bad(what)
    budget.spend(len(args[0]))
    return list(args[0])


def _container(what: str, make: Callable[[list[Any]], Any], hashed: bool) -> Callable[..., Any]:
    def made(budget: Budget, *args: Any) -> Any:
        items = _items(budget, args, what)
        if hashed:
            for item in items:
                checked_key(item, budget)
        return make(items)

    return made


def _dict(kind: type[dict[Any, Any]]) -> Callable[..., Any]:
    def made(budget: Budget, *args: Any) -> Any:
        filled = kind()
        # Python 2 writes an OrderedDict with a list of its pairs.
        for pair in _items(budget, args, kind.__name__):
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise _bad(kind.__name__)
            filled[checked_key(pair[0], budget)] = pair[1]
        return filled

    return made


def _default_dict(budget: Budget, *args: Any) -> Any:
    factory = args[0].itself if args and isinstance(args[0], Known) else None
    if len(args) > 1 or (args and args[0] is not None and factory not in (int, float, str, list, dict, set)):
        return Foreign("collections:defaultdict", "its factory is not a plain type")
    return collections.defaultdict(factory)


def _deque(budget: Budget, *args: Any) -> Any:
    length = args[1] if len(args) == 2 else None
    if length is not None and type(length) is not int:
        raise _bad("deque")
    return collections.deque(_items(budget, args[:1], "deque"), length)


def _encoded(budget: Budget, text: Any, encoding: Any = "utf-8", *_: Any) -> bytes:
    """How protocols 0 to 2 write bytes: `_codecs.encode(text, "latin1")`."""
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise _bad("bytes")
    budget.spend(len(text))
    return text.encode(encoding)


def _of_bytes(kind: type[bytes] | type[bytearray]) -> Callable[..., Any]:
    def made(budget: Budget, *args: Any) -> Any:
        value = args[0] if args else b""
        if type(value) is str and args[1:] == ("latin-1",):
            value = value.encode("latin-1")
        elif len(args) > 1 or type(value) not in (bytes, bytearray):
            raise _bad(kind.__name__)
        budget.spend(len(value))
        return kind(value)

    return made


def _path(kind: type[pathlib.PurePath]) -> Callable[..., Any]:
    def made(budget: Budget, *parts: Any) -> pathlib.PurePath:
        if any(type(part) is not str for part in parts):
            raise _bad("path")
        budget.spend(sum(len(part) for part in parts))
        return kind(*parts)

    return made


def _type_only(budget: Budget, *_: Any) -> Any:
    raise RefusedPickleError("it calls a plain type, which no pickle of a value does")


def checked_key(key: Any, budget: Budget) -> Any:
    """A key of a dict, or an item of a set, once it is sure that its hash can be taken: hashing goes through tuples in C, as deep as they are."""
    if type(key) is tuple:
        _check_depth(key, budget, _DEEPEST_KEY)
    elif isinstance(key, list | dict | set | bytearray | collections.deque):
        raise RefusedPickleError(f"it has a {type(key).__name__} as a key, which has no hash")
    return key


def _check_depth(value: Any, budget: Budget, depth: int) -> None:
    budget.spend(len(value))
    if not depth:
        raise RefusedPickleError("it has a key that is nested too deep")
    for item in value:
        if type(item) is tuple:
            _check_depth(item, budget, depth - 1)
        else:
            checked_key(item, budget)


_BUILTINS: dict[str, tuple[Callable[..., Any], Any]] = {
    "object": (lambda budget: object(), object),
    "bool": (_type_only, bool),
    "int": (_type_only, int),
    "float": (_type_only, float),
    "str": (_type_only, str),
    "complex": (_complex, complex),
    "range": (_range, range),
    "bytes": (_of_bytes(bytes), bytes),
    "bytearray": (_of_bytes(bytearray), bytearray),
    "list": (_container("list", list, False), list),
    "tuple": (_container("tuple", tuple, False), tuple),
    "set": (_container("set", set, True), set),
    "frozenset": (_container("frozenset", frozenset, True), frozenset),
    "dict": (_dict(dict), dict),
}
# What protocols 0 to 2, which Python 2 reads, call them.
_OF_PYTHON_2 = {"xrange": "range", "unicode": "str", "long": "int"}

_OTHERS: dict[str, tuple[Callable[..., Any], Any]] = {
    "datetime:datetime": (_datetime, dt.datetime),
    "datetime:date": (_date, dt.date),
    "datetime:time": (_time, dt.time),
    "datetime:timedelta": (_timedelta, dt.timedelta),
    "datetime:timezone": (_timezone, dt.timezone),
    "decimal:Decimal": (_decimal, Decimal),
    "uuid:UUID": (_uuid, uuid.UUID),
    "uuid:SafeUUID": (_safe_uuid, uuid.SafeUUID),
    "collections:OrderedDict": (_dict(collections.OrderedDict), collections.OrderedDict),
    "collections:defaultdict": (_default_dict, collections.defaultdict),
    "collections:deque": (_deque, collections.deque),
    "_codecs:encode": (_encoded, None),
    **{
        f"{module}:{kind.__name__}": (_path(kind), kind)
        for module in ("pathlib", "pathlib._local")
        for kind in (
            *(pathlib.PosixPath, pathlib.PurePosixPath),
            *(pathlib.WindowsPath, pathlib.PureWindowsPath),
        )
    },
}
VALUES: Final[dict[str, Known]] = {
    reference: Known(reference, make, itself)
    for reference, (make, itself) in {
        **{f"builtins:{name}": made for name, made in _BUILTINS.items()},
        **{f"__builtin__:{name}": made for name, made in _BUILTINS.items()},
        **{f"__builtin__:{old}": _BUILTINS[name] for old, name in _OF_PYTHON_2.items()},
        **_OTHERS,
    }.items()
}
"""By reference: what is called in the place of each, with the budget before its arguments."""
