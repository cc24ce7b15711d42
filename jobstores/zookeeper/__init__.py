"""`ZooKeeperJobStore`: jobs in an ensemble of ZooKeeper's, for any number of schedulers that share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from ..errors import JobStoreError, UnsupportedSerializationError
from ..job import Job
from ..openruns import dump_runs
from ..owner import Owner
from ..record import FORMAT_VERSION, Record, Transition, Wanted, Written
from ..recordstore import Applied, Choice, Won
from ..sharedstore import MAX_RECENT, PAGE, SharedJobStore, positive_seconds
from . import layout
from .arguments import ClientSource
from .claimstep import ClaimRound
from .inserting import Adding
from .layout import MAX_NODE, Layout, Stored
from .link import Link
from .opening import open_layout
from .peers import Peers
from .portions import Additions
from .reading import Reading
from .view import View
from .writing import Change, Committed, Writing

_TRIES: Final = 20

_PATIENCE: Final = 5
"""So many poll intervals may pass, as long as there is always something due."""


class ZooKeeperJobStore(SharedJobStore):
    """Jobs in ZooKeeper (3.5 or later). Any number of schedulers, in any number of processes, may share them. Thread-safe.

    path: the node under which everything is kept; it is made if it is not there. Stores of different paths may share an ensemble.
    client: a `kazoo.client.KazooClient`, or a reference to one ("module:name"); it is used as it is, with its chroot, its authentication and its
        `default_acl`, and started if it is not. It is left as it is at the end, unless `close_connection_on_exit` is given. A fork of the process that
        made it gets one of its own with the same settings.
    hosts, timeout of the session (as `session_timeout`, seconds), and all other arguments of `KazooClient`: without a client. `auth_data` and
        `default_acl` protect what is kept: see the documentation.
    serializer, pickle_protocol, signing_keys, allowed_callables: see `Serializer`. JSON, unless a pickle_protocol is given.
    poll_interval: seconds after which a scheduler looks for what others have changed where it has changed something itself; under full load
        five times that.
    timeout: seconds that one answer is waited for; then the server counts as unreachable.

    **Two schedulers never win the same run.** A claim writes each record in a transaction that compares the version of its node, and the
    revision, which is in the name of its index entry; the leader does one transaction after the other. So of two schedulers that have read the
    same record the second finds another version, and does not start the run. A server of the ensemble that lags behind costs a claim in vain,
    never a second run.

    **All or nothing** is each record by itself, with its entry in the index. `add_jobs` adds all of its jobs or none: in one transaction,
    or, if they do not fit into one (some hundred kilobytes), one after the other and unseen until a single write says that all are there. If the
    scheduler dies before that write, the others undo what it has left; they do it when they start, or meet it.

    **A look opens nothing.** Each process knows the names of all index entries, some 150 bytes for each job, and reads no more than what has changed, as the
    servers' watches tell. While nothing changes it asks for nothing.

    **A write whose answer gets lost** is looked for as soon as there is a connection again: what is not there then never will be, since a server
    refuses what comes from a connection whose session has gone on elsewhere, or has ended. If it was not written it is tried again. If the
    servers cannot be asked, `JobStoreError` says so: runs which such a claim may have taken are not started, and are given back as soon as they can.

    **What is confirmed stays**: ZooKeeper answers when a majority has it on disk (unless `forceSync=no`), and no failover undoes that.

    A job with its arguments, and its open runs, has to fit into a node: one of more than a million bytes is refused when it is added. Whatever the server or the
    driver raises comes out as `JobStoreError`, with its cause; as `StoreUnreachableError` if it may pass by itself. A record that this process
    cannot restore, or that is damaged, is passed over, and nothing is ever deleted for it. After a fork the child has to `start` the store
    before it uses it, and then has a connection of its own.
    """

    shared = True

    def __init__(
        self,
        path: str = "/mainspring",
        client: Any = None,
        close_connection_on_exit: bool = False,
        pickle_protocol: int | None = None,
        *,
        serializer: str | None = None,
        signing_keys: Iterable[str | bytes] | None = None,
        allowed_callables: Iterable[str] | None = None,
        poll_interval: float = 1.0,
        timeout: float = 10.0,
        session_timeout: float | None = None,
        **connect_args: Any,
    ) -> None:
        super().__init__(serializer, pickle_protocol, signing_keys, allowed_callables, poll_interval, timeout)
        self._paths = Layout(layout.checked_path(path))
        self._own_every = int(1_000_000 * poll_interval)
        """µs after which the changes of this process's own have their watches set again."""
        if session_timeout is not None:
            connect_args["timeout"] = positive_seconds("session_timeout", session_timeout)
        self._link = Link(ClientSource(client, close_connection_on_exit, connect_args), self._timeout)
        self.claim_attempts = 0
        """How many records claims have compared, and written if they were as they had been read."""
        self.claims_lost = 0
        """How many of those were not, since somebody else was faster."""
        self._set_up()

    def _set_up(self) -> None:
        """Know nothing yet."""
        link, paths = self._link, self._paths
        self._peers = Peers(link, paths, self.owner.boot)
        self._view = View(link, paths, self._somebody_changed_something)
        self._additions = Additions(link, paths, self._view, self._peers)
        self._reading = Reading(link, paths, self._additions.settle)
        self._writing = Writing(link, paths, self._view, self._reading)
        self._adding = Adding(link, paths, self._view, self._reading, self._additions)
        self._seen: dict[str, Stored] = {}
        """Records by the names of their nodes, as they were written or read last."""
        self._looked_at = 0
        self._read_own_at: int | None = None

    # -- life ----------------------------------------------------------------------------------------------------------

    def own(self, owner: Owner, lease: int) -> None:
        super().own(owner, lease)
        self._set_up()

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect. Raises StoreUnreachableError if no server can be reached for now, and JobStoreError for what will not pass by itself."""
        super().start(scheduler, alias)
        if self.owner.pid != os.getpid():
            self.own(Owner(), self._lease)  # a fork writes in a name of its own
        self._link.open()
        self._set_up()
        try:
            open_layout(self._link, self._paths)
            self._additions.settle_all()
            self._view.refresh(own=False)
        except BaseException:
            self._link.close()
            raise

    def shutdown(self) -> None:
        """End the session, unless the client is somebody else's; the store may be started again."""
        if not self._link.closes:
            self._peers.leave()
        self._link.close()
        self._set_up()

    def server_time(self) -> int | None:
        return int(self._peers.write().mtime) * 1_000

    def _somebody_changed_something(self) -> None:
        # A tenth of a second after the last look: where many schedulers write all the time, none of them looks all the time.
        self.on_push(self._looked_at + 100_000)

    # -- payloads ------------------------------------------------------------------------------------------------------

    def pack(self, job: Job) -> bytes:
        payload = super().pack(job)
        size = len(payload) + 4 * (len(job.id) + len(job.executor))
        if size > MAX_NODE:
            raise UnsupportedSerializationError(
                f"job {job.id[:100]!r}",
                "Job",
                f"with its arguments it takes {size} bytes, and a node of ZooKeeper's at most {MAX_NODE}",
                "Keep large data elsewhere, and give the job what it finds them by",
            )
        return payload

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        if job_ids is None:
            return [stored.record for stored in self._reading.all(payload)]
        found = self._reading.by_id(job_ids, payload)
        outdated = []
        for job_id in job_ids:
            known, now = self._seen.get(job_id), found.get(job_id)
            if known is not None and (
                now is None or (now.version, now.entry) != (known.version, known.entry)
            ):
                outdated.append(known.entry)
                self._seen.pop(job_id, None)
        if outdated:
            self._view.doubt(
                outdated
            )  # else a claim might take them for due over and over, and write none of them
        return [stored.record for stored in found.values()]

    def overdue_executors(self, now: int) -> set[str]:
        self._look(now)
        return {layout.decoded_alias(alias) for alias in self._view.overdue(now)}

    def _expired(self, now: int) -> list[str]:
        self._link.client()
        self._view.refresh(own=False)  # not a look: this time may be one that is past
        return super()._expired(now)

    def _leased(self, until: int, size: int) -> list[tuple[str, str]]:
        entries: list[str] = []
        for entry in self._view.leased(until):
            if len(entries) >= size:
                break
            entries.append(entry)
        found, unknown = [], []
        for entry in entries:
            name = layout.record_name_of(entry)
            stored = self._seen.get(name)
            if stored is not None and stored.entry == entry:
                found.append(stored)
            else:
                unknown.append(name)
        read = self._reading.by_name(unknown)
        self._note({stored.record.id: stored for stored in read})
        found += read
        return [(each.record.id, dump_runs(each.record.runs) or "") for each in found]

    def _look(self, now: int, at_rest: bool = False) -> None:
        """Bring what is known of the index up to date. No round trip, as long as nothing has changed."""
        self._link.client()  # raises if there is no connection, by which changes would be told
        own = self._read_own_at is not None and self._is_blind(now, at_rest)
        self._view.refresh(own)
        if own or self._read_own_at is None:
            self._read_own_at = now
        self._looked_at = now

    def _is_blind(self, now: int, at_rest: bool) -> bool:
        """Whether it is time to set the watches again that changes of this process's own have used up; under load that may wait."""
        last = self._read_own_at
        return last is None or not 0 <= now - last < self._own_every * (1 if at_rest else _PATIENCE)

    # -- writing -------------------------------------------------------------------------------------------------------

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        self._note(self._adding.insert(records, stamp))

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        applied: list[Applied | None] = [None] * len(changes)
        left = [*range(len(changes))]
        believed = True  # what is known, until it turns out to be outdated
        for _ in range(_TRIES):
            if not left:
                return applied
            ids = {changes[place][0] for place in left}
            known = {}
            for job_id in ids if believed else ():
                stored = self._seen.get(layout.name_of(job_id))
                if stored is not None and stored.record.id == job_id:
                    known[job_id] = stored
            found = known | self._reading.by_id([job_id for job_id in ids if job_id not in known])
            again: set[str] = set()
            current: dict[str, Record | None] = {}
            for place in left:
                job_id, transition = changes[place]
                stored = found.get(job_id)
                before = current.get(job_id, stored.record if stored else None)
                after = None if before is None else transition(before)
                if isinstance(after, Record) and before is not None and after.stamp == before.stamp:
                    after = replace(
                        after, stamp=self.owner.stamp()
                    )  # by it a write is found whose answer got lost
                if after is not None:
                    current[job_id] = None if after is Written.DELETED else after
                elif believed and job_id in known:
                    again.add(job_id)  # that nothing is to be done is believed only of what was read
                applied[place] = None if before is None else Applied(before, after)
            written = [
                Change(found[job_id], after) for job_id, after in current.items() if job_id not in again
            ]
            if not found:
                self._peers.write()  # that the servers can be written to is asked all the same (`Port.recover`)
            committed = self._commit(written)
            again |= committed.lost
            left = [place for place in left if changes[place][0] in again]
            for place, (job_id, _) in enumerate(changes):
                before_it = applied[place]
                if job_id in committed.too_large and before_it is not None:
                    applied[place] = Applied(before_it.before, None)
            if committed.lost:
                self._link.catch_up(self._paths.path)  # the server that answers may lag behind
            believed = False
        raise JobStoreError(f"{self._link}: the records are changed faster than they can be written")

    def _commit(self, changes: Sequence[Change], *, claims: bool = False) -> Committed:
        try:
            committed = self._writing.commit(changes, claims=claims)
        except BaseException:
            for change in changes:
                self._seen.pop(layout.name_of(change.id), None)
            raise
        for job_id in committed.lost | committed.too_large:
            self._seen.pop(layout.name_of(job_id), None)
        self._note(committed.stored)
        return committed

    def _note(self, stored: Mapping[str, Stored | None]) -> None:
        """Keep what was written, or read for a claim: it need not be read again. Whether it is still so, its version tells when it is written."""
        seen = self._seen
        if len(seen) > MAX_RECENT:
            seen.clear()
        for job_id, each in stored.items():
            name = layout.name_of(job_id)
            if each is None or each.record.version > FORMAT_VERSION:
                seen.pop(name, None)
            else:
                seen[name] = each

    def _clear(self) -> None:
        for _ in range(_TRIES):
            names = self._reading.names()
            if not names:
                self._seen.clear()
                return
            for start in range(0, len(names), PAGE):
                found = self._reading.by_name(names[start : start + PAGE])
                self._commit([Change(stored, None) for stored in found])
        raise JobStoreError(f"{self._link}: jobs are added faster than they can be removed")

    # -- claims --------------------------------------------------------------------------------------------------------

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        if not wanted:
            return Won()
        self._give_back_doubtful()
        self._additions.settle_own()
        self._peers.look()
        if not self._is_enough(now, wanted):
            self._look(now)
        claim, again = self._claim_once(now, wanted, choose, stamp)
        won = claim.won
        if not won.rows and not won.deferred and self._is_blind(now, at_rest=True):
            self._look(now, at_rest=True)
            again = True
        if again:
            # Some were not as this process had known them, and are read now; or there are others.
            try:
                rest, _ = self._claim_once(now, claim.rooms(wanted), choose, stamp)
            except JobStoreError:
                won.more = (
                    True  # what is won has to be started; the next look meets the error, if it has not passed
                )
            else:
                rest.won.rows[:0] = won.rows  # first, since the same job may be in both
                rest.won.deferred[:0] = won.deferred
                won = rest.won
        won.wake_at = self._view.next_wake(now, wanted)
        return won

    def _claim_once(
        self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str
    ) -> tuple[ClaimRound, bool]:
        """Claim what is due. Whether something was not written since it is not as it was known here."""
        claim = ClaimRound(
            self._view,
            self._reading,
            self._seen,
            now,
            choose,
            owner=self.owner.name,
            lease_until=now + self._lease,
            stamp=stamp,
        )
        changes = claim.decide_all(wanted, self._peers.is_mine)
        self._note(claim.read)
        if not changes:
            return claim, False
        try:
            committed = self._commit(changes, claims=True)
        except JobStoreError:
            # Nobody here will start these runs: they are given back as soon as the server can be reached.
            self._in_doubt += claim.started()
            raise
        lost = committed.lost
        self.claim_attempts += len(changes)
        self.claims_lost += len(lost)
        claim.forget(lost | committed.too_large)
        claim.won.more = claim.won.more or bool(lost)
        return claim, not lost.isdisjoint(claim.believed)

    def _is_enough(self, now: int, wanted: Wanted) -> bool:
        """Whether more is known to be due than there is room for: then nobody asks what else there is, for a while."""
        if self._is_blind(now, at_rest=False) or self._view.is_unread():
            return False
        return all(
            sum(1 for _ in islice(self._view.due(now, alias), room + 1)) > room
            for alias, room in wanted.items()
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._link}>"
