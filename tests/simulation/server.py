"""The simulated server: the records that all schedulers share, and the way to it, on which requests and answers get lost.

It keeps a history of all that was committed, for the statements that are checked afterwards; no scheduler sees that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Generic, TypeVar

from mainspring.jobstores.claiming import Change
from mainspring.jobstores.errors import JobStoreError, StoreUnreachableError
from mainspring.jobstores.record import Record, is_sooner

from tests.simulation.timeline import MILLISECOND, SECOND, Process, Task, Timeline

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Commit:
    """One record as one write changed it."""

    time: int
    before: Record | None
    after: Record | None
    payload: Any
    """The payload behind it; before it, if the record went."""
    is_claim: bool
    writer: str
    """The process that wrote it."""
    by_person: bool
    """In a call of somebody's, and what that is for; else in a pass of the loop, or of the keeper."""

    @property
    def job_id(self) -> str:
        record = self.after or self.before
        assert record is not None
        return record.id


@dataclass(slots=True)
class Weather:
    """How requests fare: what the scenario says of the whole run, and what befalls the server now."""

    latency: int = MILLISECOND
    """µs that a request or an answer is under way, about."""
    lost: float = 0.0
    """How likely a request or its answer gets lost."""
    slow: int = 1
    """So many times longer than usual."""
    outages: int = 0
    """So many outages go on, one within the other."""
    read_only: int = 0
    """So many times go on in which the server only reads: its disk is full, or it is another one's replica."""
    timeout: int = 2 * SECOND
    """How long a client waits for an answer, when nobody refuses it."""
    silent: bool = False
    """A server that is down does not answer at all, instead of refusing."""

    def end_read_only(self) -> None:
        self.read_only -= 1

    def end_outage(self) -> None:
        self.outages -= 1


@dataclass(slots=True)
class _Answer(Generic[T]):
    value: T | None = None
    error: BaseException | None = None
    by_chance: bool = False
    """It got lost in the usual weather."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A request that came to nothing by chance alone, or its answer: from when to when it was waited for."""

    process: str
    task: str
    begin: int
    end: int


@dataclass(slots=True)
class Reservation:
    """A record that one claimer has reserved, until when."""

    owner: str
    until: int


@dataclass(slots=True)
class Server:
    """Records and their payloads, changed by functions that run in one moment each."""

    timeline: Timeline
    random: Random
    weather: Weather
    honours_stamps: bool = True
    """False is a fault that the simulation must find: a write that does not compare the stamp."""
    records: dict[str, Record] = field(default_factory=dict)
    payloads: dict[str, Any] = field(default_factory=dict)
    reserved: dict[str, Reservation] = field(default_factory=dict)
    history: list[Commit] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    pushes: bool = False
    writer: str = ""
    """The process whose request is being done."""
    by_person: bool = False
    """It is one of a call of somebody's."""

    # -- what a request may do, in one moment ----------------------------------------------------------------------

    def find(self, job_ids: Iterable[str] | None, payload: bool) -> list[Record]:
        """The records of these ids that there are; all for None."""
        records = self.records
        found = (
            list(records.values())
            if job_ids is None
            else [records[i] for i in dict.fromkeys(job_ids) if i in records]
        )
        return [replace(record, payload=self.payloads[record.id]) for record in found] if payload else found

    def due(self, alias: str, now: int, size: int) -> list[Record]:
        """Up to so many records of an executor that are due, the earliest first."""
        found = [
            record
            for record in self.records.values()
            if record.wake_at is not None and record.wake_at <= now and record.executor == alias
        ]
        return sorted(found, key=lambda record: (record.wake_at, record.id))[:size]

    def next_wake(self, aliases: Iterable[str], now: int) -> int | None:
        """The earliest time after now at which one of the executors has something due."""
        aliases = set(aliases)
        times = [
            record.wake_at
            for record in self.records.values()
            if record.wake_at is not None and record.wake_at > now and record.executor in aliases
        ]
        return min(times, default=None)

    def write(self, changes: Sequence[Change], *, whole: bool, claim: bool = False) -> list[bool]:
        """Write changes of records that still have the stamp that was read; which of them. `whole`: all of them or none.

        Also of none: to see whether it can be written.
        """
        self._check_writable()
        fits = [
            (current := self.records.get(before.id)) is not None
            and (current.stamp == before.stamp or not self.honours_stamps)
            for before, _ in changes
        ]
        if whole and not all(fits):
            return [False] * len(changes)
        for (before, after), fit in zip(changes, fits, strict=True):
            if fit:
                self._put(self.records[before.id], after, claim)
        return fits

    def release(self, owner: str | None) -> None:
        """Give up the reservations of an owner; for None, those whose time is over."""
        self.reserved = {
            job_id: held
            for job_id, held in self.reserved.items()
            if held.owner != owner and held.until > self.timeline.now
        }

    def insert(self, record: Record) -> None:
        """Put a record there, maybe in the place of one that has ended."""
        self._check_writable()
        self._put(self.records.get(record.id), record)

    def _check_writable(self) -> None:
        if self.weather.read_only:
            raise JobStoreError("the server is read-only")

    def _put(self, before: Record | None, after: Record | None, claim: bool = False) -> None:
        record = after or before
        assert record is not None
        if after is None:
            payload = self.payloads.pop(record.id)
            del self.records[record.id]
        else:
            if after.payload is not None:
                self.payloads[after.id] = after.payload
                after = replace(after, payload=None)
            self.records[after.id] = after
            payload = self.payloads[after.id]
        commit = Commit(self.timeline.now, before, after, payload, claim, self.writer, self.by_person)
        self.history.append(commit)
        wake_at = None if after is None else after.wake_at
        if (
            self.pushes
            and wake_at is not None
            and is_sooner(wake_at, None if before is None else before.wake_at)
        ):
            for link in self.links:
                link.push(wake_at)


class Link:
    """The way of one boot of a scheduler to the server."""

    def __init__(self, server: Server, process: Process) -> None:
        self.process = process
        self.cuts = 0
        """So many interruptions go on."""
        self.on_push: Callable[[int], None] | None = None
        self._server = server
        server.links.append(self)

    def mend(self) -> None:
        """An interruption has ended."""
        self.cuts -= 1

    def ask(self, request: Callable[[Server], T]) -> T:
        """Have the server do something, and wait for its answer. Raises StoreUnreachableError: it was done, or not, or will be.

        A request that is under way for longer than a client waits still arrives.
        """
        server, task = self._server, Task.current()
        timeline, turn, luck = server.timeline, task.turn, server.random.random()
        there, back, patience = self._way(), self._way(), server.weather.timeout
        by_person = task.name == "user" and not task.ends_runs
        timeline.at(timeline.now + there, lambda: self._arrive(request, task, turn, back, luck, by_person))
        if there + back > patience:
            error = StoreUnreachableError("no answer in time")
            timeline.at(timeline.now + patience, lambda: task.go_on(turn, _Answer[T](error=error)))
        begin = timeline.now
        answer = task.park()
        if answer.by_chance:
            server.losses.append(Loss(self.process.name, task.name, begin, timeline.now))
        if answer.error is not None:
            raise answer.error
        result: T = answer.value
        return result

    def push(self, at: int) -> None:
        """The server tells this client, some time later, that something is due; or the message gets lost."""
        server = self._server
        if not self._is_cut and server.random.random() >= server.weather.lost:
            server.timeline.at(server.timeline.now + self._way(), lambda: self._pushed(at))

    def _pushed(self, at: int) -> None:
        if self.process.alive and self.on_push is not None and not self._is_cut:
            tell = self.on_push
            self.process.spawn("push", lambda: tell(at))

    def _arrive(
        self,
        request: Callable[[Server], T],
        task: Task,
        turn: int,
        back: int,
        luck: float,
        by_person: bool,
    ) -> None:
        server = self._server
        weather, answer = server.weather, _Answer[T]()
        answer.by_chance = not self._is_cut and luck < weather.lost
        if self._is_cut or luck < weather.lost / 2:
            answer.error = StoreUnreachableError("connection lost before the request was done")
            if weather.silent:
                back += weather.timeout
        else:
            server.writer, server.by_person = self.process.name, by_person
            try:
                answer.value = request(server)
            except Exception as exc:
                answer.error = exc
            if luck < weather.lost:
                answer.error = StoreUnreachableError("connection lost before the answer came")
        server.timeline.at(server.timeline.now + back, lambda: self._return(task, turn, answer))

    def _return(self, task: Task, turn: int, answer: _Answer[T]) -> None:
        if self._is_cut and answer.error is None:
            answer = _Answer(error=StoreUnreachableError("connection lost before the answer came"))
            if self._server.weather.silent:
                timeline = self._server.timeline
                timeline.at(timeline.now + self._server.weather.timeout, lambda: task.go_on(turn, answer))
                return
        task.go_on(turn, answer)

    @property
    def _is_cut(self) -> bool:
        return self.cuts > 0 or self._server.weather.outages > 0

    def _way(self) -> int:
        """µs that a message is under way: mostly about as usual, now and then much longer."""
        random, weather = self._server.random, self._server.weather
        factor = weather.slow * (20 if random.random() < 0.01 else 1)
        return 1 + int(weather.latency * factor * (0.5 + random.random()))
