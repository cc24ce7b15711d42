"""`ExcludingTrigger`: another trigger, but not on these days, and not when those triggers fire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, tzinfo
from typing import Any, ClassVar, Self

from .base import BaseTrigger, check_arguments, check_jitter, check_version, put, state_flag
from .combining import OrTrigger
from .combining.exclusions import Days, Exclusion, Moments, Range, Seconds, Times, count_free
from .combining.parts import (
    CompositeTrigger,
    NeverFiresError,
    checked_parts,
    in_vain,
    never_of,
    on_whole_seconds,
    part_from_state,
    part_state,
    parts_from_state,
    same,
    source_of,
    zone_of,
)
from .combining.progressions import NOTHING, meet, progression_of
from .combining.sources import Plain, Source, Steps
from .instants import FIRST_INSTANT, LAST_INSTANT, from_micros, parse_date, to_micros

__all__ = ["ExcludingTrigger"]

_EPOCH_DAY = date(1970, 1, 1).toordinal()


class ExcludingTrigger(CompositeTrigger):
    """Fires whenever *base* does, but not on *dates*, and not at the fire times of *triggers*.

    *dates* is anything iterable: a date or a text ``"2026-12-25"`` leaves out the whole day, by the calendar of its zone; a datetime or a text
    ``"2026-12-25 12:00:00"`` that moment only. A mapping gives its keys, so a calendar of the package `holidays` can be passed as it is:
    ``ExcludingTrigger(base, holidays.country_holidays("DE", years=range(2026, 2036)))``; only what it holds now is taken,
    and an empty one is refused.

    Of *triggers*, those on the wall clock (cron, calendar interval, rrule) leave out the whole second in which they fire, others that very
    moment. A cron trigger for every second of some hours leaves out the hours: "every two hours, but not at weekends" is
    ``ExcludingTrigger(IntervalTrigger(hours=2), triggers=[CronTrigger(day_of_week="sat,sun", hour="*", minute="*", second="*")])``.

    What is left out is passed over in leaps; after `MAX_LEAPS` steps a search raises `NoFireTimeFoundError`. A trigger of which certainly nothing is
    left is refused with a ValueError, when it is made or bound. *jitter*: see `BaseTrigger.jitter`; that of the parts has no effect. Without a part
    of a user's own class the way back (`previous_before`, `count_between`) is there, too; with one it raises TypeError. Counting goes by the days and
    runs of seconds that are left out, and by arithmetic between intervals; otherwise it takes as long as walking the fire times, or those that are
    left out, whichever are fewer.
    """

    __slots__ = ("_days", "_exclusions", "_moments", "_source", "base", "triggers")

    argument_names: ClassVar[frozenset[str]] = frozenset({"base", "dates", "triggers", "jitter"})

    base: BaseTrigger
    triggers: tuple[BaseTrigger, ...]
    _days: tuple[int, ...]  # from 1970-01-01, sorted
    _moments: tuple[int, ...]  # instants, sorted
    _source: Source  # the base as it is asked
    _exclusions: tuple[Exclusion, ...]

    def __init__(
        self,
        base: BaseTrigger,
        dates: Iterable[date | str] = (),
        triggers: Iterable[BaseTrigger] = (),
        jitter: float | None = None,
    ) -> None:
        if not isinstance(base, BaseTrigger):
            raise TypeError(f"base: expected a trigger, got {base!r} of type {type(base).__name__}")
        days, moments = _read(dates, zone_of([base]))
        self._fill(base, days, moments, checked_parts(triggers, "triggers"), check_jitter(jitter), False)
        self._refuse_idle()

    @property
    def dates(self) -> tuple[date, ...]:
        """What was given for *dates*, in order: dates for whole days, datetimes for moments."""
        days = [date.fromordinal(day + _EPOCH_DAY) for day in self._days]
        moments = [from_micros(moment, self.timezone) for moment in self._moments]
        return tuple(sorted([*days, *moments], key=lambda value: (value.isoformat()[:10], value.isoformat())))

    @property
    def parts(self) -> tuple[BaseTrigger, ...]:
        return (self.base, *self.triggers)

    def _fill(
        self,
        base: BaseTrigger,
        days: tuple[int, ...],
        moments: tuple[int, ...],
        triggers: tuple[BaseTrigger, ...],
        jitter: float | None,
        bound: bool,
    ) -> None:
        put(self, "base", base)
        put(self, "triggers", triggers)
        put(self, "_days", days)
        put(self, "_moments", moments)
        self._set(jitter, bound, zone_of([base]))
        exclusions: list[Exclusion] = [Days(days, self.timezone)] if days else []
        if moments:
            exclusions.append(Moments(moments))
        source = source_of(base)
        try:
            exclusions += _exclusions_by(triggers, base)
            never = never_of(base)
        except NeverFiresError as error:
            source, exclusions, never = Plain(NOTHING), [], str(error)
        put(self, "_source", source)
        put(self, "_exclusions", tuple(exclusions))
        put(self, "_never", never)

    def _fill_from(self, other: Self, parts: tuple[BaseTrigger, ...]) -> None:
        self._fill(parts[0], other._days, other._moments, parts[1:], other.jitter, True)

    def search_next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        return self._free(self._source.next(instant, steps, until), steps, until)

    def search_first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        return self._free(self._source.first(instant, steps, until), steps, until)

    def _free(self, fire: int | None, steps: Steps, until: int) -> int | None:
        """The first fire time from *fire* on that is not excluded."""
        begin = fire
        while fire is not None and fire <= until:
            free = fire
            for exclusion in self._exclusions:
                free = exclusion.free_from(free, steps)
            if free == fire:
                break
            if steps.left <= 0:
                raise self._in_vain(begin, free)
            fire = self._source.next(free - 1, steps, until)
        return fire

    def search_previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        fire = self._source.previous(instant, steps, since)
        while fire is not None and fire >= since:
            free = fire
            for exclusion in self._exclusions:
                free = exclusion.free_until(free, steps)
            if free == fire:
                break
            if steps.left <= 0:
                raise self._in_vain(instant, free)
            fire = self._source.previous(free + 1, steps, since)
        return fire

    def _in_vain(self, begin: int | None, reached: int) -> ValueError:
        assert begin is not None  # else the search had ended
        advice = "Check that the base has fire times that are not excluded"
        return in_vain(self, "fire time that is not excluded", begin, reached, advice)

    def _count(self, after: int, until: int) -> int:
        return count_free(self._source, self._exclusions, after, until)

    def _on_whole_seconds(self) -> bool:
        return on_whole_seconds(self.base)

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        keep = {
            "base": self.base,
            "dates": self.dates,
            "triggers": self.triggers,
            "jitter": self.jitter,
        }
        changed = type(self)(**{**keep, **trigger_args})
        if trigger_args.keys().isdisjoint(("base", "triggers")):
            put(changed, "_bound", self._bound)
        return changed

    def get_state(self) -> dict[str, Any]:
        """Plain data, but for parts of a user's own classes, which stay objects."""
        return {
            "version": 1,
            "base": part_state(self.base),
            "dates": [date.fromordinal(day + _EPOCH_DAY).isoformat() for day in self._days],
            "moments": list(self._moments),
            "triggers": list(map(part_state, self.triggers)),
            "settled": self._bound,
            "jitter": self.jitter,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        moments = state["moments"]
        if not isinstance(moments, list) or not all(type(moment) is int for moment in moments):
            raise TypeError(f"moments must be a list of integers, not {moments!r}")
        days = sorted({date.fromisoformat(day).toordinal() - _EPOCH_DAY for day in state["dates"]})
        self._fill(
            part_from_state(state["base"]),
            tuple(days),
            tuple(sorted(set(moments))),
            parts_from_state(state, "triggers"),
            check_jitter(state["jitter"]),
            state_flag(state, "settled"),
        )

    def _identity(self) -> tuple[object, ...]:
        return (self.base, self._days, self._moments, self.triggers, self.jitter)

    def __str__(self) -> str:
        dates = self.dates
        shown = list(map(str, dates))
        if len(dates) > 3:
            shown = [f"{len(dates)} dates from {shown[0]} to {shown[-1]}"]
        return f"excluding[{', '.join([str(self.base), *shown, *map(str, self.triggers)])}]"

    def __repr__(self) -> str:
        parts = [f"base={self.base!r}"]
        if self._days or self._moments:
            parts.append(f"dates={list(map(str, self.dates))!r}")
        if self.triggers:
            parts.append(f"triggers={list(self.triggers)!r}")
        if self.jitter is not None:
            parts.append(f"jitter={self.jitter!r}")
        return f"<{type(self).__name__} ({', '.join(parts)})>"


def _read(dates: object, zone: tzinfo) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The days (from 1970-01-01) and the instants that were given for *dates*, each sorted."""
    if isinstance(dates, str | date) or not isinstance(dates, Iterable):
        raise TypeError(f"dates: expected a list of dates, got {dates!r}")
    if isinstance(dates, Mapping) and not dates:
        # A calendar that is filled when it is asked for a year, as those of `holidays` are, would exclude nothing, and say nothing.
        raise ValueError("dates: the calendar holds no day yet; make it with years=range(...)")
    days, moments = set(), set()
    for value in dates:
        try:
            moment = parse_date(value, zone)
        except (TypeError, ValueError) as error:
            raise type(error)(f"dates: {error}") from None
        if isinstance(value, datetime) or (isinstance(value, str) and ":" in value):
            moments.add(to_micros(moment))
        else:
            days.add(moment.toordinal() - _EPOCH_DAY)
    return tuple(sorted(days)), tuple(sorted(moments))


def _exclusions_by(triggers: Iterable[BaseTrigger], trigger: BaseTrigger) -> list[Exclusion]:
    """What *triggers* leave out of the fire times of *trigger*. Raises `NeverFiresError` if one of them certainly leaves nothing."""
    exclusions: list[Exclusion] = []
    grid = progression_of(trigger)
    for excluded in triggers:
        if same(excluded, trigger):
            raise NeverFiresError(
                f"triggers: {excluded} is the very trigger that it is excluded from: it would never fire"
            )
        if type(excluded) is OrTrigger:
            exclusions += _exclusions_by(excluded.triggers, trigger)
            continue
        other = progression_of(excluded)
        if grid is not None and other is not None:
            met = meet(grid, other)
            if met == grid:
                raise NeverFiresError(
                    f"triggers: {excluded} fires whenever {trigger} does, and leaves nothing of it: it would never fire"
                )
            if met is not None and met.step == grid.step:
                exclusions.append(Range(met))
            elif met is not None:
                exclusions.append(Times(Plain(met)))
        elif on_whole_seconds(excluded):
            exclusions.append(Seconds(source_of(excluded)))
        else:
            exclusions.append(Times(source_of(excluded)))
    return exclusions
