"""Migrations that are broken off: by an exception, by a change of the old store, by the death of their process."""

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from apscheduler.triggers.date import DateTrigger
from mainspring.jobstores.migration import MigrationRefusedError, migrate
from mainspring.jobstores.transfer import JobImportError, Progress

from tests.migration.olds import sqlite_store, state

ROOT = Path(__file__).parents[2]
SOON = datetime(2099, 1, 1, tzinfo=UTC)
JOBS = 20

DYING = """
import os, sys
from mainspring.jobstores import transfer
from mainspring.jobstores.migration import migrate
from mainspring.jobstores.transfer import storage

def die(progress):
    if progress.phase == sys.argv[3] and progress.done:
        os._exit(9)

storage.BATCH = 5
migrate(sys.argv[1], sys.argv[2], dry_run=False, on_progress=die)
"""


@pytest.fixture
def old(tmp_path: Path) -> str:
    rows = [
        (f"job {index:02}", SOON.timestamp(), state(DateTrigger(SOON), id=f"job {index:02}"))
        for index in range(JOBS)
    ]
    return sqlite_store(tmp_path / "old.sqlite", rows)


def states(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "new.sqlite") as connection:
        return [state for (state,) in connection.execute("SELECT state FROM mainspring_jobs")]


def killed(old: str, new: str, phase: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "checkout"), str(ROOT)])}
    command = [sys.executable, "-c", DYING, old, new, phase]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 9, done.stderr


def test_one_that_was_killed_while_it_wrote_is_done_anew(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path}/new.sqlite"
    killed(old, new, "writing")
    assert set(states(tmp_path)) == {"importing"}
    dry = migrate(old, new)
    assert (dry.taken, dry.refused) == (JOBS, 0)
    report = migrate(old, new, dry_run=False)
    assert (report.taken, report.resumed) == (JOBS, False)
    assert states(tmp_path) == ["active"] * JOBS


def test_one_that_was_killed_while_it_released_is_finished(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path}/new.sqlite"
    killed(old, new, "releasing")
    assert set(states(tmp_path)) == {"importing", "active"}
    report = migrate(old, new, dry_run=False)
    assert (report.taken, report.resumed, report.written) == (JOBS, True, True)
    assert "have been released now" in str(report)
    assert states(tmp_path) == ["active"] * JOBS


def test_what_a_callback_raises_undoes_it(old: str, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.phase == "writing" and progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(old, f"sqlite:///{tmp_path}/new.sqlite", dry_run=False, on_progress=stop)
    assert states(tmp_path) == []


def test_an_old_store_that_changes_meanwhile_is_noticed(old: str, tmp_path: Path) -> None:
    def change(progress: Progress) -> None:
        if progress.phase == "checking":
            with sqlite3.connect(tmp_path / "old.sqlite") as connection:
                connection.execute("DELETE FROM apscheduler_jobs WHERE id = 'job 07'")

    with pytest.raises(JobImportError, match="has changed between its two readings"):
        migrate(old, f"sqlite:///{tmp_path}/new.sqlite", dry_run=False, on_progress=change)
    assert states(tmp_path) == []


def test_a_refused_one_leaves_nothing_behind(old: str, tmp_path: Path) -> None:
    sqlite_store(tmp_path / "old.sqlite", [("zzz", None, b"no pickle")])
    with pytest.raises(MigrationRefusedError) as raised:
        migrate(old, f"sqlite:///{tmp_path}/new.sqlite", dry_run=False)
    assert (raised.value.report.taken, raised.value.report.refused, raised.value.report.written) == (
        JOBS,
        1,
        False,
    )
    assert states(tmp_path) == []
