"""An existing job store of APScheduler 3, opened to be read: what all kinds have in common, and which kind a URL means."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

from ..errors import described
from .jobs import OldJob

__all__ = ["OldStore", "OldStoreError", "opened"]


class OldStoreError(RuntimeError):
    """The old job store cannot be read: it is not there, not reachable, or not one of APScheduler's. `__cause__` is the driver's error."""

    def __init__(self, where: str, problem: str | BaseException) -> None:
        shown = problem if isinstance(problem, str) else described(problem)[:500]
        super().__init__(f"cannot read the old job store {where}: {shown}")


class OldStore(ABC):
    """An old job store. It is only read; nothing here writes, locks or makes anything in it."""

    where: str
    """What it is, for people, and to tell it from others. Without passwords."""

    @abstractmethod
    def count(self) -> int | None:
        """How many jobs it has, if that is cheap to find out. Raises OldStoreError."""

    @abstractmethod
    def jobs(self) -> Iterator[OldJob]:
        """All jobs, by id; each call reads anew, and holds only some of them in memory. Raises OldStoreError."""

    def close(self) -> None:  # noqa: B027 - not abstract: what the caller passed is left open
        """Close what was opened here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


def opened(source: Any, options: dict[str, Any]) -> OldStore:
    """The old store that a URL, an SQLAlchemy engine, a client or a path means. Options are its constructor's; TypeError for unknown ones."""
    if isinstance(source, OldStore):
        if options:
            raise TypeError(
                f"options of the old store go to {type(source).__name__} itself: {', '.join(options)}"
            )
        return source
    scheme = source.partition("://")[0].lower() if isinstance(source, str) and "://" in source else ""
    if scheme in ("redis", "rediss", "unix") or _is_of(source, "redis"):
        from .oldredis import OldRedisStore

        return _made(OldRedisStore, source, options)
    if scheme.startswith("mongodb") or _is_of(source, "pymongo"):
        from .oldmongodb import OldMongoDBStore

        return _made(OldMongoDBStore, source, options)
    if scheme in ("zookeeper", "zk") or _is_of(source, "kazoo"):
        from .oldzookeeper import OldZooKeeperStore

        return _made(OldZooKeeperStore, source, options)
    if scheme or _is_of(source, "sqlalchemy"):
        from .oldsql import OldSQLAlchemyStore

        return _made(OldSQLAlchemyStore, source, options)
    raise TypeError(
        "expected the old job store as a URL ('sqlite:///jobs.sqlite', 'postgresql+psycopg://…', 'mysql+pymysql://…', 'redis://…', "
        f"'mongodb://…', 'zookeeper://host:port/path'), an SQLAlchemy engine, or a client; got {type(source).__name__}"
    )


def _made(kind: Callable[..., OldStore], source: Any, options: dict[str, Any]) -> OldStore:
    known = [*inspect.signature(kind).parameters][1:]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TypeError(
            f"an old store of this kind has no {', '.join(unknown)}: where its jobs are is said by {', '.join(known)}"
        )
    return kind(source, **options)


def _is_of(source: Any, package: str) -> bool:
    """Whether an object is of a package, or of a class that derives from one of it; without importing the package."""
    return any(kind.__module__.partition(".")[0] == package for kind in type(source).__mro__)
