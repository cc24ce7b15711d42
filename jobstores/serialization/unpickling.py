"""Loading stored pickles: unpicklers whose lookups give our errors, and one that respects the store's `allowed_callables`."""

import _codecs
import _compat_pickle
import copyreg
import io
import pickle
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import IO, Any, ClassVar
from zoneinfo import ZoneInfo

from ...triggers.base import _again
from .allowlist import AllowedCallables
from .references import UnresolvableReferenceError, resolve_reference
from .tagged_classes import OUR_MODULES, is_ours

# What pickles of the values that JSON has tags for need, and no more: getattr in particular is a way to everything.
_HARMLESS: tuple[Any, ...] = (
    *(object, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range),
    *(date, datetime, time, timedelta, timezone, ZoneInfo, Decimal, uuid.UUID, uuid.SafeUUID),
    *(PosixPath, PurePosixPath, PureWindowsPath, WindowsPath),
    _again,  # triggers of a class of somebody's, which has to be allowed for itself
    *(copyreg._reconstructor, copyreg.__newobj__, copyreg.__newobj_ex__, _codecs.encode),  # type: ignore[attr-defined]
)
_HARMLESS_BY_NAME = {
    (module, found.__qualname__): found
    for found in _HARMLESS
    for module in {found.__module__, found.__module__.partition(".")[0]}  # Python 3.13 has pathlib._local
}
_OWNERS = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)


def load_pickle(data: bytes, allowed: AllowedCallables | None) -> Any:
    """What was pickled. With an allow-list, made of nothing but what is on it, our triggers, and harmless built-in values.

    Raises UnresolvableReferenceError, CallableNotAllowedError, and for damaged bytes any Exception at all.
    """
    file = io.BytesIO(data)
    return (_TrustingUnpickler(file) if allowed is None else _RestrictedUnpickler(file, allowed)).load()


class _TrustingUnpickler(pickle.Unpickler):
    """Finds classes and functions as pickle does, and says what it does not find."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except Exception as error:  # importing runs user code
            raise UnresolvableReferenceError(
                f"{module}:{name}", f"{type(error).__name__}: {error}"
            ) from error


# The one in Python, since in the one in C only the finding of classes can be restricted.
_Unpickler: Any = pickle._Unpickler


class _RestrictedUnpickler(_Unpickler):  # type: ignore[misc]  # untyped
    """Finds only what the allow-list has, our triggers, and harmless built-in things; and changes nothing of what it finds.

    A pickle can call what it finds, with any arguments: what is allowed may be called while a job is read, too.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)

    def __init__(self, file: IO[bytes], allowed: AllowedCallables) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """The object that the pickle names. UnresolvableReferenceError, or CallableNotAllowedError."""
        if self.proto < 3:
            # What Python 2 called it, and protocols up to 2 still do.
            old = (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), old)
        if (module, name) == ("builtins", "getattr"):
            return _zoneinfo_attribute
        harmless = _HARMLESS_BY_NAME.get((module, name))
        if harmless is not None:
            return harmless
        reference = f"{module}:{name}"
        if module.startswith(OUR_MODULES) and "." not in name:
            found = resolve_reference(reference)
            if isinstance(found, type) and is_ours(found):
                return found
        return self._allowed.resolve(reference)

    def _unchanged(self, target: Any) -> None:
        if isinstance(target, _OWNERS):
            raise pickle.UnpicklingError(
                f"a pickle that changes {type(target).__name__}s is refused where allowed_callables are set"
            )


def _guarded(opcode: bytes, depth: int) -> None:
    """Have an opcode that changes an object refuse functions, classes and modules.

    The object lies so deep on the stack; 0: on top of what was there before the opcode's MARK, which is kept aside.
    """
    load = _Unpickler.dispatch[opcode[0]]

    def guarded(unpickler: Any) -> None:
        unpickler._unchanged(unpickler.stack[-depth] if depth else unpickler.metastack[-1][-1])
        load(unpickler)

    _RestrictedUnpickler.dispatch[opcode[0]] = guarded


for _opcode, _depth in (
    *((pickle.BUILD, 2), (pickle.APPEND, 2), (pickle.SETITEM, 3)),
    *((pickle.APPENDS, 0), (pickle.SETITEMS, 0), (pickle.ADDITEMS, 0)),
):
    _guarded(_opcode, _depth)


def _zoneinfo_attribute(owner: Any, name: str) -> Any:
    """In place of getattr: the one use of it that pickles of harmless values make."""
    if owner is ZoneInfo and name == "_unpickle":
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f"getattr(..., {name!r}) in a pickle is refused where allowed_callables are set"
    )
