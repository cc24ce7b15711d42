"""After a fork: the child's copy says what is wrong until it is started; then it is a scheduler of its own. In processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork()")

ROOT = Path(__file__).parents[2]

BEGINNING = """
import json, logging, os, sys, threading, warnings
from mainspring.events import *
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler import ForkedSchedulerError, SchedulerNotRunningError
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.blocking import BlockingScheduler

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
folder = sys.argv[1]
ran = threading.Event()

def refused(call, *arguments, **more):
    try:
        call(*arguments, **more)
    except ForkedSchedulerError:
        return True
    return False

def fork(child):
    # What the child's function answers. It has a minute: a lock that was held in the parent would stop it for ever.
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        timer = threading.Timer(60, os._exit, [1])
        timer.daemon = True
        timer.start()
        try:
            answer = child()
        except BaseException as exc:
            answer = repr(exc)
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = json.loads(file.read() or b'"the child did not answer"')
    os.waitpid(pid, 0)
    return answer
"""


def outcome(text: str, folder: Path) -> Any:
    """What a program prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + text, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(ROOT / "tests" / "checkout")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_copy_of_a_running_scheduler_refuses_everything_and_the_parents_goes_on(tmp_path: Path) -> None:
    refused, parent = outcome(
        """
scheduler = BackgroundScheduler()
scheduler.start()
scheduler.add_job(print, "interval", hours=1, id="x")

def child():
    return {
        "running": scheduler.running,
        "configure": refused(scheduler.configure, timezone="UTC"),
        "add_job": refused(scheduler.add_job, print),
        "add_jobs": refused(scheduler.add_jobs, []),
        "get_job": refused(scheduler.get_job, "x"),
        "get_jobs": refused(scheduler.get_jobs),
        "print_jobs": refused(scheduler.print_jobs),
        "modify_job": refused(scheduler.modify_job, "x", name="y"),
        "reschedule_job": refused(scheduler.reschedule_job, "x"),
        "pause_job": refused(scheduler.pause_job, "x"),
        "resume_job": refused(scheduler.resume_job, "x"),
        "remove_job": refused(scheduler.remove_job, "x"),
        "remove_all_jobs": refused(scheduler.remove_all_jobs),
        "pause": refused(scheduler.pause),
        "resume": refused(scheduler.resume),
        "shutdown": refused(scheduler.shutdown),
        "run_job_now": refused(scheduler.run_job_now, "x"),
        "get_runs": refused(scheduler.get_runs),
        "explain_job": refused(scheduler.explain_job, "x"),
        "get_lost_runs": refused(scheduler.get_lost_runs),
        "get_parked_jobs": refused(scheduler.get_parked_jobs),
        "get_quarantined_jobs": refused(scheduler.get_quarantined_jobs),
        "retry_quarantined": refused(scheduler.retry_quarantined, None),
        "rerun_lost": refused(scheduler.rerun_lost, None),
        "dismiss_lost": refused(scheduler.dismiss_lost, None),
        "add_executor": refused(scheduler.add_executor, "debug", "more"),
        "remove_executor": refused(scheduler.remove_executor, "default"),
        "add_jobstore": refused(scheduler.add_jobstore, "memory", "more"),
        "remove_jobstore": refused(scheduler.remove_jobstore, "default"),
    }

answers = fork(child)
scheduler.add_job(ran.set)
parent = ran.wait(30)
scheduler.shutdown()
print(json.dumps([answers, parent]))
""",
        tmp_path,
    )
    assert parent is True
    assert refused.pop("running") is False
    assert {call for call, was_refused in refused.items() if not was_refused} == set()


def test_the_error_says_what_to_do(tmp_path: Path) -> None:
    text = outcome(
        """
scheduler = BackgroundScheduler()
scheduler.start()
print(json.dumps(fork(scheduler.get_jobs)))
scheduler.shutdown()
""",
        tmp_path,
    )
    assert text.startswith("ForkedSchedulerError")
    assert "Call start() to run one here" in text


def test_started_in_the_child_it_is_a_scheduler_of_its_own(tmp_path: Path) -> None:
    """On the same file, with connections and threads of its own; both run their jobs, and both end."""
    child, parent, jobs = outcome(
        """
scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{folder}/jobs.sqlite")})
scheduler.start()
scheduler.add_job("time:time", "interval", hours=1, id="x")

def executed(scheduler, job_id):
    done = threading.Event()
    scheduler.add_listener(lambda event: event.job_id == job_id and done.set(), EVENT_JOB_EXECUTED)
    scheduler.add_job("time:time", id=job_id, misfire_grace_time=None)
    return done.wait(30)

def child():
    scheduler.start()
    answer = executed(scheduler, "child's")
    jobs = [job.id for job in scheduler.get_jobs()]
    scheduler.shutdown()
    return [answer, scheduler.running, jobs]

scheduler.pause()  # or it would run the child's job, which is in the file that they share
answers = fork(child)
scheduler.resume()
parent = executed(scheduler, "parent's")
jobs = [job.id for job in scheduler.get_jobs()]
scheduler.shutdown()
print(json.dumps([answers, parent, jobs]))
""",
        tmp_path,
    )
    assert child == [True, False, ["x"]]
    assert parent is True
    assert jobs == ["x"]


def test_forked_before_it_was_started_it_is_just_a_scheduler(tmp_path: Path) -> None:
    answer = outcome(
        """
scheduler = BackgroundScheduler()
scheduler.add_job(ran.set)

def child():
    scheduler.start()
    answer = ran.wait(30)
    scheduler.shutdown()
    return answer

print(json.dumps([fork(child), fork(child)]))
""",
        tmp_path,
    )
    assert answer == [True, True]


def test_forked_while_its_threads_are_busy_the_child_can_start_it(tmp_path: Path) -> None:
    """Whatever lock one of them holds in that moment: the copy has locks of its own."""
    answers = outcome(
        """
scheduler = BackgroundScheduler(executors={"default": {"type": "threadpool", "max_workers": 5}}, job_defaults={"misfire_grace_time": None})
scheduler.start()

def again():
    if scheduler.running:
        scheduler.add_job(again)

for _ in range(20):
    again()

def child():
    refusal = refused(scheduler.get_jobs)
    scheduler.start()
    done = threading.Event()
    scheduler.add_job(done.set)
    answer = done.wait(30)
    scheduler.shutdown()
    return [refusal, answer]

answers = [fork(child) for _ in range(20)]
scheduler.shutdown()
print(json.dumps(answers))
""",
        tmp_path,
    )
    assert answers == [[True, True]] * 20


def test_a_fork_waits_for_whoever_reads_from_the_file(tmp_path: Path) -> None:
    """SQLite's library has mutexes of its own; the copy of one that is held stops the child in its first call, for ever."""
    answer = outcome(
        """
store = SQLAlchemyJobStore(f"sqlite:///{folder}/jobs.sqlite")
scheduler = BackgroundScheduler(jobstores={"default": store})
scheduler.start(paused=True)
reading, forking, read = threading.Event(), threading.Event(), []

def look(session):
    reading.set()
    forking.wait(30)
    read.append(session.rows("SELECT 1")[0][0])

os.register_at_fork(before=forking.set)
thread = threading.Thread(target=store._database.reading, args=(look,))
thread.start()
reading.wait(30)
answer = fork(lambda: read)
thread.join()
scheduler.shutdown()
print(json.dumps(answer))
""",
        tmp_path,
    )
    assert answer == [1]


def test_a_job_that_forks(tmp_path: Path) -> None:
    answers = outcome(
        """
scheduler = BackgroundScheduler()
scheduler.start()
answers = []

def job():
    answers.append(fork(lambda: [scheduler.running, refused(scheduler.shutdown)]))
    ran.set()

scheduler.add_job(job)
ran.wait(60)
scheduler.shutdown()
print(json.dumps(answers))
""",
        tmp_path,
    )
    assert answers == [[False, True]]


AWAY = """
from mainspring.jobstores.base import StoreUnreachableError

class Away(SQLAlchemyJobStore):
    # Its server is away, or frozen, until a test says otherwise.
    there, frozen = False, False
    asked, thawed = threading.Event(), threading.Event()

    def start(self, scheduler, alias):
        if self.frozen:
            self.asked.set()
            self.thawed.wait(60)
        if not self.there:
            raise StoreUnreachableError("connection refused")
        super().start(scheduler, alias)

store = Away(f"sqlite:///{folder}/jobs.sqlite")
scheduler = BackgroundScheduler(jobstores={"default": store}, jobstore_retry_interval=0.1, job_defaults={"misfire_grace_time": None})
executed = threading.Event()
scheduler.add_listener(lambda event: executed.set(), EVENT_JOB_EXECUTED)
scheduler.add_job("time:time", id="x", replace_existing=True)
scheduler.start()

def child():
    answers = [refused(scheduler.get_jobs), refused(scheduler.add_job, print)]
    answers.append(sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("mainspring")))
    store.there, store.frozen = True, False
    scheduler.start()
    answers += [executed.wait(30), scheduler.running]
    scheduler.shutdown()
    return answers
"""


def test_forked_while_its_store_is_away_the_child_has_no_threads_of_it_and_opens_it_for_itself(
    tmp_path: Path,
) -> None:
    child, parent = outcome(
        AWAY
        + """
answers = fork(child)
pending = [job.id for job in scheduler.get_jobs(pending=True)]
store.there = True
parent = executed.wait(30)
scheduler.shutdown()
print(json.dumps([answers, [pending, parent]]))
""",
        tmp_path,
    )
    assert child == [True, True, [], True, True]
    assert parent == [["x"], True]


def test_forked_while_an_attempt_to_open_its_store_hangs(tmp_path: Path) -> None:
    """The child's copy knows nothing of that attempt, whose thread has not come along."""
    child, parent = outcome(
        AWAY
        + """
store.frozen = True
store.asked.wait(30)
answers = fork(child)
store.there = True
store.thawed.set()
parent = executed.wait(30)
scheduler.shutdown()
print(json.dumps([answers, parent]))
""",
        tmp_path,
    )
    assert child == [True, True, [], True, True]
    assert parent is True


def test_forked_before_it_was_started_every_kind_of_thread_is_the_childs_own(tmp_path: Path) -> None:
    """As gunicorn does with `--preload`: created in the parent, started in each child."""
    answers = outcome(
        """
scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{folder}/jobs.sqlite")})
scheduler.add_job("time:time", "interval", hours=1, id="x", replace_existing=True)

def child():
    before = [thread.name for thread in threading.enumerate() if thread.name.startswith("mainspring")]
    scheduler.start()
    names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("mainspring"))
    jobs = [job.id for job in scheduler.get_jobs()]
    scheduler.shutdown()
    return [before, names, jobs]

print(json.dumps([fork(child), fork(child), [job.id for job in scheduler.get_jobs(pending=True)]]))
""",
        tmp_path,
    )
    assert answers == [*2 * [[[], ["mainspring", "mainspring-keeper"], ["x"]]], ["x"]]
