"""Entries of a file: anybody may have written them, so all that stands there is checked, and said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.transfer import Arrival, Refused
from mainspring.jobstores.transfer.entries import arrival_of, reading_serializer
from mainspring.jobstores.transfer.exporting import Exporter

from tests.jobstores.driving import NOW, every, new_job, waiting_run


def entry(**changes: Any) -> dict[str, Any]:
    """An entry as it is exported, with changes; those of its job begin with "job_". `...` takes a field away."""
    store = MemoryJobStore()
    store.insert([(new_job("a", 0, every(60), args=["x"]), Plan(NOW, NOW, runs=(waiting_run(9),)))])
    (line,) = Exporter(store, "default").entries()
    found: dict[str, Any] = json.loads(line)
    for name, value in changes.items():
        place, key = (found["job"], name[4:]) if name.startswith("job_") else (found, name)
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return found


def run(**changes: Any) -> list[dict[str, Any]]:
    (found,) = entry()["runs"]
    return [{**found, **changes}]


def read(what: Any) -> Any:
    return arrival_of(what, 1, Serializer())


def test_an_entry_comes_back() -> None:
    arrival = read(entry())
    assert isinstance(arrival, Arrival)
    assert (arrival.job.id, arrival.job.args, arrival.job.trigger) == ("a", ("x",), every(60))
    assert (arrival.plan.next_run_time, arrival.plan.state) == (NOW, "active")
    assert [(run.run, run.state) for run in arrival.runs] == [(9, "waiting")]


def test_what_may_be_left_out() -> None:
    arrival = read(
        entry(runs=..., reason=..., fire_time=..., jobstore=..., job_version=..., job_coalesce=...)
    )
    assert isinstance(arrival, Arrival)
    assert (arrival.plan.fire_time, arrival.runs, arrival.job.coalesce) == (NOW, (), True)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: 7, "expected a JSON object, got int"),
        (lambda: entry(id=7), "its id must be a non-empty text, got 7"),
        (lambda: entry(id=""), "its id must be a non-empty text, got ''"),
        (lambda: entry(more=1), "'more' is not known to this version of the library"),
        (lambda: entry(state="importing"), "its state must be one of active, paused, parked, ended"),
        (lambda: entry(state=[]), "its state must be one of active"),
        (lambda: entry(job=[]), "its 'job' must be a JSON object, got list"),
        (lambda: entry(next_run_time=None), "a job that is active has a next_run_time"),
        (lambda: entry(state="paused"), "a job that is paused has no next_run_time"),
        (lambda: entry(next_run_time=1.5), "next_run_time must be an integer of microseconds"),
        (lambda: entry(next_run_time=True), "next_run_time must be an integer of microseconds"),
        (lambda: entry(fire_time=10**18), "fire_time must be an integer of microseconds"),
        (lambda: entry(reason=7), "its reason must be text or null, got int"),
        (lambda: entry(state="parked", next_run_time=None), "a job that is parked has a reason"),
        (lambda: entry(job_func=...), "its 'job' has no 'func'"),
        (lambda: entry(job_version=2), "its 'job' has version 2"),
        (lambda: entry(job_color="red"), "the option 'color' is not known"),
        (lambda: entry(job_id="b"), "the stored payload belongs to the job 'b'"),
        (lambda: entry(job_func="nosuch_module:f"), "cannot resolve the reference 'nosuch_module:f'"),
        (lambda: entry(job_func="os:sep"), "func must be a callable"),
        (lambda: entry(job_trigger=1), "'trigger' is of type int"),
        (lambda: entry(job_args={"a": 1}), "'args' is of type dict"),
        (lambda: entry(job_args=["$"], job_kwargs={"1": 2}, job_func="tests.jobstores.samples:greet"), "1"),
        (lambda: entry(job_max_instances=0), "max_instances must be an integer of at least 1, got 0"),
        (lambda: entry(job_executor=7), "executor must be a string, got int: 7"),
        (lambda: entry(job_retry_on=[1]), "retry_on holds int"),
        (lambda: entry(job_retry_on=[]), "retry_on must be references"),
        (lambda: entry(job_retry_on=["nonsense"]), "nonsense"),
        (lambda: entry(job_args=[{"$nosuch": 1}]), "the tag '$nosuch' is not known"),
        (lambda: entry(runs={}), "its runs must be a list"),
        (lambda: entry(runs=[7]), "its runs must be a list of JSON objects"),
        (lambda: entry(runs=[{}]), "no open runs"),
        (lambda: entry(runs=run(state="claimed")), "none that waits or was lost"),
        (lambda: entry(runs=run(owner="x/1/2/3")), "none that waits or was lost"),
        (lambda: entry(runs=run(run=-1)), "no open run"),
        (lambda: entry(runs=run(run=2**63)), "no open run"),
        (lambda: entry(runs=run(root="5")), "no open run"),
        (lambda: entry(runs=run(kind="sometimes")), "no open run"),
        (lambda: entry(runs=run(kind=[])), "no open run"),
        (lambda: entry(runs=run(attempt=1.5)), "no open run"),
        (lambda: entry(runs=run(blocked=1)), "no open run"),
        (lambda: entry(runs=run(incarnation=5)), "none that waits or was lost"),
        (lambda: entry(runs=run(fire_times=[], due=NOW)), "no open run"),
        (lambda: entry(runs=run(fire_times=[1.5])), "no open run"),
        (lambda: entry(runs=run(due=10**18)), "no open run"),
        (lambda: entry(runs=run(due="now")), "no open run"),
        (
            lambda: entry(runs=[{**run()[0], "run": n, "state": "lost", "owner": "x"} for n in range(17)]),
            "more than 16 lost runs",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(made: Callable[[], Any], reason: str) -> None:
    refused = read(made())
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_a_file_of_apscheduler_is_recognized() -> None:
    refused = read({"version": 1, "id": "x", "func": "math:sqrt", "trigger": {"__apscheduler_pickle__": "x"}})
    assert refused.job_id == "x"
    assert "a file of APScheduler 3, which holds pickles" in refused.reason


@pytest.mark.parametrize("reference", ["os:system", "tests.jobstores.samples:sys.exit"])
def test_nothing_is_imported_that_the_store_does_not_allow(reference: str) -> None:
    serializer = Serializer(allowed_callables=["tests.jobstores.samples:work"])
    assert isinstance(arrival_of(entry(), 1, serializer), Arrival)
    for hostile in (
        entry(job_func=reference),
        entry(job_args=[{"$callable": reference}]),
        entry(job_args=[{"$dataclass": [reference, {}]}]),
        entry(job_trigger={"$trigger": [reference, {}]}),
    ):
        refused = arrival_of(hostile, 1, serializer)
        assert isinstance(refused, Refused)
        assert "not among the job store's allowed_callables" in refused.reason


def test_what_reads_for_a_store_has_its_limits(tmp_path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite", allowed_callables=["tests"])
    assert isinstance(arrival_of(entry(job_func="os:system"), 1, reading_serializer(store)), Refused)
    assert isinstance(arrival_of(entry(), 1, reading_serializer(store)), Arrival)
