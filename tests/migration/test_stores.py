"""Stores of each kind that APScheduler has made, to stores of each kind of mainspring's; the old ones stay as they were."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import redis
import sqlalchemy as sa
from apscheduler.jobstores.mongodb import MongoDBJobStore as OldMongoDBJobStore
from apscheduler.jobstores.redis import RedisJobStore as OldRedisJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore as OldSQLAlchemyJobStore
from apscheduler.jobstores.zookeeper import ZooKeeperJobStore as OldZooKeeperJobStore
from apscheduler.triggers.date import DateTrigger
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.migration import MigrationRefusedError, OldStoreError, migrate
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler

from tests import servers
from tests.migration.olds import FUNCTION, scheduler_on, sqlite_store, state

LATER = datetime(2099, 1, 1, tzinfo=UTC)


class Old(NamedTuple):
    """An old store: how APScheduler makes it, and how it is given to the migration."""

    make: Callable[[], Any]
    url: str
    options: dict[str, str]
    everything: Callable[[], Any]
    """All that it holds, to be compared."""


def sql(url: str) -> Old:
    name = f"old_{uuid4().hex[:8]}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)

    def everything() -> Any:
        with engine.connect() as connection:
            return sorted(map(tuple, connection.execute(sa.text(f"SELECT * FROM {name}"))))

    return Old(lambda: OldSQLAlchemyJobStore(url, tablename=name), url, {"tablename": name}, everything)


def on_sqlite(folder: Path) -> Old:
    return sql(f"sqlite:///{folder}/old.sqlite")


def on_postgresql(folder: Path) -> Old:
    return sql(servers.postgresql().url)


def on_mariadb(folder: Path) -> Old:
    return sql(servers.mariadb().url)


def on_redis(folder: Path) -> Old:
    url, mark = servers.redis().url, uuid4().hex[:8]
    keys = {"jobs_key": f"jobs {mark}", "run_times_key": f"times {mark}"}

    def everything() -> Any:
        with redis.Redis.from_url(url) as client:
            return client.hgetall(keys["jobs_key"]), client.zrange(
                keys["run_times_key"], 0, -1, withscores=True
            )

    return Old(
        lambda: OldRedisJobStore(host="127.0.0.1", port=servers.redis().port, **keys), url, keys, everything
    )


def on_mongodb(folder: Path) -> Old:
    from pymongo import MongoClient

    url, names = servers.mongodb().url, {"database": "old", "collection": f"jobs_{uuid4().hex[:8]}"}

    def everything() -> Any:
        with MongoClient[dict[str, Any]](url) as client:
            return sorted(
                client["old"][names["collection"]].find(), key=lambda document: str(document["_id"])
            )

    return Old(lambda: OldMongoDBJobStore(host=url, **names), url, names, everything)


def on_zookeeper(folder: Path) -> Old:
    from kazoo.client import KazooClient

    hosts, path = servers.zookeeper().url, f"/old-{uuid4().hex[:8]}"

    def everything() -> Any:
        client = KazooClient(hosts)
        client.start()
        try:
            return {name: client.get(f"{path}/{name}") for name in client.get_children(path)}
        finally:
            client.stop()
            client.close()

    return Old(
        lambda: OldZooKeeperJobStore(path=path, hosts=hosts), f"zookeeper://{hosts}{path}", {}, everything
    )


KINDS = [on_sqlite, on_postgresql, on_mariadb, on_redis, on_mongodb, on_zookeeper]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    made: Old = request.param(tmp_path)
    return made


def fill(old: Old, number: int = 5) -> None:
    with scheduler_on(old.make()) as scheduler:
        for index in range(number):
            scheduler.add_job(FUNCTION, "cron", hour=5, id=f"cron {index}", args=[index], start_date=LATER)
        scheduler.add_job(FUNCTION, "interval", minutes=5, start_date=LATER, id="ü interval", max_instances=3)
        scheduler.add_job(
            FUNCTION, "date", run_date=LATER, id="date", kwargs={"a": {1, 2}}, misfire_grace_time=None
        )
        scheduler.add_job(FUNCTION, "interval", hours=1, id="paused", next_run_time=None)


def test_all_jobs_arrive_and_the_old_store_is_as_it_was(old: Old, tmp_path: Path) -> None:
    fill(old)
    before = old.everything()
    target = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/new.sqlite")
    report = migrate(old.url, target, dry_run=False, source_options=old.options)
    assert (report.taken, report.refused, report.written) == (8, 0, True)
    assert old.everything() == before
    scheduler = BackgroundScheduler(jobstores={"default": target}, timezone="UTC")
    scheduler.start(paused=True)
    try:
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert sorted(jobs) == sorted(
            [*(f"cron {index}" for index in range(5)), "ü interval", "date", "paused"]
        )
        assert jobs["cron 3"].args == (3,)
        assert str(jobs["cron 3"].trigger) == "cron[hour='5']"
        assert jobs["cron 3"].next_run_time == LATER + timedelta(hours=5)
        assert jobs["ü interval"].next_run_time == jobs["date"].next_run_time == LATER
        assert jobs["date"].kwargs == {"a": {1, 2}}
        assert jobs["date"].misfire_grace_time is None
        assert jobs["ü interval"].max_instances == 3
        assert jobs["paused"].next_run_time is None
    finally:
        scheduler.shutdown()


def test_a_dry_run_writes_no_job(old: Old, tmp_path: Path) -> None:
    fill(old)
    before = old.everything()
    target = f"sqlite:///{tmp_path}/new.sqlite"
    report = migrate(old.url, target, source_options=old.options)
    assert (report.taken, report.written, report.dry_run) == (8, False, True)
    assert old.everything() == before
    with sqlite3.connect(tmp_path / "new.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM mainspring_jobs").fetchone() == (0,)


def test_more_jobs_than_are_read_at_once(old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("oldsql", "oldredis", "oldmongodb", "oldzookeeper"):
        monkeypatch.setattr(f"mainspring.jobstores.migration.{name}._PAGE", 3)
    monkeypatch.setattr("mainspring.jobstores.migration.migrating._BATCH", 2)
    fill(old)
    seen: list[str] = []
    migrate(
        old.url,
        f"sqlite:///{tmp_path}/new.sqlite",
        dry_run=False,
        source_options=old.options,
        on_outcome=lambda outcome: seen.append(outcome.job_id),
    )
    assert len(seen) == 8
    assert len(set(seen)) == 8


@pytest.mark.parametrize(
    "kind", [on_sqlite, on_redis, on_zookeeper, on_mongodb], ids=lambda kind: kind.__name__
)
def test_a_place_without_jobs(kind: Callable[[Path], Old], tmp_path: Path) -> None:
    old = kind(tmp_path)
    with scheduler_on(old.make()):
        pass
    assert migrate(old.url, source_options=old.options).jobs == 0


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("sqlite:////no/such/file", {}, "unable to open database file"),
        ("sqlite:///{folder}/empty.sqlite", {}, "there is no such table"),
        (
            "sqlite:///{folder}/other.sqlite",
            {"tablename": "others"},
            "the table has no column next_run_time, job_state",
        ),
        ("redis://127.0.0.1:1", {}, "Connection refused"),
        ("mongodb://user:secret@127.0.0.1:1/?serverSelectionTimeoutMS=200", {}, "Connection refused"),
        ("zookeeper://127.0.0.1:1/x", {}, "time-out"),
        ("postgresql://user:secret@127.0.0.1:1/x", {}, "refused"),
        ("mysql+pymysql://user:secret@127.0.0.1:1/x", {}, "Can't connect"),
    ],
)
def test_a_store_that_cannot_be_read(
    source: str, options: dict[str, str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainspring.jobstores.migration.oldzookeeper._TIMEOUT", 0.5)
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    (tmp_path / "empty.sqlite").touch()
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE others (id TEXT)")
    connection.close()
    with pytest.raises(OldStoreError, match="cannot read the old job store") as raised:
        migrate(source.format(folder=tmp_path), source_options=options)
    assert reason.lower() in str(raised.value).lower()
    assert "secret" not in str(raised.value)
    assert not Path("/no/such/file").exists()


def test_clients_and_engines_are_used_and_left_open(tmp_path: Path) -> None:
    from kazoo.client import KazooClient
    from pymongo import MongoClient

    for kind in KINDS:
        old = kind(tmp_path)
        fill(old, 1)
        source: Any
        options = dict(old.options)
        if kind is on_redis:
            source = redis.Redis.from_url(old.url)
        elif kind is on_mongodb:
            source = MongoClient[dict[str, Any]](old.url)
        elif kind is on_zookeeper:
            source = KazooClient(servers.zookeeper().url)
            source.start()
            options["path"] = "/" + old.url.rpartition("/")[2]
        else:
            source = sa.create_engine(old.url)
        try:
            assert migrate(source, source_options=options).taken == 4
            assert migrate(source, source_options=options).taken == 4, "it is open still"
        finally:
            if kind is on_zookeeper:
                source.stop()
            if isinstance(source, sa.Engine):
                source.dispose()
            else:
                source.close()


def test_a_client_that_decodes_is_refused() -> None:
    with (
        redis.Redis.from_url(servers.redis().url, decode_responses=True) as client,
        pytest.raises(ValueError, match="decode_responses"),
    ):
        migrate(client)


@pytest.mark.parametrize("source", ["jobs.sqlite", 5, None])
def test_what_is_no_store(source: Any) -> None:
    with pytest.raises(TypeError, match="expected the old job store as a URL"):
        migrate(source)


def targets() -> Iterator[Any]:
    mark = uuid4().hex[:8]
    yield pytest.param(lambda folder: (f"sqlite:///{folder}/new.sqlite", {}), id="sqlite")
    yield pytest.param(
        lambda folder: (servers.postgresql().url, {"tablename": f"new_{mark}"}), id="postgresql"
    )
    yield pytest.param(lambda folder: (servers.mariadb().url, {"tablename": f"new_{mark}"}), id="mariadb")
    yield pytest.param(lambda folder: (servers.redis().url, {"jobs_key": f"new{mark}"}), id="redis")
    yield pytest.param(lambda folder: (servers.mongodb().url, {"collection": f"new_{mark}"}), id="mongodb")
    yield pytest.param(
        lambda folder: (f"zookeeper://{servers.zookeeper().url}/new-{mark}", {}), id="zookeeper"
    )


@pytest.mark.parametrize("target", [*targets()])
def test_to_each_kind_of_store_by_its_url(
    target: Callable[[Path], tuple[str, dict[str, str]]], tmp_path: Path
) -> None:
    old = on_sqlite(tmp_path)
    fill(old)
    url, options = target(tmp_path)
    given = {"target_options": options, "source_options": old.options}
    assert migrate(old.url, url, dry_run=False, **given).taken == 8  # type: ignore[arg-type]
    # They are there: each is in the way of itself.
    again = migrate(old.url, url, on_conflict="skip", dry_run=False, **given)  # type: ignore[arg-type]
    assert (again.taken, again.skipped, again.refused, again.written) == (0, 8, 0, True)
    with pytest.raises(MigrationRefusedError) as raised:
        migrate(old.url, url, dry_run=False, **given)  # type: ignore[arg-type]
    assert raised.value.report.refused == 8
    assert "its id is taken" in str(raised.value)


def test_into_the_database_that_the_old_table_is_in(tmp_path: Path) -> None:
    rows = [
        (f"job {index}", LATER.timestamp(), state(DateTrigger(LATER), id=f"job {index}"))
        for index in range(1_500)
    ]
    url = sqlite_store(tmp_path / "old.sqlite", rows)
    assert migrate(url, url, dry_run=False).taken == 1_500
    with sqlite3.connect(tmp_path / "old.sqlite") as connection:
        assert sorted(connection.execute("SELECT * FROM apscheduler_jobs")) == sorted(rows)


def test_into_a_scheduler_that_runs_and_keeps_its_jobs_in_memory(tmp_path: Path) -> None:
    old = on_sqlite(tmp_path)
    fill(old)
    target = MemoryJobStore()
    scheduler = BackgroundScheduler(jobstores={"default": target}, timezone="UTC")
    scheduler.start(paused=True)
    try:
        assert migrate(old.url, target, dry_run=False, source_options=old.options).taken == 8
        job = scheduler.get_job("date")
        assert job is not None
        assert job.func(a=1) is None
    finally:
        scheduler.shutdown()
