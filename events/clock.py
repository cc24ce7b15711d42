"""The clocks: the only module of the library that reads the time; everywhere else a clock is an argument."""

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(ABC):
    """Tells a scheduler what time it is. All methods may be called from any thread."""

    @property
    def is_real(self) -> bool:
        """Whether it tells the time of day, so that it may be compared with the clock of a server."""
        return True

    @abstractmethod
    def now(self) -> datetime:
        """The present moment, aware, in UTC. It may step in either direction when somebody sets the system's clock."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some moment in the past; never goes back, and counts suspended time where the system can.

        What lasts (leases, delays) is measured by it, since nobody can set it.
        """

    def micros(self) -> int:
        """`now()` as microseconds since the epoch, UTC."""
        return (self.now() - _EPOCH) // _MICROSECOND

    # Not abstract: a clock that only runs has nothing to tell.
    def subscribe(self, callback: Callable[[], object]) -> None:  # noqa: B027
        """Have `callback()` called each time after this clock was moved by hand. A clock that only runs never calls it."""

    def unsubscribe(self, callback: Callable[[], object]) -> None:  # noqa: B027
        """End one subscription of `callback`; nothing happens if there is none."""


class SystemClock(Clock):
    """The clocks of the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def micros(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return _elapsed()

    def __repr__(self) -> str:
        return "SystemClock()"


class ManualClock(Clock):
    """A clock that stands still until it is moved by hand: for tests, and for running a year of schedules in seconds.

    It starts at `start` (an aware datetime), by default at the present moment; `monotonic()` starts at 0.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[Callable[[], object], ...] = ()
        self._micros = time.time_ns() // 1000 if start is None else _to_micros(start, "start")
        self._elapsed = 0  # microseconds

    @property
    def is_real(self) -> bool:
        return False

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self._micros)

    def micros(self) -> int:
        return self._micros

    def monotonic(self) -> float:
        return self._elapsed / 1_000_000

    def advance(self, delta: timedelta) -> None:
        """Let `delta` pass (not negative: ValueError), then call the subscribers in this thread, in order."""
        if not isinstance(delta, timedelta):
            raise TypeError(f"advance() takes a timedelta, got {type(delta).__name__}: {delta!r}")
        if delta < timedelta(0):
            raise ValueError(
                f"time does not pass backwards, got {delta!r}; to step the clock back, call set()"
            )
        with self._lock:
            self._move_to(self._micros + delta // _MICROSECOND)
        self._tell()

    def set(self, moment: datetime) -> None:
        """Put the clock to `moment` (an aware datetime), then call the subscribers in this thread, in order.

        Forward is as if the time between had passed. Backward steps `now()` alone: `monotonic()` stands still.
        """
        target = _to_micros(moment, "moment")
        with self._lock:
            self._move_to(target)
        self._tell()

    def subscribe(self, callback: Callable[[], object]) -> None:
        with self._lock:
            self._subscribers = (*self._subscribers, callback)

    def unsubscribe(self, callback: Callable[[], object]) -> None:
        with self._lock:
            remaining = list(self._subscribers)
            if callback in remaining:
                remaining.remove(callback)
            self._subscribers = tuple(remaining)

    def _move_to(self, micros: int) -> None:
        _EPOCH + timedelta(
            microseconds=micros
        )  # OverflowError beyond the year 9999, before anything is changed
        self._elapsed += max(0, micros - self._micros)
        self._micros = micros

    def _tell(self) -> None:
        for callback in self._subscribers:  # outside the lock: a subscriber may ask or move this clock
            callback()

    def __repr__(self) -> str:
        return f"<ManualClock (now={self.now().isoformat()})>"


def _to_micros(moment: datetime, argument: str) -> int:
    if not isinstance(moment, datetime):
        raise TypeError(f"{argument} must be an aware datetime, got {type(moment).__name__}: {moment!r}")
    if moment.utcoffset() is None:
        raise ValueError(
            f"{argument} must be an aware datetime, got {moment!r}; give it a tzinfo, say datetime.UTC"
        )
    return (moment - _EPOCH) // _MICROSECOND


def _elapsed_clock() -> Callable[[], float]:
    """The clock that counts suspended time, if the system has one.

    Linux: CLOCK_BOOTTIME (`time.monotonic` stands still while the machine sleeps). macOS: CLOCK_MONOTONIC, which is not
    what `time.monotonic` reads there. Windows: `time.monotonic`, which counts it.
    """
    clock_id = getattr(time, "CLOCK_BOOTTIME", None)
    if clock_id is None and sys.platform == "darwin":
        clock_id = getattr(time, "CLOCK_MONOTONIC", None)
    if clock_id is None:
        return time.monotonic
    try:
        time.clock_gettime(clock_id)
    except OSError:  # the C library knows it, the kernel (or a sandbox around it) does not
        return time.monotonic
    return lambda: time.clock_gettime(clock_id)


_elapsed = _elapsed_clock()
