"""References: what can be named comes back as the same object, what cannot is refused with advice; arguments are checked early."""

import collections
import datetime
import functools
import math
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mainspring.jobstores.serialization.references import (
    UnresolvableReferenceError,
    callable_name,
    callable_reference,
    check_callable_args,
    is_main_reference,
    resolve_reference,
)


def plain() -> None: ...


def decorate(func: Callable[[], None]) -> Callable[[], None]:
    @functools.wraps(func)
    def wrapper() -> None:
        func()

    return wrapper


@decorate
def decorated() -> None: ...


class Base:
    @classmethod
    def make(cls) -> type:
        return cls


class Outer(Base):
    class Inner:
        def method(self) -> None: ...

        @staticmethod
        def static() -> None: ...

        @classmethod
        def build(cls) -> None: ...

    def method(self, path: str) -> None: ...

    def __call__(self) -> None: ...


instance = Outer()


@pytest.mark.parametrize(
    ("func", "qualname"),
    [
        (plain, "plain"),
        (decorated, "decorated"),
        (Outer, "Outer"),
        (Outer.Inner, "Outer.Inner"),
        (Outer.method, "Outer.method"),
        (Outer.Inner.method, "Outer.Inner.method"),
        (Outer.Inner.static, "Outer.Inner.static"),
        (Outer.Inner.build, "Outer.Inner.build"),
        (Outer.make, "Outer.make"),
    ],
)
def test_a_callable_of_a_module_comes_back(func: Any, qualname: str) -> None:
    reference = callable_reference(func)
    assert reference == f"{__name__}:{qualname}"
    assert resolve_reference(reference) == func


@pytest.mark.parametrize(
    ("func", "reference"),
    [
        (math.sin, "math:sin"),
        (len, "builtins:len"),
        (datetime.datetime.now, "datetime:datetime.now"),
        (str.upper, "builtins:str.upper"),
        (collections.OrderedDict, "collections:OrderedDict"),
    ],
)
def test_builtins_come_back(func: Any, reference: str) -> None:
    assert callable_reference(func) == reference
    assert resolve_reference(reference) == func


def test_an_inherited_classmethod_finds_its_own_class_again() -> None:
    assert resolve_reference(callable_reference(Outer.make))() is Outer


def test_a_bound_method_is_named_by_its_class_and_resolves_to_the_plain_function() -> None:
    reference = callable_reference(instance.method)
    assert reference == f"{__name__}:Outer.method"
    assert resolve_reference(reference) is Outer.method


def test_a_method_that_hides_the_one_of_its_class_is_refused() -> None:
    hidden = Outer()
    hidden.method = types.MethodType(lambda self: None, hidden)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="lambda"):
        callable_reference(hidden.method)


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("func", "says"),
    [
        (lambda: None, "lambda .*top level of an importable module"),
        (nested(), "inner.*inside a function.*top level"),
        (functools.partial(plain), "partial of plain .*args= and kwargs="),
        (instance, "no module and name.*'module:name'"),
        ([].append, "no module and name"),
        ("plain", "expected a callable, got an object of type builtins.str"),
        (decorated.__wrapped__, "another object"),  # type: ignore[attr-defined]
    ],
)
def test_what_has_no_name_is_refused_with_advice(func: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        callable_reference(func)


def test_a_function_whose_module_is_gone_is_refused() -> None:
    module = types.ModuleType("gone_for_this_test")
    exec("def job(): pass", vars(module))
    with pytest.raises(ValueError, match="gone_for_this_test"):
        callable_reference(vars(module)["job"])


def test_a_function_of_the_main_file_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("__main__")
    exec("def job(): pass", vars(module))
    monkeypatch.setitem(sys.modules, "__main__", module)
    reference = callable_reference(vars(module)["job"])
    assert reference == "__main__:job"
    assert is_main_reference(reference)
    assert not is_main_reference(callable_reference(plain))
    with pytest.raises(LookupError, match=r"main file has no 'other'.*move it to a module"):
        resolve_reference("__main__:other")


@pytest.mark.parametrize(
    "text", ["", "json", "json:", ":dumps", "json.dumps", "json:a b", ".json:x", "json:x.", "a:b:c", "a\0:b"]
)
def test_text_that_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a reference: expected 'package\.module:function'"):
        resolve_reference(text)


def test_a_missing_module_and_a_missing_attribute_are_named() -> None:
    with pytest.raises(UnresolvableReferenceError, match="'no_such_module' cannot be imported") as caught:
        resolve_reference("no_such_module:f")
    assert caught.value.reference == "no_such_module:f"
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(LookupError, match="json has no attribute 'dump_it'"):
        resolve_reference("json:dump_it")
    with pytest.raises(LookupError, match=r"json\.JSONDecoder has no attribute 'x'"):
        resolve_reference("json:JSONDecoder.x.y")


@pytest.mark.parametrize("line", ["1/0", "raise SystemExit(3)", "this is not Python"])
def test_whatever_a_module_raises_while_imported_is_a_lookup_error(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"raises_while_imported_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnresolvableReferenceError, match=f"{name}.*cannot be imported"):
        resolve_reference(f"{name}:job")


def test_a_module_whose_getattr_raises_is_a_lookup_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("odd_getattr")
    vars(module)["__getattr__"] = lambda name: {}[name]
    monkeypatch.setitem(sys.modules, "odd_getattr", module)
    with pytest.raises(UnresolvableReferenceError, match="odd_getattr has no attribute 'job'"):
        resolve_reference("odd_getattr:job")


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (plain, "plain"),
        (instance.method, "Outer.method"),
        (Outer.make, "Outer.make"),
        (functools.partial(functools.partial(plain)), "plain"),
        (instance, "Outer"),
        (Outer.Inner, "Outer.Inner"),
        (len, "len"),
    ],
)
def test_names_for_people(func: Any, name: str) -> None:
    assert callable_name(func) == name


def takes(path: str, mode: str = "r", /, *, recipient: str, subject: str = "") -> None: ...


def takes_two(first: int, second: int) -> None: ...


def takes_all(first: int, *rest: int, **more: int) -> None: ...


def keyword_defaults(*, a: int = 1, b: int = 2) -> None: ...


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (plain, (), {}),
        (takes, ("a",), {"recipient": "x"}),
        (takes, ("a", "b"), {"recipient": "x", "subject": "y"}),
        (takes_two, (1, 2), {}),
        (takes_two, (1,), {"second": 2}),
        (takes_two, (), {"first": 1, "second": 2}),
        (takes_all, (1, 2, 3), {"x": 1}),
        (keyword_defaults, (), {}),
        (instance.method, ("a",), {}),
        (instance.method, (), {"path": "a"}),
        (Outer.method, (instance, "a"), {}),
        (Outer.Inner.build, (), {}),
        (instance, (), {}),
        (Outer, (), {}),
        (functools.partial(takes_two, 1), (2,), {}),
        (print, (1, 2), {"sep": ""}),
        (min, (1,), {"anything": 1}),  # has no signature that Python could tell
        (os.getpid, (), {}),
    ],
)
def test_arguments_that_fit_are_accepted(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for _ in range(2):  # the second time from the cache
        check_callable_args(func, args, kwargs)


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "says"),
    [
        (
            plain,
            (1,),
            {},
            r"plain\(\) cannot be called.*1 positional arguments are given in args, but it takes none",
        ),
        (takes_two, (), {}, "missing: 'first', 'second'"),
        (takes_two, (1,), {}, "missing: 'second'"),
        (
            takes_two,
            (1, 2, 3),
            {},
            "3 positional arguments are given in args, but it takes 2 .*'first', 'second'",
        ),
        (takes_two, (1,), {"first": 2}, "given both in args and in kwargs: 'first'; missing: 'second'"),
        (takes_two, (1,), {"secnod": 2}, "no parameter 'secnod' .did you mean 'second'.*missing: 'second'"),
        (
            takes,
            (),
            {"path": "a", "recipient": "b"},
            "to be given in args, not in kwargs: 'path'; missing: 'path'",
        ),
        (takes, ("a",), {}, "missing: 'recipient'"),
        (instance.method, (), {}, r"Outer\.method\(\).*missing: 'path'"),
        (instance.method, ("a", "b"), {}, "2 positional arguments .* takes 1 positional .'path'"),
        (Outer.method, (), {}, "missing: 'self', 'path'"),
        (functools.partial(takes_two, 1), (2, 3), {}, "2 positional"),
        (keyword_defaults, (1,), {}, "takes none"),
        (takes_all, (1,), {1: 2}, "names in kwargs must be text"),
        (3, (), {}, "expected a callable, got an object of type builtins.int"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    func: Any, args: tuple[Any, ...], kwargs: dict[Any, Any], says: str
) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=says):
            check_callable_args(func, args, kwargs)


def test_a_method_and_its_function_have_signatures_of_their_own() -> None:
    check_callable_args(Outer.method, (instance,), {"path": "a"})
    check_callable_args(instance.method, (), {"path": "a"})
    check_callable_args(Outer.method, (instance,), {"path": "a"})


def test_what_a_decorator_supplies_is_not_asked_for() -> None:
    def needs_session(session: object) -> None: ...

    @functools.wraps(needs_session)
    def wrapper() -> None:
        needs_session(object())

    check_callable_args(wrapper, (), {})
