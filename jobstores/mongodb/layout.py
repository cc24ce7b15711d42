"""What stands in the collection beside the jobs: its indexes, and the version of the layout."""

from __future__ import annotations

import logging
from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from ..errors import JobStoreError
from .connecting import Collection
from .link import Link

LAYOUT: Final = 1
"""The version of the layout that this library writes."""

LAYOUT_ID: Final = "\0layout"
"""The id of the document that tells it: no job's."""

_UNAUTHORIZED: Final = 13

INDEXES: Final = {
    # The first document of it is the answer to "what is due next?"
    "mainspring_due": ([("executor", ASCENDING), ("wake_at", ASCENDING)], False),
    "mainspring_overdue": ([("wake_at", ASCENDING), ("executor", ASCENDING)], False),
    "mainspring_lease": ([("lease", ASCENDING)], True),
    "mainspring_adding": ([("adding", ASCENDING)], True),
}
"""By name: fields, and whether documents without them are left out."""


def prepare(link: Link, logger: logging.Logger) -> None:
    """Make what is missing. Raises JobStoreError if what is there was made by a later version of the library."""
    found = link.find({"_id": LAYOUT_ID}, {"layout": 1})
    version: Any = found[0].get("layout") if found else None
    if version is not None and version != LAYOUT:
        raise JobStoreError(
            f"{link}: the jobs there are kept in layout {version}, and this version of the library knows layout {LAYOUT}: "
            "upgrade it, or give another collection"
        )
    missing = link.ask(_missing)
    if missing:
        try:
            link.ask(lambda collection: collection.create_indexes(missing))
        except JobStoreError as error:
            if not _is_denied(error):
                raise
            names = ", ".join(str(index.document["name"]) for index in missing)
            logger.warning(
                "%s: the indexes %s are missing, and this user may not make them, so each look reads all jobs. Have somebody make them "
                "who may: by starting the store once with his rights",
                link,
                names,
            )
    if version is None:
        link.ask(
            lambda collection: collection.update_one(
                {"_id": LAYOUT_ID}, {"$setOnInsert": {"layout": LAYOUT}}, upsert=True
            )
        )


def _missing(collection: Collection) -> list[IndexModel]:
    try:
        there = {index["name"] for index in collection.list_indexes()}
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        there = set()  # to be asked for what is there needs a right of its own
    return [
        IndexModel(fields, name=name, sparse=sparse)
        for name, (fields, sparse) in INDEXES.items()
        if name not in there
    ]


def _is_denied(error: JobStoreError) -> bool:
    return isinstance(error.__cause__, OperationFailure) and error.__cause__.code == _UNAUTHORIZED
