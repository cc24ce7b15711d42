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
from ..jobstores.errors import JobStoreError, StoreUnreachableError, ends_program
from .adding import AddingMethods
from .configuration import build_executor, build_jobstore, refuse_in_use, specification
from .engine import Engine
from .keeper import Keeper
from .port import Port


class PluginMethods(AddingMethods):
    """What `BaseScheduler` offers for executors and job stores. Thread-safe."""

    _jobstores: dict[str, BaseJobStore]
    _configured: tuple[set[str], set[str]]
    _starting: set[str]
    _opening: set[int]
    """The stores (by `id`) that are being started right now, by whichever thread."""
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
            engine = self._engine
        if engine is not None:
            engine.lacking_executor()
        try:
            if shutdown:
                executor.shutdown()
        finally:
            self._dispatch_event(SchedulerEvent(EVENT_EXECUTOR_REMOVED, alias))

    def add_jobstore(self, jobstore: Any, alias: str = "default", **jobstore_opts: Any) -> None:
        """Add a job store: an instance, or a plug-in's name with its arguments. Raises ValueError if the alias is taken.

        A store whose server cannot be reached is added to a running scheduler all the same, and tried again until it can be opened.
        """
        self._check_process()
        built = build_jobstore(alias, specification(jobstore, jobstore_opts))
        with self._lock:
            if alias in self._jobstores:
                raise ValueError(f'This scheduler already has a job store by the alias of "{alias}"')
            self._jobstores[alias] = built
            engine = self._engine
        if engine is not None:
            try:
                port = self._open(engine, alias, built)
                self._announce(self._add_pending_or_wait(engine, alias))
            except BaseException:
                with self._lock:
                    self._jobstores.pop(alias, None)
                engine.remove_port(alias, self._close)
                raise
        self._dispatch_event(SchedulerEvent(EVENT_JOBSTORE_ADDED, alias))
        if engine is not None:
            engine.outages.tell(port)
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
        if engine is not None:
            # With `shutdown=False`, too, a store that could not be opened is opened no more.
            engine.remove_port(alias, self._close if shutdown else Port.let_go)
        elif shutdown:
            self._shut(alias, store)
        self._dispatch_event(SchedulerEvent(EVENT_JOBSTORE_REMOVED, alias))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _open(self, engine: Engine, alias: str, store: BaseJobStore) -> Port:
        """Start a store, and have the engine look at it; if it cannot be reached, have the engine try again. Raises what else it raises."""
        port = Port(engine, alias, store)
        try:
            self._start_store(engine, port)
        except StoreUnreachableError as exc:
            engine.outages.note(port, exc)
        if not engine.add_port(port):
            self._close(port)  # shut down meanwhile; the next start opens it
            return port
        with self._lock:
            removed = self._jobstores.get(alias) is not store
            # A shutdown takes the keeper away under this lock, and has said before that it stops.
            if port.shared and self._keeper is None and not engine.stopping:
                self._keeper = Keeper(engine)
            if port.shared and self._keeper is not None:
                self._start_keeper(self._keeper)
        if removed:  # by another thread, which has not found it at the engine
            engine.remove_port(alias, self._close)
        return port

    def _start_keeper(self, keeper: Keeper) -> None:
        """Have leases extended, from now on. Does nothing if they are already."""
        keeper.start()

    def _start_store(self, engine: Engine, port: Port) -> bool:
        """Start a port's store, unless it was let go. Whether it is open then. Raises what the store raises."""
        store = port.unopened
        with self._lock:
            if port.gone:
                return False
            if id(store) in self._opening:
                # An attempt of an earlier start of this scheduler hangs still. It closes what it opens; until it has come to its end, nobody
                # else starts the store.
                raise StoreUnreachableError("an earlier attempt to open it waits for the server still")
            # Two schedulers, or two aliases, may have been given the same one before either was started.
            refuse_in_use("jobstores", port.alias, store, self)
            self._opening.add(id(store))
        try:
            store.own(engine.owner, int(engine.lease * 1_000_000))
            store.on_push = partial(engine.pushed, port)
            store.start(self, port.alias)
            if not port.was_opened():
                self._shut(port.alias, store)
        finally:
            with self._lock:
                self._opening.discard(id(store))
        return port.opened

    def _try_out(self, engine: Engine, port: Port) -> None:
        """See whether a store that failed answers by now, open it if it was not, and add what is pending for it. Runs aside.

        When the engine has ended meanwhile, nothing is opened and nothing added; a write that changes nothing may still be made, or fail.
        """
        if port.opened:
            if port.silent:
                port.try_out()
        elif not self._start_store(engine, port):
            return
        try:
            port.pending_at = None
            added = self._add_pending(engine, port.alias)
        except JobStoreError:
            raise
        except BaseException as exc:
            if ends_program(exc):
                raise
            # What is refused is not the store's failure: its other jobs run. Nobody is there who could be told by an exception.
            engine.outages.refused(port, exc)
        else:
            self._announce(added)

    def _close(self, port: Port) -> None:
        """Close a port's store, if it was opened; an attempt that is about to open it does so itself."""
        if port.let_go():
            self._shut(port.alias, port.store)

    def _shut(self, alias: str, store: BaseJobStore) -> None:
        try:
            store.shutdown()
        except Exception:
            self._logger.exception('Error shutting down job store "%s"', alias)
