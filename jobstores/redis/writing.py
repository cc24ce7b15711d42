"""`Writing`: what a store writes goes through here: compared and written in one step on the server, and accounted for if the answer gets lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..claiming import Change
from ..errors import JobStoreError, StoreUnreachableError
from ..record import Record, is_sooner, lease_time
from ..recordlines import dump_record, escaped, load_record, to_text, unescaped
from ..uncertain import UncertainWriteError
from .claimstep import first_of, to_time
from .codec import in_pairs
from .keys import Keys
from .link import Link, LostReplyError
from .scripts import COMMIT, FENCE

LAYOUT: Final = "1"
"""The version of the layout that this library writes."""

_FIRST_INDEX: Final = 7
"""The number, in the script COMMIT, of the first key that is an index."""
_FIRST_PAYLOAD: Final = 10
"""The number of the first argument there that is a payload."""


@dataclass(slots=True)
class Written:
    """What became of a write."""

    done: bool = True
    lost: frozenset[str] = frozenset()
    """Ids of the records that somebody else had written since they were read: these were not."""
    wake_at: int | None = None
    first: Record | None = None
    """The record that has something due then."""
    due: bool = False
    """Something is due now."""
    in_the_way: dict[str, Record | None] = field(default_factory=dict)
    """If nothing was written, since it was to be all or none: the records that are not as they were read, as they are."""


class InDoubtError(UncertainWriteError, StoreUnreachableError):
    """It could not be found out whether a write was done; `settle()` of `Writing` may find out later."""

    def __init__(self, message: str, marker: str, name: str) -> None:
        super().__init__(message)
        self.marker = marker
        self.name = name


class Writing:
    """The writes of a store from one start to the next. Thread-safe."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self.name = os.urandom(8).hex()
        """Nobody else's: no two writes on a server have the same name, nor two that are under way the same marker."""
        self._numbers = itertools.count(1)
        self._slots = itertools.count(1)
        # Each write that is under way has a marker to itself; appending to a list and popping from it are one step each.
        self._free: list[str] = []

    def commit(
        self,
        changes: Sequence[Change],
        *,
        all_or_none: bool = False,
        released: Iterable[Record] = (),
        now: int | None = None,
        aliases: Iterable[str] = (),
        pushes: bool = False,
    ) -> Written:
        """Write what has become of records that are still as they were read. A stamp that was read as "" means: there is none.

        `released`: reservations to be ended. `now`: answer the first time behind it at which one of the executors `aliases` has something due.
        `pushes`: tell other schedulers what is due sooner than before.
        """
        batch = _Batch(self._keys, aliases, pushes)
        for before, after in changes:
            batch.add(before, after)
        for record in released:
            batch.release(record)
        arguments = batch.arguments(all_or_none, now)
        reply = self._sure(batch.indexes, [*arguments, self._keys.channel, self.name, *batch.payloads])
        state, lines, *next_ones = reply
        if state == b"version":
            raise JobStoreError(newer_layout(self._link, to_text(lines)))
        if state == b"taken":
            return Written(False, in_the_way=_in_the_way(lines))
        lost = frozenset(map(unescaped, to_text(lines).split("\n"))) if lines else frozenset()
        if not next_ones:
            return Written(True, lost)
        wake_at, first, due = next_ones
        return Written(True, lost, to_time(wake_at), first_of(first), bool(due))

    def _marker(self) -> str:
        try:
            return self._free.pop()
        except IndexError:
            return self._keys.marker(self.name, next(self._slots))

    def _sure(self, indexes: Sequence[str], arguments: Sequence[Any]) -> list[Any]:
        """The reply of COMMIT, even if it got lost. Raises StoreUnreachableError if nothing was written, else InDoubtError if nobody can tell."""
        names = self._keys
        keys = (names.records, names.payloads, names.leases, names.executors, names.version)
        failure: LostReplyError | None = None
        for _ in range(2):
            marker, name = self._marker(), f"{self.name}.{next(self._numbers)}"
            try:
                reply: list[Any] = self._link.run_once(COMMIT, [*keys, marker, *indexes], name, *arguments)
            except LostReplyError as error:
                reply, failure = self._after_loss(marker, name, error), error
                if reply[0] == b"fenced":
                    continue  # the marker stays this write's, which may still be on its way
            except JobStoreError:
                self._free.append(marker)
                raise
            self._free.append(marker)
            return reply
        # Nothing of it was written, nor will be.
        raise StoreUnreachableError(str(failure)) from failure

    def _after_loss(self, marker: str, name: str, error: LostReplyError) -> list[Any]:
        try:
            reply: list[Any] = self._link.run(FENCE, [marker], name)
        except JobStoreError as again:
            raise InDoubtError(
                f"{error}; it is not known whether it was written, since that could not be asked: {again}",
                marker,
                name,
            ) from error
        return reply

    def settle(self, doubt: InDoubtError) -> None:
        """See to it that a write whose fate is unknown is either done by now or never. Raises JobStoreError if the server does not answer."""
        self._link.run(FENCE, [doubt.marker], doubt.name)

    def forget(self) -> None:
        """Take away the markers, when all has been written. They would go by themselves, a few minutes later."""
        if self._free and self._link.answers:
            try:
                self._link.ask("UNLINK", *self._free)
            except JobStoreError:
                pass  # the server is not there any more


class _Batch:
    """The arguments of COMMIT."""

    def __init__(self, keys: Keys, aliases: Iterable[str], pushes: bool) -> None:
        self._keys = keys
        self._pushes = pushes
        self._places: dict[str, int] = {}
        self.indexes: list[str] = []
        self.payloads: list[bytes] = []
        self._changes: list[str] = []
        self._releases: list[str] = []
        self._sooner: dict[str, int] = {}
        self._new: set[str] = set()
        self._layout = ""
        for alias in aliases:
            self._place(alias)

    def _place(self, alias: str) -> int:
        place = self._places.get(alias)
        if place is None:
            place = self._places[alias] = _FIRST_INDEX + len(self._places)
            self.indexes.append(self._keys.index(alias))
        return place

    def add(self, before: Record, after: Record | None) -> None:
        job_id, seen = escaped(before.id), before.stamp
        was_in: int | str = self._place(before.executor) if seen else ""
        if after is None:
            self._changes.append(f"{job_id}\n{seen}\n{was_in}\n\n\n\n\n\n")
            return
        alias, wake_at = after.executor, after.wake_at
        moves = not seen or alias != before.executor
        belongs_in = self._place(alias) if moves else was_in
        if moves:
            self._new.add(alias)
            self._layout = LAYOUT
        if self._pushes and wake_at is not None and (moves or is_sooner(wake_at, before.wake_at)):
            self._sooner[alias] = min(wake_at, self._sooner.get(alias, wake_at))
        lease = lease_time(after.runs) if after.runs else None
        lease_before = lease_time(before.runs) if before.runs else None
        end: int | str = "-" if lease == lease_before else "" if lease is None else lease
        payload: int | str = ""
        if after.payload is not None:
            payload = _FIRST_PAYLOAD + len(self.payloads)
            self.payloads.append(after.payload)
        self._changes.append(
            f"{job_id}\n{seen}\n{was_in}\n{belongs_in}\n{'' if wake_at is None else wake_at}\n{end}\n{payload}\n{dump_record(after)}\n"
        )

    def release(self, record: Record) -> None:
        at = "" if record.wake_at is None else record.wake_at
        self._releases.append(f"{escaped(record.id)}\n{record.stamp}\n{self._place(record.executor)}\n{at}\n")

    def arguments(self, all_or_none: bool, now: int | None) -> list[str]:
        """Those from the second to the seventh."""
        about_indexes = [
            f"{escaped(alias) if alias in self._new else ''}\n{self._sooner.get(alias, '')}\n"
            for alias in self._places
        ]
        return [
            "all" if all_or_none else "each",
            self._layout,
            "".join(self._changes),
            "".join(self._releases),
            "" if now is None else str(now),
            "".join(about_indexes),
        ]


def _in_the_way(lines: bytes) -> dict[str, Record | None]:
    return {job_id: load_record(job_id, line) if line else None for job_id, line in in_pairs(lines)}


def newer_layout(link: Link, version: str) -> str:
    """The message about a layout that this library does not know."""
    return (
        f"{link}: the jobs there are kept in layout {version}, and this version of the library knows layout {LAYOUT}: "
        "upgrade it, or give another jobs_key"
    )
