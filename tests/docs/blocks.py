"""The fenced blocks of the documentation: the programs in it, and what each of them is said to print."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAMS = ("python", "python postgresql", "python mariadb", "python redis", "python mongodb")
"""What stands behind the fences of programs that run: perhaps with the kind of server that they need."""

_FENCE = re.compile(r"^( *)(```+)([^\n`]*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block. `info` is what stands behind its fence: "python", "python no-run", "python postgresql", "text", "sh"."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Program:
    """A block that runs, and the text block behind it, if there is one: what it prints, `...` for anything."""

    block: Block
    prints: str | None

    @property
    def server(self) -> str:
        """The kind of server that it needs, as behind its fence; "" for none."""
        return self.block.info.removeprefix("python").strip()

    def __str__(self) -> str:
        return str(self.block)


def pages() -> list[Path]:
    """The README and everything in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order. Raises ValueError for one that is not closed."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    body: list[str] = []
    name = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, body = (number, fence[2], fence[3].strip()), []
        elif fence and fence[2] == opened[1] and not fence[3].strip():
            found.append(Block(name, opened[0], opened[2], "\n".join(body) + "\n"))
            opened = None
        else:
            body.append(line)
    if opened is not None:
        raise ValueError(f"{name}:{opened[0]}: the block is not closed")
    return found


def programs(page: Path) -> list[Program]:
    """The blocks marked as programs to run, each with the block marked "text" that follows it as the next one, if there is one."""
    return [
        Program(block, following.text if following is not None and following.info == "text" else None)
        for block, following in pairwise([*blocks(page), None])
        if block is not None and block.info in PROGRAMS
    ]


def as_pattern(prints: str) -> re.Pattern[str]:
    """What a text block says as a regular expression for the whole output: `...` stands for anything, also for nothing."""
    return re.compile(".*?".join(map(re.escape, prints.strip().split("..."))), re.DOTALL)
