"""`python -m mainspring.jobstores.migrate`: what it prints, its exit codes, and what it never prints."""

import base64
import io
import json
import os
import sqlite3
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from mainspring.jobstores.migration.command import DONE, FAILED, INTERRUPTED, REFUSED, WRONG, main
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.transfer import Progress

from tests.migration import shop
from tests.migration.olds import FUNCTION, sqlite_store, state

ROOT = Path(__file__).parents[2]
SOON = datetime(2099, 1, 1, tzinfo=UTC)
SHOP = "tests.migration.shop"


@pytest.fixture
def good(tmp_path: Path) -> str:
    """Three jobs that can be taken."""
    rows = [
        ("nightly", SOON + timedelta(hours=2), CronTrigger(hour=2, minute=30, timezone="Europe/Berlin")),
        ("once", SOON, DateTrigger(SOON)),
        ("later", SOON, DateTrigger(SOON)),
    ]
    return sqlite_store(
        tmp_path / "old.sqlite",
        [(name, time.timestamp(), state(trigger, time, id=name)) for name, time, trigger in rows],
    )


@pytest.fixture
def mixed(good: str, tmp_path: Path) -> str:
    """And one that cannot."""
    data = state(DateTrigger(SOON), id="order", args=(shop.Order(1),))
    return sqlite_store(tmp_path / "old.sqlite", [("order", SOON.timestamp(), data)])


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return main(argv, out, err), out.getvalue(), err.getvalue()


def stored(folder: Path) -> list[str]:
    file = folder / "new.sqlite"
    if not file.exists():
        return []
    with sqlite3.connect(file) as connection:
        return [
            job_id
            for (job_id,) in connection.execute(
                "SELECT id FROM mainspring_jobs WHERE state = 'active' ORDER BY id"
            )
        ]


def test_a_dry_run_without_a_target(good: str, tmp_path: Path) -> None:
    code, out, err = run(good)
    assert (code, err) == (DONE, "")
    assert out == (
        f"old store: {good}, table apscheduler_jobs\n"
        "new store: not given\n\n"
        "3 jobs: 3 can be taken, 0 cannot be\n\n"
        "What is different:\n"
        "  on days on which clocks change it follows mainspring's rule (a time in the gap: once, right after it; a time that comes twice: once) "
        "(1 job: 'nightly')\n\n"
        "What they call:\n"
        f"  {FUNCTION} (3 jobs)\n\n"
        "This was a dry run: no job was written. --write takes them over.\n"
    )


def test_writing(good: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/new.sqlite"
    assert run(good, target)[0] == DONE
    assert stored(tmp_path) == []
    code, out, _ = run(good, target, "--write")
    assert code == DONE
    assert "3 jobs: 3 taken, 0 left out" in out
    assert out.endswith("Written. The old store is as it was.\n")
    assert stored(tmp_path) == ["later", "nightly", "once"]
    code, out, _ = run(good, target, "--write")
    assert code == REFUSED
    assert "its id is taken in the new job store" in out
    code, out, _ = run(good, target, "--write", "--on-conflict", "skip")
    assert code == DONE
    assert "3 skipped, since their ids are taken" in out


def test_what_cannot_be_taken_keeps_all_from_being_written(mixed: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/new.sqlite"
    code, out, _ = run(mixed, target)
    assert code == REFUSED
    assert f"Cannot be taken:\n  'order': args[0] holds {SHOP}:Order, which is not looked up" in out
    code, out, _ = run(mixed, target, "--write")
    assert code == REFUSED
    assert out.endswith("Nothing was written. --skip-refused leaves out what cannot be taken.\n")
    assert stored(tmp_path) == []
    code, out, _ = run(mixed, target, "--write", "--skip-refused")
    assert code == DONE
    assert "3 taken, 1 left out" in out
    assert stored(tmp_path) == ["later", "nightly", "once"]


def test_allowed_it_can(mixed: str, tmp_path: Path) -> None:
    assert run(mixed, f"sqlite:///{tmp_path}/new.sqlite", "--write", "--allow", SHOP)[0] == DONE
    assert stored(tmp_path) == ["later", "nightly", "once", "order"]


def test_what_json_cannot_carry_pickle_can(tmp_path: Path) -> None:
    old = sqlite_store(
        tmp_path / "old.sqlite",
        [("job", SOON.timestamp(), state(DateTrigger(SOON), SOON, args=(shop.Slotted(1, 2),)))],
    )
    target = f"sqlite:///{tmp_path}/new.sqlite"
    code, out, _ = run(old, target, "--allow", SHOP)
    assert code == REFUSED
    assert "args[0] (of type tests.migration.shop.Slotted) cannot be stored" in out
    assert 'serializer="pickle"' in out
    assert run(old, target, "--allow", SHOP, "--serializer", "pickle", "--write")[0] == DONE
    assert stored(tmp_path) == ["job"]


def test_json(mixed: str, tmp_path: Path) -> None:
    code, out, _ = run(mixed, "--json")
    assert code == REFUSED
    *jobs, summary = [json.loads(line) for line in out.splitlines()]
    assert [(job["id"], job["outcome"], job["func"]) for job in jobs] == [
        ("later", "taken", FUNCTION),
        ("nightly", "taken", FUNCTION),
        ("once", "taken", FUNCTION),
        ("order", "refused", None),
    ]
    assert jobs[1]["notes"]
    assert "not looked up" in jobs[3]["reason"]
    counts = {
        name: summary["summary"][name]
        for name in ("jobs", "taken", "refused", "skipped", "written", "dry_run")
    }
    assert counts == {"jobs": 4, "taken": 3, "refused": 1, "skipped": 0, "written": False, "dry_run": True}


def test_renamed_and_checked(good: str) -> None:
    code, out, _ = run(good, "--check-callables", "--rename", f"{SHOP}=gone")
    assert code == REFUSED
    assert "gone" in out
    assert run(good, "--check-callables")[0] == DONE


def test_what_jobs_may_call_in_the_new_store(good: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/new.sqlite"
    code, out, _ = run(good, target, "--allowed-callables", "elsewhere")
    assert code == REFUSED
    assert "allowed_callables" in out
    assert run(good, target, "--allowed-callables", SHOP)[0] == DONE


@pytest.mark.parametrize("way", ["env", "file"])
def test_signing(good: str, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "a secret of ours, long enough")
    (tmp_path / "key").write_text("a secret of ours, long enough\n")
    given = ("--signing-key-env", "KEY") if way == "env" else ("--signing-key-file", str(tmp_path / "key"))
    code, out, err = run(good, f"sqlite:///{tmp_path}/new.sqlite", "--write", *given)
    assert code == DONE
    assert "secret of ours" not in out + err
    store = SQLAlchemyJobStore(
        f"sqlite:///{tmp_path}/new.sqlite", signing_keys=["a secret of ours, long enough"]
    )
    store.start(None, "default")
    assert store.lookup_job("once") is not None
    store.shutdown()
    other = SQLAlchemyJobStore(
        f"sqlite:///{tmp_path}/new.sqlite", signing_keys=["another secret, as long as it"]
    )
    other.start(None, "default")
    assert dict(other.quarantined()) or other.get_all_jobs() == []
    other.shutdown()


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["jobs.sqlite"], "expected the old job store as a URL"),
        (["env:NO_SUCH_VARIABLE"], "there is no environment variable 'NO_SUCH_VARIABLE'"),
        (["{good}", "new.sqlite"], "expected the new job store as a URL"),
        (["{good}", "sqlite:////new.sqlite", "--signing-key-env", "NO_SUCH"], "there is no signing key"),
        (["{good}", "--allow", "a b"], "neither a module"),
        (["{good}", "--rename", "a=b:c"], "cannot rename 'a' to 'b:c'"),
        (["{good}", "sqlite:////new.sqlite", "--signing-key-file", "{folder}/no"], "/no': No such file"),
        (["{good}", "sqlite:////new.sqlite", "--signing-key-file", "{folder}/empty"], "/empty': it is empty"),
        (["{good}", "--old-path", "/x"], "has no path: where its jobs are is said by tablename, tableschema"),
        (
            ["redis://127.0.0.1:1/0", "--old-tablename", "x"],
            "has no tablename: where its jobs are is said by jobs_key",
        ),
        (["{good}", "sqlite:///{folder}/new.sqlite", "--new-collection", "x"], "collection"),
    ],
)
def test_wrong_arguments(argv: list[str], reason: str, good: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    code, out, err = run(*[word.format(good=good, folder=tmp_path) for word in argv])
    assert (code, out) == (WRONG, "")
    assert reason in err


@pytest.mark.parametrize(
    "argv", [[], ["{good}", "--write"], ["{good}", "--rename", "a"], ["{good}", "--serializer", "xml"]]
)
def test_arguments_that_the_parser_refuses(
    argv: list[str], good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(*[word.format(good=good) for word in argv])
    assert raised.value.code == WRONG
    assert "usage: python -m mainspring.jobstores.migrate" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["old", "new"])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:pa%40ss-word@127.0.0.1:1/x",
        "mysql+pymysql://me:pa%40ss-word@127.0.0.1:1/x",
        "redis://:pa%40ss-word@127.0.0.1:1/0",
        "mongodb://me:pa%40ss-word@127.0.0.1:1/?serverSelectionTimeoutMS=100",
        "nonsense+x://me:pa%40ss-word@127.0.0.1:1/x",
        "postgresql+psycopg://me:pa%40ss-word@127.0.0.1:port/x",
    ],
)
def test_a_password_is_never_shown(url: str, place: str, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", url)
    code, out, err = run(*(["env:STORE"] if place == "old" else [good, "env:STORE", "--write"]))
    assert code in (FAILED, WRONG)
    assert err
    assert "ss-word" not in out + err


def test_progress_of_long_ones(tmp_path: Path) -> None:
    data = {index: state(DateTrigger(SOON), SOON, id=f"job {index:05}") for index in range(2_500)}
    old = sqlite_store(
        tmp_path / "old.sqlite", [(f"job {index:05}", SOON.timestamp(), one) for index, one in data.items()]
    )
    code, _, err = run(old, f"sqlite:///{tmp_path}/new.sqlite", "--write")
    lines = err.splitlines()
    assert code == DONE
    assert lines[-1] == "releasing: 2,500 of 2,500 jobs"
    assert "checking: 1,000 of 2,500 jobs" in lines
    assert "writing: 1,000 of 2,500 jobs" in lines
    assert run(old, "--quiet")[2] == ""


def test_a_place_without_jobs_is_said_to_be_one(tmp_path: Path) -> None:
    code, out, _ = run(
        sqlite_store(tmp_path / "old.sqlite", []), f"sqlite:///{tmp_path}/new.sqlite", "--write"
    )
    assert code == DONE
    assert "The old store has no jobs. Is it another place" in out


def test_written_is_said_of_what_was(mixed: str, tmp_path: Path) -> None:
    argv = [mixed, f"sqlite:///{tmp_path}/new.sqlite", "--write", "--skip-refused"]
    assert run(*argv)[1].endswith("\nWritten. The old store is as it was.\n")
    assert run(*argv)[1].endswith("\nThere was nothing to write. The old store is as it was.\n")


def test_ctrl_c(good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object, progress: Progress) -> None:
        if progress.phase == "writing":
            raise KeyboardInterrupt

    monkeypatch.setattr("mainspring.jobstores.migration.command._Progress.__call__", interrupted)
    code, out, err = run(good, f"sqlite:///{tmp_path}/new.sqlite", "--write")
    assert (code, out) == (INTERRUPTED, "")
    assert "Interrupted. The old store is as it was." in err
    assert stored(tmp_path) == []
    monkeypatch.undo()
    assert run(good, f"sqlite:///{tmp_path}/new.sqlite", "--write")[0] == DONE
    assert len(stored(tmp_path)) == 3


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("apscheduler", "pytz", "dateutil", "shop"):
            raise ModuleNotFoundError(f"{name} is not here", name=name)
sys.meta_path.insert(0, Block())
from mainspring.jobstores.migrate import main
sys.exit(main(sys.argv[1:]))
"""


def test_neither_apscheduler_nor_pytz_has_to_be_there(tmp_path: Path) -> None:
    rows: list[Any] = []
    for file in sorted((Path(__file__).parent / "old_states").glob("*.json")):
        for name, text in json.loads(file.read_text()).items():
            job_id = f"{file.stem} {name}"
            old_id, new_id = (b"X" + struct.pack("<I", len(one)) + one.encode() for one in (name, job_id))
            rows.append((job_id, None, base64.b64decode(text).replace(old_id, new_id, 1)))
    rows.append(("dateutil", None, state(DateTrigger(SOON), id="dateutil", args=(SOON,))))
    old = sqlite_store(tmp_path / "old.sqlite", rows)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "checkout"), str(ROOT)])}
    command = [sys.executable, "-c", BLOCKED, old, f"sqlite:///{tmp_path}/new.sqlite", "--write"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False
    )
    assert done.returncode == DONE, done.stdout + done.stderr
    assert f"{len(rows)} taken, 0 left out" in done.stdout


def test_as_a_module(good: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "checkout"), str(ROOT)])}
    command = [sys.executable, "-m", "mainspring.jobstores.migrate", good]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == DONE, done.stderr
    assert "3 can be taken" in done.stdout
    assert done.stderr == ""
