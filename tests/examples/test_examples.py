"""Every example runs by itself, ends with 0, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
CHECKOUT = Path(__file__).parents[1] / "checkout"

# What has to stand in the output, as regular expressions, in this order.
EXPECTED = {
    "ten_lines": ["tick", "tick", "tick", "ended in order"],
    "job_stores": [
        r"before: \['in memory', 'in the file'\]",
        r"after: \['in the file'\]",
        "Jobstore file:",
        "    print \\(trigger: cron\\[hour='5'\\], next run at: ",
        r"args: \('kept',\) trigger: cron\[hour='5'\]",
    ],
    "fire_times": [
        r"2026-04-01 08:00:00\+02:00",
        "no more",
        r"2026-03-28 16:00:00\+01:00",
        r"2026-03-28 02:30:00\+01:00",
        # After the gap of that night, and back at half past two the night after.
        r"2026-03-29 03:00:00\+02:00",
        r"2026-03-30 02:30:00\+02:00",
        r"2026-03-27 11:00:00\+00:00",
        r"2026-03-27 11:20:00\+00:00",
        r"2026-01-01 00:00:04\+00:00",
    ],
    "seeing_schedules": [
        "every day at 02:30, Europe/Vienna",
        "beware: 02:30 does not exist on 2027-03-28 in Europe/Vienna: runs at 03:00",
        "at 12:00 on the 2nd Friday of the month",
        "beware: there is no day 31 in 2027-02",
        r"2027-01-28 17:00:00\+01:00",
        r"2027-01-05 09:00:00\+01:00",
        r"2027-01-07 09:00:00\+01:00",
    ],
    "virtual_year": [
        "2027-01-01 06:00 monthly report",
        "2027-12-01 06:00 monthly report",
        r"\{'every six hours': 14(59|60), 'monthly': 12, 'workday': 261\}",
    ],
    "why_missed": [
        "1. The pool is too small",
        r"job A ran: started 0\.\d s late",
        r'Run time of job "B.*" was missed by 0:00:01\.[0-9]',
        r"job B was MISSED: started 1\.\d s late, 1\.\d s of that in the queue",
        "job C was MISSED",
        "max_workers=3",
        "2. The grace is too short",
        r'Run time of job "D.*" was missed by 0:00:01\.[4-9]',
        r"job D was MISSED: started 1\.[4-9] s late, 0\.\d s of that in the queue",
        "misfire_grace_time=60",
        r"job D ran: started 1\.[4-9] s late",
        "3. The same remedy for the queue",
        r"job C ran: started [23]\.\d s late",
    ],
    "why_max_instances": [
        "1. Every second",
        r"0.\d s: run 1 starts",
        r'Execution of job "work .*" skipped: maximum number of running instances reached \(1\)',
        r"1.\d s: run 2 is SKIPPED",
        "run 3 starts",
        "run 4 is SKIPPED",
        "2. If runs may overlap",
        "run 4 has ended",
        "3. Or have the job take less",
        "run 4 has ended",
    ],
    "schedule_factory": [
        "job 'minute' runs on the whole minute: ..:..:00, ..:..:00, ..:..:00",
        "job 'minute', modified to 120 seconds: ..:..:00, ..:..:00, ..:..:00",
        "MAX_INSTANCES: job 'overlapping' of ..:..:.. was skipped: three of it are running",
        "shutting down",
        "done",
    ],
    "retries": [
        "1. Delays that grow",
        r"0\.\d s: fetch, attempt 1: ConnectionError\('the server is busy'\), again at",
        "fetch, attempt 2: ConnectionError",
        "fetch, attempt 3: the page",
        "2. A time limit",
        "convert, attempt 1: is over its time limit, again at",
        "convert, attempt 2: converted",
        "3. No retry helps",
        "read, attempt 1: FileNotFoundError",
        r"read, attempt 2: FileNotFoundError\('invoice.csv'\), that was the last one",
        r"read is parked: failed: FileNotFoundError: invoice.csv \(attempt 2\)",
        "read, attempt 1: the invoice",
        r"parked: \[\]",
    ],
    "why_not_running": [
        "1. Nobody has started the scheduler",
        'Job "early" .* is pending',
        "as data: not_started",
        "2. Its executor is not here",
        r'this scheduler has no executor "reports" \(it has "default"\)',
        "as data: .*no_executor",
        "3. Its last run hangs",
        "a fire time that comes meanwhile is skipped",
        r"its time limit \(timeout\) is 0.5 s",
        "timed out, scheduled for",
        "as data: .*max_instances .*over_time_limit .*skipped",
        "4. It has failed, and is tried again",
        r"attempt 2 \(retry 1 of 2\) of the run of .* follows at .* \(in (10 min|9 min 59 s)\)",
        "failed, scheduled for .* the server is busy",
        "as data: .*retry",
        "5. Its time was over",
        'Job "late" .* is gone',
        "missed, scheduled for .*: it would have begun 0:05:0",
        "as data: .*gone",
    ],
    "eight_workers": [
        "8 workers on one store; runs that were due: 500, that took place: 500, more than once: 0",
        r"worker 1: \d+ runs",
        r"worker 8: \d+ runs",
    ],
    "thread_or_process": [],  # its lines come in no order: see below
    "listeners": [],
}


@cache
def started() -> dict[str, Future[str]]:
    """All examples, in folders of their own. Several at a time, since they wait more than they work."""
    pool = ThreadPoolExecutor(4)
    return {name: pool.submit(run, name) for name in EXPECTED}


def output_of(name: str) -> str:
    """What the example printed, standard error included. Each is run once."""
    return started()[name].result(timeout=240)


def run(name: str) -> str:
    with TemporaryDirectory() as folder:
        example = subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{name}.py")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = example.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            example.kill()
            output, _ = example.communicate()
            raise AssertionError(f"{name} did not end by itself; it printed:\n{output}") from None
    assert example.returncode == 0, output
    return output


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_example_shows_what_it_is_there_for(name: str) -> None:
    output = output_of(name)
    position = 0
    for pattern in EXPECTED[name]:
        found = re.compile(pattern).search(output, position)
        assert found, f"{pattern!r} is missing after:\n{output[:position]}\n--- in ---\n{output[position:]}"
        position = found.end()


def test_enough_workers_miss_nothing() -> None:
    remedy = output_of("why_missed").partition("max_workers=3")[2].partition("2. The grace")[0]
    assert "MISSED" not in remedy
    assert len(re.findall(r"job [ABC] ran: started 0\.\d s late", remedy)) == 3


def test_what_may_overlap_or_is_short_is_never_skipped() -> None:
    _, _, remedies = output_of("why_max_instances").partition("2. If runs may overlap")
    assert remedies.count("has ended") == 8
    assert "SKIPPED" not in remedies


def test_the_factorys_jobs_run_in_threads_and_in_processes() -> None:
    output = output_of("schedule_factory")
    own = re.findall(r"started process (\d+)", output)
    assert set(re.findall(r"report on the second, in process (\d+)", output)) == set(own)
    others = set(re.findall(r"report on two seconds, in process (\d+)", output))
    assert others
    assert not others & set(own)


def test_the_factorys_listener_reads_all_three_attributes() -> None:
    output = output_of("schedule_factory")
    assert re.search(
        r"ERROR: job 'failing' of \d\d:\d\d:\d\d raised ZeroDivisionError\(.*\): File .*schedule_factory.*in divide",
        output,
    )
    assert "AttributeError" not in output


def test_each_executor_runs_where_it_says() -> None:
    output = output_of("thread_or_process")
    assert "default: this process, thread " in output
    assert "processes: another process, thread MainThread" in output
    assert "inline: this process, thread " in output


def test_listeners_are_told() -> None:
    lines = output_of("listeners").splitlines()
    for line in ("good was added", "good was submitted", "good returned 0.25", "later was removed"):
        assert line in lines
    assert any(line.startswith("bad raised ZeroDivisionError") for line in lines)


def test_the_eight_workers_end_if_the_server_is_away() -> None:
    # Nobody listens at port 1.
    program = [sys.executable, str(EXAMPLES / "eight_workers.py"), "redis://127.0.0.1:1/0", "2"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ended = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "StoreUnreachableError" in ended.stderr
