"""`RunPolicy`: what is done about a job's runs that fail, take too long, or come due while another one goes on. Pure values and arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from random import Random
from typing import Any, Final, Literal, TypeAlias

from .options import stored_option

WhileRunning: TypeAlias = Literal["skip", "queue"]

LONGEST_DELAY: Final = 366 * 86_400.0
"""Seconds: a delay that grows without `max_delay` ends here, where a time could no longer be written as a date."""


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """The options of a job that say how its runs are cared for; one value is shared by all jobs that have the same."""

    timeout: float | None = None
    """Seconds that one call of the function may take; None: any time."""
    max_retries: int = 0
    """How many more attempts follow a failed one, at most."""
    retry_delay: float = 10
    """Seconds from the end of a failed attempt to the next one, the first time."""
    backoff: float = 1
    """The factor by which the delay grows from one retry to the next; 1: it stays the same."""
    max_delay: float | None = None
    """Seconds: the delay grows no further."""
    retry_jitter: float = 0
    """Seconds: 0 to so many are added to each delay at random, so that what failed together is not tried again together."""
    retry_on: tuple[str, ...] = ("builtins:Exception",)
    """References of the exception classes whose instances, subclasses included, are worth another attempt."""
    keep_failed: bool = False
    """Park the job when it has no further run and its last attempt has failed, instead of letting it go."""
    while_running: WhileRunning = "skip"
    """What becomes of a fire time that finds `max_instances` runs going on: it is skipped, or runs once right after."""

    keeps: bool = field(init=False, repr=False, compare=False)
    """Whether a run may leave anything behind when it ends (`leaves_behind`), at its first attempt: asked for every single run."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keeps", self.leaves_behind(0))

    def retries_after(self, retried: int, classes: Iterable[str]) -> bool:
        """Whether a failure with an exception of these classes (references) is followed by another attempt, `retried` having been."""
        return retried < self.max_retries and not set(self.retry_on).isdisjoint(classes)

    def leaves_behind(self, retried: int) -> bool:
        """Whether a run that begins now, after so many retries, may leave another attempt behind when it ends, or a parked job."""
        return self.keep_failed or retried < self.max_retries

    def delay(self, retried: int, random: Random) -> int:
        """µs from the end of a failed attempt to the next one, `retried` having been: `retry_delay * backoff ** retried`, at most
        `max_delay`; then the jitter."""
        longest = LONGEST_DELAY if self.max_delay is None else min(self.max_delay, LONGEST_DELAY)
        seconds: float = 0
        if self.retry_delay:  # nothing stays nothing, however large the factor
            try:
                # As floats: a power of whole numbers may have millions of digits.
                seconds = min(self.retry_delay * float(self.backoff) ** retried, longest)
            except OverflowError:
                seconds = longest
        if self.retry_jitter:
            seconds += random.random() * min(self.retry_jitter, LONGEST_DELAY)
        return int(seconds * 1_000_000)

    def changed(self, options: Mapping[str, Any]) -> RunPolicy:
        """The policy with these options, which are checked, in place of its own.

        A whole number is an int then, however it was given: equal policies are one object, whoever came first.
        """
        if not options:
            return self
        numbers = {
            name: int(value) for name, value in options.items() if type(value) is float and value.is_integer()
        }
        return shared(replace(self, **{**options, **numbers}))

    def options(self) -> dict[str, Any]:
        """The options that are not the default: what is stored with a job."""
        return {
            name: value for name in POLICY_OPTIONS if (value := getattr(self, name)) != getattr(DEFAULT, name)
        }


DEFAULT: Final = RunPolicy()

POLICY_OPTIONS: Final = tuple(option.name for option in fields(RunPolicy) if option.init)
"""The names of the options, in the order of the documentation."""


@lru_cache(maxsize=1_024)
def shared(policy: RunPolicy) -> RunPolicy:
    """The same value, as the one object that all jobs with this policy hold."""
    return DEFAULT if policy == DEFAULT else policy


def stored_policy(state: Mapping[str, Any]) -> RunPolicy:
    """The policy of a job's stored state. Raises TypeError or ValueError for what no job can have. Not in states that were written by APScheduler, or before there were these options."""
    options = {name: stored_option(name, state[name]) for name in POLICY_OPTIONS if name in state}
    return DEFAULT.changed(options) if options else DEFAULT


class HasPolicy:
    """The options of a `RunPolicy` as attributes of who has one: in one slot, since nearly all jobs share the same."""

    __slots__ = ()

    _policy: RunPolicy

    @property
    def timeout(self) -> float | None:
        """Seconds that one run may take; None: any time."""
        return self._policy.timeout

    @property
    def max_retries(self) -> int:
        """How many more attempts follow a failed one, at most."""
        return self._policy.max_retries

    @property
    def retry_delay(self) -> float:
        """Seconds from a failed attempt to the first retry."""
        return self._policy.retry_delay

    @property
    def backoff(self) -> float:
        """The factor by which the delay grows from one retry to the next."""
        return self._policy.backoff

    @property
    def max_delay(self) -> float | None:
        """Seconds: the delay grows no further; None: without limit."""
        return self._policy.max_delay

    @property
    def retry_jitter(self) -> float:
        """Seconds: 0 to so many are added to each delay at random."""
        return self._policy.retry_jitter

    @property
    def retry_on(self) -> tuple[str, ...]:
        """References of the exception classes that are worth another attempt."""
        return self._policy.retry_on

    @property
    def keep_failed(self) -> bool:
        """Whether the job is parked, not let go, when its last attempt has failed and it has no further run."""
        return self._policy.keep_failed

    @property
    def while_running(self) -> WhileRunning:
        """What becomes of a fire time that finds no room: `"skip"`, or `"queue"`: once more right after."""
        return self._policy.while_running
