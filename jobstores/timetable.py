"""`Timetable`: which ids are due when, in memory: a heap of times, and for each time the ids that wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush


class Timetable:
    """Ids by time, the earliest first, equal times in the order of their entry. Not thread-safe.

    An entry is never removed before it comes to the top: the owner, who knows when each id is really due, throws outdated ones away there
    (lazy deletion), so that moving an id costs no search. A heap of bare integers is compared quickly, and the ids beside it cost
    half of what a tuple for each would.
    """

    __slots__ = ("_ids", "_times", "size")

    def __init__(self) -> None:
        self._ids: dict[int, str | deque[str]] = {}
        self._times: list[int] = []
        self.size = 0
        """How many entries there are, outdated ones included."""

    def refill(self, entries: Iterable[tuple[int, str]]) -> None:
        """Have these entries instead of all others: what is outdated is gone."""
        self._ids.clear()
        self._times.clear()
        self.size = 0
        for time, job_id in entries:
            self.push(time, job_id)

    def push(self, time: int, job_id: str) -> None:
        """Enter an id at a time. Nearly all times have one id, and are spared the deque."""
        self.size += 1
        ids = self._ids.get(time)
        if ids is None:
            self._ids[time] = job_id
            heappush(self._times, time)
        elif isinstance(ids, str):
            self._ids[time] = deque((ids, job_id))
        else:
            ids.append(job_id)

    def put_back(self, time: int, job_id: str) -> None:
        """Enter an id that was taken out, in front of the others of its time."""
        ids = self._ids.get(time)
        if ids is None:
            self.push(time, job_id)
            return
        self.size += 1
        if isinstance(ids, str):
            self._ids[time] = deque((job_id, ids))
        else:
            ids.appendleft(job_id)

    def first(self) -> tuple[int, str] | None:
        """The earliest entry, which stays; None if there is none."""
        if not self._times:
            return None
        time = self._times[0]
        ids = self._ids[time]
        return (time, ids) if isinstance(ids, str) else (time, ids[0])

    def pop(self) -> str:
        """Take the earliest entry out; answers its id. There must be one."""
        time = self._times[0]
        ids = self._ids[time]
        self.size -= 1
        if not isinstance(ids, str):
            job_id = ids.popleft()
            if ids:
                return job_id
        else:
            job_id = ids
        del self._ids[time]
        heappop(self._times)
        return job_id

    def time(self) -> int | None:
        """The earliest time at which there is an entry, outdated or not; None if there is none."""
        return self._times[0] if self._times else None
