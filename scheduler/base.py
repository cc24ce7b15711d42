"""`BaseScheduler`: the public face of the engine. This file is its life: configuration, start, pause, shutdown, executors and stores.

What is done with jobs is `JobMethods` (`jobs.py`), what moves them `MovingMethods` (`moving/`), with runs `RunMethods` (`runs.py`), what explains them `ExplainMethods` (`explaining/`), with runs that were lost and jobs that were set aside `CareMethods`
(`care.py`). A front end brings the driver: how the loop is run and woken.
"""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, ClassVar, Final

from ..events import (
    EVENT_ALL,
    EVENT_EXECUTOR_ADDED,
    EVENT_JOBSTORE_ADDED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    Clock,
    ListenerRegistry,
    SchedulerEvent,
)
from ..events.registry import Mask
from ..executors.base import BaseExecutor
from ..executors.shutdown import inside_shutdown
from ..jobstores.base import BaseJobStore
from ..jobstores.job import Job
from .attaching import PluginMethods
from .configuration import (
    DEFAULT_PREFIX,
    Settings,
    build_executor,
    build_jobstore,
    read_settings,
    without,
)
from .engine import Engine
from .errors import ForkedSchedulerError, SchedulerAlreadyRunningError, SchedulerNotRunningError
from .explaining import ExplainMethods
from .keeper import Keeper
from .loop import Loop, run
from .moving import MovingMethods
from .planning import undefined
from .plugins import load_plugin

__all__ = ["STATE_PAUSED", "STATE_RUNNING", "STATE_STOPPED", "BaseScheduler", "undefined"]

STATE_STOPPED: Final = 0
"""The scheduler does nothing; jobs that are added wait for its start."""
STATE_RUNNING: Final = 1
"""Jobs are run."""
STATE_PAUSED: Final = 2
"""The scheduler is started, and claims no jobs."""


class BaseScheduler(PluginMethods, ExplainMethods, MovingMethods):
    """Base of all schedulers. All methods may be called from any thread, jobs and listeners included.

    `gconfig` is a mapping of options as a configuration file gives them, `options` are the same as keywords (which win): `logger`,
    `timezone`, `jobstore_retry_interval` (10 s), `job_defaults`, `executors`, `jobstores`, `clock`, `lease` (30 s), `claim_window`
    (1,000), `max_clock_offset` (5 s: nothing is claimed from a store whose server's clock is farther from this machine's), `random`, and those of
    the front end. Unknown ones are refused.
    """

    front_end_options: ClassVar[frozenset[str]] = frozenset()
    """Names of options that this kind of scheduler takes besides."""
    default_executor: ClassVar[str] = "threadpool"
    """What executor is added when none is called "default"."""

    def __init__(self, gconfig: Mapping[str, Any] | None = None, **options: Any) -> None:
        self._prepare_process()
        self._listeners = ListenerRegistry()
        # Asked several times for each run: without a call in between.
        self._wants, self._dispatch_event = self._listeners.wants, self._listeners.publish
        self._executors: dict[str, BaseExecutor] = {}
        self._starting: set[str] = set()
        """Aliases of executors that are being added."""
        self._jobstores: dict[str, BaseJobStore] = {}
        self._pending = {}
        self._configured: tuple[set[str], set[str]] = (set(), set())
        self.configure(gconfig, **options)

    def _prepare_process(self) -> None:
        """What belongs to this process: set anew when a copy in a forked child is started."""
        # Guards the dicts of executors and stores, the pending jobs and changes of state. Never held while a plug-in, a listener or a
        # step on a store runs.
        self._lock = threading.RLock()
        self._placed, self._placing = threading.Condition(self._lock), {}
        # Held while stores are opened or closed: a start waits for the end of the shutdown before it, maybe in a keeper's thread. Their start
        # and shutdown run under it; nobody else takes it, so that nothing which those wait for can be waiting for it.
        self._doors = threading.RLock()
        self._opening = set()
        self._pid = os.getpid()
        self._engine: Engine | None = None
        self._keeper: Keeper | None = None
        # Set while nothing is open: no engine, and no store that a run of an earlier boot still writes to. A shutdown that does
        # not wait sets it at once.
        self._closed = threading.Event()
        self._closed.set()
        self.state = STATE_STOPPED

    # -- configuration ---------------------------------------------------------------------------------------------

    def configure(
        self, gconfig: Mapping[str, Any] | None = None, prefix: str | None = DEFAULT_PREFIX, **options: Any
    ) -> None:
        """Configure anew a scheduler that does not run. Executors and stores that were added one by one stay.

        Raises `SchedulerAlreadyRunningError` if it runs, and TypeError, ValueError or LookupError for what is not right; then nothing
        has changed.
        """
        self._check_process()
        with self._lock:
            if self.state != STATE_STOPPED:
                raise SchedulerAlreadyRunningError
        settings = read_settings(gconfig, prefix, options, front_end_options=self.front_end_options)
        executors = {alias: build_executor(alias, spec) for alias, spec in settings.executors.items()}
        jobstores = {alias: build_jobstore(alias, spec) for alias, spec in settings.jobstores.items()}
        self._settle_options(settings)
        with self._lock:
            self._settings: Settings = settings
            self._logger = self._listeners.logger = settings.logger
            # What the last configuration brought goes; what was added one by one stays.
            self._executors = {**without(self._executors, self._configured[0]), **executors}
            self._jobstores = {**without(self._jobstores, self._configured[1]), **jobstores}
            self._configured = (set(executors), set(jobstores))

    def _settle_options(self, settings: Settings) -> None:
        """Check and take the front end's own options (`settings.extra`)."""

    @property
    def timezone(self) -> tzinfo:
        """The zone of times that name none."""
        return self._settings.timezone

    @property
    def clock(self) -> Clock:
        """The clock by which this scheduler works."""
        return self._settings.clock

    # -- life ------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the scheduler is started, paused or not."""
        return self.state != STATE_STOPPED and self._pid == os.getpid()

    def start(self, paused: bool = False) -> None:
        """Start executors and stores, add the pending jobs, and run jobs; with `paused`, only accept them until `resume()`.

        Raises `SchedulerAlreadyRunningError`, and whatever a store raises that cannot be started or refuses a pending job: then nothing
        is started, and the pending jobs are pending still. A store whose server cannot be reached, or only reads, does not keep the scheduler from its
        start: it is opened when the server is there, its pending jobs wait until then, and calls that concern it raise `JobStoreError`.
        """
        if self._pid != os.getpid():
            self._prepare_process()
        with self._lock:
            if self.state != STATE_STOPPED or self._engine is not None:
                raise SchedulerAlreadyRunningError
            engine = self._engine = self._new_engine(paused)
            self._closed.clear()
        try:
            self._add_defaults()
            with self._doors:
                self._start_parts(engine)
            added = self._begin(engine, STATE_PAUSED if paused else STATE_RUNNING)
        except BaseException:
            self._stop_parts(engine, wait=False)
            with self._lock:
                self._engine = None
            raise
        self.clock.subscribe(self.wakeup)
        self._announce(added)
        for port in engine.ports():
            engine.outages.tell(port)
        self._logger.info("Scheduler started")
        self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_STARTED))
        if not engine.stopping:  # else a listener, or another thread, has shut it down already
            self._run(run(engine))

    def _begin(self, engine: Engine, state: int) -> list[Job]:
        """Add the pending jobs, and count as started from the moment on at which none is left: others may add some meanwhile.

        Those of stores that could not be opened, or cannot be reached by now, stay pending.
        """
        added: list[Job] = []
        while True:
            added += self._add_pending_or_wait(engine)
            with self._lock:
                awaited = engine.awaited()
                if all(new.jobstore in awaited for new in self._pending.values()):
                    self.state = state
                    return added

    def _new_engine(self, paused: bool) -> Engine:
        settings = self._settings
        return Engine(
            self,
            self._wake,
            clock=settings.clock,
            logger=settings.logger,
            random=settings.random,
            lease=settings.lease,
            claim_window=settings.claim_window,
            retry_interval=settings.jobstore_retry_interval,
            max_clock_offset=settings.max_clock_offset,
            paused=paused,
        )

    def _add_defaults(self) -> None:
        """Add an executor and a store by the name "default", where nobody else is called that."""
        added: list[int] = []
        with self._lock:
            if "default" not in self._executors:
                self._executors["default"] = load_plugin("executors", self.default_executor)()
                added.append(EVENT_EXECUTOR_ADDED)
            if "default" not in self._jobstores:
                self._jobstores["default"] = load_plugin("jobstores", "memory")()
                added.append(EVENT_JOBSTORE_ADDED)
        for code in added:
            self._dispatch_event(SchedulerEvent(code, "default"))

    def _start_parts(self, engine: Engine) -> None:
        """Start the executors and the stores."""
        with self._lock:
            executors, jobstores = dict(self._executors), dict(self._jobstores)
        for alias, executor in executors.items():
            executor.start(self, alias)
        for alias, store in jobstores.items():
            self._open(engine, alias, store)

    def shutdown(self, wait: bool = True) -> None:
        """Stop: claim nothing more, wait for all runs that were claimed, and close the stores.

        Without `wait`, runs that have not started are given back to their stores, and those that have are not waited for. May be called from a job: it waits for all runs but those which are themselves inside `shutdown`. What still runs afterwards
        keeps its lease, and its end is written. Raises `SchedulerNotRunningError`. The scheduler can be started again.
        """
        self._check_process()
        with self._lock:
            engine = self._engine
            if self.state == STATE_STOPPED or engine is None:
                raise SchedulerNotRunningError
            self.state = STATE_STOPPED
        self.clock.unsubscribe(self.wakeup)
        engine.stopping = True  # read before every claim; a claim that is on its way is submitted to its end
        # A job that calls this is not waited for, by this shutdown or by another scheduler's.
        with inside_shutdown():
            try:
                self._tell_runs()  # before anything is waited for: one may go on in the loop's own thread
                self._wake()
                self._join()
                self._stop_parts(engine, wait)
            except BaseException:
                # Ctrl-C while it waits: what is left to be done is done without waiting.
                self._stop_parts(engine, wait=False)
                raise
            finally:
                with self._lock:
                    self._engine = None
        self._warn_of_pending()
        self._logger.info("Scheduler has been shut down")
        self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_SHUTDOWN))

    def _tell_runs(self) -> None:
        """Have all runs see that they are cancelled, those of each executor: to shut one down may take until its runs have ended."""
        with self._lock:
            executors = list(self._executors.values())
        for executor in executors:
            executor.cancel_all("shutdown")

    def _stop_parts(self, engine: Engine, wait: bool) -> None:
        """End the executors, write what has ended, and close the stores, now or when the last run has ended."""
        with self._lock:
            executors = dict(self._executors)
        for alias, executor in executors.items():
            try:
                for ticket in executor.withdraw() if not wait else ():
                    ticket.port.returned(ticket.key)  # type: ignore[attr-defined]
                executor.shutdown(wait)
            except Exception:
                self._logger.exception('Error shutting down executor "%s"', alias)
        for port in engine.end():
            if port.silent:
                continue  # what is to be written there, the keeper tries; nobody waits for it
            try:
                engine.settled(port, port.settle())
            except Exception:
                self._logger.exception('Ends of runs cannot be written to job store "%s"', port.alias)

        def close() -> None:
            with self._doors:
                # Another engine: the scheduler was started again meanwhile, and its stores are in use.
                if self._engine in (None, engine):
                    for port in engine.ports():
                        self._close(port)
            with self._lock:
                if self._engine in (None, engine):
                    self._closed.set()

        with self._lock:
            keeper, self._keeper = self._keeper, None
        if engine.submitting or engine.looking or any(port.tickets for port in engine.ports()):
            (keeper or Keeper(engine)).see_to_the_rest(close)
            if not wait:
                self._closed.set()
            return
        if keeper is not None:
            keeper.stop()
        close()

    def pause(self) -> None:
        """Claim no more jobs until `resume()`; runs that are claimed go on. Does nothing if it is paused already."""
        self._set_paused(True)

    def resume(self) -> None:
        """Claim jobs again. Does nothing if it is not paused."""
        self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        self._check_process()
        with self._lock:
            engine = self._engine
            if self.state == STATE_STOPPED or engine is None:
                raise SchedulerNotRunningError
            if (self.state == STATE_PAUSED) == paused:
                return
            self.state = STATE_PAUSED if paused else STATE_RUNNING
            engine.paused = paused
        self._logger.info("Paused scheduler job processing" if paused else "Resumed scheduler job processing")
        self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_PAUSED if paused else EVENT_SCHEDULER_RESUMED))
        if not paused:
            self.wakeup()

    def wakeup(self) -> None:
        """Have the loop look at all stores now."""
        engine = self._engine
        if engine is not None:
            engine.look_again()

    def _check_process(self) -> None:
        """Raise in a forked child that uses its parent's scheduler."""
        if self._pid != os.getpid() and self.state != STATE_STOPPED:
            raise ForkedSchedulerError

    # -- the driver, brought by the front end ------------------------------------------------------------------------

    @abstractmethod
    def _run(self, loop: Loop) -> None:
        """Drive the loop to its end, here or elsewhere. Called by `start`."""

    @abstractmethod
    def _wake(self) -> None:
        """End the driver's present wait, or its next one. Any thread; must not block."""

    @abstractmethod
    def _join(self) -> None:
        """Return when the driver has ended, or at once when called on its own thread."""

    # -- listeners ---------------------------------------------------------------------------------------------------

    def add_listener(self, callback: Callable[[Any], object], mask: Mask = EVENT_ALL) -> None:
        """Call `callback(event)` for events: codes or-ed together, an event class, or several in a tuple.

        It is called in the thread in which the event happens; what it raises is logged.
        """
        self._listeners.add(callback, mask)

    def remove_listener(self, callback: Callable[[Any], object]) -> None:
        """Call it no more."""
        self._listeners.remove(callback)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "Schedulers cannot be serialized. Ensure that you are not passing a scheduler instance as an argument to a job, or scheduling an "
            "instance method where the instance contains a scheduler as an attribute"
        )
