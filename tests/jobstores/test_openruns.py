"""Open runs as text: they come back as they were, what a later version wrote included, and the usual one is short."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainspring.jobstores.openruns import dump_runs, load_runs
from mainspring.jobstores.record import Run

micros = st.integers(0, 2**53)
bits = st.integers(0, 2**63 - 1)
runs = st.builds(
    Run,
    run=bits,
    kind=st.sampled_from(["schedule", "retry", "rerun", "now", "queued"]),
    fire_times=st.lists(micros, min_size=1, max_size=3).map(tuple),
    due=micros,
    state=st.sampled_from(["claimed", "waiting", "lost"]),
    attempt=st.integers(1, 3),
    recovered=st.integers(0, 2),
    blocked=st.booleans(),
    owner=st.none() | st.text(),
    lease_until=st.none() | micros,
    claimed_at=st.none() | micros,
    recovery=st.sampled_from(["skip", "rerun"]),
    max_recoveries=st.integers(0, 4),
    more=st.booleans(),
    incarnation=st.none() | bits,
    retried=st.integers(0, 2),
    keeps=st.booleans(),
    root=st.none() | bits,
    retry_at=st.none() | micros,
    extra=st.dictionaries(st.text().map("x".__add__), st.none() | st.text() | bits).map(
        lambda d: tuple(d.items())
    ),
)


@given(st.lists(runs, max_size=3).map(tuple))
def test_they_come_back_as_they_were(open_runs: tuple[Run, ...]) -> None:
    text = dump_runs(open_runs)
    assert load_runs(text) == open_runs
    assert (text is None) == (not open_runs)


@pytest.mark.parametrize("due", [5, 6])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"recovery": "rerun", "max_recoveries": 0},
        {"keeps": True},
        {"kind": "now", "recovery": "rerun", "keeps": True, "root": 5},
        {"kind": "retry", "attempt": 2, "retried": 1, "keeps": True, "root": 5},
    ],
)
def test_the_claimed_run_that_nearly_every_record_has(due: int, options: dict[str, object]) -> None:
    run = replace(
        Run(2**63 - 1, "schedule", (5,), due, owner='h"ö/1', lease_until=7, claimed_at=4),
        **options,  # type: ignore[arg-type]
    )
    text = dump_runs((run,))
    assert text is not None
    assert load_runs(text) == (run,)
    expected = {
        "run": 2**63 - 1,
        "kind": "schedule",
        "fire_times": [5],
        "owner": 'h"ö/1',
        "lease_until": 7,
        "claimed_at": 4,
    }
    assert json.loads(text) == [expected | ({} if due == 5 else {"due": due}) | options]


def test_what_a_later_version_wrote_is_kept() -> None:
    (run,) = load_runs(
        '[{"run":1,"kind":"now","fire_times":[5],"host":"b","tags":{"a":[1]},"due":5,"owner":"o"}]'
    )
    assert dict(run.extra) == {"host": "b", "tags": {"a": [1]}}
    (again,) = json.loads(dump_runs((run,)) or "")
    assert (again["host"], again["tags"]) == ("b", {"a": [1]})


@pytest.mark.parametrize(
    "text", ["x", "{}x", "[1]", '[{"run":1}]', "5", '[{"run":1,"kind":"now","fire_times":[]}]', '["a"]']
)
def test_damaged_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the json module's own, or ours
        load_runs(text)
