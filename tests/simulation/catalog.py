"""What the simulation knows of its jobs: the function they name, and the definition behind each payload that was ever packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainspring.jobstores.job import Job
from mainspring.jobstores.policy import RunPolicy
from mainspring.triggers.base import InstantTrigger


def work(definition: int) -> None:
    """The function of all jobs. The simulated executor lets time pass instead of calling it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A job as some edit has left it."""

    number: int
    """Its argument, by which an edit of the definition can be told from the one before."""
    name: str
    trigger: InstantTrigger
    coalesce: bool
    max_instances: int
    recovery: str
    max_recoveries: int
    strict: bool
    """Late or not, each run is to take place."""
    policy: RunPolicy

    @property
    def one_off(self) -> bool:
        return self.trigger.one_off

    def times(self, first: int, until: int) -> list[int]:
        """Its fire times from `first` to before `until`, if `first` is one."""
        times = []
        time: int | None = first
        while time is not None and time < until:
            times.append(time)
            time = self.trigger.next_after(time)
        return times


class Catalog:
    """Definitions by payload."""

    def __init__(self) -> None:
        self._definitions: dict[Any, Definition] = {}

    def packed(self, payload: Any, job: Job) -> None:
        """Note what is in a payload."""
        trigger = job.trigger
        assert isinstance(trigger, InstantTrigger)
        self._definitions[payload] = Definition(
            job.args[0],
            job.name,
            trigger,
            job.coalesce,
            job.max_instances,
            job.recovery,
            job.max_recoveries,
            job.misfire_grace_time is None,
            job._policy,
        )

    def __getitem__(self, payload: Any) -> Definition:
        return self._definitions[payload]
