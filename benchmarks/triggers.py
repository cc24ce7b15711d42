"""The triggers' speed as ratios to APScheduler 3, croniter, cronsim and dateutil: `python benchmarks/triggers.py [--cases NAME ...] [--quick]`.

Before anything is measured, the fire times of the libraries are compared. Each measurement is a fresh process that goes through all
rows of a case; the libraries take turns, and who begins changes, so that what the machine does meanwhile meets all. The tables give
the median of five in microseconds of CPU time per call with the least and the greatest, and how many times ours the others' medians
are. All libraries get the same expressions, instants and zone objects (datetime.timezone.utc, and a ZoneInfo for New York).
pip install "mainspring[benchmark]".
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

OURS, APSCHEDULER, CRONITER, CRONSIM = ALL = ("mainspring", "apscheduler", "croniter", "cronsim")
DATEUTIL = "dateutil"
DISTRIBUTIONS = {DATEUTIL: "python-dateutil"}
UTC, NEW_YORK = "UTC", "America/New_York"
#: Fire times that are compared for each row, one after the other and from random instants; and with --quick.
AGREEMENT = (2_000, 100)
QUICK_ROUNDS = 1


@dataclass(frozen=True)
class Case:
    """One case: what is measured, in which zones, with which libraries, at which size (and with --quick), and what it is to reach."""

    name: str
    title: str
    size: int = 1
    quick: int = 1
    zones: tuple[str, ...] = (UTC, NEW_YORK)
    libraries: tuple[str, ...] = ALL
    #: The least ratio of APScheduler's times to ours: the geometric mean of all rows, or each row.
    mean_ratio: float | None = None
    row_ratio: float | None = None
    #: The most microseconds of ours, in each row.
    limit: float | None = None


BOTH = (OURS, APSCHEDULER)
RULES = (OURS, DATEUTIL)

CASES = [
    Case("iterate", "cron, one fire time after the other", 10_000, 200, mean_ratio=15),
    Case(
        "stored",
        "cron, each after a previous one that was stored",
        10_000,
        200,
        libraries=BOTH,
        mean_ratio=15,
    ),
    Case("single", "cron, single calls from random instants", 10_000, 200, mean_ratio=5),
    Case("interval-iterate", "interval, one after the other", 10_000, 200, libraries=BOTH, mean_ratio=2),
    Case(
        "interval-stored",
        "interval, each after a previous one that was stored",
        10_000,
        200,
        libraries=BOTH,
        mean_ratio=2,
    ),
    Case("interval-single", "interval, from random instants", 10_000, 200, libraries=BOTH, mean_ratio=2),
    Case("construct", "making cron triggers", 10_000, 300, (NEW_YORK,), row_ratio=1),
    Case("never", "learning that an expression never matches", zones=(UTC,), limit=1000),
    Case("fresh", "a process's first trigger, made and asked once"),
    Case("rrule-iterate", "recurrence rules, one after the other", 10_000, 200, libraries=RULES),
    Case("rrule-single", "recurrence rules, single calls far from DTSTART", 5, 1, libraries=RULES),
]


def process(library: str, case: str, zone: str, size: int) -> dict[str, Any]:
    """What one process of triggers_cases.py found. Raises RuntimeError with what it wrote, if it failed."""
    command = [sys.executable, "-m", "benchmarks.triggers_cases", library, case, zone, str(size)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(size: int) -> bool:
    """Print how the libraries' fire times agree with ours; whether they all do, but for the days around clock changes."""
    print("### Agreement of the fire times with ours\n")
    print("| library | zone | compared | differ | of these within a day of a clock change |")
    print("|---|---|---|---|---|")
    plain = []
    for library in ALL[1:]:
        for zone in (UTC, NEW_YORK):
            found = process(library, "agreement", zone, size)
            numbers = " | ".join(f"{found[name]:,}" for name in ("compared", "differ", "changes"))
            print(f"| {library} | {zone} | {numbers} |", flush=True)
            plain += [f"{library}: {line}" for line in found["plain"]]
    print(
        "\n" + "\n".join([f"DISAGREE on plain days: {line}" for line in plain] or ["agree on all plain days"])
    )
    return not plain


def run(case: Case, zone: str, rounds: int, *, quick: bool) -> None:
    """Measure a case in a zone and print its table."""
    size = case.quick if quick else case.size
    results: dict[str, list[Mapping[str, float]]] = {library: [] for library in case.libraries}
    for turn in range(rounds):
        begin = turn % len(case.libraries)
        for library in case.libraries[begin:] + case.libraries[:begin]:
            results[library].append(process(library, case.name, zone, size))

    others = case.libraries[1:]
    print(f"\n### {case.title}{f' ({size:,})' if size > 1 else ''}, {zone}\n")
    columns = ["µs per call", *case.libraries, *(f"{library} / ours" for library in others), "to reach"]
    print(line(columns), line(["---"] * len(columns)), sep="\n")
    ratios: dict[str, list[float]] = {library: [] for library in others}
    for row in results[OURS][0]:
        values = {library: [r[row] for r in results[library] if row in r] for library in case.libraries}
        mine = statistics.median(values[OURS])
        cells = [row, *(spread(values[library]) for library in case.libraries)]
        for library in others:
            if values[library]:
                ratios[library].append(statistics.median(values[library]) / mine)
            cells.append(times(ratios[library][-1]) if values[library] else "")
        print(line([*cells, row_verdict(case, mine, ratios, bool(values[others[0]]))]))
    if case.mean_ratio is not None:
        means = {library: statistics.geometric_mean(ratios[library]) for library in others}
        aim = at_least(case.mean_ratio, means[APSCHEDULER])
        blanks = [""] * len(case.libraries)
        cells = [times(means[library]) for library in others]
        print(line(["geometric mean", *blanks, *cells, aim]), flush=True)


def row_verdict(case: Case, mine: float, ratios: Mapping[str, Sequence[float]], compared: bool) -> str:
    """What a row was to reach, and whether it did."""
    if case.limit is not None:
        return f"≤ {number(case.limit)} {'reached' if mine <= case.limit else 'MISSED'}"
    if case.row_ratio is not None and compared:
        return at_least(case.row_ratio, ratios[APSCHEDULER][-1])
    return ""


def at_least(bound: float, ratio: float) -> str:
    return f"≥ {bound:g}× {'reached' if ratio >= bound else 'MISSED'}"


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float]) -> str:
    """The median with the least and the greatest value."""
    if not values:
        return "–"
    return f"{number(statistics.median(values))} ({number(min(values))} – {number(max(values))})"


def times(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.1f}×" if ratio >= 10 else f"{ratio:.2f}×"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def main() -> int:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--cases", nargs="+", choices=names, default=names, metavar="CASE", help=", ".join(names)
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each library (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and one round: to see that it works"
    )
    options = parser.parse_args()
    rounds = QUICK_ROUNDS if options.quick else options.rounds

    libraries = ", ".join(f"{name} {version(DISTRIBUTIONS.get(name, name))}" for name in (*ALL, DATEUTIL))
    print(
        f"{libraries}, Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} before; "
        f"median of {rounds} (least – greatest), the libraries alternating\n"
    )
    agree = compare(AGREEMENT[options.quick])
    for case in CASES:
        if case.name in options.cases:
            for zone in case.zones:
                run(case, zone, rounds, quick=options.quick)
    print(f"\nload {os.getloadavg()[0]:.2f} after")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
