"""The listener registry: who wants to hear of what, and telling them."""

import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from .codes import EVENT_ALL
from .types import PAYLOADS, SchedulerEvent

Listener: TypeAlias = Callable[[Any], object]
"""Called with one event; what it returns is ignored. It may be annotated with the class of the events it hears."""

Mask: TypeAlias = int | type[SchedulerEvent] | tuple[type[SchedulerEvent], ...]
"""Event codes or-ed together, or an event class, or several in a tuple (subclasses included)."""


class _Registration(NamedTuple):
    callback: Listener
    mask: int
    classes: tuple[type[SchedulerEvent], ...]


class ListenerRegistry:
    """Listeners in the order of their registration. Thread-safe; may be changed from inside a listener.

    Reading takes no lock: the registrations are one immutable tuple, which every change replaces. A publication that has
    begun goes to those who were registered when it began, whatever listeners do meanwhile.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.logger = logger or logging.getLogger("mainspring.events")
        self._change = threading.Lock()  # makes read-and-replace one step; never held while a listener runs
        self._registrations: tuple[_Registration, ...] = ()
        self._wanted = 0  # every code that some registration may want

    def add(self, callback: Listener, mask: Mask = EVENT_ALL) -> None:
        """Call `callback(event)` for the events in `mask`, in the thread that publishes them.

        `mask` is a sum of codes (`EVENT_JOB_ERROR | EVENT_JOB_MISSED`), an event class, or a tuple of event classes.
        A callback that is added twice is called twice. Raises TypeError for anything else.
        """
        if not callable(callback):
            raise TypeError(f"a listener must be callable with one event, got {callback!r}")
        codes, classes = _selection(mask)
        with self._change:
            self._replace((*self._registrations, _Registration(callback, codes, classes)))

    def remove(self, callback: Listener) -> None:
        """End all registrations of `callback`; nothing happens if there is none."""
        with self._change:
            # == and not `is`: each access to a bound method makes a new object
            self._replace(tuple(entry for entry in self._registrations if entry.callback != callback))

    def wants(self, code: int) -> bool:
        """Whether anybody may want events with this code: if not, the event need not be built."""
        return self._wanted & code != 0

    def publish(self, event: SchedulerEvent) -> None:
        """Call everybody who wants `event`, in the order of registration. What a listener raises is logged.

        Raised on are only KeyboardInterrupt and SystemExit in the main thread, where a signal handler may have raised
        them just while a listener ran: the program was told to stop.
        """
        code = event.code
        for callback, mask, classes in self._registrations:
            if mask & code and (not classes or isinstance(event, classes)):
                try:
                    callback(event)
                except BaseException as exc:
                    if isinstance(exc, KeyboardInterrupt | SystemExit) and _is_main_thread():
                        raise
                    self.logger.exception("Error notifying listener")

    def _replace(self, registrations: tuple[_Registration, ...]) -> None:
        wanted = 0
        for entry in registrations:
            wanted |= entry.mask
        self._registrations = registrations
        self._wanted = wanted


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _selection(mask: Mask) -> tuple[int, tuple[type[SchedulerEvent], ...]]:
    """The codes and the classes that an event must be of (no class: any)."""
    if isinstance(mask, int):
        return mask, ()
    classes = mask if isinstance(mask, tuple) else (mask,)
    if not classes or not all(isinstance(cls, type) and issubclass(cls, SchedulerEvent) for cls in classes):
        raise TypeError(
            f"mask must be event codes or-ed together, an event class or a tuple of event classes, got {mask!r}"
        )
    # A program's own subclass comes with the codes of ours that it derives from, or with codes of its own (those above
    # EVENT_ALL). That may be too many: `publish` looks at the class as well.
    ours = set(PAYLOADS.values())
    bases = tuple(next(base for base in cls.__mro__ if base in ours) for cls in classes)
    codes = ~EVENT_ALL
    for code, payload in PAYLOADS.items():
        if issubclass(payload, bases):
            codes |= code
    return codes, classes
