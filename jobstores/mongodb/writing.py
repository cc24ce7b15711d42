"""`Writing`: what a store writes goes through here: each record by a comparison with its stamp, and accounted for if the answer gets lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import BulkWriteError
from pymongo.operations import DeleteOne, UpdateMany, UpdateOne

from ..claiming import Change
from ..errors import JobStoreError, StoreUnreachableError
from ..record import UNREADABLE, Record
from ..uncertain import UncertainWriteError
from .connecting import Collection
from .documents import RESERVATION, WITHOUT_PAYLOAD, Document, ids, load_record, to_bson, update_of
from .link import Link, LostReplyError

BATCH: Final = 1_000
"""So many records are written in one request."""


@dataclass(frozen=True)
class Released:
    """Reservations that are to be ended: of these records, if they are still this one's."""

    job_ids: Sequence[str]
    holder: str


class InDoubtError(UncertainWriteError, StoreUnreachableError):
    """It could not be found out whether records were written; `settle()` of `Writing` sees to it that it can be later."""

    def __init__(self, message: str, changes: Sequence[Change]) -> None:
        super().__init__(message)
        self.changes = changes


class Writing:
    """The writes of a store. Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def commit(
        self, changes: Sequence[Change], *, pushes: bool = False, released: Released | None = None
    ) -> frozenset[str]:
        """Write what has become of records that are still as they were read. The ids of those that are not, and were not written.

        Without changes that the server can be written to is still asked, which at the same time makes sure that what has been read is what
        a majority keeps: a write with the write concern "majority" that finds nothing to do waits until all before it is kept by one.
        `pushes`: tell other schedulers what is due sooner than before. Raises `InDoubtError` if nobody can tell what was written.
        """
        lost: set[str] = set()
        for start in range(0, max(len(changes), 1), BATCH):
            lost |= self._commit(changes[start : start + BATCH], pushes, released)
            released = None
        return frozenset(lost)

    def _commit(self, changes: Sequence[Change], pushes: bool, released: Released | None) -> set[str]:
        requests = [_request(before, after, pushes) for before, after in changes]
        if released is not None and released.job_ids:
            requests.append(_release(released))
        if not requests:
            requests.append(UpdateOne({"_id": "", "stamp": ""}, {"$unset": dict(RESERVATION)}))
        complete = _counts(changes, released)
        failure: LostReplyError | None = None
        refused: JobStoreError | None = None
        done = 0, 0
        for _ in range(2):
            try:
                done = self._link.write(lambda collection: _carried_out(collection, requests))
            except LostReplyError as error:
                # It may still be carried out, and harmlessly be asked for again: whichever request comes second finds another stamp.
                failure = error
                continue
            except StoreUnreachableError as error:
                # This one was not even sent; an earlier one may have been.
                if failure is None:
                    raise
                raise self._in_doubt(failure, error, changes) from error.__cause__
            except JobStoreError as error:
                if len(changes) < 2 or not isinstance(error.__cause__, BulkWriteError):
                    raise
                refused = error  # one of them; the others may have been written
            else:
                if not changes or (failure is None and done == complete):
                    return set()
            lost = self._lost(changes, failure is not None, done[1] > 0)
            if refused is not None and len(lost) == len(changes):
                raise refused
            return lost
        assert failure is not None
        raise self._in_doubt(failure, failure, changes) from failure.__cause__

    def _in_doubt(
        self, first: JobStoreError, last: JobStoreError, changes: Sequence[Change]
    ) -> JobStoreError:
        if not changes:
            return StoreUnreachableError(str(last))
        return InDoubtError(
            f"{first}; it is not known whether it was written, since that could not be asked: {last}", changes
        )

    def _lost(self, changes: Sequence[Change], uncertain: bool, deleted: bool) -> set[str]:
        """Which of the changes were not made, where that may have happened to some; those that were may have been written over since.

        `uncertain`: an answer got lost; `deleted`: some records were.
        """
        try:
            found = self.read([before.id for before, _ in changes])
        except JobStoreError as error:
            raise self._in_doubt(error, error, changes) from error.__cause__
        if uncertain and any(
            after is not None and _is_unknown(before, after, found.get(before.id))
            for before, after in changes
        ):
            raise UncertainWriteError(
                f"{self._link}: the answer to a write got lost, and others have written the same record since, so it is not known whether "
                "the run that was asked for has taken place"
            )
        # Where several were to be deleted, and not all were there, nobody can tell which of them somebody else has deleted.
        gone = uncertain or deleted
        return {
            before.id
            for before, after in changes
            if not _was_made(before, after, found.get(before.id), uncertain, gone)
        }

    def read(self, job_ids: Sequence[str]) -> dict[str, Record]:
        """Records of these ids as they stand, without payloads."""
        documents = self._link.find({"_id": ids(job_ids), "stamp": {"$exists": True}}, WITHOUT_PAYLOAD)
        return {record.id: record for record in map(load_record, documents)}

    def settle(self, doubt: InDoubtError) -> None:
        """See to it that a write whose fate is unknown is either done by now or never: those that are not get another stamp.

        Raises JobStoreError if the server does not answer.
        """
        fences = [
            UpdateOne(
                {"_id": to_bson(before.id), "stamp": before.stamp},
                {"$set": {"stamp": f"{_stamp_of(before, after)}.fence"}},
            )
            for before, after in doubt.changes
        ]
        for start in range(0, len(fences), BATCH):
            page = fences[start : start + BATCH]
            self._link.ask(lambda collection: _carried_out(collection, page))  # noqa: B023 - called at once


def _stamp_of(before: Record, after: Record | None) -> str:
    return before.stamp if after is None else after.stamp


def _request(before: Record, after: Record | None, pushes: bool) -> Any:
    condition: Document = {"_id": to_bson(before.id), "stamp": before.stamp}
    if before.version == UNREADABLE and not before.stamp:
        condition = {"_id": condition["_id"], "stamp": {"$not": {"$type": "string"}}, "adding": None}
    if after is None:
        # Not while somebody adds a job of that id, which is kept with it (`adding.py`).
        return DeleteOne({**condition, "adding": None})
    if after.state == "ended" and not after.runs:
        condition["adding"] = {"$exists": True}  # else it would have to be deleted
    return UpdateOne(condition, update_of(before, after, pushes))


def _release(released: Released) -> Any:
    return UpdateMany(
        {"_id": ids(released.job_ids), "reserved_by": released.holder}, {"$unset": dict(RESERVATION)}
    )


def _counts(changes: Sequence[Change], released: Released | None) -> tuple[int, int]:
    """How many documents are updated, and how many deleted, if all is as it was read."""
    deleted = sum(after is None for _, after in changes)
    return len(changes) - deleted + (len(released.job_ids) if released else 0), deleted


def _carried_out(collection: Collection, requests: Sequence[Any]) -> tuple[int, int]:
    """How many documents were updated and deleted, in one round trip for each of the two."""
    result = collection.bulk_write(requests, ordered=False)
    return result.matched_count, result.deleted_count


def _was_made(
    before: Record, after: Record | None, found: Record | None, uncertain: bool, gone: bool
) -> bool:
    """Whether a change was made, by what is found now; `gone` is the answer where a record was to be deleted, and is not there."""
    if after is None:
        return gone if found is None else uncertain and found.incarnation != before.incarnation
    if found is None:
        return False
    if found.stamp == after.stamp:
        return True
    # Somebody has written it, before or since. What only this write can have brought tells that it was there.
    if after.revision != before.revision and found.revision == after.revision:
        return True
    known = {run.run for run in before.runs}
    brought = {(run.run, run.owner) for run in after.runs if run.run not in known and run.owner is not None}
    if brought & {(run.run, run.owner) for run in found.runs}:
        return True
    return bool(_asked_for(before, after) & {run.root for run in found.runs})


def _asked_for(before: Record, after: Record) -> set[int]:
    """The runs that a change only adds, which somebody has asked for. Claimed, they have another number, and keep this one as their root."""
    if not {run.run for run in before.runs} <= {run.run for run in after.runs}:
        return set()
    known = {run.run for run in before.runs}
    return {run.run for run in after.runs if run.run not in known and run.owner is None}


def _is_unknown(before: Record, after: Record, found: Record | None) -> bool:
    """Whether a run was asked for, and what is found now does not tell: it may have been taken, and have ended.

    All other changes may be made once more: they find nothing to do.
    """
    asked_for = _asked_for(before, after)
    if not asked_for or (found is not None and (found.stamp in (before.stamp, after.stamp))):
        return False
    known = set() if found is None else {number for run in found.runs for number in (run.run, run.root)}
    return not asked_for & known
