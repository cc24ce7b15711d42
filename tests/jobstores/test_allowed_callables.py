"""`allowed_callables`: what counts is what an object is, not how a record names it; tags and pickles are bound by it too."""

import base64
import dataclasses
import enum
import importlib
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from mainspring.jobstores.serialization.envelope import (
    CallableNotAllowedError,
    UnreadableEnvelopeError,
)
from mainspring.jobstores.serialization.references import UnresolvableReferenceError
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.triggers import BaseTrigger, IntervalTrigger

ID = "job-1"
HERE = __name__
CHECKOUT = Path(__file__).resolve().parents[1] / "checkout"
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


class Named:
    """A callable instance has no name of its own."""

    def __call__(self) -> None: ...


named = Named()
imported = os.system  # what a module imports is still what it was


def state(*args: Any, func: str = f"{HERE}:job", trigger: BaseTrigger = TRIGGER) -> dict[str, Any]:
    return {"version": 1, "id": ID, "func": func, "trigger": trigger, "args": args, "kwargs": {}}


def envelope(body: Any, serializer: Any = "json", signature: Any = None) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return json.dumps({"serializer": serializer, "signature": signature, "body": text}).encode()


allowing = pytest.mark.parametrize("how", ["json", "pickle"])


@allowing
@pytest.mark.parametrize("entry", [HERE, HERE.partition(".")[0], f"{HERE}:job"])
def test_an_allowed_function_passes(entry: str, how: str) -> None:
    serializer = Serializer(how, allowed_callables=[entry])
    assert serializer.loads(ID, serializer.dumps(ID, state(1))) == state(1)


@pytest.mark.parametrize(
    "func",
    [
        "os:system",
        f"{HERE}:imported",
        f"{HERE}:os.system",
        f"{HERE}:job.__globals__",
        f"{HERE}:job.__class__",
        f"{HERE}:Order.__subclasses__",
        f"{HERE}:named",
    ],
)
def test_what_is_not_allowed_is_refused_by_its_own_name(func: str) -> None:
    serializer = Serializer(allowed_callables=[HERE])
    with pytest.raises(CallableNotAllowedError, match="add its module or 'module:name' there"):
        serializer.dumps(ID, state(func=func))
    with pytest.raises(CallableNotAllowedError, match=r"^job 'job-1': .*allowed_callables"):
        serializer.loads(ID, Serializer().dumps(ID, state(func=func)))


def test_a_prefix_ends_at_a_dot_and_a_reference_is_one_object() -> None:
    data = Serializer().dumps(ID, state())
    for entry in (HERE[:-1], f"{HERE}.job", f"{HERE}:Order", f"{HERE}:jo"):
        with pytest.raises(CallableNotAllowedError):
            Serializer(allowed_callables=[entry]).loads(ID, data)


@allowing
@pytest.mark.parametrize(
    "value", [Color.RED, Order(1), job, Order, Forever()], ids=lambda value: type(value).__name__
)
def test_classes_of_arguments_must_be_allowed_too(value: Any, how: str) -> None:
    serializer = Serializer(how, allowed_callables=["json"])
    if how == "json":
        with pytest.raises(CallableNotAllowedError):
            serializer.dumps(ID, state(value, func="json:dumps"))
    with pytest.raises(CallableNotAllowedError):
        serializer.loads(ID, Serializer(how).dumps(ID, state(value, func="json:dumps")))


@allowing
def test_our_triggers_and_plain_values_are_always_allowed(how: str) -> None:
    values = (
        *(TRIGGER, datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2026, 1, 1, tzinfo=UTC)),
        *(
            timedelta(1),
            Decimal(1),
            uuid4(),
            PurePosixPath("/"),
            b"x",
            {1},
            frozenset({2}),
            range(3),
            1j,
            bytearray(b"x"),
        ),
    )
    protocols = range(pickle.HIGHEST_PROTOCOL + 1) if how == "pickle" else [None]
    for protocol in protocols:
        serializer = Serializer(how, protocol, allowed_callables=[HERE])
        assert serializer.loads(ID, serializer.dumps(ID, state(values))) == state(values)


def test_an_allow_list_binds_pickles() -> None:
    class Evil:
        def __init__(self, *call: Any) -> None:
            self.call = call

        def __reduce__(self) -> Any:
            return self.call[0], self.call[1:]

    serializer = Serializer("pickle", allowed_callables=[HERE])
    for call, error in (
        ((os.system, "true"), CallableNotAllowedError),
        ((OrderedDict,), CallableNotAllowedError),
        ((getattr, job, "__globals__"), UnreadableEnvelopeError),
        ((eval, "1"), CallableNotAllowedError),
        ((__import__, "os"), CallableNotAllowedError),
    ):
        body = base64.b64encode(pickle.dumps(state(Evil(*call)))).decode()
        with pytest.raises(error):
            serializer.loads(ID, envelope(body, "pickle"))


def test_a_module_without_anything_allowed_is_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs_when_imported.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for body in (
        {"func": "runs_when_imported:job"},
        {"x": {"$enum": ["runs_when_imported:Color", "RED"]}},
        {"trigger": {"$trigger": ["runs_when_imported:Color", {}]}},
    ):
        with pytest.raises(CallableNotAllowedError):
            Serializer(allowed_callables=[HERE]).loads(ID, envelope(body))
        with pytest.raises((UnresolvableReferenceError, UnreadableEnvelopeError)):
            Serializer(allowed_callables=["runs_when_imported"]).loads(ID, envelope(body))


def test_a_re_exported_function_is_allowed_by_its_own_name_in_a_fresh_process(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("from .jobs import send\n")
    (package / "jobs.py").write_text("def send(): pass\n")
    program = (
        "from mainspring.jobstores.serialization.serializer import Serializer;"
        "Serializer(allowed_callables=['shop.jobs:send']).dumps('1', {'func': 'shop:send'}); print('ok')"
    )
    paths = os.pathsep.join([str(tmp_path), str(CHECKOUT)])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "ok\n"


# ----- what an object says of itself


class Foreign:
    """Its methods are this module's; a class of the test's `elsewhere` inherits them."""

    @classmethod
    def made(cls) -> None: ...

    def act(self) -> None: ...


FORGING = """
import functools, os
CALLED = []
def forged(): CALLED.append("forged")
forged.__module__, forged.__qualname__ = {here!r}, "job"
wrapper = functools.wraps(__import__({here!r}, fromlist="x").job)(lambda: CALLED.append("wrapper"))
partial = functools.update_wrapper(functools.partial(os.system), wrapper)
class Heir(__import__({here!r}, fromlist="x").Foreign): pass
heir = Heir()
def __getattr__(name):
    CALLED.append(name)
    raise AttributeError(name)
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that is loaded, and reached through this one."""
    (tmp_path / "forging_elsewhere.py").write_text(FORGING.format(here=HERE))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("forging_elsewhere")
    monkeypatch.setattr(sys.modules[HERE], "elsewhere", module, raising=False)
    yield module
    del sys.modules["forging_elsewhere"]


@pytest.mark.parametrize(
    "name", ["forged", "wrapper", "partial", "Heir.made", "heir.act", "heir.made", "lazy", "lazy.job"]
)
def test_nobody_takes_over_an_allowed_name(elsewhere: Any, name: str) -> None:
    for entries in ([HERE], [f"{HERE}:job", f"{HERE}:Foreign.made", f"{HERE}:Foreign.act"]):
        for reference in (f"forging_elsewhere:{name}", f"{HERE}:elsewhere.{name}"):
            with pytest.raises(CallableNotAllowedError):
                Serializer(allowed_callables=entries).loads(ID, Serializer().dumps(ID, state(func=reference)))
    assert elsewhere.CALLED == []  # nor was the module asked for a name that it makes up


def test_where_both_are_allowed_an_inherited_method_is(elsewhere: Any) -> None:
    for entries in ([HERE, "forging_elsewhere"], ["forging_elsewhere:Heir.made"]):
        data = Serializer().dumps(ID, state(func="forging_elsewhere:Heir.made"))
        assert Serializer(allowed_callables=entries).loads(ID, data)["func"] == "forging_elsewhere:Heir.made"


def test_a_method_is_what_its_class_says() -> None:
    for func, entry in ((f"{HERE}:Foreign.made", f"{HERE}:Foreign.made"), (f"{HERE}:Foreign.act", HERE)):
        data = Serializer().dumps(ID, state(func=func))
        assert Serializer(allowed_callables=[entry]).loads(ID, data)["func"] == func
        with pytest.raises(CallableNotAllowedError):
            Serializer(allowed_callables=[f"{HERE}:job"]).loads(ID, data)


@pytest.mark.parametrize("found", [job, Order, IntervalTrigger])
@pytest.mark.parametrize(
    "change",
    [
        b"}X\x01\x00\x00\x00xK\x01sb.",  # BUILD, by its dict
        b"N}X\x01\x00\x00\x00xK\x01s\x86b.",  # BUILD, by setattr
        b"X\x01\x00\x00\x00xK\x01s.",  # SETITEM
        b"(X\x01\x00\x00\x00xK\x01u.",  # SETITEMS
        b"K\x01a.",  # APPEND
        b"(K\x01e.",  # APPENDS
        b"(K\x01\x90.",  # ADDITEMS
    ],
)
def test_a_pickle_changes_nothing_of_what_it_finds(found: Any, change: bytes) -> None:
    data = pickle.dumps(found, 2)[:-1] + change
    with pytest.raises(UnreadableEnvelopeError, match="a pickle that changes"):
        Serializer("pickle", allowed_callables=[HERE]).loads(
            ID, envelope(base64.b64encode(data).decode(), "pickle")
        )
    assert not hasattr(found, "x")


def test_what_a_record_names_is_not_shown_if_it_is_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[HERE], "SETTING", "a secret of the program", raising=False)
    with pytest.raises(UnreadableEnvelopeError) as caught:
        Serializer().loads(ID, envelope({"x": {"$enum": [f"{HERE}:SETTING", "X"]}}))
    assert "a secret" not in f"{caught.value} {caught.value.__cause__}"
