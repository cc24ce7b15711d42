"""Pickles as an attacker writes them, put together from opcodes; each in the arguments of what otherwise is a job."""

import os
import pickle
import pickletools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apscheduler.triggers.date import DateTrigger

from tests.migration.olds import NOW, state

# Without what is put into the memo and never taken out.
_JOB = pickletools.optimize(state(DateTrigger(NOW), protocol=2, args=("here",)))
_TRIGGER = b"capscheduler.triggers.date\nDateTrigger\n)\x81"


def text(value: str) -> bytes:
    """The opcode of a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def named(module: str, name: str) -> bytes:
    """The opcode that looks something up."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(function: bytes, *args: bytes) -> bytes:
    """The call of a function."""
    return function + b"(" + b"".join(args) + b"tR"


def job_with(argument: bytes) -> bytes:
    """A job whose argument are these opcodes."""
    return changed(text("here"), argument)


def changed(old: bytes, new: bytes) -> bytes:
    """The job with other opcodes in the place of some."""
    assert _JOB.count(old) == 1
    return _JOB.replace(old, new)


class _Reduces:
    """Pickled, it is whatever its call is."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def attacks(proof: Path) -> Iterator[tuple[str, bytes]]:
    """Each under a name. One that succeeds leaves a file behind it."""
    touch = f"touch {proof}"
    write = f"open({str(proof)!r}, 'w').close()"
    system = named("os", "system")
    getattr_ = named("builtins", "getattr")
    yield "os.system", job_with(call(system, text(touch)))
    yield "posix.system", job_with(call(named("posix", "system"), text(touch)))
    yield "eval", job_with(call(named("builtins", "eval"), text(f"__import__('os').system({touch!r})")))
    yield "exec of python 2", job_with(call(named("__builtin__", "exec"), text(write)))
    yield (
        "subprocess",
        job_with(call(named("subprocess", "Popen"), b"](" + text("touch") + text(str(proof)) + b"e")),
    )
    for protocol in range(6):
        yield (
            f"reduce, protocol {protocol}",
            pickle.dumps({"id": "job", "x": _Reduces(os.system, touch)}, protocol),
        )
    yield "stack_global", job_with(b"\x8c\x02os\x8c\x06system\x93" + b"(" + text(touch) + b"tR")
    yield "stack_global, nested name", job_with(b"\x8c\x08datetime\x8c\x11sys.modules.__len__\x93(tR")
    yield "inst", job_with(b"(" + text(touch) + b"ios\nsystem\n")
    yield "obj", job_with(b"(" + system + text(touch) + b"o")
    yield "newobj", job_with(system + b"(" + text(touch) + b"t\x81")
    yield "newobj_ex", job_with(system + b"(" + text(touch) + b"t}\x92")
    yield "__newobj__", job_with(call(named("copyreg", "__newobj__"), system, text(touch)))
    yield (
        "_reconstructor",
        job_with(call(named("copyreg", "_reconstructor"), system, named("builtins", "object"), text(touch))),
    )
    yield (
        "getattr of a module",
        job_with(
            call(
                call(getattr_, call(named("builtins", "__import__"), text("os")), text("system")), text(touch)
            )
        ),
    )
    yield (
        "getattr of a class",
        job_with(call(call(getattr_, named("zoneinfo", "ZoneInfo"), text("__subclasses__")))),
    )
    yield (
        "getattr of what is known",
        job_with(call(call(getattr_, named("datetime", "datetime"), text("__class__")), text("x"))),
    )
    yield (
        "getattr of a stand-in",
        job_with(call(getattr_, named("apscheduler.triggers.date", "DateTrigger"), text("__init__"))),
    )
    yield "getattr of a text", job_with(call(call(getattr_, text("{0.__class__}"), text("format")), b"N"))
    yield (
        "build of a stand-in",
        job_with(
            named("apscheduler.triggers.date", "DateTrigger")
            + b")\x81"
            + b"}("
            + text("__class__")
            + system
            + text("__setstate__")
            + system
            + b"ub"
        ),
    )
    yield (
        "build of a stand-in with slots",
        job_with(
            named("apscheduler.triggers.date", "DateTrigger")
            + b")\x81"
            + b"N}("
            + text("fill")
            + system
            + b"u\x86b"
        ),
    )
    yield (
        "build of a class",
        job_with(named("apscheduler.triggers.date", "DateTrigger") + b"}(" + text("fill") + system + b"ub"),
    )
    yield (
        "build of a known class",
        job_with(named("datetime", "datetime") + b"}(" + text("make") + system + b"ub"),
    )
    yield "build of a function", job_with(named("builtins", "getattr") + b"}(" + text("x") + system + b"ub")
    yield (
        "build of a date",
        job_with(call(named("datetime", "date"), b"C\x04\x07\xea\x01\x01") + b"}(" + text("x") + b"Nub"),
    )
    yield (
        "the trigger is a command",
        changed(_TRIGGER, call(system, text(touch))),
    )
    yield "the trigger's class is another", changed(b"capscheduler.triggers.date\nDateTrigger\n", system)
    yield (
        "the function's reference is a command",
        changed(text("func"), text("func") + call(system, text(touch)) + b"0"),
    )
    yield "popped before it is used", call(system, text(touch)) + b"0" + _JOB
    yield "put in the memo, and taken out", job_with(system + b"p999\n0" + b"g999\n(" + text(touch) + b"tR")
    yield "in a dict's key", job_with(b"}(" + call(system, text(touch)) + b"Nu")
    yield "in a set", job_with(b"\x8f(" + call(system, text(touch)) + b"\x90")
    yield "in a frozenset", job_with(b"(" + call(system, text(touch)) + b"\x91")
    yield (
        "as a time zone",
        job_with(
            call(
                named("datetime", "datetime"),
                b"C\x0a\x07\xea\x01\x01\x00\x00\x00\x00\x00\x00",
                call(system, text(touch)),
            )
        ),
    )
    yield "as a factory", job_with(call(named("collections", "defaultdict"), system))
    yield "as a name of a zone", job_with(call(named("pytz", "_p"), text("../../../../etc/passwd")))
    yield "a zone of a file", job_with(call(named("dateutil.tz.tz", "tzfile"), b"N", text("/dev/zero")))
    yield "a persistent id", job_with(b"Pos.system\n")
    yield "an extension", job_with(b"\x82\x01")
    yield "a buffer", job_with(b"\x97")
    yield "a loader of modules", job_with(call(named("importlib", "import_module"), text("antigravity")))
    yield (
        "pickle in pickle",
        job_with(call(named("pickle", "loads"), b"B" + struct.pack("<I", 10) + b"cos\nsystem")),
    )
    yield "a file", job_with(call(named("builtins", "open"), text(str(proof)), text("w")))
    yield "a file by its path", job_with(call(named("pathlib", "Path"), text(str(proof)), text("w")))
    yield (
        "numpy's way",
        job_with(
            call(
                named("numpy.core.multiarray", "_reconstruct"),
                named("numpy", "ndarray"),
                b"(K\x00t",
                text("b"),
            )
        ),
    )
    yield "a code object", job_with(call(named("types", "CodeType"), *[b"K\x00"] * 5))
    yield (
        "mainspring's own functions",
        job_with(
            call(
                named("mainspring.jobstores.serialization.references", "resolve_reference"), text("os:system")
            )
        ),
    )
    yield "mainspring's own trigger", job_with(named("mainspring.triggers.cron", "CronTrigger") + b")\x81}b")


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small ones that would take all memory or time, or break the interpreter."""
    billion = b"\x8b\x04\x00\x00\x00" + struct.pack("<i", 10**9)
    for name in ("bytearray", "bytes", "list", "range", "str", "int"):
        yield f"{name}(10**9)", job_with(call(named("builtins", name), billion))
    yield (
        "list(range(10**9))",
        job_with(call(named("builtins", "list"), call(named("builtins", "range"), billion))),
    )
    yield "set(range)", job_with(call(named("builtins", "set"), call(named("builtins", "range"), billion)))
    yield (
        "deque of a range",
        job_with(call(named("collections", "deque"), call(named("builtins", "range"), billion))),
    )
    yield "a memo of 2**31", job_with(b"Nr\xff\xff\xff\x7f")
    yield "a text of 4 GB", job_with(b"X\xff\xff\xff\xff")
    yield "bytes of 2**62", job_with(b"\x8e" + struct.pack("<Q", 2**62))
    yield "a bytearray of 2**40", job_with(b"\x96" + struct.pack("<Q", 2**40))
    yield "a negative size", job_with(b"\x8d" + struct.pack("<q", -1))
    yield "a number of 100,000 digits", job_with(b"I" + b"9" * 100_000 + b"\n")
    yield "a Decimal of a million digits", job_with(call(named("decimal", "Decimal"), text("9" * 1_000_000)))
    yield "a Decimal to the power", job_with(call(named("decimal", "Decimal"), text("1e999999999999999999")))
    yield "a fraction", job_with(call(named("fractions", "Fraction"), text("1e999999999")))
    yield (
        "a timedelta without an end",
        job_with(call(named("datetime", "timedelta"), b"\x8a\x0b" + b"\x7f" * 11)),
    )
    yield "a deep list", job_with(b"]" * 200_000 + b"a" * 199_999)
    yield "a deep tuple", job_with(b")" + b"\x85" * 500_000)
    yield "a deep tuple as a key", job_with(b"})" + b"\x85" * 500_000 + b"Ns")
    yield "a deep tuple in a set", job_with(b"\x8f()" + b"\x85" * 500_000 + b"\x90")
    yield "a deep tuple in a frozenset", job_with(b"()" + b"\x85" * 500_000 + b"\x91")
    yield (
        "a deep tuple in a set that is called",
        job_with(call(named("builtins", "frozenset"), b"](" + b")" + b"\x85" * 500_000 + b"e")),
    )
    yield (
        "a deep tuple in an OrderedDict",
        job_with(call(named("collections", "OrderedDict"), b"](]()" + b"\x85" * 500_000 + b"Nee")),
    )
    doubled = b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(200))
    yield "a tuple of itself twice, 200 times", job_with(b"K\x01" + doubled)
    yield "such a tuple as a key", job_with(b"}K\x01" + doubled + b"Ns")
    yield (
        "such a tuple in its trigger",
        changed(text("run_date"), text("x") + b"K\x01" + doubled + b"s" + text("run_date")),
    )
    yield (
        "lists of lists of lists",
        job_with(
            b"](" + b"K\x01" * 10 + b"e" + b"".join(b"q%c0](" % i + b"h%c" % i * 10 + b"e" for i in range(50))
        ),
    )
    yield "a list in itself", job_with(b"]q\x010h\x01h\x01a")
    yield "a dict in itself", job_with(b"}q\x010h\x01" + text("x") + b"h\x01s")
    yield (
        "a text a million times",
        job_with(b"](" + text("x" * 100_000) + b"q\x01" + b"h\x01" * 100_000 + b"e"),
    )
    copies = call(named("builtins", "tuple"), b"h\x01") + b"0"
    yield "a list copied over and over", job_with(b"](" + b"N" * 50_000 + b"eq\x010" + copies * 20_000 + b"N")
    yield (
        "encoded over and over",
        job_with(
            text("x" * 1_000_000)
            + b"q\x010"
            + (call(named("_codecs", "encode"), b"h\x01", text("latin1")) + b"0") * 1_000
            + b"N"
        ),
    )
    yield "a path of many parts", job_with(call(named("pathlib", "PosixPath"), *[text("x" * 1000)] * 10_000))
    layers = [
        b"capscheduler.triggers.combining\nOrTrigger\n)\x81}("
        + text("version")
        + b"K\x01"
        + text("triggers")
        + b"]"
    ] * 2_000
    yield "nested combinations", changed(_TRIGGER, b"".join(layers) + _TRIGGER + b"aub" * 2_000)
    yield (
        "a combination of itself",
        changed(
            _TRIGGER,
            b"capscheduler.triggers.combining\nOrTrigger\n)\x81q\xff}("
            + text("version")
            + b"K\x01"
            + text("triggers")
            + b"](h\xffh\xffeub",
        ),
    )
    yield (
        "a million cron fields",
        changed(
            _TRIGGER,
            b"capscheduler.triggers.cron\nCronTrigger\n)\x81}("
            + text("version")
            + b"K\x02"
            + text("fields")
            + b"]("
            + b"N" * 100_000
            + b"eub",
        ),
    )


def garbage() -> Iterator[tuple[str, bytes]]:
    """What is no pickle, or none of a job."""
    yield "nothing", b""
    yield "text", b"this is no pickle"
    yield "zeros", bytes(1_000)
    yield "only a stop", b"."
    yield "an empty stack", b"\x80\x05R."
    yield "a protocol of the future", b"\x80\x09" + _JOB[2:]
    yield "a list", pickle.dumps([1, 2, 3])
    yield "a number", pickle.dumps(5)
    yield "an empty dict", pickle.dumps({})
    yield "a future version", pickle.dumps({**pickle.loads(_JOB), "version": 2})
    yield "a trigger of a future version", changed(_TRIGGER + b"}(h\x00K\x01", _TRIGGER + b"}(h\x00K\x09")
    yield "a version of another type", pickle.dumps({**pickle.loads(_JOB), "version": "1"})
    for name in (
        "id",
        "func",
        "trigger",
        "args",
        "kwargs",
        "executor",
        "name",
        "misfire_grace_time",
        "max_instances",
        "next_run_time",
    ):
        values: tuple[Any, ...] = (5.5, [], "", {1: 2}, b"x", "a" * 100, -1)
        for value in values:
            if (name, value) not in [
                ("misfire_grace_time", 5.5),
                ("args", []),
                ("name", "a" * 100),
                ("executor", "a" * 100),
            ]:
                yield f"{name} is {value!r:.20}", pickle.dumps({**pickle.loads(_JOB), name: value})
    for size in range(1, len(_JOB)):
        yield f"cut after {size} bytes", _JOB[:size]
