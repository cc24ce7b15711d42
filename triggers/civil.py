"""Civil time: triggers that follow a wall clock, and what becomes of their times on the days when clocks change.

A schedule is a set of wall times (`WallTimes`), which knows nothing of zones; a zone is a row of spans of constant offset (`offsets.py`), inside of which
wall time and UTC differ by a constant. `resolution.py` puts the two together, by the policies in `policies.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache, partial

from . import resolution
from .base import InstantTrigger, put
from .instants import FIRST_INSTANT, LAST_INSTANT, from_micros, to_micros, zone_name
from .offsets import ZoneOffsets, offsets_of
from .policies import Gap, Overlap, as_gap, as_overlap
from .resolution import WallTimes

__all__ = ["CivilTrigger", "Gap", "Overlap", "WallTimes", "as_gap", "as_overlap"]

_SECOND = 1_000_000
_from_timestamp = datetime.fromtimestamp
# The steps from one fire time to the next: there are few different ones, and making one takes longer than looking it up.
_seconds = lru_cache(maxsize=4096)(partial(timedelta, 0))


class CivilTrigger(InstantTrigger):
    """Base of the triggers that follow the wall clock of *timezone*, from *start_date* until *end_date* (both inclusive), in whole seconds."""

    __slots__ = ("_end", "_gap", "_offsets", "_open", "_overlap", "_start", "_wall", "jitter", "timezone")

    _wall: WallTimes
    _offsets: ZoneOffsets  # those of timezone
    _start: int  # FIRST_INSTANT: no start
    _end: int  # LAST_INSTANT: no end
    _open: bool  # neither start nor end
    _gap: Gap
    _overlap: Overlap
    timezone: tzinfo
    jitter: float | None

    def _set(
        self,
        wall: WallTimes,
        start: int | None,
        end: int | None,
        zone: tzinfo,
        gap: Gap,
        overlap: Overlap,
        jitter: float | None,
    ) -> None:
        """Fill the slots of this class. *start* and *end* are inclusive instants."""
        put(self, "_wall", wall)
        put(self, "_offsets", offsets_of(zone))
        put(self, "_start", FIRST_INSTANT if start is None else start)
        put(self, "_end", LAST_INSTANT if end is None else end)
        put(self, "_open", start is None and end is None)
        put(self, "_gap", gap)
        put(self, "_overlap", overlap)
        put(self, "timezone", zone)
        put(self, "jitter", jitter)

    @property
    def start_date(self) -> datetime | None:
        return None if self._start == FIRST_INSTANT else from_micros(self._start, self.timezone)

    @property
    def end_date(self) -> datetime | None:
        return None if self._end == LAST_INSTANT else from_micros(self._end, self.timezone)

    @property
    def gap(self) -> Gap:
        """What becomes of times that the clock skips."""
        return self._gap

    @property
    def overlap(self) -> Overlap:
        """Which of the two, of a time that the clock shows twice."""
        return self._overlap

    def _unusual_policies(self) -> dict[str, str]:
        """The policies that are not those of a fixed time, by the names of the arguments: what a state and a `repr` have to say of them."""
        found: dict[str, str] = {}
        if self._gap is not Gap.AFTER:
            found["gap"] = self._gap.value
        if self._overlap is not Overlap.FIRST:
            found["overlap"] = self._overlap.value
        return found

    def _shown_options(self) -> list[str]:
        """The end of a `repr`: zone, and jitter and policies if they are not the default."""
        parts = [f"timezone='{zone_name(self.timezone)}'"]
        if self.jitter is not None:
            parts.append(f"jitter={self.jitter!r}")
        return parts + [f"{name}='{policy}'" for name, policy in self._unusual_policies().items()]

    def next_after(self, instant: int) -> int | None:
        if instant < self._start:
            instant = self._start - 1
        second = instant // _SECOND + 1  # the first one that may fire
        offsets = self._offsets
        _, _, offset, _, _, calm, until = offsets.at(second)
        fire: int | None = None
        if calm <= second < until:
            match = self._wall.next(second + offset)
            if match is None:
                # What has no match left is not shown again either, for no overlap begins in here.
                return None
            fire = match - offset
            if fire >= until:
                # Beyond the next change. If that time is far from all changes, it is what the clock shows there, and nothing comes before it.
                _, _, offset, _, _, calm, until = offsets.at(fire)
                fire = match - offset
                if not calm <= fire < until:
                    fire = None
        if fire is None:
            fire = resolution.next_run(self._wall, offsets, self._gap, self._overlap, second)
        if fire is None or fire * _SECOND > self._end:
            return None
        return fire * _SECOND

    def previous_before(self, instant: int) -> int | None:
        second = (min(instant, self._end + 1) - 1) // _SECOND  # the last one that may fire
        fire = resolution.previous_run(self._wall, self._offsets, self._gap, self._overlap, second)
        if fire is None or fire * _SECOND < self._start:
            return None
        return fire * _SECOND

    def count_between(self, after: int, until: int) -> int:
        """Goes by clock changes and by what the schedule repeats, not by fire times."""
        first = max(after, self._start - 1) // _SECOND + 1
        last = min(until, self._end) // _SECOND
        return resolution.count_runs(self._wall, self._offsets, self._gap, self._overlap, first, last)

    def silent_from(self, instant: int) -> int:
        """A whole second (µs) not before *instant*, before which it fires in every whole second from there on; the farther the better.

        A way to pass over times that are excluded by a trigger that fires in every second of some hours.
        """
        second = -(-instant // _SECOND)
        if not self._start <= second * _SECOND <= self._end:
            return second * _SECOND
        span = self._offsets.at(second)
        if span.calm <= second < span.until:
            silent = min(self._wall.next_gap(second + span.offset) - span.offset, span.until)
        else:
            # Near a clock change, second by second.
            fire = resolution.next_run(self._wall, self._offsets, self._gap, self._overlap, second)
            silent = second + 1 if fire == second else second
        return min(silent * _SECOND, (self._end // _SECOND + 1) * _SECOND)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first fire time strictly later than *previous_fire_time*; or, if that is None, at or after *now*. In `timezone`."""
        asked = now if previous_fire_time is None else previous_fire_time
        offsets = self._offsets
        if type(asked) is datetime and asked.tzinfo is self.timezone and self._open:
            # On most days the wall clock is all that matters, and no time has to be turned into UTC and back. (Of a subclass
            # nobody knows how it adds and subtracts: pandas' goes by elapsed time.)
            since = asked - offsets.epoch
            wall = since.days * 86_400 + since.seconds
            _, _, offset, _, _, calm, until = offsets.recent
            if not calm <= wall - offset < until:
                # A guess by the offset of another span: off by hours at most, and checked.
                _, _, offset, _, _, calm, until = offsets.at(wall - offset)
            if calm <= wall - offset < until:
                match = self._wall.next(
                    wall + 1 if previous_fire_time is not None or since.microseconds else wall
                )
                if match is None:
                    return None
                if match - offset >= until:
                    _, _, offset, _, _, calm, until = offsets.at(match - offset)
                if calm <= match - offset < until:
                    if previous_fire_time is None or since.microseconds:
                        return _from_timestamp(match - offset, self.timezone)
                    return previous_fire_time + _seconds(match - wall)
        instant = self.next_after(to_micros(asked) - (previous_fire_time is None))
        return None if instant is None else offsets.moment(instant)
