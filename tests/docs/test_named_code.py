"""What the documentation names by file and function is there: a page that explains the source must not outlive it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages

ROOMS = "scheduler|jobstores|triggers|executors|events"

# `scheduler/loop.py` or `scheduler/loop.py:look_at` or `scheduler/port.py:Port.claim`, in backquotes.
NAMED = re.compile(rf"`((?:{ROOMS}|examples|benchmarks|tests)/[\w/]*(?:\.py)?)(?::([\w.]+))?`")


@cache
def names_in(path: Path) -> set[str]:
    """The classes, functions, methods and module-level names of a file, methods as "Class.method"."""
    names: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    collect(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return names


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_files_and_functions_that_are_named_exist(page: Path) -> None:
    for file, name in NAMED.findall(page.read_text(encoding="utf-8")):
        path = ROOT / file
        assert path.exists(), f"{page.name} names {file}"
        assert not name or name in names_in(path), f"{page.name} names {file}:{name}"


def test_the_pages_name_code() -> None:
    found = NAMED.findall((ROOT / "docs" / "running.md").read_text(encoding="utf-8"))
    assert ("scheduler/decision.py", "decide") in found


def test_a_name_that_is_not_there_would_be_noticed() -> None:
    names = names_in(ROOT / "scheduler" / "port.py")
    assert {"Port", "Port.claim", "BATCH"} <= names
    assert "Port.nonsense" not in names
