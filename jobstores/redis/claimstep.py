"""`ClaimRound`: one claim: look at what is due, reserving it if others may be at it, decide, and say what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ..claiming import ClaimBatch
from ..record import Record, Wanted
from ..recordlines import load_record
from ..recordstore import Choice
from ..sharedstore import PAGE
from .codec import in_pairs

RESERVED_FOR: Final = 2_000_000
"""µs after which a reservation that nobody has followed up ends: longer than deciding a batch takes, shorter than anybody would notice."""

FEW: Final = 8
"""So many due records are not reserved, as long as nobody else comes before: a reservation is one more write to the server's disk."""

Look: TypeAlias = Callable[[Sequence[str], Sequence[int]], "list[Any]"]
"""Runs the script LOOK for some executors, with its numbers."""


class ClaimRound(ClaimBatch):
    """The claim of one pass. Used by one thread."""

    def __init__(
        self,
        look: Look,
        now: int,
        wanted: Wanted,
        choose: Callable[[Record], Choice],
        *,
        owner: str,
        lease_until: int | None,
        stamp: str,
        held: Mapping[str, Record],
    ) -> None:
        """`held`: records that are reserved since the claim before, which could not decide them."""
        super().__init__(now, choose, owner=owner, lease_until=lease_until, stamp=stamp)
        self._look = look
        self._wanted = wanted
        self._held = held
        self._reserved: dict[str, str] = {}
        self._read = 0
        self._later: int | None = None
        self._seen = {*held}
        self.first: Record | None = None
        """The record that has something due at `won.wake_at`."""

    def decide_foreseen(self, record: Record) -> bool:
        """Decide one that is due by now, as it was when something else was read, without a look. False: a look is needed all the same."""
        won = self.begin()
        if record.wake_at is not None and record.wake_at <= self._now:
            self.decide([record], self._wanted.get(record.executor, 0))
        return bool(won.rows)

    def decide_all(self) -> bool:
        """Look and decide. Whether anything is to be written, reservations to be ended included. `won` says all that there is to say."""
        won = self.begin()
        rooms = self._decide_held()
        aliases = [*rooms]
        sizes = [min(max(room, 0) + 1, PAGE) for room in rooms.values()]
        # One more than there is room for tells whether more is due. It is not reserved: it is for somebody else.
        wake_at, first, reserved, *pages = self._look(
            aliases, [number for size in sizes for number in (0, size, size - 1)]
        )
        won.wake_at, self.first = to_time(wake_at), first_of(first)
        for alias, size, page in zip(
            aliases, sizes, pages, strict=False
        ):  # no pages at all if nothing is due
            if page:
                self.decide(self._due(alias, size, page, reserved == b"1"), rooms[alias])
        if self._later is not None and (won.wake_at is None or self._later < won.wake_at):
            won.wake_at = self._later
        return bool(won.rows or self.released())

    def _decide_held(self) -> dict[str, int]:
        """Decide those that were held back for this claim. How much room is left then."""
        if self._held:
            pages: dict[str, list[Record]] = {alias: [] for alias in self._wanted}
            for record in self._held.values():
                if record.executor in pages:
                    pages[record.executor].append(record)
            for alias, records in pages.items():
                self.decide(records, self._wanted[alias])
        return self.rooms()

    def rooms(self) -> dict[str, int]:
        """How much room is left, behind what has been decided."""
        rooms = dict(self._wanted)
        for before, decision, _ in self.won.rows:
            rooms[before.executor] -= decision.starts or 1
        for record in self.won.deferred:
            rooms[record.executor] -= 1
        return rooms

    @property
    def held(self) -> dict[str, Record]:
        """What is reserved and comes back deferred: it stays reserved for the claim that follows.

        Once: if it is deferred again, somebody may have changed it, and it has to be read anew.
        """
        reserved = self._reserved
        return {
            record.id: record
            for record in self.won.deferred
            if record.id in reserved and record.id not in self._held
        }

    @property
    def passed_over(self) -> bool:
        """Whether most of what is due is not for this process, so that reserving it would be in vain."""
        taken = len(self.won.rows) + len(self.won.deferred)
        return self._read > 2 * taken + FEW

    def released(self) -> list[Record]:
        """What was reserved, and is neither written nor held. Of one that somebody has changed since it was held, the newer state."""
        done = {before.id: before.stamp for before, _, _ in self.won.rows}
        done.update((record.id, record.stamp) for record in self.held.values())
        left = [record for record in self._held.values() if record.id not in done]
        left += [
            load_record(job_id, line)
            for job_id, line in self._reserved.items()
            if not line.startswith(f"{done.get(job_id, '')}\t")
        ]
        return left

    def _due(self, alias: str, size: int, page: bytes, reserved: bool) -> Iterator[Record]:
        """The due records of an executor in the order of the index, page after page."""
        seen, read = self._seen, 0
        while True:
            pairs = [*in_pairs(page)]
            if reserved:
                # At once: whoever asks for records stops when there is no more room.
                self._reserved.update(pairs[: size - 1])
            for job_id, line in pairs:
                if job_id in seen:
                    continue
                seen.add(job_id)
                record = load_record(job_id, line)
                if record.executor != alias:
                    continue  # somebody else has entered it here
                if record.wake_at is not None and record.wake_at > self._now:
                    # Beyond 2^53 µs the index cannot tell a time from its neighbours.
                    self._later = record.wake_at if self._later is None else min(self._later, record.wake_at)
                    continue
                self._read += 1
                yield record
            if len(pairs) < size:
                return
            # Those that are reserved are not found again, and those that are not stand where they stood.
            read += len(pairs)
            size = PAGE
            _, _, again, *pages = self._look(
                [alias], [0 if reserved else read, size, size - 1 if reserved else 0]
            )
            if not pages:
                return
            page, reserved = pages[0], reserved and again == b"1"


def first_of(lines: bytes) -> Record | None:
    """The record of the lines of one."""
    for job_id, line in in_pairs(lines):
        return load_record(job_id, line)
    return None


def to_time(score: bytes) -> int | None:
    """The time of an index's score as the server writes it. None for one that is no time: then somebody else has written it."""
    if score.isdigit():
        return int(score)
    try:
        return int(float(score)) if score else None
    except (ValueError, OverflowError):  # "inf"
        return None
