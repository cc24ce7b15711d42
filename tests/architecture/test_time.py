"""Nobody but events/clock.py reads the time: everywhere else a clock is an argument."""

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import FILES, short

CLOCKS = {
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
    *(
        f"time.{name}"
        for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    ),
    *(
        f"time.{name}_ns"
        for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    ),
    *(
        f"time.{name}" for name in ("localtime", "gmtime", "ctime", "asctime", "strftime")
    ),  # the present by default
    "dateutil.utils.today",
    "os.times",
}


def reads_of_the_time(source: str) -> list[str]:
    """Each place of `source` that names a function of `CLOCKS`: called, or handed on to be called."""
    tree = ast.parse(source)
    origin: dict[str, str] = {}  # local name -> what it was imported from
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds a, `import a.b as c` binds c to a.b
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                origin[alias.asname or name] = name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                origin[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                if alias.name == "*" and any(clock.startswith(f"{node.module}.") for clock in CLOCKS):
                    found.append(f"line {node.lineno}: from {node.module} import * hides what reads the time")

    def dotted(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return origin.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return f"{dotted(node.value)}.{node.attr}"
        return ""

    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and dotted(node) in CLOCKS:
            found.append(f"line {node.lineno}: {dotted(node)}")
    return found


@pytest.mark.parametrize("path", [path for path in FILES if short(path) != "events/clock.py"], ids=short)
def test_no_module_reads_the_time(path: Path) -> None:
    assert reads_of_the_time(path.read_text("utf-8")) == []


def test_the_clock_module_does() -> None:
    [clock] = [path for path in FILES if short(path) == "events/clock.py"]
    assert {found.partition(": ")[2] for found in reads_of_the_time(clock.read_text("utf-8"))} == {
        "datetime.datetime.now",
        "time.clock_gettime",
        "time.monotonic",
        "time.time_ns",
    }


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime as dt\ndt.utcnow()", "datetime.datetime.utcnow"),
        ("import datetime\ndatetime.datetime.now(tz)", "datetime.datetime.now"),
        ("import datetime as d\nd.date.today()", "datetime.date.today"),
        ("import time\nx = time.time()", "time.time"),
        ("import time as t\nx = t.monotonic", "time.monotonic"),
        ("from time import monotonic as elapsed\nelapsed()", "time.monotonic"),
        ("def f():\n    import time\n    return time.perf_counter_ns()", "time.perf_counter_ns"),
        (
            "class A:\n    clock = staticmethod(__import__)\nimport time\nA.clock = time.clock_gettime",
            "time.clock_gettime",
        ),
        ("from dateutil.utils import today\ntoday()", "dateutil.utils.today"),
        ("import os\nos.times()", "os.times"),
        ("from time import *", "hides"),
    ],
)
def test_a_read_of_the_time_is_seen(source: str, read: str) -> None:
    [found] = reads_of_the_time(source)
    assert read in found


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndatetime(2026, 3, 1)\ndatetime.fromisoformat(s)",
        "def f(clock):\n    return clock.now(), clock.monotonic()",
        "import os\nos.path.join(a, b)",
        "time = 3\nx.time.time",
    ],
)
def test_what_only_looks_like_it_is_let_pass(source: str) -> None:
    assert reads_of_the_time(source) == []
