"""The jobs of a cluster, and when they are due."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.jobs import leave_trace

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


@dataclass(frozen=True)
class Job:
    """A schedule, in microseconds UTC: at `start`, and if there is a step, again after each, up to and including `end`."""

    start: int
    step: int | None = None
    end: int | None = None
    first: int | None = None
    """An own time for the next run, which outlasts a pause; those that follow are of the schedule, and later."""

    def times(self, begin: int) -> tuple[int, ...]:
        """All from `begin` on."""
        if self.step is None or self.end is None:
            return (self.start,)
        own = () if self.first is None or self.first < begin else (self.first,)
        from_ = own[0] + 1 if own else begin
        skipped = max(0, -(-(from_ - self.start) // self.step))
        return (*own, *range(self.start + skipped * self.step, self.end + 1, self.step))

    def trigger(self) -> dict[str, Any]:
        """As `add_job` takes it."""
        if self.step is None or self.end is None:
            return {"trigger": "date", "run_date": as_datetime(self.start)}
        return {
            "trigger": "interval",
            "seconds": self.step / SECOND,
            "start_date": as_datetime(self.start),
            "end_date": as_datetime(self.end),
        }


def as_datetime(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def in_micros(time: datetime) -> int:
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def name_of(kind: str, number: int) -> str:
    return f"{kind}-{number}"


def definition(folder: str, job_id: str, job: Job, recovery: str) -> dict[str, Any]:
    """The arguments of `add_job`: nothing is too late, nothing is skipped, and however often its process dies, it is not given up."""
    return {
        "func": leave_trace,
        "args": [folder, job_id],
        "id": job_id,
        "misfire_grace_time": None,
        "coalesce": False,
        "max_instances": 100,
        "recovery": recovery,
        "max_recoveries": 100,
        **job.trigger(),
    }


def one_offs(number: int, begin: int, seconds: float) -> dict[str, Job]:
    """One-off jobs: half of them spread evenly, and the others in bursts, as each second begins."""
    times = [begin + round(each * seconds * SECOND / number) for each in range(number)]
    return {
        name_of("once", each): Job(time - (time - begin) % SECOND if each % 2 else time)
        for each, time in enumerate(times)
    }


def ticks(number: int, begin: int, seconds: float) -> dict[str, Job]:
    """Jobs that are due each second, spread over it."""
    end = begin + round(seconds * SECOND)
    return {
        name_of("tick", each): Job(begin + each * SECOND // number, SECOND, end) for each in range(number)
    }
