"""The long test of clusters: every kind of store, every fault, thousands of runs each: `python -m tests.cluster.long [WORD ...]`.

Words choose among kinds, recoveries and faults, such as `postgresql outage`; `care` are the jobs that fail, take too long, wait for room and are asked to
run, while processes are killed. It prints a line for each scenario as it ends, and the sums; the exit code is 1 if a
run was missing, or there twice, or unexpected, or not followed as it should. A scenario that went wrong leaves its folder with the logs, whose name is printed.
"""

import logging
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

from tests.cluster.attempts import Findings
from tests.cluster.careful import Careful, CarefulCluster
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
    with own_place(kind) as place:
        result = Cluster(place, scenario).run()
        if not result.verdict.good:
            raise FoundError([str(result.verdict), *result.evidence])
    return result


def run_with_care(kind: str) -> Findings:
    """The one of jobs whose runs go wrong."""
    with own_place(kind) as place:
        findings = CarefulCluster(place, Careful()).run()
        if findings.wrong:
            raise FoundError([str(replace(findings, wrong=[])), *findings.wrong])
    return findings


class FoundError(Exception):
    """Something is wrong: in these lines."""


@contextmanager
def own_place(kind: str) -> Iterator[Place]:
    """A folder, which stays if what is done there fails, and a server."""
    folder = Path(tempfile.mkdtemp(prefix="mainspring-cluster-"))
    server = SERVERS[kind]() if kind in SERVERS else None
    if server is not None:
        server.start()
    try:
        place = Place(folder, kind, server)
        try:
            yield place
        finally:
            place.close()
    except BaseException:
        print(f"{folder}:")
        raise
    finally:
        if server is not None:
            server.end()
    shutil.rmtree(folder)


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
    known |= {"undisturbed", "care"}
    if unknown := {*words} - known:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    begun = monotonic()
    bad = main_table(words) + table_of_care(words)
    print(f"{bad} scenarios with findings, {(monotonic() - begun) / 60:.0f} minutes")
    return 1 if bad else 0


def main_table(words: list[str]) -> int:
    """How many scenarios have found something."""
    print(
        "lost: listed as such; latest: the latest run; least: of a fair share, what the process has run that was there all the time and ran least"
    )
    print(ROW.format(*HEAD), flush=True)
    due, ran, bad = 0, 0, 0
    for kind, scenario in scenarios(words):
        try:
            result = run(kind, scenario)
        except FoundError as exc:
            bad += 1
            print(kind, scenario, *exc.args[0], sep="\n", flush=True)
            continue
        except Exception:
            traceback.print_exc()
            bad += 1
            continue
        due += result.verdict.due
        ran += result.verdict.ran
        print(row(kind, scenario, result), flush=True)
    print(f"{due:,} due runs, {ran:,} runs")
    return bad


def table_of_care(words: list[str]) -> int:
    """The same for the jobs whose runs go wrong."""
    # The test's own scheduler, which runs nothing, has no pool of processes, and would say so.
    logging.getLogger("mainspring").setLevel(logging.ERROR)
    bad = 0
    for kind in KINDS:
        if not {*words} <= {kind, "care"}:
            continue
        try:
            findings = run_with_care(kind)
        except FoundError as exc:
            bad += 1
            print(kind, *exc.args[0], sep="\n", flush=True)
            continue
        except Exception:
            traceback.print_exc()
            bad += 1
            continue
        print(
            f"{kind:<11} care: {findings.runs} runs, {findings.attempts} attempts, {findings.hurt} of the runs with a process that was "
            f"killed, {findings.lost} lost, at most {findings.most} of a job at a time",
            flush=True,
        )
    return bad


if __name__ == "__main__":
    sys.exit(main())
