"""benchmarks/triggers.py runs, and has every case and library in its tables."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _the_measured_libraries() -> None:
    for library in ("apscheduler", "croniter", "cronsim"):
        pytest.importorskip(library, reason='pip install "mainspring[benchmark]"')


def benchmark(*options: str) -> str:
    command = [sys.executable, "benchmarks/triggers.py", "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_cases() -> None:
    printed = benchmark()
    # Ratios of different fire times would say nothing.
    assert "agree on all plain days" in printed

    def tables(title: str) -> int:
        return len(re.findall(rf"^### {title}", printed, re.MULTILINE))

    assert tables("Agreement") == 1
    assert tables("cron,") == 6
    assert tables("interval,") == 6
    assert tables("making cron triggers") == 1
    assert tables("learning that an expression never matches") == 1
    assert tables("a process's first trigger") == 2
    # The ten expressions, six times over.
    assert len(re.findall(r"^\| `[^|]* \|.*×", printed, re.MULTILINE)) >= 6 * 10
    assert (
        len(re.findall(r"^\| geometric mean \|.*≥ \d+× (?:reached|MISSED) \|$", printed, re.MULTILINE)) == 12
    )


def test_the_cases_that_are_named() -> None:
    printed = benchmark("--cases", "construct", "--rounds", "1")
    assert re.findall(r"^### .*", printed, re.MULTILINE) == [
        "### Agreement of the fire times with ours",
        "### making cron triggers (300), America/New_York",
    ]
    (row,) = re.findall(r"^\| the same again \|.*", printed, re.MULTILINE)
    ours, *theirs = re.findall(r"([\d.,]+) \([\d.,]+ – [\d.,]+\)", row)
    assert float(ours) > 0
    assert len(theirs) == 3
