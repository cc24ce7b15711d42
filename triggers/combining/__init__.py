"""`AndTrigger` and `OrTrigger`: when all of several triggers fire, and when any of them does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from itertools import combinations
from typing import Any, ClassVar, Self, TypeAlias

from ..base import BaseTrigger, check_arguments, check_jitter, check_version, put, state_flag
from ..instants import FIRST_INSTANT, LAST_INSTANT, from_micros
from ..interval import IntervalTrigger
from .exclusions import civil_of, coinciding, count_free
from .parts import (
    CompositeTrigger,
    NeverFiresError,
    checked_parts,
    distinct,
    in_vain,
    never_of,
    on_whole_seconds,
    part_state,
    parts_from_state,
    shown,
    source_of,
    zone_of,
)
from .progressions import NOTHING, WHOLE_SECONDS, Progression, meet, progression_of
from .sources import Nested, Plain, Source, Steps

__all__ = ["AndTrigger", "OrTrigger"]

_Ask: TypeAlias = Callable[[int, Steps, int], int | None]

# How far several parts that search look at first, before one of them looks farther: a minute.
_FIRST_REACH = 60_000_000


class _Combination(CompositeTrigger):
    """What the two have in common: a row of parts."""

    __slots__ = ("_direct", "_sources", "triggers")

    argument_names: ClassVar[frozenset[str]] = frozenset({"triggers", "jitter"})
    _word: ClassVar[str]

    triggers: tuple[BaseTrigger, ...]
    _sources: tuple[Source, ...]  # the parts as they are asked
    _direct: int  # so many of these answer at once

    def __init__(self, triggers: Iterable[BaseTrigger], jitter: float | None = None) -> None:
        self._fill(checked_parts(triggers, "triggers"), check_jitter(jitter), False)
        self._refuse_idle()

    @property
    def parts(self) -> tuple[BaseTrigger, ...]:
        return self.triggers

    def _fill(self, triggers: tuple[BaseTrigger, ...], jitter: float | None, bound: bool) -> None:
        if not triggers:
            raise ValueError(f"triggers: {type(self).__name__} needs at least one")
        put(self, "triggers", triggers)
        self._set(jitter, bound)
        try:
            sources = self._sources_of(triggers)
        except NeverFiresError as error:
            sources = [Plain(NOTHING)]
            put(self, "_never", str(error))
        direct = [source for source in sources if not isinstance(source, Nested)]
        # These come first: they may settle how far the others have to look.
        put(self, "_sources", (*direct, *[source for source in sources if isinstance(source, Nested)]))
        put(self, "_direct", len(direct))

    def _fill_from(self, other: Self, parts: tuple[BaseTrigger, ...]) -> None:
        self._fill(parts, other.jitter, True)

    @abstractmethod
    def _sources_of(self, triggers: tuple[BaseTrigger, ...]) -> list[Source]:
        """The parts as they are asked. Raises `NeverFiresError` if it can be shown that it never fires."""

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

    A part of which nothing is found, however long one searches, does not keep the others from firing. Fire times are given in the zone of the first part.
    *jitter*: see `BaseTrigger.jitter`; that of the parts has no effect. Without a part of a user's own class the way back (`previous_before`,
    `count_between`) is there, too; with one it raises TypeError. Counting adds up the counts of the parts; what several share, beyond runs of seconds
    and pairs of intervals, is walked, but never the times of the part that fires most often.
    """

    __slots__ = ()

    _word = "or"

    def _sources_of(self, triggers: tuple[BaseTrigger, ...]) -> list[Source]:
        reasons = list(map(never_of, triggers))
        if None not in reasons:
            raise NeverFiresError("; ".join(reason for reason in dict.fromkeys(reasons) if reason))
        return list(map(source_of, distinct(triggers)))

    def search_next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        return self._nearest([source.next for source in self._sources], instant, steps, until, 1)

    def search_first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        return self._nearest([source.first for source in self._sources], instant, steps, until, 1)

    def search_previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        return self._nearest([source.previous for source in self._sources], instant, steps, since, -1)

    def _nearest(self, asks: list[_Ask], begin: int, steps: Steps, limit: int, way: int) -> int | None:
        """The fire time nearest to *begin*, on the way forwards (1) or backwards (-1); like the parts, exact up to *limit*."""
        direct, nearest = self._direct, None
        for ask in asks[:direct]:
            fire = ask(begin, steps, limit)
            if fire is not None and (nearest is None or (fire - nearest) * way < 0):
                nearest = fire
        if direct == len(asks):
            return nearest
        if nearest is None:
            return self._searched(asks[direct:], begin, steps, limit, way)
        if (nearest - limit) * way < 0:
            limit = nearest
        found = self._searched(asks[direct:], begin, steps, limit, way)
        return nearest if found is None or (found - nearest) * way > 0 else found

    def _searched(self, asks: list[_Ask], begin: int, steps: Steps, limit: int, way: int) -> int | None:
        """The same of those that search: none looks much farther ahead than another that finds something."""
        reach = _FIRST_REACH if len(asks) > 1 else abs(limit - begin)
        while True:
            horizon = begin + reach * way
            if (horizon - limit) * way > 0:
                horizon = limit
            nearest: int | None = None
            for ask in asks:
                if steps.left <= 0:
                    advice = "Check that each of its parts can fire"
                    raise in_vain(self, "moment at which any of them fires", begin, horizon, advice)
                fire = ask(begin, steps, horizon)
                if fire is not None and (nearest is None or (fire - nearest) * way < 0):
                    nearest = fire
                    if (fire - horizon) * way < 0:
                        horizon = fire
            if nearest is None or (nearest - horizon) * way <= 0 or horizon == limit:
                return nearest
            reach = max(reach * 16, abs(nearest - begin))

    def _count(self, after: int, until: int) -> int:
        counted = [(source.count(after, until), source) for source in self._sources]
        counted = sorted((pair for pair in counted if pair[0]), key=lambda pair: pair[0], reverse=True)
        sources = [source for _, source in counted]
        total = 0
        for i, (count, source) in enumerate(counted):
            if i == 1:
                total += count - _shared(source, sources[0], after, until)
            else:
                before = [coinciding(other, source) for other in sources[:i]]
                total += count_free(source, before, after, until)
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
    raises `NoFireTimeFoundError`. A part of a user's own class is asked for its first fire time as the scheduler would ask it, without a previous one.

    Fire times are given in the zone of the first part. *jitter*: see `BaseTrigger.jitter`; that of the parts has no effect. Without a part of
    a user's own class the way back (`previous_before`, `count_between`) is there, too; with one it raises TypeError. Intervals are counted by
    arithmetic, and two parts by the runs of seconds of one of them; more than that is walked.
    """

    __slots__ = ()

    _word = "and"

    def _sources_of(self, triggers: tuple[BaseTrigger, ...]) -> list[Source]:
        for reason in map(never_of, triggers):
            if reason is not None:
                raise NeverFiresError(reason)
        flat = _flattened(triggers)
        grids = [(part, grid) for part in flat if (grid := progression_of(part)) is not None]
        civil = next(filter(on_whole_seconds, flat), None)
        sources = list(map(source_of, distinct(part for part in flat if progression_of(part) is None)))
        if not grids:
            return sources
        # Every two meet, and so all of them do.
        for (one, grid), (another, other) in combinations(grids, 2):
            if meet(grid, other) is None:
                raise NeverFiresError(
                    f"{_described(one)} and {_described(another)} never fire at the same moment, so all of them never do. "
                    "Give both the same start_date, or another interval"
                )
        if civil is not None:
            for one, grid in grids:
                if meet(grid, WHOLE_SECONDS) is None:
                    raise NeverFiresError(_never_together(one, civil))
        grid = _all_meet([grid for _, grid in grids] + ([WHOLE_SECONDS] if civil is not None else []))
        if grid.first > grid.last:
            zone = zone_of(flat)
            raise NeverFiresError(
                f"{' and '.join(_described(part) for part, _ in grids)} would first fire together at "
                f"{shown(grid.first, zone)}, which is after the end, {shown(grid.last, zone)}: it would never fire"
            )
        return [Plain(grid), *sources]

    def search_next(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        sources = self._sources
        at, agreed, n, i = instant + 1, 0, len(sources), 0
        while steps.left > 0:
            # `at` is a fire time of the last `agreed` parts that were asked.
            fire = sources[i].next(at - 1, steps, until)
            if fire is None or fire > until:
                return fire
            agreed = agreed + 1 if fire == at else 1
            at = fire
            if agreed == n:
                return at
            i = (i + 1) % n
        raise self._in_vain(instant, at)

    def search_first(self, instant: int, steps: Steps, until: int = LAST_INSTANT) -> int | None:
        if not self.holds_user_code:
            return self.search_next(instant - 1, steps, until)
        # A user's part may answer with any time after the moment that it is asked about: it is asked about *instant*, and again only to catch up with others.
        fires: list[int] = []
        for source in self._sources:
            fire = source.first(instant, steps, until)
            if fire is None or fire > until:
                return fire
            fires.append(fire)
        while (at := max(fires)) != min(fires):
            i = next(i for i, fire in enumerate(fires) if fire < at)
            if steps.left <= 0:
                raise self._in_vain(instant, at)
            fire = self._sources[i].first(at, steps, until)
            if fire is None or fire > until:
                return fire
            fires[i] = fire
        return at

    def search_previous(self, instant: int, steps: Steps, since: int = FIRST_INSTANT) -> int | None:
        sources = self._sources
        at, agreed, n, i = instant - 1, 0, len(sources), 0
        while steps.left > 0:
            fire = sources[i].previous(at + 1, steps, since)
            if fire is None or fire < since:
                return fire
            agreed = agreed + 1 if fire == at else 1
            at = fire
            if agreed == n:
                return at
            i = (i + 1) % n
        raise self._in_vain(instant, at)

    def _count(self, after: int, until: int) -> int:
        if len(self._sources) == 1:
            return self._sources[0].count(after, until)
        if len(self._sources) == 2:
            return _shared(*self._sources, after, until)
        return self._count_by_walking(after, until)

    def _on_whole_seconds(self) -> bool:
        return any(map(on_whole_seconds, self.triggers))

    def _in_vain(self, begin: int, reached: int) -> ValueError:
        advice = "Check that they can fire at the very same second; for one trigger without the times of another, use ExcludingTrigger"
        return in_vain(self, "moment at which all of them fire", begin, reached, advice)


def _shared(one: Source, other: Source, after: int, until: int) -> int:
    """How many times in (after, until] both have."""
    count, others = one.count(after, until), other.count(after, until)
    # The second is gone through by its runs of seconds, which are the longer, the more often it fires.
    if civil_of(one) is not None and (civil_of(other) is None or count > others):
        one, other, count = other, one, others
    return count - count_free(one, [coinciding(other, one)], after, until)


def _flattened(triggers: Iterable[BaseTrigger]) -> list[BaseTrigger]:
    """The parts, with those of an "and" in place of it, each object once."""
    flat: dict[int, BaseTrigger] = {}
    seen: set[int] = set()

    def add(triggers: Iterable[BaseTrigger]) -> None:
        for trigger in triggers:
            if type(trigger) is not AndTrigger:
                flat[id(trigger)] = trigger
            elif id(trigger) not in seen:
                seen.add(id(trigger))
                add(trigger.triggers)

    add(triggers)
    return list(flat.values())


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
