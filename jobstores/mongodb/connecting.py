"""Where a store's client comes from: its own arguments, or one that it was given; and how it is told to keep what it confirms."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

try:
    import pymongo
    from bson.codec_options import CodecOptions, DatetimeConversion
    from pymongo.errors import InvalidName, InvalidURI, PyMongoError
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import ReadPreference
    from pymongo.write_concern import WriteConcern
except ImportError as exc:
    raise ImportError(
        'MongoDBJobStore needs pymongo, which is not installed: pip install "mainspring[mongodb]"'
    ) from exc

Client: TypeAlias = "pymongo.MongoClient[dict[str, Any]]"
Collection: TypeAlias = "pymongo.collection.Collection[dict[str, Any]]"

SRV: Final = "mongodb+srv://"

_URLS: Final = (
    "expected 'mongodb://HOST:PORT', with several hosts 'mongodb://A,B,C/?replicaSet=NAME', or 'mongodb+srv://NAME'. In a user's name or "
    "a password, characters such as @ : / % have to be quoted: urllib.parse.quote_plus(password)"
)


def new_client(connect_args: Mapping[str, Any], timeout: float) -> Client:
    """A client of the store's own. Opens no connection. Raises TypeError or ValueError for what it does not understand, without secrets."""
    limit = int(timeout * 1_000) or 1
    settings = {
        "serverSelectionTimeoutMS": limit,
        "connectTimeoutMS": limit,
        "socketTimeoutMS": limit,
        "appname": "mainspring",
        **connect_args,
        # A write is repeated by the store, which knows when that is harmless, and says so when it does not help.
        "retryWrites": False,
        "connect": False,
    }
    try:
        return pymongo.MongoClient(**settings)
    except InvalidURI:
        # Not its text, nor the URL's: there may be a password in them.
        raise ValueError(f"url is not understood: {_URLS}") from None
    except PyMongoError as error:
        raise _refused(connect_args, error) from None
    except (TypeError, ValueError) as error:
        raise _refused(connect_args, error) from None


def _refused(connect_args: Mapping[str, Any], error: Exception) -> Exception:
    text = str(error)
    if text.startswith("Unknown option"):
        # PyMongo's own advice names hundreds.
        known = [*getattr(pymongo.common, "VALIDATORS", {})]
        for name in connect_args:
            if name.lower() not in known and name not in ("host", "port"):
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.65)
                tail = f"; did you mean {near[0]!r}?" if near else ""
                return TypeError(f"Unknown argument of MongoDBJobStore: {name!r}{tail}")
    if any(isinstance(value, str) and value and value in text for value in _secrets(connect_args)):
        text = type(error).__name__
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"the arguments of the connection are not understood: {text}")


def _secrets(connect_args: Mapping[str, Any]) -> list[Any]:
    # Of a host, only a URL may hold a password; its plain name may be a part of any message.
    return [
        value
        for name, value in connect_args.items()
        if name.lower() == "password" or (name.lower() == "host" and "@" in str(value))
    ]


def checked_client(client: Any) -> Client:
    """The client, if it is one that a store can use."""
    if isinstance(client, pymongo.MongoClient):
        return client
    kind = type(client)
    # Not its repr: there may be a password in it.
    name = f"{kind.__module__}.{kind.__qualname__}"
    if any("Async" in each.__name__ or "Motor" in each.__name__ for each in kind.__mro__):
        raise TypeError(
            f"client must be a synchronous client, pymongo.MongoClient(...), and not {name}: the store's calls run where blocking is "
            "allowed, under an asyncio scheduler, too"
        )
    raise TypeError(
        f"client must be a pymongo.MongoClient, or a reference to one ('module:name'), got {name}"
    )


def collection_of(client: Client, database: str, collection: str) -> Collection:
    """The collection, whatever the client is set to: read from the primary, what is written is kept by a majority, in their journals.

    Raises ValueError for names that MongoDB does not take.
    """
    try:
        return client.get_database(database).get_collection(
            collection,
            # Nothing that others have put there may keep a page from being read: a text that is no UTF-8, a date before the first year.
            CodecOptions(
                unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_MS
            ),
            ReadPreference.PRIMARY,
            WriteConcern("majority", j=True),
            ReadConcern("local"),
        )
    except InvalidName as error:
        raise ValueError(
            f"{database!r} and {collection!r} are to name a database and a collection: {error}"
        ) from None


def described(client: Client, collection: str) -> str:
    """The server and the collection, for messages: nothing secret."""
    settings: Any = getattr(client, "_topology_settings", None)  # its public face connects
    seeds = sorted(getattr(settings, "seeds", ()))
    place = ", ".join(f"{host}:{port}" if port else str(host) for host, port in seeds)
    return f"MongoDB{f' at {place}' if place else ''}, collection {collection}"
