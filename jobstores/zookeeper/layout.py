"""`Layout`: where a store keeps what: the paths of its nodes, what stands in a record's node, and what the name of an index entry says.

    PATH/version                 the version of this layout
    PATH/records/BB/NAME         a record: the job's id, the record's line (`recordlines.py`), and while it is added the number of its addition
    PATH/payloads/BB/NAME        its payload, which passes of the loop neither read nor write
    PATH/index/BB/ENTRY          no data: all there is to say is in the name, so that a look opens nothing
    PATH/additions/NUMBER        jobs that are being added together, too many for one transaction (`portions.py`)
    PATH/schedulers/BOOT         one for each scheduler whose session lives

BB is one of a number of buckets, by the id, so that a list of names stays small: it has to fit into one message, of a megabyte at most.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from zlib import crc32

from ..record import UNREADABLE, Record, lease_time
from ..recordlines import MASKED_BREAK, dump_record, escaped, load_record, to_bytes, to_text, unescaped

LAYOUT: Final = "1"
"""The version of the layout that this library writes."""

BUCKETS: Final = 128
"""Of the index, whose names are long, and are listed again when one has changed."""

RECORD_BUCKETS: Final = 32
"""Of records and of payloads."""

MAX_NODE: Final = 1_000_000
"""Bytes that may stand in one node: a server refuses messages beyond 1,048,575 (its `jute.maxbuffer`), names and headers included."""

_NUMBER: Final = re.compile("[0-9a-f]{16}")
"""Of an addition."""

_LONGEST_NAME: Final = 120
_LATEST: Final = 10**18 - 1
_NEVER: Final = "z" * 18
_ENTRY: Final = re.compile(
    r"([0-9]{18}|z{18})\.([0-9]{18}|-)\.[A-Za-z0-9_%-]+\.[A-Za-z0-9_%~-]+\.[0-9a-f]{16}"
)
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_-]")
_is_safe = re.compile(r"[A-Za-z0-9_-]+").fullmatch


@lru_cache(maxsize=64)
def encoded_alias(alias: str) -> str:
    """An executor's alias as a part of a name."""
    return _quoted(alias)


def decoded_alias(text: str) -> str:
    """What `encoded_alias` was given."""
    return "" if text == "%" else to_text(unquote_to_bytes(text))


def _quoted(text: str) -> str:
    """Never empty text, with nothing but letters, digits, `_`, `-` and `%` of ASCII: what is no name of a node (`.`, `/`, NUL) and what separates goes."""
    if text.isascii() and _is_safe(text):
        return text
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], to_bytes(text)).decode("ascii") or "%"


def name_of(job_id: str) -> str:
    """The name of a job's nodes: its id, readable, or a digest of one that is long."""
    name = _quoted(job_id)
    if len(name) <= _LONGEST_NAME:
        return name
    return "~" + b32encode(hashlib.sha256(to_bytes(job_id)).digest()).decode("ascii").rstrip("=")


def id_of(name: str) -> str:
    """The id that a node was named for; of one that is named by a digest, or by somebody else, its name."""
    try:
        job_id = decoded_alias(name)
    except UnicodeDecodeError:
        return name
    return job_id if name_of(job_id) == name else name


def bucket_of(name: str) -> int:
    """The number of the bucket of the index that the entries of this node are in."""
    return crc32(name.encode("utf-8", "surrogatepass")) % BUCKETS


def entry_of(record: Record) -> str:
    """The name of the record's entry in the index.

    The time to wake at, the earliest end of a lease, the executor, the node's name, the revision: names in the order of the text are in
    the order of time. What a process knows of a job holds as long as its revision does, so it can tell from the name alone.
    """
    lease = lease_time(record.runs) if record.runs else None
    return (
        f"{_time(record.wake_at)}.{'-' if lease is None else _time(lease)}.{encoded_alias(record.executor)}."
        f"{name_of(record.id)}.{record.revision & 0xFFFF_FFFF_FFFF_FFFF:016x}"
    )


def _time(time: int | None) -> str:
    return _NEVER if time is None else f"{min(max(time, 0), _LATEST):018d}"


# The parts of an entry's name.


def is_entry(name: str) -> bool:
    """Whether a node of the index is one of ours."""
    return _ENTRY.fullmatch(name) is not None


def wake_of(entry: str) -> int | None:
    return None if entry[0] == "z" else int(entry[:18])


def lease_of(entry: str) -> int | None:
    return None if entry[19] == "-" else int(entry[19:37])


def alias_of(entry: str) -> str:
    """The executor's alias, as it is encoded."""
    start = 21 if entry[19] == "-" else 38
    return entry[start : entry.index(".", start)]


def record_name_of(entry: str) -> str:
    return entry[entry.rindex(".", 0, -17) + 1 : -17]


def before(time: int) -> str:
    """All entries to wake at this time or earlier, and no others, are less than this text."""
    return f"{max(time + 1, 0):018d}" if time < _LATEST else "y"


@dataclass(slots=True)
class Stored:
    """A record as it was read from its node."""

    record: Record
    version: int
    """How often its node has been written: the server compares it."""
    entry: str
    """Its entry in the index."""
    addition: str | None = None
    """The number of the addition that it came with, while that may not be complete."""

    @property
    def readable(self) -> bool:
        """Whether all of it is understood: of a damaged one, its entry in the index is not known."""
        return self.record.version != UNREADABLE


def dump(record: Record, addition: str | None = None) -> bytes:
    """What stands in a record's node."""
    text = f"{escaped(record.id)}\n{dump_record(record)}"
    return to_bytes(text if addition is None else f"{text}\n{addition}")


def load(name: str, data: bytes, version: int) -> Stored:
    """What a record's node says; of one that is damaged what can be read of it, as `UNREADABLE`."""
    damage = ""
    try:
        text = to_text(data)
    except UnicodeDecodeError:
        text, damage = data.decode("utf-8", "replace"), MASKED_BREAK
    first, _, rest = text.partition("\n")
    line, marked, addition = rest.partition("\n")
    if marked and _NUMBER.fullmatch(addition) is None:
        addition, damage = "", MASKED_BREAK  # nothing of ours stands there
    line += damage
    job_id = unescaped(first)
    if name_of(job_id) != name or not job_id:
        job_id = id_of(name)
        if name_of(job_id) != name:  # somebody else's node, whose name is no job's
            line = ""
    record = load_record(job_id, line)
    return Stored(record, version, entry_of(record), addition or None)


class Layout:
    """The paths below one."""

    def __init__(self, path: str) -> None:
        self.path: Final = path
        base = "" if path == "/" else path
        self.version: Final = f"{base}/version"
        self.additions: Final = f"{base}/additions"
        self.schedulers: Final = f"{base}/schedulers"
        self._records, self._payloads, self._index = f"{base}/records", f"{base}/payloads", f"{base}/index"
        self._records_of = [f"{self._records}/{number:02x}" for number in range(RECORD_BUCKETS)]
        self._payloads_of = [f"{self._payloads}/{number:02x}" for number in range(RECORD_BUCKETS)]
        self._index_of = [f"{self._index}/{number:02x}" for number in range(BUCKETS)]

    def folders(self) -> Iterable[str]:
        """All that has to be there, parents first, but for the version, which is written last."""
        yield from (self.additions, self.schedulers, self._records, self._payloads, self._index)
        yield from (*self._records_of, *self._payloads_of, *self._index_of)

    def records_in(self, bucket: int) -> str:
        return self._records_of[bucket]

    def index_in(self, bucket: int) -> str:
        return self._index_of[bucket]

    def record(self, name: str) -> str:
        return f"{self._records_of[bucket_of(name) % RECORD_BUCKETS]}/{name}"

    def payload(self, name: str) -> str:
        return f"{self._payloads_of[bucket_of(name) % RECORD_BUCKETS]}/{name}"

    def entry(self, entry: str) -> str:
        return f"{self._index_of[bucket_of(record_name_of(entry))]}/{entry}"


def checked_path(path: Any) -> str:
    """The path, if a node can have it. A final slash goes."""
    if not isinstance(path, str):
        raise TypeError(f'path must be text, such as "/mainspring", got {type(path).__name__}')
    parts = path.strip("/").split("/") if path.strip("/") else []
    if not path.startswith("/"):
        raise ValueError(f"path must begin with a slash, such as '/{path.strip('/')}', got {path!r}")
    for part in parts:
        if not part or part in (".", "..") or not part.isprintable():
            raise ValueError(f"path has a part that no node can be named ({part!r}): {path!r}")
    if parts[:1] == ["zookeeper"]:
        raise ValueError("what is below /zookeeper is the server's own: give another path")
    return "/" + "/".join(parts)
