"""What `RedisJobStore` is given: put in order, and refused where it makes no sense, before anything is connected."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ..serialization.references import resolve_reference
from .connecting import Client, checked_client, redis, said_by

_NO_OPTIONS: Final = {
    "self",
    "db",
    "connection_pool",
    "single_connection_client",
    "auto_close_connection_pool",
}

_PLACES: Final = ("host", "port", "unix_socket_path", "ssl")
"""What a URL always says, if only by leaving it out: redis-py would pass over what stands beside it."""

_SCHEMES: Final = ("redis", "rediss", "unix")

_URLS: Final = (
    "expected 'redis://HOST:PORT/DATABASE', 'rediss://...' for TLS, or 'unix:///path/to/socket'. In a user's name or a password, characters "
    "such as @ : / # have to be quoted: urllib.parse.quote(password, safe='')"
)


@dataclass(frozen=True)
class Given:
    """The arguments that may be given by position, too, in order."""

    jobs_key: str | None
    run_times_key: str | None
    pickle_protocol: int | None
    client: Any


def in_order(
    positional: Sequence[Any],
    jobs_key: Any,
    run_times_key: Any,
    pickle_protocol: int | None,
    client: Any,
) -> Given:
    """Sort what stands behind `db`: a client, or what APScheduler has there, `jobs_key`, `run_times_key` and `pickle_protocol`."""
    if positional and positional[0] is not None and not isinstance(positional[0], str):
        if client is not None:
            raise TypeError("two clients were given: one as the second argument, one as client")
        if positional[1:]:
            raise TypeError(
                f"nothing is taken by position behind a client, got {positional[1]!r}: give the others by name, such as jobs_key=..."
            )
        client, positional = positional[0], ()
    named = {"jobs_key": jobs_key, "run_times_key": run_times_key, "pickle_protocol": pickle_protocol}
    if len(positional) > len(named):
        raise TypeError(
            f"at most db, {', '.join(named)} are taken by position, got {1 + len(positional)} arguments"
        )
    for name, value in zip(named, positional, strict=False):
        if named[name] is not None:
            raise TypeError(f"{name} was given twice, by position and by name")
        named[name] = value
    if named["run_times_key"] is not None and not isinstance(named["run_times_key"], str):
        raise TypeError(f"run_times_key must be text, got {named['run_times_key']!r}")
    return Given(client=client, **named)


def database(db: Any) -> int | None:
    """The number of a database; text, as files of configuration bring it, too."""
    if isinstance(db, str) and db.isdecimal():
        db = int(db)
    if db is None or (isinstance(db, int) and not isinstance(db, bool) and db >= 0):
        return db
    got, advice = type(db).__name__, ""
    if isinstance(db, int):
        got = str(db)
    elif hasattr(db, "execute_command"):
        advice = "; give a client as client=..., or as the second argument"
    elif isinstance(db, str):
        # Not the text: if it is a URL, there may be a password in it.
        advice = "; give a URL as url=..." if "://" in db else "; names of keys are given as jobs_key=..."
    raise TypeError(f"db must be the number of a database, or None, got {got}{advice}")


def client_from(
    client: Any, db: int | None, url: str | None, connect_args: Mapping[str, Any]
) -> tuple[Client, int | None]:
    """The client whose settings are used, and the database, None for the client's own. Opens no connection."""
    if client is not None:
        if url is not None or connect_args:
            given = ["url"] if url is not None else [*connect_args]
            raise TypeError(
                f"a client brings its own settings: leave out {', '.join(given)}, or make the client with them"
            )
        if isinstance(client, str):
            if "://" in client:
                raise TypeError("client is a URL: give it as url=...")
            client = resolve_reference(client)
        return checked_client(client, db), db
    if url is not None:
        return _from_url(url, db, connect_args), db
    known = {*inspect.signature(redis.Redis.__init__).parameters} - _NO_OPTIONS
    for name in connect_args:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.65)
            tail = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"Unknown argument of RedisJobStore: {name!r}{tail}")
    port = connect_args.get("port", 0)
    if isinstance(port, bool) or not (isinstance(port, int) or (isinstance(port, str) and port.isdecimal())):
        raise TypeError(f"port must be a number, got {port!r}")
    return redis.Redis(db=db or 0, **connect_args), db


def _from_url(url: Any, db: int | None, connect_args: Mapping[str, Any]) -> Client:
    says = _read(url)
    twice = [
        name
        for name, value in connect_args.items()
        if value is not None and (name in _PLACES or name in says)
    ]
    if twice:
        raise TypeError(
            f"the url says where the server is, and what it says counts: leave out {', '.join(twice)}, or url"
        )
    if db is not None and says.get("db", db) != db:
        raise TypeError(f"the url names database {says['db']}, and db is {db}: leave out one of them")
    return redis.Redis.from_url(url, **connect_args)


def _read(url: Any) -> dict[str, Any]:
    """What a URL says, as arguments of a connection. Raises without the URL or the error's cause: there may be a password in it."""
    if not isinstance(url, str):
        raise TypeError(f"url must be text, got {type(url).__name__}: {_URLS}")
    scheme, colon, _ = url.partition("://")
    if colon and scheme.isidentifier() and scheme not in _SCHEMES:
        raise ValueError(f"url is not understood: it begins with {scheme + colon!r}, {_URLS}")
    try:
        if scheme != "unix" and not _is_unambiguous(url):
            raise ValueError
        return said_by(url)
    except (ValueError, AttributeError):
        raise ValueError(f"url is not understood: {_URLS}") from None


def _is_unambiguous(url: str) -> bool:
    """Whether it is a URL all of which is read: of a password with a `/` or a `#`, the first half would be a port, say, the rest nothing."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    return "@" not in parts.path + parts.fragment and (not database or database.isdecimal())
