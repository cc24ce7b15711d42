"""`MongoDBJobStore`: jobs in a collection of MongoDB, for any number of schedulers that share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..base import BaseJobStore
from ..errors import JobStoreError
from ..job import Job
from ..owner import Owner
from ..record import Record, Transition, Wanted, Written
from ..recordstore import Applied, Choice, Won
from ..sharedstore import PAGE, SharedJobStore
from . import connecting as _first  # noqa: F401 - it says what is to be installed
from .adding import Adding
from .arguments import client_from, name_of
from .claimstep import ClaimRound
from .documents import WITH_PAYLOAD, WITHOUT_PAYLOAD, from_bson, ids, is_hidden, load_record
from .layout import LAYOUT_ID, prepare
from .link import Link
from .listening import Listener
from .writing import InDoubtError, Writing

LARGEST: Final = (16 << 20) - (1 << 18)
"""Bytes of a payload, so that there is room for the open runs beside it."""

_TRIES: Final = 20

_WARY: Final = 64
"""After so many claims in which nobody came before, nothing is reserved any more."""


class MongoDBJobStore(SharedJobStore):
    """Jobs in a collection of MongoDB (4.4 or later). Any number of schedulers, in any number of processes, may share them. Thread-safe.

    database, collection: their names. Stores of different collections may share a database. Both are made when they are needed.
    client: a `pymongo.MongoClient`, or a reference to one ("module:name"). It is used as it is, waits no longer than `timeout` here whatever
        it is set to, and is not closed.
    url, or the arguments of `MongoClient` (host, port, username, password, tls, replicaSet...): the server, without a client. The database
        that a URL may name is where its user is looked up, and not where the jobs are.
    serializer, pickle_protocol, signing_keys, allowed_callables: see `Serializer`. JSON, unless a pickle_protocol is given.
    poll_interval: seconds after which a scheduler looks for jobs that others have added, where the server has no change streams.
    timeout: seconds that one answer is waited for, the search for a server included; then it counts as unreachable.

    **Two schedulers never win the same run.** A claim reads what is due, decides it, and writes each record by an update with the
    condition that its stamp is still the one that was read. The server carries out the updates of one document one after the other, and
    every write sets a stamp that no other write has; so of two schedulers that have read the same record, the second finds another stamp,
    and does not start the run. Where schedulers have come in each other's way, they *reserve* records for two seconds before they decide
    them, in two fields of their own: this spares them work in vain, and nothing else depends on it.

    **A majority keeps what is confirmed.** All writes are made with the write concern "majority" and in the journal, so no failover takes back
    what was answered. Records are read from the primary as it has them (read concern "local"), which a failover might take back: but whatever is
    concluded from them is confirmed by such a write, which comes after them in the order of the server's log, or finds nothing to do and then
    waits for a majority all the same. So a claim that rests on what is taken back, is taken back with it, and never confirmed.

    **All or nothing** is each record by itself. `add_jobs` adds all of its jobs or none, also if the process dies in the middle, with or without
    transactions: see `adding.py`.

    **A write whose answer gets lost** is asked for once more as it is: of two requests with the same condition, the second finds another
    stamp. Then the stamps tell what was written. If the server cannot be asked, `JobStoreError` says so; runs which such a claim may have taken
    are not started, and when the server is back, whatever may still be under way finds another stamp, and the runs are given back.

    Whatever the server or the driver raises comes out as `JobStoreError`, with its cause; as `StoreUnreachableError` if it may pass by
    itself. A document that this process cannot restore, or that is damaged, or nobody's here, is passed over, and nothing is ever deleted for it.
    After a fork the child has to `start` the store before it uses it, and then has a client of its own, unless it was given one.
    """

    shared = True

    def __init__(
        self,
        database: str = "mainspring",
        collection: str = "jobs",
        client: Any = None,
        pickle_protocol: int | None = None,
        *,
        url: str | None = None,
        serializer: str | None = None,
        signing_keys: Iterable[str | bytes] | None = None,
        allowed_callables: Iterable[str] | None = None,
        poll_interval: float = 1.0,
        timeout: float = 10.0,
        **connect_args: Any,
    ) -> None:
        super().__init__(serializer, pickle_protocol, signing_keys, allowed_callables, poll_interval, timeout)
        names = name_of("database", database), name_of("collection", collection)
        given, settings = client_from(client, url, connect_args, self._timeout)
        self._link = Link(given, settings, *names, self._timeout)
        self._writing = Writing(self._link)
        self._adding = Adding(self._link, lambda: self.owner)
        self._listener: Listener | None = None
        self._doubts: list[InDoubtError] = []
        self._wary = 0
        self._reserves = True
        self.claim_attempts = 0
        """How many records claims have compared, and written if they were as they had been read."""
        self.claims_lost = 0
        """How many of those were not, since somebody else was faster."""

    # -- life ----------------------------------------------------------------------------------------------------------

    def own(self, owner: Owner, lease: int) -> None:
        super().own(owner, lease)
        self._wary = 0

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect. Raises StoreUnreachableError if the server cannot be reached for now, and JobStoreError for what will not pass by itself."""
        super().start(scheduler, alias)
        if self.owner.pid != os.getpid():
            self.own(Owner(), self._lease)  # a fork writes in a name of its own
        self._stop_listening()
        self._link.open()
        try:
            self._link.check_version()
            prepare(self._link, self._logger)
            self._adding.sweep(None)
        except BaseException:
            self._link.close()
            raise
        if self.on_push is not BaseJobStore.on_push:
            # Somebody wants to know.
            self._listener = Listener(
                self._link.collection, lambda: self.owner.boot, self._heard, self._logger
            )
            self._listener.start()

    def shutdown(self) -> None:
        """Close the store's connections, never the client that it was given; the store may be started again."""
        self._stop_listening()
        self._link.close()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None and self._link.opened_here:  # a fork has no such thread
            listener.stop()

    def _heard(self, at: int) -> None:
        self.on_push(at)

    def server_time(self) -> int | None:
        at = self._link.hello().get("localTime")
        return None if at is None else int(at) * 1_000

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        fields = WITH_PAYLOAD if payload else WITHOUT_PAYLOAD
        # A page may bring again what another one has brought.
        records: dict[str, Record] = {}
        pages: list[Any] = [{"_id": {"$ne": LAYOUT_ID}}]
        if job_ids is not None:
            pages = [{"_id": ids(job_ids[start : start + PAGE])} for start in range(0, len(job_ids), PAGE)]
        for condition in pages:
            for document in self._link.pages(condition, fields):
                if not is_hidden(document):
                    record = load_record(document)
                    records[record.id] = record
        return [*records.values()]

    def overdue_executors(self, now: int) -> set[str]:
        names = self._link.ask(lambda collection: collection.distinct("executor", {"wake_at": {"$lte": now}}))
        return {from_bson(name) for name in names if isinstance(name, str)}

    def _leased(self, until: int, size: int) -> list[tuple[str, str]]:
        found = self._link.find(
            {"lease": {"$lte": until}}, {"runs": 1}, sort=[("lease", 1)], limit=0 if size > 2**31 else size
        )
        return [
            (from_bson(document["_id"]), document["runs"])
            for document in found
            if isinstance(document["_id"], str) and isinstance(document.get("runs"), str)
        ]

    def _expired(self, now: int) -> list[str]:
        looked = self._looked_for_dead_at
        expired = super()._expired(now)
        if self._looked_for_dead_at != looked:
            self._adding.sweep(now)
        return expired

    def pack(self, job: Job) -> bytes:
        payload = super().pack(job)
        if len(payload) > LARGEST:
            raise JobStoreError(
                f"{self._link}: job {job.id!r} takes {len(payload):,} bytes, and MongoDB keeps at most 16 MB in a document: store the data "
                "elsewhere, and give the job its name"
            )
        return payload

    # -- writing -------------------------------------------------------------------------------------------------------

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        self._adding.insert(records, stamp)

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        applied: list[Applied | None] = [None] * len(changes)
        left = [*range(len(changes))]
        known: Mapping[str, Record] = self._recent
        believed = True  # what is known, until it turns out to be outdated
        kept: set[str] = set()
        for _ in range(_TRIES):
            if not left:
                return applied
            found = self._found({changes[place][0] for place in left}, known)
            again: set[str] = set()
            current: dict[str, Record | None] = {}
            for place in left:
                job_id, transition = changes[place]
                before = current[job_id] if job_id in current else found.get(job_id)
                after = None if before is None else transition(before)
                if isinstance(after, Record) and before is not None and after.stamp == before.stamp:
                    after = replace(after, stamp=self.owner.stamp())  # it is what the next write compares
                if after is not None:
                    current[job_id] = None if after is Written.DELETED else after
                elif believed and job_id in known:
                    again.add(job_id)  # that nothing is to be done is believed only of what was read
                applied[place] = None if before is None else Applied(before, after)
            written = [
                (found[job_id], self._ended(found[job_id]) if job_id in kept and after is None else after)
                for job_id, after in current.items()
                if job_id not in again
            ]
            # Also if nothing is to be written: what was read has to be what a majority keeps.
            lost = self._writing.commit(written, pushes=True)
            self._remember(change for change in written if change[0].id not in lost)
            again |= lost
            # What is over and was not deleted may be marked by somebody who adds a job of that id; turn by turn, since the mark may go.
            kept = set() if believed else {each.id for each, after in written if after is None} & lost
            left = [place for place in left if changes[place][0] in again]
            known, believed = {}, False
        raise self._overtaken()

    def _ended(self, before: Record) -> Record | None:
        """What becomes of a record that is to be deleted, while it is marked: whoever has marked it puts another in its place, or deletes it."""
        if before.state != "ended":
            return None  # nobody has marked that
        return replace(before, runs=(), wake_at=None, stamp=self.owner.stamp())

    def _found(self, job_ids: Iterable[str], known: Mapping[str, Record]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        unknown = []
        for job_id in job_ids:
            record = known.get(job_id)
            if record is None:
                unknown.append(job_id)
            else:
                found[job_id] = record
        if unknown:
            found.update((record.id, record) for record in self._read(unknown, payload=False))
        return found

    def _overtaken(self) -> JobStoreError:
        return JobStoreError(f"{self._link}: others have changed the same records {_TRIES} times in between")

    def _clear(self) -> None:
        # By what was read, so that a request that is late deletes nothing that is added behind it.
        ours = {"_id": {"$type": "string"}, "stamp": {"$type": "string"}}
        while records := self._link.find(ours, {"stamp": 1}, limit=PAGE):
            condition = {
                "_id": {"$in": [document["_id"] for document in records]},
                "stamp": {"$in": [*{document["stamp"]: None for document in records}]},
            }
            self._link.ask(lambda collection: collection.delete_many(condition))  # noqa: B023 - called at once

    # -- claims --------------------------------------------------------------------------------------------------------

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        if not wanted:
            return Won()
        self._give_back_doubtful()
        claim = ClaimRound(
            self._link,
            now,
            wanted,
            choose,
            owner=self.owner.name,
            lease_until=now + self._lease,
            stamp=stamp,
            holder=self.owner.boot,
            reserves=self._reserves and self._wary > 0,
        )
        claim.decide_all()
        self._wary = _WARY if claim.met_others else max(0, self._wary - 1)
        self._reserves = not claim.passed_over
        changes, released = claim.written, claim.released()
        if changes or released:
            try:
                lost = self._writing.commit(changes, released=released)
            except InDoubtError as doubt:
                # Nobody here will start these runs: they are given back as soon as the server can be reached.
                self._in_doubt += claim.started()
                self._doubts.append(doubt)
                raise
            self.claim_attempts += len(changes)
            self.claims_lost += len(lost)
            if lost:
                # Somebody else was faster, and what is left is looked at again.
                claim.forget(lost)
                claim.won.more = True
                self._wary = _WARY
            self._remember(change for change in changes if change[0].id not in lost)
        return claim.won

    def _give_back_doubtful(self) -> None:
        while self._doubts:
            self._writing.settle(self._doubts[-1])
            self._doubts.pop()
        super()._give_back_doubtful()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._link}>"
