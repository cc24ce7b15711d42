"""The nine combinations of gap and overlap policies, on schedules that are plain sets of wall times, against a reading of every minute around clock changes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainspring.triggers import Gap, Overlap, resolution
from mainspring.triggers.offsets import offsets_of
from mainspring.triggers.policies import as_gap, as_overlap
from mainspring.triggers.zones import as_zone

from tests.triggers import oracle
from tests.triggers.schedules import CHANGES, window

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (on the wall)


class Times:
    """A set of wall times, as the triggers' schedules answer for theirs."""

    def __init__(self, walls: Iterable[datetime]) -> None:
        self.seconds = sorted({round((wall - EPOCH).total_seconds()) for wall in walls})

    def next(self, wall: int) -> int | None:
        at = bisect_left(self.seconds, wall)
        return self.seconds[at] if at < len(self.seconds) else None

    def previous(self, wall: int) -> int | None:
        at = bisect_right(self.seconds, wall)
        return self.seconds[at - 1] if at else None

    def count(self, begin: int, end: int) -> int:
        return max(0, bisect_left(self.seconds, end) - bisect_left(self.seconds, begin))

    def next_gap(self, wall: int) -> int:
        while wall in self.seconds:
            wall += 1
        return wall


def expected(
    walls: set[datetime], zone: str, begin: datetime, end: datetime, gap: str, overlap: str
) -> list[int]:
    """The runs from *begin* until before *end*, by looking at each minute: what the wall shows then, and what it has just skipped."""
    runs = set()
    info = ZoneInfo(zone)
    for moment in oracle.moments(zone, begin, end, MINUTE):
        if moment.wall in walls:
            local = moment.instant.astimezone(info)
            twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
            if not twice or overlap == "both" or overlap == ("second" if moment.second_pass else "first"):
                runs.add(moment.instant)
        for i, skipped in enumerate(moment.skipped):
            if skipped in walls and gap != "skip":
                runs.add(moment.instant + (MINUTE * i if gap == "shift" else timedelta(0)))
    return sorted(round(run.timestamp()) for run in runs)


@st.composite
def walls_around(draw: st.DrawFn, change: str) -> set[datetime]:
    """Some wall times of the days around a change: mostly of those that the change is about."""
    zone, begin, end = window(change, days=1)
    near = oracle.moments(zone, begin, end, MINUTE)
    special = [skipped for moment in near for skipped in moment.skipped]
    # And where "shift" moves them, so that two fall on one instant.
    moved = [wall + MINUTE * len(special) for wall in special[:5]]
    special = special[:5] + special
    for moment in near:
        if moment.second_pass:
            special += [moment.wall]
    edges = [wall + MINUTE * i for wall in special[:1] + special[-1:] for i in range(-90, 91)]
    anywhere = [moment.wall for moment in near]
    sources = [source for source in (special, moved, edges, anywhere) if source]
    some = st.one_of([st.sampled_from(source) for source in sources])
    return set(draw(st.lists(some, max_size=12)))


@settings(max_examples=600, deadline=None)
@given(
    change=st.sampled_from(sorted(CHANGES)),
    gap=st.sampled_from(Gap),
    overlap=st.sampled_from(Overlap),
    data=st.data(),
)
def test_every_policy_around_every_change(
    change: str, gap: Gap, overlap: Overlap, data: st.DataObject
) -> None:
    zone, begin, end = window(change, days=2)
    walls = data.draw(walls_around(change))
    runs = expected(walls, zone, begin, end, gap, overlap)
    times, offsets = Times(walls), offsets_of(as_zone(zone))
    first, last = round(begin.timestamp()), round(end.timestamp())
    asked = sorted({first, last, *data.draw(st.lists(st.integers(first, last), max_size=5))})
    asked += [run + step for run in runs for step in (-1, 0, 1)]
    for second in asked:
        later = [run for run in runs if run >= second]
        assert resolution.next_run(times, offsets, gap, overlap, second) == (later[0] if later else None)
        earlier = [run for run in runs if run <= second]
        found = resolution.previous_run(times, offsets, gap, overlap, second)
        assert found == (earlier[-1] if earlier else None)
        for until in asked:
            listed = [run for run in runs if second <= run <= until]
            assert resolution.count_runs(times, offsets, gap, overlap, second, until) == len(listed)


@pytest.mark.parametrize("distance", [1, 100, 1_000, 20_000])
@pytest.mark.parametrize("change", CHANGES)
def test_seen_from_far_away(change: str, distance: int) -> None:
    # Over many other clock changes, which have nothing to do with it.
    zone, begin, end = window(change, days=1)
    walls = {moment.wall for moment in oracle.moments(zone, begin, end, MINUTE) if moment.wall.minute == 30}
    offsets = offsets_of(as_zone(zone))
    far = timedelta(days=min(distance, (begin - datetime(1900, 1, 1, tzinfo=UTC)).days))
    for gap in Gap:
        for overlap in Overlap:
            runs = expected(walls, zone, begin, end, gap, overlap)
            early, late = round((begin - far).timestamp()), round((end + far).timestamp())
            times = Times(walls)
            assert resolution.next_run(times, offsets, gap, overlap, early) == runs[0]
            assert resolution.previous_run(times, offsets, gap, overlap, late) == runs[-1]
            assert resolution.count_runs(times, offsets, gap, overlap, early, late) == len(runs)


def test_the_policies_of_an_argument() -> None:
    assert as_gap(None, Gap.SKIP) is Gap.SKIP
    assert as_gap("shift", Gap.SKIP) is Gap.SHIFT
    assert as_overlap(Overlap.SECOND, Overlap.BOTH) is Overlap.SECOND
    with pytest.raises(ValueError, match="gap: expected one of 'after', 'skip', 'shift', got 'later'"):
        as_gap("later", Gap.SKIP)
    with pytest.raises(ValueError, match="overlap: expected one of 'first', 'second', 'both', got 5"):
        as_overlap(5, Overlap.BOTH)  # type: ignore[arg-type]
