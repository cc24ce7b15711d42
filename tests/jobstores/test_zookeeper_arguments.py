"""What `ZooKeeperJobStore` is given, and refuses; and that an id which no job can have leads to no node."""

import logging
from typing import Any
from uuid import uuid4

import pytest
from kazoo.client import KazooClient
from mainspring.jobstores.record import RunKey
from mainspring.jobstores.zookeeper import ZooKeeperJobStore

from tests.jobstores.zookeeper_stores import started
from tests.servers import Server


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"hots": "h"}, TypeError, "Unknown argument of ZooKeeperJobStore: 'hots'; did you mean 'hosts'"),
        ({"hosts": 5}, TypeError, "hosts must be text, .* got int"),
        ({"hosts": ""}, TypeError, "hosts must be text, .* got nothing"),
        ({"hosts": []}, TypeError, "hosts must be text, .* got nothing"),
        ({"path": "jobs"}, ValueError, "path must begin with a slash"),
        ({"path": "/a//b"}, ValueError, "no node can be named"),
        ({"path": "/zookeeper/jobs"}, ValueError, "the server's own"),
        ({"client": "host:2181"}, TypeError, "give it as hosts="),
        ({"client": "json:dumps"}, TypeError, "got builtins.function"),
        ({"client": KazooClient(), "hosts": "h"}, TypeError, "leave out hosts"),
        ({"close_connection_on_exit": "yes"}, TypeError, "must be True or False"),
        ({"session_timeout": 0}, ValueError, "session_timeout must be a positive number of seconds"),
        ({"timeout": 1e12}, ValueError, "timeout must be a positive number of seconds, 2,000,000 "),
        ({"timeout": True}, ValueError, "timeout must be a positive number of seconds"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    named: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ZooKeeperJobStore(**named)


@pytest.mark.parametrize(
    "credentials",
    ["me:secret", ["me:secret"], ("digest", "me:secret"), [("digest", "me:secret", "")], [("digest", 5)]],
)
def test_credentials_are_pairs_and_not_told(credentials: Any) -> None:
    with pytest.raises(TypeError, match="auth_data must be a list of pairs") as caught:
        ZooKeeperJobStore(auth_data=credentials)
    assert "secret" not in str(caught.value)


def test_a_job_without_an_id_is_none_and_nothing_is_said_of_it(
    zookeeper: Server, caplog: pytest.LogCaptureFixture
) -> None:
    store = started(ZooKeeperJobStore(f"/test-{uuid4()}", hosts=zookeeper.url))
    try:
        with caplog.at_level(logging.WARNING, logger="mainspring"):
            assert store.lookup_job("") is None
            store.give_back([RunKey("", 0, 0, "")])  # as a scheduler does, to see whether the server is there
    finally:
        store.shutdown()
    assert caplog.messages == []
