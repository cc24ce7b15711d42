"""The envelope and what it keeps out: forged, foreign, damaged and hostile payloads, and callables that are not allowed."""

import base64
import dataclasses
import enum
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainspring.jobstores.serialization.envelope import (
    CallableNotAllowedError,
    EnvelopeError,
    PickleRefusedError,
    Sealer,
    SerializationError,
    TamperedEnvelopeError,
    UnknownSerializerError,
    UnreadableEnvelopeError,
    UnsignedEnvelopeError,
)
from mainspring.jobstores.serialization.references import UnresolvableReferenceError
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.triggers import BaseTrigger, IntervalTrigger

ID = "job-1"
HERE = __name__
TRIGGER = IntervalTrigger(minutes=5, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def job() -> None: ...


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Order:
    id: int


class Forever(BaseTrigger):
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return now

    def __setstate__(self, stored: Any) -> None:
        raise RuntimeError("this version cannot read that")

    def __getstate__(self) -> Any:
        return None


def state(*args: Any, func: str = f"{HERE}:job", trigger: BaseTrigger = TRIGGER) -> dict[str, Any]:
    return {"version": 1, "id": ID, "func": func, "trigger": trigger, "args": args, "kwargs": {}}


def envelope(body: Any, serializer: Any = "json", signature: Any = None) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return json.dumps({"serializer": serializer, "signature": signature, "body": text}).encode()


def test_every_error_is_a_serialization_error_and_a_value_error() -> None:
    for kind in (
        UnsignedEnvelopeError,
        TamperedEnvelopeError,
        UnknownSerializerError,
        PickleRefusedError,
        CallableNotAllowedError,
        UnreadableEnvelopeError,
    ):
        error = kind(ID, "reason")
        assert isinstance(error, EnvelopeError)
        assert isinstance(error, SerializationError)
        assert isinstance(error, ValueError)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.job_id, str(again)) == (kind, ID, "job 'job-1': reason")


# ----- signatures


@pytest.mark.parametrize("how", ["json", "pickle"])
def test_a_signed_payload_is_read_by_who_has_the_key(how: str) -> None:
    data = Serializer(how, signing_keys=["secret"]).dumps(ID, state(1))
    for keys in (["secret"], [b"secret"], ["new", "secret"], None):
        assert Serializer(how, signing_keys=keys).loads(ID, data) == state(1)


def test_the_first_key_signs() -> None:
    data = Serializer(signing_keys=["new", "old"]).dumps(ID, state())
    assert Serializer(signing_keys=["new"]).loads(ID, data) == state()
    with pytest.raises(TamperedEnvelopeError, match=r"^job 'job-1': .*fits none of the signing_keys"):
        Serializer(signing_keys=["old"]).loads(ID, data)


def test_an_unsigned_payload_is_refused_where_there_are_keys() -> None:
    with pytest.raises(UnsignedEnvelopeError, match="is not signed, and this job store has signing_keys"):
        Serializer(signing_keys=["secret"]).loads(ID, Serializer().dumps(ID, state()))


def test_body_job_id_and_serializer_are_signed() -> None:
    serializer = Serializer("pickle", signing_keys=["secret"])
    data = serializer.dumps(ID, state())
    with pytest.raises(TamperedEnvelopeError):
        serializer.loads("job-2", data)
    for part, value in (
        ("serializer", "json"),
        ("body", "{}"),
        ("signature", "0" * 64),
        ("signature", "é\ud800"),
    ):
        changed = json.dumps(json.loads(data) | {part: value}).encode()
        with pytest.raises(TamperedEnvelopeError):
            serializer.loads(ID, changed)


def test_no_two_messages_are_signed_alike() -> None:
    sealer = Sealer(["secret"])
    signatures = {
        json.loads(sealer.seal(job_id, serializer, body))["signature"]
        for serializer, job_id, body in [
            ("json", "ab", "c"),
            ("json", "a", "bc"),
            ("jsona", "b", "c"),
            ("json", "abc", ""),
        ]
    }
    assert len(signatures) == 4


def test_a_job_id_may_be_any_text() -> None:
    serializer = Serializer(signing_keys=["secret"])
    for job_id in ("", 'quote"\\', "\udcff", "é😀\0"):
        given_state = state() | {"id": job_id}
        assert serializer.loads(job_id, serializer.dumps(job_id, given_state)) == given_state


# ----- serializers


def test_json_stores_refuse_pickles_and_say_how_to_allow_them() -> None:
    data = Serializer("pickle").dumps(ID, state(1))
    with pytest.raises(PickleRefusedError, match=r'^job \'job-1\': .*allow it with serializer="pickle"'):
        Serializer().loads(ID, data)
    assert Serializer("json", pickle_protocol=4).loads(ID, data) == state(1)


def test_pickle_stores_read_json() -> None:
    assert Serializer("pickle").loads(ID, Serializer().dumps(ID, state(1))) == state(1)


def test_an_unknown_serializer_is_named() -> None:
    with pytest.raises(UnknownSerializerError, match="'cbor'; this version knows"):
        Serializer().loads(ID, envelope({}, "cbor"))


# ----- damaged and hostile payloads

bad_bodies: list[Any] = [
    "",
    "{",
    "[]",
    "NaN",
    "[" * 100_000,
    '{"args":' * 5_000,
    {"args": "text"},
    {"args": {"$list": []}},
    {"kwargs": []},
    {"kwargs": {"$dict": [[1, 2]]}},
    {"func": 3},
    {"trigger": None},
    {"id": "another job"},
    {"x": {"$unknown": 1}},
    {"x": {"$dict": [[[], 1]]}},
    {"x": {"$set": [[]]}},
    {"x": {"$datetime": "yesterday"}},
    {"x": {"$datetime": ["2026-01-01", "UTC"]}},
    {"x": {"$zoneinfo": "No/Where"}},
    {"x": {"$zoneinfo": "../../etc/passwd"}},
    {"x": {"$timedelta": [10**12]}},
    {"x": {"$decimal": [1]}},
    {"x": {"$path": ["Path", "/"]}},
    {"x": {"$int": 3}},
    {"x": {"$bytes": "é"}},
    {"x": {"$range": ["0x0", "0x1", "0x0"]}},
    {"x": {"$callable": "json"}},
    {"x": {"$callable": f"{HERE}:TRIGGER"}},
    {"x": {"$enum": ["json:JSONDecoder", "X"]}},
    {"x": {"$enum": [f"{HERE}:Color", "BLUE"]}},
    {"x": {"$enum": [f"{HERE}:Color", 7]}},
    {"x": {"$dataclass": ["json:JSONDecoder", {}]}},
    {"x": {"$dataclass": [f"{HERE}:Order", {"no": 1}]}},
    {"x": {"$dataclass": [f"{HERE}:Order", [1]]}},
    {"x": {"$namedtuple": ["builtins:tuple", [1]]}},
    {"trigger": {"$trigger": ["os:system", "true"]}},
    {"trigger": {"$trigger": [3, {}]}},
    {"trigger": {"$trigger": [f"{HERE}:Forever", {"x": 1}]}},
    {"trigger": {"$trigger": ["mainspring.triggers.interval:IntervalTrigger", {}]}},
    {"trigger": {"$trigger": ["mainspring.triggers.interval:IntervalTrigger", {"version": 99}]}},
    {"trigger": {"$trigger": ["mainspring.triggers.base:BaseTrigger", {}]}},
]


@pytest.mark.parametrize("body", bad_bodies, ids=lambda body: str(body)[:60])
def test_a_damaged_body_is_unreadable(body: Any) -> None:
    with pytest.raises(UnreadableEnvelopeError) as caught:
        Serializer().loads(ID, envelope(body))
    assert caught.value.job_id == ID
    with pytest.raises((UnreadableEnvelopeError, CallableNotAllowedError)) as caught_too:
        Serializer(allowed_callables=[HERE, "json", "builtins"]).loads(ID, envelope(body))
    assert caught_too.value.job_id == ID


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"3",
        b"[" * 100_000,
        b'{"serializer":"json","signature":null,"body":{}}',
        b'{"serializer":null,"signature":null,"body":""}',
        b'{"serializer":"json","signature":1,"body":""}',
        pickle.dumps({}),
    ],
    ids=lambda data: str(data[:40]),
)
def test_what_is_no_envelope_is_unreadable(data: bytes) -> None:
    for serializer in (Serializer(), Serializer("pickle"), Serializer(signing_keys=["secret"])):
        with pytest.raises(UnreadableEnvelopeError):
            serializer.loads(ID, data)


@pytest.mark.parametrize("body", ["", "é", "AAAA", "gASVCg==", base64.b64encode(pickle.dumps(3)).decode()])
def test_a_damaged_pickle_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadableEnvelopeError):
        Serializer("pickle").loads(ID, envelope(body, "pickle"))


def test_a_class_that_is_gone_is_a_lookup_error() -> None:
    for body in (
        {"x": {"$enum": ["no_such_module:Color", "RED"]}},
        {"trigger": {"$trigger": ["mainspring.triggers.interval:Moved", {}]}},
    ):
        with pytest.raises(UnresolvableReferenceError):
            Serializer().loads(ID, envelope(body))
    gone = pickle.dumps(Color.RED).replace(b"Color", b"Colon")
    with pytest.raises(UnresolvableReferenceError, match="Colon"):
        Serializer("pickle").loads(ID, envelope(base64.b64encode(gone).decode(), "pickle"))


# fmt: off
tags = [
    "$str", "$int", "$float", "$complex", "$bytes", "$bytearray", "$range", "$datetime", "$date", "$time", "$timedelta",
    "$timezone", "$zoneinfo", "$decimal", "$uuid", "$path", "$tuple", "$set", "$frozenset", "$dict", "$trigger", "$enum",
    "$dataclass", "$namedtuple", "$callable", "$", "$nothing",
]
# fmt: on
texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            f"{HERE}:Color",
            f"{HERE}:Order",
            f"{HERE}:Forever",
            "json:dumps",
            "mainspring.triggers:IntervalTrigger",
        ]
    ),
    st.sampled_from(["RED", "2026-01-01T00:00:00", "UTC", "nan", "0x1", "PosixPath", ID, "id", "a.b:c"]),
)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(texts, inner, max_size=3),
        st.builds(lambda tag, spec: {tag: spec}, st.sampled_from(tags), inner),
    ),
    max_leaves=15,
)
states = st.dictionaries(
    st.sampled_from(["id", "func", "trigger", "args", "kwargs", "name", "version", "$dict"]),
    documents,
    max_size=4,
)


def restores_or_refuses(data: bytes) -> None:
    for serializer in (Serializer(), Serializer(allowed_callables=[HERE]), Serializer(signing_keys=["k"])):
        try:
            restored = serializer.loads(ID, data)
        except (EnvelopeError, UnresolvableReferenceError):
            continue
        assert type(restored) is dict
        assert type(restored.get("args", ())) is tuple
        assert type(restored.get("kwargs", {})) is dict


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine it is
@given(states)
def test_hostile_tags_raise_nothing_else(document: Any) -> None:
    restores_or_refuses(envelope(document))


@given(st.text(), st.sampled_from(["json", "pickle", "x"]), st.none() | st.text())
def test_hostile_bodies_raise_nothing_else(body: str, serializer: str, signature: str | None) -> None:
    restores_or_refuses(envelope(body, serializer, signature))


@given(st.binary())
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    restores_or_refuses(data)


@given(st.data())
def test_a_payload_with_bytes_changed_raises_nothing_else(data: st.DataObject) -> None:
    payload = bytearray(Serializer().dumps(ID, state((1, {2}), Color.RED, Order(1), timedelta(1))))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    restores_or_refuses(bytes(payload))
