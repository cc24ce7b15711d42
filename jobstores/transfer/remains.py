"""What an import leaves that was killed: found by the next one, and finished or undone before that begins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from ..base import BaseJobStore
from ..owner import is_gone
from ..record import Record
from . import marks
from .errors import ImportInProgressError
from .marks import Head, Mark, mark_of
from .storage import batches, change, known
from .values import OnReleased

LEASE: Final = 60_000_000
"""µs for which an import counts as alive behind each of its batches, where its process cannot be looked up."""

_under_way: set[tuple[int, str]] = set()
"""The imports of this process that have not ended: pid (a fork's copy of this has others) and token. Each operation on it is one step."""


@contextmanager
def under_way(token: str) -> Iterator[None]:
    """While an import of this process goes on."""
    entry = (os.getpid(), token)
    _under_way.add(entry)
    try:
        yield
    finally:
        _under_way.discard(entry)


@dataclass(slots=True)
class Settled:
    """What was done with remains."""

    resumed: int | None = None
    """So many jobs has the import of the name that was asked for: it was complete, and is finished now."""
    finished: int = 0
    undone: int = 0


def settle_remains(store: BaseJobStore, name: str, now: int, on_released: OnReleased) -> Settled:
    """Finish the imports that had written everything, and undo the others. Raises `ImportInProgressError` if one of them may go on."""
    settled = Settled()
    groups: dict[str, dict[str, Mark]] = {}
    for record in store.read_all():
        if (mark := mark_of(record)) is not None:
            groups.setdefault(mark.token, {})[record.id] = mark
    for token, found in groups.items():
        head_id = next(iter(found.values())).head_id
        others = [job_id for job_id in found if job_id != head_id]
        head_record = next(iter(known(store, [head_id])), None)
        mark = mark_of(head_record)
        if mark is None or mark.token != token or mark.head is None or head_record is None:
            # Of one that was taken for dead, was frozen instead, and has been killed before it noticed.
            settled.undone += withdraw_all(store, token, others)
            continue
        if _lives(store, token, mark.head, now):
            raise ImportInProgressError(mark.head.owner, (mark.head.until - now) / 1_000_000)
        if mark.head.stage == "complete":
            released = release_all(store, token, [*others, head_id], on_released)
            if mark.head.name == name:
                settled.resumed = mark.head.total
            else:
                settled.finished += released
            continue
        _take_over(store, mark, head_record, now)
        settled.undone += withdraw_all(store, token, [*others, head_id])
    return settled


def _lives(store: BaseJobStore, token: str, head: Head, now: int) -> bool:
    if (os.getpid(), token) in _under_way:
        return True
    if _process(head.owner) == _process(store.owner.name) or is_gone(head.owner):
        return False
    return head.until > now


def _process(owner: str) -> str:
    """An owner without the boot: what tells processes apart."""
    return owner.rpartition("/")[0]


def _take_over(store: BaseJobStore, mark: Mark, record: Record, now: int) -> None:
    """Mark a dead import as one that is being undone: should its process be alive after all, it cannot complete any more."""
    assert mark.head is not None
    assert record.reason is not None
    seen, stamp = record.reason, store.owner.stamp()
    head = replace(mark.head, owner=store.owner.name, until=now + LEASE, stage="undoing")
    text = replace(mark, head=head).text()
    written = change(store, [record.id], lambda found: marks.remark(found, seen, text, stamp))
    if not any(isinstance(after, Record) for _, after in written):
        raise ImportInProgressError(mark.head.owner, LEASE / 1_000_000)


def release_all(
    store: BaseJobStore, token: str, job_ids: Sequence[str], on_released: OnReleased | None = None
) -> int:
    """Release the arrived records among these, in their order; answers how many they were."""
    total = 0
    for batch in batches(job_ids):
        stamp = store.owner.stamp()
        written = change(
            store,
            batch,
            lambda record, stamp=stamp: marks.release(record, token, stamp),  # type: ignore[misc]
        )
        released = [after for _, after in written if isinstance(after, Record)]
        total += len(released)
        if on_released is not None and released:
            on_released(released)
    return total


def withdraw_all(store: BaseJobStore, token: str, job_ids: Sequence[str]) -> int:
    """Remove the arrived records among these, in their order; answers how many they were."""
    total = 0
    for batch in batches(job_ids):
        stamp = store.owner.stamp()
        written = change(
            store,
            batch,
            lambda record, stamp=stamp: marks.withdraw(record, token, stamp),  # type: ignore[misc]
        )
        total += sum(after is not None for _, after in written)
    return total
