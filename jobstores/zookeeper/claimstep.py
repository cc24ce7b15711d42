"""`ClaimRound`: one claim: what is due by the names of the index, read where it is not known, and decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from ..claiming import ClaimBatch
from ..record import Record, Wanted
from ..recordstore import Choice
from ..sharedstore import PAGE
from . import layout
from .layout import Stored
from .reading import Reading
from .view import View
from .writing import Change


class ClaimRound(ClaimBatch):
    """The claim of one pass. Used by one thread."""

    def __init__(
        self,
        view: View,
        reading: Reading,
        seen: Mapping[str, Stored],
        now: int,
        choose: Callable[[Record], Choice],
        *,
        owner: str,
        lease_until: int | None,
        stamp: str,
    ) -> None:
        """`seen`: records as they were written or read last."""
        super().__init__(now, choose, owner=owner, lease_until=lease_until, stamp=stamp)
        self._view = view
        self._reading = reading
        self._seen = seen
        self._from: dict[str, Stored] = {}
        self.read: dict[str, Stored] = {}
        """What it had to read."""
        self.believed: set[str] = set()
        """Ids of the records that it had not."""

    def decide_all(self, wanted: Wanted, is_mine: Callable[[int], bool] | None) -> list[Change]:
        """Decide what is due. What is to be written; `won` says all that there is to say."""
        self.begin()
        for alias, room in wanted.items():
            self.decide(self._due(alias, room, is_mine), room)
        return [Change(self._from[before.id], after) for before, after in self.written]

    def rooms(self, wanted: Wanted) -> dict[str, int]:
        """How much room is left, behind what is won."""
        rooms = dict(wanted)
        for before, decision, _ in self.won.rows:
            rooms[before.executor] -= decision.starts or 1
        for record in self.won.deferred:
            rooms[record.executor] -= 1
        return rooms

    def _due(self, alias: str, room: int, is_mine: Callable[[int], bool] | None) -> Iterator[Record]:
        entries = self._view.due(self._now, alias, is_mine)
        # One more than there is room for tells whether more is due.
        size = min(max(room, 0) + 1, PAGE)
        while page := [*islice(entries, size)]:
            named = [(entry, layout.record_name_of(entry)) for entry in page]
            known = {name: stored for entry, name in named if (stored := self._as_known(entry, name))}
            unknown = [name for _, name in named if name not in known]
            read = {layout.name_of(stored.record.id): stored for stored in self._reading.by_name(unknown)}
            for entry, name in named:
                stored = read.get(name)
                if stored is None and (stored := known.get(name)) is not None:
                    self.believed.add(stored.record.id)
                if stored is None:
                    self._view.ignore(entry)  # it has gone since, or there never was one
                    continue
                if self._is_due(stored, entry, alias):
                    yield stored.record
            size = PAGE

    def _as_known(self, entry: str, name: str) -> Stored | None:
        # Other threads write into it meanwhile.
        stored = self._seen.get(name)
        return stored if stored is not None and stored.entry == entry else None

    def _is_due(self, stored: Stored, entry: str, alias: str) -> bool:
        record = stored.record
        if record.id in self._from:
            return False  # its old entry and its new one are both known
        self._from[record.id] = stored
        if record.id not in self.believed:
            self.read[record.id] = stored
        if stored.readable and stored.entry != entry:
            self._view.mistaken(entry)
            return record.executor == alias and record.wake_at is not None and record.wake_at <= self._now
        return True
