"""`RedisJobStore`: jobs on a Redis server, for any number of schedulers that share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from .. import edits
from ..base import BaseJobStore
from ..claiming import Change
from ..errors import ConflictingIdError, JobStoreError
from ..owner import Owner
from ..record import Record, Transition, Wanted, Written
from ..recordlines import escaped, load_record, runs_of, to_text, unescaped
from ..recordstore import Applied, Choice, Won
from ..sharedstore import PAGE, SharedJobStore
from .arguments import client_from, database, in_order
from .claimstep import FEW, RESERVED_FOR, ClaimRound
from .codec import in_lines, in_pairs, in_pieces
from .durability import warnings_about
from .keys import Keys
from .link import Link
from .push import Listener
from .scripts import CLEAR, LEASED, LOOK, NOW, OPEN, OVERDUE, READ, READ_PAGE
from .writing import LAYOUT, InDoubtError, Writing, newer_layout
from .writing import Written as _Written

_TRIES: Final = 20

_WARY: Final = 64
"""After so many claims in which nobody came before, little is claimed without a reservation again."""


_NOTHING_HELD: Final[tuple[int, Mapping[str, Record]]] = (0, {})


class RedisJobStore(SharedJobStore):
    """Jobs on a Redis server (6.2 or later), or Valkey. Any number of schedulers, in any number of processes, may share them. Thread-safe.

    db: the number of the database; None for the client's own, or 0.
    positional: behind db a client, or, as APScheduler has it, jobs_key, run_times_key and pickle_protocol.
    jobs_key: what the names of all keys begin with: `"{team-a}.jobs"`, or a name without a `{hash tag}`, which becomes one as a whole. By
        default `{mainspring}`. Stores of different names may share a database.
    run_times_key: taken for APScheduler's sake, and not needed: the index stands beside the jobs, under their name.
    client: a client of redis-py, or a reference to one ("module:name"): `redis.Redis`, `Sentinel(...).master_for(...)`, `RedisCluster`. Of the
        first two the store takes over the settings, and makes connections of its own with them: to database `db` of the client's server,
        if one is given, answers not decoded, nothing repeated behind its back, `timeout` as it says here. The client itself is not used, and not closed. A
        cluster's client is used as it is, so its `socket_timeout` counts; there are no databases there.
    url, or the arguments of `redis.Redis` (host, port, password, ssl, unix_socket_path...): the server, without a client.
    serializer, pickle_protocol, signing_keys, allowed_callables: see `Serializer`. JSON, unless a pickle_protocol is given.
    poll_interval: seconds after which a scheduler looks for jobs that others have added, should a push have been lost.
    timeout: seconds that one answer of the server is waited for; then the server counts as unreachable.

    **Two schedulers never win the same run.** A claim *reserves* a batch, decides it, and *commits* it: one script compares, record by record,
    whether the stamp is still the one that was read, and writes only those for which it is. The server runs one script at a time, and every
    write sets a stamp that no other write has; so of two schedulers that have read the same record, the second finds another stamp, and
    does not start the run. To reserve is to move a record back in the index for two seconds, so that others find other records: this
    spares them work in vain, and nothing else depends on it. A few due records are not even reserved, while nobody comes in between, and the one
    record that was waited for is written as it was seen when it was not due yet: the comparison is the same.

    **All or nothing** is each record by itself, with its entry in the index. `add_jobs` adds all of its jobs or none.

    **A write whose answer gets lost** leaves a note on the server, in the same step, by which the store finds out whether it was done. If
    it was not, the same note sees to it that it never will be, though the request may still be under way; and the write is tried again. If
    the server cannot be asked, `JobStoreError` says so: runs which such a claim may have taken are not started, and are given back as soon as it can.

    **What the server forgets, is forgotten.** With `appendonly yes` and `appendfsync always` an answer means that the write is on the
    disk, and survives a crash. With `everysec`, the default of most, a crash of the machine can undo the last second, without an append-only
    file much more: jobs that were added are missing again, those that were removed are back, and **runs that were done are due again:
    they are dispatched once more**, whatever the job's `recovery` says. The same holds for a failover, to a replica of a Sentinel's, a cluster's or a
    managed service's: replication does not wait, so what had not reached the replica is undone. `min-replicas-to-write` makes that rarer, and cannot exclude
    it. `maxmemory-policy` has to be `noeviction`. At start the store looks at these settings, where it may, and warns.

    Whatever the server or the driver raises comes out as `JobStoreError`, with its cause; as `StoreUnreachableError` if it may pass by
    itself. A record that this process cannot restore, or that is damaged, is passed over, and nothing is ever deleted for it. After a fork
    the child has to `start` the store before it uses it, and then has connections of its own.
    """

    shared = True

    def __init__(
        self,
        db: int | None = None,
        *positional: Any,
        jobs_key: str | None = None,
        run_times_key: str | None = None,
        pickle_protocol: int | None = None,
        client: Any = None,
        url: str | None = None,
        serializer: str | None = None,
        signing_keys: Iterable[str | bytes] | None = None,
        allowed_callables: Iterable[str] | None = None,
        poll_interval: float = 1.0,
        timeout: float = 10.0,
        **connect_args: Any,
    ) -> None:
        given = in_order(positional, jobs_key, run_times_key, pickle_protocol, client)
        super().__init__(
            serializer, given.pickle_protocol, signing_keys, allowed_callables, poll_interval, timeout
        )
        self._keys = Keys(given.jobs_key)
        chosen, db = client_from(given.client, database(db), url, connect_args)
        self._link = Link(chosen, db, self._timeout)
        self._listener: Listener | None = None
        self._doubts: list[InDoubtError] = []
        self._wary = 0
        self._reserves = True
        self._held = _NOTHING_HELD
        self._foreseen: Record | None = None
        self.claim_attempts = 0
        """How many records claims have compared, and written if they were as they had been read."""
        self.claims_lost = 0
        """How many of those were not, since somebody else was faster."""
        self._writing = Writing(self._link, self._keys)

    # -- life ----------------------------------------------------------------------------------------------------------

    def own(self, owner: Owner, lease: int) -> None:
        super().own(owner, lease)
        self._held = _NOTHING_HELD
        self._foreseen = None
        self._wary = 0

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect. Raises StoreUnreachableError if the server cannot be reached for now, and JobStoreError for what will not pass by itself."""
        super().start(scheduler, alias)
        if self.owner.pid != os.getpid():
            self.own(Owner(), self._lease)  # a fork writes in a name of its own
        self._stop_listening()
        self._link.open()
        self._writing = Writing(self._link, self._keys)
        try:
            layout = to_text(self._link.run(OPEN, [self._keys.version], LAYOUT))
            if layout != LAYOUT:
                raise JobStoreError(newer_layout(self._link, layout))
            for warning in warnings_about(self._link, self._keys.records):
                if warning not in self._warned:
                    self._warned.add(warning)
                    self._logger.warning(warning)
        except BaseException:
            self._link.close()
            raise
        if self.on_push is not BaseJobStore.on_push:
            # Somebody wants to know.
            self._listener = Listener(
                lambda: self._link.listening_pool(self._keys.records),
                self._keys.channel,
                self._writing.name,
                self._heard,
                self._logger,
            )
            self._listener.start()

    def shutdown(self) -> None:
        """Close the store's connections, never the client that it was given; the store may be started again."""
        self._stop_listening()
        self._writing.forget()
        self._link.close()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None and self._link.opened_here:  # a fork has no such thread
            listener.stop()

    def _heard(self, at: int) -> None:
        self.on_push(at)

    def server_time(self) -> int | None:
        seconds, micros = self._link.run(NOW, [self._keys.records])
        return int(seconds) * 1_000_000 + int(micros)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        if job_ids is None:
            return self._read_all(payload)
        records = []
        for start in range(0, len(job_ids), PAGE):
            page = job_ids[start : start + PAGE]
            keys = [self._keys.records, self._keys.payloads]
            lines, *bodies = self._link.run(READ, keys, "1" if payload else "", *map(escaped, page))
            records += [
                load_record(job_id, line, body)
                for job_id, line, body in zip(page, in_lines(lines), in_pieces(bodies), strict=False)
                if line
            ]
        return records

    def _read_all(self, payload: bool) -> list[Record]:
        # A page may bring again what another one has brought.
        records: dict[str, Record] = {}
        cursor = b"0"
        while True:
            cursor, lines, *bodies = self._link.run(
                READ_PAGE, [self._keys.records, self._keys.payloads], cursor, PAGE, "1" if payload else ""
            )
            for (job_id, line), body in zip(in_pairs(lines), in_pieces(bodies), strict=False):
                records[job_id] = load_record(job_id, line, body)
            if cursor == b"0":
                return [*records.values()]

    def overdue_executors(self, now: int) -> set[str]:
        aliases = self._link.run(OVERDUE, [self._keys.executors], now, self._keys.index_prefix)
        return {unescaped(alias) for answered in aliases for alias in in_lines(answered)}

    def _leased(self, until: int, size: int) -> list[tuple[str, str]]:
        at_most = -1 if size > 2**53 else size
        lines = self._link.run(LEASED, [self._keys.records, self._keys.leases], until, at_most)
        return [(job_id, runs_of(line)) for job_id, line in in_pairs(lines)]

    # -- writing -------------------------------------------------------------------------------------------------------

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        existing: dict[str, Record | None] = {}
        for _ in range(_TRIES):
            changes: list[Change] = []
            for record in records:
                before = existing.get(record.id)
                after = edits.add(before, record, stamp)
                if after is None:
                    raise ConflictingIdError(record.id)
                if after is not Written.DELETED:
                    changes.append((record if before is None else before, after))
            if not changes:
                return
            written = self._writing.commit(changes, all_or_none=True, pushes=True)
            if written.done:
                return
            existing.update(written.in_the_way)
        raise self._overtaken()

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        applied: list[Applied | None] = [None] * len(changes)
        left = [*range(len(changes))]
        known: Mapping[str, Record] = self._recent
        believed = True  # what is known, until it turns out to be outdated
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
            written = [(found[job_id], after) for job_id, after in current.items() if job_id not in again]
            if written or not found:
                # If there is no record at all, that the server can be written to is still asked (`Port.recover`).
                lost = self._writing.commit(written, pushes=True).lost
                self._remember(change for change in written if change[0].id not in lost)
                again |= lost
                if self._foreseen is not None and self._foreseen.id in current:
                    self._foreseen = None
            left = [place for place in left if changes[place][0] in again]
            known, believed = {}, False
        raise self._overtaken()

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
        return JobStoreError(f"{self._link}: the records are changed faster than they can be written")

    def _clear(self) -> None:
        keys = [self._keys.executors, self._keys.records, self._keys.payloads, self._keys.leases]
        self._link.run(CLEAR, keys, self._keys.index_prefix)

    # -- claims --------------------------------------------------------------------------------------------------------

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        if not wanted:
            return Won()
        self._give_back_doubtful()

        def look(aliases: Sequence[str], numbers: Sequence[int]) -> list[Any]:
            until = str(now + RESERVED_FOR) if self._reserves else ""
            keys = [self._keys.records, *map(self._keys.index, aliases)]
            answer: list[Any] = self._link.run(LOOK, keys, now, until, 0 if self._wary else FEW, *numbers)
            return answer

        def new_round(wanted: Wanted, held: Mapping[str, Record]) -> ClaimRound:
            until = now + self._lease
            return ClaimRound(
                look, now, wanted, choose, owner=self.owner.name, lease_until=until, stamp=stamp, held=held
            )

        foreseen, self._foreseen = self._foreseen, None
        if foreseen is None or self._wary:
            return self._look_and_claim(new_round, now, wanted)
        claim = new_round(wanted, {})
        if not claim.decide_foreseen(foreseen):
            return self._look_and_claim(new_round, now, wanted)
        # The one that was waited for is written without another look. If somebody has changed it since, the comparison says so.
        if self._write_claim(claim, now, wanted).due:
            try:
                rest = self._look_and_claim(new_round, now, claim.rooms())
            except JobStoreError:
                # What is won has to be started. The next look meets the error, if it has not passed.
                claim.won.more = True
            else:
                rest.rows[:0] = claim.won.rows  # first, since the same job may be in both
                return rest
        return claim.won

    def _look_and_claim(
        self, new_round: Callable[[Wanted, Mapping[str, Record]], ClaimRound], now: int, wanted: Wanted
    ) -> Won:
        held_until, held = self._held
        self._held = _NOTHING_HELD
        # Later, they are found like any others.
        claim = new_round(wanted, held if held_until - RESERVED_FOR <= now < held_until else {})
        if claim.decide_all():
            self._write_claim(claim, now, wanted)
        else:
            self._foreseen = claim.first
        if claim.held:
            self._held = now + RESERVED_FOR, claim.held
        self._reserves = not claim.passed_over
        return claim.won

    def _write_claim(self, claim: ClaimRound, now: int, wanted: Wanted) -> _Written:
        won, changes = claim.won, claim.written
        try:
            written = self._writing.commit(changes, released=claim.released(), now=now, aliases=wanted)
        except InDoubtError as doubt:
            # Nobody here will start these runs: they are given back as soon as the server can be reached.
            self._in_doubt += claim.started()
            self._doubts.append(doubt)
            raise
        won.wake_at, self._foreseen = written.wake_at, written.first
        self.claim_attempts += len(changes)
        self.claims_lost += len(written.lost)
        self._wary = max(0, self._wary - 1)
        if written.lost:
            # Somebody else was faster, and what is left is looked at again.
            won.rows = [row for row in won.rows if row[0].id not in written.lost]
            won.more = True
            self._wary = _WARY
        self._remember(change for change in changes if change[0].id not in written.lost)
        return written

    def _give_back_doubtful(self) -> None:
        while self._doubts:
            self._writing.settle(self._doubts[-1])
            self._doubts.pop()
        super()._give_back_doubtful()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._link}>"
