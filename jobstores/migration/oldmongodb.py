"""The collection of APScheduler 3's MongoDBJobStore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .jobs import OldJob
from .oldstore import OldStore, OldStoreError

try:
    import pymongo
    from pymongo.errors import PyMongoError
except ImportError as error:
    raise ImportError(
        'reading MongoDB needs PyMongo, which is not installed: pip install "mainspring[mongodb]"'
    ) from error

__all__ = ["OldMongoDBStore"]

_PAGE = 500


class OldMongoDBStore(OldStore):
    """Its collection. A URL is opened here and closed again; a client of the caller's is used as it is, and left open."""

    def __init__(self, source: Any, database: str | None = None, collection: str = "jobs") -> None:
        self._owned = isinstance(source, str)
        self._client: Any = (
            pymongo.MongoClient(source, serverSelectionTimeoutMS=10_000) if self._owned else source
        )
        name = database or _database_in(source) or "apscheduler"
        self._collection = self._client[name][collection]
        self.where = f"mongodb {_hosts(self._client)}, collection {name}.{collection}"

    def count(self) -> int | None:
        try:
            return int(self._collection.estimated_document_count())
        except PyMongoError as error:
            raise OldStoreError(self.where, error) from error

    def jobs(self) -> Iterator[OldJob]:
        try:
            with self._collection.find({}, ["next_run_time", "job_state"], batch_size=_PAGE).sort(
                "_id", 1
            ) as found:
                for document in found:
                    state = document.get("job_state")
                    data = bytes(state) if isinstance(state, bytes) else b""
                    time = document.get("next_run_time")
                    yield OldJob(
                        str(document["_id"]), data, float(time) if isinstance(time, int | float) else None
                    )
        except PyMongoError as error:
            raise OldStoreError(self.where, error) from error

    def close(self) -> None:
        if self._owned:
            self._client.close()


def _database_in(source: Any) -> str | None:
    """The database that a URL names; with `authSource` beside it, as without, that is where the jobs are."""
    if not isinstance(source, str):
        return None
    name = pymongo.uri_parser.parse_uri(source, validate=False)["database"]
    return None if name is None else str(name)


def _hosts(client: Any) -> str:
    seeds = (
        getattr(client, "_seeds", None)
        or getattr(getattr(client, "_topology_settings", None), "seeds", None)
        or ()
    )
    return ",".join(sorted(f"{host}:{port}" for host, port in seeds)) or "of the client"
