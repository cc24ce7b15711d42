"""Records as entries, and the marks of those that arrive: what their stores must not be able to get wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan, Record, Run
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.transfer import marks
from mainspring.jobstores.transfer.exporting import Exporter
from mainspring.jobstores.transfer.marks import Mark

from tests.jobstores.driving import NOW, new_job, waiting_run

CLAIMED = Run(5, "schedule", (NOW,), NOW, owner="another/1/2/3", claimed_at=NOW, keeps=True)
EARLIER = Run(6, "schedule", (NOW,), NOW, "lost", owner="another/1/2/3", incarnation=9)


def record_of(plan: Plan, job_id: str = "a") -> Record:
    store = MemoryJobStore()
    store.insert([(new_job(job_id), plan)])
    record = store.peek(job_id)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("plan", "runs", "going_on"),
    [
        (Plan(NOW, NOW, runs=(CLAIMED, waiting_run(1))), [1], 1),
        (Plan(NOW, NOW, runs=(EARLIER, waiting_run(1))), [1], 0),
        (Plan(None, None, "ended", runs=(CLAIMED, waiting_run(1))), [1], 1),
        (Plan(None, None, "ended", runs=(CLAIMED,)), None, 1),
    ],
)
def test_only_runs_of_its_own_that_do_not_go_on_come_along(
    plan: Plan, runs: list[int] | None, going_on: int
) -> None:
    store = MemoryJobStore()
    store.insert([(new_job("a"), plan)])
    exporter = Exporter(store, "default")
    found = [[run["run"] for run in json.loads(entry)["runs"]] for entry in exporter.entries()]
    assert found == ([] if runs is None else [runs])
    assert (exporter.going_on, exporter.refused) == (going_on, [])


@pytest.mark.parametrize("body", ["7", "}", '{"id":"b"}', '{"id":"a","x":NaN}', "\ud83d"])
def test_a_payload_that_is_not_that_of_the_job_is_refused(tmp_path: Path, body: str) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")
    store.start(None, "default")
    store.insert([(new_job("a"), Plan(NOW, NOW)), (new_job("good"), Plan(NOW, NOW))])
    payload = json.dumps({"serializer": "json", "signature": None, "body": body}).encode()
    store.write("a", lambda record: replace(record, payload=payload))
    exporter = Exporter(store, "default")
    assert [json.loads(entry)["id"] for entry in exporter.entries()] == ["good"]
    assert [refused.job_id for refused in exporter.refused] == ["a"]
    store.shutdown()


# -- marks -------------------------------------------------------------------------------------------------------------


def arriving(**changes: Any) -> Record:
    mark = Mark("its token", "a", "active", None)
    return replace(record_of(Plan(NOW, NOW, "importing", mark.text())), **changes)


def test_only_its_own_import_releases_or_withdraws_what_arrives() -> None:
    for change in (marks.release, marks.withdraw):
        assert change(arriving(), "another token", "s") is None
        assert change(arriving(state="active"), "its token", "s") is None
        assert change(arriving(), "its token", "s") is not None


@pytest.mark.parametrize(
    "reason",
    [
        None,
        "",
        "words",
        "[]",
        "{}",
        '{"import":1}',
        '{"import":"x","head":"a","state":"gone","reason":null}',
        '{"import":"x","head":"a","state":[],"reason":null}',
        '{"import":"x","head":"a","state":"active","reason":7}',
        '{"import":"x","head":"a","state":"active","reason":null,"stage":"writing"}',
        "[" * 100_000,
    ],
)
def test_a_mark_that_is_not_understood_is_none(reason: str | None) -> None:
    assert marks.mark_of(arriving(reason=reason)) is None


def test_runs_that_arrive_stand_beside_those_of_an_earlier_job_of_the_id() -> None:
    over = record_of(Plan(None, None, "ended", runs=(replace(CLAIMED, keeps=False),)))
    after = edits.add(over, record_of(Plan(NOW, NOW, runs=(waiting_run(1),))), "s")
    assert isinstance(after, Record)
    assert [(run.run, run.incarnation) for run in after.runs] == [(5, over.incarnation), (1, None)]
