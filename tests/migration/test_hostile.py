"""Hostile old stores: what they hold runs nothing, takes neither memory nor time, and ends nothing; each is reported with a reason."""

import random
import resource
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apscheduler.triggers.date import DateTrigger
from mainspring.jobstores.migration import migrate
from mainspring.jobstores.migration.jobs import OldJob, UntakableJobError

from tests.migration import pickles
from tests.migration.olds import NOW, arrival, reader, sqlite_store, state

HARMLESS = ("range(10**9)", "a memo of 2**31", "a Decimal to the power", "a path of many parts")
"""What looks dangerous, and is small here: a range is its three numbers, the memo a dict."""

NAMES = [name for name, _ in pickles.attacks(Path("/proof"))]


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(UntakableJobError) as raised:
        reader(**options).arrival(OldJob("job", data, NOW.timestamp()))
    return str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_no_attack_runs_anything(tmp_path: Path, name: str) -> None:
    data = dict(pickles.attacks(tmp_path / "proof"))[name]
    reason = None
    try:
        reader().arrival(OldJob("job", data, NOW.timestamp()))
    except UntakableJobError as error:
        reason = str(error)
    assert not (tmp_path / "proof").exists()
    # What was made and thrown away again harms nobody, since it was not made.
    assert reason or name in ("popped before it is used", "the function's reference is a command")


@pytest.mark.parametrize("name", NAMES)
def test_nor_where_the_programs_own_classes_are_allowed(tmp_path: Path, name: str) -> None:
    data = dict(pickles.attacks(tmp_path / "proof"))[name]
    try:
        reader(["tests.migration.shop"], {"shop": "tests.migration.shop"}).arrival(OldJob("job", data, None))
    except UntakableJobError:
        pass
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(("name", "data"), [pytest.param(*pair, id=pair[0]) for pair in pickles.bombs()])
def test_no_bomb_takes_memory_or_time(name: str, data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    if name in HARMLESS:
        reader().arrival(OldJob("job", data, NOW.timestamp()))
    else:
        assert len(refused(data)) < 2_000
    assert time.monotonic() - started < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "KB"


@pytest.mark.parametrize(("name", "data"), [pytest.param(*pair, id=pair[0]) for pair in pickles.garbage()])
def test_what_is_no_job_is_refused(name: str, data: bytes) -> None:
    assert 10 < len(refused(data)) < 2_000


@pytest.mark.parametrize("seed", range(20))
def test_damaged_ones_are_refused_or_taken_and_nothing_else(seed: int) -> None:
    draw = random.Random(seed)
    good = state(DateTrigger(NOW), protocol=draw.randrange(6), args=("text", 1, {"a": [NOW]}))
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            reader().arrival(OldJob("job", bytes(damaged), None))
            outcomes.add("taken")
        except UntakableJobError:
            outcomes.add("refused")
    assert "refused" in outcomes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    hostile = [*pickles.attacks(tmp_path / "proof"), *pickles.garbage()]
    rows: list[tuple[str, float | None, bytes | None]] = [
        (f"bad {index:04}", 1.0, data) for index, (_, data) in enumerate(hostile)
    ]
    rows += [
        (f"good {index}", NOW.timestamp(), state(DateTrigger(NOW), id=f"good {index}")) for index in range(10)
    ]
    rows += [("null", None, b""), ("a\x1b[31mred\n", None, b"x")]
    yield sqlite_store(tmp_path / "old.sqlite", rows)
    assert not (tmp_path / "proof").exists()


def test_good_jobs_beside_them_are_taken(store: str, tmp_path: Path) -> None:
    outcomes: dict[str, Any] = {}
    report = migrate(
        store,
        f"sqlite:///{tmp_path}/new.sqlite",
        dry_run=False,
        skip_refused=True,
        on_outcome=lambda outcome: outcomes.__setitem__(outcome.job_id, outcome),
    )
    assert [name for name, outcome in outcomes.items() if outcome.outcome == "taken"] == [
        f"good {index}" for index in range(10)
    ]
    assert report.taken == 10
    assert report.refused == len(outcomes) - 10
    assert all(outcome.reason for outcome in outcomes.values() if outcome.outcome == "refused")
    assert "\x1b" not in str(report)


def test_the_arguments_of_users_classes_are_bounded_too() -> None:
    data = state(DateTrigger(NOW), args=([[1] * 1_000] * 100,))
    tracemalloc.start()
    taken, _ = arrival(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken.job.args[0][0] == [1] * 1_000
    assert peak < 10_000_000
