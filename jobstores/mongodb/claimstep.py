"""`ClaimRound`: one claim: look at what is due, reserve it if others may be at it, decide, and say what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from bson.int64 import Int64
from pymongo import ASCENDING
from pymongo.write_concern import WriteConcern

from ..claiming import ClaimBatch
from ..record import Record, Wanted
from ..recordstore import Choice
from ..sharedstore import PAGE
from .connecting import Collection
from .documents import WITHOUT_PAYLOAD, Document, load_record, to_bson
from .link import Link
from .writing import Released

RESERVED_FOR: Final = 2_000_000
"""µs after which a reservation that nobody has followed up ends: longer than deciding a batch takes, shorter than anybody would notice."""

FEW: Final = 8
"""If so many more records are passed over than taken, most of what is due is not for this process, and reserving it would be in vain."""

_CHUNKS: Final = 8
"""So often a claim goes on to what comes next when others have reserved before it what it has found."""

_SMALLEST: Final = Int64(-(2**63))
_FIELDS: Final = {**WITHOUT_PAYLOAD, "reserved_until": 1, "reserved_by": 1}
_ORDER: Final = [("wake_at", ASCENDING)]


class ClaimRound(ClaimBatch):
    """The claim of one pass. Used by one thread."""

    def __init__(
        self,
        link: Link,
        now: int,
        wanted: Wanted,
        choose: Callable[[Record], Choice],
        *,
        owner: str,
        lease_until: int | None,
        stamp: str,
        holder: str,
        reserves: bool,
    ) -> None:
        """`holder`: in whose name records are reserved; `reserves`: whether they are."""
        super().__init__(now, choose, owner=owner, lease_until=lease_until, stamp=stamp)
        self._link = link
        self._wanted = wanted
        self._holder = holder
        self._reserves = reserves
        self._reserved: list[str] = []
        self._seen: set[Any] = set()
        self._read = 0
        self._later: int | None = None
        self.met_others = False
        """Whether others have reserved what is due."""

    def decide_all(self) -> None:
        """Look and decide. `won` says all that there is to say."""
        won = self.begin()
        # One more than there is room for tells whether more is due, or when.
        size = min(sum(max(room, 0) for room in self._wanted.values()) + 1, PAGE)
        first = self._link.find(self._condition([*self._wanted]), _FIELDS, sort=_ORDER, limit=size)
        complete = len(first) < size or not self._is_due(first[-1])
        for alias, room in self._wanted.items():
            documents = self._due(alias, first, complete)
            self.decide(self._reserving(documents, room) if self._reserves else self._free(documents), room)
        won.wake_at = self._wake_at()

    def _wake_at(self) -> int | None:
        times = [] if self._later is None else [self._later]
        if self._reserves:
            # What others have reserved was not even looked at: some of it may be left over.
            times.append(self._now + RESERVED_FOR)
        for _, _, after in self.won.rows:
            if isinstance(after, Record) and after.wake_at is not None and after.wake_at > self._now:
                times.append(after.wake_at)
        return min(times, default=None)

    @property
    def passed_over(self) -> bool:
        """Whether most of what is due is not for this process."""
        return self._read > 2 * (len(self.won.rows) + len(self.won.deferred)) + FEW

    def released(self) -> Released | None:
        """The reservations that are not followed up: neither written nor deferred, of which the next claim has need."""
        taken = {before.id for before, _, _ in self.won.rows}
        taken.update(record.id for record in self.won.deferred)
        left = [job_id for job_id in self._reserved if job_id not in taken]
        return Released(left, self._holder) if left else None

    # -- what is due, document by document -----------------------------------------------------------------------------

    def _due(self, alias: str, first: Sequence[Document], complete: bool) -> Iterator[Document]:
        """The due documents of an executor in the order of time: those of the first page, and if that was not all, page after page."""
        name = to_bson(alias)
        for document in first:
            if not self._is_due(document):
                self._note(document["wake_at"])
            elif document["executor"] == name and self._is_new(document):
                yield document
        if complete:
            return
        for document in self._link.pages(self._condition([alias]), _FIELDS, sort=_ORDER, batch_size=PAGE):
            if not self._is_due(document):
                self._note(document["wake_at"])
                return
            if self._is_new(document):
                yield document

    def _condition(self, aliases: Sequence[str]) -> Document:
        names = [to_bson(alias) for alias in aliases]
        condition: Document = {
            "executor": names[0] if len(names) == 1 else {"$in": names},
            "wake_at": {"$gte": _SMALLEST},
        }
        if self._reserves:
            condition["$or"] = self._unreserved()
        return condition

    def _unreserved(self) -> list[Document]:
        return [
            {"reserved_until": None},
            {"reserved_until": {"$lte": Int64(self._now)}},
            {"reserved_by": self._holder},
        ]

    def _is_due(self, document: Document) -> bool:
        # What is no whole number, nobody here has written: it is passed over like what is due and damaged.
        at = document.get("wake_at")
        return not isinstance(at, int) or at <= self._now

    def _note(self, at: int) -> None:
        if self._later is None or at < self._later:
            self._later = int(at)

    def _is_new(self, document: Document) -> bool:
        name = document["_id"]
        if name in self._seen:
            return False
        self._seen.add(name)
        return True

    def _free(self, documents: Iterator[Document]) -> Iterator[Record]:
        """The records of those that nobody has reserved."""
        for document in documents:
            until = document.get("reserved_until")
            if isinstance(until, int) and until > self._now and document.get("reserved_by") != self._holder:
                self.met_others = True
                # Whatever stands there: not longer than anybody would reserve it.
                self._note(min(until, self._now + RESERVED_FOR))
                continue
            self._read += 1
            yield load_record(document)

    def _reserving(self, documents: Iterator[Document], room: int) -> Iterator[Record]:
        """The records of those that this claim has reserved, as many at a time as there is room for."""
        before = len(self.won.rows) + len(self.won.deferred)
        for _ in range(_CHUNKS):
            left = room - (len(self.won.rows) + len(self.won.deferred) - before)
            chunk = [*islice(documents, max(left, 1))]
            if not chunk:
                return
            if left <= 0:
                # Only to tell that there is more.
                yield load_record(chunk[0])
                return
            mine = self._reserve(chunk)
            if len(mine) < len(chunk):
                self.met_others = True
            self._read += len(mine)
            yield from map(load_record, mine)
        self.won.more = True

    def _reserve(self, documents: Sequence[Document]) -> Sequence[Document]:
        """Reserve documents that are as they were read, and not reserved. Those that are reserved now."""
        until = Int64(self._now + RESERVED_FOR)
        names = [document["_id"] for document in documents]
        stamps = [*{document.get("stamp"): None for document in documents}]
        condition = {"_id": {"$in": names}, "stamp": {"$in": stamps}, "$or": self._unreserved()}
        update = {"$set": {"reserved_until": until, "reserved_by": self._holder}}

        def reserve(collection: Collection) -> int:
            # Nothing depends on it: whoever answers first will do.
            quick = collection.with_options(write_concern=WriteConcern(1))
            return quick.update_many(condition, update).matched_count

        mine = documents
        if self._link.ask(reserve) != len(documents):
            found = self._link.find(
                {"_id": {"$in": names}, "reserved_by": self._holder, "reserved_until": until}, {"stamp": 1}
            )
            stamps_now = {document["_id"]: document.get("stamp") for document in found}
            mine = [
                document
                for document in documents
                if document["_id"] in stamps_now and stamps_now[document["_id"]] == document.get("stamp")
            ]
        self._reserved += [load_record(document).id for document in mine]
        return mine
