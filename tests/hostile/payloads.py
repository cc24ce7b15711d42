"""Payloads as a job store makes them, and may be made to look: signed with the right key, or not."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from mainspring.jobstores.serialization.envelope import Sealer
from mainspring.jobstores.serialization.tags import to_text

from tests.hostile import malice

KEY = "the key by which good records are signed"
OLD_KEY = "the key before, which is still taken"
OTHER_KEY = "a key that nobody here knows"
GOOD = f"{malice.GOOD}:run"
NOW = 1_772_452_800_000_000  # µs: 2026-03-02 12:00 UTC
START = datetime(2026, 3, 2, 12, tzinfo=UTC)

TRIGGER: Any = {
    "$trigger": [
        "mainspring.triggers.date:DateTrigger",
        {"version": 1, "run_date": NOW, "settled": False, "timezone": "UTC"},
    ]
}


def state(job_id: str, **changed: Any) -> dict[str, Any]:
    """The state of a good job, as JSON has it."""
    return {
        "version": 1,
        "id": job_id,
        "func": GOOD,
        "trigger": TRIGGER,
        "executor": "default",
        "args": [job_id],
        "kwargs": {},
        "name": "run",
        "misfire_grace_time": None,
        "coalesce": True,
        "max_instances": 1,
        "recovery": "skip",
        "max_recoveries": 3,
    } | changed


def sealed(job_id: str, body: Any, keys: list[str] | None = None, serializer: str = "json") -> bytes:
    """A payload; signed with the good key, if no others are given."""
    text = body if isinstance(body, str) else to_text(body)
    return Sealer([KEY] if keys is None else keys or None).seal(job_id, serializer, text)


def good(job_id: str) -> bytes:
    """The payload of a job that may run."""
    return sealed(job_id, state(job_id))


NextId: TypeAlias = Callable[[], str]
"""The id that the next record of this kind will have."""


Maker: TypeAlias = Callable[[NextId], Iterator[bytes]]
"""What makes the payloads of one kind; it is asked for the next one when the one before has its id."""
