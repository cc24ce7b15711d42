"""What the plain scheduler keeps of jobs and of their runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.model.plain_triggers import PlainTrigger

NEVER = 2**63
SECOND = 1_000_000


@dataclass
class Definition:
    """What a job is: everything that an edit may change, but when it runs."""

    tag: int
    fails: int = 0
    """So many attempts of each run fail."""
    executor: str = "default"
    grace: float | None = 1
    coalesce: bool = True
    max_instances: int = 1
    max_retries: int = 0
    retry_delay: int = 10
    backoff: int = 1
    keep_failed: bool = False
    while_running: str = "skip"

    def copy(self) -> Definition:
        return Definition(**vars(self))


@dataclass(eq=False)
class OpenRun:
    """A run that was claimed, and whose end is not written; or one that waits, to be tried again, say."""

    times: tuple[int, ...]
    kind: str
    due: int
    waiting: bool = False
    attempt: int = 1
    more: bool = False
    again_at: int = NEVER
    """When another run of the job may need the room that this one takes, as far as it was known when it was claimed."""
    foreign: bool = False
    """Of an earlier job of the same id, which had ended when this one was added."""
    begun_as: Definition | None = None
    """What its job was when it was claimed."""
    crowded: bool = False
    """Too many retries wait already."""
    failed: tuple[int, ...] = ()
    failed_at: int = 0
    postponed_to: int | None = None

    @property
    def leaves_behind(self) -> bool:
        """Whether it goes on, and may leave another attempt behind, or a job that is kept."""
        job = self.begun_as
        return not self.waiting and job is not None and (job.keep_failed or self.attempt <= job.max_retries)

    @property
    def retry_at(self) -> int | None:
        """When it is tried again, having failed; None if it is not."""
        assert self.begun_as is not None
        if not self.failed or self.crowded or self.attempt > self.begun_as.max_retries:
            return None
        delay: int = self.begun_as.retry_delay * self.begun_as.backoff ** (self.attempt - 1)
        return self.failed_at + delay * SECOND


@dataclass(eq=False)
class PlainJob:
    """A job in a store."""

    id: str
    number: int
    """Another one for each job that is added, of the same id, too."""
    definition: Definition
    trigger: PlainTrigger
    next: int | None
    fire: int | None
    state: str = "active"
    over: bool = False
    """Paused, with no further fire time: only its runs are held back."""
    open: list[OpenRun] = field(default_factory=list)
    lost: int = 0

    @property
    def gone(self) -> bool:
        """Whether nothing of it is to come, for all that people can see."""
        return self.state == "ended" and not any(
            run.waiting or run.leaves_behind for run in self.open if not run.foreign
        )

    @property
    def claimed(self) -> int:
        return sum(not run.waiting for run in self.open)

    def startable(self, now: int) -> list[OpenRun]:
        """The runs that wait, may be started now, and only need room; in the order in which they get it."""
        waiting = [run for run in self.open if run.waiting and run.due <= now and not self.holds_back(run)]
        return sorted(waiting, key=lambda run: run.due)

    def holds_back(self, run: OpenRun) -> bool:
        """Whether a pause keeps the run from being started."""
        return self.state == "paused" and run.kind != "now"


@dataclass
class Pending:
    """A job that waits for the start of the scheduler."""

    id: str
    definition: Definition
    trigger: PlainTrigger
    next: int | str | None
    """"first": as the trigger has it."""
    replace: bool

    def shifted(self, now: int) -> Pending:
        """As it is drawn, its times are counted from now."""
        first = now + self.next if isinstance(self.next, int) else self.next
        return Pending(self.id, self.definition.copy(), self.trigger.shifted(now), first, self.replace)


@dataclass(eq=False)
class Held:
    """A submission that the holding executor has not begun."""

    job: PlainJob
    definition: Definition
    run: OpenRun


class Conflict(Exception):
    """The id is taken."""


class Missing(Exception):
    """There is no such job."""
