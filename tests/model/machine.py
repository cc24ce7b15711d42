"""The machine: does the same at random to the real scheduler and to the plain one, and compares after each step."""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mainspring.events import (
    EVENT_ALL_JOBS_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_PARKED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    ManualClock,
)
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job
from mainspring.scheduler.runs import OpenRun
from mainspring.scheduler.virtual import VirtualScheduler

from tests.model import held
from tests.model.drawn import (
    HOUR,
    MINUTE,
    add_options,
    edits,
    job_options,
    known_ids,
    news,
    passing,
)
from tests.model.plain_jobs import Conflict, Definition, Missing, Pending
from tests.model.plain_scheduler import PlainScheduler
from tests.model.plain_triggers import (
    SECOND,
    PlainInterval,
    PlainTrigger,
    instant_of,
    moment,
)

START = 1_800_000_000 * SECOND  # a Friday morning

NAMES = {
    EVENT_SCHEDULER_STARTED: "STARTED",
    EVENT_SCHEDULER_SHUTDOWN: "SHUTDOWN",
    EVENT_SCHEDULER_PAUSED: "PAUSED",
    EVENT_SCHEDULER_RESUMED: "RESUMED",
    EVENT_ALL_JOBS_REMOVED: "ALL_JOBS_REMOVED",
    EVENT_JOB_ADDED: "ADDED",
    EVENT_JOB_MODIFIED: "MODIFIED",
    EVENT_JOB_REMOVED: "REMOVED",
    EVENT_JOB_SUBMITTED: "SUBMITTED",
    EVENT_JOB_MAX_INSTANCES: "MAX_INSTANCES",
    EVENT_JOB_EXECUTED: "EXECUTED",
    EVENT_JOB_ERROR: "ERROR",
    EVENT_JOB_MISSED: "MISSED",
    EVENT_JOB_PARKED: "PARKED",
}

Events = dict[str, list[tuple[Any, ...]]]


class SchedulerMachine(RuleBasedStateMachine):
    """Steps for one kind of store; a subclass says which."""

    shared: ClassVar[bool]

    @abstractmethod
    def make_store(self) -> BaseJobStore:
        """The store that is tested, empty. What it keeps in files goes into `self.folder`."""

    def forget_store(self) -> None:
        """Delete what the store has left elsewhere."""

    steps: ClassVar[int] = 0
    """How many steps were made, over all runs."""

    def __init__(self) -> None:
        super().__init__()
        type(self).steps -= 1  # the check before the first step is none
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.clock = ManualClock(moment(START))
        self.model = PlainScheduler(START, self.shared)
        self.handles: list[tuple[Job, int]] = []
        self.seen: Events = {}
        self.executor = held.HoldingExecutor()
        held.called = lambda job_id, tag: self.note(job_id, "called", tag, self.clock.micros())
        self.scheduler = VirtualScheduler(
            clock=self.clock,
            timezone=UTC,
            executors={"held": self.executor},
            jobstores={"default": self.make_store()},
            random=Random(0),
            # Longer than any run of the machine: the keeper's thread, which works in real time, has nothing to do.
            lease=10 * 365 * 24 * 3600,
        )
        self.scheduler.add_listener(self.hear)
        self.scheduler.start()
        self.model.start(False)

    def note(self, job_id: str, *event: Any) -> None:
        self.seen.setdefault(job_id, []).append(event)

    def hear(self, event: Any) -> None:
        name = NAMES.get(event.code)
        if name in ("SUBMITTED", "MAX_INSTANCES"):
            times = tuple(map(instant_of, event.scheduled_run_times))
            self.note(event.job_id, name, times, self.clock.micros())
        elif name in ("EXECUTED", "ERROR", "MISSED"):
            time, now = instant_of(event.scheduled_run_time), self.clock.micros()
            assert event.late == moment(now) - event.scheduled_run_time
            retry_at = None if event.retry_at is None else instant_of(event.retry_at)
            self.note(event.job_id, name, time, now, event.attempt, retry_at)
        elif name is not None:
            self.note(getattr(event, "job_id", ""), name)

    def both(self, act: Callable[[], object], predict: Callable[[], object]) -> object:
        """Do it, and predict it; the errors must be of the same kind. Answers what was done, None if it failed."""
        try:
            predict()
        except Conflict:
            expected: type[Exception] = ConflictingIdError
        except Missing:
            expected = JobLookupError
        else:
            return act()
        try:
            act()
        except expected:
            return None
        raise AssertionError(f"{expected.__name__} was expected")

    # -- jobs ----------------------------------------------------------------------------------------------------------

    @rule(new=news)
    def add(self, new: Pending) -> None:
        job = new.shifted(self.model.now)
        added = self.both(lambda: self.scheduler.add_job(**add_options(job)), lambda: self.model.add([job]))
        if isinstance(added, Job) and self.model.running:
            self.handles.append((added, self.model.jobs[job.id].number))

    @rule(many=st.lists(news, min_size=1, max_size=3))
    def add_jobs(self, many: list[Pending]) -> None:
        jobs = [new.shifted(self.model.now) for new in many]
        self.both(lambda: self.scheduler.add_jobs(map(add_options, jobs)), lambda: self.model.add(jobs))

    @rule(job_id=known_ids, several=st.lists(edits, min_size=1, max_size=3))
    def edit(self, job_id: str, several: list[tuple[Any, ...]]) -> None:
        for method, *arguments in several:
            getattr(self, method)(job_id, *arguments)

    @rule(job_id=known_ids, several=st.lists(edits, min_size=2, max_size=3))
    def edit_more(self, job_id: str, several: list[tuple[Any, ...]]) -> None:
        self.edit(job_id, several)

    def known_ids(self) -> set[str]:
        """The ids of the jobs that there are."""
        return {new.id for new in self.model.pending} | {*filter(self.model.visible, self.model.jobs)}

    def modify(self, job_id: str, change: dict[str, Any]) -> None:
        self.both(
            lambda: self.scheduler.modify_job(job_id, **job_options(job_id, change)),
            lambda: self.model.modify(job_id, lambda definition: vars(definition).update(change)),
        )

    def set_trigger(self, job_id: str, trigger: PlainTrigger) -> None:
        plain = trigger.shifted(self.model.now)
        self.both(
            lambda: self.scheduler.modify_job(job_id, trigger=plain.real()),
            lambda: self.model.set_trigger(job_id, plain),
        )

    def reschedule(self, job_id: str, trigger: PlainTrigger) -> None:
        plain = trigger.shifted(self.model.now)
        self.both(
            lambda: self.scheduler.reschedule_job(job_id, trigger=plain.real()),
            lambda: self.model.reschedule(job_id, plain),
        )

    def modify_interval(self, job_id: str, step: int) -> None:
        new = self.model.waiting_for_start(job_id)
        found = new or (self.model.jobs[job_id] if self.model.visible(job_id) else None)
        if found is None or isinstance(found.trigger, PlainInterval):
            self.both(
                lambda: self.scheduler.modify_job(job_id, seconds=step // SECOND),
                lambda: self.model.rebuild(job_id, lambda trigger: trigger.with_step(step)),
            )

    def set_next_run_time(self, job_id: str, offset: int) -> None:
        time = self.model.now + offset
        self.both(
            lambda: self.scheduler.modify_job(job_id, next_run_time=moment(time)),
            lambda: self.model.move(job_id, time),
        )

    def pause(self, job_id: str) -> None:
        self.both(lambda: self.scheduler.pause_job(job_id), lambda: self.model.pause(job_id))

    def resume(self, job_id: str) -> None:
        goes_on: list[bool] = []
        resumed = self.both(
            lambda: self.scheduler.resume_job(job_id),
            lambda: goes_on.append(self.model.resume(job_id)),
        )
        assert (resumed is not None) == (goes_on == [True])

    def remove(self, job_id: str) -> None:
        self.both(lambda: self.scheduler.remove_job(job_id), lambda: self.model.remove(job_id))

    def run_now(self, job_id: str) -> None:
        if self.model.may_ask(job_id):
            self.both(lambda: self.scheduler.run_job_now(job_id), lambda: self.model.run_now(job_id))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), method=st.sampled_from(["pause", "resume", "remove", "modify", "run_now"]))
    def by_handle(self, data: st.DataObject, method: str) -> None:
        """An old handle is of no other job, though that may have the same id."""
        job, number = data.draw(st.sampled_from(self.handles))
        if self.model.waiting_for_start(job.id) is not None:
            return  # by id: one that is pending is no other job's yet
        if method == "modify":
            change = {"tag": 1000 + number, "fails": 0}
            self.both(
                lambda: job.modify(**job_options(job.id, change)),
                lambda: self.model.modify(job.id, lambda definition: vars(definition).update(change), number),
            )
        elif method != "run_now" or self.model.may_ask(job.id):
            predict = getattr(self.model, method)
            self.both(getattr(job, method), lambda: predict(job.id, number))

    # -- runs and time -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.model.held) - 1))
        job_id = self.model.held[place].job.id
        of_job = [held.job.id for held in self.model.held[:place]].count(job_id)
        self.executor.release(job_id, of_job)
        self.model.release(place)

    @precondition(lambda self: self.model.running)
    @rule(duration=passing)
    def advance(self, duration: int) -> None:
        target = self.model.now + duration
        self.scheduler.advance_to(moment(target))
        self.model.advance(target)

    @precondition(lambda self: self.model.running)
    @rule(durations=st.lists(passing, min_size=2, max_size=3))
    def advance_by_and_by(self, durations: list[int]) -> None:
        for duration in durations:
            self.advance(duration)

    @precondition(lambda self: self.model.running)
    @rule(duration=st.sampled_from([2 * MINUTE, 3 * HOUR, 20 * HOUR]))
    def be_away(self, duration: int) -> None:
        """The machine sleeps, say: time passes, and nobody looks."""
        self.wait(duration)

    @precondition(lambda self: self.model.running)
    @rule(
        how=st.sampled_from(["pause", "resume", "resume", "restart", "restart", "shutdown", "remove_all"]),
        wait=st.booleans(),
    )
    def all_jobs(self, how: str, wait: bool) -> None:
        """What concerns the whole scheduler."""
        if how == "remove_all":
            self.scheduler.remove_all_jobs()
            self.model.remove_all()
        elif how in ("pause", "resume"):
            (self.scheduler.pause if how == "pause" else self.scheduler.resume)()
            self.model.pause_all(how == "pause")
        else:
            self.scheduler.shutdown(wait)
            self.model.shutdown(wait)
            if how == "restart":
                self.start(0, False)

    @precondition(lambda self: not self.model.running)
    @rule(downtime=st.sampled_from([0, 2 * MINUTE, 3 * HOUR, 20 * HOUR]), paused=st.booleans())
    def start(self, downtime: int, paused: bool) -> None:
        self.wait(downtime)
        self.both(lambda: self.scheduler.start(paused), lambda: self.model.start(paused))

    def wait(self, duration: int) -> None:
        self.clock.set(moment(self.model.now + duration))
        self.model.wait_until(self.model.now + duration)

    # -- comparing -----------------------------------------------------------------------------------------------------

    @invariant()
    def all_is_as_predicted(self) -> None:
        type(self).steps += 1
        seen, expected = self.seen, self.model.events
        self.seen, self.model.events = {}, {}
        assert seen == expected, differences(seen, expected)
        jobs = {job.id: described(job) for job in self.scheduler.get_jobs(pending=False)}
        plain = {
            job.id: predicted(job.id, job.next, job.definition)
            for job in self.model.jobs.values()
            if self.model.visible(job.id)
        }
        assert jobs == plain, f"jobs are {readable(jobs)}, expected {readable(plain)}"
        pending = {job.id: described(job)[1:] for job in self.scheduler.get_jobs(pending=True)}
        assert pending == {new.id: predicted(new.id, None, new.definition)[1:] for new in self.model.pending}
        if self.model.running:
            lost = [run.job_id for run in self.scheduler.get_lost_runs()]
            assert sorted(lost) == sorted(job.id for job in self.model.jobs.values() for _ in range(job.lost))
            runs = sorted(map(shown_run, self.scheduler.get_runs()))
            assert runs == self.model.open_runs(), (
                f"runs are {readable(tuple(runs))}, expected {readable(tuple(self.model.open_runs()))}"
            )

    def teardown(self) -> None:
        if self.scheduler.running:
            self.scheduler.shutdown(wait=False)
        self.forget_store()
        shutil.rmtree(self.folder)


def shown_run(run: OpenRun) -> tuple[Any, ...]:
    """What is compared of an open run; nothing of one that was lost but whose it was."""
    if run.state == "lost":
        return (run.job_id, "lost")
    times = tuple(map(instant_of, run.scheduled_run_times))
    return (run.job_id, run.state, run.kind, run.attempt, times, instant_of(run.due))


def described(job: Job) -> tuple[Any, ...]:
    """What is compared of a real job."""
    when = None if job.next_run_time is None else instant_of(job.next_run_time)
    options = (job.executor, job.misfire_grace_time, job.coalesce, job.max_instances)
    care = (job.max_retries, job.retry_delay, job.backoff, job.keep_failed, job.while_running)
    return (when, job.args, *options, *care)


def predicted(job_id: str, next_time: int | None, definition: Definition) -> tuple[Any, ...]:
    """The same of a plain one."""
    return (next_time, (job_id, definition.tag, definition.fails), *list(vars(definition).values())[2:])


def differences(seen: Events, expected: Events) -> str:
    """Where the events of each job begin to differ, with times that can be read."""
    lines = []
    for job_id in sorted(seen.keys() | expected.keys()):
        got, wanted = seen.get(job_id, []), expected.get(job_id, [])
        if got != wanted:
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(got, wanted, strict=False)))
            for name, events in (("seen", got), ("expected", wanted)):
                texts = [readable(event) for event in events[max(0, same - 2) : same + 3]]
                lines.append(
                    f"{job_id!r}, {name} ({len(events)}), from {max(0, same - 2)}: {'; '.join(texts)}"
                )
    return "\n".join(lines)


def readable(value: Any) -> str:
    """Part of an event or a job; of many times the first and the last."""
    if isinstance(value, dict):
        return str({key: readable(part) for key, part in value.items()})
    if isinstance(value, tuple):
        shown = [readable(part) for part in (value if len(value) <= 6 else (value[0], value[-1]))]
        return f"({', '.join(shown)}{f' of {len(value)}' if len(value) > 6 else ''})"
    return f"{moment(value):%d/%H:%M:%S.%f}" if isinstance(value, int) and value > SECOND else str(value)
