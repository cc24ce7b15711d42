"""`PluginMethods`: how executors and job stores come to a scheduler, are opened, closed, and go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_REMOVED,
    SchedulerEvent,
)
from ..jobstores.base import BaseJobStore
from .adding import AddingMethods
from .configuration import build_executor, build_jobstore, specification
from .engine import Engine
from .keeper import Keeper
from .port import Port


class PluginMethods(AddingMethods):
    """What `BaseScheduler` offers for executors and job stores. Thread-safe."""

    _jobstores: dict[str, BaseJobStore]
    _configured: tuple[set[str], set[str]]
    _starting: set[str]
    _keeper: Keeper | None

    if TYPE_CHECKING:

        def wakeup(self) -> None: ...

    def add_executor(self, executor: Any, alias: str = "default", **executor_opts: Any) -> None:
        """Add an executor: an instance, any `concurrent.futures.Executor`, or a plug-in's name and arguments. ValueError: the alias is taken."""
        self._check_process()
        built = build_executor(alias, specification(executor, executor_opts))
        with self._lock:
            if alias in self._executors or alias in self._starting:
                raise ValueError(f'This scheduler already has an executor by the alias of "{alias}"')
            self._starting.add(alias)
            engine = self._engine
        try:
            if engine is not None:
                built.start(self, alias)
            with self._lock:
                self._executors[alias] = built  # only now, or the loop might find it before it is started
        finally:
            with self._lock:
                self._starting.discard(alias)
        self._dispatch_event(SchedulerEvent(EVENT_EXECUTOR_ADDED, alias))
        if engine is not None:
            engine.known_executor(alias)

    def remove_executor(self, alias: str, shutdown: bool = True) -> None:
        """Remove an executor, and shut it down; its jobs wait until somebody has one of that name. Raises KeyError if it is unknown."""
        self._check_process()
        with self._lock:
            if alias not in self._executors:
                raise KeyError(f"No such executor: {alias}")
            executor = self._executors.pop(alias)
            self._configured[0].discard(alias)
        try:
            if shutdown:
                executor.shutdown()
        finally:
            self._dispatch_event(SchedulerEvent(EVENT_EXECUTOR_REMOVED, alias))

    def add_jobstore(self, jobstore: Any, alias: str = "default", **jobstore_opts: Any) -> None:
        """Add a job store: an instance, or a plug-in's name with its arguments. Raises ValueError if the alias is taken."""
        self._check_process()
        built = build_jobstore(alias, specification(jobstore, jobstore_opts))
        with self._lock:
            if alias in self._jobstores:
                raise ValueError(f'This scheduler already has a job store by the alias of "{alias}"')
            self._jobstores[alias] = built
            engine = self._engine
        if engine is not None:
            try:
                self._open(engine, alias, built)
                self._announce(self._add_pending(alias))
            except BaseException:
                with self._lock:
                    self._jobstores.pop(alias, None)
                engine.remove_port(alias, partial(self._close, alias, built))
                raise
        self._dispatch_event(SchedulerEvent(EVENT_JOBSTORE_ADDED, alias))
        self.wakeup()

    def remove_jobstore(self, alias: str, shutdown: bool = True) -> None:
        """Remove a job store from this scheduler; its jobs stay in it. Raises KeyError if it is unknown.

        It is closed (if `shutdown`) as soon as the runs that were claimed from it have ended and are written.
        """
        self._check_process()
        with self._lock:
            if alias not in self._jobstores:
                raise KeyError(f"No such job store: {alias}")
            store = self._jobstores.pop(alias)
            self._configured[1].discard(alias)
            engine = self._engine
            close = partial(self._close, alias, store) if shutdown else _nothing
        if engine is None:
            close()
        else:
            engine.remove_port(alias, close)
        self._dispatch_event(SchedulerEvent(EVENT_JOBSTORE_REMOVED, alias))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _open(self, engine: Engine, alias: str, store: BaseJobStore) -> None:
        """Start a store, and have the engine look at it."""
        store.own(engine.owner, int(engine.lease * 1_000_000))
        store.start(self, alias)
        engine.add_port(Port(engine, alias, store))
        if store.shared:
            with self._lock:
                if self._keeper is None:
                    self._keeper = Keeper(engine)
            self._keeper.start()

    def _close(self, alias: str, store: BaseJobStore) -> None:
        try:
            store.shutdown()
        except Exception:
            self._logger.exception('Error shutting down job store "%s"', alias)


def _nothing() -> None:
    pass
