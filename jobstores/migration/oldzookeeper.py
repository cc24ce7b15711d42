"""The nodes of APScheduler 3's ZooKeeperJobStore: one for each job, below one path."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from .jobs import OldJob
from .oldstore import OldStore, OldStoreError

try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException, NoNodeError
    from kazoo.handlers.threading import KazooTimeoutError
except ImportError as error:
    raise ImportError(
        'reading ZooKeeper needs kazoo, which is not installed: pip install "mainspring[zookeeper]"'
    ) from error

__all__ = ["OldZooKeeperStore"]

_PAGE = 500
_TIMEOUT = 10.0
"""Seconds until a server counts as not reachable."""
_PATH = "/apscheduler"
_FAILURES = (KazooException, KazooTimeoutError)


class OldZooKeeperStore(OldStore):
    """Its nodes. A URL is opened here, read-only, and closed again; a client of the caller's must be started, and is left so."""

    def __init__(self, source: Any, path: str | None = None) -> None:
        self._owned = isinstance(source, str)
        if isinstance(source, str):
            hosts, _, named = source.partition("://")[2].partition("/")
            # In no chroot: the path of a URL is the store's own.
            self._client: Any = KazooClient(hosts or "127.0.0.1:2181", read_only=True, timeout=10.0)
            self._path = path or (f"/{named.strip('/')}" if named.strip("/") else _PATH)
        else:
            self._client, self._path = source, path or _PATH
            hosts = ",".join(f"{host}:{port}" for host, port in getattr(source, "hosts", ()))
        self.where = f"zookeeper {hosts}, path {self._path}"

    def count(self) -> int | None:
        return len(self._children())

    def jobs(self) -> Iterator[OldJob]:
        ids = iter(sorted(self._children()))
        while page := list(islice(ids, _PAGE)):
            # All asked for at once: the answers come in one after the other.
            asked = [(job_id, self._client.get_async(f"{self._path}/{job_id}")) for job_id in page]
            for job_id, answer in asked:
                try:
                    data, _ = answer.get(timeout=60)
                except NoNodeError:
                    continue
                except _FAILURES as error:
                    raise OldStoreError(self.where, error) from error
                yield OldJob(job_id, data, wrapped=True)

    def _children(self) -> list[str]:
        try:
            if self._owned and not self._client.connected:
                self._client.start(timeout=_TIMEOUT)
            return list(self._client.get_children(self._path))
        except NoNodeError as error:
            raise OldStoreError(self.where, "there is no such path") from error
        except _FAILURES as error:
            raise OldStoreError(self.where, error) from error

    def close(self) -> None:
        if self._owned:
            self._client.stop()
            self._client.close()
