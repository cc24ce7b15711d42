"""Many records in one step, where the store can: one that was written for APScheduler's contract is asked one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from ..base import BaseJobStore
from ..errors import JobLookupError
from ..record import Record, Transition
from ..recordstore import RecordJobStore

BATCH: Final = 500
"""So many records are written in one step: few enough that a slow server answers within its store's timeout."""

T = TypeVar("T")


def known(store: BaseJobStore, job_ids: Sequence[str]) -> list[Record]:
    """The records of these ids that there are, without their payload."""
    if isinstance(store, RecordJobStore):
        return store._read(job_ids, payload=False)
    return [record for job_id in job_ids if (record := store.peek(job_id)) is not None]


def change(
    store: BaseJobStore, job_ids: Sequence[str], transition: Callable[[Record], Transition]
) -> list[tuple[Record, Transition]]:
    """Apply a transition to each of these records that is there; answers what was found of each, and what was written."""
    if isinstance(store, RecordJobStore):
        applied = store._apply([(job_id, transition) for job_id in job_ids])
        return [(step.before, step.after) for step in applied if step is not None]
    found = []
    for job_id in job_ids:
        try:
            found.append(store.write(job_id, transition))
        except JobLookupError:
            continue
    return found


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists, each as long as a step is."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
