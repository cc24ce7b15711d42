"""A scheduler as plainly as can be: one list of jobs, one walk through time. What it predicts, the engine has to do.

It knows nothing of records, stamps, heaps, transactions or threads. Written from the documentation (docs/design.md, docs/running.md), it
keeps a job's schedule, its open runs, and says which events come when. What happens at one instant to different jobs has no order here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.model.plain_jobs import (
    NEVER,
    Conflict,
    Definition,
    Held,
    Missing,
    OpenRun,
    Pending,
    PlainJob,
)
from tests.model.plain_triggers import PlainTrigger

BACKLOG = 7
"""So many fire times at most in one submission. (The engine takes 1,000; the test has it take no more, so that there are longer ones.)"""

SETTLED_WITHIN = 40_000
"""µs within which a shared store is told that a run has ended; at once if there may be no room for the next run of its job otherwise."""

MOST_ASKED_FOR = 100
"""So many runs that were asked for may wait, of one job."""

Event = tuple[Any, ...]


class PlainScheduler:
    """The model, over a store that others may share, or one in memory.

    In memory jobs are not copied, so that a run which is held sees edits of its job; and ends of runs are written at once.
    """

    def __init__(self, now: int, shared: bool) -> None:
        self.now = now
        self.shared = shared
        self.running = self.paused = False
        self.jobs: dict[str, PlainJob] = {}
        self.pending: list[Pending] = []
        self.held: list[Held] = []
        self.slots: Counter[str] = Counter()
        self.events: dict[str, list[Event]] = {}
        """What is expected since it was last taken, by job id; "" for the scheduler itself."""
        self._look_at = 0
        """When the store is looked at next."""
        self._ended: list[tuple[PlainJob, OpenRun]] = []
        """Runs that have ended, which the store has not been told."""
        self._settle_at = NEVER
        self._hurry = False
        self._numbers = 0

    def tell(self, job_id: str, *event: Any) -> None:
        self.events.setdefault(job_id, []).append(event)

    # -- adding --------------------------------------------------------------------------------------------------------

    def add(self, news: list[Pending]) -> None:
        """Add jobs, all or none. Raises Conflict."""
        if not self.running:
            pending = list(self.pending)
            for new in news:
                same = [old for old in pending if old.id == new.id]
                if same and not new.replace:
                    raise Conflict
                pending = [*(old for old in pending if old.id != new.id), new]
            self.pending = pending
            return
        replaced: list[Pending] = []
        fresh: dict[str, Pending] = {}
        for new in news:
            if new.replace and self.visible(new.id):
                replaced.append(new)
            elif self.visible(new.id) or (new.id in fresh and not new.replace):
                raise Conflict
            else:
                fresh[new.id] = new
        for new in replaced:
            self._replace(new)
        for new in fresh.values():
            self._insert(new)
        self._look_at = 0
        for new in news:
            self.tell(new.id, "ADDED")

    def _insert(self, new: Pending) -> None:
        self._numbers += 1
        trigger = new.trigger.bound(self.now, new.next if isinstance(new.next, int) else None)
        job = PlainJob(new.id, self._numbers, new.definition.copy(), trigger, None, None)
        self._schedule(job, new.next)
        ended = self.jobs.get(new.id)
        if ended is not None:
            # It is another job; the runs of the old one count until they end.
            job.lost, job.open = ended.lost, ended.open
            for run in job.open:
                run.foreign = True
            self._ended = [(job if run in job.open else old, run) for old, run in self._ended]
        self.jobs[new.id] = job

    def _replace(self, new: Pending) -> None:
        job = self.jobs[new.id]
        if job.trigger.given() == new.trigger.given() and new.next == "first":
            job.definition = self._redefined(job, new.definition)
            return
        job.definition = self._redefined(job, new.definition)
        job.trigger = new.trigger.bound(self.now, new.next if isinstance(new.next, int) else None)
        self._schedule(job, new.next)

    def _redefined(self, job: PlainJob, definition: Definition) -> Definition:
        changed = definition.copy()
        if not self.shared:
            for held in self.held:
                if held.definition is job.definition:
                    held.definition = changed
        return changed

    def _schedule(self, job: PlainJob, first: int | str | None) -> None:
        """The schedule of a job that is new, or gets another trigger."""
        job.over = False
        for run in job.open:
            run.more = False
        if isinstance(first, int):
            job.next = job.fire = first
            job.state = "active"
            return
        job.fire = job.trigger.first(self.now)
        job.next = None if first is None else job.fire
        job.state = "paused" if job.next is None else "active"

    def _modified(self, job: PlainJob) -> None:
        self._look_at = 0
        self.tell(job.id, "MODIFIED")

    # -- editing -------------------------------------------------------------------------------------------------------

    def visible(self, job_id: str) -> bool:
        return self.running and job_id in self.jobs and not self.jobs[job_id].gone

    def may_ask(self, job_id: str) -> bool:
        """Whether a run of the job may be asked for, if there is the job."""
        job = self.jobs.get(job_id)
        asked = [] if job is None else [run for run in job.open if run.kind == "now" and run.waiting]
        return self.running and len(asked) < MOST_ASKED_FOR

    def open_runs(self) -> list[tuple[Any, ...]]:
        """The runs that wait or go on, and those that were lost."""
        ended = {id(run) for _, run in self._ended}
        runs: list[tuple[Any, ...]] = []
        for job in self.jobs.values():
            runs += [(job.id, "lost")] * job.lost
            runs += [
                (job.id, "waiting" if run.waiting else "claimed", run.kind, run.attempt, run.times, run.due)
                for run in job.open
                if id(run) not in ended
            ]
        return sorted(runs)

    def find(self, job_id: str, number: int | None = None) -> PlainJob:
        if not self.visible(job_id) or number not in (None, self.jobs[job_id].number):
            raise Missing
        return self.jobs[job_id]

    def waiting_for_start(self, job_id: str) -> Pending | None:
        return next((new for new in self.pending if new.id == job_id), None)

    def modify(self, job_id: str, change: Callable[[Definition], object], number: int | None = None) -> None:
        new = self.waiting_for_start(job_id)
        if new is not None:
            change(new.definition)
            self.tell(job_id, "MODIFIED")
            return
        job = self.find(job_id, number)
        definition = job.definition.copy()
        change(definition)
        job.definition = self._redefined(job, definition)
        self._modified(job)

    def set_trigger(self, job_id: str, trigger: PlainTrigger) -> None:
        """A new trigger that leaves the next run time."""
        new = self.waiting_for_start(job_id)
        if new is not None:
            new.trigger = trigger
            self.tell(job_id, "MODIFIED")
            return
        job = self.find(job_id)
        changed = job.trigger.given() != trigger.given()
        job.trigger = trigger.bound(self.now, None)
        if changed and job.state == "paused":
            job.fire, job.over = job.trigger.first(self.now), False  # what it goes on with when it is resumed
        self._modified(job)

    def reschedule(self, job_id: str, trigger: PlainTrigger) -> None:
        new = self.waiting_for_start(job_id)
        if new is not None:
            new.trigger, new.next = trigger, "first"
            self.tell(job_id, "MODIFIED")
            return
        job = self.find(job_id)
        job.trigger = trigger.bound(self.now, None)
        latest = max((run.times[-1] for run in job.open if run.kind != "now"), default=None)
        self._schedule(job, "first")
        if latest is not None and job.next is not None and job.next <= latest and not trigger.one_off:
            # Not once more for the time of a run that goes on, or waits.
            job.next = job.fire = job.trigger.after(latest)
            job.state = "paused" if job.next is None else "active"
        self._modified(job)

    def rebuild(self, job_id: str, change: Callable[[Any], PlainTrigger]) -> None:
        """Arguments of the job's own trigger: scheduled anew. A job that is pending keeps what was said of its first run."""
        new = self.waiting_for_start(job_id)
        if new is not None:
            new.trigger = change(new.trigger)
            self.tell(job_id, "MODIFIED")
            return
        self.reschedule(job_id, change(self.find(job_id).trigger))

    def move(self, job_id: str, time: int) -> None:
        """The next run at a time that a user sets."""
        new = self.waiting_for_start(job_id)
        if new is not None:
            new.next = time
            self.tell(job_id, "MODIFIED")
            return
        job = self.find(job_id)
        self._schedule(job, time)
        self._modified(job)

    def pause(self, job_id: str, number: int | None = None) -> None:
        new = self.waiting_for_start(job_id)
        if new is not None:
            new.next = None
            self.tell(job_id, "MODIFIED")
            return
        job = self.find(job_id, number)
        if job.state in ("active", "ended"):
            job.over = job.state == "ended"
            job.next, job.state = None, "paused"
            for run in job.open:
                run.more = False
        self._modified(job)

    def resume(self, job_id: str, number: int | None = None) -> bool:
        """Answers whether the job goes on; else it had no further run, and ends."""
        new = self.waiting_for_start(job_id)
        if new is not None:
            new.next = "first"
            self.tell(job_id, "MODIFIED")
            return True
        job = self.find(job_id, number)
        if job.state in ("paused", "parked"):
            following = self._following(job)
            if following is not None:
                job.next = job.fire = following
                job.state = "active"
            elif job.state == "paused":
                job.state, job.over = "ended", False
                if job.gone:
                    self._drop_if_over(job)
                    return False
        self._modified(job)
        return True

    def _following(self, job: PlainJob) -> int | None:
        """With what a job goes on that is resumed."""
        kept = job.fire
        if job.over:
            return None
        if job.state == "parked":  # for a failure: later than that
            assert kept is not None
            return job.trigger.after(max(self.now - 1, kept))
        if kept is None or (kept < self.now and not job.trigger.one_off):
            return job.trigger.first(self.now)
        return kept

    def run_now(self, job_id: str, number: int | None = None) -> None:
        """One more run, whatever the schedule says. It frees a job that is parked for a failure."""
        job = self.find(job_id, number)
        job.open.append(OpenRun((self.now,), "now", self.now, waiting=True))
        if job.state == "parked":
            job.state, job.fire = "ended", None
        self._look_at = 0

    def remove(self, job_id: str, number: int | None = None) -> None:
        if self.waiting_for_start(job_id) is not None:
            self.pending = [new for new in self.pending if new.id != job_id]
        else:
            del self.jobs[self.find(job_id, number).id]
        self.tell(job_id, "REMOVED")

    def remove_all(self) -> None:
        self.pending = []
        if self.running:
            self.jobs.clear()
        self.tell("", "ALL_JOBS_REMOVED")

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, paused: bool) -> None:
        self.running, self.paused, self._look_at = True, paused, 0
        pending, self.pending = self.pending, []
        try:
            self.add(pending)
        except Conflict:
            self.running, self.pending = False, pending
            raise
        self.tell("", "STARTED")

    def shutdown(self, wait: bool) -> None:
        while self.held:
            if wait:
                self.release(0)
            else:
                held = self.held.pop(0)
                self.slots[held.job.id] -= 1
                self._give_back(held)
        self._settle()
        self.running = False
        self.tell("", "SHUTDOWN")

    def pause_all(self, paused: bool) -> None:
        """The whole scheduler."""
        if paused != self.paused:
            self.paused = paused
            self._look_at = 0
            self.tell("", "PAUSED" if paused else "RESUMED")

    def _give_back(self, held: Held) -> None:
        job = self.jobs.get(held.job.id)
        if job is None or held.run not in job.open:
            return  # removed meanwhile
        if held.run.foreign:
            job.open.remove(held.run)
            job.lost += 1
        else:
            held.run.waiting = True

    # -- time ----------------------------------------------------------------------------------------------------------

    def advance(self, target: int) -> None:
        """Let time pass, and have happen what is due on the way."""
        while True:
            self._pass()
            following = NEVER if self.paused else self._look_at
            if self._ended:
                following = min(following, 0 if self._hurry else self._settle_at)
            if following > target:
                break
            if following > self.now:
                self.wait_until(following)
        self.wait_until(target)

    def wait_until(self, time: int) -> None:
        """The clock is moved, whether the scheduler is running or not; it looks around when it is, next time."""
        self.now = time
        self._look_at = 0

    def _pass(self) -> None:
        self._settle_if_due(first=True)
        if self.paused or self._look_at > self.now:
            return
        self._look_at = NEVER
        starts: list[tuple[PlainJob, OpenRun]] = []
        for job in list(self.jobs.values()):
            starts += [(job, run) for run in self._decide(job)]
            while not self.shared and self._is_due(job):
                # What was skipped was a part of a backlog; in memory the next part is looked at in the same claim.
                starts += [(job, run) for run in self._decide(job)]
        for job, run in starts:
            self._submit(job, run)
        for job in self.jobs.values():
            if job.state == "active" and job.next is not None and not self._waits(job):
                self._look_at = min(self._look_at, job.next)
            later = [
                run.due for run in job.open if run.waiting and run.due > self.now and not job.holds_back(run)
            ]
            self._look_at = min([self._look_at, *later])
        self._settle_if_due()

    def _is_due(self, job: PlainJob) -> bool:
        return (
            job.state == "active" and job.next is not None and job.next <= self.now and not self._waits(job)
        )

    def _waits(self, job: PlainJob) -> bool:
        """Whether the rest of a backlog waits for its first part."""
        return any(run.more for run in job.open)

    def _settle_if_due(self, first: bool = False) -> None:
        if not self.shared or self._hurry:
            self._settle()
        elif self.now >= self._settle_at and not (first and not self.paused and self._look_at <= self.now):
            self._settle()  # not before what is due is claimed

    def _settle(self) -> None:
        """Tell the store what has ended: that may make room, and end jobs."""
        for job, run in self._ended:
            if self.jobs.get(job.id) is not job or run not in job.open:
                continue  # it was removed meanwhile
            job.open.remove(run)
            self._look_at = 0
            if run.failed and not run.foreign:
                self._follow_up(job, run)
            self._drop_if_over(job)
        self._ended, self._settle_at, self._hurry = [], NEVER, False

    def _follow_up(self, job: PlainJob, run: OpenRun) -> None:
        """What comes of a run that has failed: the next attempt, or a job that is kept."""
        assert run.begun_as is not None
        retry_at = run.retry_at
        if retry_at is not None:
            job.open.append(OpenRun(run.failed, "retry", retry_at, waiting=True, attempt=run.attempt + 1))
        elif run.begun_as.keep_failed and (job.state == "ended" or job.over):
            job.state, job.over, job.fire = "parked", False, run.times[-1]
            self.tell(job.id, "PARKED")

    def _decide(self, job: PlainJob) -> list[OpenRun]:
        room = job.definition.max_instances - job.claimed
        starts = job.startable(self.now)[: max(room, 0)]
        times, following = self._due_times(job) if self._is_due(job) else ((), None)
        queued: OpenRun | None = None
        skipped: tuple[int, ...] = ()
        if times and len(starts) >= room:
            skipped = times
            if job.definition.while_running == "queue":
                queued, skipped = self._queue(job, starts, times)
            if skipped and self.shared and any(ended.id == job.id for ended, _ in self._ended):
                self._hurry = True  # there is room once it is written that another run has ended
                return []
        starts.sort(key=job.open.index)
        for run in starts:
            run.waiting = False
        if times:
            self._take(job, times, following, starts, queued, skipped)
        for run in starts:
            run.begun_as = job.definition.copy()
            run.again_at = NEVER if job.next is None else job.next
            if any(other.waiting for other in job.open):
                run.again_at = 0
        return starts

    def _take(
        self,
        job: PlainJob,
        times: tuple[int, ...],
        following: int | None,
        starts: list[OpenRun],
        queued: OpenRun | None,
        skipped: tuple[int, ...],
    ) -> None:
        """Take fire times from the schedule: for a run that starts, or one that waits for room, or none."""
        job.next = job.fire = following
        if following is None:
            job.state = "ended"
        if skipped:
            self.tell(job.id, "MAX_INSTANCES", skipped, self.now)
        if queued is not None:
            if queued not in job.open:
                job.open.append(queued)
            queued.times, queued.due = times[-1:], times[-1]
        elif not skipped:
            run = OpenRun(times, "schedule", times[0], more=following is not None and following <= self.now)
            job.open.append(run)
            starts.append(run)

    def _queue(
        self, job: PlainJob, starts: list[OpenRun], times: tuple[int, ...]
    ) -> tuple[OpenRun, tuple[int, ...]]:
        """The run that waits for room, with the last of these times; and the times that are given up for it."""
        for run in job.open:
            if run.kind == "queued" and run.waiting and run not in starts:
                return run, (*run.times, *times[:-1])
        return OpenRun(times[-1:], "queued", times[-1], waiting=True), times[:-1]

    def _due_times(self, job: PlainJob) -> tuple[tuple[int, ...], int | None]:
        assert job.next is not None
        assert job.fire is not None
        if job.trigger.one_off:
            return (job.next,), None
        times = [job.next]
        following = job.trigger.after(job.fire)
        while following is not None and following <= self.now:
            if job.definition.coalesce:
                times = [following]
            elif len(times) == BACKLOG:
                break
            else:
                times.append(following)
            following = job.trigger.after(following)
        return tuple(times), following

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _submit(self, job: PlainJob, run: OpenRun) -> None:
        definition = job.definition
        holds = definition.executor == "held"
        if holds and self.slots[job.id] >= definition.max_instances:
            # The record has room and the executor has not: runs of an earlier job of this id go on there.
            self.tell(job.id, "MAX_INSTANCES", run.times, self.now)
            self._finish(job, run)
            return
        self.tell(job.id, "SUBMITTED", run.times, self.now)
        if run.kind != "schedule":
            # Without the grace, which is for the first dispatch of a fire time; edits do not reach it any more.
            definition = definition.copy()
            definition.grace = None
        if holds:
            self.slots[job.id] += 1
            self.held.append(Held(job, definition, run))
            return
        self._perform(job, definition, run)

    def release(self, place: int) -> None:
        """Have a run begin, and end, that the holding executor holds."""
        held = self.held.pop(place)
        self.slots[held.job.id] -= 1
        self._perform(held.job, held.definition, held.run)

    def _perform(self, job: PlainJob, definition: Definition, run: OpenRun) -> None:
        assert run.begun_as is not None
        outcomes: list[Event] = []
        for time in run.times:
            late = self.now - time
            if definition.grace is not None and late > definition.grace * 1_000_000:
                outcomes.append(("MISSED", time, self.now, run.attempt, None))
                continue
            self.tell(job.id, "called", definition.tag, self.now)
            if run.attempt <= definition.fails:
                run.failed, run.failed_at = (*run.failed, time), self.now
                outcomes.append(("ERROR", time, self.now, run.attempt, run.retry_at))
            else:
                outcomes.append(("EXECUTED", time, self.now, run.attempt, None))
        for outcome in outcomes:
            self.tell(job.id, *outcome)
        self._finish(job, run)

    def _finish(self, job: PlainJob, run: OpenRun) -> None:
        # Its job may have ended meanwhile, and another one been added with its id, which has taken over its runs.
        current = self.jobs.get(job.id, job)
        self._ended.append((current, run))
        self._settle_at = min(self._settle_at, self.now + SETTLED_WITHIN)
        if run.again_at <= self.now + 2 * SETTLED_WITHIN:
            self._hurry = True

    def _drop_if_over(self, job: PlainJob) -> None:
        if (job.state == "ended" or job.over) and not job.open and not job.lost:
            del self.jobs[job.id]
            self.tell(job.id, "REMOVED")
