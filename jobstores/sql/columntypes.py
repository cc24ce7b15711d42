"""The types of the columns, where a server's own type of that name would keep less than what is written, or compare it otherwise."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles


class ExactText(mysql.VARCHAR):
    """Text on MariaDB and MySQL that equals only itself: not what differs in case, accents, or spaces at its end.

    Whatever the database's character set and collation are. The two servers have no name for it in common: `utf8mb4_bin`, which both
    have, takes "a" and "a " for the same.
    """


def _exact_text(kind: ExactText, compiler: Any, **_: Any) -> str:
    collation = exact_collation(compiler.dialect)
    return f"VARCHAR({kind.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


for _name in ("mysql", "mariadb"):
    compiles(ExactText, _name)(_exact_text)


def exact_collation(dialect: Any) -> str:
    """The name of the collation of `ExactText` on this server (known once there was a connection)."""
    return "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"


EXACT_TEXT: Final = (
    sa.Unicode(255)
    .with_variant(ExactText(255), "mysql", "mariadb")
    # compared by its characters' codes, and not as a language sorts its words
    .with_variant(sa.Unicode(255, collation="C"), "postgresql")
    .with_variant(sa.Unicode(255, collation="Latin1_General_100_BIN2"), "mssql")
)
STAMP: Final = sa.String(64).with_variant(ExactText(64), "mysql", "mariadb")
LONG_TEXT: Final = sa.UnicodeText().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
"""Their TEXT ends at 64 KB."""
BLOB: Final = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")

OPTIONS: Final[dict[str, Any]] = {
    f"{server}_{option}": value
    for server in ("mysql", "mariadb")
    for option, value in {
        "engine": "InnoDB",
        "row_format": "DYNAMIC",  # or the index over `executor` would be too long
        "default_charset": "utf8mb4",
    }.items()
}
"""Of the tables: whatever the server's defaults are."""
