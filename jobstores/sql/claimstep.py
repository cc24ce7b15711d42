"""`ClaimStep`: one claim on an SQL table: a look whether there is anything to be written, and the step that decides and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


LOOK_AGAIN: Final = 20_000
"""µs after which a claim that has passed over locked records looks at them again; doubled each time that they still are locked."""

_DOUBLINGS: Final = 6


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
        skips_locked: bool,
        passed_over: int = 0,
    ) -> None:
        """`passed_over`: how often, before this claim, locked records were met and nothing else."""
        super().__init__(now, choose, owner=owner, lease_until=lease_until, stamp=stamp)
        self._table = table
        self._wanted = wanted
        self._skips_locked = skips_locked
        self.nothing_due = False
        """What the look has found."""
        self.passed_over = passed_over
        """The same with this claim."""
        self._passed_over = passed_over
        self.met = 0
        """How many due records the last step has read."""

    def look(self, session: Session) -> bool:
        """Whether anything is to be written. If not, `won` says all that there is to say of what is due."""
        won = self.begin()
        wakes = self._table.first_wakes(session, [*self._wanted])
        awake = {
            alias: wake_at for alias, wake_at in zip(self._wanted, wakes, strict=True) if wake_at is not None
        }
        due = [alias for alias, wake_at in awake.items() if wake_at <= self._now]
        self.nothing_due = not due
        if not due:
            won.wake_at = min(awake.values(), default=None)
            return False
        for alias in due:
            records = self._table.due(session, alias, self._now, FIRST_LOOK)
            if self.decide(records, self._wanted[alias], write=False):
                return True
        won.wake_at = self._table.ask_next_wake(session, self._wanted, self._now)()
        return False

    def step(self, session: Session) -> tuple[None, Stamps | None]:
        """Decide and write, in a transaction."""
        won, now, table = self.begin(), self._now, self._table
        self.met = 0
        ask_wake = table.ask_next_wake(session, self._wanted, now)
        passed_over = False
        for alias, room in self._wanted.items():
            # One more than there is room for tells whether more is due.
            size = min(max(room, 0) + 1, PAGE)
            ask_count = table.ask_due_count(session, alias, now, size) if self._skips_locked else None
            met = self.met
            self.decide(self._counted(table.due(session, alias, now, size, lock=True)), room)
            if ask_count is not None:
                passed_over |= ask_count() > self.met - met
        written = self.written
        lost = table.write_won(session, written)
        if lost:
            self.forget(lost)
            written = self.written
        # The answer may be older than what is written here.
        wakes = [after.wake_at for _, after in written if after is not None]
        wakes.append(ask_wake())
        self.passed_over = 0
        if (passed_over or lost) and not won.more:
            # Others have locked what is due, or written it. They claim it, most likely; or else it is still due when they are done.
            wakes.append(now + (LOOK_AGAIN << self._passed_over))
            self.passed_over = 0 if written else min(self._passed_over + 1, _DOUBLINGS)
        won.wake_at = min((at for at in wakes if at is not None and at > now), default=None)
        return None, table.stamps_of(written) if written else None

    def _counted(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.met += 1
            yield record
