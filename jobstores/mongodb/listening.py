"""`Listener`: a thread that follows a change stream, so that what other schedulers add or change is looked at when it is due."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import OperationFailure, PyMongoError

from .connecting import Collection
from .documents import Document

AWAIT: Final = 1_000
"""Milliseconds that the server waits for something to tell, before it says that there is nothing."""

PAUSE: Final = 0.05
"""Seconds between two questions to a server that does not wait."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts to connect: they double, and are shortened at random so that schedulers do not come all at once."""

_NEVER: Final = frozenset(
    {
        13,  # Unauthorized
        18,  # AuthenticationFailed
        20,  # IllegalOperation
        59,  # CommandNotFound
        115,  # CommandNotSupported
        40324,  # Unrecognized pipeline stage name
        40573,  # The $changeStream stage is only supported on replica sets
    }
)
"""The codes of a server that has no change streams, or not for this user."""

# A push is a text that is another one each time (`documents.push_text`), so that it is among what a write has changed.
PIPELINE: Final[list[dict[str, Any]]] = [
    {
        "$match": {
            "$or": [
                {"updateDescription.updatedFields.soon": {"$exists": True}},
                {"fullDocument.soon": {"$exists": True}},
            ]
        }
    },
    {"$project": {"updateDescription.updatedFields.soon": 1, "fullDocument.soon": 1}},
]


class Listener:
    """Follows the changes of a collection from `start` to `stop`. Nothing depends on it: what it misses is found by polling."""

    def __init__(
        self,
        collection: Collection,
        own: Callable[[], str],
        heard: Callable[[int], None],
        logger: logging.Logger,
    ) -> None:
        """`own`: what the stamps of this store begin with, whose pushes are passed over; `heard` is told times in µs UTC, and 0 whenever
        something may have been missed."""
        self._collection = collection
        self._own = own
        self._heard = heard
        self._logger = logger
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="mainspring-mongodb-changes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it: it ends by itself at the next answer, and is not waited for. Nothing is told from now on."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Wait so many seconds for its end. Whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                with self._collection.watch(PIPELINE, max_await_time_ms=AWAIT) as stream:
                    self._tell(0)  # what was written while nobody listened
                    while not self._stopping.is_set():
                        self._hear(stream)
                        pause = FIRST_PAUSE
            except OperationFailure as error:
                if error.code in _NEVER or error.code is None:
                    # Without a code: one that only speaks the protocol.
                    self._logger.debug("The server tells nothing of changes, so it is polled: %s", error)
                    return
                self._failed(error)
            except (PyMongoError, BSONError) as error:
                self._failed(error)
            except Exception:
                if not self._stopping.is_set():
                    self._logger.exception("Listening for changes failed; it is tried again")
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _failed(self, error: Exception) -> None:
        # A scheduler without pushes polls. Its own calls say loudly enough that the server is gone.
        if not self._stopping.is_set():
            self._logger.debug("Listening for changes failed; it is tried again: %s", error)

    def _hear(self, stream: Any) -> None:
        """Wait for a change, and tell of it."""
        change = stream.try_next()
        if change is None:
            # A server that does as it is told has waited.
            self._stopping.wait(PAUSE)
            return
        at, stamp = pushed(change)
        if at is not None and not stamp.startswith(f"{self._own()}."):
            self._tell(at)

    def _tell(self, at: int) -> None:
        if self._stopping.is_set():
            return
        try:
            self._heard(at)
        except Exception:
            self._logger.exception("A push could not be handed on")


def pushed(change: Document) -> tuple[int | None, str]:
    """The time and the stamp of a push; None if it is none."""
    update = (change.get("updateDescription") or {}).get("updatedFields") or {}
    text = update.get("soon") or (change.get("fullDocument") or {}).get("soon")
    at, _, stamp = text.partition(" ") if isinstance(text, str) else ("", "", "")
    try:
        return int(at), stamp
    except ValueError:
        return None, stamp
