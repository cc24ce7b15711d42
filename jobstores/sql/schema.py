"""The tables of a job store on an SQL server, and their version."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

from ..errors import JobStoreError
from .columntypes import BLOB, EXACT_TEXT, LONG_TEXT, OPTIONS, STAMP
from .rows import INSERTED

SCHEMA_VERSION: Final = 1
"""The version of the tables that this library makes and uses."""

_TO_BE_MADE: Final = -1_000
"""The version while the table of records is still to be made: on a server that commits with every CREATE TABLE (MySQL), others may see it,
and whoever starts next goes on there."""

MIGRATIONS: Final[dict[int, Callable[[sa.Connection, Schema], None]]] = {}
"""From each older version: what makes its tables those of the next one. Called inside the transaction that writes the version."""

_logger = logging.getLogger("mainspring.jobstores")


class Schema:
    """The tables of one store: `records`, and `versions` with a single row that says which layout `records` has."""

    def __init__(
        self,
        tablename: str,
        metadata: sa.MetaData | None = None,
        schema: str | None = None,
        *,
        clustered: bool = True,
    ) -> None:
        """`clustered`: the server keeps the rows in the order of the primary key. Where it does not (PostgreSQL), an index over `seq`
        would be written with every run, and used for nothing.
        """
        metadata = sa.MetaData() if metadata is None else metadata
        self.records = sa.Table(
            tablename,
            metadata,
            # Where the row lies: records that were added together lie together, and are claimed in this order. Claiming what is
            # due at the same moment in the order of random ids would touch every page of the table, over and over.
            sa.Column(
                "seq",
                sa.BigInteger().with_variant(sa.Integer, "sqlite"),
                sa.Identity(),
                primary_key=clustered,
                nullable=False,
            ),
            sa.Column("id", EXACT_TEXT, nullable=False, unique=clustered, primary_key=not clustered),
            sa.Column("incarnation", sa.BigInteger, nullable=False),
            sa.Column("executor", EXACT_TEXT, nullable=False),
            sa.Column("wake_at", sa.BigInteger),
            sa.Column("next_run_time", sa.BigInteger),
            sa.Column("fire_time", sa.BigInteger),
            sa.Column("state", sa.String(16), nullable=False),
            sa.Column("runs", LONG_TEXT),
            # The earliest end of a lease: what `recover` looks for, while `wake_at` may be an earlier run time.
            sa.Column("lease_at", sa.BigInteger),
            sa.Column("revision", sa.BigInteger, nullable=False),
            sa.Column("stamp", STAMP, nullable=False),
            sa.Column("payload", BLOB, nullable=False),
            sa.Column("reason", LONG_TEXT),
            sa.Column("forgotten", sa.Integer, nullable=False),
            sa.Column("version", sa.Integer, nullable=False),
            schema=schema,
            keep_existing=True,
            **OPTIONS,
        )
        missing = {*INSERTED} - {*self.records.columns.keys()}
        if missing:
            raise ValueError(
                f"the metadata has a table {self.records.fullname!r} that is no table of mainspring's (it has no column "
                f"{sorted(missing)[0]!r}): give the job store another tablename"
            )
        if not self.records.indexes:
            self._index("wake", "executor", "wake_at", "seq", present="wake_at")
            self._index("lease", "lease_at", present="lease_at")
        self.versions = sa.Table(
            f"{tablename}_schema",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("version", sa.Integer, nullable=False),
            schema=schema,
            keep_existing=True,
            **OPTIONS,
        )

    def _index(self, name: str, *columns: str, present: str) -> None:
        """An index over the rows that have a value there: idle and paused jobs then cost it nothing."""
        condition = self.records.c[present].is_not(None)
        sa.Index(
            f"ix_{self.records.name}_{name}",
            *(self.records.c[column] for column in columns),
            sqlite_where=condition,
            postgresql_where=condition,
        )

    def is_current(self, connection: sa.Connection) -> bool:
        """Whether the tables are there, in the version that this library uses. Raises JobStoreError if they are newer."""
        tables = sa.inspect(connection)
        if not tables.has_table(self.versions.name, schema=self.versions.schema):
            return False
        return self._version(connection) == SCHEMA_VERSION and tables.has_table(
            self.records.name, schema=self.records.schema
        )

    def check_versions(self, connection: sa.Connection) -> None:
        """Raise JobStoreError if the table that should have the version is somebody else's."""
        columns = sa.inspect(connection).get_columns(self.versions.name, schema=self.versions.schema)
        if not {*self.versions.columns.keys()} <= {column["name"] for column in columns}:
            raise self._foreign()

    def _foreign(self) -> JobStoreError:
        return JobStoreError(
            f"there is a table {self.versions.fullname!r} that is not mainspring's: give the job store another tablename"
        )

    def bring_up_to_date(self, connection: sa.Connection) -> None:
        """Make the tables, or those of an older version into today's. In a transaction that excludes other writers."""
        self.versions.create(connection, checkfirst=True)
        version = self._version(connection)
        if version is None:
            exists = sa.inspect(connection).has_table(self.records.name, schema=self.records.schema)
            version = self._version(connection)  # again: somebody else may have made both meanwhile
            if version is None and exists:
                raise JobStoreError(
                    f"there is a table {self.records.fullname!r} that is not mainspring's (or its version in {self.versions.fullname!r} is "
                    "gone): give the job store another tablename"
                )
        if version is None:
            connection.execute(self.versions.insert().values(id=1, version=_TO_BE_MADE))
            version = _TO_BE_MADE
        if version == _TO_BE_MADE:
            self.records.create(connection, checkfirst=True)
            connection.execute(self.versions.update().values(version=SCHEMA_VERSION))
            return
        if not sa.inspect(connection).has_table(self.records.name, schema=self.records.schema):
            # Somebody has dropped this one of the two: then the store is empty.
            _logger.warning("Table %s is gone, and is made again", self.records.fullname)
            self.records.create(connection, checkfirst=True)
            connection.execute(self.versions.update().values(version=SCHEMA_VERSION))
            return
        while version < SCHEMA_VERSION:
            migrate = MIGRATIONS.get(version)
            if migrate is None:
                raise JobStoreError(
                    f"the table {self.records.fullname!r} has version {version}, which this version of mainspring can neither use nor "
                    f"bring up to date (it uses {SCHEMA_VERSION})"
                )
            migrate(connection, self)
            version += 1
            connection.execute(self.versions.update().values(version=version))
            _logger.info("Brought table %s up to version %d", self.records.fullname, version)

    def _version(self, connection: sa.Connection) -> int | None:
        version: Any = connection.scalar(sa.select(self.versions.c.version))
        if version is not None and not isinstance(version, int):
            raise self._foreign()
        if version is not None and version > SCHEMA_VERSION:
            raise JobStoreError(
                f"the table {self.records.fullname!r} has version {version}, made by a later version of mainspring than this one, which "
                f"knows versions up to {SCHEMA_VERSION}: update mainspring here, or use another tablename"
            )
        return version
