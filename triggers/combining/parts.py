"""Triggers made of other triggers: how a part is asked, whoever wrote it, how it is stored, and what all such triggers share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib import import_module
from typing import Any, Final, Self, cast

from ..base import BaseTrigger, InstantTrigger, NoFireTimeFoundError, keep_own_attributes, put
from ..civil import CivilTrigger
from ..instants import FIRST_INSTANT, LAST_INSTANT, as_zone, format_instant, from_micros, to_micros
from .progressions import progression_of
from .sources import MAX_LEAPS, Nested, Plain, Source, Steps, Walked, one_way

__all__ = ["CompositeTrigger"]


def source_of(part: BaseTrigger) -> Source:
    """*part* as it is asked."""
    if alias_of(part) is None:
        return Walked(part)
    if isinstance(part, CompositeTrigger):
        return Nested(part)
    return Plain(progression_of(part) or cast(InstantTrigger, part))


#: Triggers are nested at most so deep; each level costs some calls in every search.
MAX_DEPTH: Final = 50


class NeverFiresError(ValueError):
    """Why a trigger that is being filled can be shown never to fire. Only the whole that it is a part of knows whether that matters."""


class CompositeTrigger(InstantTrigger):
    """Base of the triggers that are made of other triggers, their parts: ours, a user's, or made of parts themselves.

    A part's own jitter has no effect here: the grid is exact, and the jitter of the whole is applied to it.
    """

    __slots__ = (
        "_bound",
        "_depth",
        "_never",
        "_size",
        "holds_user_code",
        "jitter",
        "timezone",
        "whole_seconds",
    )

    _bound: bool  # nothing is left to be settled
    _depth: int  # how deep triggers are nested in it, itself included
    _size: int  # how many triggers it is made of, itself included
    _never: (
        str | None
    )  # why it can never fire; None: that cannot be shown. It may be a part of one that fires
    whole_seconds: bool  # it certainly fires on whole seconds only
    holds_user_code: bool  # a part is of a class of a user's, at any depth: asking this trigger runs theirs
    jitter: float | None
    timezone: tzinfo

    @property
    @abstractmethod
    def parts(self) -> tuple[BaseTrigger, ...]:
        """The triggers that this one is made of."""

    @abstractmethod
    def _fill_from(self, other: Self, parts: tuple[BaseTrigger, ...]) -> None:
        """Fill this new instance: *other* with other parts, which are bound."""

    @abstractmethod
    def _on_whole_seconds(self) -> bool:
        """Whether it certainly fires on whole seconds only."""

    def _set(self, jitter: float | None, bound: bool, zone: tzinfo | None = None) -> None:
        """Fill what all of them have; the parts stand already."""
        parts = self.parts
        nested = [part for part in parts if isinstance(part, CompositeTrigger)]
        put(self, "_depth", 1 + max((part._depth for part in nested), default=0))
        put(self, "_size", 1 + len(parts) - len(nested) + sum(part._size for part in nested))
        if self._depth > MAX_DEPTH:
            raise ValueError(
                f"combined triggers are nested {self._depth} deep, and may be at most {MAX_DEPTH}"
            )
        if self._size > MAX_LEAPS:
            raise ValueError(
                f"the combination is made of {self._size:,} triggers, which is more than a search may ask: at most {MAX_LEAPS:,}"
            )
        put(self, "_never", None)
        put(self, "_bound", bound or all(map(_is_bound, parts)))
        put(self, "holds_user_code", any(map(runs_user_code, parts)))
        put(self, "jitter", jitter)
        put(self, "timezone", zone_of(parts) if zone is None else zone)
        put(self, "whole_seconds", self._on_whole_seconds())

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Self:
        """Binds every part. Raises ValueError if it can be shown that, bound, it never fires."""
        bound = self._settle(now, job_id, anchor)
        bound._refuse_idle()
        return bound

    def _settle(self, now: datetime, job_id: str, anchor: datetime | None) -> Self:
        """`bind`, but one that can never fire is let through: as a part of another it does no harm."""
        if self._bound:
            return self
        settled: dict[int, BaseTrigger] = {}  # one that is a part twice stays one
        for part in self.parts:
            if id(part) not in settled:
                ours = alias_of(part) is not None and isinstance(part, CompositeTrigger)
                bind = cast(CompositeTrigger, part)._settle if ours else part.bind
                settled[id(part)] = bind(now, job_id, anchor)
        return self._with_parts([settled[id(part)] for part in self.parts])

    def _refuse_idle(self) -> None:
        if self._never is not None:
            raise ValueError(self._never)

    def _bound_at(self, instant: int) -> Self:
        """Asked before it was bound, it binds itself to the moment that it is asked about."""
        return self.bind(from_micros(min(max(instant, FIRST_INSTANT), LAST_INSTANT), UTC), "")

    def _check_way_back(self) -> None:
        """Raise TypeError if a part is a user's, at any depth."""
        for part in self.parts if self.holds_user_code else ():
            if alias_of(part) is None:
                raise one_way(part)
            if isinstance(part, CompositeTrigger):
                part._check_way_back()

    def _with_parts(self, parts: Iterable[BaseTrigger]) -> Self:
        again = object.__new__(type(self))
        again._fill_from(self, checked_parts(parts, "parts"))
        keep_own_attributes(self, again)
        return again

    @abstractmethod
    def search_next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        """`next_after` within the steps of a search, for one who need not know more than `Source` says.

        Like the other three, it may only be called once it is bound.
        """

    @abstractmethod
    def search_first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        """The first fire time not before *instant*, for a job that has not fired yet."""

    @abstractmethod
    def search_previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        """`previous_before` within the steps of a search."""

    @abstractmethod
    def _count(self, after: int, until: int) -> int:
        """`count_between`."""

    def next_after(self, instant: int) -> int | None:
        """As `InstantTrigger` has it. Raises `NoFireTimeFoundError` if it is not found within `MAX_LEAPS` steps."""
        bound = self if self._bound else self._bound_at(instant)
        return bound.search_next(instant, Steps())

    def previous_before(self, instant: int) -> int | None:
        """As `InstantTrigger` has it. Raises TypeError with a part of a user's own class, `NoFireTimeFoundError` as `next_after`."""
        bound = self if self._bound else self._bound_at(instant)
        bound._check_way_back()
        return bound.search_previous(instant, Steps())

    def count_between(self, after: int, until: int) -> int:
        """As `InstantTrigger` has it. Raises as `previous_before`.

        How long it takes: see the classes. It goes by runs of seconds and by arithmetic where it can; else by fire times, and those of a year of seconds
        take a minute.
        """
        bound = self if self._bound else self._bound_at(after)
        bound._check_way_back()
        return bound._count(after, until)

    def _count_by_walking(self, after: int, until: int) -> int:
        count, steps = 0, Steps()
        fire = self.search_next(after, steps, until)
        while fire is not None and fire <= until:
            count += 1
            steps.left = MAX_LEAPS
            fire = self.search_next(fire, steps, until)
        return count

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """As `InstantTrigger` has it. Before it is bound, it binds itself to the moment that it is asked about."""
        if not self._bound:
            bound = self.bind(now if previous_fire_time is None else previous_fire_time, "")
            return bound.get_next_fire_time(previous_fire_time, now)
        if previous_fire_time is not None:
            instant = self.next_after(to_micros(previous_fire_time))
        else:
            instant = self.search_first(to_micros(now), Steps())
        return None if instant is None else from_micros(instant, self.timezone)


def in_vain(
    trigger: CompositeTrigger, sought: str, begin: int, reached: int, advice: str
) -> NoFireTimeFoundError:
    """The error of a search, one way or the other, that has taken `MAX_LEAPS` steps."""
    begin, reached = sorted([begin, reached])
    return NoFireTimeFoundError(
        f"{trigger}: found no {sought} between {shown(begin, trigger.timezone)} and {shown(reached, trigger.timezone)}, "
        f"after {MAX_LEAPS:,} steps. {advice}"
    )


def shown(instant: int, zone: tzinfo) -> str:
    """`format_instant` of any instant, of one beyond the calendar, too."""
    return format_instant(min(max(instant, FIRST_INSTANT), LAST_INSTANT), zone)


def checked_parts(value: object, name: str) -> tuple[BaseTrigger, ...]:
    """The triggers that were given for the argument *name*. Raises TypeError for anything else."""
    if isinstance(value, str | BaseTrigger | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected a list of triggers, got {value!r}")
    parts = tuple(value)
    for i, part in enumerate(parts):
        if not isinstance(part, BaseTrigger):
            raise TypeError(f"{name}[{i}]: expected a trigger, got {part!r} of type {type(part).__name__}")
    return parts


def zone_of(parts: Iterable[BaseTrigger]) -> tzinfo:
    """The zone of the first part that has one; UTC if none has."""
    for part in parts:
        zone = getattr(part, "timezone", None)
        if isinstance(zone, tzinfo):
            try:
                return as_zone(zone)
            except ValueError:
                continue  # a user's own, without a name
    return UTC


def runs_user_code(trigger: BaseTrigger) -> bool:
    """Whether asking *trigger* runs code that is not mainspring's: its class is not one of ours, or that of one of its parts is not."""
    if alias_of(trigger) is None:
        return True
    return isinstance(trigger, CompositeTrigger) and trigger.holds_user_code


def on_whole_seconds(trigger: BaseTrigger) -> bool:
    """Whether *trigger* certainly fires on whole seconds only."""
    if alias_of(trigger) is None:
        return False
    if isinstance(trigger, CompositeTrigger):
        return trigger.whole_seconds
    return isinstance(trigger, CivilTrigger)


def same(one: BaseTrigger, other: BaseTrigger) -> bool:
    """Whether two triggers are one and the same set of fire times: equal, and what `bind` settled is equal, too."""
    if one is other:
        return True
    if type(one) is not type(other) or runs_user_code(one) or runs_user_code(other):
        return False
    return cast(InstantTrigger, one).get_state() == cast(InstantTrigger, other).get_state()


def distinct(parts: Iterable[BaseTrigger]) -> list[BaseTrigger]:
    """The parts, without those that are the `same` as an earlier one."""
    found: list[BaseTrigger] = []
    alike: dict[int, list[BaseTrigger]] = {}
    for part in parts:
        # A user's hash would be a user's code.
        others = alike.setdefault(id(part) if runs_user_code(part) else hash(part), [])
        if not any(same(part, other) for other in others):
            others.append(part)
            found.append(part)
    return found


def never_of(part: BaseTrigger) -> str | None:
    """Why a part of ours can never fire; None if that is not known."""
    return part._never if isinstance(part, CompositeTrigger) and alias_of(part) is not None else None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _is_bound(part: BaseTrigger) -> bool:
    """Whether `bind` would leave *part* as it is. A user's is not asked, for its code must not run here: it may not be."""
    if isinstance(part, CompositeTrigger):
        return part._bound
    return alias_of(part) is not None and part.bind(_EPOCH, "") is part


# How parts are stored: by the name that scheduler.add_job() has for their class, and their own state. The states of a user's
# triggers are not ours to read, so these stay objects; the job store's serializer takes care of them, as of any argument.
_OURS: Final = {
    "and": ("combining", "AndTrigger"),
    "calendarinterval": ("calendarinterval", "CalendarIntervalTrigger"),
    "cron": ("cron", "CronTrigger"),
    "date": ("date", "DateTrigger"),
    "excluding": ("excluding", "ExcludingTrigger"),
    "interval": ("interval", "IntervalTrigger"),
    "or": ("combining", "OrTrigger"),
    "rrule": ("rrule", "RRuleTrigger"),
}
_PACKAGE = BaseTrigger.__module__.rpartition(".")[0]
_aliases: dict[type, str | None] = {}


def alias_of(trigger: BaseTrigger) -> str | None:
    """The short name of one of our own triggers; None for everybody else's, a subclass of ours included."""
    kind = type(trigger)
    if kind not in _aliases:
        named = (kind.__module__, kind.__qualname__)
        found = [alias for alias, (file, name) in _OURS.items() if named == (f"{_PACKAGE}.{file}", name)]
        if not found:
            return None  # not kept, or classes made on the fly would never be given back
        _aliases[kind] = found[0]
    return _aliases[kind]


@cache
def _our_class(alias: str) -> type[InstantTrigger]:
    file, name = _OURS[alias]
    return cast(type[InstantTrigger], getattr(import_module(f".{file}", _PACKAGE), name))


def part_state(part: BaseTrigger) -> object:
    """Plain data for a part of ours; a user's as it is."""
    alias = alias_of(part)
    return part if alias is None else {"trigger": alias, "state": cast(InstantTrigger, part).get_state()}


def part_from_state(state: object) -> BaseTrigger:
    """The part whose `part_state` this is. Raises ValueError or TypeError if it is not understood."""
    if isinstance(state, BaseTrigger):
        return state
    if not isinstance(state, Mapping):
        raise TypeError(f"a part of a trigger must be stored as a name and a state, not as {state!r}")
    alias = state["trigger"]
    if alias not in _OURS:
        raise ValueError(
            f"this release of mainspring knows no trigger {alias!r}: it was stored by another release"
        )
    return _our_class(alias).from_state(state["state"])


def parts_from_state(state: Mapping[str, Any], name: str) -> tuple[BaseTrigger, ...]:
    """The parts in the list that a stored state has by that name."""
    parts = state[name]
    if not isinstance(parts, list):
        raise TypeError(f"{name} must be a list, not {parts!r}")
    return tuple(map(part_from_state, parts))
