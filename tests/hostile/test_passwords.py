"""What a store is connected with never appears: not in its repr, nor in errors with all that stands behind them, logs down to DEBUG, warnings and events."""

import logging
import warnings
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
import sqlalchemy
from mainspring.events import EVENT_ALL
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.zookeeper import ZooKeeperJobStore
from mainspring.scheduler.background import BackgroundScheduler

SECRET = "S3cretPa55word"
NOWHERE = "127.0.0.1:1"
TIMEOUT = 0.5  # seconds

Make = Callable[[], BaseJobStore]

SERVERS = {
    "postgresql": "postgresql",
    "mysql": "mariadb",
    "redis": "redis_server",
    "mongodb": "mongodb_server",
    "zookeeper": "zookeeper",
}


def sql(url: Any, **options: Any) -> Make:
    return lambda: SQLAlchemyJobStore(url, timeout=TIMEOUT, **options)


def redis(**options: Any) -> Make:
    return lambda: RedisJobStore(timeout=TIMEOUT, **options)


def mongodb(**options: Any) -> Make:
    return lambda: MongoDBJobStore(timeout=TIMEOUT, **options)


def zookeeper(**options: Any) -> Make:
    return lambda: ZooKeeperJobStore(timeout=TIMEOUT, **options)


def at(place: str) -> dict[str, list[Make]]:
    """For each kind of server the ways in which connecting to it goes wrong; it is at `place`, or nowhere."""
    user = f"somebody:{SECRET}"
    digest = [("digest", user)]
    host, _, port = place.partition(":")
    return {
        "postgresql": [
            sql(f"postgresql+psycopg://{user}@{place}/mainspring"),
            sql(f"postgresql+psycopg://{user}@{place}/no_such_database"),
            sql(f"postgresql+psycopg://mainspring:{SECRET}@{place}/mainspring"),
            sql(f"postgresql://?user=somebody&password={SECRET}&host={host}&port={port}&dbname=x"),
            sql(
                f"postgresql+psycopg://somebody@{place}/x",
                engine_options={"connect_args": {"password": SECRET}},
            ),
        ],
        "mysql": [
            sql(f"mysql+pymysql://{user}@{place}/mainspring"),
            sql(f"mysql+pymysql://mainspring:{SECRET}@{place}/no_such_database"),
            sql(
                f"mariadb+pymysql://somebody@{place}/x", engine_options={"connect_args": {"password": SECRET}}
            ),
            sql(f"mysql+pymysql://somebody@{place}/x?password={SECRET}"),
        ],
        "redis": [
            redis(url=f"redis://{user}@{place}/0"),
            redis(url=f"redis://:{SECRET}@{place}/99"),
            redis(url=f"redis://{place}/0?password={SECRET}"),
            redis(host=host, port=int(port), password=SECRET),
            redis(host=host, port=int(port), username="somebody", password=SECRET),
        ],
        "mongodb": [
            mongodb(url=f"mongodb://{user}@{place}/?authSource=admin"),
            mongodb(url=f"mongodb://{user}@{place}/?authMechanism=SCRAM-SHA-1"),
            mongodb(host=host, port=int(port), username="somebody", password=SECRET),
            mongodb(url=f"mongodb://{place}", username="somebody", password=SECRET),
        ],
        "zookeeper": [
            zookeeper(hosts=place, auth_data=digest),
            zookeeper(hosts=f"{place}/no/such/root", auth_data=digest),
            zookeeper(hosts=place, use_ssl=True, keyfile_password=SECRET, auth_data=digest),
        ],
    }


UNDERSTOOD_BY_NOBODY: list[Make] = [
    zookeeper(hosts=NOWHERE, sasl_options={"mechanism": "DIGEST-MD5", "username": "x", "password": SECRET}),
    *(
        sql(f"postgresql+psycopg://somebody:{SECRET}{rest}")
        for rest in ("", "@host:port/x", "@@host/x", "/x@host", "#@host")
    ),
    *(
        sql(f"{name}://somebody:{SECRET}@host/x")
        for name in ("redis", "mongodb", "nosuchserver", "postgres", "mysql+nosuch")
    ),
    *(
        sql(url)
        for url in (
            f"somebody:{SECRET}@host",
            [SECRET],
            {"password": SECRET},
            f"{SECRET}".encode(),
            f"//{SECRET}@h",
        )
    ),
    sql(None, engine=f"postgresql://somebody:{SECRET}@host/x"),
    sql(f"postgresql+psycopg://somebody:{SECRET}@host/x", pasword=SECRET),
    *(
        redis(url=f"{rest}")
        for rest in (
            f"redis://:{SECRET}@host:port",
            f"redis://:a/{SECRET}@host",
            f"http://:{SECRET}@h",
            SECRET,
        )
    ),
    *(
        redis(**{name: value})
        for name, value in (("pasword", SECRET), ("url", [SECRET]), ("client", f"redis://:{SECRET}@h"))
    ),
    sql("postgresql+psycopg://somebody@host/x", engine_options=f"password={SECRET}"),
    sql("postgresql+psycopg://somebody@host/x", engine_options=[("password", SECRET)]),
    redis(url=f"redis://:{SECRET}@host", host="other"),
    redis(db=f"redis://:{SECRET}@host"),
    *(
        mongodb(url=url)
        for url in (
            f"mongodb://a:{SECRET}@@h",
            f"mongodb://a:{SECRET}@h:port",
            f"http://a:{SECRET}@h",
            SECRET,
            [SECRET],
        )
    ),
    *(
        mongodb(**{name: value})
        for name, value in (("pasword", SECRET), ("client", f"mongodb://a:{SECRET}@h"))
    ),
    mongodb(host=f"mongodb://a:{SECRET}@h:port"),
    mongodb(username="a", password=SECRET, authMechanism="NO-SUCH"),
    *(
        zookeeper(**options)
        for options in (
            {"auth_data": f"digest:a:{SECRET}"},
            {"auth_data": [SECRET]},
            {"auth_data": [("digest", "a", SECRET)]},
            {"auth_data": {"digest": f"a:{SECRET}"}},
            {"auth_dat": [("digest", f"a:{SECRET}")]},
            {"sasl_options": SECRET},
            {"client": SECRET},
        )
    ),
]


def said(make: Make, caplog: pytest.LogCaptureFixture, scheduled: bool = True) -> str:
    """All that is said while a store is made, shown, started by hand and by a scheduler, and asked for something."""
    told = StringIO()
    handler = logging.StreamHandler(told)
    root = logging.getLogger()
    root.addHandler(handler)
    log = logging.getLogger("program")
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            store = make()
            told.write(f"{store!r} {store} {[store]}\n")
            try:
                store.start(None, "default")
                store.get_all_jobs()
            except Exception:
                log.exception("A store does not start")
            finally:
                store.shutdown()
            if scheduled:
                scheduler = BackgroundScheduler(jobstores={"default": make()})
                scheduler.add_listener(lambda event: told.write(f"{event!r}\n"), EVENT_ALL)
                try:
                    scheduler.start(paused=True)
                    scheduler.get_jobs()
                except Exception:
                    log.exception("A scheduler does not start")
                if scheduler.running:
                    scheduler.shutdown()
        except Exception:
            log.exception("A store is not made")
        finally:
            root.removeHandler(handler)
    return told.getvalue() + "".join(f"{each.message!r}\n" for each in warned)


@pytest.mark.parametrize("kind", SERVERS)
def test_where_nobody_listens(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    for make in at(NOWHERE)[kind]:
        text = said(make, caplog)
        assert "Traceback" in text
        assert SECRET not in text


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_does_not_take_it(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    url = request.getfixturevalue(SERVERS[kind]).url
    parts = sqlalchemy.make_url(url if "://" in url else f"x://{url}")
    for make in at(f"{parts.host}:{parts.port}")[kind]:
        assert SECRET not in said(make, caplog, scheduled=False)


@pytest.mark.parametrize("make", UNDERSTOOD_BY_NOBODY)
def test_what_is_not_understood_is_not_repeated(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    text = said(make, caplog)
    assert "Traceback" in text
    # Python names the line of this test's own source in it, which has no secret.
    assert SECRET not in text
