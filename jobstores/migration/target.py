"""The job store that jobs are migrated to, from a URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..base import BaseJobStore
from ..serialization.references import resolve_reference

__all__ = ["made_target"]

_PACKAGE = __name__.rpartition(".migration")[0]


def made_target(target: str, options: dict[str, Any]) -> BaseJobStore:
    """The store of mainspring's that a URL means. Options are its constructor's. TypeError or ValueError for what makes no sense."""
    scheme = target.partition("://")[0].lower() if "://" in target else ""
    # Each kind's module needs its driver; only the one that is asked for is imported.
    if scheme in ("redis", "rediss", "unix"):
        name, given = "redis:RedisJobStore", {"url": target}
    elif scheme in ("mongodb", "mongodb+srv"):
        database = urlsplit(target).path.strip("/")
        name, given = (
            "mongodb:MongoDBJobStore",
            {"url": target, **({"database": database} if database else {})},
        )
    elif scheme in ("zookeeper", "zk"):
        hosts, _, path = target.partition("://")[2].partition("/")
        name = "zookeeper:ZooKeeperJobStore"
        given = {"hosts": hosts, **({"path": f"/{path.strip('/')}"} if path.strip("/") else {})}
    elif scheme:
        name, given = "sqlalchemy:SQLAlchemyJobStore", {"url": target}
    else:
        raise TypeError(
            "expected the new job store as a URL ('sqlite:///jobs.sqlite', 'postgresql+psycopg://…', 'mysql+pymysql://…', 'redis://…', "
            "'mongodb://…', 'zookeeper://host:port/path')"
        )
    try:
        made: BaseJobStore = resolve_reference(f"{_PACKAGE}.{name}")(**{**given, **options})
    except LookupError as error:
        # A driver that is not installed: the import says which, and how to install it.
        raise (error.__cause__ if isinstance(error.__cause__, ImportError) else error) from None
    return made
