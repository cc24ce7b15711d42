"""`Adding`: new jobs are written all or none: in one transaction if they fit, else as an addition of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError

from .. import edits
from ..errors import ConflictingIdError, JobStoreError, StoreUnreachableError
from ..record import Record, Written
from ..sharedstore import MAX_RECENT
from ..uncertain import UncertainWriteError
from . import layout
from .calls import exists, transaction, weight
from .layout import Layout, Stored
from .link import Link, is_lost
from .portions import MAX_TOGETHER, Additions
from .reading import Reading
from .view import View
from .writing import Change, Group, InDoubtError, as_stored, refusal, was_written

_TRIES: Final = 20
_AT_MOST: Final = 1_000


class Adding:
    """Thread-safe."""

    def __init__(self, link: Link, paths: Layout, view: View, reading: Reading, additions: Additions) -> None:
        self._link = link
        self._paths = paths
        self._view = view
        self._reading = reading
        self._additions = additions

    def insert(self, records: Sequence[Record], stamp: str) -> dict[str, Stored | None]:
        """Write new records. Answers what was written, as far as it is known. Raises ConflictingIdError for the first id that is taken."""
        existing: dict[str, Stored] = {}
        orphans: set[str] = set()
        for _ in range(_TRIES):
            changes = []
            for record in records:
                before = existing.get(record.id)
                after = edits.add(None if before is None else before.record, record, stamp)
                if after is None:
                    raise ConflictingIdError(record.id)
                if after is not Written.DELETED:
                    changes.append(Change(before, after))
            if not changes:
                return {}
            stored, job_id = self._add(changes, orphans)
            if job_id is None:
                return stored
            found = self._reading.by_id([record.id for record in records])
            if job_id in found:
                existing.update(found)
            elif existing.pop(job_id, None) is None:
                orphans.add(job_id)  # a payload without a record, which somebody else has deleted
        raise JobStoreError(f"{self._link}: the records are changed faster than they can be written")

    def _add(
        self, changes: Sequence[Change], orphans: set[str]
    ) -> tuple[dict[str, Stored | None], str | None]:
        """Write them all, and answer what was written; or none, and the id of one that is not as it is thought to be."""
        group = self._group(changes, orphans)
        if len(changes) > _AT_MOST or weight(group.operations) > MAX_TOGETHER:
            return self._add_in_portions(changes, orphans)
        with self._link.lock:
            seen = self._link.client().last_zxid
            self._view.touch(group.entries())
            request, futures = self._link.begin([transaction(group.operations)])
        (answer,) = self._link.wait(futures)
        if is_lost(answer):
            self._view.doubt(group.entries())
            return self._after_loss(changes, answer, seen), None
        if isinstance(answer, Exception):
            raise self._link.translated(answer) from answer
        refused = refusal(answer)
        if refused is not None:
            return {}, self._in_the_way(changes, group, *refused)
        self._view.moved(request, group.moves)
        return dict(group.stored(answer)), None

    def _group(self, changes: Sequence[Change], orphans: set[str]) -> Group:
        group = Group(self._paths)
        for change in changes:
            data = b"" if change.after is None else layout.dump(change.after)
            if change.before is not None and not change.before.readable:
                name = layout.name_of(change.id)
                group.add(change, data, self._reading.entries_of([name])[name])
            else:
                group.add(change, data, has_payload=change.before is not None or change.id in orphans)
        return group

    def _in_the_way(self, changes: Sequence[Change], group: Group, place: int, error: Exception) -> str:
        if not isinstance(error, BadVersionError | NodeExistsError | NoNodeError):
            raise self._link.translated(error) from error
        if isinstance(error, NoNodeError) and group.operations[place][0] == "create":
            raise self._link.translated(error) from error  # the bucket is gone
        return changes[group.belongs[place]].id

    def _after_loss(self, changes: Sequence[Change], error: Any, seen: int) -> dict[str, Stored | None]:
        """The answer got lost: find out what was done (`Writing`). `seen`: the number of the last transaction of the server's before."""
        reason = self._link.translated(error)
        try:
            self._link.catch_up(self._paths.path)
            found = self._reading.by_id([change.id for change in changes])
            written = was_written(changes, found)
            if written is False and self._may_have_gone(changes, found, seen):
                written = None
        except JobStoreError as unreachable:
            raise InDoubtError(
                f"{reason}; it is not known whether the jobs were added, since that could not be asked: {unreachable}"
            ) from error
        if written is None:
            raise UncertainWriteError(
                f"{reason}; others have written since, so it is not known whether the jobs were added"
            ) from error
        if not written:
            raise StoreUnreachableError(f"{reason}; no job was added") from error
        return dict(found)

    def _may_have_gone(self, changes: Sequence[Change], found: Mapping[str, Stored], seen: int) -> bool:
        """Whether jobs that are not there may have been added, and have run or been removed since."""
        for change in changes:
            before, now = change.before, found.get(change.id)
            if (
                before is not None
                and now is not None
                and (now.version, now.record.stamp) == (before.version, before.record.stamp)
            ):
                return False
        new = [change for change in changes if change.before is None]
        folders = sorted({self._paths.record(layout.name_of(change.id)).rpartition("/")[0] for change in new})
        # A node knows which transaction has added or removed a child of it last.
        stats = self._link.ask([exists(folder) for folder in folders])
        return all(stat is None or stat.pzxid > seen for stat in stats)

    def _add_in_portions(
        self, changes: Sequence[Change], orphans: set[str]
    ) -> tuple[dict[str, Stored | None], str | None]:
        new = [change.after for change in changes if change.before is None and change.after is not None]
        others = [change for change in changes if change.before is not None]
        group = self._group(others, orphans)
        if weight(group.operations) > MAX_TOGETHER or len(others) > _AT_MOST:
            raise JobStoreError(
                f"{self._link}: too many of these jobs replace ones of the same id whose last run goes on ({len(others)}): add fewer at once"
            )
        try:
            self._additions.add(new, group.operations)
        except ConflictingIdError as conflict:
            # Its id may be that of a job that is over, and stands in nobody's way.
            return {}, conflict.job_id
        # As they were written. Their marks say nothing any more; the next write leaves them out.
        stored = [Change(None, record) for record in new[:MAX_RECENT]]
        return {change.id: as_stored(change, 0) for change in stored}, None
