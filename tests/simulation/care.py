"""What jobs of a simulation say of their runs that fail, take too long or find no room; drawn from the seed, beside the rest of the scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from mainspring.executors.errors import JobTimeoutError

from tests.simulation.timeline import SECOND


class Unlucky(Exception):
    """A failure that another attempt may make good."""


class Hopeless(Exception):
    """A failure that no `retry_on` here names, but for those that name all."""


UNLUCKY: Final = f"{__name__}:Unlucky"


@dataclass(frozen=True, slots=True)
class Care:
    """How the runs of a job go wrong, and what it wants to be done about that."""

    fails: float = 0.0
    """How likely an attempt fails."""
    hopeless: float = 0.0
    """How likely a failure is of the kind that may not be worth another attempt."""
    kills: float = 0.0
    """How likely an attempt kills its process."""
    killable: bool = False
    """A run that takes too long can be ended; else it goes on, and keeps its slot until it returns."""
    options: dict[str, Any] = field(default_factory=dict)
    """As `add_job` takes them."""


NONE: Final = Care()


def draw_care(random: Random) -> Care:
    """That of one job."""
    if random.random() < 0.2:
        return NONE
    return Care(
        fails=random.choice((0.0, 0.2, 0.5, 1.0)),
        hopeless=random.choice((0.0, 0.0, 0.3)),
        kills=random.choice((*[0.0] * 9, 0.3)),
        killable=random.random() < 0.5,
        options={**draw_options(random), "max_recoveries": random.choice((0, 1, 2, 3))},
    )


def draw_options(random: Random) -> dict[str, Any]:
    """The options of a job that people may change."""
    backoff = random.choice((1, 1, 2, 3))
    return {
        "max_retries": random.choice((0, 1, 2, 3, 5)),
        "retry_delay": random.choice((0, 0.3, 2, 5)),
        "backoff": backoff,
        # No delay may be longer than the simulation waits for the end of everything.
        "max_delay": random.choice((4, 20) if backoff == 3 else (None, None, 4)),
        "retry_jitter": random.choice((0, 0, 1)),
        "retry_on": random.choice((("builtins:Exception",), ("builtins:Exception",), (UNLUCKY,))),
        "keep_failed": random.random() < 0.4,
        "timeout": random.choice((None, None, 0.4, 2)),
        "while_running": random.choice(("skip", "queue")),
    }


@dataclass(frozen=True, slots=True)
class Course:
    """How an attempt goes, in µs."""

    takes: int
    """Until it ends, or its failure is known."""
    error: Exception | None = None
    goes_on: int = 0
    """For so long behind that: a thread cannot be ended."""


def course(random: Random, care: Care, took: int, limit: float | None) -> Course:
    """That of an attempt which would take so long if nobody ended it."""
    if limit is not None and took > limit * SECOND:
        until = int(limit * SECOND)
        error = JobTimeoutError(f"longer than {limit} s", limit)
        return Course(until, error, 0 if care.killable else took - until)
    if random.random() >= care.fails:
        return Course(took)
    return Course(took, Hopeless("no hope") if random.random() < care.hopeless else Unlucky("no luck"))


def draw_asks(random: Random, start: int, length: int, job_ids: Sequence[str]) -> list[tuple[int, str, int]]:
    """When which jobs are asked to run now, by how many people at once."""
    return [
        (start + random.randrange(length), random.choice(job_ids), random.choice((1, 1, 2, 3)))
        for _ in range(random.choice((0, 3, 8, 15)))
    ]


def delay(job: Any, retried: int) -> tuple[int, int]:
    """µs from a failure to the next attempt, after so many retries: at least, and at most."""
    seconds = job.retry_delay
    for _ in range(retried):
        seconds *= job.backoff
    if job.max_delay is not None:
        seconds = min(seconds, job.max_delay)
    return int(seconds * SECOND), int((seconds + job.retry_jitter) * SECOND)


def is_retried(job: Any, retried: int, error: BaseException) -> bool:
    """Whether a failure is to be followed by another attempt."""
    if retried >= job.max_retries:
        return False
    return "builtins:Exception" in job.retry_on or isinstance(error, Unlucky)
