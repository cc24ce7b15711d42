"""Simulates seed after seed, and says which of them violate what.

python -m tests.simulation.simulate --seeds 10000 --processes 2
python -m tests.simulation.simulate --seed 1234 --trace
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context

from tests.simulation.flaws import FLAWS, Flaw
from tests.simulation.scenario import draw, shown
from tests.simulation.statements import violations
from tests.simulation.world import World


@dataclass(slots=True)
class Report:
    """What came of one seed."""

    seed: int
    violations: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    """How much happened."""
    trace: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The same for the same trace, byte for byte."""
        return sha256("\n".join(self.trace).encode()).hexdigest()


def simulate(seed: int, *, tracing: bool = False, flaw: Flaw | None = None, plain: bool = False) -> Report:
    """Simulate what a seed says, and check it. `plain`: without runs that fail, and without what they need."""
    world = World(draw(seed, plain=plain), tracing=tracing)
    with (flaw or FLAWS["none"])(world):
        world.run()
        found = violations(world)
        world.close()
    return Report(seed, found, _counts(world), [*_written(world)] if tracing else [])


def _counts(world: World) -> Counter[str]:
    counts = Counter(
        {
            "runs": len(world.starts),
            "failures": sum(start.failed for start in world.starts),
            "retries": sum(start.open_run.kind == "retry" for start in world.starts),
            "runs asked for": sum(start.open_run.kind == "now" for start in world.starts),
            "runs from a queue": sum(start.open_run.kind == "queued" for start in world.starts),
            "recovered runs": sum(start.open_run.kind == "rerun" for start in world.starts),
            "writes": len(world.server.history),
            "calls of people": len(world.edits),
            "virtual seconds": (world.timeline.now - world.scenario.end + world.scenario.length) // 1_000_000,
        }
    )
    counts.update(trouble.kind for trouble in world.troubles)
    return counts


def _written(world: World) -> Iterator[str]:
    yield str(world.scenario)
    for time, who, what in world.trace:
        yield f"{shown(time):>12} {who:8} {what}"


def _simulate(seed: int) -> Report:
    return simulate(seed)


def simulated(seeds: Iterable[int], processes: int) -> Iterator[Report]:
    """The reports of many seeds, in their order."""
    # What one simulation leaves is circular, and small: collecting it now and then is enough.
    gc.set_threshold(200_000, 10, 10)
    if processes == 1:
        yield from map(_simulate, seeds)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_simulate, seeds, chunksize=20)


def command(seed: int, *, plain: bool = False) -> str:
    """How to see a seed again."""
    return f"python -m tests.simulation.simulate --seed {seed}{' --plain' if plain else ''} --trace"


def main() -> int:
    """The command line. Answers how many seeds violate something."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: all that happened")
    parser.add_argument(
        "--plain", action="store_true", help="with --seed: no run fails, and none is asked for"
    )
    parser.add_argument(
        "--flaw", choices=sorted(FLAWS), default="none", help="with --seed: what is wrong on purpose"
    )
    options = parser.parse_args()
    if options.seed is not None:
        flaw = FLAWS[options.flaw]
        report = simulate(options.seed, tracing=options.trace, flaw=flaw, plain=options.plain)
        print(*report.trace, *report.violations, sep="\n")
        return len(report.violations)
    failed = 0
    total: Counter[str] = Counter()
    for report in simulated(range(options.first, options.first + options.seeds), options.processes):
        total += report.counts
        if report.violations:
            failed += 1
            print(
                f"seed {report.seed}:",
                *report.violations,
                f"see: {command(report.seed)}",
                sep="\n    ",
                flush=True,
            )
    print(f"{options.seeds} seeds, {failed} of them violate something")
    print(", ".join(f"{count} {what}" for what, count in sorted(total.items())))
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main()))
