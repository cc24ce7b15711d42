"""`Additions`: jobs that are added together, all or none, though they do not fit into one transaction.

What is added stands under a number of its own. Transaction by transaction, its records are written, each marked with the number and without an
entry in the index: nobody claims or shows them. Then one write says that it is complete, and from then on all of them are there;
the entries follow, and the addition's own nodes go. If the scheduler dies before, its session ends, and whoever meets the addition then undoes it,
or, if it is complete, finishes it. The first step of both is a write that compares, so that the two never happen together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError

from ..errors import ConflictingIdError, JobStoreError
from ..record import Record
from ..recordlines import to_bytes, to_text
from . import layout
from .calls import Operation, children, delete, exists, get, set_data, transaction
from .layout import Layout
from .link import IN_FLIGHT, Link, is_lost
from .peers import Peers
from .view import Move, View
from .writing import InDoubtError, refusal

_COMPLETE: Final = b"complete"
_UNDONE: Final = b"undone"

_PORTION: Final = 250
"""So many records are written by one transaction."""

_AT_ONCE: Final = 8
"""So many transactions are under way at once."""

_BYTES: Final = 400_000
"""At most so many bytes."""

MAX_TOGETHER: Final = 700_000
"""What is smaller is written by one transaction, and needs none of this."""

Operations: TypeAlias = list[Operation]


def creations(paths: Layout, record: Record, addition: str | None = None) -> Operations:
    """The operations that write a new record."""
    name = layout.name_of(record.id)
    operations: Operations = [
        ("create", paths.record(name), layout.dump(record, addition)),
        ("create", paths.payload(name), record.payload or b""),
    ]
    if addition is None:
        operations.append(("create", paths.entry(layout.entry_of(record)), b""))
    return operations


def portions(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records, as many together as one transaction writes."""
    portion: list[Record] = []
    size = 0
    for record in records:
        more = 1_000 + len(record.payload or b"")
        if portion and (len(portion) >= _PORTION or size + more > _BYTES):
            yield portion
            portion, size = [], 0
        portion.append(record)
        size += more
    if portion:
        yield portion


class Additions:
    """Thread-safe."""

    def __init__(self, link: Link, paths: Layout, view: View, peers: Peers) -> None:
        self._link = link
        self._paths = paths
        self._view = view
        self._peers = peers
        self._unsettled: set[str] = set()
        self._going_on: set[str] = set()
        """Those of this process that are under way."""

    def add(self, records: Sequence[Record], others: Operations) -> None:
        """Add records whose ids nobody has, and with them, at the same moment, do other operations (on records that are over).

        Raises ConflictingIdError if somebody was faster, or what a Link raises; then nothing was added, or will not be.
        """
        number = os.urandom(8).hex()
        head = f"{self._paths.additions}/{number}"
        node = self._peers.node()
        self._going_on.add(number)
        try:
            try:
                self._transact([[("create", head, to_bytes(node))]])
                steps = (
                    self._portion(head, number, node, place, portion)
                    for place, portion in enumerate(portions(records))
                )
                while some := [*islice(steps, _AT_ONCE)]:
                    self._transact(some)
                self._transact([[("check", node, -1), ("set_data", head, _COMPLETE, 0), *others]])
            except InDoubtError:
                self._unsettled.add(number)
                raise
            except (JobStoreError, ConflictingIdError):
                self._unsettled.add(number)
                self._try_to_settle()
                raise
            self._unsettled.add(number)
            self._try_to_settle()
        finally:
            self._going_on.discard(number)

    def _portion(
        self, head: str, number: str, node: str, place: int, records: Sequence[Record]
    ) -> Operations:
        names = "\n".join(layout.name_of(record.id) for record in records)
        operations: Operations = [
            ("check", head, 0),
            ("check", node, -1),
            ("create", f"{head}/{place:06d}", to_bytes(names)),
        ]
        for record in records:
            operations += creations(self._paths, record, number)
        return operations

    def _transact(self, steps: Sequence[Operations]) -> None:
        _, futures = self._link.begin([transaction(operations) for operations in steps])
        for operations, answer in zip(steps, self._link.wait(futures), strict=True):
            if is_lost(answer):
                raise InDoubtError(
                    f"{self._link.translated(answer)}; it is not known whether the jobs were added: they are added all, or none"
                ) from answer
            refused = (0, answer) if isinstance(answer, Exception) else refusal(answer)
            if refused is not None:
                raise self._why(operations, *refused)

    def _why(self, operations: Operations, place: int, error: Exception) -> Exception:
        path = operations[place][1]
        if isinstance(error, NodeExistsError) and "/records/" in path:
            return ConflictingIdError(layout.id_of(path.rpartition("/")[2]))
        if isinstance(error, BadVersionError | NoNodeError):
            return JobStoreError(f"{self._link}: the records are changed faster than they can be written")
        return self._link.translated(error)

    # -- finishing and undoing -------------------------------------------------------------------------------------------

    def settle_own(self) -> None:
        """See to the end of those that this process could not. Raises JobStoreError."""
        for number in [*self._unsettled]:
            self.settle(number)

    def _try_to_settle(self) -> None:
        try:
            self.settle_own()
        except JobStoreError:
            pass  # it is tried again with the next claim

    def settle_all(self) -> None:
        """See to the end of all that nobody is at any more."""
        (numbers,) = self._link.ask([children(self._paths.additions)])
        for number in numbers or ():
            self.settle(number)

    def settle(self, number: str) -> bool:
        """Finish an addition that is complete, undo one whose scheduler is gone. False: it goes on."""
        head = f"{self._paths.additions}/{number}"
        (found,) = self._link.ask([get(head)])
        if found is None:
            self._unsettled.discard(number)
            return True
        data, stat = found
        if data not in (_COMPLETE, _UNDONE):
            mine = number in self._unsettled
            if not mine and (number in self._going_on or self._lives(to_text(data))):
                return False
            (written,) = self._link.wait(self._link.begin([set_data(head, _UNDONE, stat.version)])[1])
            if isinstance(written, BadVersionError | NoNodeError):
                return self.settle(number)  # somebody was faster
            if isinstance(written, Exception):
                raise self._link.translated(written) from written
            data = _UNDONE
        (places,) = self._link.ask([children(head)])
        for place in sorted(places or ()):
            self._settle_portion(f"{head}/{place}", number, data == _COMPLETE)
        self._link.ask([delete(head)])
        self._unsettled.discard(number)
        return True

    def _lives(self, node: str) -> bool:
        if not node.startswith(f"{self._paths.schedulers}/"):
            return False
        (stat,) = self._link.ask([exists(node)])
        return stat is not None

    def _settle_portion(self, path: str, number: str, complete: bool) -> None:
        (found,) = self._link.ask([get(path)])
        if found is None:
            return  # somebody was faster
        names = [name for name in to_text(found[0]).split("\n") if name]
        nodes: list[Any] = []
        for start in range(0, len(names), IN_FLIGHT):
            some = names[start : start + IN_FLIGHT]
            nodes += self._link.ask([get(self._paths.record(name)) for name in some])
        operations: Operations = [("delete", path, -1)]
        moves: list[Move] = []
        for name, node in zip(names, nodes, strict=True):
            if node is None:
                continue
            stored = layout.load(name, node[0], node[1].version)
            if stored.addition != number:
                continue
            if complete:
                operations.append(("create", self._paths.entry(stored.entry), b""))
                moves.append((None, stored.entry))
            else:
                operations.append(("delete", self._paths.record(name), stored.version))
                operations.append(("delete", self._paths.payload(name), -1))
        with self._link.lock:
            self._view.touch(entry for _, entry in moves if entry is not None)
            request, futures = self._link.begin([transaction(operations)])
        (answer,) = self._link.wait(futures)
        refused = (0, answer) if isinstance(answer, Exception) else refusal(answer)
        if refused is not None and not isinstance(
            refused[1], NoNodeError | NodeExistsError | BadVersionError
        ):
            raise self._link.translated(refused[1]) from refused[1]
        if refused is None:
            self._view.moved(request, moves)
        else:
            self._view.doubt(entry for _, entry in moves if entry is not None)
