"""A scheduler as plainly as can be: one list of jobs, one walk through time. What it predicts, the engine has to do.

It knows nothing of records, stamps, heaps, transactions or threads. Written from the documentation (docs/design.md, docs/running.md), it
keeps a job's schedule, its open runs, and says which events come when. What happens at one instant to different jobs has no order here.
"""

from __future__ import annotations

from tests.model.plain_editing import Event, PlainEditing
from tests.model.plain_jobs import NEVER, Conflict, Definition, Held, OpenRun, PlainJob

BACKLOG = 7
"""So many fire times at most in one submission. (The engine takes 1,000; the test has it take no more, so that there are longer ones.)"""

SETTLED_WITHIN = 40_000
"""µs within which a shared store is told that a run has ended; at once if there may be no room for the next run of its job otherwise."""

POSTPONED_BY = 1_000_000
"""µs until a run that has waited is looked at again, when its executor had no room for it after all."""

MOST_RETRIES = 100
"""So many retries of one job may wait; then no further one follows a failure."""


class PlainScheduler(PlainEditing):
    """The model: what becomes of the jobs as time passes."""

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
        self._write_ends()
        self._ended, self._settle_at, self._hurry = [], NEVER, False

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
            waiting = [other.kind for other in job.open if other.waiting]
            if waiting:
                run.again_at = 0
            run.crowded = waiting.count("retry") >= MOST_RETRIES
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
            if run.kind == "schedule":
                self.tell(job.id, "MAX_INSTANCES", run.times, self.now)
            else:
                run.postponed_to = self.now + POSTPONED_BY
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
