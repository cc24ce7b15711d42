"""A batch of rows as PostgreSQL takes it: one array of values for each column, in the text that the server reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import psycopg


def integers(values: Iterable[int | None]) -> str:
    """An array of numbers."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """An array of texts: quoted, so that nothing in them is taken for the array's own signs."""
    return (
        "{"
        + ",".join(
            [
                "NULL"
                if value is None
                else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
                if "\\" in value or '"' in value
                else f'"{value}"'
                for value in values
            ]
        )
        + "}"
    )


def byte_strings(values: Iterable[bytes]) -> str:
    """An array of byte strings, which none of ours leaves empty."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


ARRAYS: Final[dict[str, Callable[[Iterable[Any]], str]]] = {
    "bigint": integers,
    "integer": integers,
    "text": texts,
    "bytea": byte_strings,
}
"""By the type of the elements."""


def encoded(value: Any, encoding: str) -> bytes | None:
    """A parameter in text format. Raises `psycopg.DataError` for what PostgreSQL cannot keep."""
    if value is None:
        return None
    if isinstance(value, str):
        # The driver's library takes the text up to the first NUL, and would store the rest of it nowhere without a word.
        if "\0" in value:
            raise psycopg.DataError("PostgreSQL text cannot contain NUL (0x00) characters")
        try:
            return value.encode(encoding)
        except UnicodeEncodeError as error:
            raise psycopg.DataError(f"text that cannot be encoded: {error}") from error
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    return str(value).encode()
