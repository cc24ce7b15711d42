"""The trigger contracts: `BaseTrigger`, which third parties subclass, and `InstantTrigger`, on which all of mainspring's own stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from itertools import islice
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex

from .instants import FIRST_INSTANT, LAST_INSTANT, as_zone, from_micros, to_micros

__all__ = ["BaseTrigger", "InstantTrigger", "NoFireTimeFoundError"]


class NoFireTimeFoundError(ValueError):
    """A search for a fire time was given up at its bound: there may be none, and nothing proves it. The message says what was searched."""


class BaseTrigger(ABC):
    """When a job runs. A trigger is a value that never changes, and a pure function of time: it reads no clock.

    Only `get_next_fire_time` has to be written. A trigger of your own is called outside of every lock and transaction; if it
    raises, its job is parked and reported, and nothing else is harmed.
    """

    __slots__ = ()

    #: By how many seconds at most a run may be dispatched late, at random. A mere number here: the engine applies it, the
    #: fire times stay exact.
    jitter: float | None = None

    @abstractmethod
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The fire time after *previous_fire_time*, strictly later than it; or, if that is None, the first one at or after *now*.

        Both are aware datetimes, and so must be the result; None means that the trigger has no fire time left.
        """

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """The trigger to be stored for job *job_id*, with everything settled that depends on the moment or on the job.

        Called once, when the job is added. *anchor* is the `next_run_time` that was given with the job, if any. Default: itself.
        """
        return self

    def iterate(self, start: datetime, end: datetime | None = None) -> Iterator[datetime]:
        """The fire times from *start* until *end*, both inclusive, one after the other as they are asked for.

        Without *end* it may go on until the year 9999. A trigger that is not bound yet binds itself to *start*. Raises ValueError for a *start* without a time
        zone, and if the trigger (one of your own) answers with a time that is no datetime with a zone or not later than the one before.
        """
        _check_moment("start", start)
        if end is not None:
            _check_moment("end", end)
        return self._iterate(start, end)

    def _iterate(self, start: datetime, end: datetime | None) -> Iterator[datetime]:
        trigger = self.bind(start, "")
        previous: datetime | None = None
        while True:
            fire_time = trigger.get_next_fire_time(previous, start if previous is None else previous)
            if fire_time is None:
                return
            _check_moment(f"{type(self).__name__}.get_next_fire_time()", fire_time)
            if previous is not None and to_micros(fire_time) <= to_micros(previous):
                raise ValueError(
                    f"{type(self).__name__}.get_next_fire_time() must return a time later than the previous fire time, "
                    f"got {fire_time} after {previous}"
                )
            if end is not None and fire_time > end:
                return
            previous = fire_time
            if fire_time >= start:  # a date that has passed is a fire time, too
                yield fire_time

    def preview(self, n: int, start: datetime) -> list[datetime]:
        """The first *n* fire times at or after *start*; fewer, if there are no more. Raises TypeError or ValueError for other arguments, and as `iterate` does."""
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n: expected how many fire times, got {n!r}")
        if n < 0:
            raise ValueError(f"n: expected how many fire times, got {n}")
        return list(islice(self.iterate(start), n))

    def describe(self) -> str:
        """The schedule in plain English words, for people. The wording may change from one release to another."""
        return str(self)

    def hazards(self, start: datetime, end: datetime) -> list[str]:
        """What a person may not expect of the schedule from *start* until *end* (inclusive), each as a line of plain English words.

        Such as times that do not exist on a day on which clocks change, with what becomes of them. None for a trigger of a class that is not mainspring's.
        """
        return []


class InstantTrigger(BaseTrigger):
    """Base of the triggers that think in instants: integer microseconds since the epoch, UTC.

    Instances are immutable, compare and hash by value (what `bind` settled does not count), and are safe to share between threads.
    Their state is plain data with a version, the same for JSON and pickle.
    """

    __slots__ = ()

    #: The names of the constructor's arguments, all of which `modified` takes.
    argument_names: ClassVar[frozenset[str]] = frozenset()

    #: Whether it fires once at most, whatever was asked before: a run at another time (one that a user set) uses it up.
    one_off: ClassVar[bool] = False

    #: The zone in which fire times are given.
    timezone: tzinfo

    @abstractmethod
    def next_after(self, instant: int) -> int | None:
        """The first fire time strictly later than *instant*, or None."""

    @abstractmethod
    def previous_before(self, instant: int) -> int | None:
        """The last fire time strictly earlier than *instant*, or None."""

    @abstractmethod
    def count_between(self, after: int, until: int) -> int:
        """How many fire times are later than *after* and not later than *until*. Never lists them."""

    @abstractmethod
    def modified(self, **trigger_args: Any) -> Self:
        """The same kind of trigger built anew from these arguments of the constructor.

        Start, end, zone and jitter are kept unless given; the schedule proper is kept only if nothing of it is given:
        ``IntervalTrigger(minutes=1).modified(seconds=60)`` is 60 seconds. Raises TypeError for an unknown argument.
        """

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Plain data (None, bool, int, float, str, list, dict) from which `from_state` makes an equal trigger, with its ``version``."""

    @abstractmethod
    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Fill a new instance from *state*; raises ValueError for a version or contents that are not understood."""

    @abstractmethod
    def _identity(self) -> tuple[object, ...]:
        """What makes two triggers of one class equal: everything that was given, nothing that `bind` settled."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The trigger whose `get_state` gave *state*. Raises ValueError if it is not understood."""
        self = cls.__new__(cls)
        try:
            self.__setstate__(state)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the state of {cls.__name__}: {state!r} ({error!r})") from error
        return self

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first fire time strictly later than *previous_fire_time*; or, if that is None, at or after *now*. In `timezone`."""
        if previous_fire_time is None:
            instant = self.next_after(to_micros(now) - 1)
        else:
            instant = self.next_after(to_micros(previous_fire_time))
        return None if instant is None else from_micros(instant, self.timezone)

    def describe(self) -> str:
        # Here, since it knows every kind of trigger, and programs that describe none need not load it.
        from .description import describe

        return describe(self)

    def hazards(self, start: datetime, end: datetime) -> list[str]:
        from .hazards import hazards

        _check_moment("start", start)
        _check_moment("end", end)
        if end < start:
            raise ValueError(f"end: {end} is before start, {start}")
        return hazards(self, to_micros(start), to_micros(end))

    def __getstate__(self) -> dict[str, Any]:
        return self.get_state()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        own = getattr(self, "__dict__", None)
        if own and type(self).__getstate__ is InstantTrigger.__getstate__:
            return _again, (type(self), self.get_state(), own)
        return super().__reduce_ex__(protocol)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self._identity()))

    def __setattr__(self, name: str, value: object) -> None:
        # A subclass of somebody's has a __dict__, and may keep attributes of its own in it; what is ours stays as it is.
        if hasattr(self, "__dict__") and not hasattr(type(self), name):
            object.__setattr__(self, name, value)
            return
        raise AttributeError(
            f"cannot set {name!r} of {type(self).__name__}: a trigger never changes; make another one, with modified(...)"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r} of {type(self).__name__}: a trigger never changes")


def keep_own_attributes(source: InstantTrigger, target: InstantTrigger) -> None:
    """Give *target*, which was made from *source*, the attributes that a subclass of somebody's keeps beside ours."""
    own = getattr(source, "__dict__", None)
    if own:
        target.__dict__.update(own)


def _check_moment(name: str, moment: object) -> None:
    """Raise TypeError or ValueError unless *moment* is a datetime with a time zone."""
    if not isinstance(moment, datetime):
        raise TypeError(f"{name}: expected a datetime with a time zone, got {moment!r}")
    if moment.tzinfo is None:
        raise ValueError(f"{name}: expected a datetime with a time zone, got {moment!r}")


def _again(kind: type[InstantTrigger], state: Mapping[str, Any], own: Mapping[str, Any]) -> InstantTrigger:
    """A pickled or copied trigger of a class of somebody's, with the attributes that it keeps beside ours."""
    trigger = kind.from_state(state)
    trigger.__dict__.update(own)
    return trigger


#: How the triggers fill their own slots, past the `__setattr__` that refuses everybody else.
put = object.__setattr__


_MOST_JITTER = 1_000_000_000  # some thirty years


def check_version(trigger: InstantTrigger, state: Mapping[str, Any], known: int) -> None:
    """Raise ValueError unless *state* is of a version that this release knows."""
    version = state["version"]
    if version != known:
        raise ValueError(
            f"the state of {type(trigger).__name__} has version {version!r}, and this release of mainspring knows {known}: "
            "it was stored by another release"
        )


def state_integer(state: Mapping[str, Any], name: str) -> int | None:
    """The integer or None that a stored state has by that name; TypeError for anything else."""
    value = state[name]
    if value is None or type(value) is int:
        return value
    raise TypeError(f"{name} must be an integer or null, not {value!r}")


def state_instant(state: Mapping[str, Any], name: str) -> int | None:
    """The same for an instant; ValueError for one beyond the calendar."""
    instant = state_integer(state, name)
    # One more, for an interval that begins behind the last one (see IntervalTrigger.bind).
    if instant is not None and not FIRST_INSTANT <= instant <= LAST_INSTANT + 1:
        raise ValueError(f"{name} is no instant of the calendar")
    return instant


def state_flag(state: Mapping[str, Any], name: str) -> bool:
    """The bool that a stored state has by that name; TypeError for anything else."""
    value = state[name]
    if type(value) is bool:
        return value
    raise TypeError(f"{name} must be true or false, not {value!r}")


def state_zone(state: Mapping[str, Any], name: str = "timezone") -> tzinfo:
    """The zone whose name a stored state has; TypeError if that is no text."""
    value = state[name]
    if type(value) is str:
        return as_zone(value)
    raise TypeError(f"{name} must be a text, not {value!r}")


def check_jitter(jitter: float | None) -> float | None:
    """*jitter* if it is None or a finite number of seconds, not negative; else TypeError or ValueError."""
    if jitter is None:
        return None
    if isinstance(jitter, bool) or not isinstance(jitter, int | float):
        raise TypeError(f"jitter: expected a number of seconds or None, got {jitter!r}")
    if not 0 <= jitter <= _MOST_JITTER:
        shown = repr(jitter) if isinstance(jitter, float) or jitter.bit_length() < 1_000 else "a huge number"
        raise ValueError(f"jitter: expected a number of seconds from 0 to {_MOST_JITTER:,}, got {shown}")
    return jitter


def check_arguments(trigger: InstantTrigger, trigger_args: Mapping[str, object]) -> None:
    """Raise TypeError, with the nearest known name, for an argument that the trigger's constructor does not have."""
    for name in trigger_args:
        if name not in trigger.argument_names:
            from difflib import get_close_matches  # here: only a mistake needs it

            near = get_close_matches(name, trigger.argument_names, 1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"it has {', '.join(sorted(trigger.argument_names))}"
            )
            raise TypeError(f"{type(trigger).__name__} has no argument {name!r}; {hint}")
