"""The table of APScheduler 3's SQLAlchemyJobStore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .jobs import OldJob
from .oldstore import OldStore, OldStoreError

try:
    import sqlalchemy as sa
except ImportError as error:
    raise ImportError(
        'reading a database needs SQLAlchemy, which is not installed: pip install "mainspring[sqlalchemy]"'
    ) from error

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["OldSQLAlchemyStore"]

_COLUMNS = ("id", "next_run_time", "job_state")
_PAGE = 500
"""Rows that are held at once."""


class OldSQLAlchemyStore(OldStore):
    """Its table. A URL is opened read-only where that can be (SQLite, PostgreSQL, MariaDB, MySQL); an engine is used as it is, and left open."""

    def __init__(
        self,
        source: str | sa.URL | sa.Engine,
        tablename: str = "apscheduler_jobs",
        tableschema: str | None = None,
    ) -> None:
        self._owned = not isinstance(source, sa.Engine)
        self._engine = source if isinstance(source, sa.Engine) else _engine(source)
        self._name, self._schema = tablename, tableschema
        url = source.url if isinstance(source, sa.Engine) else sa.make_url(source)
        plain = sa.URL.create(url.get_backend_name(), None, None, url.host, url.port, url.database)
        self.where = f"{plain}, table {tablename if tableschema is None else f'{tableschema}.{tablename}'}"
        self._table: sa.Table | None = None

    def count(self) -> int | None:
        try:
            with self._reading() as connection:
                found = connection.execute(
                    sa.select(sa.func.count()).select_from(self._reflected(connection))
                )
                return int(found.scalar_one())
        except sa.exc.SQLAlchemyError as error:
            raise self._failed(error) from error

    def jobs(self) -> Iterator[OldJob]:
        try:
            with self._reading() as connection:
                table = self._reflected(connection)
                # The columns as they are: their declared types, which differ between versions and databases, would only convert.
                statement = sa.select(*(table.c[name] for name in _COLUMNS)).order_by(table.c.id)
                options = {"yield_per": _PAGE, "stream_results": True}
                for job_id, time, data in connection.execute(statement, execution_options=options):
                    yield OldJob(str(job_id), b"" if data is None else bytes(data), _seconds(time))
        except sa.exc.SQLAlchemyError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        if self._owned:
            self._engine.dispose()

    def _reading(self) -> Connection:
        connection = self._engine.connect()
        try:
            if self._engine.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
            elif self._engine.dialect.name in ("mysql", "mariadb"):
                connection.execute(sa.text("SET SESSION TRANSACTION READ ONLY"))
                connection.rollback()
        except BaseException:
            connection.close()
            raise
        return connection

    def _reflected(self, connection: Connection) -> sa.Table:
        if self._table is None:
            try:
                table = sa.Table(self._name, sa.MetaData(), schema=self._schema, autoload_with=connection)
            except sa.exc.NoSuchTableError:
                raise OldStoreError(
                    self.where, "there is no such table; is it another database, or another tablename?"
                ) from None
            missing = [name for name in _COLUMNS if name not in table.c]
            if missing:
                raise OldStoreError(
                    self.where,
                    f"the table has no column {', '.join(missing)}: it is none of APScheduler 3's job store",
                )
            self._table = table
        return self._table

    def _failed(self, error: sa.exc.SQLAlchemyError) -> OldStoreError:
        # The driver's own words; SQLAlchemy's have the statement and its parameters behind them.
        return OldStoreError(self.where, str(getattr(error, "orig", None) or error)[:500])


def _engine(source: str | sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(_readable(sa.make_url(source)))
    except (sa.exc.ArgumentError, ValueError) as error:
        # Its text may have the URL in it, with the password.
        raise ValueError(
            f"the URL of the old job store is none that SQLAlchemy can open ({type(error).__name__}): expected "
            "'sqlite:///file', 'postgresql+psycopg://user:password@host/database' or 'mysql+pymysql://…'"
        ) from None


def _readable(url: sa.URL) -> sa.URL:
    """The URL, for SQLite one that opens a file read-only, and does not make it if it is not there."""
    if url.get_backend_name() == "postgresql" and url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() in ("mysql", "mariadb") and "+" not in url.drivername:
        return url.set(drivername=f"{url.drivername}+pymysql")
    file = url.database
    if url.get_backend_name() != "sqlite" or not file or file == ":memory:" or file.startswith("file:"):
        return url
    escaped = file.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return url.set(database=f"file:{escaped}", query={**url.query, "mode": "ro", "uri": "true"})


def _seconds(value: Any) -> float | None:
    # NUMERIC columns, of tables that somebody else has made, give Decimals.
    return None if value is None else float(value)
