"""`Writing`: what a store writes goes through here: in small transactions, many under way together, accounted for if an answer gets lost.

A transaction writes a record's node, if it still has the version that was read, and moves its entry in the index. The entry's name holds the
record's revision, which is random: so a job that was removed and added again, whose node counts its versions from 0 again, is never
taken for the one that was read.

Several records go into one transaction, which saves most of a request's cost; if one of them was changed by somebody else, the server
does none of it, and the others are written by themselves. A transaction over a whole batch might not fit into a message of the server's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kazoo.exceptions import (
    BadVersionError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    RuntimeInconsistency,
)

from ..errors import JobStoreError, StoreUnreachableError
from ..record import Record
from ..uncertain import UncertainWriteError
from . import layout
from .calls import Operation, exists, transaction
from .layout import MAX_NODE, Layout, Stored
from .link import IN_FLIGHT, Link, is_lost
from .reading import Reading
from .view import Move, View

TOGETHER: Final = 24
"""At most so many records are written by one transaction, while nobody else writes the same ones; and four, for a while, when somebody does."""

_FEW: Final = 4
_WARY: Final = 64

MAX_BYTES: Final = 250_000
"""At most so much is written by one transaction, unless one record alone is more."""

_logger = logging.getLogger("mainspring.jobstores")


@dataclass(slots=True)
class Change:
    """A record as it was read (None: there was none), and what it becomes (None: it goes)."""

    before: Stored | None
    after: Record | None

    @property
    def id(self) -> str:
        record = self.after if self.before is None else self.before.record
        assert record is not None
        return record.id


@dataclass(slots=True)
class Committed:
    """What became of changes."""

    lost: set[str] = field(default_factory=set)
    """Ids of the records that somebody else had written since they were read: these were not."""
    too_large: set[str] = field(default_factory=set)
    """Ids of those that do not fit into a node: these were not written, either."""
    stored: dict[str, Stored | None] = field(default_factory=dict)
    """By id, what was written, as far as it is known; None: it went."""


class InDoubtError(UncertainWriteError, StoreUnreachableError):
    """It could not be found out yet whether a write was done."""


class Group:
    """The changes of one transaction, and its operations."""

    def __init__(self, paths: Layout) -> None:
        self._paths = paths
        self.changes: list[Change] = []
        self.operations: list[Operation] = []
        self.belongs: list[int] = []
        """For each operation the place of its change."""
        self.moves: list[Move] = []
        self.size = 0

    def add(
        self,
        change: Change,
        data: bytes,
        entries: Sequence[str] | None = None,
        has_payload: bool | None = None,
    ) -> None:
        """One more, and what is to stand in its node. `entries`, `has_payload`: what there really is of the record, where that is not what it should be."""
        before, after, paths = change.before, change.after, self._paths
        name = layout.name_of(change.id)
        has_payload = before is not None if has_payload is None else has_payload
        new = None if after is None else layout.entry_of(after)
        old = [] if before is None else [before.entry] if entries is None else [*entries]
        operations: list[Operation] = []
        if after is not None:
            payload = after.payload
            if before is None:
                operations.append(("create", paths.record(name), data))
            else:
                operations.append(("set_data", paths.record(name), data, before.version))
            if payload is not None or before is None:
                verb = "set_data" if has_payload else "create"
                operations.append((verb, paths.payload(name), payload or b""))
                self.size += len(payload or b"")
            self.size += len(data)
        elif before is not None:
            operations.append(("delete", paths.record(name), before.version))
            if has_payload:
                operations.append(("delete", paths.payload(name)))
        if new in old:
            # It stays, and has to be there: what is written is the job that was read, and not a later one of the same id.
            operations.append(("check", paths.entry(str(new)), -1))
        elif new is not None:
            operations.append(("create", paths.entry(new), b""))
        operations += [("delete", paths.entry(entry)) for entry in old if entry != new]
        self.operations += operations
        self.belongs += [len(self.changes)] * len(operations)
        self.changes.append(change)
        first = old[0] if old else None
        self.moves.append((first, new))
        self.moves += [(entry, None) for entry in old[1:] if entry != new]
        self.size += 150 * len(operations)

    def entries(self) -> Iterator[str]:
        """The entries that it touches."""
        return (entry for move in self.moves for entry in move if entry is not None)

    def stored(self, answers: Sequence[Any]) -> Iterator[tuple[str, Stored | None]]:
        """What it has written, by what the server answered."""
        seen = -1
        for place, operation, answer in zip(self.belongs, self.operations, answers, strict=True):
            if place == seen:
                continue
            seen = place  # the first operation of a change is that on the record
            change = self.changes[place]
            version = answer.version if operation[0] == "set_data" else 0
            yield change.id, as_stored(change, version)


def as_stored(change: Change, version: int) -> Stored | None:
    """A record as it was written."""
    after = change.after
    if after is None:
        return None
    if after.payload is not None:
        after = replace(after, payload=None)
    return Stored(after, version, layout.entry_of(after))


def refusal(answers: Any) -> tuple[int, Exception] | None:
    """The place of the operation for which the server has done none of a transaction, and why."""
    for place, answer in enumerate(answers):
        if isinstance(answer, Exception) and not isinstance(answer, RolledBackError | RuntimeInconsistency):
            return place, answer
    return None


class Writing:
    """The writes of a store. Thread-safe."""

    def __init__(self, link: Link, paths: Layout, view: View, reading: Reading) -> None:
        self._link = link
        self._paths = paths
        self._view = view
        self._reading = reading
        self._wary = 0

    def commit(self, changes: Sequence[Change], *, claims: bool = False) -> Committed:
        """Write what has become of records that are still as they were read; each by itself is written whole or not at all.

        `claims`: others may be after the same ones. Raises StoreUnreachableError if nothing of some was written, and InDoubtError if nobody can
        tell for now; the others are written.
        """
        done = Committed()
        if claims:
            self._wary = max(0, self._wary - 1)
        groups = self._grouped(changes, _FEW if claims and self._wary else TOGETHER, done)
        for start in range(0, len(groups), IN_FLIGHT):
            left = self._write(groups[start : start + IN_FLIGHT], done, claims)
            if left:
                # Somebody was faster with one of their group.
                self._wary = _WARY
                for change in self._write(self._grouped(left, 1, done), done, claims):
                    done.lost.add(change.id)
        return done

    def _grouped(self, changes: Sequence[Change], size: int, done: Committed) -> list[Group]:
        groups: list[Group] = []
        for change in changes:
            data = b"" if change.after is None else layout.dump(change.after)
            if len(data) > MAX_NODE:
                self._refuse(change)
                done.too_large.add(change.id)
                continue
            if change.before is not None and not change.before.readable:
                groups.append(self._as_it_is(change))
                continue
            weight = len(change.after.payload or b"") if change.after is not None else 0
            last = groups[-1] if groups else None
            if last is None or len(last.changes) >= size or last.size + weight > MAX_BYTES:
                last = Group(self._paths)
                groups.append(last)
            last.add(change, data)
        return groups

    def _as_it_is(self, change: Change) -> Group:
        """The transaction for a record of which there is not what should be: somebody else has written there."""
        name = layout.name_of(change.id)
        entries = self._reading.entries_of([name])[name]
        payload = self._paths.payload(name)
        (found,) = self._link.ask([exists(payload)])
        group = Group(self._paths)
        data = b"" if change.after is None else layout.dump(change.after)
        group.add(change, data, entries, found is not None)
        return group

    def _write(
        self, groups: Sequence[Group], done: Committed, claims: bool, again: bool = True
    ) -> list[Change]:
        """Write groups. Answers the changes that are to be written by themselves, since another one of their group could not be."""
        if not groups:
            return []
        with self._link.lock:
            self._link.client()  # raises if there is no connection, before anything is noted
            for group in groups:
                self._view.touch(group.entries())
            request, futures = self._link.begin([transaction(group.operations) for group in groups])
        left: list[Change] = []
        unsure: list[tuple[Group, Exception]] = []
        failure: Exception | None = None
        for group, answer in zip(groups, self._link.wait(futures), strict=True):
            if is_lost(answer):
                unsure.append((group, answer))
                self._view.doubt(group.entries())
            elif isinstance(answer, Exception):
                failure = answer
            elif (refused := refusal(answer)) is None:
                self._view.moved(request, group.moves)
                done.stored.update(group.stored(answer))
            else:
                failure = self._after_refusal(group, *refused, left, done, again) or failure
        if unsure:
            left += self._after_loss(unsure, done, claims, again)
        if failure is not None:
            raise self._link.translated(failure) from failure
        return left

    def _after_refusal(
        self, group: Group, place: int, error: Exception, left: list[Change], done: Committed, again: bool
    ) -> Exception | None:
        """One of the group could not be written, so none was: sort out what becomes of them. Answers an error that is nobody's doing."""
        if not isinstance(error, BadVersionError | NodeExistsError | NoNodeError):
            return error
        at = group.belongs[place]
        culprit = group.changes[at]
        left += [change for change in group.changes if change is not culprit]
        is_record = group.belongs.index(at) == place
        if again and not is_record and culprit.before is not None and self._is_unchanged(culprit.before):
            # Its entry or its payload is not what it should be.
            repair = self._as_it_is(culprit)
            left += self._write([repair], done, False, again=False)
            return None
        done.lost.add(culprit.id)
        if culprit.before is not None:
            self._view.doubt([culprit.before.entry])
        return None

    def _is_unchanged(self, seen: Stored) -> bool:
        name = layout.name_of(seen.record.id)
        self._link.catch_up(self._paths.path)
        return any(
            found.version == seen.version and found.record.stamp == seen.record.stamp
            for found in self._reading.by_name([name])
        )

    # -- answers that got lost -------------------------------------------------------------------------------------------

    def _after_loss(
        self, unsure: Sequence[tuple[Group, Exception]], done: Committed, claims: bool, again: bool
    ) -> list[Change]:
        """Find out what was written. What was not is written again.

        A server refuses what comes late on the connection that was lost: one whose session has gone on elsewhere closes it, and the leader
        knows which server a session is at; a session that has ended has nothing done any more. And what was on its way before comes
        first: `sync` answers when the server that is asked has it. So what is not there now never will be.
        """
        names = [layout.name_of(change.id) for group, _ in unsure for change in group.changes]
        error = unsure[0][1]
        try:
            self._link.catch_up(self._paths.path)
            found = {stored.record.id: stored for stored in self._reading.by_name(names)}
        except JobStoreError as unreachable:
            reason = self._link.translated(error)
            raise InDoubtError(
                f"{reason}; it is not known whether it was written, since that could not be asked: {unreachable}"
            ) from error
        left: list[Change] = []
        for group, _ in unsure:
            written = was_written(group.changes, found)
            if written:
                for change in group.changes:
                    now = found.get(change.id)
                    ours = change.after is None or (
                        now is not None and now.record.stamp == change.after.stamp
                    )
                    if not ours:
                        continue  # it was written, and is not as it was written any more
                    done.stored[change.id] = None if now is None or change.after is None else now
            elif written is None:
                if not claims:
                    raise UncertainWriteError(
                        f"{self._link.translated(error)}; others have written since, so it is not known whether it was written"
                    ) from error
                done.lost.update(change.id for change in group.changes)
            elif again:
                left += self._write([group], done, claims, again=False)
            else:
                raise StoreUnreachableError(f"{self._link.translated(error)}; nothing was written") from error
        return left

    def _refuse(self, change: Change) -> None:
        _logger.error(
            "The record of job %r does not fit into a node of ZooKeeper's any more (at most %d bytes, open runs included): it is left as it is",
            change.id,
            MAX_NODE,
        )


def was_written(changes: Sequence[Change], found: dict[str, Stored]) -> bool | None:
    """Whether a transaction was done, by what is found now; one record tells for all. None: nobody can tell.

    False also if new records are not there: they may have been, and have gone since (`Adding` finds that out).
    """
    gone = missing = False
    for change in changes:
        before, after, now = change.before, change.after, found.get(change.id)
        if now is None:
            # Removed by it, or by somebody else; or never added.
            gone, missing = gone or before is not None, missing or before is None
            continue
        if after is not None and (now.record.stamp == after.stamp):
            return True
        if before is None:
            if after is not None and now.record.incarnation == after.incarnation:
                return True
            missing = True  # somebody else's job of the same id
            continue
        if now.version == before.version or now.record.incarnation != before.record.incarnation:
            if now.version == before.version and now.record.stamp == before.record.stamp:
                return False
            continue
        if after is not None:
            known = {run.run for run in before.record.runs}
            new = {run.run for run in after.runs} - known
            if new & {run.run for run in now.record.runs}:
                return True  # the runs that it has taken are there
            if after.revision != before.record.revision and now.record.revision == after.revision:
                return True
        if now.version == before.version + 1:
            return False  # there was one write since, and it was somebody else's
    if missing:
        return False
    return True if gone and all(change.after is None for change in changes) else None
