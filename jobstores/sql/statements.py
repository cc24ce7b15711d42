"""The SQL of a job store: written with SQLAlchemy Core, compiled once for the store's dialect, run as text with tuples.

SQLAlchemy spends more on preparing the parameters of one row than SQLite does on writing it; compiled text with tuples of values goes
straight to the driver, and every dialect still gets its own spelling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from .rows import INSERTED, READ, WRITTEN_BY_EDITS, WRITTEN_BY_PASSES, WRITTEN_BY_RUNS
from .schema import Schema

IDS_AT_ONCE: Final = 256
"""So many ids go into one `IN (…)`: far below every server's limit of parameters."""


_NONE: Final[Any] = sa.literal_column("0")
"""The OFFSET, written out: SQLAlchemy gives a LIMIT one of its own where it is missing (SQLite), as one more parameter."""


class Statements:
    """The statements on one store's tables. Each is text; its comment names the values that it takes, in their order."""

    def __init__(self, schema: Schema, dialect: sa.Dialect) -> None:
        self._table = table = schema.records
        self._dialect = _positional(dialect)
        columns = table.c
        bound: Any = sa.bindparam

        self.insert = self._text(
            table.insert().inline().values({name: bound(name) for name in INSERTED}), *INSERTED
        )
        self.write_pass = self._update(WRITTEN_BY_PASSES)
        self.write_runs = self._update(WRITTEN_BY_RUNS)
        self.write_edit = self._update(WRITTEN_BY_EDITS)
        self.write_edit_and_payload = self._update((*WRITTEN_BY_EDITS, "incarnation", "payload"))
        self.delete = self._text(
            table.delete().where(columns.id == bound("key"), columns.stamp == bound("seen")), "key", "seen"
        )
        self.clear = self._text(table.delete())

        # Pages of due records, with seq behind the other columns. In two statements, since SQLite (3.40) does not use the index to find
        # its place for the comparison of a pair: what is left of one wake_at (executor, wake_at, the last seq, how many) ...
        due = self._by_index("wake", self._select(False, "seq"))
        due = due.where(columns.executor == bound("alias"))
        due = due.order_by(columns.wake_at, columns.seq).limit(bound("size")).offset(_NONE)
        due_at = due.where(columns.wake_at == bound("at"), columns.seq > bound("after_seq"))
        # ... and what comes behind it (executor, the last wake_at, now, how many).
        due_after = due.where(columns.wake_at > bound("after"), columns.wake_at <= bound("now"))
        at, after = ("alias", "at", "after_seq", "size"), ("alias", "after", "now", "size")
        self.due_at, self.due_after = self._text(due_at, *at), self._text(due_after, *after)
        # The same in a claim: locked (where a server locks rows), and what others have locked passed over.
        self.claim_at = self._text(due_at.with_for_update(skip_locked=True), *at)
        self.claim_after = self._text(due_after.with_for_update(skip_locked=True), *after)
        self.count_due = self._count_due()
        # the latest end of a lease that is of interest, how many
        self.leased = self._text(
            sa.select(columns.id, columns.runs)
            .where(columns.lease_at <= bound("until"))
            .order_by(columns.lease_at)
            .limit(bound("size"))
            .offset(_NONE),
            "until",
            "size",
        )
        # now. Without an index, as the next one: only programs that use the store by hand ask for these, and an index on
        # next_run_time would cost every run a tenth more.
        self.due_jobs = self._text(
            self._select(payload=True).where(columns.next_run_time <= bound("now")), "now"
        )
        self.next_run_time = self._text(
            sa.select(sa.func.min(columns.next_run_time)).where(
                columns.state != sa.literal_column("'importing'")
            )
        )
        self.overdue_executors = self._overdue_executors()
        self.first_wake = cache(self._first_wake)
        self.next_wake = cache(self._next_wake)
        self.read = cache(self._read)
        self.read_locked = cache(self._read_locked)
        self.read_all = cache(self._read_all)

    def by_ids(self, ids: Sequence[str], payload: bool, lock: bool) -> Iterator[tuple[str, Sequence[Any]]]:
        """What reads the records of these ids: statements with their values. With `lock`, they are sorted, and without payload."""
        for start in range(0, len(ids), IDS_AT_ONCE):
            chunk = tuple(ids[start : start + IDS_AT_ONCE])
            # A few sizes only, filled up with the last id, so that the driver knows the statement.
            size = 1 if len(chunk) == 1 else 16 if len(chunk) <= 16 else IDS_AT_ONCE
            chunk += chunk[-1:] * (size - len(chunk))
            yield self.read_locked(size) if lock else self.read(payload, size), chunk

    # -- those that are compiled when they are first needed ------------------------------------------------------------

    def _read(self, payload: bool, size: int) -> str:
        """Records by `size` ids."""
        names = [f"id{n}" for n in range(size)]
        ids: list[Any] = [sa.bindparam(name) for name in names]
        return self._text(self._select(payload).where(self._table.c.id.in_(ids)), *names)

    def _read_locked(self, size: int) -> str:
        """The same without payload, locked one after another in the order of the ids."""
        names = [f"id{n}" for n in range(size)]
        ids: list[Any] = [sa.bindparam(name) for name in names]
        key = self._table.c.id
        select = self._by_index("id", self._select(payload=False))
        return self._text(select.where(key.in_(ids)).order_by(key).with_for_update(), *names)

    def _read_all(self, payload: bool) -> str:
        return self._text(self._select(payload))

    def _first_wake(self, aliases: int) -> str:
        """One row with the earliest `wake_at` of each of so many executors: a look at one end of the index for each."""
        columns = self._table.c
        names = [f"alias{n}" for n in range(aliases)]
        return self._text(
            sa.select(
                *(
                    sa.select(sa.func.min(columns.wake_at))
                    .where(columns.executor == sa.bindparam(name), self._is_awake())
                    .scalar_subquery()
                    for name in names
                )
            ),
            *names,
        )

    def _next_wake(self, aliases: int) -> str:
        """The same, later than a given time; takes alias and time for each."""
        columns = self._table.c
        names = [name for n in range(aliases) for name in (f"alias{n}", f"after{n}")]
        return self._text(
            sa.select(
                *(
                    sa.select(sa.func.min(columns.wake_at))
                    .where(
                        columns.executor == sa.bindparam(f"alias{n}"),
                        columns.wake_at > sa.bindparam(f"after{n}"),
                    )
                    .scalar_subquery()
                    for n in range(aliases)
                )
            ),
            *names,
        )

    def _count_due(self) -> str:
        """How much of an executor is due; takes executor, time, and how far it is counted."""
        columns = self._table.c
        due: Any = sa.select(sa.literal_column("1").label("one"))
        due = due.where(columns.executor == sa.bindparam("alias"), columns.wake_at <= sa.bindparam("now"))
        due = due.limit(sa.bindparam("size")).offset(_NONE)
        return self._text(sa.select(sa.func.count()).select_from(due.subquery()), "alias", "now", "size")

    def _overdue_executors(self) -> str:
        """The executors of due records; takes the time. From one executor to the next in the index, not over all that is due."""
        columns = self._table.c
        awake = columns.wake_at.is_not(None)
        first = sa.select(sa.func.min(columns.executor).label("alias")).where(awake)
        aliases = first.cte("aliases", recursive=True)
        following = (
            sa.select(sa.func.min(columns.executor))
            .where(awake, columns.executor > aliases.c.alias)
            .scalar_subquery()
        )
        aliases = aliases.union_all(sa.select(following).where(aliases.c.alias.is_not(None)))
        due = sa.exists().where(
            columns.executor == aliases.c.alias, columns.wake_at <= sa.bindparam("now", type_=sa.BigInteger)
        )
        return self._text(sa.select(aliases.c.alias).where(due), "now")

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _is_awake(self) -> Any:
        """The condition of the index over `wake_at`, where an index may have one."""
        return self._table.c.wake_at.is_not(None)

    def _by_index(self, name: str, select: sa.Select[Any]) -> sa.Select[Any]:
        """The statement, which has to use this index of the table: for servers whose locks depend on how they search."""
        return select

    def _select(self, payload: bool, *more: str) -> sa.Select[Any]:
        names = (*READ, *more, "payload") if payload else (*READ, *more)
        return sa.select(*(self._table.c[name] for name in names))

    def _update(self, names: Sequence[str]) -> str:
        """An UPDATE of these columns by id and the stamp that was seen: one that somebody has written since stays as it is."""
        values: list[Any] = [(self._table.c[name], sa.bindparam(f"new_{name}")) for name in names]
        key: Any = sa.bindparam("key")
        seen: Any = sa.bindparam("seen")
        statement = self._table.update().where(self._table.c.id == key, self._table.c.stamp == seen)
        return self._text(
            statement.ordered_values(*values), *(f"new_{name}" for name in names), "key", "seen"
        )

    def _text(self, statement: sa.ClauseElement, *names: str) -> str:
        """The statement as text for the driver, which takes the values of these names as a tuple in this order."""
        compiled: Any = statement.compile(dialect=self._dialect)
        if [*(compiled.positiontup or ())] != [*names]:
            raise AssertionError(f"the values of {compiled} come in another order: {compiled.positiontup}")
        return str(compiled)


def _positional(dialect: sa.Dialect) -> sa.Dialect:
    """The dialect for compiling only, with parameters that are given by their place.

    Drivers of `%(name)s` take `%s`, too, and those of `:name` (Oracle's) take `:1`.
    """
    if dialect.positional:
        return dialect
    kind: Any = type(dialect)
    positional: sa.Dialect = kind(paramstyle="format" if dialect.paramstyle == "pyformat" else "numeric")
    return positional
