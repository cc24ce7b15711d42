"""The keys of APScheduler 3's RedisJobStore: a hash of states, and a sorted set of next run times."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from .jobs import OldJob
from .oldstore import OldStore, OldStoreError

try:
    import redis
except ImportError as error:
    raise ImportError(
        'reading Redis needs redis-py, which is not installed: pip install "mainspring[redis]"'
    ) from error

__all__ = ["OldRedisStore"]

_PAGE = 500


class OldRedisStore(OldStore):
    """Its two keys. A URL is opened here and closed again; a client of the caller's is used as it is, and left open."""

    def __init__(
        self,
        source: str | redis.Redis,
        jobs_key: str = "apscheduler.jobs",
        run_times_key: str = "apscheduler.run_times",
    ) -> None:
        self._owned = isinstance(source, str)
        if isinstance(source, str):
            # Long enough for a page of large jobs; APScheduler's own waits for ever.
            source = redis.Redis.from_url(source, socket_timeout=60, socket_connect_timeout=10)
        options = source.connection_pool.connection_kwargs
        if options.get("decode_responses"):
            raise ValueError("the jobs are bytes: give a client that was made without decode_responses=True")
        place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        self._client: Any = source
        self._jobs, self._times = jobs_key, run_times_key
        self.where = f"redis {place}, db {options.get('db') or 0}, key {jobs_key}"

    def count(self) -> int | None:
        try:
            return int(self._client.hlen(self._jobs))
        except redis.RedisError as error:
            raise OldStoreError(self.where, error) from error

    def jobs(self) -> Iterator[OldJob]:
        try:
            # A scan may answer the same field twice; the ids are small, and are needed in order.
            ids = iter(sorted({field for field, _ in self._client.hscan_iter(self._jobs, count=_PAGE)}))
            while page := list(islice(ids, _PAGE)):
                pipe = self._client.pipeline(transaction=False)
                pipe.hmget(self._jobs, page)
                for job_id in page:
                    pipe.zscore(self._times, job_id)
                states, *times = pipe.execute()
                for job_id, data, time in zip(page, states, times, strict=True):
                    if data is not None:
                        yield OldJob(job_id.decode("utf-8", "backslashreplace"), data, time)
        except redis.RedisError as error:
            raise OldStoreError(self.where, error) from error

    def close(self) -> None:
        if self._owned:
            self._client.close()
