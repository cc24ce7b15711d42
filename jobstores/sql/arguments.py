"""What `SQLAlchemyJobStore` is given: each argument checked, and the engine made from them, before anything is asked of a server."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from ..serialization.references import resolve_reference
from .dialects import dialect_class

_LONGEST_SUFFIX: Final = len("ix_" + "_lease")
"""What the longest of the names that are made from the table's has more than that (`<tablename>_schema` has less)."""

_CALLER: Final = 3
"""The place that a warning names: past `chosen_engine` and the store's constructor."""

_OTHER_STORES: Final = {"redis": "RedisJobStore", "rediss": "RedisJobStore", "unix": "RedisJobStore"}

_QUOTING: Final = (
    "characters such as @ : / in a user's name or password have to be quoted ('%40' for '@'), or let "
    "sqlalchemy.URL.create('server+driver', username=…, password=…, host=…, port=…, database=…) do it"
)


def chosen_engine(
    url: Any, engine: Any, engine_options: Any, tableschema: Any, timeout: float
) -> tuple[sa.Engine, bool]:
    """The engine to be used, and whether it is the store's own.

    As in APScheduler, an engine goes before a url, and its options are what it was made with. Who gives them all the same believes
    otherwise: he is warned.
    """
    given = resolved("engine", engine)
    if engine_options and not isinstance(engine_options, Mapping):
        raise TypeError(
            f"engine_options must be a mapping of arguments for create_engine(), got {type(engine_options).__name__}"
        )
    if given is None:
        return _created(url, engine_options or {}, tableschema, timeout), True
    found = _checked(given)
    if engine_options:
        message = (
            "engine_options are not used beside an engine: give them to the create_engine() that makes it"
        )
        warnings.warn(message, UserWarning, _CALLER)
    if url and not _names(found, url):
        message = f"the url is not used beside an engine: the jobs are kept where the engine leads, {found.url.set(query={})}"
        warnings.warn(message, UserWarning, _CALLER)
    return found, False


def resolved(name: str, value: Any) -> Any:
    """What a configuration names by a textual reference, as in APScheduler; anything else as it is, and "" as nothing."""
    if not isinstance(value, str):
        return value
    if "://" in value:
        raise ValueError(
            f"{name} must be an object or a reference to one ('module:name'), got a url: give it as url="
        )
    return resolve_reference(value) if value else None


def checked_metadata(value: Any) -> sa.MetaData | None:
    """The MetaData for the tables, from itself or a reference to it."""
    metadata = resolved("metadata", value)
    if metadata is not None and not isinstance(metadata, sa.MetaData):
        raise TypeError(
            f"metadata must be an sqlalchemy.MetaData, or a reference to one ('module:name'), got {type(metadata).__name__}: {metadata!r}"
        )
    return metadata


def check_names(dialect: sa.Dialect, tablename: Any, tableschema: Any) -> None:
    """Refuse what cannot be the name of the table or of its schema on this server."""
    if not isinstance(tablename, str):
        raise TypeError(f"tablename must be a string, got {type(tablename).__name__}: {tablename!r}")
    if not tablename.strip():
        raise ValueError(f"tablename must be the name of a table, got {tablename!r}")
    if tableschema is not None and not isinstance(tableschema, str):
        raise TypeError(
            f"tableschema must be a string or None, got {type(tableschema).__name__}: {tableschema!r}"
        )
    longest = min(dialect.max_identifier_length, dialect.max_index_name_length or 2**31) - _LONGEST_SUFFIX
    if len(tablename) > longest:
        raise ValueError(
            f"tablename must have at most {longest} characters here (the names of its indexes have {_LONGEST_SUFFIX} more), got "
            f"{len(tablename)}: {tablename!r}"
        )


def check_synchronous(value: Any, server: str) -> None:
    """Only SQLite is told what a commit has to survive."""
    if value not in ("FULL", "NORMAL"):
        raise ValueError(f"synchronous must be 'FULL' or 'NORMAL', got {value!r}")
    if value != "FULL" and server != "sqlite":
        raise ValueError(
            f"synchronous={value!r} is for SQLite only: what a commit on {server} survives is a setting of the server"
        )


def wants_push(push: Any, can: bool, server: str) -> bool:
    """Whether pushes are sent and heard. Raises for those of a server that has none."""
    if push is not None and not isinstance(push, bool):
        raise TypeError(
            f"push must be True, False, or None (where the server can), got {type(push).__name__}: {push!r}"
        )
    if push and not can:
        raise ValueError(
            f"push=True: {server} cannot push, among SQL servers only PostgreSQL can. What others add is seen within poll_interval"
        )
    return can if push is None else push


def _created(url: Any, options: Mapping[str, Any], tableschema: Any, timeout: float) -> sa.Engine:
    """The store's own engine."""
    url = _parsed(url)
    dialect = dialect_class(url)
    url = dialect.complete(url)
    dialect.check_place(url, options, tableschema)
    try:
        return _checked(sa.create_engine(url, **dialect.engine_arguments(url, options, timeout)))
    except sa.exc.NoSuchModuleError as error:
        raise ValueError(
            f"SQLAlchemy has no dialect for {url.drivername}: {_advice(url.get_backend_name())}"
        ) from error
    except ImportError as error:
        raise ImportError(
            f"the driver by which SQLAlchemy reaches {url.drivername} is not installed ({error}): pip install it, or name another one in "
            "the url ('server+driver://…')"
        ) from error


def _parsed(url: Any) -> sa.URL:
    """Errors do not show what was given, nor SQLAlchemy's words for it: there may be a password in it."""
    if not url:
        raise ValueError("SQLAlchemyJobStore needs a url ('sqlite:///jobs.sqlite') or an engine")
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        if not isinstance(url, str):
            raise TypeError(f"url must be text or an SQLAlchemy URL, got {type(url).__name__}") from None
        raise ValueError(
            "url is not understood: expected 'sqlite:///jobs.sqlite' (relative to the current folder) or 'sqlite:////var/lib/jobs.sqlite'"
        ) from None
    except ValueError:
        raise ValueError(
            f"url is not understood: what stands for its port is not a number. {_QUOTING[0].upper()}{_QUOTING[1:]}. Several hosts stand "
            "behind the database: '?host=a:5432&host=b:5432'"
        ) from None
    if "@" in (parsed.host or ""):
        raise ValueError(
            f"url is not understood: its host has an '@' in it. {_QUOTING[0].upper()}{_QUOTING[1:]}"
        )
    return parsed


def _advice(server: str) -> str:
    if server == "postgres":
        return "SQLAlchemy's name of that server is postgresql: use a url such as 'postgresql+psycopg://user@host/database'"
    if server in _OTHER_STORES:
        return f"that is no SQL server, and the url is one for {_OTHER_STORES[server]}(url=…)"
    return "for servers that it does not know itself, pip install the package that brings one"


def _names(engine: sa.Engine, url: Any) -> bool:
    """Whether the url is the engine's."""
    try:
        return sa.make_url(url) == engine.url
    except (sa.exc.ArgumentError, ValueError):
        return False


def _checked(engine: Any) -> sa.Engine:
    if not isinstance(engine, sa.Engine) or engine.dialect.is_async:
        raise ValueError(
            f"engine must be a synchronous SQLAlchemy engine, from create_engine(), got {type(engine).__name__}"
        )
    return engine
