"""`StoreAccess`: a store that is opened once for an engine and let go once, by whichever threads come to do it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from ..jobstores.base import BaseJobStore
from ..jobstores.errors import StoreUnreachableError, described
from ..triggers.instants import from_micros

if TYPE_CHECKING:
    from .engine import Engine
    from .outages import Outage


class StoreAccess:
    """A store, as far as it is open.

    Who starts it (a start of the scheduler, `add_jobstore`, an attempt that runs aside) and who lets go of it (a shutdown, `remove_jobstore`) may be at
    it at the same time, since a store's `start()` may take as long as its server's timeout, and nobody waits for that. The lock orders them: either
    `was_opened` comes first, and who lets go finds it open and closes it; or `let_go` comes first, and who has started it is told to close it. A store
    that was never started is closed by nobody.
    """

    def __init__(self, engine: Engine, alias: str, store: BaseJobStore) -> None:
        self.engine = engine
        self.alias = alias
        self._store = store
        self._door = Lock()
        self.opened = False
        """Whether the store was started, and may be used."""
        self.gone = False
        """Whether it was let go: it is not started any more."""
        self.outage: Outage | None = None
        """The time in which the store does not answer, if it is one."""

    @property
    def store(self) -> BaseJobStore:
        """The store. Raises `StoreUnreachableError` as long as it could not be opened: who asks for it hears that, not half an answer."""
        if not self.opened:
            raise self._not_opened()
        return self._store

    @property
    def unopened(self) -> BaseJobStore:
        """The store, open or not: for whoever starts it."""
        return self._store

    def _not_opened(self) -> StoreUnreachableError:
        outage = self.outage
        if outage is None:
            return StoreUnreachableError(f'Job store "{self.alias}" is being opened')
        since = from_micros(outage.since, self.engine.timezone)
        error = StoreUnreachableError(
            f'Job store "{self.alias}" could not be opened since {since:%Y-%m-%d %H:%M:%S %Z} (attempts so far: {outage.failures}; '
            f"more follow): {described(outage.error)}"
        )
        error.__cause__ = outage.error
        return error

    def was_opened(self) -> bool:
        """The store was started. False: it was let go meanwhile, and is to be closed by the caller."""
        with self._door:
            self.opened = not self.gone
        return self.opened

    def let_go(self, unless_opened: bool = False) -> bool:
        """Have the store started no more. Whether it is open now: then it is the caller's to close."""
        with self._door:
            self.gone = self.gone or not (unless_opened and self.opened)
            return self.opened
