"""`View`: what a process knows of the index: the names of all entries, kept up to date by one watch on each bucket.

A look reads nothing here while nothing has changed. ZooKeeper's watches (as far as kazoo 2 knows them) fire once and have to be set
again, by reading the list of names again: so a bucket in which something has changed is *stale*, and is read when the next look
needs it. Changes of this process's own are noted as they are written. A connection that is lost takes all watches with it: then all is read anew.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import merge
from typing import Any, Final

from kazoo.exceptions import NoNodeError
from kazoo.protocol.states import EventType

from ..errors import JobStoreError
from . import layout
from .calls import Call, children
from .layout import BUCKETS, Layout, bucket_of, record_name_of
from .link import IN_FLIGHT, Link

OTHERS_LATER: Final = 5_000_000
"""µs by which what is due in another scheduler's buckets counts as due later: each begins with its own, and nothing is left lying."""

_MISTAKEN: Final = 10_000
"""So many entries that were not their record's are remembered."""

Move = tuple[str | None, str | None]
"""An entry that goes, and the one that comes."""


class _Bucket:
    """The entries of one bucket."""

    __slots__ = (
        "connection",
        "entries",
        "foreign",
        "fresh",
        "leased",
        "moves",
        "read_as",
        "reading",
        "touched",
    )

    def __init__(self) -> None:
        self.entries: list[str] = []
        """In order."""
        self.leased: set[str] = set()
        """Those with a lease."""
        self.fresh = False
        """A watch is set, and has not fired."""
        self.foreign = True
        """It fired, and not for a change of our own; or it was never read."""
        self.touched = False
        """Something of our own is being written, or was, since the watch was set."""
        self.connection = -1
        self.reading = 0
        """Which reading of it was begun last: of others, the watch does not count."""
        self.read_as = 0
        """The number of the request that read it last."""
        self.moves: list[tuple[int, Move]] = []
        """What we have written since that was begun."""

    def move(self, move: Move) -> None:
        old, new = move
        if old is not None:
            place = bisect_left(self.entries, old)
            if place < len(self.entries) and self.entries[place] == old:
                del self.entries[place]
            self.leased.discard(old)
        if new is not None:
            place = bisect_left(self.entries, new)
            if place == len(self.entries) or self.entries[place] != new:
                insort(self.entries, new)
            if layout.lease_of(new) is not None:
                self.leased.add(new)

    def replace(self, names: Iterable[str]) -> None:
        self.entries = sorted(name for name in names if layout.is_entry(name))
        self.leased = {name for name in self.entries if name[19] != "-"}


class View:
    """Thread-safe, by the link's lock."""

    def __init__(self, link: Link, paths: Layout, changed: Callable[[], None]) -> None:
        """`changed` is called, from the client's thread, when somebody else has changed something."""
        self._link = link
        self._paths = paths
        self._changed = changed
        self._buckets = [_Bucket() for _ in range(BUCKETS)]
        self._mistaken: set[str] = set()

    # -- keeping up ------------------------------------------------------------------------------------------------------

    def is_unread(self) -> bool:
        """Whether a part of it was never read, or its watches are gone."""
        connection = self._link.connection
        return any(bucket.connection != connection for bucket in self._buckets)

    def is_stale(self) -> bool:
        """Whether somebody else has changed something."""
        return any(bucket.foreign for bucket in self._buckets)

    def refresh(self, own: bool) -> None:
        """Read the buckets anew that somebody else has changed; with `own` those, too, that only this process has. Raises JobStoreError.

        All requests are under way together: about the time of one round trip, or of a few if much has changed.
        """
        connection = self._link.connection
        stale = [
            number
            for number, bucket in enumerate(self._buckets)
            if bucket.connection != connection or bucket.foreign or (own and not bucket.fresh)
        ]
        for start in range(0, len(stale), IN_FLIGHT):
            self._read(stale[start : start + IN_FLIGHT])

    def _read(self, numbers: Sequence[int]) -> None:
        with self._link.lock:
            calls: list[Call] = []
            readings: list[int] = []
            for number in numbers:
                bucket = self._buckets[number]
                bucket.reading += 1
                bucket.touched = False
                bucket.moves = []
                readings.append(bucket.reading)
                calls.append(self._call(number, bucket.reading))
            connection = self._link.connection
            request, futures = self._link.begin(calls)
        answers = self._link.wait(futures)
        with self._link.lock:
            for number, reading, names in zip(numbers, readings, answers, strict=True):
                if isinstance(names, NoNodeError):
                    raise JobStoreError(
                        f"{self._link}: {self._paths.index_in(number)} is missing: somebody has deleted it. Start the store again"
                    )
                if isinstance(names, Exception):
                    raise self._link.translated(names) from names
                bucket = self._buckets[number]
                if request < bucket.read_as:
                    continue  # somebody has read it since
                bucket.replace(names)
                bucket.read_as = request
                for written, move in bucket.moves:
                    if written > request:
                        bucket.move(move)
                bucket.connection = connection
                if bucket.reading == reading:
                    bucket.foreign = False
                    bucket.fresh = not bucket.touched

    def _call(self, number: int, reading: int) -> Call:
        path = self._paths.index_in(number)

        def fired(event: Any) -> None:
            # In a thread of the client's, which must not wait long: this lock is never held while a request is waited for.
            if event.type == EventType.NONE:
                return  # the connection was lost, which the link knows
            with self._link.lock:
                bucket = self._buckets[number]
                if bucket.reading != reading:
                    return
                foreign = not bucket.touched
                bucket.fresh = False
                bucket.foreign = bucket.foreign or foreign
                # Should its own answer still be on the way, what is in it is older than this.
                bucket.reading += 1
            if foreign:
                self._changed()

        return children(path, fired)

    def touch(self, entries: Iterable[str]) -> None:
        """These are about to be written here. Under the link's lock, with the beginning of the request."""
        for entry in entries:
            bucket = self._buckets[bucket_of(record_name_of(entry))]
            bucket.touched, bucket.fresh = True, False

    def moved(self, request: int, moves: Iterable[Move]) -> None:
        """These were written here, by the request of that number."""
        with self._link.lock:
            for move in moves:
                entry = move[0] or move[1]
                if entry is None or move[0] == move[1]:
                    continue
                bucket = self._buckets[bucket_of(record_name_of(entry))]
                if request > bucket.read_as:
                    bucket.move(move)
                    bucket.moves.append((request, move))

    def doubt(self, entries: Iterable[str]) -> None:
        """What is known of these may be wrong: their buckets are read anew."""
        with self._link.lock:
            for entry in entries:
                self._buckets[bucket_of(record_name_of(entry))].foreign = True

    def mistaken(self, entry: str) -> None:
        """Its record says something else: somebody has just written that, or, if it is so once more, somebody else has made this entry."""
        with self._link.lock:
            if entry in self._mistaken:
                self.ignore(entry)
                return
            if len(self._mistaken) >= _MISTAKEN:
                self._mistaken.clear()
            self._mistaken.add(entry)
            self.doubt([entry])

    def ignore(self, entry: str) -> None:
        """There is no such record, so somebody else has made this entry: it is passed over until its bucket is read anew."""
        with self._link.lock:
            bucket = self._buckets[bucket_of(record_name_of(entry))]
            bucket.move((entry, None))

    # -- looking ---------------------------------------------------------------------------------------------------------

    def due(self, now: int, alias: str, is_mine: Callable[[int], bool] | None = None) -> Iterator[str]:
        """The entries of an executor that are to wake by now, the earliest first; those of others' buckets as if they were later."""
        limit = layout.before(now)
        part = f".{layout.encoded_alias(alias)}."
        with self._link.lock:
            found = [
                (entries[: bisect_left(entries, limit)], is_mine is None or is_mine(number))
                for number, bucket in enumerate(self._buckets)
                if (entries := bucket.entries) and entries[0] < limit
            ]
        streams = [_of_executor(entries, part, 0 if mine else OTHERS_LATER) for entries, mine in found]
        return (entry for _, entry in merge(*streams))

    def next_wake(self, now: int, aliases: Collection[str]) -> int | None:
        """The earliest time after now at which one of the executors has something to wake."""
        limit = layout.before(now)
        wanted = {layout.encoded_alias(alias) for alias in aliases}
        best: str | None = None
        with self._link.lock:
            for bucket in self._buckets:
                entries = bucket.entries
                place = bisect_left(entries, limit) if entries and entries[0] < limit else 0
                while place < len(entries):
                    entry = entries[place]
                    if entry[0] == "z" or (best is not None and entry >= best):
                        break
                    if layout.alias_of(entry) in wanted:
                        best = entry
                        break
                    place += 1
        return None if best is None else layout.wake_of(best)

    def leased(self, until: int) -> Iterator[str]:
        """The entries with a lease that ends by then, the earliest lease first."""
        limit = layout.before(until)
        with self._link.lock:
            found = [
                sorted(entry for entry in bucket.leased if entry[19:37] < limit)
                for bucket in self._buckets
                if bucket.leased
            ]
        return merge(*(sorted(entries, key=_lease) for entries in found), key=_lease)

    def overdue(self, now: int) -> set[str]:
        """The aliases, encoded, of the executors that have something to wake by now."""
        limit = layout.before(now)
        with self._link.lock:
            return {
                layout.alias_of(entry)
                for bucket in self._buckets
                for entry in bucket.entries[: bisect_left(bucket.entries, limit)]
            }

    def entries(self) -> int:
        """How many there are."""
        with self._link.lock:
            return sum(len(bucket.entries) for bucket in self._buckets)


def _of_executor(entries: Sequence[str], part: str, later: int) -> Iterator[tuple[int, str]]:
    for entry in entries:
        if entry.startswith(part, 20 if entry[19] == "-" else 37):
            yield int(entry[:18]) + later, entry


def _lease(entry: str) -> str:
    return entry[19:37]
