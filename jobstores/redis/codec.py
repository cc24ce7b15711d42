"""How scripts answer records: their lines, in pairs with ids; and payloads, in one piece."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Final

from ..recordlines import MASKED_BREAK, to_text, unescaped


def in_lines(data: bytes) -> list[str]:
    """The lines that a script answered. One that is no text becomes one that is understood as damaged, and leaves the others alone."""
    try:
        return to_text(data).split("\n")
    except UnicodeDecodeError:
        return [_readable(line) for line in data.split(b"\n")]


def _readable(line: bytes) -> str:
    try:
        return to_text(line)
    except UnicodeDecodeError:
        return MASKED_BREAK + line.decode("utf-8", "backslashreplace")


def in_pairs(data: bytes) -> Iterator[tuple[str, str]]:
    """The ids and records of lines that a script answered. What is no id that was ever escaped comes with an empty record: a damaged one."""
    if not data:
        return
    lines = in_lines(data)
    for place in range(0, len(lines) - 1, 2):
        job_id, line = lines[place], lines[place + 1]
        if "%" in job_id and _wrong_escape.search(job_id):
            job_id, line = _wrong_escape.sub("\ufffd", job_id), ""
        yield unescaped(job_id), line


_wrong_escape: Final = re.compile("%(?!25|09|0A)")


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
