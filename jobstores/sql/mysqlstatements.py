"""The statements on a job store's tables as MariaDB and MySQL run them best: by a named index, and a batch of rows in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from .columntypes import exact_collation
from .rows import INSERTED, READ
from .schema import Schema
from .statements import Statements

FEW: Final = 4
"""So many rows are written faster by an UPDATE each than by one for all."""

_AT_ONCE: Final = 131_072
"""Characters of JSON in one statement, which are twice as many in the packet: far below any server's `max_allowed_packet`."""

_PACKED: Final = "packed"

_decode = json.JSONDecoder(strict=False).decode
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class MySQLStatements(Statements):
    """As `Statements`; which rows a statement locks on the way depends on the index that it takes, so each is told.

    (Left to itself, the server reads a small table as a whole, and waits for, or takes, the locks of rows that nobody asked for.)
    """

    def __init__(self, schema: Schema, dialect: sa.Dialect) -> None:
        quote = dialect.identifier_preparer
        self._preparer = quote
        self._named: Any = quote.format_table(schema.records)
        self._indexes = {str(index.name): quote.format_index(index) for index in schema.records.indexes}
        self.packed: set[str] = set()
        """The statements whose rows begin with a record as one text, see `unpacked`."""
        self.names: dict[str, tuple[str, ...]] = {}
        """Of each statement that writes a row: the names of its values; if it changes one, the last two are `key` and `seen`."""
        super().__init__(schema, dialect)
        self.names[self.insert] = INSERTED
        self.names[self.delete] = ("key", "seen")
        self._of_many = cache(self._of_many_uncached)

    def many(
        self, sql: str, rows: Sequence[tuple[Any, ...]], dialect: sa.Dialect
    ) -> Iterator[tuple[str, tuple[Any, ...], int]]:
        """What does the same as this statement with each of the rows: statements, their values, and how many rows each has to change.

        The rows travel as JSON, in a parameter of bytes (it is neither escaped by Python nor read in the connection's character set).
        Where all have the same value in a column, it travels once.
        """
        columns = [*zip(*rows, strict=True)]
        constant = tuple([len({*column}) == 1 for column in columns])
        statement, order = self._of_many(sql, constant, exact_collation(dialect))
        same = tuple([column[0] for column, is_same in zip(columns, constant, strict=True) if is_same])
        keys = len(same) - sum(constant[-2:])
        varying = [*zip(*(columns[place] for place in order), strict=True)]
        for part, size in _parts(varying):
            yield statement, (part.encode(), *same[keys:], *same[:keys]), size

    def _of_many_uncached(
        self, sql: str, constant: tuple[bool, ...], collation: str
    ) -> tuple[str, list[int]]:
        """The statement, and which of the values its JSON has, in their order; takes the JSON, and the others: key and seen first."""
        names = self.names[sql]
        # Text last: the server reads each row's JSON from its beginning for each of the values.
        order = sorted(
            (place for place, is_same in enumerate(constant) if not is_same),
            key=lambda place: (self._type(names[place], collation).startswith("LONGTEXT"), place),
        )
        columns = ", ".join(
            f"v{place} {self._type(names[place], collation)} PATH '$[{n}]' ERROR ON ERROR"
            for n, place in enumerate(order)
        )
        value = ["%s" if is_same else f"new.v{place}" for place, is_same in enumerate(constant)]
        found = (
            f"JSON_TABLE(CONVERT(%s USING utf8mb4), '$[*]' COLUMNS ({columns})) AS new STRAIGHT_JOIN {self._named} AS old "
            f"FORCE INDEX ({self._index_name('id')}) ON old.id = {value[-2]} AND old.stamp = {value[-1]}"
        )
        if len(names) == 2:
            return f"DELETE old FROM {found}", order
        changes = ", ".join(f"old.{name} = {value[place]}" for place, name in enumerate(names[:-2]))
        return f"UPDATE {found} SET {changes}", order

    def _type(self, name: str, collation: str) -> str:
        if name in ("key", "seen"):
            return f"VARCHAR({255 if name == 'key' else 64}) CHARACTER SET utf8mb4 COLLATE {collation}"
        kind = self._table.c[name].type
        return "BIGINT" if isinstance(kind, sa.Integer) else "LONGTEXT CHARACTER SET utf8mb4"

    # -- the same as everywhere, spelled for these servers ---------------------------------------------------------------

    def _select(self, payload: bool, *more: str) -> sa.Select[Any]:
        # One text of JSON for all columns but the payload: PyMySQL takes rows apart in Python, column by column, which costs three times
        # as much as to read that. (JSON_ARRAY would do it, too; it costs these servers more.)
        record = sa.func.concat_ws(sa.literal_column("','"), *map(self._as_json, (*READ, *more)))
        columns = [record.label(_PACKED), *([self._table.c.payload] if payload else [])]
        return sa.select(*columns)

    def _as_json(self, name: str) -> Any:
        column = self._table.c[name]
        value: Any = column if isinstance(column.type, sa.Integer) else sa.func.json_quote(column)
        return sa.func.ifnull(value, sa.literal_column("'null'")) if column.nullable else value

    def _text(self, statement: sa.ClauseElement, *names: str) -> str:
        sql = super()._text(statement, *names)
        if isinstance(statement, sa.Select) and statement.selected_columns.keys()[0] == _PACKED:
            self.packed.add(sql)
        return sql

    def _update(self, names: Sequence[str]) -> str:
        sql = super()._update(names)
        self.names[sql] = (*names, "key", "seen")
        return sql

    def _is_awake(self) -> Any:
        # They look MIN up in the index for this, and read all of it for IS NOT NULL.
        return self._table.c.wake_at > sa.literal_column(str(-(2**63)))

    def _by_index(self, name: str, select: sa.Select[Any]) -> sa.Select[Any]:
        hint = f"FORCE INDEX ({self._index_name(name)})"
        return select.with_hint(self._table, hint.replace("%", "%%"))  # it may have a %(name)s, of the table

    def _index_name(self, name: str) -> Any:
        if name == "id":
            (unique,) = (each for each in self._table.constraints if isinstance(each, sa.UniqueConstraint))
            return "id" if unique.name is None else self._preparer.format_constraint(unique)
        return self._indexes[f"ix_{self._table.name}_{name}"]

    def _overdue_executors(self) -> str:
        # From one executor to the next in the index (a "loose index scan"), which they do for this and not for a recursive query.
        columns = self._table.c
        first = sa.func.min(columns.wake_at)
        return self._text(
            sa.select(columns.executor).group_by(columns.executor).having(first <= sa.bindparam("now")), "now"
        )


def unpacked(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The rows of a packed statement, as those of `Statements` have them."""
    records: list[list[Any]] = _decode(f"[[{'],['.join([row[0] for row in rows])}]]") if rows else []
    if rows and len(rows[0]) > 1:
        return [[*record, *row[1:]] for record, row in zip(records, rows, strict=True)]
    return records


def _parts(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, int]]:
    """The rows as JSON, in as many texts as are needed that none is too long, and how many rows each has."""
    text = _encode(rows)
    if len(text) <= _AT_ONCE or len(rows) == 1:
        yield text, len(rows)
        return
    half = len(rows) // 2
    yield from _parts(rows[:half])
    yield from _parts(rows[half:])
