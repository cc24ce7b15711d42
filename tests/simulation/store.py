"""`SimulatedJobStore`: what real shared stores do, over the simulated server, in both ways in which they make a claim atomic.

"transaction": a claim reads, decides and writes in one step, as on an SQL server. "reserve": it reserves what is due, decides, and writes what has
still the stamp that was read, as on Redis, with the steps of other schedulers in between. The rest is the library's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from mainspring.jobstores import edits
from mainspring.jobstores.claiming import Change, ClaimBatch
from mainspring.jobstores.errors import ConflictingIdError, JobStoreError, StoreUnreachableError
from mainspring.jobstores.job import Job
from mainspring.jobstores.openruns import dump_runs
from mainspring.jobstores.record import FinishResult, Outcome, Record, Transition, Wanted, Written, lease_time
from mainspring.jobstores.recordstore import Applied, Choice, Won
from mainspring.jobstores.sharedstore import PAGE, SharedJobStore
from mainspring.jobstores.uncertain import Stamps, UncertainWriteError, was_written

from tests.simulation.catalog import Catalog
from tests.simulation.server import Link, Reservation, Server
from tests.simulation.timeline import SECOND, Task

T = TypeVar("T")

Mode: TypeAlias = Literal["transaction", "reserve"]

RESERVED_FOR: Final = 2 * SECOND
"""µs: a reservation is only an optimisation, and ends by itself."""

_TRIES: Final = 20


class SimulatedJobStore(SharedJobStore):
    """One scheduler's view of the server."""

    shared = True

    def __init__(
        self, link: Link, catalog: Catalog, mode: Mode, poll_interval: float, *, reads_back: bool = True
    ) -> None:
        super().__init__(None, None, None, None, poll_interval, 10.0)
        self._link = link
        self._catalog = catalog
        self._mode = mode
        self._reads_back = reads_back
        self._doubts: list[Fenced[Any]] = []

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._link.ask(lambda server: None)
        self._link.on_push = self.on_push

    def pack(self, job: Job) -> bytes:
        payload = super().pack(job)
        self._catalog.packed(payload, job)
        return payload

    def server_time(self) -> int:
        return self._link.ask(lambda server: server.timeline.now)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        return self._link.ask(lambda server: server.find(job_ids, payload))

    def overdue_executors(self, now: int) -> set[str]:
        return self._link.ask(
            lambda server: {
                record.executor
                for record in server.records.values()
                if record.wake_at is not None and record.wake_at <= now
            }
        )

    def _leased(self, until: int, size: int) -> list[tuple[str, str]]:
        def leased(server: Server) -> list[tuple[str, str]]:
            ends = {record.id: lease_time(record.runs) for record in server.records.values()}
            found = sorted((end, job_id) for job_id, end in ends.items() if end is not None and end <= until)
            return [(job_id, dump_runs(server.records[job_id].runs) or "") for _, job_id in found[:size]]

        return self._link.ask(leased)

    def finish_runs(self, outcomes: Sequence[Outcome]) -> FinishResult:
        task = Task.current()
        task.ends_runs = True
        try:
            return super().finish_runs(outcomes)
        finally:
            task.ends_runs = False

    # -- writing -------------------------------------------------------------------------------------------------------

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        stamps: dict[str, tuple[str | None, str | None]] = {}

        def insert(server: Server) -> bool:
            added = []
            for record in records:
                existing = server.records.get(record.id)
                after = edits.add(existing, record, stamp)
                if after is None:
                    raise ConflictingIdError(record.id)
                if after is not Written.DELETED:
                    added.append(after)
                    stamps[record.id] = (_stamp(existing), stamp)
            for after in added:
                server.insert(after)
            return True

        self._write_whole(insert, lambda: stamps)

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        if not changes:
            return []
        known = self._known([job_id for job_id, _ in changes])
        if self._mode == "reserve":
            return self._apply_each(changes, known)
        for _ in range(_TRIES):
            step = Step(changes, known)
            if self._write_whole(step.on_server, step.stamps):
                self._remember(step.written)
                return step.applied
            known = None
        raise self._overtaken()

    def _apply_each(
        self, changes: Sequence[tuple[str, Callable[[Record], Transition]]], known: dict[str, Record] | None
    ) -> list[Applied | None]:
        """Read, change, and write each record by its stamp; what somebody else has changed meanwhile, again."""
        left = list(range(len(changes)))
        applied: list[Applied | None] = [None] * len(changes)
        for _ in range(_TRIES):
            step = Step([changes[place] for place in left], known)
            if not step.run(
                known or {record.id: record for record in self._read([i for i, _ in step.changes], False)}
            ):
                known = None
                continue
            done = self._write_each(step.written)
            if None in done:
                raise UncertainWriteError("others have written since")
            lost = {before.id for (before, _), fits in zip(step.written, done, strict=True) if not fits}
            self._remember([change for change in step.written if change[0].id not in lost])
            for place, answer in zip(left, step.applied, strict=True):
                applied[place] = answer
            left = [place for place in left if changes[place][0] in lost]
            known = None
            if not left:
                return applied
        raise self._overtaken()

    def _clear(self) -> None:
        def clear(server: Server) -> None:
            server.write([(record, None) for record in server.records.values()], whole=True)

        self._link.ask(clear)

    # -- claims --------------------------------------------------------------------------------------------------------

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        if not wanted:
            return Won()
        self._give_back_doubtful()
        batch = ClaimBatch(now, choose, owner=self.owner.name, lease_until=now + self._lease, stamp=stamp)
        if self._mode == "transaction":
            return self._claim_in_one_step(batch, now, wanted)
        return self._reserve_and_commit(batch, now, wanted)

    def _claim_in_one_step(self, batch: ClaimBatch, now: int, wanted: Wanted) -> Won:
        due, next_wake = self._link.ask(
            lambda server: (
                {alias: server.due(alias, now, PAGE) for alias in wanted},
                server.next_wake(wanted, now),
            )
        )
        batch.begin().wake_at = next_wake
        if not any(batch.decide(due[alias], room, write=False) for alias, room in wanted.items()):
            return batch.won

        def step(server: Server) -> bool:
            won = batch.begin()
            for alias, room in wanted.items():
                batch.decide(server.due(alias, now, PAGE), room)
            if not all(server.write(batch.written, whole=True, claim=True)):
                return False
            won.wake_at = server.next_wake(wanted, now)
            return True

        for _ in range(_TRIES):
            batch.begin()
            try:
                done = self._write_whole(step, lambda: _stamps(batch.written))
            except UncertainWriteError:
                # Nobody here starts these runs: they are given back as soon as the store can be reached.
                self._in_doubt += batch.started()
                raise
            if done:
                self._remember(batch.written)
                return batch.won
        raise self._overtaken()

    def _reserve_and_commit(self, batch: ClaimBatch, now: int, wanted: Wanted) -> Won:
        me = self.owner.name

        def reserve(server: Server) -> tuple[dict[str, list[Record]], int | None]:
            server.release(None)
            found = {}
            for alias, room in wanted.items():
                taken = {job_id for job_id, held in server.reserved.items() if held.owner != me}
                free = [record for record in server.due(alias, now, PAGE) if record.id not in taken]
                # What is passed over takes no room: who needs more reads on.
                found[alias] = free
                for record in free[: max(room, 0)]:
                    server.reserved[record.id] = Reservation(me, server.timeline.now + RESERVED_FOR)
            ends = [held.until for held in server.reserved.values() if held.owner != me]
            times = [*ends, *([] if (wake := server.next_wake(wanted, now)) is None else [wake])]
            return found, min(times, default=None)

        due, wake_at = self._link.ask(reserve)
        batch.begin().wake_at = wake_at
        for alias, room in wanted.items():
            batch.decide(due[alias], room)
        written = batch.written
        if not written:
            return batch.won

        def commit(server: Server) -> list[bool]:
            server.release(me)
            return server.write(written, whole=False, claim=True)

        try:
            done = self._write_each(written, commit)
        except UncertainWriteError:
            self._in_doubt += batch.started()
            raise
        doubtful = {before.id for (before, _), fits in zip(written, done, strict=True) if fits is None}
        self._in_doubt += [key for key in batch.started() if key.job_id in doubtful]
        batch.won.more = batch.won.more or not all(done)
        batch.won.rows = [row for row, fits in zip(batch.won.rows, done, strict=True) if fits]
        self._remember(batch.written)
        return batch.won

    # -- writes of which the answer may get lost ---------------------------------------------------------------------

    def _write_whole(self, step: Callable[[Server], bool], stamps: Callable[[], Stamps]) -> bool:
        """One step that is done as a whole or not at all; if its answer gets lost, the records tell. `stamps`: of what it wrote."""
        request = Fenced(step)
        try:
            return self._link.ask(request)
        except StoreUnreachableError as failure:
            if not self._reads_back:
                raise
            written = stamps()
            if not written:
                request.end()  # a transaction gets no further without its client, who decides
                raise
            done = was_written(written, self._stamps_of(written, failure, request))
            if done is None:
                raise UncertainWriteError("others have written since") from failure
            if not done:
                raise
            return True

    def _write_each(
        self, written: Sequence[Change], commit: Callable[[Server], list[bool]] | None = None
    ) -> Sequence[bool | None]:
        """Write each record that has the stamp which was read: which of them; None where others have written since, and nobody can tell."""
        request = Fenced(commit or partial(_write_changes, written))
        try:
            return self._link.ask(request)
        except StoreUnreachableError as failure:
            if not self._reads_back:
                raise
            stamps = _stamps(written)
            if not stamps:
                raise
            found = self._stamps_of(stamps, failure, request)
            done = [was_written({job_id: stamp}, found) for job_id, stamp in stamps.items()]
            if True not in done and None not in done:
                raise  # the request has not arrived, and comes too late now
            return done

    def _stamps_of(
        self, job_ids: Iterable[str], failure: Exception, request: Fenced[Any]
    ) -> Mapping[str, str]:
        """The stamps of these records when that request is done, or will never be."""

        def stamps(server: Server) -> Mapping[str, str]:
            request.end()
            return {record.id: record.stamp for record in server.find(job_ids, False)}

        try:
            return self._link.ask(stamps)
        except StoreUnreachableError:
            self._doubts.append(request)
            raise UncertainWriteError("the store cannot be asked whether it was written") from failure

    def _give_back_doubtful(self) -> None:
        if self._in_doubt and self._doubts:
            # What is still under way would come after what it is asked about.
            doubts = [*self._doubts]

            def end(server: Server) -> None:
                for doubt in doubts:
                    doubt.end()

            self._link.ask(end)
            self._doubts = self._doubts[len(doubts) :]
        super()._give_back_doubtful()

    def _overtaken(self) -> JobStoreError:
        return JobStoreError("the records are changed faster than they can be written")


class Fenced(Generic[T]):
    """A request whose client may have it never done any more, though it is still under way: by a fence, as on Redis, or by a lock that waits."""

    def __init__(self, request: Callable[[Server], T]) -> None:
        self._request = request
        self.is_over = False

    def __call__(self, server: Server) -> T:
        if self.is_over:
            raise JobStoreError("this comes too late")  # nobody hears it
        return self._request(server)

    def end(self) -> None:
        """Be done by now, or never."""
        self.is_over = True


class Step:
    """Transitions, applied one after the other to records that were read, or that are known from the last write."""

    def __init__(
        self,
        changes: Sequence[tuple[str, Callable[[Record], Transition]]],
        known: dict[str, Record] | None,
    ) -> None:
        self.changes = changes
        self.applied: list[Applied | None] = []
        self.written: list[Change] = []
        self._known = known

    def run(self, found: Mapping[str, Record]) -> bool:
        """What is to be written. False: that nothing is to be done is believed only of what was read."""
        current: dict[str, Record | None] = {}
        self.applied = []
        for job_id, transition in self.changes:
            before = current[job_id] if job_id in current else found.get(job_id)
            after = None if before is None else transition(before)
            if after is not None:
                current[job_id] = None if after is Written.DELETED else after
            elif self._known is not None:
                return False
            self.applied.append(None if before is None else Applied(before, after))
        self.written = [(found[job_id], after) for job_id, after in current.items()]
        return True

    def on_server(self, server: Server) -> bool:
        """Read what is not known, and write all of it, in one step; False if what was known is outdated."""
        found = self._known or {
            record.id: record for record in server.find([i for i, _ in self.changes], False)
        }
        return self.run(found) and all(server.write(self.written, whole=True))

    def stamps(self) -> Stamps:
        """What tells whether it was written."""
        return _stamps(self.written)


def _write_changes(written: Sequence[Change], server: Server) -> list[bool]:
    return server.write(written, whole=False)


def _stamps(written: Sequence[Change]) -> dict[str, tuple[str | None, str | None]]:
    return {before.id: (before.stamp, _stamp(after)) for before, after in written}


def _stamp(record: Record | None) -> str | None:
    return None if record is None else record.stamp
