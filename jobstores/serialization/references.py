"""References: how a stored job names its function ("module:qualname"), finds it again, and checks the arguments for it."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, partialmethod
from inspect import Parameter, Signature
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

MAIN_MODULE = "__main__"

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class UnresolvableReferenceError(LookupError):
    """What a reference names is not there in this process: the module is not importable, or has no such attribute.

    `reference` is the text that was to be resolved. The exception that the import raised, if any, is the cause.
    """

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(reference, reason)
        self.reference = reference
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot resolve the reference {self.reference!r}: {self.reason}"


def callable_reference(func: Any) -> str:
    """The text "module:qualname" that `resolve_reference` turns back into this function, class or method.

    A method bound to an instance gives "module:Class.method", the plain function: its `self` has to be stored beside it,
    as the first argument. Raises ValueError, with advice, for what no module holds under a name: lambdas, nested
    functions, `functools.partial`, callable instances, and functions that a decorator has replaced.
    """
    module, qualname = _names(func)
    reference = f"{module}:{qualname}"
    target = func.__func__ if isinstance(func, MethodType) and not isinstance(func.__self__, type) else func
    try:
        found = resolve_reference(reference)
    except LookupError as error:
        raise ValueError(
            f"{callable_name(func)} cannot be stored: {error}. Define it at the top level of an importable module"
        ) from error
    # Methods bound to a class are new objects at every look; they compare equal if function and class are the same.
    if found is not target and not (isinstance(getattr(func, "__self__", None), type) and found == target):
        raise ValueError(
            f"{callable_name(func)} cannot be stored: {reference!r} is another object ({_shown(found)}). Was the function "
            "replaced by a decorator or defined twice? Give the one that the module holds under this name"
        )
    return reference


def resolve_reference(reference: str) -> Any:
    """The object that "module:qualname" names; its module is imported if need be.

    Importing runs user code: never call this under a lock or inside a transaction. Raises ValueError for text that is no
    reference, UnresolvableReferenceError (a LookupError) if the module or the attribute is not there. Whatever the
    module raises while it is imported, SystemExit included, becomes an UnresolvableReferenceError too.
    """
    module_name, qualname = split_reference(reference)
    found: Any = imported_module(reference, module_name)
    passed = module_name
    for name in qualname.split("."):
        found = attribute_of(found, reference, passed, name)
        passed = f"{passed}.{name}"
    return found


def imported_module(reference: str, module_name: str) -> Any:
    """The module of a reference. Raises UnresolvableReferenceError."""
    try:
        # Not sys.modules: that would show a module which another thread is still importing.
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UnresolvableReferenceError(
            reference, f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def attribute_of(owner: Any, reference: str, passed: str, name: str) -> Any:
    """One step on the way to what a reference names; `passed` is the way so far. Raises UnresolvableReferenceError."""
    try:
        return getattr(owner, name)
    except Exception as error:  # a module's __getattr__ or a descriptor is user code and may raise anything
        raise UnresolvableReferenceError(reference, _missing_attribute(passed, name)) from error


def split_reference(reference: str) -> tuple[str, str]:
    """Module and qualified name of a reference; ValueError for text that cannot be one. Imports nothing."""
    module_name, colon, qualname = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    if not colon or not _is_dotted(module_name) or not _is_dotted(qualname):
        raise ValueError(
            f"{reference!r} is not a reference: expected 'package.module:function' or 'package.module:Class.method'"
        )
    return module_name, qualname


def is_main_reference(reference: str) -> bool:
    """Whether this names something of the program's main file, which only this program can run."""
    return reference.startswith(f"{MAIN_MODULE}:")


def callable_name(func: Any) -> str:
    """A name for people: the qualified name of a function, "Class.method" for a method, never an error."""
    while isinstance(func, partial):
        func = func.func
    if isinstance(func, MethodType):
        owner = func.__self__ if isinstance(func.__self__, type) else type(func.__self__)
        return f"{owner.__qualname__}.{getattr(func, '__name__', '?')}"
    name = getattr(func, "__qualname__", None) or getattr(func, "__name__", None)
    return name if isinstance(name, str) else type(func).__qualname__


def check_callable_args(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise ValueError if `func(*args, **kwargs)` could not be called, naming the argument that is missing or too much.

    A callable without a signature (some builtins) is accepted. What decorators wrap is not looked through: the wrapper is
    what will be called, and it may well supply an argument itself.
    """
    if not callable(func):
        raise ValueError(f"expected a callable, got {_shown(func)}")
    plain: Any = func
    given = len(args)
    if type(func) is MethodType:
        plain = func.__func__
        given += 1
    # The way of nearly all jobs. It reads the code object, which costs a tenth of inspect.signature().bind().
    if not kwargs and type(plain) is FunctionType:
        code = plain.__code__
        takes = code.co_argcount
        if (
            takes - len(plain.__defaults__ or ()) <= given
            and (given <= takes or code.co_flags & inspect.CO_VARARGS)
            and code.co_kwonlyargcount == len(plain.__kwdefaults__ or ())
        ):
            return
    signature = _signature(func)
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        problems = list(_problems(signature, args, kwargs)) or [str(error)]
        raise ValueError(
            f"{callable_name(func)}() cannot be called with these args and kwargs: {'; '.join(problems)}"
        ) from None


# Keyed by the plain function or the class; a method bound to something has a signature of its own (without `self`).
_signatures: WeakKeyDictionary[Any, Signature | None] = WeakKeyDictionary()
_method_signatures: WeakKeyDictionary[Any, Signature | None] = WeakKeyDictionary()


def _signature(func: Any) -> Signature | None:
    """The signature without looking through decorators, kept for functions and classes; None if there is none."""
    bound = type(func) is MethodType
    key, cache = (func.__func__, _method_signatures) if bound else (func, _signatures)
    # Only keys whose hash and equality are Python's own: an instance's may be anything.
    kept = isinstance(key, FunctionType) or type(key) is type
    if kept and key in cache:
        return cache[key]
    try:
        signature = inspect.signature(func, follow_wrapped=False)
    except (ValueError, TypeError):  # a builtin that does not tell
        signature = None
    if kept:
        cache[key] = signature
    return signature


def _problems(signature: Signature, args: Sequence[Any], kwargs: Mapping[Any, Any]) -> Iterable[str]:
    """What is wrong with these arguments, one phrase each."""
    parameters = signature.parameters.values()
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    kinds = {p.kind for p in parameters}
    if len(args) > len(positional) and Parameter.VAR_POSITIONAL not in kinds:
        takes = (
            f"takes {len(positional)} positional ({_listed(p.name for p in positional)})"
            if positional
            else "takes none"
        )
        yield f"{len(args)} positional arguments are given in args, but it {takes}"
    if twice := [
        p.name
        for p in positional[: len(args)]
        if p.kind is not Parameter.POSITIONAL_ONLY and p.name in kwargs
    ]:
        yield f"given both in args and in kwargs: {_listed(twice)}"
    open_ended = Parameter.VAR_KEYWORD in kinds
    positional_only = [p.name for p in positional if p.kind is Parameter.POSITIONAL_ONLY]
    if not open_ended and (misplaced := [name for name in positional_only if name in kwargs]):
        yield f"to be given in args, not in kwargs: {_listed(misplaced)}"
    by_keyword = [
        p.name for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    for name in kwargs:
        if not isinstance(name, str):
            yield f"the names in kwargs must be text, not {_shown(name)}"
        elif not open_ended and name not in by_keyword and name not in positional_only:
            import difflib  # here: only a mistake needs it

            nearest = difflib.get_close_matches(name, by_keyword, 1)
            yield f"it has no parameter {name!r}" + (f" (did you mean {nearest[0]!r}?)" if nearest else "")
    needed = [p for p in positional[len(args) :] if p.default is Parameter.empty]
    needed += [p for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.default is Parameter.empty]
    if missing := [p.name for p in needed if p.kind is Parameter.POSITIONAL_ONLY or p.name not in kwargs]:
        yield f"missing: {_listed(missing)}"


def _names(func: Any) -> tuple[str, str]:
    """Module and qualified name under which the callable should be found; ValueError where there can be none."""
    if isinstance(func, partial | partialmethod):
        raise ValueError(
            f"a functools.{type(func).__name__} of {callable_name(func.func)} cannot be stored: "
            "give the function itself, and what was bound as args= and kwargs="
        )
    if not callable(func):
        raise ValueError(f"expected a callable, got {_shown(func)}")
    module: Any
    qualname: Any
    owner = getattr(func, "__self__", None)
    if isinstance(func, MethodType) and not isinstance(owner, type):
        owner = type(owner)
    if isinstance(owner, type):
        # The class it was taken from, not the one that defines it: an inherited classmethod must find its class again.
        module, qualname = owner.__module__, f"{owner.__qualname__}.{getattr(func, '__name__', None)}"
    else:
        module, qualname = getattr(func, "__module__", None), getattr(func, "__qualname__", None)
    if module is None and isinstance(defining := getattr(func, "__objclass__", None), type):
        module = defining.__module__  # str.upper and its like
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise ValueError(
            f"{_shown(func)} has no module and name to be found by, so it cannot be stored: give a function at the top level "
            "of a module, or the text 'module:name' if a module holds this object"
        )
    if "<lambda>" in qualname:
        raise ValueError(_nameless(f"the lambda {qualname!r} of module {module!r}"))
    if "<locals>" in qualname:
        raise ValueError(_nameless(f"{qualname!r} of module {module!r}, defined inside a function,"))
    return module, qualname


def _nameless(what: str) -> str:
    return (
        f"{what} cannot be stored, since no other process could find it: define a function at the top level of an importable "
        "module (the memory job store keeps it as it is)"
    )


def _missing_attribute(owner: str, name: str) -> str:
    if owner.partition(".")[0] == MAIN_MODULE:
        return (
            f"this program's main file has no {name!r}. A function of the main file can be run by that program only: "
            "move it to a module that every process can import"
        )
    return f"{owner} has no attribute {name!r}. Was it renamed, moved or removed, or is an older version deployed here?"


def _is_dotted(text: str) -> bool:
    return text.isidentifier() or ("." in text and all(part.isidentifier() for part in text.split(".")))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _shown(value: Any) -> str:
    """The kind of an object, for a message: its repr may be long, secret or broken."""
    kind = type(value)
    return f"an object of type {kind.__module__}.{kind.__qualname__}"
