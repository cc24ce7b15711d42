"""What people do to the plain scheduler's jobs: add, change, pause, resume, run and remove them."""

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
from tests.model.plain_triggers import PlainDate, PlainTrigger

MOST_ASKED_FOR = 100
"""So many runs that were asked for may wait, of one job."""

Event = tuple[Any, ...]


class PlainEditing:
    """Jobs in a store that others may share, or in memory, and what people do to them.

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
        looked: set[str] = set()
        while (taken := self._add_all(news)) is not None:
            if taken in looked or not self._write_ends(taken):
                raise Conflict
            looked.add(taken)
        self._look_at = 0
        for new in news:
            self.tell(new.id, "ADDED")

    def _add_all(self, news: list[Pending]) -> str | None:
        """Answers the id that is taken, if one is: then none is added."""
        replaced: list[Pending] = []
        fresh: dict[str, Pending] = {}
        for new in news:
            if new.replace and self.visible(new.id):
                replaced.append(new)
            elif new.id in fresh and not new.replace:
                return new.id
            else:
                fresh[new.id] = new
        taken = [new.id for new in fresh.values() if self.visible(new.id)]
        if taken:
            return taken[0]
        for new in replaced:
            self._write_ends(new.id)
            (self._replace if self.visible(new.id) else self._insert)(new)
        for new in fresh.values():
            self._insert(new)
        return None

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
        # What is to run once, now, is meant anew each time.
        once_more = new.trigger.given() == PlainDate(None) and job.state in ("ended", "parked")
        if job.trigger.given() == new.trigger.given() and new.next == "first" and not once_more:
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

    def _write_ends(self, job_id: str | None = None) -> bool:
        """Tell the store what has ended, of one job or of all: that may make room, and end jobs. Whether something has."""
        ended = [(job, run) for job, run in self._ended if job_id in (None, job.id)]
        for job, run in ended:
            if self.jobs.get(job.id) is not job or run not in job.open:
                continue  # it was removed meanwhile
            job.open.remove(run)
            self._look_at = 0
            if not run.foreign:
                self._follow_up(job, run)
            self._drop_if_over(job)
        return bool(ended)

    def _follow_up(self, job: PlainJob, run: OpenRun) -> None:
        """What comes of a run that had no room after all, or has failed: the same attempt, the next one, or a job that is kept."""
        assert run.begun_as is not None
        retry_at = run.retry_at
        if run.postponed_to is not None:
            job.open.append(OpenRun(run.times, run.kind, run.postponed_to, waiting=True, attempt=run.attempt))
        elif retry_at is not None:
            job.open.append(OpenRun(run.failed, "retry", retry_at, waiting=True, attempt=run.attempt + 1))
        elif run.failed and run.begun_as.keep_failed and (job.state == "ended" or job.over):
            job.state, job.over, job.fire = "parked", False, run.times[-1]
            self.tell(job.id, "PARKED")

    def _drop_if_over(self, job: PlainJob) -> None:
        if (job.state == "ended" or job.over) and not job.open and not job.lost:
            del self.jobs[job.id]
            self.tell(job.id, "REMOVED")
