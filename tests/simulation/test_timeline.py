"""Simulated time: order, freezes and deaths of tasks."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.timeline import Flag, Process, Timeline


def writer(process: Process, lines: list[tuple[int, str]], name: str, pause: int) -> Callable[[], None]:
    def write() -> None:
        for _ in range(3):
            process.sleep(pause)
            lines.append((process.timeline.now, name))

    return write


def test_tasks_take_turns_in_the_order_of_time() -> None:
    timeline, lines = Timeline(0), list[tuple[int, str]]()
    process = Process(timeline)
    process.spawn("a", writer(process, lines, "a", 10))
    process.spawn("b", writer(process, lines, "b", 15))
    timeline.run_until(100)
    assert lines == [(10, "a"), (15, "b"), (20, "a"), (30, "b"), (30, "a"), (45, "b")]
    assert not process.tasks
    assert timeline.now == 100


def test_a_frozen_process_goes_on_later_and_the_others_meanwhile() -> None:
    timeline, lines = Timeline(0), list[tuple[int, str]]()
    frozen, other = Process(timeline), Process(timeline)
    frozen.spawn("a", writer(frozen, lines, "a", 10))
    other.spawn("b", writer(other, lines, "b", 10))
    timeline.at(15, lambda: frozen.freeze(35))
    timeline.run_until(100)
    assert lines == [(10, "a"), (10, "b"), (20, "b"), (30, "b"), (35, "a"), (45, "a")]


def test_a_dead_process_does_nothing_more_whatever_its_tasks_try() -> None:
    timeline, lines = Timeline(0), list[str]()
    process = Process(timeline)

    def stubborn() -> None:
        while True:
            try:
                process.sleep(10)
                lines.append("slept")
            except SystemExit:
                lines.append("dies")
                process.sleep(10)

    process.spawn("stubborn", stubborn)
    timeline.at(15, process.die)
    timeline.run_until(100)
    assert lines == ["slept", "dies"]


def test_a_flag_wakes_whoever_waits_or_the_next_one() -> None:
    timeline, answers = Timeline(0), list[tuple[int, bool]]()
    process = Process(timeline)
    flag = Flag(process)

    def wait() -> None:
        for seconds in (1.0, 1.0, 1.0):
            answers.append((timeline.now, flag.wait(seconds)))

    flag.set()
    process.spawn("waits", wait)
    timeline.at(400_000, flag.set)
    timeline.run_until(5_000_000)
    assert answers == [(0, True), (0, True), (400_000, False)]
