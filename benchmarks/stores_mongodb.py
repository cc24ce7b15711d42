"""MongoDB for stores.py: how each library opens a store there, how it is emptied, and the writes of a burst by the bare driver."""

import importlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

DURABLE = {"w": "majority", "journal": True}
"""What ours asks of every write, and theirs may be told to."""

DATABASES = ("mainspring", "apscheduler")

Row = tuple[Any, ...]


def options(ours: bool, url: str) -> dict[str, Any]:
    """What a store of ours or theirs is made with."""
    return {"url": url} if ours else {"host": url, **DURABLE}


@contextmanager
def client_of(url: str) -> Iterator[Any]:
    """A client of PyMongo."""
    with importlib.import_module("pymongo").MongoClient(url) as client:
        yield client


def clear(url: str) -> None:
    """Leave no jobs there."""
    with client_of(url) as client:
        for name in DATABASES:
            client.drop_database(name)


def server_version(url: str) -> str:
    """What the server says of itself."""
    with client_of(url) as client:
        status = client.admin.command("serverStatus")
        stand_in = "" if status["process"].startswith("mongo") else ", by mongo-java-server"
        return f"MongoDB's protocol {status['version']}{stand_in}"


def driver(url: str) -> Generator[tuple[list[Row], Any]]:
    """The rows (id, stamp) of ours, and what writes them: one request of conditional updates for each batch."""
    pymongo: Any = importlib.import_module("pymongo")
    concern = pymongo.WriteConcern("majority", j=True)
    with client_of(url) as client:
        jobs = client["mainspring"].get_collection("jobs", write_concern=concern)

        def write(columns: Sequence[str], rows: Sequence[Row]) -> None:
            requests = [
                pymongo.UpdateOne(
                    {"_id": key, "stamp": seen}, {"$set": dict(zip(columns, values, strict=True))}
                )
                for *values, key, seen in rows
            ]
            written = jobs.bulk_write(requests, ordered=False).matched_count
            if written != len(rows):
                raise AssertionError(f"{written} of {len(rows)} documents were written")

        found = jobs.find({"wake_at": {"$gt": 0}}, {"stamp": 1})
        yield [(document["_id"], document["stamp"]) for document in found], write
