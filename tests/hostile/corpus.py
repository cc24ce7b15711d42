"""More than ten thousand records that no job store has written: made the same way each time, each with the kind of malice it stands for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from mainspring.jobstores.serialization.tags import to_text

from tests.hostile import fields, forgeries
from tests.hostile.foreign import apscheduler_pickles
from tests.hostile.payloads import KEY, NOW, OTHER_KEY, Maker, NextId, good, sealed, state


@dataclass(frozen=True)
class Hostile:
    """One record: its id, what kind of malice it is, its payload, and the plain fields in which it differs from a good one."""

    id: str
    kind: str
    payload: bytes
    changed: Mapping[str, Any] = field(default_factory=dict)
    text: bytes | None = None
    """All plain fields at once, for stores that keep them as one text."""


class Corpus:
    """The records, in order. `untyped`: the store keeps any type in any plain field; `lines`: it keeps them as one text."""

    def __init__(self, untyped: bool = False, lines: bool = False, largest: int = 80 << 20) -> None:
        self._largest = largest
        self.records: list[Hostile] = []
        for kind, make in _KINDS.items():
            for payload in make(partial(self._id, kind)):
                self._add(kind, payload)
        self._of_fields("fields", fields.ANYWHERE)
        self._of_fields("redirected", [{"executor": "processes"}] * 3)
        self._of_fields("runs", [{"runs": text} for text in fields.hostile_runs(NOW)])
        if untyped:
            self._of_fields("types", fields.UNTYPED)
        if lines:
            for line in fields.no_records():
                self._add("line", good(self._id("line")), text=line)
        self._add("oversized", sealed(self._id("oversized"), state("x", args=["x" * min(largest, 5 << 20)])))
        if largest > 64 << 20:
            self._add("oversized", good(self._id("oversized")) + b" " * (65 << 20))

    def _id(self, kind: str) -> str:
        return f"{kind}-{len(self.records):05}"

    def _add(self, kind: str, payload: bytes, **more: Any) -> None:
        self.records.append(Hostile(self._id(kind), kind, payload, **more))

    def _of_fields(self, kind: str, changes: list[dict[str, Any]]) -> None:
        for changed in changes:
            self._add(kind, good(self._id(kind)), changed=changed)


def _flipped(next_id: NextId) -> Iterator[bytes]:
    """Each bit of an envelope, one after the other."""
    for bit in range(8 * len(good(next_id()))):
        data = bytearray(good(next_id()))
        if bit < 8 * len(data):
            data[bit // 8] ^= 1 << bit % 8
            yield bytes(data)


def _changed_bytes(next_id: NextId) -> Iterator[bytes]:
    random = Random(7)
    for _ in range(600):
        data = bytearray(good(next_id()))
        before = bytes(data)
        for _ in range(random.randint(1, 5)):
            data[random.randrange(len(data))] = random.randrange(32, 127)
        if bytes(data) != before:
            yield bytes(data)


def _truncated(next_id: NextId) -> Iterator[bytes]:
    for length in range(len(good(next_id()))):
        data = good(next_id())
        yield data[: min(length, len(data) - 1)]
        yield good(next_id())[-length:] if length else b"\0"


def _moved(next_id: NextId) -> Iterator[bytes]:
    """Whole, and another job's."""
    for number in range(150):
        yield good(f"good-{number % 20}")
        yield sealed(f"other-{number}", state(next_id()))
        yield sealed(next_id(), state(f"good-{number % 20}"))


def _signatures(next_id: NextId) -> Iterator[bytes]:
    for _ in range(100):
        yield sealed(next_id(), state(next_id()), [])
        yield sealed(next_id(), state(next_id()), [OTHER_KEY])
        yield sealed(next_id(), state(next_id()), [KEY.upper()])
    no_signatures: list[Any] = [
        "",
        "0" * 64,
        "0",
        "null",
        "é",
        "\ud800",
        "f" * 10_000,
        None,
        0,
        1.5,
        True,
        [],
        {},
    ]
    for signature in no_signatures:
        for serializer in ("json", "pickle"):
            yield json.dumps(
                {"serializer": serializer, "signature": signature, "body": to_text(state(next_id()))}
            ).encode()
    for missing in ("serializer", "signature", "body"):
        envelope = json.loads(good(next_id()))
        del envelope[missing]
        yield json.dumps(envelope).encode()
    for part, value in (("serializer", None), ("body", None), ("body", {}), ("serializer", ["json"])):
        yield json.dumps(json.loads(good(next_id())) | {part: value}).encode()
    for name in ("pickle", "JSON", "json2", "cbor", "yaml", "", "json ", "../json", "marshal"):
        yield json.dumps(json.loads(good(next_id())) | {"serializer": name}).encode()
        yield sealed(next_id(), state(next_id()), serializer=name) if name != "json" else b"x"
    # Twice the same key: what was signed must be what is read.
    for number in range(20):
        yield (
            good(next_id())[:-1]
            + f',"body":{json.dumps(to_text(state(next_id(), args=[number])))}}}'.encode()
        )


def _foreign(next_id: NextId) -> Iterator[bytes]:
    random = Random(8)
    yield from apscheduler_pickles()
    for text in (
        "null",
        "true",
        "0",
        "[]",
        "{}",
        '""',
        '"x"',
        "[[]]",
        '{"a":1}',
        "NaN",
        "Infinity",
        "<xml/>",
        "a: b",
        "\ufeff{}",
    ):
        yield text.encode()
        yield text.encode("utf-16")
    for length in range(300):
        yield random.randbytes(length)
    for magic in (
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"\x7fELF",
        b"\x89PNG",
        b"%PDF",
        b"SQLite format 3\0",
        b"\x80\x04",
        b"BZh",
        b"\0" * 99,
    ):
        yield magic + random.randbytes(50)


_KINDS: dict[str, Maker] = {
    "flipped": _flipped,
    "changed": _changed_bytes,
    "truncated": _truncated,
    "moved": _moved,
    "signature": _signatures,
    "foreign": _foreign,
    "malicious": forgeries.malicious,
    "pickled": forgeries.pickled,
    "version": forgeries.versions,
    "option": forgeries.options,
    "arguments": forgeries.arguments,
    "value": forgeries.values,
    "trigger": forgeries.triggers,
}
