"""The kinds of reasons that `explain_job` gives are those that docs/runs.md lists."""

import ast
import re
from collections.abc import Iterator

from tests.docs.blocks import ROOT

# Where a kind is not written in the call, but chosen before it.
CHOSEN = {"skipped", "missed", "outage", "not_opened", "owner_gone"}


def kinds_in_the_source() -> Iterator[str]:
    for path in sorted((ROOT / "scheduler" / "explaining").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason":
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    yield str(kind.value)
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_WAITING":
                assert isinstance(node.value, ast.Dict)
                yield from (str(ast.literal_eval(value)) for value in node.value.values)


def kinds_on_the_page() -> set[str]:
    text = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    table = text.partition("| about | `kind` |")[2].partition("\n\n")[0]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("|")]
    return {
        word
        for row in rows
        for word in re.findall(r"`(\w+)`", re.sub(r"\([^()]*\)", "", row))  # what stands in brackets explains
    }


def test_the_page_lists_every_kind_of_reason_and_no_other() -> None:
    assert kinds_on_the_page() == {*kinds_in_the_source(), *CHOSEN}


def test_kinds_are_found() -> None:
    assert {"paused", "retry", "lease_over"} <= set(kinds_in_the_source())
