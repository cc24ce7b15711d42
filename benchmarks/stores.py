"""The stores' speed as ratios to APScheduler 3: `python benchmarks/stores.py [--only CASE,…] [--stores STORE,…] [--quick]`.

As in engine.py, each measurement is a fresh process, ours and theirs alternate, and the table gives medians with the least and the
greatest. The servers are those of the tests (PostgreSQL, MariaDB, Redis and ZooKeeper from Debian's packages, and MongoDB or what stands in for it), the same for both libraries,
and so durable that a commit survives a power failure. For a burst a third column has what the bare driver does: the same number of writes, in
batches as large as ours were, nothing read and nothing decided. pip install "mainspring[postgresql,mysql,redis,mongodb,zookeeper,benchmark]".
"""

import argparse
import importlib
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

if __name__ == "__main__":
    # Run by its path: the modules beside it, and the servers of the tests, are found from the root.
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.engine import OURS, RUNS, THEIRS, measure_by, spread
from benchmarks.stores_backends import SERVERS, SETTINGS, STORES, Backend
from tests import servers

DRIVERS = {
    "postgresql": "psycopg",
    "mariadb": "pymysql",
    "redis": "redis",
    "mongodb": "pymongo",
    "zookeeper": "kazoo",
    "sqlite": "sqlalchemy",
}

Values = list[dict[str, float]]
failures: list[str] = []

EARLIER = "earlier"
NOW = "now"
checkouts: dict[str, Path] = {}
"""With --against: where the two versions of this library are that are compared."""


@dataclass(frozen=True)
class Case:
    """One case: what it is, for which stores, at which size (and with --quick), and what is to be reached."""

    name: str
    run: Callable[["Case", Backend, int, int], None]
    size: int
    quick: int
    stores: tuple[str, ...]
    #: By store: metrics with the bound of ours / theirs.
    ratios: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    #: Where another size does, by store.
    sizes: Mapping[str, int] = field(default_factory=dict)


def measure(library: str, case: str, backend: Backend, size: int, *numbers: int) -> dict[str, float] | None:
    """One measurement; None if it failed, which is printed."""
    checkout = checkouts.get(library)
    try:
        return measure_by(
            "-m",
            "benchmarks.stores_cases",
            OURS if checkout else library,
            case,
            backend.kind,
            backend.url,
            str(size),
            *map(str, numbers),
            checkout=checkout,
        )
    except RuntimeError as failure:
        message = str(failure).strip()
        print(f"{library}, {case}, {backend.kind}: {message}", file=sys.stderr)
        failures.append(f"{library}, {case}, {backend.kind}: {message.splitlines()[-1]}")
        return None


def filled(
    library: str, case: str, fill: str, backend: Backend, size: int, *numbers: int
) -> dict[str, float] | None:
    """A measurement on a store that another process has filled just before."""
    backend.clear()
    # For the bare driver, the table and the records are ours.
    if (
        fill
        and backend.kind != "memory"
        and measure(OURS if library == "driver" else library, fill, backend, size) is None
    ):
        return None
    return measure(library, case, backend, size, *numbers)


def alternating(rounds: int, ours: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Who begins alternates too, as in engine.py."""
    for number in range(rounds):
        for side in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            side()


def note(values: Values, result: dict[str, float] | None) -> None:
    if result is not None:
        values.append(result)


# --- the cases -----------------------------------------------------------------------------------------------------------


def burst(case: Case, backend: Backend, size: int, rounds: int) -> None:
    """All due at once; and what the bare driver needs for the writes of it."""
    ours, theirs, driver = Values(), Values(), Values()

    def one(library: str) -> dict[str, float] | None:
        return filled(library, case.name, "fill-due" if case.name == "restored" else "", backend, size)

    def ours_and_driver() -> None:
        note(ours, result := one(OURS))
        if backend.kind != "memory" and result is not None:
            batches = round(result["claim_batch"]), round(result["end_batch"])
            note(driver, filled("driver", case.name, "fill-due", backend, size, *batches))

    alternating(rounds, ours_and_driver, lambda: note(theirs, one(THEIRS)))
    compare(case, backend, size, (RUNS,), ours, theirs, driver)
    if case.name == "burst" and backend.kind in BATCH_TRIPS:
        note(trips := Values(), filled(OURS, "trips", "", backend, size))
        spent = [values["batch_round_trips"] for values in trips]
        aim = verdict(max(spent), BATCH_TRIPS[backend.kind], "≤") if spent else ""
        row(case.name, backend, size, "batch_round_trips", spread(spent) if spent else "–", "–", "", aim)


def against_earlier(case: Case, backend: Backend, size: int, rounds: int) -> None:
    """All due at once: this checkout of the library, and an earlier one in the place of theirs."""
    now, earlier = Values(), Values()

    def one(library: str) -> dict[str, float] | None:
        return filled(library, case.name, "fill-due" if case.name == "restored" else "", backend, size)

    alternating(rounds, lambda: note(now, one(NOW)), lambda: note(earlier, one(EARLIER)))
    compare(replace(case, ratios={}), backend, size, (RUNS,), now, earlier)


def several(case: Case, backend: Backend, size: int, rounds: int) -> None:
    """The same by 4 processes, ours against ours by 1; theirs, which run things twice, at a tenth of it."""
    four, one, theirs = Values(), Values(), Values()
    alternating(
        rounds,
        lambda: note(four, filled(OURS, "processes", "fill-due", backend, size, 4)),
        lambda: note(one, filled(OURS, "processes", "fill-due", backend, size, 1)),
    )
    compare(case, backend, size, (RUNS,), four, one)
    note(theirs, filled(THEIRS, "processes", "fill-due", backend, size // 10, 4))
    for metric, limit in {"doubles": 0, "missing": 0, "lost_percent": 5, "least_share": None}.items():
        if four and metric in four[0]:
            mine = [values[metric] for values in four]
            aim = "" if limit is None else verdict(max(mine), limit, "≤")
            other = spread([values[metric] for values in theirs]) if theirs and metric in theirs[0] else "–"
            row(f"{case.name} (theirs: {size // 10:,})", backend, size, metric, spread(mine), other, "", aim)


def steady(case: Case, backend: Backend, size: int, rounds: int) -> None:
    """Lateness and CPU of a steady load beside idle jobs."""
    ours, theirs = Values(), Values()
    seconds = 20 if size == case.size else 1
    alternating(
        rounds,
        lambda: note(ours, filled(OURS, "steady", "fill-idle", backend, size, seconds)),
        lambda: note(theirs, filled(THEIRS, "steady", "fill-idle", backend, size, seconds)),
    )
    for values in (*ours, *theirs):
        values["both_cpu_percent"] = values["cpu_percent"] + values["server_cpu_percent"]
    metrics = ["p99_ms", "p50_ms", "cpu_percent", RUNS]
    if backend.port:
        metrics[3:3] = ["server_cpu_percent", "both_cpu_percent"]
    compare(case, backend, size, metrics, ours, theirs)


def look(case: Case, backend: Backend, size: int, rounds: int) -> None:
    """One look at idle jobs, ours against ours at a hundredth of them; and theirs at that."""
    many, few, theirs = Values(), Values(), Values()
    alternating(
        rounds,
        lambda: note(many, filled(OURS, "look", "fill-idle", backend, size)),
        lambda: note(few, filled(OURS, "look", "fill-idle", backend, size // 100)),
    )
    note(theirs, filled(THEIRS, "look", "fill-idle", backend, size // 100))
    compare(case, backend, size, ("ms",), many, few)
    if backend.port and many and few:
        trips = [values["round_trips"] for values in (*many, *few)]
        other = spread([values["round_trips"] for values in theirs]) if theirs else "–"
        row(
            f"{case.name} (theirs: {size // 100:,})",
            backend,
            size,
            "round_trips",
            spread(trips),
            other,
            "",
            verdict(max(trips), 1, "≤"),
        )


def migrated(case: Case, backend: Backend, size: int, rounds: int) -> None:
    """The jobs of an APScheduler 3 store taken over: the time of it, and the memory at this size and at four times of it."""
    sizes = (size, 4 * size)
    found: dict[int, Values] = {each: Values() for each in sizes}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        for each in sizes:
            measure_by("-m", "benchmarks.stores_migration", folder, str(each))  # which makes the old store
            for _ in range(rounds):
                found[each].append(measure_by("-m", "benchmarks.stores_migration", folder, str(each)))
    for metric, aim in (("seconds", 10.0), ("mb", 64.0)):
        few, many = ([values[metric] for values in found[each]] for each in sizes)
        bounded = statistics.median(few if metric == "seconds" else many)
        row(
            f"{case.name} (beside: {sizes[1]:,})",
            backend,
            size,
            metric,
            spread(few),
            spread(many),
            "",
            verdict(bounded, aim, "≤"),
        )


#: Of a burst, by store.
RUNS_RATIOS: dict[str, dict[str, float]] = {
    "memory": {RUNS: 2},
    "sqlite": {RUNS: 20},
    "postgresql": {RUNS: 15},
    "mariadb": {RUNS: 10},
    "redis": {RUNS: 6},
    "mongodb": {RUNS: 1.5},
    "zookeeper": {RUNS: 4},
}

#: At most so many round trips for a batch of a burst, its end included.
BATCH_TRIPS = {"mongodb": 5}

#: Theirs are slow there, and so is the server that stands in for MongoDB.
SMALLER = {"mongodb": 1_000, "zookeeper": 1_000}

CASES = [
    Case("burst", burst, 5_000, 200, STORES, RUNS_RATIOS, SMALLER),
    Case("restored", burst, 5_000, 200, ("sqlite", *SERVERS), RUNS_RATIOS, SMALLER),
    Case(
        "processes",
        several,
        20_000,
        400,
        ("sqlite", *SERVERS),
        {name: {RUNS: 0.9} for name in ("postgresql", "redis")},
    ),
    Case(
        "steady",
        steady,
        10_000,
        100,
        STORES,
        {
            "postgresql": {"p99_ms": 0.5, "cpu_percent": 0.5},
            "mariadb": {"cpu_percent": 0.5},
            "sqlite": {"cpu_percent": 0.5},
            "memory": {"cpu_percent": 0.5},
            "redis": {"p99_ms": 2, "cpu_percent": 1},
        },
    ),
    Case(
        "look",
        look,
        100_000,
        1_000,
        ("sqlite", *SERVERS),
        # Not for MongoDB: what stands in for it reads all documents of a collection, whatever its indexes are.
        {name: {"ms": 1.5} for name in ("sqlite", "postgresql", "mariadb", "redis")},
    ),
    Case("migrate", migrated, 10_000, 200, ("sqlite",)),
]


# --- the table -----------------------------------------------------------------------------------------------------------


def compare(
    case: Case,
    backend: Backend,
    size: int,
    metrics: Sequence[str],
    ours: Values,
    theirs: Values,
    driver: Values = [],  # noqa: B006 - only read
) -> None:
    """The lines of a case: ours beside theirs, or beside ours at another size."""
    for metric in metrics:
        mine, other, bare = ([values[metric] for values in each] for each in (ours, theirs, driver))
        ratio, aim, share = "", "", ""
        if mine and other:
            factor = statistics.median(mine) / statistics.median(other)
            ratio = f"{factor:.3g}×"
            bound = case.ratios.get(backend.kind, {}).get(metric)
            if bound is not None:
                aim = verdict(factor, bound, "≥" if metric == RUNS else "≤", "×")
        if mine and bare:
            share = (
                f"{statistics.median(bare):,.0f} ({statistics.median(mine) / statistics.median(bare):.2f}×)"
            )
        columns = [spread(each) if each else "–" for each in (mine, other)]
        row(case.name, backend, size, metric, columns[0], columns[1], ratio, aim, share)


def verdict(value: float, bound: float, sign: str, unit: str = "") -> str:
    reached = value >= bound if sign == "≥" else value <= bound
    return f"{sign} {bound:g}{unit} {'reached' if reached else 'MISSED'}"


def row(
    case: str,
    backend: Backend,
    size: int,
    metric: str,
    ours: str,
    theirs: str,
    ratio: str,
    aim: str,
    driver: str = "",
) -> None:
    print(
        f"| {case} | {backend.kind} ({size:,}) | {metric} | {ours} | {theirs} | {ratio} | {aim} | {driver} |",
        flush=True,
    )


# --- the servers ---------------------------------------------------------------------------------------------------------


@contextmanager
def backends(kinds: Sequence[str]) -> Iterator[list[Backend]]:
    """The stores of these kinds that there can be here; for the others it is said why not."""
    classes = {server.name: server for server in servers.KINDS}
    running = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        found = []
        try:
            for kind in kinds:
                try:
                    if kind in DRIVERS:
                        importlib.import_module(DRIVERS[kind])
                    if kind not in SERVERS:
                        found.append(Backend(kind, f"{folder}/jobs.sqlite" if kind == "sqlite" else ""))
                        continue
                    running.append(server := classes[kind]())
                    server.start()
                    url = server.url if "://" in server.url else f"{kind}://{server.url}"
                    found.append(backend := Backend(kind, url))
                    backend.prepare()
                except (ImportError, servers.MissingProgramError) as missing:
                    print(f"{kind} is left out: {missing}")
            yield found
        finally:
            for server in running:
                server.end()


def installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [case.name for case in CASES]
    listed = "separated by commas; default: all"
    parser.add_argument(
        "--only", default=",".join(names), metavar="CASE,…", help=f"{', '.join(names)}; {listed}"
    )
    parser.add_argument(
        "--stores", default=",".join(STORES), metavar="STORE,…", help=f"{', '.join(STORES)}; {listed}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and one round: to see that it works"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="compare the bursts with those of another checkout of this library, not with APScheduler",
    )
    options = parser.parse_args()
    if options.against is not None:
        if not (options.against / "benchmarks" / "stores_cases.py").exists():
            parser.error(f"--against: {options.against} is no checkout of this library")
        checkouts.update({NOW: Path(__file__).parents[1], EARLIER: options.against.resolve()})
    only, kinds = options.only.split(","), options.stores.split(",")
    for given, known in ((only, names), (kinds, [*STORES])):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    rounds = 1 if options.quick else options.rounds

    packages = (OURS, THEIRS, "sqlalchemy", "psycopg", "pymysql", "redis", "pymongo")
    print(
        f"{', '.join(map(installed, packages))}, Python {platform.python_version()}, {os.cpu_count()} cores (the servers are on them, "
        f"too), load {os.getloadavg()[0]:.2f} before; median of {rounds} (least – greatest), ours and theirs alternating"
    )
    with backends(kinds) as found:
        for backend in found:
            if backend.kind in SETTINGS:
                print(f"{backend.kind}: {backend.server_version()}; {SETTINGS[backend.kind]}")
        print(
            "\n| case | store (size) | metric | ours | theirs, or ours at 1 process or 1/100 of the size, or an earlier checkout | ratio | to reach | bare driver |"
        )
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for case in CASES:
            for backend in found:
                if case.name in only and backend.kind in case.stores and (case.run is burst or not checkouts):
                    # Memory is so fast that a few thousand would be over before the threads have warmed up.
                    factor = 4 if backend.kind == "memory" and case.run is burst else 1
                    run = against_earlier if checkouts else case.run
                    size = case.quick if options.quick else case.sizes.get(backend.kind, case.size)
                    run(case, backend, factor * size, rounds)
    print(f"\nload {os.getloadavg()[0]:.2f} after")
    for failure in failures:
        print(f"failed: {failure}")
    if any(failure.startswith((OURS, "driver")) for failure in failures):
        sys.exit(1)


if __name__ == "__main__":
    main()
