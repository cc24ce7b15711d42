"""How scripts answer records: their lines, in pairs with ids; and payloads, in one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

from ..recordlines import to_text, unescaped


def in_pairs(data: bytes) -> Iterator[tuple[str, str]]:
    """The ids and records of lines that a script answered."""
    if not data:
        return
    lines = to_text(data).split("\n")
    for place in range(0, len(lines), 2):
        yield unescaped(lines[place]), lines[place + 1]


def in_pieces(answer: Sequence[bytes]) -> Iterator[bytes | None]:
    """The payloads that a script answered, as their lengths and all of them in one; without end None, if it was not asked for any."""
    if not answer:
        yield from repeat(None)
        return
    lengths, data = answer
    start = 0
    for length in lengths.split():
        end = start + int(length)
        yield data[start:end]
        start = end
