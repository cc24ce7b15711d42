"""`SQLAlchemyJobStore`: jobs in a table of an SQL database, for any number of schedulers that share it. SQLite for now."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

try:
    import sqlalchemy as sa
except ImportError as exc:
    raise ImportError(
        'SQLAlchemyJobStore needs SQLAlchemy, which is not installed: pip install "mainspring[sqlalchemy]"'
    ) from exc

from ..triggers.instants import from_micros, to_micros
from . import edits, transitions
from .database import Database, Stamps, UncertainWriteError
from .dialects import Dialect
from .errors import ConflictingIdError, TransientJobError
from .job import Job
from .openruns import load_runs
from .owner import Owner, is_gone
from .record import FORMAT_VERSION, Decision, Record, RunKey, Transition, Wanted, Written
from .recordstore import Applied, Choice, RecordJobStore, Won
from .references import is_main_reference, resolve_reference
from .schema import Schema, edit_row, new_row, pass_row, runs_row, to_record
from .serializer import Serializer
from .sqlite import SYNCHRONOUS, SQLite
from .statements import IDS_AT_ONCE, Statements

DIALECTS: Final[dict[str, type[SQLite]]] = {dialect.name: dialect for dialect in (SQLite,)}
"""The servers that are supported, by SQLAlchemy's name."""

PAGE: Final = 1_000
"""At most so many due records are read at once."""

FIRST_LOOK: Final = 16
"""So many due records are read to see whether there is anything to be written."""

LOOK_FOR_DEAD_OWNERS: Final = 5_000_000
"""µs between two searches for runs whose owner is gone before their lease has ended."""

_LATEST: Final = 2**63 - 1
_BEFORE_ALL: Final = (-(2**63), "")


class SQLAlchemyJobStore(RecordJobStore):
    """..."""

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
        signing_keys: Iterable[str | bytes] = (),
        allowed_callables: Iterable[str] | None = None,
        poll_interval: float = 1.0,
        synchronous: str = "FULL",
    ) -> None:
        super().__init__()
        self._serializer = Serializer(serializer, pickle_protocol, signing_keys, allowed_callables)
        self._schema = Schema(tablename, _resolved(metadata), tableschema)
        if str(synchronous).upper() not in SYNCHRONOUS:
            raise ValueError(f"synchronous must be one of {', '.join(SYNCHRONOUS)}, got {synchronous!r}")
        given = _resolved(engine)
        chosen = _created(url, engine_options or {}) if given is None else _checked(given)
        owned = given is None
        dialect: Dialect = _dialect(chosen.url)(chosen, owned=owned, synchronous=synchronous.upper())
        self._database = Database(chosen, dialect, owned)
        self._sql = Statements(self._schema, chosen.dialect)
        self.shared = dialect.shared
        self.poll_interval = _positive("poll_interval", poll_interval) if self.shared else None
        if owned and not self.shared:
            # Its jobs outlive a shutdown, as those of a memory store do; so the connection is closed with the store.
            weakref.finalize(self, chosen.dispose)
        self._looked_for_dead_at: int | None = None
        self._in_doubt: list[RunKey] = []
        self._warned: set[str] = set()

    @property
    def engine(self) -> sa.Engine:
        """The engine that the store uses."""
        return self._database.engine

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Open the database, and make its tables or bring them up to date. Raises JobStoreError if that fails."""
        super().start(scheduler, alias)
        self._database.open()
        if not self._database.reading(self._schema.is_current):

            def create(connection: sa.Connection) -> tuple[None, Stamps]:
                self._schema.bring_up_to_date(connection)
                return None, {}

            self._database.writing(create)

    def shutdown(self) -> None:
        """Close the connections, unless the engine was the caller's; the store may be started again."""
        self._database.close()

    def own(self, owner: Owner, lease: int) -> None:
        super().own(owner, lease)
        self._looked_for_dead_at = None

    # -- jobs and payloads ---------------------------------------------------------------------------------------------

    def pack(self, job: Job) -> bytes:
        try:
            state = job.__getstate__()
        except ValueError as exc:
            raise TransientJobError(job.id) from exc
        del state["next_run_time"]  # the record's, which passes write without the payload
        reference = state["func"]
        if is_main_reference(reference) and reference not in self._warned:
            self._warned.add(reference)
            message = (
                f"The function {reference} is defined in the program's main file: only this program can run its jobs. Move it to a "
                "module, so that every process that shares the job store can import it"
            )
            self._logger.warning(message)
            warnings.warn(message, UserWarning, stacklevel=2)
        return self._serializer.dumps(job.id, state)

    def _unpack(self, record: Record) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(self._serializer.loads(record.id, record.payload))
        return job

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        if job_ids is not None:
            return self._database.reading(lambda connection: self._found(connection, job_ids, payload))
        sql = self._sql.read_all(payload)
        return self._database.reading(
            lambda connection: [to_record(row) for row in connection.exec_driver_sql(sql)]
        )

    def _found(self, connection: sa.Connection, job_ids: Sequence[str], payload: bool) -> list[Record]:
        return [to_record(row) for row in self._rows(connection, job_ids, payload)]

    def _rows(self, connection: sa.Connection, job_ids: Sequence[str], payload: bool) -> Iterator[Any]:
        """The rows of some ids, read in chunks of a few sizes only, so that the driver knows the statements."""
        for start in range(0, len(job_ids), IDS_AT_ONCE):
            chunk = tuple(job_ids[start : start + IDS_AT_ONCE])
            size = 1 if len(chunk) == 1 else 16 if len(chunk) <= 16 else IDS_AT_ONCE
            chunk += chunk[-1:] * (size - len(chunk))
            yield from connection.exec_driver_sql(self._sql.read(payload, size), chunk).fetchall()

    def _stamps(self, connection: sa.Connection, job_ids: list[str]) -> dict[str, str]:
        return {record.id: record.stamp for record in self._found(connection, job_ids, False)}

    def get_due_jobs(self, now: datetime) -> list[Job]:
        limit = to_micros(now)
        rows = self._database.reading(
            lambda connection: connection.exec_driver_sql(self._sql.due_jobs, (limit,)).fetchall()
        )
        return self._shown(map(to_record, rows))

    def get_next_run_time(self) -> datetime | None:
        time = self._database.reading(
            lambda connection: connection.exec_driver_sql(self._sql.next_run_time).scalar()
        )
        return None if time is None else from_micros(time, self._zone)

    def overdue_executors(self, now: int) -> set[str]:
        return self._database.reading(
            lambda connection: {
                row[0] for row in connection.exec_driver_sql(self._sql.overdue_executors, (now,))
            }
        )

    # -- writing -------------------------------------------------------------------------------------------------------

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        if not records:
            return
        ids = [record.id for record in records]

        def step(connection: sa.Connection) -> tuple[None, Stamps | None]:
            existing = {record.id: record for record in self._found(connection, ids, False)}
            added = []
            for record in records:
                after = edits.add(existing.get(record.id), record, stamp)
                if after is None:
                    raise ConflictingIdError(record.id)
                if after is not Written.DELETED:
                    added.append(new_row(after))
            if existing:
                connection.exec_driver_sql(self._sql.delete, [(job_id,) for job_id in existing])
            if added:
                connection.exec_driver_sql(self._sql.insert, added)
            written: dict[str, tuple[str | None, str | None]] = {row[0]: (None, stamp) for row in added}
            for job_id, record in existing.items():
                written[job_id] = (record.stamp, stamp if job_id in written else None)
            return None, written or None

        self._database.writing(step, self._stamps)

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        if not changes:
            return []
        ids = [*dict.fromkeys(job_id for job_id, _ in changes)]

        def step(connection: sa.Connection) -> tuple[list[Applied | None], Stamps | None]:
            found = {record.id: record for record in self._found(connection, ids, False)}
            current: dict[str, Record | None] = dict(found)
            applied: list[Applied | None] = []
            touched: dict[str, None] = {}
            for job_id, transition in changes:
                before = current.get(job_id)
                if before is None:
                    applied.append(None)
                    continue
                after = transition(before)
                applied.append(Applied(before, after))
                if after is not None:
                    current[job_id] = None if after is Written.DELETED else after
                    touched[job_id] = None
            return applied, self._written(
                connection, [(found[job_id], current[job_id]) for job_id in touched]
            )

        return self._database.writing(step, self._stamps)

    def _written(
        self, connection: sa.Connection, pairs: Sequence[tuple[Record, Record | None]]
    ) -> Stamps | None:
        """Write what has become of records, each with the narrowest statement that does it."""
        sql = self._sql
        batches: dict[str, list[tuple[Any, ...]]] = {}
        for before, after in pairs:
            if after is None:
                statement, row = sql.delete, (before.id,)
            elif after.payload is not None:
                statement, row = sql.write_edit_and_payload, edit_row(after)
            elif after.revision != before.revision or after.executor != before.executor:
                statement, row = sql.write_edit, edit_row(after)
            elif (
                after.state != before.state
                or after.next_run_time != before.next_run_time
                or after.fire_time != before.fire_time
                or after.reason != before.reason
                or after.forgotten != before.forgotten
            ):
                statement, row = sql.write_pass, pass_row(after)
            else:
                statement, row = sql.write_runs, runs_row(after)
            batches.setdefault(statement, []).append(row)
        for statement, rows in batches.items():
            connection.exec_driver_sql(statement, rows)
        return {
            before.id: (before.stamp, None if after is None else after.stamp) for before, after in pairs
        } or None

    def _clear(self) -> None:
        def step(connection: sa.Connection) -> tuple[None, Stamps]:
            connection.exec_driver_sql(self._sql.clear)
            return None, {}

        self._database.writing(step)

    # -- claims --------------------------------------------------------------------------------------------------------

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        if not wanted:
            return Won()
        if self._in_doubt:
            # Claims of which it could not be found out whether they were written: nobody here knows of their runs.
            self.give_back(self._in_doubt)
            self._in_doubt = []
        won, pending = self._database.reading(lambda connection: self._look(connection, now, wanted, choose))
        if not pending:
            return won

        def step(connection: sa.Connection) -> tuple[Won, Stamps | None]:
            nonlocal won
            won = Won()
            for alias in wanted:
                records = self._due(connection, alias, now, min(max(wanted[alias], 0) + 1, PAGE))
                self._sift(won, records, wanted[alias], now, choose, stamp)
            pairs = [(before, None if after is Written.DELETED else after) for before, _, after in won.rows]
            written = self._written(connection, pairs)
            won.wake_at = self._next_wake(connection, [*wanted], now)
            return won, written

        try:
            return self._database.writing(step, self._stamps)
        except UncertainWriteError:
            self._in_doubt += [
                RunKey(after.id, after.incarnation, run.run, self.owner.name)
                for before, _, after in won.rows
                if isinstance(after, Record)
                for run in after.runs
                if run not in before.runs and run.state == "claimed"
            ]
            raise

    def _look(
        self, connection: sa.Connection, now: int, wanted: Wanted, choose: Callable[[Record], Choice]
    ) -> tuple[Won, bool]:
        """What is due, without writing: all that is to be said of it, and whether there is anything to be written."""
        won = Won()
        aliases = [*wanted]
        row: Any = connection.exec_driver_sql(self._sql.first_wake(len(aliases)), tuple(aliases)).fetchone()
        due = [
            alias
            for alias, wake_at in zip(aliases, row, strict=True)
            if wake_at is not None and wake_at <= now
        ]
        if not due:
            won.wake_at = min((wake_at for wake_at in row if wake_at is not None), default=None)
            return won, False
        for alias in due:
            records = self._due(connection, alias, now, FIRST_LOOK)
            if self._sift(won, records, wanted[alias], now, choose, None):
                return won, True
        won.wake_at = self._next_wake(connection, aliases, now)
        return won, False

    def _due(self, connection: sa.Connection, alias: str, now: int, size: int) -> Iterator[Record]:
        """The due records of an executor in the order of the index, page after page behind the last one that was read."""
        last = _BEFORE_ALL
        while True:
            rows = connection.exec_driver_sql(self._sql.due, (alias, now, *last, size)).fetchall()
            for row in rows:
                yield to_record(row)
            if len(rows) < size:
                return
            last = (rows[-1][3], rows[-1][0])
            size = PAGE

    def _sift(
        self,
        won: Won,
        records: Iterable[Record],
        room: int,
        now: int,
        choose: Callable[[Record], Choice],
        stamp: str | None,
    ) -> bool:
        """Decide records until there is no room. Without a stamp only until one is found of which something is to be written: True."""
        owner, lease_until = self.owner.name, now + self._lease if self.shared else None
        for record in records:
            if room <= 0:
                won.more = True
                break
            choice = choose(record)
            if choice is None or record.version > FORMAT_VERSION:
                continue
            if not isinstance(choice, Decision):
                won.deferred.append(record)
                room -= 1
                continue
            if transitions.changes_nothing(record, choice):
                continue
            if stamp is None:
                return True
            after = transitions.claim(
                record, choice, owner=owner, now=now, lease_until=lease_until, stamp=stamp
            )
            won.rows.append((record, choice, after))
            room -= choice.starts or 1
            if after is not Written.DELETED and after.wake_at is not None and after.wake_at <= now:
                won.more = True  # a backlog of which only a part was skipped
        return False

    def _next_wake(self, connection: sa.Connection, aliases: list[str], now: int) -> int | None:
        parameters = tuple(value for alias in aliases for value in (alias, now))
        row: Any = connection.exec_driver_sql(self._sql.next_wake(len(aliases)), parameters).fetchone()
        return min((wake_at for wake_at in row if wake_at is not None), default=None)

    # -- recovery ------------------------------------------------------------------------------------------------------

    def _expired(self, now: int) -> list[str]:
        last = self._looked_for_dead_at
        if last is None or not 0 <= now - last < LOOK_FOR_DEAD_OWNERS:
            self._looked_for_dead_at = now
            until, size = _LATEST, _LATEST if last is None else PAGE
        else:
            until, size = now - transitions.RECOVERY_MARGIN, PAGE
        rows = self._database.reading(
            lambda connection: connection.exec_driver_sql(self._sql.leased, (until, size)).fetchall()
        )
        gone: dict[str, bool] = {self.owner.name: False}
        expired = []
        for job_id, text in rows:
            try:
                runs = load_runs(text)
            except ValueError:
                continue  # reported where it is read as a record
            for run in runs:
                if run.state != "claimed" or run.owner is None or run.lease_until is None:
                    continue
                if run.owner not in gone:
                    gone[run.owner] = is_gone(run.owner)
                if run.owner != self.owner.name and (
                    gone[run.owner] or run.lease_until + transitions.RECOVERY_MARGIN <= now
                ):
                    expired.append(job_id)
                    break
        return expired


def _dialect(url: sa.URL) -> type[SQLite]:
    """What the store needs to know of this kind of server."""
    name = url.get_backend_name()
    if name not in DIALECTS:
        raise ValueError(
            f"SQLAlchemyJobStore supports {', '.join(sorted(DIALECTS))} for now, and not {name}: use a url such as "
            "'sqlite:///jobs.sqlite'"
        )
    return DIALECTS[name]


def _created(url: str | sa.URL | None, options: Mapping[str, Any]) -> sa.Engine:
    """The store's own engine."""
    if not url:
        raise ValueError("SQLAlchemyJobStore needs a url ('sqlite:///jobs.sqlite') or an engine")
    url = sa.make_url(url)
    # Before SQLAlchemy looks for a driver: of a server that is not supported, one need not be installed.
    return _checked(sa.create_engine(url, **_dialect(url).engine_arguments(url, options)))


def _checked(engine: Any) -> sa.Engine:
    if not isinstance(engine, sa.Engine) or engine.dialect.is_async:
        raise ValueError(
            f"engine must be a synchronous SQLAlchemy engine, from create_engine(), got {engine!r}"
        )
    return engine


def _positive(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number of seconds, got {value!r}")
    return value


def _resolved(value: Any) -> Any:
    """What a configuration names by a textual reference, as in APScheduler; anything else as it is."""
    return resolve_reference(value) if isinstance(value, str) else value
