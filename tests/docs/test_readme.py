"""Every program in the README and in docs/ runs as it stands there, and prints what the block behind it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import blocks as fenced
from tests.docs.blocks import ROOT, Program, as_pattern, blocks, pages, programs
from tests.servers import Server

CHECKOUT = ROOT / "tests" / "checkout"
PROGRAMS = [program for page in pages() for program in programs(page)]

# Every kind of block there is; another one is a slip that would keep a program from being run.
KINDS = {*fenced.PROGRAMS, "python no-run", "text", "sql", "sh", ""}

# What the pages write where a reader has a server of his own.
URLS = {
    "postgresql": "postgresql+psycopg://user:password@host/database",
    "mariadb": "mysql+pymysql://user:password@host/database",
    "redis": "redis://host:6379/0",
    "mongodb": "mongodb://host:27017/",
}


def text_of(program: Program, request: pytest.FixtureRequest) -> str:
    """The program, with the URL of the test session's server if it needs one."""
    text = program.block.text
    if program.server:
        server: Server = request.getfixturevalue(
            {"redis": "redis_server", "mongodb": "mongodb_server"}.get(program.server, program.server)
        )
        assert URLS[program.server] in text, f"{program} does not name {URLS[program.server]}"
        text = text.replace(URLS[program.server], server.url)
    return text


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_the_program_runs_and_prints_what_is_said(
    program: Program, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    script = tmp_path / "program.py"
    # Empty lines before it, so that a traceback names the line of the page.
    script.write_text("\n" * program.block.line + text_of(program, request), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{program}:\n{done.stdout}{done.stderr}"
    if program.prints is not None:
        pattern = as_pattern(program.prints)
        assert pattern.fullmatch(done.stdout.strip()), f"{program} printed:\n{done.stdout}{done.stderr}"


def test_no_program_finds_what_another_one_has_left() -> None:
    """Whoever tries one after the other in one folder sees what the pages say."""
    files: dict[str, set[str]] = {}
    for program in PROGRAMS:
        for file in re.findall(r"[\w.-]+\.sqlite\b", program.block.text):
            files.setdefault(file, set()).add(str(program))
    assert files
    assert {file: users for file, users in files.items() if len(users) > 1} == {}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_block_is_of_a_known_kind(page: Path) -> None:
    assert {block.info for block in blocks(page)} <= KINDS


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor[1:] in anchors(path), f"{page.name} links to {target}{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them: in lower case, without punctuation, hyphens for blanks."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_programs_to_run() -> None:
    assert len(PROGRAMS) >= 12
    assert any(program.block.page == "README.md" for program in PROGRAMS)


def test_the_tests_are_run_as_the_readme_says() -> None:
    """The README's second command is the one that .ci/run ends with."""
    commands = [block.text for block in blocks(ROOT / "README.md") if block.info == "sh"]
    said = re.findall(r"^\.venv/bin/python -m pytest(.*)$", "\n".join(commands), re.MULTILINE)
    ran = re.findall(r"^check pytest(.*)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(ran) == 1
    assert said == ran


def test_a_program_that_prints_something_else_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\nPrints:\n\n```text\n1 ... 3\n```\n\n```python no-run\n1/0\n```\n"
    )
    (program,) = programs(page)
    assert program.prints == "1 ... 3\n"
    assert as_pattern(program.prints).fullmatch("1 and 2\nand 3")
    assert not as_pattern(program.prints).fullmatch("1\n")
