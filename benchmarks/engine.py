"""The engine's speed as ratios to APScheduler 3: `python benchmarks/engine.py [--cases NAME ...] [--quick]`.

Each measurement is a fresh process; ours and theirs alternate, so that what the machine does meanwhile meets both. The
table gives the median of five with the least and the greatest, and the ratio of the medians. Both sides are used through
their public API, with the same arguments; SQLite with full synchronisation on both sides. pip install "mainspring[benchmark]".
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

OURS, THEIRS = "mainspring", "apscheduler"
CASES_FILE = Path(__file__).with_name("engine_cases.py")
QUICK_ROUNDS = 1


@dataclass(frozen=True)
class Case:
    """One line of the issue's table: what is run how often at which size, and which of its numbers are compared."""

    name: str
    title: str
    metrics: tuple[str, ...]
    size: int
    quick: int
    #: What to reach, as the ratio of the first metric: at least, if more is better; at most, if less is better.
    target: float | None
    less_is_better: bool = False
    #: For a comparison of ours with ours: the size that stands in the place of theirs.
    against_own: int | None = None
    quick_against_own: int | None = None


LATENESS = ("p99_ms", "p50_ms", "cpu_percent")

CASES = [
    Case("burst-memory", "burst, memory", ("runs_per_second",), 20_000, 2_000, 2),
    Case("burst-sqlite", "burst, SQLite file", ("runs_per_second",), 5_000, 300, 20),
    Case("add-memory", "add one by one, memory", ("jobs_per_second",), 100_000, 5_000, 1.5),
    Case(
        "add-memory-million",
        "add one by one, memory, ours with ours at 100,000",
        ("jobs_per_second",),
        1_000_000,
        20_000,
        1,
        against_own=100_000,
        quick_against_own=5_000,
    ),
    Case("add-sqlite-bulk", "add_jobs, SQLite (theirs one by one)", ("jobs_per_second",), 5_000, 300, 20),
    Case("add-sqlite-single", "add one by one, SQLite", ("jobs_per_second",), 2_000, 200, None),
    Case("idle", "200 runs/s beside idle jobs, memory", LATENESS, 1_000, 1_000, None, less_is_better=True),
    Case(
        "idle-million",
        "the same, ours with ours at 1,000 idle jobs",
        LATENESS,
        1_000_000,
        20_000,
        2,
        less_is_better=True,
        against_own=1_000,
        quick_against_own=1_000,
    ),
    Case(
        "idle-sqlite",
        "200 runs/s beside idle jobs, SQLite",
        LATENESS,
        10_000,
        1_000,
        1 / 5,
        less_is_better=True,
    ),
    Case("idle-spread", "the same 5 ms apart, memory", LATENESS, 1_000, 1_000, None, less_is_better=True),
    Case(
        "idle-sqlite-spread",
        "the same 5 ms apart, SQLite",
        LATENESS,
        10_000,
        1_000,
        None,
        less_is_better=True,
    ),
    Case(
        "memory",
        "idle interval job, memory",
        ("bytes_per_job", "peak_bytes_per_job"),
        20_000,
        2_000,
        None,
        less_is_better=True,
    ),
    Case(
        "backlog",
        "backlog of 10 days of 1 s",
        ("ms", "end_to_end_ms", "peak_kb"),
        864_000,
        864_000,
        None,
        less_is_better=True,
    ),
    Case("import", "import of scheduler.background", ("ms",), 0, 0, 1, less_is_better=True),
]

#: The name that engine_cases.py knows a case by, where it is not its own.
SAME_AS = {"add-memory-million": "add-memory", "idle-million": "idle"}


def measure(library: str, case: str, size: int) -> dict[str, float]:
    """One measurement in a fresh process. Raises RuntimeError with what it wrote, if it failed."""
    command = [sys.executable, str(CASES_FILE), library, SAME_AS.get(case, case), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(case: Case, rounds: int, *, quick: bool) -> None:
    """Measure a case and print its lines of the table."""
    size = case.quick if quick else case.size
    own = case.quick_against_own if quick else case.against_own
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for number in range(rounds):
        sides = [(ours, OURS, size), (theirs, THEIRS, size) if own is None else (theirs, OURS, own)]
        # Who begins alternates too: the second of a pair may find the machine warmer, or a cache fuller.
        for results, library, amount in sides if number % 2 == 0 else reversed(sides):
            results.append(measure(library, case.name, amount))
    for metric in case.metrics:
        line(case, metric, size, [r[metric] for r in ours], [r[metric] for r in theirs])


def line(case: Case, metric: str, size: int, ours: Sequence[float], theirs: Sequence[float]) -> None:
    """One line of the table: ours, theirs, the ratio, and for a case's first metric what was to be reached."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = mine / other if other else float("inf")
    verdict = ""
    if case.target is not None and metric == case.metrics[0]:
        reached = ratio <= case.target if case.less_is_better else ratio >= case.target
        sign = "≤" if case.less_is_better else "≥"
        verdict = f"{sign} {case.target:g} {'reached' if reached else 'MISSED'}"
    label = f"{case.title} ({size:,})" if size else case.title
    print(
        f"| {label} | {metric} | {spread(ours)} | {spread(theirs)} | {ratio:.2f}× | {verdict} |",
        flush=True,
    )


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
