"""A store into which somebody else has written: none of it executes, none stops the loop or the good jobs beside it, and all is listed."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.hostile import malice, payloads
from tests.hostile.corpus import Corpus, Hostile
from tests.hostile.payloads import KEY, OLD_KEY
from tests.hostile.storages import STORAGES, Storage

ROOT = Path(__file__).parents[2]
GOOD = [f"good-{number}" for number in range(20)]
OPTIONS: dict[str, Any] = {"signing_keys": [KEY, OLD_KEY], "allowed_callables": [malice.GOOD]}
NOT_TRIED = ("fields", "runs", "types", "line")
"""Kinds of records that are seen to be damaged without being restored."""
SERVERS = {"redis": "redis_server", "mongodb": "mongodb_server"}
"""The fixtures that are not called as the kind of store is."""


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A place of the test's own, with an empty store."""
    kind = request.param
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    else:
        url = request.getfixturevalue(SERVERS.get(kind, kind)).url
    made = STORAGES[kind](url, f"hostile_{uuid4().hex}")
    store = made.store()
    store.start(None, "default")
    store.shutdown()
    yield made
    made.clear()


@dataclass
class Outcome:
    """What a scheduler over the records did."""

    records: list[Hostile]
    answer: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        return sorted(record.id for record in self.records)


def run(storage: Storage, records: list[Hostile], folder: Path, options: dict[str, Any]) -> Outcome:
    """Write the records, with good jobs behind, between and before them, and let a scheduler of another process work on them."""
    keys = options.get("signing_keys", [])[:1]
    good = [Hostile(job_id, "good", payloads.sealed(job_id, payloads.state(job_id), keys)) for job_id in GOOD]
    third = len(records) // 3
    rows = [*records[:third], *good[:7], *records[third:], *good[7:]]
    taken = storage.write(rows)
    written = [record for record in records if record.id in taken]
    kinds: dict[str, list[str]] = {}
    for record in written:
        kinds.setdefault(record.kind, []).append(record.id)
    asked = {
        "good": GOOD,
        "quarantined": [record.id for record in written if record.kind not in NOT_TRIED],
        "sample": [job_id for ids in kinds.values() for job_id in ids[:: max(1, len(ids) // 6)]],
    }
    place = folder / "empty"
    place.mkdir()
    kind = next(name for name, cls in STORAGES.items() if type(storage) is cls)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.hostile.program",
            kind,
            storage.url,
            storage.place,
            json.dumps(options),
        ],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "checkout")])},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5_000:]
    return Outcome(written, json.loads(done.stdout))


def nothing_happened(outcome: Outcome) -> None:
    """But that the good jobs have run, and the others are listed."""
    answer = outcome.answer
    assert answer["failures"] == []  # of the store: the loop went on
    assert answer["not run"] == answer["not run afterwards"] == []
    assert Counter(answer["ran"]) == Counter(GOOD)
    assert (answer["noticed"], answer["called"], answer["files"], answer["forbidden"]) == ([], [], [], False)
    assert answer["not quarantined"] == []
    assert sorted(answer["listed"]) == outcome.ids
    assert all(answer["listed"].values())
    assert answer["not removed"] == []


@pytest.mark.timeout(900)  # of a machine that is busy with other things
def test_ten_thousand_records(storage: Storage, tmp_path: Path) -> None:
    records = Corpus(storage.untyped, storage.lines, storage.largest).records
    outcome = run(storage, records, tmp_path, OPTIONS)
    assert len(outcome.records) >= 10_000
    nothing_happened(outcome)
    kinds = {record.id: record.kind for record in outcome.records}
    for job_id, (state, reason, text) in outcome.answer["explained"].items():
        assert reason, job_id
        assert state == "quarantined", (job_id, state)
        assert job_id in text
    for job_id, found in outcome.answer["asked for"].items():
        assert found == "JobRestoreError" or kinds[job_id] in (*NOT_TRIED, "arguments"), (job_id, found)
    assert {*outcome.answer["edited"]} <= {"JobRestoreError", "edited"}


@pytest.mark.timeout(900)
def test_an_allow_list_alone_has_nothing_else_called_by_json_nor_by_pickles(
    storage: Storage, tmp_path: Path
) -> None:
    """Where nobody signs, what is tampered with cannot be told from the rest: only what is called is limited."""
    options = {"serializer": "pickle", "allowed_callables": [malice.GOOD]}
    records = []
    for record in Corpus().records:
        if record.kind in ("malicious", "pickled", "foreign", "value", "trigger"):
            envelope = unsigned(record.payload)
            records.append(replace(record, payload=envelope))
    nothing_happened(run(storage, records, tmp_path, options))


def unsigned(payload: bytes) -> bytes:
    try:
        return json.dumps(json.loads(payload) | {"signature": None}).encode()
    except (ValueError, TypeError, RecursionError):
        return payload
