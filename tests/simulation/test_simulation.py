"""Some hundred simulated clusters hold what is promised; each comes from a seed alone. Ten thousand: `simulate.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.scenario import draw
from tests.simulation.simulate import command, simulate

SEEDS = 400
AT_ONCE = 25

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_what_is_promised_holds(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        report = simulate(seed)
        assert not report.violations, "\n".join([*report.violations, f"see it with: {command(seed)}"])


def test_the_scenarios_differ() -> None:
    scenarios = [draw(seed) for seed in range(200)]
    kinds = {fault.kind for scenario in scenarios for fault in scenario.faults}
    assert kinds == {
        *("crash", "freeze", "cut", "restart", "clock"),
        *("outage", "slow", "losses", "read only"),
    }
    assert {scenario.mode for scenario in scenarios} == {"transaction", "reserve"}
    assert {len(scenario.machines) for scenario in scenarios} == {2, 3, 4, 5}
    assert {scenario.clocks_agree for scenario in scenarios} == {True, False}


@pytest.mark.parametrize("seed", [3, 11])
def test_the_same_seed_is_the_same_simulation_byte_for_byte(seed: int) -> None:
    """Also in another process, whose dicts and sets hash text differently."""
    here = simulate(seed, tracing=True)
    assert here.trace == simulate(seed, tracing=True).trace
    program = (
        "from tests.simulation.simulate import simulate; import sys; "
        "print(simulate(int(sys.argv[1]), tracing=True).digest)"
    )
    path = os.pathsep.join([str(ROOT), *sys.path])
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", program, str(seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert there.stdout.strip() == here.digest


def test_the_command_replays_a_seed() -> None:
    words = command(5).split()
    path = os.pathsep.join([str(ROOT), *sys.path])
    shown = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout.splitlines() == simulate(5, tracing=True).trace
