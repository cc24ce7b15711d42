"""`BackgroundScheduler`: runs in a thread of its own beside the program."""

from __future__ import annotations

import threading
from typing import ClassVar

from .blocking import BlockingScheduler, ThreadDriven
from .coercion import as_bool
from .configuration import Settings
from .drivers import drive
from .loop import Loop

__all__ = ["BackgroundScheduler", "BlockingScheduler"]


class BackgroundScheduler(ThreadDriven):
    """A scheduler beside the program: `start()` returns at once.

    `daemon` (True; old spelling `daemonic`): whether the program may end while the scheduler runs. With False it goes on until
    `shutdown()` is called.
    """

    front_end_options: ClassVar[frozenset[str]] = frozenset({"daemon", "daemonic"})

    def _settle_options(self, settings: Settings) -> None:
        extra = settings.extra
        self._daemon: bool = as_bool("daemon", extra.get("daemon", extra.get("daemonic", True)))

    def _run(self, loop: Loop) -> None:
        thread = threading.Thread(
            target=drive, args=(loop, self._wakeup.wait), name="mainspring", daemon=self._daemon
        )
        with self._lock:  # a shutdown finds it started, or not at all
            thread.start()
            self._thread = thread
