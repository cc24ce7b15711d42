"""`ClaimStep`: one claim on an SQL table: a look whether there is anything to be written, and the step that decides and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..claiming import ClaimBatch
from ..record import Record, Wanted
from ..recordstore import Choice
from ..sharedstore import PAGE
from ..uncertain import Stamps
from .recordtable import RecordTable
from .session import Session

FIRST_LOOK: Final = 16
"""So many due records are read to see whether there is anything to be written; more if it is not found among them."""


class ClaimStep(ClaimBatch):
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
        super().__init__(now, choose, owner=owner, lease_until=lease_until, stamp=stamp)
        self._table = table
        self._wanted = wanted

    def look(self, session: Session) -> bool:
        """Whether anything is to be written. If not, `won` says all that there is to say of what is due."""
        won = self.begin()
        wakes = self._table.first_wakes(session, [*self._wanted])
        awake = {
            alias: wake_at for alias, wake_at in zip(self._wanted, wakes, strict=True) if wake_at is not None
        }
        due = [alias for alias, wake_at in awake.items() if wake_at <= self._now]
        if not due:
            won.wake_at = min(awake.values(), default=None)
            return False
        for alias in due:
            records = self._table.due(session, alias, self._now, FIRST_LOOK)
            if self.decide(records, self._wanted[alias], write=False):
                return True
        won.wake_at = self._table.next_wake(session, self._wanted, self._now)
        return False

    def step(self, session: Session) -> tuple[None, Stamps | None]:
        """Decide and write, in a transaction."""
        won = self.begin()
        for alias, room in self._wanted.items():
            # One more than there is room for tells whether more is due.
            size = min(max(room, 0) + 1, PAGE)
            self.decide(self._table.due(session, alias, self._now, size, lock=True), room)
        stamps = self._table.write(session, self.written)
        won.wake_at = self._table.next_wake(session, self._wanted, self._now)
        return None, stamps or None
