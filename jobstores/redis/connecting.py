"""Where a store's connections come from: its own arguments, or a client that it was given, whose settings it takes over."""

from __future__ import annotations

import copy
from typing import Any, Final, TypeAlias

try:
    import redis as redis
    from redis.cluster import RedisCluster
    from redis.sentinel import Sentinel, SentinelConnectionPool
except ImportError as exc:
    raise ImportError(
        'RedisJobStore needs redis, which is not installed: pip install "mainspring[redis]"'
    ) from exc

Client: TypeAlias = "redis.Redis | RedisCluster"

_LEFT_OUT: Final = frozenset(
    {
        # Bound to the pool (or the cluster client) that they were made for.
        "connection_pool",
        "event_dispatcher",
        "himport_registry",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "maintenance_notification_hash",
        "maintenance_state",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "oss_cluster_maint_notifications_handler",
        # A request that is repeated behind the store's back waits a multiple of its timeout; the scheduler tries again, and says so.
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        # Its answers would come between the others'. A connection that was closed is noticed when it is taken from the pool.
        "health_check_interval",
        "max_connections",
    }
)
"""What a pool of the store's own does not take over from another one."""


def said_by(url: str) -> dict[str, Any]:
    """What a URL says, as arguments of a connection. Raises ValueError."""
    parse_url: Any = redis.connection.parse_url  # untyped
    said: dict[str, Any] = parse_url(url)
    return said


def checked_client(client: Any, db: int | None) -> Client:
    """The client, if it is one that a store can use."""
    kinds = type(client).__mro__
    if any(kind.__module__.startswith("redis.asyncio") for kind in kinds):
        raise TypeError(
            f"client must be a synchronous client, redis.Redis(...), and not {_name(kinds[0])}: the "
            "store's calls run where blocking is allowed, under an asyncio scheduler, too"
        )
    if isinstance(client, RedisCluster):
        if db:
            raise ValueError(
                f"a Redis Cluster has no databases, so database {db} cannot be used: leave out db, and give jobs_key to keep "
                "several stores apart"
            )
        return client
    if not isinstance(client, redis.Redis) or isinstance(client, redis.client.Pipeline):
        raise TypeError(
            f"client must be a client of redis-py (redis.Redis(...), Sentinel(...).master_for(...) or RedisCluster(...)), got {_name(kinds[0])}"
        )
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool) and not pool.is_master:
        raise ValueError(
            "client is one for replicas, which cannot be written to: give Sentinel(...).master_for(...)"
        )
    return client


def _name(kind: type) -> str:
    # Not the client's repr: a password may be in it, depending on the version.
    return f"{kind.__module__}.{kind.__qualname__}"


def new_pool(client: redis.Redis, db: int | None, timeout: float) -> redis.ConnectionPool:
    """A pool of connections with the settings of the client's: to its server, or to `db` there, each waiting at most `timeout` seconds."""
    return _copied(client.connection_pool, db, timeout)


def node_pool(client: RedisCluster, key: str, timeout: float) -> redis.ConnectionPool:
    """A pool of connections to the node of a cluster which has a key. For listening: it is not led elsewhere when the key moves."""
    cluster: Any = client  # untyped, as far as this goes
    node = cluster.get_node_from_key(key)
    if node is None:
        raise redis.ConnectionError(f"no node of the cluster has the key {key}")
    # Of the cluster client's are: what a connection does when it is made, and how it understands redirections.
    return _copied(
        cluster.get_redis_connection(node).connection_pool,
        None,
        timeout,
        {"redis_connect_func", "parser_class"},
    )


def _copied(
    pool: Any,
    db: int | None,
    timeout: float,
    left_out: set[str] = set(),  # noqa: B006 - not changed
) -> redis.ConnectionPool:
    given = pool.connection_kwargs
    settings = {
        name: value for name, value in given.items() if name not in _LEFT_OUT and name not in left_out
    }
    if given.get("orig_host_address"):
        settings["host"] = given[
            "orig_host_address"
        ]  # else one where the server is for the time of a maintenance
    if db is not None:
        settings["db"] = db
    # Payloads are bytes; pushes are read here, not by a handler of the connection's.
    settings.update(decode_responses=False, protocol=2, socket_timeout=timeout)
    if "path" not in settings:
        settings["socket_connect_timeout"] = timeout
    settings["connection_class"] = pool.connection_class
    if isinstance(pool, SentinelConnectionPool):
        new_sentinel_pool: Any = SentinelConnectionPool  # untyped
        pool_of_ours: redis.ConnectionPool = new_sentinel_pool(
            pool.service_name,
            _manager(pool.sentinel_manager, timeout),
            is_master=True,
            check_connection=pool.check_connection,
            **settings,
        )
        return pool_of_ours
    return redis.ConnectionPool(**settings)


def _manager(manager: Sentinel, timeout: float) -> Sentinel:
    """The same sentinels, asked by connections of our own that do not wait longer, either."""
    own = copy.copy(manager)
    own.sentinels = [
        redis.Redis(connection_pool=_copied(sentinel.connection_pool, None, timeout))
        for sentinel in manager.sentinels
    ]
    return own


def described(client: Client, db: int | None) -> str:
    """The server, for messages: nothing secret."""
    if isinstance(client, RedisCluster):
        nodes = ", ".join(sorted(str(name) for name in client.nodes_manager.startup_nodes))
        return f"Redis Cluster at {nodes}"
    pool: Any = client.connection_pool
    settings = pool.connection_kwargs
    number = settings.get("db") or 0 if db is None else db
    if isinstance(pool, SentinelConnectionPool):
        return f"Redis, Sentinel's service {pool.service_name!r}, database {number}"
    place = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
    return f"Redis at {place}, database {number}"
