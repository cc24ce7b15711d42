"""Imports between the rooms run downward only, are relative, and bring no optional dependency along."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import FILES, ROOMS, ROOT, module_of, short

BELOW = {
    "events": set[str](),
    "triggers": set[str](),
    "jobstores": {"triggers", "events"},
    "executors": {"events"},
    "scheduler": {"jobstores", "executors", "triggers", "events"},
}
"""What each room may import, under TYPE_CHECKING and inside functions too."""

OPTIONAL = {
    "sqlalchemy",
    "psycopg",
    "pymysql",
    "redis",
    "pymongo",
    "bson",
    "kazoo",
    "tornado",
    "twisted",
    "gevent",
}

SELDOM = {
    "asyncio",
    "multiprocessing",
    "pickle",
    "tempfile",
    "mainspring.jobstores.migration",
    "mainspring.jobstores.serialization.serializer",
    "mainspring.jobstores.transfer",
    "mainspring.scheduler.explaining.answering",
    "mainspring.scheduler.moving.mover",
}
"""What takes long to load, and a scheduler with jobs in memory does not need."""


def imported(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str, bool]]:
    """Line, absolute name, and whether it was written relatively, of everything that `source` imports."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names = [*base, node.module] if node.module else base
            # `from .. import events` and `from mainspring import events` name a room, too
            for alias in node.names:
                yield node.lineno, ".".join([*names, alias.name]), node.level > 0


def wrong_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of `source`, the text of `module`."""
    room = module.split(".")[1]
    found = []
    for line, name, relative in imported(source, module, is_package):
        parts = name.split(".")
        if not relative and (parts[0] == "mainspring" or parts[0] in ROOMS):
            found.append(f"line {line}: {name} must be imported relatively (from ..events import …)")
        elif relative and parts[0] != "mainspring":
            found.append(f"line {line}: {name} lies above mainspring")
        elif relative and parts[1] != room and parts[1] not in BELOW[room]:
            found.append(f"line {line}: {room} may not import {parts[1]}")
    return found


@pytest.mark.parametrize("path", FILES, ids=short)
def test_imports_run_downward(path: Path) -> None:
    assert wrong_arrows(path.read_text("utf-8"), module_of(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("mainspring.events.clock", "from ..triggers import BaseTrigger", "events may not import triggers"),
        ("mainspring.triggers.base", "from .. import events", "triggers may not import events"),
        (
            "mainspring.executors.base",
            "from ..jobstores.job import Job",
            "executors may not import jobstores",
        ),
        ("mainspring.jobstores.base", "from ..scheduler import loop", "jobstores may not import scheduler"),
        (
            "mainspring.executors.base",
            "def f():\n    from ..jobstores import Job",
            "line 2: executors may not",
        ),
        (
            "mainspring.executors.base",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..jobstores.job import Job",
            "line 3: executors may not import jobstores",
        ),
        ("mainspring.scheduler.base", "import mainspring.events", "must be imported relatively"),
        ("mainspring.scheduler.base", "from mainspring import events", "must be imported relatively"),
        ("mainspring.scheduler.base", "import events", "must be imported relatively"),
        ("mainspring.scheduler.base", "from ...events import Clock", "above mainspring"),
        (
            "mainspring.jobstores.sql.base",
            "from ...scheduler import loop",
            "jobstores may not import scheduler",
        ),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str, fault: str) -> None:
    [found] = wrong_arrows(source, module)
    assert fault in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "mainspring.scheduler.base",
            "from ..jobstores.job import Job\nfrom ..executors import base\nfrom .loop import run",
        ),
        ("mainspring.jobstores.sql.base", "from ...triggers import BaseTrigger\nfrom ..job import Job"),
        (
            "mainspring.executors.base",
            "from ..events import Clock\nimport threading\nfrom concurrent import futures",
        ),
    ],
)
def test_a_right_import_is_let_pass(module: str, source: str) -> None:
    assert wrong_arrows(source, module) == []


def test_a_package_is_its_own_starting_point() -> None:
    assert (
        wrong_arrows("from .clock import Clock\nfrom . import codes", "mainspring.events", is_package=True)
        == []
    )
    assert wrong_arrows("from ..triggers import date", "mainspring.events", is_package=True) != []


@pytest.mark.parametrize("room", ROOMS)
def test_no_second_copy_under_the_folders_own_name(room: str) -> None:
    # A program started at the repository's root sees the folders as packages: `import events` must not work there, or
    # the same event would exist as two classes.
    ran = subprocess.run(
        [sys.executable, "-c", f"import {room}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode != 0
    assert "ImportError" in ran.stderr


def test_the_library_starts_without_optional_dependencies() -> None:
    # whoever does not use a database or another event loop does not pay for importing one
    program = f"""
import importlib, sys
for name in {[f"mainspring.{room}" for room in ROOMS] + ["mainspring.scheduler.background"]}:
    importlib.import_module(name)
print(*sorted({OPTIONAL} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []


def test_what_few_programs_use_is_loaded_when_they_do() -> None:
    program = f"import mainspring.scheduler.background, sys; print(*sorted({SELDOM} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []
