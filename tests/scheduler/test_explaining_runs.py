"""`explain_job`: what runs tell of a job: those that go on, wait, were lost, and those that have ended here."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
)
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler.explaining import runreasons
from mainspring.scheduler.explaining.explanation import JobExplanation

from tests.guards.distant import DistantJobStore
from tests.guards.faults import STORES, HoldingExecutor, InjectedFault, PlainJobStore, failing
from tests.scheduler.test_explaining import MINUTE, MINUTELY, kinds, note_kinds, the
from tests.scheduler.test_lost_runs import EVERY_MINUTE, ONCE, Cluster
from tests.scheduler.test_lost_runs import cluster as cluster  # a fixture
from tests.scheduler.watching import TIMEOUT, Heard, at, background, boom, nothing, started, virtual

SECOND = timedelta(seconds=1)


@pytest.fixture
def held() -> HoldingExecutor:
    return HoldingExecutor()


# -- runs that go on -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("while_running", "words"), [("skip", "is skipped"), ("queue", "runs once right after")]
)
def test_as_many_runs_as_may_be(held: HoldingExecutor, while_running: str, words: str) -> None:
    with started(virtual(executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY, while_running=while_running)
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job)) == ("active", ["max_instances"])
        text = the("max_instances", job).text
        assert "1 of at most 1 runs" in text
        assert "this scheduler since 2026-03-02 12:01:00 UTC (30 s ago)" in text
        assert words in text
        (run,) = job.runs
        assert (run.state, run.here, run.claimed_at, run.lease_until) == ("claimed", True, at(60), None)
        assert "claimed (schedule): of 2026-03-02 12:01:00 UTC, by this scheduler" in str(job)
        held.release()
        scheduler.advance(timedelta(0))
        assert kinds(scheduler.explain_job("x")) == []


def test_room_for_more(held: HoldingExecutor) -> None:
    with started(virtual(executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY, max_instances=2)
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (kinds(job), len(job.runs)) == ([], 1)
        scheduler.advance(MINUTE)
        assert "2 of at most 2 runs" in the("max_instances", scheduler.explain_job("x")).text
        held.release()


def test_runs_that_were_skipped_lately(held: HoldingExecutor) -> None:
    with started(virtual(executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY)
        scheduler.advance(3.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert note_kinds(job) == ["skipped"]
        assert "of the last 2 that this process has seen, 2 skipped" in the("skipped", job).text
        assert 'while_running="queue"' in the("skipped", job).text
        assert [run.outcome for run in job.recent] == ["skipped", "skipped"]
        held.release()


def test_a_run_beyond_its_time_limit(held: HoldingExecutor) -> None:
    with started(virtual(executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY, timeout=20)
        scheduler.advance(MINUTE + 20 * SECOND)
        assert kinds(scheduler.explain_job("x")) == ["max_instances"]
        scheduler.advance(20 * SECOND)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["max_instances", "over_time_limit"]
        reason = the("over_time_limit", job)
        assert "was claimed 40 s ago" in reason.text
        assert "is 20 s" in reason.text
        assert reason.run_id == job.runs[0].run_id
        held.release()


def test_a_job_that_asks_about_itself() -> None:
    seen: list[JobExplanation] = []
    with started(virtual()) as scheduler:
        scheduler.add_job(lambda: seen.append(scheduler.explain_job("x")), "date", run_date=at(60), id="x")
        scheduler.advance(MINUTE)
    (job,) = seen
    assert (job.state, kinds(job)) == ("ended", ["schedule_over", "max_instances"])
    assert [(run.state, run.here) for run in job.runs] == [("claimed", True)]
    assert job.next_fire_times == ()


def test_a_run_that_waits_for_a_worker() -> None:
    """It is claimed, and has not begun: the job before it keeps the only worker."""
    begun, gate = Event(), Event()

    def long() -> None:
        begun.set()
        gate.wait(TIMEOUT)

    scheduler, clock = background(executors={"default": ThreadPoolExecutor(1)})
    submitted = Heard(scheduler, EVENT_JOB_SUBMITTED)
    executed = Heard(scheduler, EVENT_JOB_EXECUTED)
    with started(scheduler):
        try:
            scheduler.add_job(long, "date", run_date=at(10), id="long")
            scheduler.add_job(nothing, "date", run_date=at(20), id="x", timeout=5, misfire_grace_time=None)
            clock.advance(10 * SECOND)
            assert begun.wait(TIMEOUT)
            clock.advance(10 * SECOND)
            submitted.wait(EVENT_JOB_SUBMITTED, "x")
            clock.advance(30 * SECOND)
            job = scheduler.explain_job("x")
            reason = the("executor_queue", job)
            assert 'waits for a worker of executor "default" (1 run waits in its queue)' in reason.text
            assert "claimed 30 s ago" in reason.text
            assert reason.run_id == job.runs[0].run_id
            assert "over_time_limit" not in kinds(job)
            assert "executor_queue" not in kinds(scheduler.explain_job("long"))
        finally:
            gate.set()
        executed.wait(EVENT_JOB_EXECUTED, "x")


# -- runs that wait ---------------------------------------------------------------------------------------------------


def test_a_retry() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(boom, "date", run_date=at(60), id="x", max_retries=3, retry_delay=30)
        scheduler.advance(MINUTE + 3 * SECOND)
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job), note_kinds(job)) == ("ended", ["schedule_over", "retry"], [])
        reason = the("retry", job)
        assert (reason.until, reason.run_id) == (at(90), job.runs[0].run_id)
        assert reason.text == (
            "attempt 2 (retry 1 of 3) of the run of 2026-03-02 12:01:00 UTC follows at 2026-03-02 12:01:30 UTC (in 27 s)"
        )
        assert job.recent[0].run_id == reason.run_id
        scheduler.pause_job("x")
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job)) == ("paused", ["paused", "retry"])
        assert "its schedule is over" in the("paused", job).text
        assert the("retry", job).until is None
        assert "waits until the job is resumed" in the("retry", job).text


def test_the_last_attempt_failed() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**{**MINUTELY, "func": boom}, max_retries=1, retry_delay=1)
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (kinds(job), note_kinds(job)) == ([], ["failed"])
        assert "no retry follows (max_retries=1): ArithmeticError: boom" in the("failed", job).text
        assert [(run.attempt, run.outcome) for run in job.recent] == [(2, "failed"), (1, "failed")]
        assert "attempt 2: ArithmeticError: boom" in str(job)


def test_a_retry_that_waits_though_the_job_has_none_any_more() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**{**MINUTELY, "func": boom}, max_retries=1, retry_delay=30)
        scheduler.advance(MINUTE)
        scheduler.modify_job("x", max_retries=0)
        assert "attempt 2 (retry 1) of the run" in the("retry", scheduler.explain_job("x")).text


def test_the_last_attempt_failed_in_a_way_that_is_not_tried_again() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**{**MINUTELY, "func": boom}, max_retries=2, retry_on=OSError)
        scheduler.advance(1.5 * MINUTE)
        text = the("failed", scheduler.explain_job("x")).text
        assert "no retry follows (max_retries=2, retry_on=builtins:OSError): ArithmeticError: boom" in text


def test_an_attempt_that_is_over_its_time_limit_in_a_thread_is_tried_again_when_it_returns() -> None:
    begun, free = Event(), Event()

    def hangs() -> None:
        begun.set()
        free.wait(TIMEOUT)

    with started(virtual(executors={"default": ThreadPoolExecutor(1)})) as scheduler:
        scheduler.add_job(**{**MINUTELY, "func": hangs}, timeout=20, max_retries=5, retry_delay=10)
        scheduler.advance(MINUTE)
        assert begun.wait(TIMEOUT)
        scheduler.advance(20 * SECOND)
        scheduler.advance(10 * SECOND)
        job = scheduler.explain_job("x")
        free.set()
        assert job.recent[0].outcome == "timed out"
        assert (kinds(job), note_kinds(job)) == (["max_instances", "over_time_limit"], [])
        text = the("over_time_limit", job).text
        assert (
            "until it returns; then attempt 2 (retry 1 of 5) follows, not before 2026-03-02 12:01:30" in text
        )


def test_what_helps_against_skips_is_what_the_job_does_not_have(held: HoldingExecutor) -> None:
    with started(virtual(executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY, while_running="queue", timeout=3600)
        scheduler.advance(3.5 * MINUTE)
        text = the("skipped", scheduler.explain_job("x")).text
        assert text.endswith("what helps: shorter or rarer runs, or a higher max_instances")
        for _ in range(2):
            held.release()
            scheduler.advance(timedelta(0))


def test_a_queued_run_and_one_that_was_asked_for(held: HoldingExecutor) -> None:
    with started(virtual(executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY, while_running="queue")
        scheduler.advance(2 * MINUTE)
        run = scheduler.run_job_now("x")
        scheduler.advance(timedelta(0))
        job = scheduler.explain_job("x")
        assert kinds(job) == ["max_instances", "queued", "asked_for"]
        assert "waits for room" in the("queued", job).text
        assert the("asked_for", job).run_id == run.run_id
        for _ in range(3):
            held.release()
            scheduler.advance(timedelta(0))


def test_a_run_that_was_asked_for_of_a_paused_job_that_nobody_can_run() -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(**MINUTELY, executor="gpu")
        scheduler.pause_job("x")
        scheduler.run_job_now("x")
        scheduler.advance(MINUTE)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["paused", "no_executor", "asked_for"]
        assert "due since 2026-03-02 12:00:00 UTC (1 min ago)" in the("asked_for", job).text


def test_the_rest_of_a_backlog(held: HoldingExecutor) -> None:
    """1,000 fire times are at most in one run; those behind them are no overlap."""
    with started(virtual(executors={"default": held}), paused=True) as scheduler:
        scheduler.add_job(nothing, "interval", seconds=1, id="x", coalesce=False, misfire_grace_time=None)
        scheduler.advance(1_500 * SECOND)
        scheduler.resume()
        scheduler.advance(timedelta(0))
        job = scheduler.explain_job("x")
        assert kinds(job) == ["max_instances", "backlog"]
        assert "and 997 more" in str(job)
        held.release()
        scheduler.advance(timedelta(0))
        held.release()


def test_runs_that_were_missed() -> None:
    with started(virtual(), paused=True) as scheduler:
        scheduler.add_job(**MINUTELY, misfire_grace_time=10)
        scheduler.advance(1.5 * MINUTE)
        assert (
            "30 s late, and its misfire_grace_time is 10 s" in the("misfire", scheduler.explain_job("x")).text
        )
        scheduler.resume()
        scheduler.advance(timedelta(0))
        job = scheduler.explain_job("x")
        assert note_kinds(job) == ["missed"]
        assert "misfire_grace_time allows (now 10 s)" in the("missed", job).text
        assert "max_workers" in the("missed", job).text


# -- two schedulers on one store ---------------------------------------------------------------------------------------


def test_a_run_of_another_scheduler(cluster: Cluster) -> None:
    crashed, _ = cluster.crash(**EVERY_MINUTE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, 10 * SECOND)
    job = scheduler.explain_job("x")
    assert kinds(job) == ["max_instances"]
    (run,) = job.runs
    assert crashed._engine is not None
    assert (run.owner, run.here, run.lease_until) == (crashed._engine.owner.name, False, at(90))
    assert "its lease ends in 20 s" in str(job)
    assert f"process {crashed._engine.owner.pid} on " in the("max_instances", job).text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, 'listed as lost (recovery="skip")'),
        ({"recovery": "rerun"}, 'run again (recovery="rerun")'),
        ({"recovery": "rerun", "max_recoveries": 0}, "given up, and listed as lost (max_recoveries=0)"),
    ],
)
def test_a_lease_that_is_over(cluster: Cluster, options: dict[str, Any], words: str) -> None:
    cluster.crash(**EVERY_MINUTE, **options)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, 32 * SECOND)
    job = scheduler.explain_job("x")
    assert kinds(job) == ["max_instances", "lease_over"]
    reason = the("lease_over", job)
    assert reason.until == at(95)
    assert "was over at 2026-03-02 12:01:30 UTC (2 s ago)" in reason.text
    assert words in reason.text
    assert "its lease ended 2 s ago" in str(job)


def test_an_owner_that_is_known_to_be_gone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.crash(**EVERY_MINUTE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, SECOND)
    monkeypatch.setattr(runreasons, "is_gone", lambda owner: True)
    job = scheduler.explain_job("x")
    assert kinds(job) == ["max_instances", "owner_gone"]
    assert "which is gone: it is listed as lost" in the("owner_gone", job).text
    assert (the("owner_gone", job).until or at(0)) <= at(63)  # the next search


def test_a_lost_run(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, 50 * SECOND)
    job = scheduler.explain_job("x")
    assert (job.state, kinds(job), note_kinds(job)) == ("active", [], ["lost"])
    reason = the("lost", job)
    assert reason.run_id == job.runs[0].run_id
    assert "rerun_lost()" in reason.text
    assert "dismiss_lost()" in reason.text
    assert job.recent[0].outcome == "lost"
    assert "lost (schedule): of 2026-03-02 12:01:00 UTC, claimed by process" in str(job)


def test_parked_for_a_lost_run(cluster: Cluster) -> None:
    cluster.crash(**ONCE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, MINUTE)
    job = scheduler.explain_job("x")
    assert (job.state, kinds(job), note_kinds(job)) == ("parked", ["parked"], ["lost"])
    assert "rerun_lost() runs it again, dismiss_lost() lets the job go" in the("parked", job).text


def test_given_up(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE, recovery="rerun", max_recoveries=0)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, MINUTE)
    job = scheduler.explain_job("x")
    assert (job.state, kinds(job), note_kinds(job)) == ("parked", ["parked"], ["lost"])
    assert "find out what kills its process" in the("parked", job).text


def test_a_run_that_is_run_again(cluster: Cluster) -> None:
    cluster.crash(**ONCE, recovery="rerun")
    scheduler, _ = cluster.boot(executor=HoldingExecutor())
    scheduler.remove_executor("default")
    cluster.advance(scheduler, MINUTE)
    job = scheduler.explain_job("x")
    assert kinds(job) == ["schedule_over", "no_executor", "rerun"]
    assert "attempt 2 (the process of the one before is gone)" in the("rerun", job).text


def test_more_lost_runs_than_are_listed(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, 50 * SECOND)
    assert scheduler._engine is not None
    scheduler._engine.ports()[0].store.write("x", lambda record: replace(record, forgotten=3))
    job = scheduler.explain_job("x")
    assert note_kinds(job) == ["lost", "lost"]
    assert job.notes[1].text == "3 more runs were lost before, which are no longer listed"


def test_a_run_here_that_another_scheduler_has_recovered(cluster: Cluster) -> None:
    """This one was frozen for longer than its lease, and its job goes on still."""
    frozen, executor = cluster.crash(**EVERY_MINUTE, recovery="rerun", max_instances=2)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, 50 * SECOND)  # recovered, and run there
    job = frozen.explain_job("x")
    assert "recovered_elsewhere" in kinds(job)
    assert "keeps its slot" in the("recovered_elsewhere", job).text
    executor.release()
    assert "recovered_elsewhere" not in kinds(frozen.explain_job("x"))


def test_the_lease_of_a_run_here_is_over(cluster: Cluster) -> None:
    scheduler, executor = cluster.crash(**EVERY_MINUTE)
    assert scheduler._engine is not None
    with failing(scheduler._engine.ports()[0].store, "extend_leases"):
        cluster.advance(scheduler, 31 * SECOND)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["max_instances", "lease_over"]
        assert "another scheduler may recover it" in the("lease_over", job).text
    executor.release()


# -- outages ------------------------------------------------------------------------------------------------------------


def test_an_end_that_cannot_be_written(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    held = HoldingExecutor()
    with started(virtual(jobstores={"default": store}, executors={"default": held})) as scheduler:
        scheduler.add_job("time:time", "interval", minutes=1, id="x", misfire_grace_time=None)
        scheduler.advance(1.5 * MINUTE)
        with failing(store, "finish_runs"), failing(store, "give_back"):
            held.release()
            scheduler.advance(10 * SECOND)
            job = scheduler.explain_job("x")
            assert kinds(job) == ["outage", "unwritten"]
            assert job.runs == ()  # it has ended
            assert [run.outcome for run in job.recent] == ["executed"]


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    store = DistantJobStore(tmp_path)
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.add_job("time:time", "interval", minutes=1, id="x")
        scheduler.advance(MINUTE)
        with failing(store, "read"):
            job = scheduler.explain_job("x")
            assert (job.state, kinds(job)) == ("unknown", ["unread"])
            assert "InjectedFault: read fails" in the("unread", job).text
            assert [run.at for run in job.recent] == [at(60)]


def test_a_store_that_fails_for_one_job() -> None:
    """The others' claims it writes, so that it is no outage."""
    store = PlainJobStore()
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.add_job(**MINUTELY)
        scheduler.add_job(**{**MINUTELY, "id": "y"})
        update = store.update_job

        def update_others(job: Any) -> None:
            if job.id == "x":
                raise InjectedFault("no room for x")
            update(job)

        store.update_job = update_others  # type: ignore[method-assign]
        scheduler.advance(6 * MINUTE)
        job = scheduler.explain_job("x")
        assert kinds(job) == ["overdue", "claim_refused"]
        until = the("claim_refused", job).until
        assert until is not None
        assert at(360) < until <= at(420)
        assert kinds(scheduler.explain_job("y")) == []


def test_a_run_that_its_executor_has_refused() -> None:
    executor = DebugExecutor()
    with started(virtual(executors={"default": executor})) as scheduler:
        scheduler.add_job(**MINUTELY)
        with failing(executor, "_submit"):
            scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (kinds(job), note_kinds(job)) == ([], ["not_run"])
        assert "its executor refused it: InjectedFault: _submit fails" in the("not_run", job).text
        assert [run.outcome for run in job.recent] == ["not started"]


# -- whatever the store, and whatever goes on ---------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
def test_in_every_kind_of_store(store: str, tmp_path: Path, held: HoldingExecutor) -> None:
    made = STORES[store](tmp_path)
    with started(virtual(jobstores={"default": made}, executors={"default": held})) as scheduler:
        scheduler.add_job(**MINUTELY)
        assert scheduler.explain_job("x").next_fire_times[:2] == (at(60), at(120))
        scheduler.advance(1.5 * MINUTE)
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job), len(job.runs)) == ("active", ["max_instances"], 1)
        held.release()
        scheduler.advance(SECOND)
        scheduler.pause_job("x")
        job = scheduler.explain_job("x")
        assert (job.state, kinds(job), job.runs) == ("paused", ["paused"], ())
        scheduler.remove_job("x")
        assert scheduler.explain_job("x").state == "gone"


@pytest.mark.parametrize("store", STORES)
def test_while_runs_go_on(store: str, tmp_path: Path) -> None:
    """Whoever asks in the middle of claims, runs and their ends is answered, and nothing that was said is contradicted by itself."""
    scheduler, clock = background(jobstores={"default": STORES[store](tmp_path)})
    heard = Heard(scheduler, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    ended = Event()
    wrong: list[object] = []

    def ask() -> None:
        while not ended.is_set():
            try:
                job = scheduler.explain_job("x")
                if job.state != "active" or len(job.runs) > 1 or str(job) == "":
                    wrong.append(job)
                if "recovered_elsewhere" in kinds(job) or "over_time_limit" in kinds(job):
                    wrong.append(job)
            except BaseException as exc:
                wrong.append(exc)

    with started(scheduler):
        scheduler.add_job(**MINUTELY, timeout=3600, misfire_grace_time=None)
        asking = [Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        for count in range(1, 31):
            clock.advance(MINUTE)
            heard.wait(EVENT_JOB_EXECUTED | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES, "x", count)
        ended.set()
        for thread in asking:
            thread.join(TIMEOUT)
    assert wrong == []
