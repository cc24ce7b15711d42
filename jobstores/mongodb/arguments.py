"""What `MongoDBJobStore` is given: refused where it makes no sense, before anything is connected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..serialization.references import resolve_reference
from .connecting import SRV, Client, checked_client, new_client


def name_of(what: str, value: Any) -> str:
    """The name of a database or a collection."""
    if isinstance(value, str) and value and "://" not in value:
        return value
    got = f"got {value!r}"
    if isinstance(value, str):
        # Not the text: if it is a URL, there may be a password in it.
        got = "got a URL: give it as url=..." if value else "got an empty text"
    elif value is not None and not isinstance(value, int | float | bytes):
        got = f"got {type(value).__name__}"
        if hasattr(value, "get_database"):
            got += ": give a client as client=..."
    raise TypeError(f"{what} must be the name of a {what}, {got}")


def client_from(
    client: Any, url: str | None, connect_args: Mapping[str, Any], timeout: float
) -> tuple[Client | None, dict[str, Any]]:
    """The client that was given, or None and what the store makes its own of, which is tried out. Opens no connection."""
    if client is not None:
        if url is not None or connect_args:
            given = ["url"] if url is not None else [*connect_args]
            raise TypeError(
                f"a client brings its own settings: leave out {', '.join(given)}, or make the client with them"
            )
        if isinstance(client, str):
            if "://" in client:
                raise TypeError("client is a URL: give it as url=...")
            client = resolve_reference(client)
        return checked_client(client), {}
    settings = dict(connect_args)
    if url is not None:
        if not isinstance(url, str):
            raise TypeError(f"url must be text, got {type(url).__name__}")
        twice = [name for name in ("host", "port") if settings.get(name) is not None]
        if twice:
            raise TypeError(f"the url says where the server is: leave out {', '.join(twice)}, or url")
        if "://" not in url:
            raise ValueError(
                "url must begin with 'mongodb://' or 'mongodb+srv://'; the name of a host is given as host=..."
            )
        settings["host"] = url
    port = settings.get("port")
    if isinstance(port, str) and port.isdecimal():
        settings["port"] = int(port)  # as files of configuration bring it
    host = settings.get("host")
    if not (isinstance(host, str) and host.startswith(SRV)):  # which would be looked up
        new_client(settings, timeout).close()
    return None, settings
