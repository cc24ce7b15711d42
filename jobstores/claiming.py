"""`ClaimBatch`: what one claim decides of the due records that its store reads, and what it has to write of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

from . import transitions
from .record import Decision, Record, RunKey, Written
from .recordstore import Choice, Won

Change: TypeAlias = "tuple[Record, Record | None]"
"""A record as it was read, and what it becomes; None: it goes."""


class ClaimBatch:
    """The claim of one pass, while it is put together; may be begun again (`begin`). Used by one thread."""

    def __init__(
        self,
        now: int,
        choose: Callable[[Record], Choice],
        *,
        owner: str,
        lease_until: int | None,
        stamp: str,
    ) -> None:
        self.won = Won()
        self._now = now
        self._choose = choose
        self._owner = owner
        self._lease_until = lease_until
        self._stamp = stamp

    def begin(self) -> Won:
        """Forget what was decided so far."""
        self.won = Won()
        return self.won

    @property
    def written(self) -> list[Change]:
        """The records that are to be written, as they were read and as they are to be."""
        return [(before, None if after is Written.DELETED else after) for before, _, after in self.won.rows]

    def started(self) -> list[RunKey]:
        """The runs that this claim takes."""
        return [
            RunKey(after.id, after.incarnation, run.run, self._owner)
            for before, _, after in self.won.rows
            if after is not Written.DELETED
            for run in after.runs
            if run.state == "claimed" and run.owner == self._owner and run not in before.runs
        ]

    def forget(self, ids: Collection[str]) -> None:
        """Somebody else was faster with these records: nothing of them is won."""
        self.won.rows = [row for row in self.won.rows if row[0].id not in ids]

    def decide(self, records: Iterable[Record], room: int, *, write: bool = True) -> bool:
        """Decide records until there is no room; those that are passed over take none. To look (not `write`): True at the first to be written."""
        won, now, choose, stamp = self.won, self._now, self._choose, self._stamp
        for record in records:
            if room <= 0:
                won.more = True
                break
            choice = choose(record)
            if choice is None:
                continue
            if not isinstance(choice, Decision):
                won.deferred.append(record)
                room -= choice == "defer"
                continue
            if transitions.changes_nothing(record, choice):
                continue
            if not write:
                return True
            after = transitions.claim(
                record, choice, owner=self._owner, now=now, lease_until=self._lease_until, stamp=stamp
            )
            won.rows.append((record, choice, after))
            room -= choice.starts or 1
            if after is not Written.DELETED and after.wake_at is not None and after.wake_at <= now:
                won.more = True  # a backlog of which a part was skipped: the rest is due at once
        return False
