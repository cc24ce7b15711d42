"""Simulated time: a queue of events, and tasks that take turns on it: no thread, no real time, the same order each time.

A task is an ordinary function that may stop anywhere in its calls, in a store's primitive say, and goes on when an event says so. Each
belongs to a process, which can be frozen (its tasks go on later, in their order) and can die (they never do).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

MILLISECOND = 1_000
SECOND = 1_000_000


class Killed(SystemExit):
    """The process of this task has died. Whatever the dying task still does, it does for nobody."""


class Timeline:
    """The present, in µs UTC, and what happens next."""

    def __init__(self, start: int) -> None:
        self.now = start
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, time: int, action: Callable[[], object]) -> None:
        """Have something happen at a time; what is for the same moment happens in the order in which it was asked for."""
        self._count += 1
        heappush(self._events, (max(time, self.now), self._count, action))

    def run_until(self, time: int) -> None:
        """Let time pass. Called outside of tasks."""
        events = self._events
        while events and events[0][0] <= time:
            self.now, _, action = heappop(events)
            action()
        self.now = max(self.now, time)


class Task:
    """A function of a process that takes its turns on the timeline."""

    def __init__(self, process: Process, name: str, work: Callable[[], object]) -> None:
        self.process = process
        self.name = name
        self.ends_runs = False
        """It writes ends of runs; a call of somebody's may do that before it does what it is for."""
        self._work = work
        self._greenlet = greenlet(self._run)
        self._turn = 0
        process.timeline.at(process.timeline.now, lambda: self.go_on(0))

    @staticmethod
    def current() -> Task:
        """The task whose turn it is."""
        task = getattr(getcurrent(), "task", None)
        assert isinstance(task, Task), "outside of the simulation's tasks"
        return task

    def park(self) -> Any:
        """Stop here until somebody lets this task go on; answers what they say. Called by the task itself."""
        if not self.process.alive:
            raise Killed
        answer = self._greenlet.parent.switch()
        if not self.process.alive:
            raise Killed
        return answer

    @property
    def turn(self) -> int:
        """Which of its stops it has come to: `go_on` names it, so that nothing late ends another one."""
        return self._turn

    def go_on(self, turn: int, answer: object = None) -> None:
        """Let it go on from this stop, now or when its process is not frozen any more; nothing if it has gone on already."""
        process = self.process
        if turn != self._turn or not process.alive:
            return
        if process.timeline.now < process.frozen_until:
            process.timeline.at(process.frozen_until, lambda: self.go_on(turn, answer))
            return
        self._turn += 1
        self._switch(answer)

    def kill(self) -> None:
        """End it where it stands; its process is dead."""
        if self._turn and not self._greenlet.dead:
            self._switch(None)

    def _switch(self, answer: object) -> None:
        self._greenlet.parent = getcurrent()
        self._greenlet.switch(answer)

    def _run(self, _: object) -> None:
        getcurrent().task = self
        try:
            self._work()
        except Killed:
            if self.process.alive:
                raise
        except BaseException as exc:
            if self.process.alive:
                self.process.task_failed(self, exc)
        finally:
            self.process.tasks.pop(self, None)


class Process:
    """What lives, freezes and dies together: the tasks of one boot of a scheduler."""

    name = ""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.alive = True
        self.frozen_until = 0
        self.tasks: dict[Task, None] = {}

    def spawn(self, name: str, work: Callable[[], object]) -> None:
        """Begin a task; its first turn comes in this moment, behind what is to happen in it already."""
        if self.alive:
            self.tasks[Task(self, name, work)] = None

    def sleep(self, duration: int) -> None:
        """Let so many µs pass for the task that calls."""
        task = Task.current()
        turn = task.turn
        self.timeline.at(self.timeline.now + duration, lambda: task.go_on(turn))
        task.park()

    def freeze(self, until: int) -> None:
        """Nothing of it happens before `until`; then it goes on with what it believes."""
        self.frozen_until = max(self.frozen_until, until)

    def die(self) -> None:
        """All of it is gone."""
        self.alive = False
        for task in list(self.tasks):
            task.kill()
        self.tasks.clear()

    def task_failed(self, task: Task, exc: BaseException) -> None:
        """A task has raised."""
        raise exc


class Flag:
    """`Wakeup` in simulated time: stays set until somebody waits for it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._is_set = False
        self._waiting: tuple[Task, int] | None = None

    def set(self) -> None:
        """Wake the task that waits, or the next one that does."""
        waiting = self._waiting
        if waiting is None:
            self._is_set = True
            return
        self._waiting = None
        task, turn = waiting
        timeline = self._process.timeline
        timeline.at(timeline.now, lambda: task.go_on(turn, True))

    def wait(self, seconds: float) -> bool:
        """Return when it is set, at the latest after so many seconds: whether it was. It is not set afterwards."""
        if self._is_set or seconds <= 0:
            was_set, self._is_set = self._is_set, False
            # One turn for the others: a loop that never waits would keep the time from passing.
            self._process.sleep(0)
            return was_set
        task, timeline = Task.current(), self._process.timeline
        self._waiting = task, task.turn
        turn = task.turn
        timeline.at(timeline.now + max(1, round(seconds * SECOND)), lambda: task.go_on(turn, False))
        woken = bool(task.park())
        if not woken:
            self._waiting = None
        return woken
