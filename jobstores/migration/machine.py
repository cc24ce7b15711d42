"""The pickle machine: runs the opcodes of a pickle (protocols 0 to 5) and calls nothing but what its `World` offers.

Python's own unpickler is not used on what somebody else has written: beside the classes that it would look up, a memo index of 2**31 in
ten bytes has it allocate gigabytes, and a tuple nested a million times as a key of a dict ends the process. Opcodes: the
comments of the standard library's `pickletools`; there are no jumps, so a pickle takes as many steps as it has bytes, at most.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["MAX_SIZE", "World", "run"]

MAX_SIZE = 64 * 1024 * 1024
"""A job larger than so many bytes is not read."""

_STOP = object()
_FLOAT = struct.Struct(">d")
_INT4 = struct.Struct("<i")


class World(Protocol):
    """What the opcodes that name or change something ask for. Whatever it raises ends the pickle."""

    def named(self, module: str, name: str) -> Any:
        """What a global name stands for."""

    def called(self, function: Any, args: Any) -> Any:
        """The value of a function, given by `named`, of these arguments."""

    def made(self, kind: Any, args: Any, kwargs: dict[Any, Any]) -> Any:
        """A new instance of a class, given by `named`, as its `__new__` makes it."""

    def filled(self, instance: Any, state: Any) -> None:
        """Give an instance its state."""

    def extended(self, container: Any, items: list[Any]) -> None:
        """Append items to what should be a list."""

    def updated(self, container: Any, items: list[Any]) -> None:
        """Set keys and values, in turns, in what should be a dict."""

    def joined(self, container: Any, items: list[Any]) -> None:
        """Add items to what should be a set."""

    def frozen(self, items: list[Any]) -> Any:
        """A frozenset."""


def run(data: bytes, world: World) -> Any:
    """The value that the pickle describes. Raises ValueError for bytes that are no pickle, and whatever `world` raises."""
    if len(data) > MAX_SIZE:
        raise ValueError(f"it has {len(data):,} bytes, more than {MAX_SIZE:,}")
    machine = _Machine(data, world)
    try:
        return machine.run()
    except (IndexError, struct.error):
        raise ValueError("it ends in the middle, or takes more from its stack than is there") from None
    except KeyError:
        raise ValueError("it refers to something that it has not described") from None


class _Machine:
    __slots__ = ("at", "data", "marks", "memo", "stack", "world")

    def __init__(self, data: bytes, world: World) -> None:
        self.data = data
        self.world = world
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        data, operations = self.data, _OPERATIONS
        while True:
            code = data[self.at]
            self.at += 1
            operation = operations[code]
            if operation is None:
                raise ValueError(f"it has a byte {code:#04x} where an instruction should be")
            if operation(self) is _STOP:
                return self.stack.pop()

    # -- arguments in the text of the pickle ---------------------------------------------------------------------------

    def taken(self, size: int) -> bytes:
        start = self.at
        self.at = end = start + size
        if size < 0 or end > len(self.data):
            raise IndexError(size)
        return self.data[start:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.taken(size), "little")

    def line(self) -> bytes:
        end = self.data.index(b"\n", self.at)  # ValueError if there is none
        start, self.at = self.at, end + 1
        return self.data[start:end]

    def marked(self) -> list[Any]:
        """What stands above the last mark; it goes, with the mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


_Operation = Callable[[_Machine], Any]


# -- values ------------------------------------------------------------------------------------------------------------


def _constant(value: Any) -> _Operation:
    return lambda machine: machine.stack.append(value)


def _unsigned(size: int) -> _Operation:
    return lambda machine: machine.stack.append(machine.number(size))


def _text(size: int) -> _Operation:
    return lambda machine: machine.stack.append(
        str(machine.taken(machine.number(size)), "utf-8", "surrogatepass")
    )


def _short_text(machine: _Machine) -> None:
    """As `_text(1)`: half of all instructions are this one, or one of the three behind it, so it takes no detours."""
    data, at = machine.data, machine.at
    machine.at = end = at + 1 + data[at]
    if end > len(data):
        raise IndexError(end)
    machine.stack.append(str(data[at + 1 : end], "utf-8", "surrogatepass"))


def _byte(machine: _Machine) -> None:
    machine.stack.append(machine.data[machine.at])
    machine.at += 1


def _short_get(machine: _Machine) -> None:
    machine.stack.append(machine.memo[machine.data[machine.at]])
    machine.at += 1


def _bytes(size: int) -> _Operation:
    return lambda machine: machine.stack.append(machine.taken(machine.number(size)))


def _old_text(size: int) -> _Operation:
    return lambda machine: machine.stack.append(_of_python_2(machine.taken(machine.number(size))))


def _of_python_2(data: bytes) -> str | bytes:
    """A `str` of Python 2: text if it is ASCII; else nobody knows in which encoding, and it stays bytes."""
    return data.decode("ascii") if data.isascii() else data


def _quoted(machine: _Machine) -> None:
    line = machine.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("it has a text without quotation marks")
    # Undocumented, but what pickle itself uses for this opcode.
    machine.stack.append(_of_python_2(codecs.escape_decode(line[1:-1])[0]))


def _integer_line(machine: _Machine) -> None:
    line = machine.line()
    machine.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))


def _long_line(machine: _Machine) -> None:
    machine.stack.append(int(machine.line().removesuffix(b"L")))


def _long(size: int) -> _Operation:
    return lambda machine: machine.stack.append(
        int.from_bytes(machine.taken(machine.number(size)), "little", signed=True)
    )


def _signed(machine: _Machine) -> None:
    machine.stack.append(_INT4.unpack(machine.taken(4))[0])


def _float(machine: _Machine) -> None:
    machine.stack.append(_FLOAT.unpack(machine.taken(8))[0])


def _float_line(machine: _Machine) -> None:
    machine.stack.append(float(machine.line()))


def _unicode_line(machine: _Machine) -> None:
    machine.stack.append(str(machine.line(), "raw-unicode-escape"))


def _byte_array(machine: _Machine) -> None:
    machine.stack.append(bytearray(machine.taken(machine.number(8))))


# -- containers --------------------------------------------------------------------------------------------------------


def _tuple_of(size: int) -> _Operation:
    def operation(machine: _Machine) -> None:
        stack = machine.stack
        if len(stack) < size:
            raise IndexError(size)
        stack[-size:] = [tuple(stack[-size:])]

    return operation


def _tuple(machine: _Machine) -> None:
    machine.stack.append(tuple(machine.marked()))


def _list(machine: _Machine) -> None:
    machine.stack.append(machine.marked())


def _dict(machine: _Machine) -> None:
    items, made = machine.marked(), dict[Any, Any]()
    machine.world.updated(made, items)
    machine.stack.append(made)


def _frozenset(machine: _Machine) -> None:
    items = machine.marked()
    machine.stack.append(machine.world.frozen(items))


def _append(machine: _Machine) -> None:
    item = machine.stack.pop()
    machine.world.extended(machine.stack[-1], [item])


def _appends(machine: _Machine) -> None:
    items = machine.marked()
    machine.world.extended(machine.stack[-1], items)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.world.updated(machine.stack[-1], [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.marked()
    machine.world.updated(machine.stack[-1], items)


def _add_items(machine: _Machine) -> None:
    items = machine.marked()
    machine.world.joined(machine.stack[-1], items)


# -- the stack and the memo --------------------------------------------------------------------------------------------


def _mark(machine: _Machine) -> None:
    machine.marks.append(len(machine.stack))


def _pop(machine: _Machine) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()


def _memorize(machine: _Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _put_line(machine: _Machine) -> None:
    machine.memo[int(machine.line())] = machine.stack[-1]


def _put(size: int) -> _Operation:
    def operation(machine: _Machine) -> None:
        machine.memo[machine.number(size)] = machine.stack[-1]

    return operation


def _get(size: int) -> _Operation:
    return lambda machine: machine.stack.append(machine.memo[machine.number(size)])


def _get_line(machine: _Machine) -> None:
    machine.stack.append(machine.memo[int(machine.line())])


def _protocol(machine: _Machine) -> None:
    if (protocol := machine.number(1)) > 5:
        raise ValueError(
            f"it says that it is of pickle's protocol {protocol}, and 5 is the last one known here"
        )


# -- names, calls, instances -------------------------------------------------------------------------------------------


def _global(machine: _Machine) -> None:
    module, name = str(machine.line(), "utf-8"), str(machine.line(), "utf-8")
    machine.stack.append(machine.world.named(module, name))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("it names a class by something that is no text")
    machine.stack.append(machine.world.named(module, name))


def _reduce(machine: _Machine) -> None:
    args = machine.stack.pop()
    machine.stack.append(machine.world.called(machine.stack.pop(), args))


def _new(machine: _Machine) -> None:
    args = machine.stack.pop()
    machine.stack.append(machine.world.made(machine.stack.pop(), args, {}))


def _new_with_names(machine: _Machine) -> None:
    kwargs, args = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.world.made(machine.stack.pop(), args, kwargs))


def _build(machine: _Machine) -> None:
    state = machine.stack.pop()
    machine.world.filled(machine.stack[-1], state)


def _instance_line(machine: _Machine) -> None:
    """An instance of a class of Python 2's old kind."""
    module, name = str(machine.line(), "utf-8"), str(machine.line(), "utf-8")
    args = tuple(machine.marked())
    machine.stack.append(machine.world.called(machine.world.named(module, name), args))


def _instance(machine: _Machine) -> None:
    kind, *args = machine.marked()
    machine.stack.append(machine.world.called(kind, tuple(args)))


def _refused(what: str) -> _Operation:
    def operation(machine: _Machine) -> None:
        raise ValueError(f"it uses {what}, which nothing that APScheduler writes has")

    return operation


_BY_CODE: dict[bytes, _Operation] = {
    b".": lambda machine: _STOP,
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b")": _constant(()),
    b"K": _byte,
    b"M": _unsigned(2),
    b"J": _signed,
    b"I": _integer_line,
    b"L": _long_line,
    b"\x8a": _long(1),
    b"\x8b": _long(4),
    b"G": _float,
    b"F": _float_line,
    b"\x8c": _short_text,
    b"X": _text(4),
    b"\x8d": _text(8),
    b"V": _unicode_line,
    b"C": _bytes(1),
    b"B": _bytes(4),
    b"\x8e": _bytes(8),
    b"\x96": _byte_array,
    b"U": _old_text(1),
    b"T": _old_text(4),
    b"S": _quoted,
    b"}": lambda machine: machine.stack.append({}),
    b"]": lambda machine: machine.stack.append([]),
    b"\x8f": lambda machine: machine.stack.append(set()),
    b"t": _tuple,
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"l": _list,
    b"d": _dict,
    b"\x91": _frozenset,
    b"a": _append,
    b"e": _appends,
    b"s": _set_item,
    b"u": _set_items,
    b"\x90": _add_items,
    b"(": _mark,
    b"0": _pop,
    b"1": lambda machine: machine.marked() and None,
    b"2": lambda machine: machine.stack.append(machine.stack[-1]),
    b"\x94": _memorize,
    b"p": _put_line,
    b"q": _put(1),
    b"r": _put(4),
    b"g": _get_line,
    b"h": _short_get,
    b"j": _get(4),
    b"\x80": _protocol,
    b"\x95": lambda machine: machine.taken(8) and None,  # a frame: how much to read ahead
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _reduce,
    b"\x81": _new,
    b"\x92": _new_with_names,
    b"b": _build,
    b"i": _instance_line,
    b"o": _instance,
    **dict.fromkeys((b"P", b"Q"), _refused("persistent ids")),
    **dict.fromkeys((b"\x82", b"\x83", b"\x84"), _refused("registered extensions")),
    **dict.fromkeys((b"\x97", b"\x98"), _refused("buffers outside of it")),
}
_OPERATIONS: tuple[_Operation | None, ...] = tuple(_BY_CODE.get(bytes((code,))) for code in range(256))
