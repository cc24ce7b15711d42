"""An explicit-state explorer: every order in which two schedulers, people, the clock and bad luck can touch one record, by brute force.

It starts from a job that is due and takes every possible step (`steps.py`) in every state that it meets, breadth first, over the
library's own functions; in each it checks what must hold (`properties.py`). What it finds first is a shortest way to break a
guarantee, and is printed step by step. Run by hand, it goes further than in the tests:

    python -m tests.explorer.explorer --deep
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from unittest.mock import patch

from mainspring.jobstores.record import SCHEDULE_OVER
from mainspring.scheduler import decision

from tests.explorer.people import begin
from tests.explorer.properties import check, shown
from tests.explorer.scenarios import DEEP, DEEP_STATES, QUICK, QUICK_STATES
from tests.explorer.steps import moves
from tests.explorer.violation import Violation, require
from tests.explorer.world import Scenario, World, canonical

SETTLED = 20
"""Of so many states at the end of time, one is followed until everything has come to rest: that takes as long as forty steps."""


@dataclass
class Found:
    """What an exploration has seen."""

    scenario: Scenario
    states: int = 0
    steps: int = 0
    seconds: float = 0.0
    complete: bool = True
    """Whether there is no state left that it has not seen."""
    violation: str | None = None
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        end = "all" if self.complete else "cut off"
        line = f"{self.scenario.name}: {self.states:,} states ({end}), {self.steps:,} steps, {self.seconds:.1f} s"
        return (
            line if self.violation is None else "\n".join([line, *self.trace, f"VIOLATION: {self.violation}"])
        )


def explore(scenario: Scenario, max_states: int | None = None) -> Found:
    """Every state that can be reached, up to so many; ends at the first violation."""
    with patch.object(decision, "MAX_FIRE_TIMES", scenario.batch):
        return _explore(scenario, max_states)


def _explore(scenario: Scenario, max_states: int | None) -> Found:
    found = Found(scenario)
    began = time.perf_counter()
    first = canonical(begin(scenario))
    # States are remembered by their 64-bit hash: of a million, two meet in one with a chance of 1 in 10^7.
    parents: dict[int, tuple[int, str] | None] = {hash(first): None}
    queue, last = deque([first]), 0
    while queue:
        if max_states is not None and len(parents) >= max_states:
            found.complete = False
            break
        world = queue.popleft()
        here = hash(world)
        name = "(state)"
        try:
            check(world, scenario)
            for name, step in moves(world, scenario):
                found.steps += 1
                after = canonical(step())
                key = hash(after)
                if key not in parents:
                    parents[key] = (here, name)
                    queue.append(after)
            if world.time == scenario.horizon:
                last += 1
                if last % SETTLED == 1:
                    name = "(and then, without bad luck)"
                    settle(world, scenario)
        except Violation as violation:
            found.violation = str(violation)
            found.trace = replay(scenario, _names(parents, here), "" if name == "(state)" else name)
            break
    found.states = len(parents)
    found.seconds = time.perf_counter() - began
    return found


def settle(world: World, scenario: Scenario, rounds: int = 6) -> None:
    """From here on nothing bad happens, nobody edits, and each scheduler does what it does: no run may stay undone and unlisted."""
    undone = {fate[:2] for fate in world.fates if not fate.done and not fate.excused}
    for _ in range(rounds):
        quiet = replace(scenario, horizon=world.time + 1)
        world = world._replace(
            acts=scenario.act_budget,
            edits=scenario.edit_budget,
            shifts=scenario.shifts,
            crashes=scenario.crashes,
            failures=scenario.failures,
        )
        for _ in range(60):
            step = next((step for name, step in moves(world, quiet) if _is_progress(name)), None)
            if step is None:
                break
            world = canonical(step())
            check(world, scenario)
        else:
            raise Violation("the schedulers never come to rest")
        world = world._replace(time=world.time + 1)
    left: set[tuple[int, int]] = set()
    if world.record is not None:
        for run in world.record.runs:
            if run.state == "claimed" or (run.state == "waiting" and world.record.state != "paused"):
                left.update((run.incarnation or world.record.incarnation, at) for at in run.fire_times)
        ended = world.record.state == "ended" or world.record.reason == SCHEDULE_OVER
        require(
            not ended or any(run.state != "claimed" for run in world.record.runs),
            "a job that has ended stays for ever",
        )
    stuck = sorted(undone & left)
    require(not stuck, f"runs that stay open for ever: {[shown(at) for _, at in stuck]}")


def _is_progress(name: str) -> bool:
    """Whether a scheduler takes the step of itself, and it is no end in itself."""
    return not any(word in name for word in ("time passes", "withdrawn", "extends", "reads for", "crashes"))


def _names(parents: dict[int, tuple[int, str] | None], key: int) -> list[str]:
    names = []
    while (step := parents[key]) is not None:
        key, name = step
        names.append(name)
    return names[::-1]


def replay(scenario: Scenario, names: Sequence[str], last: str) -> list[str]:
    """The steps, each with the record that it left."""
    world = canonical(begin(scenario))
    lines = [f"  {'the job is added':44} {_record(world)}"]
    for name in names:
        world = canonical(next(step for other, step in moves(world, scenario) if other == name)())
        lines.append(f"  {name:44} {_record(world)}")
    return [*lines, f"  {last}"] if last else lines


def _record(world: World) -> str:
    record = world.record
    if record is None:
        return f"t={world.time} no record"
    runs = ", ".join(
        f"{run.run} {run.kind} {'/'.join(map(shown, run.fire_times))} {run.state}"
        + (f" attempt {run.attempt}" if run.attempt > 1 else "")
        + (f" by {run.owner}" if run.owner else "")
        + (f" until {shown(run.lease_until)}" if run.lease_until else "")
        + (" blocked" if run.blocked else "")
        for run in record.runs
    )
    return (
        f"t={world.time} {record.state} next {shown(record.next_run_time)} fire {shown(record.fire_time)}"
        f" wake {shown(record.wake_at)} [{runs}]"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deep", action="store_true", help="further, for an hour or so")
    parser.add_argument("--states", type=int, help="at most so many states in each scenario")
    parser.add_argument("--only", help="scenarios with this in their name")
    arguments = parser.parse_args()
    total, broken = Found(Scenario("all of them")), False
    for scenario in DEEP if arguments.deep else QUICK:
        if arguments.only and arguments.only not in scenario.name:
            continue
        found = explore(scenario, arguments.states or (DEEP_STATES if arguments.deep else QUICK_STATES))
        print(found, flush=True)
        total.states += found.states
        total.steps += found.steps
        total.seconds += found.seconds
        total.complete &= found.complete
        broken |= found.violation is not None
    print(total)
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
