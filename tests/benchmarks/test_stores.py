"""benchmarks/stores.py runs, and has a line for each case of each store that there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RATIO = r"[\d.e+-]+×"


@pytest.fixture(autouse=True)
def _the_other_library() -> None:
    pytest.importorskip("apscheduler", reason='pip install "mainspring[benchmark]"')


def benchmark(*options: str) -> tuple[str, dict[tuple[str, str, str], list[str]]]:
    """What it printed, and the cells behind case, store and metric of each line."""
    command = [sys.executable, "benchmarks/stores.py", "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
        if re.match(r"\| \w+.*\| \w+ \([\d,]+\) \|", line)
    ]
    return done.stdout, {(row[0].split()[0], row[1].split()[0], row[2]): row[3:] for row in rows}


def test_every_store() -> None:
    printed, rows = benchmark("--only", "burst")
    left_out = set(re.findall(r"^(\w+) is left out: .+", printed, re.MULTILINE))
    stores = {"memory", "sqlite", "postgresql", "mariadb", "redis", "mongodb", "zookeeper"} - left_out
    trips = {key: rows.pop(key) for key in list(rows) if key[2] == "batch_round_trips"}
    assert {store for _, store, _ in trips} == {"mongodb"} - left_out
    assert all(cells[3] == "≤ 5 reached" for cells in trips.values())
    assert {*rows} == {("burst", store, "runs_per_second") for store in stores}
    for (_, store, _), (ours, theirs, ratio, aim, driver) in rows.items():
        assert all(float(cell.split()[0].replace(",", "")) > 0 for cell in (ours, theirs))
        assert re.fullmatch(RATIO, ratio)
        assert re.fullmatch(r"≥ [\d.]+× (?:reached|MISSED)", aim)
        assert bool(driver) == (store != "memory")
        # Settings are told for all that is written to a disk.
        assert bool(re.search(f"^{store}: .*(?i:sync|flush)", printed, re.MULTILINE)) == (store != "memory")


def test_the_other_cases() -> None:
    _, rows = benchmark("--only", "restored,processes,look", "--stores", "sqlite")
    assert {case for case, _, _ in rows} == {"restored", "processes", "look"}
    assert rows["processes", "sqlite", "doubles"][0].startswith("0.00 ")
    assert rows["processes", "sqlite", "missing"][0].startswith("0.00 ")


def test_a_migration() -> None:
    _, rows = benchmark("--only", "migrate", "--stores", "sqlite")
    assert {metric for _, _, metric in rows} == {"seconds", "mb"}
    assert float(rows["migrate", "sqlite", "seconds"][0].split()[0]) > 0
    assert rows["migrate", "sqlite", "seconds"][3] == "≤ 10 reached"


def test_a_steady_load() -> None:
    _, rows = benchmark("--only", "steady", "--stores", "memory")
    assert {metric for _, _, metric in rows} == {"p99_ms", "p50_ms", "cpu_percent", "runs_per_second"}
    assert float(rows["steady", "memory", "runs_per_second"][0].split()[0]) > 100


def test_unknown_names_are_refused() -> None:
    command = [sys.executable, "benchmarks/stores.py", "--only", "bursts"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=100)
    assert done.returncode == 2
    assert "bursts: choose from burst, restored" in done.stderr
