"""Make what a store keeps its nodes in, or find that it is there and understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kazoo.exceptions import NodeExistsError

from ..errors import JobStoreError
from ..recordlines import to_bytes
from .calls import create, get, transaction
from .layout import LAYOUT, Layout
from .link import Link
from .writing import refusal

_PORTION: Final = 200


def open_layout(link: Link, paths: Layout) -> None:
    """Make the folders, if they are not there. Raises JobStoreError, also for a layout of a later version of the library."""
    (found,) = link.ask([get(paths.version)])
    if found is None:
        _make(link, paths)
        (found,) = link.ask([get(paths.version)])
    version = b"" if found is None else found[0]
    if version != to_bytes(LAYOUT):
        shown = version[:40].decode("ascii", "replace")
        raise JobStoreError(
            f"{link}: the jobs below {paths.path} are kept in layout {shown}, and this version of the library knows layout {LAYOUT}: "
            "upgrade it, or give another path"
        )


def _make(link: Link, paths: Layout) -> None:
    try:
        link.client().ensure_path(paths.path)
    except JobStoreError:
        raise
    except Exception as error:
        raise link.translated(error) from error
    folders = [*paths.folders()]
    # As few transactions as fit into messages of the server's, which syncs its disk for each.
    for start in range(0, len(folders), _PORTION):
        _create(link, folders[start : start + _PORTION])
    # Last: where it is, all the others are.
    _create(link, [paths.version], to_bytes(LAYOUT))


def _create(link: Link, nodes: Sequence[str], data: bytes = b"") -> None:
    """Make nodes, unless somebody has just made them."""
    (answer,) = link.wait(link.begin([transaction([("create", path, data) for path in nodes])])[1])
    refused = (0, answer) if isinstance(answer, Exception) else refusal(answer)
    if refused is None:
        return
    if not isinstance(refused[1], NodeExistsError):
        raise link.translated(refused[1]) from refused[1]
    for answer in link.wait(link.begin([create(path, data) for path in nodes])[1]):
        if isinstance(answer, Exception) and not isinstance(answer, NodeExistsError):
            raise link.translated(answer) from answer
