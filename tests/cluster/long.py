"""The long test of clusters: every kind of store, every fault, thousands of runs each: `python -m tests.cluster.long [WORD ...]`.

Words choose among kinds, recoveries and faults, such as `postgresql outage`. It prints a line for each scenario as it ends, and the sums; the exit code is 1 if a
run was missing, or there twice, or unexpected. A scenario that went wrong leaves its folder with the logs, whose name is printed.
"""

import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from tests.cluster.processes import Place
from tests.cluster.scenario import Cluster, Result, Scenario
from tests.cluster.stores import KINDS, SERVERS

FAULTS: tuple[tuple[str, ...], ...] = ((), ("kill",), ("freeze",), ("outage",), ("kill", "freeze", "outage"))
ROW = "{:<11} {:<6} {:<19} {:>7} {:>7} {:>5} {:>7} {:>8} {:>10} {:>6} {:>7} {:>7}"
HEAD = (
    "store",
    "",
    "faults",
    "due",
    "ran",
    "lost",
    "doubles",
    "missing",
    "unexpected",
    "calls",
    "latest",
    "least",
)


def scenarios(words: list[str]) -> Iterator[tuple[str, Scenario]]:
    """Those that have all of these words."""
    for kind in KINDS:
        for faults in FAULTS:
            possible = tuple(fault for fault in faults if fault != "outage" or kind in SERVERS)
            if faults and not possible:
                continue
            for recovery in ("skip", "rerun") if faults else ("skip",):
                if {*words} <= {kind, recovery, *(possible or ["undisturbed"])}:
                    yield kind, Scenario(recovery, possible)


def run(kind: str, scenario: Scenario) -> Result:
    """One of them, on a server and in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="mainspring-cluster-"))
    server = SERVERS[kind]() if kind in SERVERS else None
    if server is not None:
        server.start()
    try:
        place = Place(folder, kind, server)
        try:
            result = Cluster(place, scenario).run()
            if not result.verdict.good:
                print(folder, result.verdict, *result.evidence, sep="\n")
        finally:
            place.close()
    except BaseException:
        print(f"{folder}:")
        raise
    finally:
        if server is not None:
            server.end()
    if result.verdict.good:
        shutil.rmtree(folder)
    return result


def row(kind: str, scenario: Scenario, result: Result) -> str:
    verdict = result.verdict
    return ROW.format(
        kind,
        scenario.recovery,
        "+".join(scenario.faults) or "undisturbed",
        verdict.due,
        verdict.ran,
        verdict.lost,
        len(verdict.doubles),
        len(verdict.missing),
        len(verdict.unexpected),
        result.calls,
        f"{result.lateness:.1f} s",
        f"{result.least_share:.0%}",
    )


def main() -> int:
    words = sys.argv[1:]
    known = {word for kind, scenario in scenarios([]) for word in (kind, scenario.recovery, *scenario.faults)}
    if unknown := {*words} - known - {"undisturbed"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}, undisturbed")
    print(
        "lost: listed as such; latest: the latest run; least: of a fair share, what the process has run that was there all the time and ran least"
    )
    print(ROW.format(*HEAD), flush=True)
    begun, due, ran, bad = monotonic(), 0, 0, 0
    for kind, scenario in scenarios(words):
        try:
            result = run(kind, scenario)
        except Exception:
            traceback.print_exc()
            bad += 1
            continue
        due += result.verdict.due
        ran += result.verdict.ran
        bad += not result.verdict.good
        print(row(kind, scenario, result), flush=True)
    print(
        f"{due:,} due runs, {ran:,} runs, {bad} scenarios with findings, {(monotonic() - begun) / 60:.0f} minutes"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
