"""Jobs of any kind are moved and come back: drawn at random, arguments, triggers, options, schedules and runs."""

import json
from io import StringIO
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainspring.jobstores.job import Job
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan, Run
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.jobstores.transfer import Arrival, import_jobs_into
from mainspring.jobstores.transfer.document import opened, write_document
from mainspring.jobstores.transfer.entries import arrival_of
from mainspring.jobstores.transfer.exporting import Exporter
from mainspring.triggers.instants import FIRST_INSTANT, LAST_INSTANT

from tests.jobstores.driving import NOW, new_job
from tests.jobstores.samples import work
from tests.jobstores.stored_values import identical
from tests.jobstores.test_serializer import texts, values
from tests.moving.population import TRIGGERS

instants = st.integers(FIRST_INSTANT, LAST_INSTANT)
numbers = st.integers(0, 2**63 - 1)
seconds = st.floats(0.001, 1e6) | st.integers(1, 10**6)

options = st.fixed_dictionaries(
    {},
    optional={
        "executor": texts.filter(bool),
        "misfire_grace_time": st.none() | seconds,
        "coalesce": st.booleans(),
        "max_instances": st.integers(1, 10**9),
        "recovery": st.sampled_from(["skip", "rerun"]),
        "max_recoveries": st.integers(0, 99),
        "timeout": st.none() | seconds,
        "max_retries": st.integers(0, 99),
        "retry_delay": seconds,
        "backoff": st.floats(1, 10),
        "max_delay": st.none() | seconds,
        "retry_jitter": seconds,
        "retry_on": st.just(("builtins:OSError", "builtins:ValueError")),
        "keep_failed": st.booleans(),
        "while_running": st.sampled_from(["skip", "queue"]),
    },
)
ids = texts.filter(lambda text: text != "" and json.loads(json.dumps(text)) == text)
jobs = st.builds(
    lambda job_id, name, trigger, args, kwargs, options: Job(
        None, job_id, func=work, trigger=trigger, args=args, kwargs=kwargs, name=name, **options
    ),
    ids,
    texts.filter(bool),
    st.sampled_from([*TRIGGERS.values()]),
    st.lists(values, max_size=3),
    st.dictionaries(texts, values, max_size=2),
    options,
)
plans = st.one_of(
    st.builds(Plan, instants, instants),
    st.builds(Plan, st.none(), st.none() | instants, st.just("paused"), st.none() | ids),
    st.builds(Plan, st.none(), st.none() | instants, st.just("parked"), ids),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Run, ...]:
    found = []
    for number in draw(st.lists(numbers, unique=True, max_size=3)):
        lost = draw(st.booleans())
        found.append(
            Run(
                number,
                draw(st.sampled_from(["schedule", "retry", "rerun", "now", "queued"])),
                tuple(draw(st.lists(instants, min_size=1, max_size=3))),
                draw(instants),
                "lost" if lost else "waiting",
                attempt=draw(st.integers(1, 9)),
                recovered=draw(st.integers(0, 9)),
                owner=draw(ids) if lost else None,
                claimed_at=draw(st.none() | instants) if lost else None,
                recovery=draw(st.sampled_from(["skip", "rerun"])),
                max_recoveries=draw(st.integers(0, 9)),
                more=draw(st.booleans()),
                retried=draw(st.integers(0, 9)),
                keeps=draw(st.booleans()),
                root=draw(st.none() | numbers),
            )
        )
    return tuple(found)


@given(st.lists(st.tuples(jobs, plans, runs()), max_size=3, unique_by=lambda item: item[0].id))
@settings(
    max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)
def test_any_job_comes_back_from_a_file(items: list[tuple[Job, Plan, tuple[Run, ...]]]) -> None:
    here, there = MemoryJobStore(), MemoryJobStore()
    arrivals = [Arrival(job._clone(), plan, runs) for job, plan, runs in items]
    import_jobs_into(here, lambda: iter(arrivals), name="drawn", now=NOW)
    file = StringIO()
    write_document(file, Exporter(here, "default").entries())
    file.seek(0)
    with opened(file) as document:
        import_jobs_into(
            there,
            lambda: (arrival_of(entry, 1, Serializer()) for entry in document),  # type: ignore[misc]
            name=document.digest,
            now=NOW,
        )
    assert {record.id for record in there.read_all()} == {job.id for job, _, _ in items}
    for job, plan, _ in items:
        found = there.read(job.id)
        assert found is not None
        record, back = found
        old = here.peek(job.id)
        assert old is not None
        assert (record.next_run_time, record.fire_time, record.state, record.reason, record.runs) == (
            old.next_run_time,
            old.fire_time,
            old.state,
            old.reason,
            old.runs,
        )
        assert (record.next_run_time, record.state) == (plan.next_run_time, plan.state)
        state, old_state = (shown(each) for each in (back, job))
        assert identical(state, old_state), (state, old_state)


def shown(job: Job) -> dict[str, Any]:
    state = job.__getstate__()
    del state["next_run_time"]  # the record's
    return state


def test_an_id_that_json_would_change_is_refused() -> None:
    store = MemoryJobStore()
    for job_id in ("\udcff.txt", "\ud83d\ude00"):  # two halves, which would come back as one character
        store.insert([(new_job(job_id), Plan(NOW, NOW))])
    exporter = Exporter(store, "default")
    assert [json.loads(entry)["id"] for entry in exporter.entries()] == ["\udcff.txt"]
    assert [refused.job_id for refused in exporter.refused] == ["\ud83d\ude00"]
