"""`AndTrigger` and `OrTrigger`: when all of several triggers fire, and when any of them does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Any, ClassVar, Self

from .base import BaseTrigger, check_arguments, check_jitter, check_version, put, state_flag
from .instants import from_micros
from .interval import IntervalTrigger
from .parts import (
    CompositeTrigger,
    checked_parts,
    in_vain,
    on_whole_seconds,
    part_state,
    parts_from_state,
    same,
    shown,
    source_of,
    zone_of,
)
from .progressions import WHOLE_SECONDS, Progression, meet, progression_of
from .sources import Plain, Source, Steps

__all__ = ["AndTrigger", "OrTrigger"]


class _Combination(CompositeTrigger):
    """What the two have in common: a row of parts."""

    __slots__ = ("_sources", "triggers")

    argument_names: ClassVar[frozenset[str]] = frozenset({"triggers", "jitter"})
    _word: ClassVar[str]

    triggers: tuple[BaseTrigger, ...]
    _sources: tuple[Source, ...]  # the parts as they are asked

    def __init__(self, triggers: Iterable[BaseTrigger], jitter: float | None = None) -> None:
        self._fill(checked_parts(triggers, "triggers"), check_jitter(jitter), False)

    @property
    def parts(self) -> tuple[BaseTrigger, ...]:
        return self.triggers

    def _fill(self, triggers: tuple[BaseTrigger, ...], jitter: float | None, bound: bool) -> None:
        if not triggers:
            raise ValueError(f"triggers: {type(self).__name__} needs at least one")
        put(self, "triggers", triggers)
        put(self, "_sources", tuple(self._sources_of(triggers)))
        self._set(jitter, bound)

    def _fill_from(self, other: Self, parts: tuple[BaseTrigger, ...]) -> None:
        self._fill(parts, other.jitter, True)

    def _sources_of(self, triggers: tuple[BaseTrigger, ...]) -> Sequence[Source]:
        return list(map(source_of, triggers))

    def modified(self, **trigger_args: Any) -> Self:
        check_arguments(self, trigger_args)
        changed = type(self)(**{"triggers": self.triggers, "jitter": self.jitter, **trigger_args})
        if "triggers" not in trigger_args:
            put(changed, "_bound", self._bound)
        return changed

    def get_state(self) -> dict[str, Any]:
        """Plain data, but for parts of a user's own classes, which stay objects."""
        return {
            "version": 1,
            "triggers": list(map(part_state, self.triggers)),
            "settled": self._bound,
            "jitter": self.jitter,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        check_version(self, state, 1)
        triggers = parts_from_state(state, "triggers")
        self._fill(triggers, check_jitter(state["jitter"]), state_flag(state, "settled"))

    def _identity(self) -> tuple[object, ...]:
        return (self.triggers, self.jitter)

    def __str__(self) -> str:
        return f"{self._word}[{', '.join(map(str, self.triggers))}]"

    def __repr__(self) -> str:
        jitter = "" if self.jitter is None else f", jitter={self.jitter!r}"
        return f"<{type(self).__name__}({list(self.triggers)!r}{jitter})>"


class OrTrigger(_Combination):
    """Fires whenever any of *triggers* does: at the earliest of their fire times, once where several coincide, until all have ended.

    Fire times are given in the zone of the first part. *jitter*: see `BaseTrigger.jitter`; that of the parts has no effect. Without a part of
    a user's own class the way back (`previous_before`, `count_between`) is there, too; with one it raises TypeError.
    """

    __slots__ = ()

    _word = "or"

    def search_next(self, instant: int, steps: Steps) -> int | None:
        return _earliest([source.next(instant, steps) for source in self._sources])

    def search_first(self, instant: int, steps: Steps) -> int | None:
        return _earliest([source.first(instant, steps) for source in self._sources])

    def search_previous(self, instant: int, steps: Steps) -> int | None:
        last = [source.previous(instant, steps) for source in self._sources]
        return max((fire for fire in last if fire is not None), default=None)

    def _count(self, after: int, until: int) -> int:
        # Times that several parts share are looked for by walking; the part that fires most often is never walked.
        counted = [(source.count(after, until), source) for source in self._sources]
        counted = sorted((pair for pair in counted if pair[0]), key=lambda pair: pair[0], reverse=True)
        total = 0
        for i, (count, source) in enumerate(counted):
            total += count - _shared(source, [other for _, other in counted[:i]], after, until)
        return total

    def _on_whole_seconds(self) -> bool:
        return all(map(on_whole_seconds, self.triggers))


class AndTrigger(_Combination):
    """Fires whenever all of *triggers* fire at the same moment, to the microsecond.

    That is narrower than it sounds: a cron trigger fires at *a* moment of the days that it names, it does not stand for the whole days. For "every two
    hours, but not at weekends" use `ExcludingTrigger`.

    Parts that can be shown never to fire together are refused with a ValueError that names them, when the trigger is made or, if the start of an
    interval is not settled before, bound: intervals whose steps never meet, and an interval off the whole second beside a cron trigger. Otherwise the
    parts are asked in turn, each for its first fire time from the latest one that another has; a search that has taken `MAX_LEAPS` steps in vain
    raises `NoFireTimeFoundError`.

    Fire times are given in the zone of the first part. *jitter*: see `BaseTrigger.jitter`; that of the parts has no effect. Without a part of
    a user's own class the way back (`previous_before`, `count_between`) is there, too; with one it raises TypeError.
    """

    __slots__ = ()

    _word = "and"

    def _sources_of(self, triggers: tuple[BaseTrigger, ...]) -> Sequence[Source]:
        flat = list(_flattened(triggers))
        grids = [(part, grid) for part in flat if (grid := progression_of(part)) is not None]
        civil = next(filter(on_whole_seconds, flat), None)
        others: list[BaseTrigger] = []
        for part in flat:
            if progression_of(part) is None and not any(same(part, other) for other in others):
                others.append(part)
        sources = list(map(source_of, others))
        if not grids:
            return sources
        # Every two meet, and so all of them do.
        for (one, grid), (another, other) in combinations(grids, 2):
            if meet(grid, other) is None:
                raise ValueError(
                    f"{_described(one)} and {_described(another)} never fire at the same moment, so all of them never do. "
                    "Give both the same start_date, or another interval"
                )
        if civil is not None:
            for one, grid in grids:
                if meet(grid, WHOLE_SECONDS) is None:
                    raise ValueError(_never_together(one, civil))
        grid = _all_meet([grid for _, grid in grids] + ([WHOLE_SECONDS] if civil is not None else []))
        if grid.first > grid.last:
            zone = zone_of(flat)
            raise ValueError(
                f"{' and '.join(_described(part) for part, _ in grids)} would first fire together at "
                f"{shown(grid.first, zone)}, which is after the end, {shown(grid.last, zone)}: it would never fire"
            )
        return [Plain(grid), *sources]

    def search_next(self, instant: int, steps: Steps) -> int | None:
        sources = self._sources
        at, agreed, n, i = instant + 1, 0, len(sources), 0
        while steps.left > 0:
            steps.left -= 1
            # `at` is a fire time of the last `agreed` parts that were asked.
            fire = sources[i].next(at - 1, steps)
            if fire is None:
                return None
            agreed = agreed + 1 if fire == at else 1
            at = fire
            if agreed == n:
                return at
            i = (i + 1) % n
        raise self._in_vain(instant, at)

    def search_first(self, instant: int, steps: Steps) -> int | None:
        return self.search_next(instant - 1, steps)

    def search_previous(self, instant: int, steps: Steps) -> int | None:
        sources = self._sources
        at, agreed, n, i = instant - 1, 0, len(sources), 0
        while steps.left > 0:
            steps.left -= 1
            fire = sources[i].previous(at + 1, steps)
            if fire is None:
                return None
            agreed = agreed + 1 if fire == at else 1
            at = fire
            if agreed == n:
                return at
            i = (i + 1) % n
        raise self._in_vain(instant, at)

    def _count(self, after: int, until: int) -> int:
        if len(self._sources) == 1:
            return self._sources[0].count(after, until)
        return self._count_by_walking(after, until)

    def _on_whole_seconds(self) -> bool:
        return any(map(on_whole_seconds, self.triggers))

    def _in_vain(self, begin: int, reached: int) -> ValueError:
        advice = "Check that they can fire at the very same second; for one trigger without the times of another, use ExcludingTrigger"
        return in_vain(self, "moment at which all of them fire", begin, reached, advice)


def _earliest(fires: list[int | None]) -> int | None:
    return min((fire for fire in fires if fire is not None), default=None)


def _shared(source: Source, others: list[Source], after: int, until: int) -> int:
    """How many of the times of *source* in (after, until] one of *others* has, too."""
    grids = [part.instants for part in (source, *others) if isinstance(part, Plain)]
    if len(others) == 1 and len(grids) == 2:
        one, other = grids
        if isinstance(one, Progression) and isinstance(other, Progression):
            met = meet(one, other)
            return 0 if met is None else met.count_between(after, until)
    shared, at = 0, after
    while others:
        fire = source.next(at, Steps())
        if fire is None or fire > until:
            break
        nearest = _earliest([other.next(fire - 1, Steps()) for other in others])
        if nearest is None:
            break
        shared += nearest == fire
        at = max(fire, nearest - 1)
    return shared


def _flattened(triggers: Iterable[BaseTrigger]) -> Iterator[BaseTrigger]:
    """The parts, with those of an "and" in place of it."""
    for trigger in triggers:
        if type(trigger) is AndTrigger:
            yield from _flattened(trigger.triggers)
        else:
            yield trigger


def _all_meet(grids: list[Progression]) -> Progression:
    def both(one: Progression, other: Progression) -> Progression:
        met = meet(one, other)
        assert met is not None  # every two do
        return met

    return reduce(both, grids)


def _described(trigger: BaseTrigger) -> str:
    """An interval with its start, on which it depends whether it meets another."""
    if isinstance(trigger, IntervalTrigger) and trigger._start is not None:
        start = from_micros(trigger._start, trigger.timezone)
        return f"{trigger} from {start.replace(tzinfo=None).isoformat(' ')} {start.tzname()}"
    return str(trigger)


def _never_together(interval: BaseTrigger, civil: BaseTrigger) -> str:
    return (
        f"{_described(interval)} never fires on a whole second, and {civil} fires on nothing else: it would never fire. Give the interval a "
        "start_date on a whole second, such as '2026-01-01 00:00:00'; or, if the interval is to be left out at certain times (every 2 hours, "
        "but not at weekends), use ExcludingTrigger"
    )
