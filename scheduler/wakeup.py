"""`Wakeup`: the flag on which a thread that drives the loop waits, and which anybody may set, a signal handler included."""

from __future__ import annotations

from queue import Empty, SimpleQueue


class Wakeup:
    """A flag that stays set until somebody waits for it.

    `threading.Event` will not do: a signal handler runs in the main thread between any two of its steps, and would wait for ever for
    the lock that the interrupted `wait()` holds. `SimpleQueue.put` is documented to be reentrant.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Wake the waiting thread, or the next one that waits. Callable from anywhere."""
        # Two threads that find the queue empty put two tokens: one look too many, no wake-up too few.
        if self._queue.empty():
            self._queue.put(None)

    def wait(self, seconds: float) -> bool:
        """Return when the flag is set, at the latest after so many seconds: whether it was. It is not set afterwards."""
        was_set = False
        try:
            if seconds > 0:
                self._queue.get(timeout=seconds)
                was_set = True
            while True:
                self._queue.get_nowait()
                was_set = True
        except Empty:
            return was_set
