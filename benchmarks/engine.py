"""The engine's speed as ratios to APScheduler 3: `python benchmarks/engine.py [--cases NAME ...] [--quick]`.

Each measurement is a fresh process; ours and theirs alternate, so that what the machine does meanwhile meets both. The
table gives the median of five with the least and the greatest, and the ratio of the medians. Both sides are used through
their public API, with the same arguments; SQLite with full synchronisation on both sides. pip install "mainspring[benchmark]".
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

OURS, THEIRS = "mainspring", "apscheduler"
CASES_FILE = Path(__file__).with_name("engine_cases.py")
QUICK_ROUNDS = 1


@dataclass(frozen=True)
class Case:
    """One case: what is run, at which size (and with --quick), which of its numbers are shown, and what they are to reach."""

    name: str
    title: str
    size: int
    quick: int
    metrics: tuple[str, ...]
    #: Bounds of ours / theirs by metric: the least for speeds, the greatest for all others.
    ratios: Mapping[str, float] = field(default_factory=dict)
    #: Bounds of our own numbers, by metric.
    limits: Mapping[str, float] = field(default_factory=dict)
    #: For a comparison of ours with ours: the size (and with --quick) that stands in the place of theirs.
    against_own: tuple[int, int] | None = None


RUNS, JOBS = "runs_per_second", "jobs_per_second"
LATENESS = ("p99_ms", "p50_ms", "cpu_percent", RUNS)

CASES = [
    Case("burst-memory", "burst, memory", 20_000, 2_000, (RUNS,), {RUNS: 2}),
    Case("burst-sqlite", "burst, SQLite file", 5_000, 300, (RUNS,), {RUNS: 20}),
    Case("burst-sqlite-restored", "the same, every job restored first", 5_000, 300, (RUNS,)),
    Case("add-memory", "add one by one, memory", 100_000, 5_000, (JOBS,), {JOBS: 1.5}),
    Case(
        "add-memory-million",
        "the same, ours against ours at 100,000",
        1_000_000,
        20_000,
        (JOBS,),
        {JOBS: 1},
        against_own=(100_000, 5_000),
    ),
    Case("add-sqlite-bulk", "add_jobs, SQLite (theirs one by one)", 5_000, 300, (JOBS,), {JOBS: 20}),
    Case("add-sqlite-single", "add one by one, SQLite", 2_000, 200, (JOBS,)),
    Case("idle", "200 runs/s beside idle jobs, memory", 1_000, 1_000, LATENESS),
    Case(
        "idle-million",
        "the same, ours against ours beside 1,000",
        1_000_000,
        20_000,
        LATENESS,
        {"p99_ms": 2},
        against_own=(1_000, 1_000),
    ),
    Case(
        "idle-sqlite",
        "200 runs/s beside idle jobs, SQLite",
        10_000,
        1_000,
        LATENESS,
        {"p99_ms": 1 / 5, "cpu_percent": 1 / 2},
    ),
    Case("idle-spread", "200 runs/s, 5 ms apart, memory", 1_000, 1_000, LATENESS),
    Case("idle-sqlite-spread", "200 runs/s, 5 ms apart, SQLite", 10_000, 1_000, LATENESS),
    Case(
        "memory",
        "idle interval job, memory",
        20_000,
        2_000,
        ("bytes_per_job", "peak_bytes_per_job"),
        limits={"bytes_per_job": 800},
    ),
    Case(
        "backlog",
        "backlog of 10 days of 1 s, coalesced",
        864_000,
        864_000,
        ("ms", "end_to_end_ms", "peak_kb"),
        limits={"end_to_end_ms": 1},
    ),
    Case("import", "import of scheduler.background", 0, 0, ("ms",), {"ms": 1}),
]

#: The name that engine_cases.py knows a case by, where it is not its own.
SAME_AS = {"add-memory-million": "add-memory", "idle-million": "idle"}


def measure(library: str, case: str, size: int) -> dict[str, float]:
    """One measurement in a fresh process. Raises RuntimeError with what it wrote, if it failed."""
    return measure_by(str(CASES_FILE), library, SAME_AS.get(case, case), str(size))


def measure_by(*arguments: str, checkout: Path | None = None) -> dict[str, float]:
    """What Python prints last with these arguments, a JSON object. Raises RuntimeError with what it wrote, if it failed.

    With `checkout`, that one's benchmarks and that one's library, whatever is installed.
    """
    command = [sys.executable, *arguments]
    # Byte code is kept, as in any installation: else the import of an editable checkout would be its compilation.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    root = CASES_FILE.parents[1] if checkout is None else checkout
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout / "tests" / "checkout")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=root)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(case: Case, rounds: int, *, quick: bool) -> None:
    """Measure a case and print its lines of the table."""
    size = case.quick if quick else case.size
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    sides = [(ours, OURS, size), (theirs, THEIRS, size)]
    if case.against_own is not None:
        sides[1] = (theirs, OURS, case.against_own[quick])
    if case.name == "import":
        for library in (OURS, THEIRS):
            measure(library, case.name, size)  # not counted: after it, both have their byte code
    for number in range(rounds):
        # Who begins alternates too: the second of a pair may find the machine warmer, or a cache fuller.
        for results, library, amount in sides if number % 2 == 0 else reversed(sides):
            results.append(measure(library, case.name, amount))
    label = f"{case.title} ({size:,})" if size else case.title
    for metric in case.metrics:
        mine, other = [r[metric] for r in ours], [r[metric] for r in theirs]
        ratio = statistics.median(mine) / (statistics.median(other) or math.inf)
        aim = verdict(case, metric, statistics.median(mine), ratio)
        print(f"| {label} | {metric} | {spread(mine)} | {spread(other)} | {ratio:.3g}× | {aim} |", flush=True)


def verdict(case: Case, metric: str, mine: float, ratio: float) -> str:
    """What this number was to reach, and whether it did."""
    if metric in case.limits:
        limit = case.limits[metric]
        return f"≤ {limit:g} {'reached' if mine <= limit else 'MISSED'}"
    if metric not in case.ratios:
        return ""
    bound = case.ratios[metric]
    if metric in (RUNS, JOBS):
        return f"≥ {bound:g}× {'reached' if ratio >= bound else 'MISSED'}"
    return f"≤ {bound:g}× {'reached' if ratio <= bound else 'MISSED'}"


def spread(values: Sequence[float]) -> str:
    """The median with the least and the greatest value."""
    low, high = min(values), max(values)
    return f"{number(statistics.median(values))} ({number(low)} – {number(high)})"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def main() -> None:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--cases", nargs="+", choices=names, default=names, metavar="CASE", help=", ".join(names)
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and one round: to see that it works"
    )
    options = parser.parse_args()
    rounds = QUICK_ROUNDS if options.quick else options.rounds

    print(
        f"{OURS} {version(OURS)}, {THEIRS} {version(THEIRS)}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.2f} before; median of {rounds} (least – greatest), ours and theirs alternating\n"
    )
    print("| case (size) | metric | ours | theirs | ours / theirs | to reach |")
    print("|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if case.name in options.cases:
            run(case, rounds, quick=options.quick)
    print(f"\nload {os.getloadavg()[0]:.2f} after")


if __name__ == "__main__":
    main()
