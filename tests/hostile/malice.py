"""What somebody would have called who can write to a store, as references, as tags of JSON, and as pickles."""

import base64
import os
import pickle
import struct
import subprocess
import types
from collections.abc import Iterator
from typing import Any

CANARY = "canary"
"""The file that exists in the current folder if one of the commands was run."""

_COMMAND = f"touch {CANARY}"
_CODE = f"__import__('os').system({_COMMAND!r})"
GOOD = "tests.hostile.good"
_BYSTANDER = "tests.hostile.bystander"
_FORBIDDEN = "tests.hostile.forbidden"

CALLS: list[tuple[str, list[Any]]] = [
    *((f"{module}:system", [_COMMAND]) for module in ("os", "posix", f"{GOOD}:os"[:-3])),
    *((f"os:{name}", [_COMMAND]) for name in ("popen", "remove", "rmdir", "unlink", "chdir", "putenv")),
    *((f"os:{name}", ["/bin/touch", ["touch", CANARY]]) for name in ("execv", "posix_spawn", "spawnv")),
    *(
        (f"subprocess:{name}", [["touch", CANARY]])
        for name in ("Popen", "run", "call", "check_call", "check_output", "getoutput")
    ),
    *((f"builtins:{name}", [_CODE]) for name in ("eval", "exec", "compile", "print", "input", "breakpoint")),
    ("builtins:__import__", [_FORBIDDEN]),
    ("builtins:open", [CANARY, "w"]),
    *(
        (f"builtins:{name}", [1, "real"])
        for name in ("getattr", "setattr", "delattr", "vars", "globals", "type")
    ),
    ("importlib:import_module", [_FORBIDDEN]),
    ("importlib:reload", [1]),
    ("runpy:run_module", [_FORBIDDEN]),
    ("runpy:run_path", ["forbidden.py"]),
    *((f"{module}:run", [_CODE]) for module in ("cProfile", "profile", "pdb", "trace")),
    *((f"{module}:loads", ["x"]) for module in ("pickle", "marshal", "_pickle", "shelve")),
    *(
        (name, [_CODE])
        for name in ("timeit:timeit", "code:interact", "pty:spawn", "ctypes:CDLL", "shutil:rmtree")
    ),
    *(
        (name, [1])
        for name in ("os:_exit", "os:abort", "sys:exit", "os:kill", "os:fork", "signal:raise_signal")
    ),
    *((name, ["print"]) for name in ("threading:Thread", "multiprocessing:Process", "atexit:register")),
    *(
        (name, ["x"])
        for name in ("types:FunctionType", "types:CodeType", "functools:partial", "functools:reduce")
    ),
    *((f"operator:{name}", ["x"]) for name in ("attrgetter", "methodcaller", "itemgetter", "call")),
    ("mainspring.jobstores.serialization.references:resolve_reference", ["os:system"]),
    ("mainspring.jobstores.sqlalchemy:SQLAlchemyJobStore", [f"sqlite:///{CANARY}"]),
    ("mainspring.triggers.combining.parts:import_module", [_FORBIDDEN]),
    ("mainspring.triggers.base:BaseTrigger.__subclasses__", []),
    *(
        (f"{GOOD}:{path}", [_COMMAND])
        for path in ("os.system", "os.popen", "subprocess.Popen", "subprocess.os.system")
    ),
    *(
        (f"{GOOD}:{path}", ["x"])
        for path in (
            *(
                "run.__globals__",
                "run.__class__",
                "run.__code__",
                "run.__call__",
                "run.__reduce_ex__",
                "run.__get__",
            ),
            *(
                "Plain.__subclasses__",
                "Plain.mro",
                "Plain.__init__.__globals__",
                "Plain.__class__",
                "Plain.__base__",
            ),
            *(
                "instance",
                "instance.__class__.__base__",
                "partial_system",
                "partial_system.func",
                "named_partial",
            ),
            *(
                "wrapped",
                "bound_elsewhere",
                "Base.system",
                "Heir.system",
                "Heir.made",
                "Heir.method",
                "RAN.append",
            ),
            *(
                "bystander.run",
                "bystander.forged",
                "bystander.Foreign",
                "bystander.lazy_thing.run",
                "functools.partial",
            ),
            *("__builtins__", "__builtins__.eval", "__loader__.load_module", "__spec__.loader.exec_module"),
        )
    ),
    *((f"{_BYSTANDER}:{name}", ["x"]) for name in ("run", "forged", "Foreign", "Foreign.made", "lazy.run")),
    (f"{_FORBIDDEN}:run", ["x"]),
    ("tests.hostile:forbidden.run", ["x"]),
    ("this:s", []),
    (f"{GOOD}.missing:run", ["x"]),
    (f"{GOOD}x:run", ["x"]),
]
"""References, with arguments that suit them."""

NO_REFERENCES: list[Any] = [
    *(
        "",
        "x",
        "os.system",
        "os:",
        ":system",
        "os:system:x",
        "os:sys tem",
        "../etc:passwd",
        "os:__import__('os')",
    ),
    *(
        "a" * 10_000 + ":f",
        "é:é",
        "\0:\0",
        "os\n:system",
        ":".join(["os"] * 50),
        "os:system()",
        "%s:%s",
        "\ud800:f",
    ),
    *(None, 3, 1.5, True, [], {}, ["os:system"], {"os": "system"}),
]


def tagged(reference: Any) -> Iterator[Any]:
    """Everything by which JSON can name a class or a function."""
    yield {"$callable": reference}
    yield {"$enum": [reference, "RED"]}
    yield {"$enum": [reference, 1]}
    yield {"$dataclass": [reference, {"number": 1}]}
    yield {"$namedtuple": [reference, [_COMMAND]]}
    yield {"$trigger": [reference, {"version": 1}]}


class _Called:
    """Its pickle is a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


def _code() -> types.CodeType:
    return compile(_CODE, "x", "eval")


def pickles() -> Iterator[bytes]:
    """Pickles that run a command, or would change what others use, when they are loaded; in all protocols."""
    calls: list[tuple[Any, ...]] = [
        *((os.system, _COMMAND), (os.popen, _COMMAND), (subprocess.Popen, ["touch", CANARY])),
        *((subprocess.run, ["touch", CANARY]), (subprocess.check_output, ["touch", CANARY])),
        *(
            (eval, _CODE),
            (exec, _CODE),
            (__import__, _FORBIDDEN),
            (open, CANARY, "w"),
            (getattr, os, "system"),
        ),
        *(
            (setattr, str, "x", 1),
            (compile, _CODE, "x", "exec"),
            (type, "X", (), {}),
            (os.execv, "/bin/touch", ["x"]),
        ),
    ]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for call in calls:
            if call[1] is not os:
                yield pickle.dumps(_Called(*call), protocol)
                yield pickle.dumps({"args": (_Called(*call),), "kwargs": {}}, protocol)
    for reference, args in CALLS:
        module, _, name = reference.partition(":")
        # By hand: protocol 0, and 4, in which a name may have dots. The arguments that are no text matter less.
        texts = [text for text in args if isinstance(text, str)]
        pushed = "".join(f"S{text!r}\n" for text in texts)
        yield f"c{module}\n{name}\n({pushed}tR.".encode()
        yield f"({pushed}i{module}\n{name}\n.".encode()
        yield b"\x80\x04" + _text(module) + _text(name) + b"\x93(" + b"".join(map(_text, texts)) + b"tR."
        yield b"\x80\x04" + _text(module) + _text(name) + b"\x93}" + _text("x") + b"K\x01sb."
    yield from _changing()
    yield from (
        b"",
        b".",
        b"\x80\x05.",
        b"\x80\xff.",
        b"(" * 100_000 + b".",
        b"]" + b"]a" * 5_000 + b".",
        b"N" * 1_000,
    )
    yield from (b"\x80\x04\x95" + b"\xff" * 8 + b".", b"P1\n.", b"\x82\x01.", b"I" + b"9" * 5_000 + b"\n.")


def _changing() -> Iterator[bytes]:
    """Pickles that set attributes and items of what other jobs use."""
    targets = [
        *((GOOD, name) for name in ("run", "Plain", "RAN", "instance", "Color")),
        *(
            ("mainspring.triggers.interval", "IntervalTrigger"),
            ("builtins", "dict"),
            ("datetime", "timezone"),
        ),
    ]
    for module, name in targets:
        found = b"\x80\x04" + _text(module) + _text(name) + b"\x93"
        state = b"}" + _text("next_after") + b"Ns"
        yield found + state + b"b."  # BUILD with a dict
        yield found + b"N" + state + b"\x86b."  # BUILD with slots: setattr
        yield found + b"}" + _text("__defaults__") + b"Ns" + b"N\x85b."
        yield found + _text("key") + b"Ns."
        yield found + b"(" + _text("key") + b"Nu."
        yield found + b"Na."
        yield found + b"(N" + b"e."
        yield found + b"(N" + b"\x90."


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def as_body(data: bytes) -> str:
    """A pickle as the body of an envelope."""
    return base64.b64encode(data).decode()
