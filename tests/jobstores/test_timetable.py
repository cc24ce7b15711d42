"""The timetable of the memory store: the earliest first, equal times in order."""

import pytest
from mainspring.jobstores.timetable import Timetable


def emptied(timetable: Timetable) -> list[tuple[int | None, str]]:
    """All entries, which are taken out."""
    return [(timetable.time(), timetable.pop()) for _ in range(timetable.size)]


def test_entries_come_by_time_and_in_the_order_in_which_they_were_made() -> None:
    timetable = Timetable()
    for time, job_id in ((5, "c"), (1, "a"), (5, "d"), (1, "b")):
        timetable.push(time, job_id)
    assert timetable.first() == (1, "a")
    assert emptied(timetable) == [(1, "a"), (1, "b"), (5, "c"), (5, "d")]
    assert (timetable.first(), timetable.time(), timetable.size) == (None, None, 0)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_what_is_put_back_comes_before_the_others_of_its_time(others: int) -> None:
    timetable = Timetable()
    names = ["a", "b", *(f"other {n}" for n in range(others))]
    for name in names:
        timetable.push(3, name)
    taken = [timetable.pop(), timetable.pop()]
    for name in reversed(taken):
        timetable.put_back(3, name)
    assert timetable.first() == (3, "a")
    assert emptied(timetable) == [(3, name) for name in names]
    assert timetable.time() is None
