"""People: they add jobs, change them and remove them, each at the scheduler that is at hand; what they did is noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from mainspring.jobstores.errors import (
    ConflictingIdError,
    JobLookupError,
    JobStoreError,
    StaleJobError,
)
from mainspring.jobstores.policy import DEFAULT
from mainspring.scheduler.errors import SchedulerNotRunningError, TooManyRunsError
from mainspring.triggers import DateTrigger, IntervalTrigger
from mainspring.triggers.instants import from_micros, to_micros

from tests.simulation.care import draw_options
from tests.simulation.catalog import work
from tests.simulation.scenario import JobSpec
from tests.simulation.timeline import SECOND

if TYPE_CHECKING:
    from tests.simulation.machine import Boot
    from tests.simulation.world import World

KINDS = (
    "rename",
    "rename",
    "arguments",
    "options",
    "pause",
    "pause",
    "resume",
    "resume",
    "reschedule",
    "seconds",
    "move",
    "remove",
    "remove and add",
    "dismiss",
    "rerun",
)
CARE = ("run now", "run now", "run now", "care", "care", *KINDS)


@dataclass(slots=True)
class Edit:
    """One call of somebody's, from its begin to its return."""

    kind: str
    job_id: str
    boot: str
    number: int
    """What it wrote, if it wrote a definition: the argument, or the number in the name."""
    begin: int
    end: int | None = None
    mark: Any = None
    """What it wrote else, by which it is recognised: a trigger, a time, a number."""
    outcome: str = "unknown"
    """"done"; "unknown": the caller heard that it may have been done, or died; else the error, which says that it was not."""


class People:
    """All that use the schedulers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"people {world.scenario.seed}")
        self._count = 0
        self.specs: dict[str, JobSpec] = {spec.id: spec for spec in world.scenario.jobs}

    def come(self) -> None:
        """Have them do what the scenario says, when it says so."""
        timeline = self._world.timeline
        for spec in self._world.scenario.jobs:
            timeline.at(spec.time + 1, partial(self._at_some_machine, partial(self._add, spec)))
        for time, job_id, people in self._world.scenario.edits:
            for _ in range(people):
                timeline.at(time, partial(self._at_some_machine, partial(self._change, job_id)))
        for time, job_id, people in self._world.scenario.asks:
            for _ in range(people):
                timeline.at(time, partial(self._at_some_machine, partial(self._ask, job_id)))

    def _at_some_machine(self, action: Callable[[Boot], object]) -> None:
        boots = [boot for boot in self._world.boots if boot.alive and boot.scheduler.running]
        if boots:
            boot = self._random.choice(boots)
            boot.spawn("user", lambda: action(boot))
        elif self._world.timeline.now < self._world.scenario.end:
            # Nobody is there: later.
            timeline = self._world.timeline
            timeline.at(timeline.now + SECOND // 2, lambda: self._at_some_machine(action))

    # -- calls -----------------------------------------------------------------------------------------------------

    def _add(self, spec: JobSpec, boot: Boot) -> None:
        for _ in range(3):
            edit = self._call(boot, "add", spec.id, lambda edit: self._added(boot, spec, edit))
            if edit.outcome != "JobStoreError" and edit.outcome != "unknown":
                return
            boot.sleep(SECOND)

    def _change(self, job_id: str, boot: Boot) -> None:
        kinds, spec = CARE if self._world.scenario.careful else KINDS, self.specs[job_id]
        kind = self._random.choice(kinds)
        scheduler = boot.scheduler
        if kind == "remove and add":
            self._call(boot, "remove", spec.id, lambda edit: scheduler.remove_job(spec.id))
            self._add(spec, boot)
        elif kind in ("dismiss", "rerun"):
            self._call(boot, kind, spec.id, lambda edit: self._care(boot, kind, spec.id))
        elif kind == "run now":
            self._ask(job_id, boot)
        else:
            self._call(boot, kind, spec.id, lambda edit: self._changed(boot, spec, edit))

    def _ask(self, job_id: str, boot: Boot) -> None:
        def ask(edit: Edit) -> None:
            edit.mark = boot.scheduler.run_job_now(job_id).run_id

        self._call(boot, "run now", job_id, ask)

    def _call(self, boot: Boot, kind: str, job_id: str, action: Callable[[Edit], Any]) -> Edit:
        world = self._world
        self._count += 1
        edit = Edit(kind, job_id, boot.name, self._count, world.timeline.now)
        world.edits.append(edit)
        world.tell(boot.name, f"CALL {edit.number}: {kind} {job_id}")
        starts = boot.starts if boot.scheduler.running else 0
        # Of a job that is pending for a store, the change is written with it, if it ever is.
        is_pending = any(job.id == job_id for job in boot.scheduler.get_jobs(pending=True))
        try:
            action(edit)
            edit.outcome = "done"
        except (ConflictingIdError, JobLookupError, StaleJobError, TooManyRunsError) as exc:
            edit.outcome = type(exc).__name__
        except SchedulerNotRunningError:
            edit.outcome = "unknown"  # it was shut down in the middle of the call
        except JobStoreError as exc:
            edit.outcome = "unknown"
            world.tell(boot.name, f"call {edit.number} failed: {exc}")
        edit.end = world.timeline.now
        if is_pending or not boot.scheduler.running or starts != boot.starts:
            edit.outcome = "unknown"  # a scheduler that does not run keeps what is added for its next start, and knows nothing else
        world.tell(boot.name, f"call {edit.number} is over: {edit.outcome}")
        return edit

    def _added(self, boot: Boot, spec: JobSpec, edit: Edit) -> None:
        boot.scheduler.add_job(
            work,
            self._trigger(spec, boot),
            args=[edit.number],
            id=spec.id,
            name=f"{spec.id} {edit.number}",
            misfire_grace_time=spec.grace,
            coalesce=spec.coalesce,
            max_instances=spec.max_instances,
            recovery=spec.recovery,
            **{**spec.care.options, "max_recoveries": spec.max_recoveries},
        )

    def _trigger(self, spec: JobSpec, boot: Boot) -> DateTrigger | IntervalTrigger:
        """A trigger whose fire times no other one has; the microseconds are its own."""
        world = self._world
        now, end = world.timeline.now, world.scenario.end
        self._count += 1
        if spec.kind == "once":
            crowd_at = world.scenario.crowd_at
            if crowd_at is None:
                time = now + int(self._random.uniform(-2, 20) * SECOND)
            else:
                time = max(now, crowd_at) + int(self._random.random() * SECOND)
            return DateTrigger(self._moment(min(time, end)), timezone=UTC)
        start = now + int(self._random.uniform(-spec.period, spec.period) * SECOND)
        return IntervalTrigger(
            seconds=spec.period,
            start_date=self._moment(start),
            end_date=max(self._moment(end), self._moment(start + 1)),
            timezone=UTC,
        )

    def _moment(self, time: int) -> datetime:
        """That moment, about: with a number of microseconds that no other has."""
        self._count += 1
        return from_micros(time - time % 100_000 + self._count, UTC)

    def _changed(self, boot: Boot, spec: JobSpec, edit: Edit) -> None:
        scheduler, job_id = boot.scheduler, spec.id
        match edit.kind:
            case "rename":
                edit.mark = f"{job_id} {edit.number}"
                scheduler.modify_job(job_id, name=edit.mark)
            case "arguments":
                edit.mark = edit.number
                scheduler.modify_job(job_id, args=[edit.mark])
            case "options":
                edit.mark = self._random.choice((1, 2, 10))
                scheduler.modify_job(job_id, max_instances=edit.mark)
            case "care":
                options = draw_options(self._random)
                edit.mark = DEFAULT.changed(options)
                scheduler.modify_job(job_id, **options)
            case "pause":
                scheduler.pause_job(job_id)
            case "resume":
                scheduler.resume_job(job_id)
            case "remove":
                scheduler.remove_job(job_id)
            case "reschedule":
                edit.mark = self._trigger(spec, boot)
                scheduler.reschedule_job(job_id, trigger=edit.mark)
            case "seconds":
                edit.mark = self._trigger(replace(spec, kind="every"), boot)
                scheduler.modify_job(job_id, trigger=edit.mark)
            case "move":
                later = self._moment(self._world.timeline.now + int(self._random.uniform(-1, 5) * SECOND))
                edit.mark = to_micros(later)
                scheduler.modify_job(job_id, next_run_time=later)

    def _care(self, boot: Boot, kind: str, job_id: str) -> None:
        for run in boot.scheduler.get_lost_runs():
            if run.job_id == job_id:
                getattr(boot.scheduler, f"{kind}_lost")(run)
