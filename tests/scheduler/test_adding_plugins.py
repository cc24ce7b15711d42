"""Executors and job stores that are added one by one."""

from typing import Any

import pytest
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.virtual import VirtualScheduler


def test_arguments_beside_something_that_is_made_already_are_refused() -> None:
    scheduler = VirtualScheduler()
    with pytest.raises(TypeError, match=r"'max_workers' was given beside .*DebugExecutor"):
        scheduler.add_executor(DebugExecutor(), "inline", max_workers=3)
    with pytest.raises(TypeError, match="'url' was given beside <MemoryJobStore>"):
        scheduler.add_jobstore(MemoryJobStore(), "memory", url="sqlite://")
    # Nothing was added, so that the aliases are still free.
    scheduler.add_executor("threadpool", "inline", max_workers=3)
    scheduler.add_jobstore("memory", "memory")


@pytest.mark.parametrize(
    ("url", "written"),
    [
        (
            "postgresql+psycopg://u:secret@h/d",
            r"'sqlalchemy', 'url': 'postgresql\+psycopg://.*SQLAlchemyJobStore\(url='",
        ),
        (
            "mongodb://u:secret@h",
            r"'mongodb', 'url': 'mongodb://\.\.\.'\}, or an instance, MongoDBJobStore\(url='",
        ),
        ("redis://:secret@h", r"'redis', 'url': 'redis://\.\.\.'\}, or an instance, RedisJobStore\(url='"),
    ],
)
def test_a_url_in_place_of_a_store_is_answered_with_what_to_write(url: str, written: str) -> None:
    calls: list[Any] = [
        lambda: VirtualScheduler().add_jobstore(url),
        lambda: VirtualScheduler(jobstores={"default": url}),
    ]
    for call in calls:
        with pytest.raises((LookupError, TypeError), match=f"write .*{written}") as caught:
            call()
        assert "secret" not in str(caught.value)


def test_a_name_in_place_of_a_mapping_is_answered_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"got str instead; write \{'type': 'memory'\}$"):
        VirtualScheduler(jobstores={"default": "memory"})


def test_one_store_that_two_schedulers_were_given_is_started_by_one_of_them() -> None:
    store = MemoryJobStore()
    one, other = (BackgroundScheduler(jobstores={"default": store}) for _ in range(2))
    one.start(paused=True)
    with pytest.raises(
        ValueError, match="this MemoryJobStore is in use, as 'default' of a scheduler that runs"
    ):
        other.start()
    assert not other.running
    one.add_job(print, "interval", hours=1, id="kept")  # it was not closed for it, nor taken away
    # The same one may start it again, and another one behind it.
    one.shutdown()
    one.start(paused=True)
    one.shutdown()
    other.start(paused=True)
    assert [job.id for job in other.get_jobs()] == ["kept"]
    other.shutdown()


def test_one_store_by_two_names_is_not_started() -> None:
    store = MemoryJobStore()
    scheduler = BackgroundScheduler(jobstores={"default": store, "second": store})
    with pytest.raises(ValueError, match="this MemoryJobStore is in use, as 'default' of this scheduler"):
        scheduler.start()
    assert not scheduler.running
    scheduler.remove_jobstore("default")
    scheduler.start(paused=True)
    scheduler.shutdown()
