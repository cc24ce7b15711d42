"""`SQLAlchemyJobStore`: jobs in a table of an SQL database, for any number of schedulers that share it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

try:
    import sqlalchemy as sa
except ImportError as exc:
    raise ImportError(
        'SQLAlchemyJobStore needs SQLAlchemy, which is not installed: pip install "mainspring[sqlalchemy]"'
    ) from exc

from ..triggers.instants import from_micros, to_micros
from . import edits
from .claiming import Change
from .errors import ConflictingIdError, JobStoreError
from .job import Job
from .record import Record, Transition, Wanted, Written, is_sooner
from .recordstore import Applied, Choice, Won
from .sharedstore import SharedJobStore
from .sql.arguments import check_names, check_synchronous, checked_metadata, chosen_engine, wants_push
from .sql.claimstep import ClaimStep
from .sql.database import Database
from .sql.dialects import dialect_class
from .sql.recordtable import RecordTable
from .sql.schema import Schema
from .sql.session import OvertakenError, Session
from .uncertain import Stamps, UncertainWriteError

_TRIES: Final = 20


class SQLAlchemyJobStore(SharedJobStore):
    """Jobs in a table of an SQL database. Any number of schedulers, in any number of processes, may share it. Thread-safe.

    url: the database, `"sqlite:///jobs.sqlite"`, `"postgresql://user:password@host/database"`, `"mysql+pymysql://…"`; `"sqlite://"` is
        one in memory, which belongs to this object.
    engine: an SQLAlchemy engine instead, or a reference to one ("module:name"). It is not disposed, and is left as it is: with an engine of
        yours the journal mode of an SQLite file is your choice, and what a step sets on a connection is set back behind it. As in
        APScheduler, a url and engine_options beside it are not used; that is warned of.
    tablename: the table of records; beside it stands `<tablename>_schema`, with the version of the layout. tableschema: their schema.
    metadata: where the tables are defined, for tools such as Alembic; else in one of the store's own.
    engine_options: more arguments for `create_engine`.
    serializer, pickle_protocol, signing_keys, allowed_callables: see `Serializer`. JSON, unless a pickle_protocol is given.
    poll_interval: seconds after which a scheduler looks for jobs that others have added.
    timeout: seconds that one answer of a server is waited for, connecting too; then it counts as unreachable (`StoreUnreachableError`).
    push: whether to tell others at once what they would find by polling only, and to listen to what they tell (PostgreSQL: `LISTEN`,
        on a connection of its own); None: where the server can. Off, where a pooler lends sessions out for one transaction each: nothing
        is heard there.
    synchronous: for SQLite, "FULL" (default) or "NORMAL". A commit with FULL survives a power failure. With NORMAL one can undo the last
        second of commits, or whatever the operating system has not put on the disk yet (a crash of the process undoes nothing): then jobs
        that were added are missing again, those that were removed are back, and **runs that were done are due again: they are
        dispatched once more**, whatever the job's `recovery` says.

    **Two schedulers never win the same run**: between what a claim has read and what it writes of it nobody else can write.

    - SQLite: the transaction has held the database's only write lock since before it read (`BEGIN IMMEDIATE`). When nothing is due,
      nothing is locked, but for an instant every two seconds, by which a scheduler knows that the database can still be written
      (`Port.recover`).
    - PostgreSQL, MariaDB, MySQL: it reads what is due with `FOR UPDATE SKIP LOCKED` under READ COMMITTED (set for each transaction,
      whatever the default): each row that it gets is the newest that is committed, still due, and locked until the commit. What another
      claim has locked is passed over, and looked at again soon; so claims do not wait for each other. Edits wait for the lock, then read
      what the claim has written.
    - Any other server: a claim locks nothing, and each row is written only if it has the stamp that was read.

    Everywhere, what is written without having been read under a lock (the end of a run, by the scheduler that claimed it) asks for the stamp
    that was written last. Whoever comes second reads the record as the first has left it: with the run in it, and another next run time.

    **All or nothing.** What is given in one call (a claim of many, `add_jobs`, the ends of many runs) is one transaction.

    **A commit that fails may have been written.** Then the store waits, on another connection, until the server has ended that transaction,
    and reads back whether the records have the stamp of that write, and goes on accordingly. If that cannot be found out either,
    `JobStoreError` says so; runs which such a claim may have taken are not started, and are given back as soon as the database can be
    reached. That holds as well when the server was killed and started again.

    **What a server can take back**, it takes back of claims, too: such runs are due again and are dispatched once more, and jobs added
    last are missing. A primary that fails over to a replica which has not received the last commits (asynchronous replication), a crash with
    PostgreSQL's `synchronous_commit=off` or MySQL's `innodb_flush_log_at_trx_commit` other than 1, or a backup that is restored do this. With
    synchronous replication (`synchronous_standby_names`; `rpl_semi_sync`) and the servers' own defaults nothing does.
    A standby that only reads counts as unreachable, and the next try makes new connections: several hosts in the url
    (`?host=a,b&target_session_attrs=read-write`) then lead to the new primary. A database that comes back without the tables gets
    new ones, at the second try.

    PostgreSQL is reached by psycopg 3: `"postgresql+psycopg://user:password@host/database"`; `"postgresql://…"` means the same. Behind a pooler
    such as PgBouncer in transaction mode: `push=False` and `engine_options={"connect_args": {"prepare_threshold": None}}`.

    Whatever the database or its driver raises comes out as `JobStoreError`, with its cause; that others are at work is waited for, some ten
    seconds. A record that this process cannot restore, or whose row is damaged, is passed over, and nothing is ever deleted for it.
    After a fork the child has to `start` the store before it uses it, and then has connections of its own.
    """

    def __init__(
        self,
        url: str | sa.URL | None = None,
        engine: sa.Engine | str | None = None,
        tablename: str = "mainspring_jobs",
        metadata: sa.MetaData | str | None = None,
        pickle_protocol: int | None = None,
        tableschema: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
        *,
        serializer: str | None = None,
        signing_keys: Iterable[str | bytes] | None = None,
        allowed_callables: Iterable[str] | None = None,
        poll_interval: float = 1.0,
        timeout: float = 10.0,
        synchronous: str = "FULL",
        push: bool | None = None,
    ) -> None:
        super().__init__(serializer, pickle_protocol, signing_keys, allowed_callables, poll_interval, timeout)
        chosen, owned = chosen_engine(url, engine, engine_options, tableschema, timeout)
        kind, server = dialect_class(chosen.url), chosen.url.get_backend_name()
        check_names(chosen.dialect, tablename, tableschema)
        check_synchronous(synchronous, server)
        self._schema = Schema(tablename, checked_metadata(metadata), tableschema, clustered=kind.clusters)
        dialect = kind(chosen, self._schema, owned=owned, synchronous=synchronous, timeout=timeout)
        self._database = Database(chosen, dialect, self._schema, owned)
        self._table = RecordTable(dialect.statements)
        self._push = wants_push(push, dialect.pushes, server)
        self._asked_for: set[str] = set()
        self._due_at: int | None = None
        self._is_cautious = False
        self._passed_over = 0
        self.shared = dialect.shared
        if not self.shared:
            self.poll_interval = None
        if owned and not self.shared:
            # Its jobs outlive a shutdown, as those of a memory store do; so the connection is closed with the store.
            weakref.finalize(self, chosen.dispose)

    @property
    def engine(self) -> sa.Engine:
        """The engine that the store uses."""
        return self._database.engine

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._database}>"

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Open the database, and make its tables or bring them up to date. Raises JobStoreError if that fails."""
        super().start(scheduler, alias)

        try:
            self._database.open()
            if self._push:
                self._database.dialect.listen(self._heard)
        except BaseException:
            self._database.close()
            raise

    def shutdown(self) -> None:
        """Close the connections, unless the engine was the caller's; the store may be started again."""
        self._database.close()

    def _heard(self, at: int, executor: str | None) -> None:
        if executor is None or executor in self._asked_for:
            self.on_push(at)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        if job_ids is None:
            return self._database.reading(lambda session: self._table.every(session, payload))
        return self._database.reading(lambda session: self._table.some(session, job_ids, payload))

    def get_due_jobs(self, now: datetime) -> list[Job]:
        limit = to_micros(now)
        return self._shown(self._database.reading(lambda session: self._table.due_jobs(session, limit)))

    def get_next_run_time(self) -> datetime | None:
        time = self._database.reading(self._table.next_run_time)
        return None if time is None else from_micros(time, self._zone)

    def overdue_executors(self, now: int) -> set[str]:
        return self._database.reading(lambda session: self._table.overdue_executors(session, now))

    # -- writing -------------------------------------------------------------------------------------------------------

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        ids = [record.id for record in records]

        def step(session: Session) -> tuple[None, Stamps | None]:
            session.will_insert(stamp)
            existing = {record.id: record for record in self._table.some(session, ids, lock=True)}
            added: dict[str, Record] = {}
            for record in records:
                after = edits.add(existing.get(record.id), record, stamp)
                if after is None:
                    raise ConflictingIdError(record.id)
                if after is not Written.DELETED:
                    added[record.id] = after
            self._announce(session, [(existing.get(job_id), after) for job_id, after in added.items()])
            # What has ended becomes the new job where it is: a step that waits for its row would not see another one in its place.
            self._table.write(session, [(before, added.get(job_id)) for job_id, before in existing.items()])
            self._table.insert(session, [after for job_id, after in added.items() if job_id not in existing])
            before = {record.id: record.stamp for record in existing.values()}
            return None, {job_id: (before.get(job_id), stamp) for job_id in added} or None

        if ids:
            self._database.writing(step, self._table.stamps)

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        if not changes:
            return []
        ids = [*dict.fromkeys([job_id for job_id, _ in changes])]
        known = self._known(ids)
        for _ in range(_TRIES):
            step = partial(self._apply_step, changes, ids, known)
            try:
                applied, written = self._database.writing(step, self._table.stamps)
            except OvertakenError:
                applied = None
            if applied is not None:
                self._remember(written)
                return applied
            known = None
        raise self._overtaken()

    def _apply_step(
        self,
        changes: Sequence[tuple[str, Callable[[Record], Transition]]],
        ids: Sequence[str],
        known: dict[str, Record] | None,
        session: Session,
    ) -> tuple[tuple[list[Applied | None] | None, list[Change]], Stamps | None]:
        """The transitions, on records that are read or, if they are known, on those.

        That nothing is to be done is believed only of what was read: then with None as answer.
        """
        if known is None:
            found = {record.id: record for record in self._table.some(session, ids, lock=True)}
        else:
            found = known
        applied: list[Applied | None] = []
        current: dict[str, Record | None] = {}
        for job_id, transition in changes:
            before = current[job_id] if job_id in current else found.get(job_id)
            after = None if before is None else transition(before)
            if after is not None:
                current[job_id] = None if after is Written.DELETED else after
            elif known is not None:
                return (None, []), None
            applied.append(None if before is None else Applied(before, after))
        if not current:
            return (applied, []), None
        written: list[Change] = [(found[job_id], after) for job_id, after in current.items()]
        self._announce(session, written)
        return (applied, written), self._table.write(session, written)

    def _announce(self, session: Session, changes: Iterable[tuple[Record | None, Record | None]]) -> None:
        """Before a write that is no claim: tell the others what is due sooner by it."""
        if self._push:
            sooner: dict[str, int] = {}
            for before, after in changes:
                if after is None or after.wake_at is None:
                    continue
                old = before.wake_at if before is not None and before.executor == after.executor else None
                if is_sooner(after.wake_at, old) and is_sooner(after.wake_at, sooner.get(after.executor)):
                    sooner[after.executor] = after.wake_at
            if sooner:
                self._database.dialect.announce(session, sooner)

    def _overtaken(self) -> JobStoreError:
        return JobStoreError(f"{self._database}: the records are changed faster than they can be written")

    def _clear(self) -> None:
        def step(session: Session) -> tuple[None, Stamps]:
            self._table.clear(session)
            return None, {}

        self._database.writing(step)

    # -- claims --------------------------------------------------------------------------------------------------------

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        if not wanted:
            return Won()
        self._give_back_doubtful()
        dialect = self._database.dialect
        claim = ClaimStep(
            self._table,
            now,
            wanted,
            choose,
            owner=self.owner.name,
            lease_until=now + self._lease if self.shared else None,
            stamp=stamp,
            skips_locked=dialect.skips_locked,
            passed_over=self._passed_over,
        )
        self._asked_for.update(wanted)
        # When something is known to be due, a look would tell nothing new; unless what is due is passed over, over and over.
        at_once = (
            dialect.skips_locked
            and not self._is_cautious
            and self._due_at is not None
            and self._due_at <= now
        )
        self._due_at = None
        if at_once or self._database.reading(claim.look):
            self._take(claim)
            self._passed_over = claim.passed_over
            if at_once:
                self._is_cautious = claim.met > 0 and not claim.won.rows
        elif claim.nothing_due:
            self._is_cautious, self._passed_over = False, 0
        self._due_at = now if claim.won.more else claim.won.wake_at
        return claim.won

    def _take(self, claim: ClaimStep) -> None:
        for _ in range(_TRIES):
            try:
                self._database.writing(claim.step, self._table.stamps)
            except OvertakenError:
                continue
            except UncertainWriteError:
                # Nobody here will start these runs: they are given back as soon as the store can be reached.
                self._in_doubt += claim.started()
                raise
            self._remember(claim.written)
            return
        raise self._overtaken()

    def server_time(self) -> int | None:
        statement = self._database.dialect.server_time
        if statement is None:
            return None
        return int(self._database.reading(lambda session: session.rows(statement))[0][0])

    # -- recovery ------------------------------------------------------------------------------------------------------

    def _leased(self, until: int, size: int) -> list[tuple[str, str]]:
        return self._database.reading(lambda session: self._table.leased(session, until, size))
