"""The requests that a store makes: each a function which begins it by a client, and answers its future."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

Call: TypeAlias = Callable[[Any], Any]
"""Begins a request by a client, and answers its future."""

Operation: TypeAlias = "tuple[Any, ...]"
"""One of a transaction: the name of kazoo's method, the path, and what else it takes."""


def get(path: str) -> Call:
    """A node's data, and its stat."""
    return lambda client: client.get_async(path)


def exists(path: str) -> Call:
    """A node's stat; None if there is none."""
    return lambda client: client.exists_async(path)


def children(path: str, watch: Callable[[Any], None] | None = None) -> Call:
    """The names of a node's children; `watch` is called once, when one comes or goes."""
    return lambda client: client.get_children_async(path, watch=watch)


def create(path: str, data: bytes = b"", ephemeral: bool = False) -> Call:
    return lambda client: client.create_async(path, data, ephemeral=ephemeral)


def set_data(path: str, data: bytes, version: int = -1) -> Call:
    """Answers the node's stat."""
    return lambda client: client.set_async(path, data, version=version)


def delete(path: str) -> Call:
    return lambda client: client.delete_async(path)


def sync(path: str) -> Call:
    """The server that is asked has all that was written anywhere before."""
    return lambda client: client.sync_async(path)


def transaction(operations: Iterable[Operation]) -> Call:
    """All of it or nothing. Answers a list: what each has answered, or why all were refused."""

    def begin(client: Any) -> Any:
        request = client.transaction()
        for verb, *arguments in operations:
            getattr(request, verb)(*arguments)
        return request.commit_async()

    return begin


def weight(operations: Iterable[Sequence[Any]]) -> int:
    """About how many bytes a transaction takes."""
    return sum(
        100 + sum(len(part) for part in operation[1:] if isinstance(part, str | bytes))
        for operation in operations
    )
