"""`ClaimStep`: one claim on an SQL table: a look whether there is anything to be written, and the step that decides and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import sqlalchemy as sa

from .. import transitions
from ..record import Decision, Record, RunKey, Wanted, Written
from ..recordstore import Choice, Won
from .database import Stamps
from .recordtable import PAGE, Change, RecordTable

FIRST_LOOK: Final = 16
"""So many due records are read to see whether there is anything to be written; more if it is not found among them."""


class ClaimStep:
    """The claim of one pass; both halves may be repeated from their beginning. Used by one thread."""

    def __init__(
        self,
        table: RecordTable,
        now: int,
        wanted: Wanted,
        choose: Callable[[Record], Choice],
        *,
        owner: str,
        lease_until: int | None,
        stamp: str,
    ) -> None:
        self.won = Won()
        self.written: list[Change] = []
        self._table = table
        self._now = now
        self._wanted = wanted
        self._choose = choose
        self._owner = owner
        self._lease_until = lease_until
        self._stamp = stamp

    def look(self, connection: sa.Connection) -> bool:
        """Whether anything is to be written. If not, `won` says all that there is to say of what is due."""
        self.won = won = Won()
        wakes = self._table.first_wakes(connection, [*self._wanted])
        awake = {
            alias: wake_at for alias, wake_at in zip(self._wanted, wakes, strict=True) if wake_at is not None
        }
        due = [alias for alias, wake_at in awake.items() if wake_at <= self._now]
        if not due:
            won.wake_at = min(awake.values(), default=None)
            return False
        for alias in due:
            records = self._table.due(connection, alias, self._now, FIRST_LOOK)
            if self._decide(records, self._wanted[alias], write=False):
                return True
        won.wake_at = self._table.next_wake(connection, self._wanted, self._now)
        return False

    def step(self, connection: sa.Connection) -> tuple[bool, Stamps | None]:
        """Decide and write, in a transaction. False: somebody else wrote in between, and it is to be done again."""
        self.won = won = Won()
        for alias, room in self._wanted.items():
            # One more than there is room for tells whether more is due.
            records = self._table.due(connection, alias, self._now, min(max(room, 0) + 1, PAGE))
            self._decide(records, room, write=True)
        self.written = [
            (before, None if after is Written.DELETED else after) for before, _, after in won.rows
        ]
        stamps = self._table.write(connection, self.written)
        if stamps is None:
            return False, None
        won.wake_at = self._table.next_wake(connection, self._wanted, self._now)
        return True, stamps or None

    def started(self) -> list[RunKey]:
        """The runs that the step has claimed."""
        return [
            RunKey(after.id, after.incarnation, run.run, self._owner)
            for before, after in self.written
            if after is not None
            for run in after.runs
            if run.state == "claimed" and run.owner == self._owner and run not in before.runs
        ]

    def _decide(self, records: Iterable[Record], room: int, *, write: bool) -> bool:
        """Decide records until there is no room; those that are passed over take none. To look: stop at one to be written, True."""
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
                room -= 1
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
