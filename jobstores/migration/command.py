"""The command `python -m mainspring.jobstores.migrate`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import unquote, urlsplit

from ..errors import JobStoreError
from ..transfer import JobImportError, Progress
from .migrating import migrate
from .oldstore import OldStoreError
from .report import JobOutcome, MigrationRefusedError, MigrationReport

__all__ = ["main"]

DONE: Final = 0
REFUSED: Final = 1
WRONG: Final = 2
FAILED: Final = 3
INTERRUPTED: Final = 130
"""What shells make of Ctrl-C."""

_DESCRIPTION = """\
Take the jobs of an APScheduler 3 job store over into one of mainspring's. Without --write it only reports what would come of it. The old
store is only read. Stop the programs that use it first.
"""
_EPILOG = """\
URLs: sqlite:///file, postgresql+psycopg://user:password@host/database, mysql+pymysql://..., redis://host:port/db, mongodb://host/database,
zookeeper://host:port/path; or env:NAME, for a URL that stands in the environment variable NAME: others on this machine can read the
arguments of a process, passwords included.
Exit codes: 0 done, or all can be taken; 1 some cannot be taken, and nothing was written; 2 wrong arguments; 3 a store cannot be
reached or failed; 130 interrupted.
"""
# Options of the old store's place and of the new one's, by the names that APScheduler's constructors have for them.
_OLD = ("tablename", "tableschema", "jobs_key", "run_times_key", "database", "collection", "path")
_NEW = ("tablename", "tableschema", "jobs_key", "database", "collection", "path")


def main(argv: Sequence[str] | None = None, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Run the command, and answer its exit code."""
    output, errors = out or sys.stdout, err or sys.stderr
    parser = _parser()
    args = parser.parse_args(argv)
    secrets: list[str] = []
    try:
        source, target = _url(args.source, secrets), _url(args.target, secrets) if args.target else None
        options = _target_options(args, secrets)
        if target is None and (args.write or options):
            parser.error(
                "--write and options of the new store need the new store: give it behind the old one"
            )
        progress = None if args.quiet or (not errors.isatty() and args.json) else _Progress(errors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what stores say of single jobs stands in the report
            report = migrate(
                source,
                target,
                dry_run=not args.write,
                allow=args.allow,
                rename=dict(_renamed(parser, pair) for pair in args.rename),
                check_callables=args.check_callables,
                skip_refused=args.skip_refused,
                on_conflict=args.on_conflict,
                source_options=_given(args, "old", _OLD),
                target_options=options,
                on_progress=progress,
                on_outcome=_json_lines(output) if args.json else None,
            )
    except MigrationRefusedError as error:
        report = error.report
    except (JobStoreError, OldStoreError, OSError) as error:
        return _failed(errors, FAILED, error, secrets)
    except (JobImportError, ImportError) as error:
        return _failed(errors, FAILED, error, secrets)
    except (TypeError, ValueError, LookupError) as error:
        return _failed(errors, WRONG, error, secrets)
    except KeyboardInterrupt as error:
        again = "Call it again: what it may have begun is finished then, or undone. If all ids are taken then, it had written everything."
        notes = getattr(error, "__notes__", [again])
        errors.write("\n".join(["Interrupted. The old store is as it was.", *notes, ""]))
        return INTERRUPTED
    _show(report, output, args)
    return REFUSED if report.refused and not (report.written or args.skip_refused) else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mainspring.jobstores.migrate",
        usage="%(prog)s [options] source [target]",  # all of them would hide what is said below it
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="the old job store: a URL, or env:NAME")
    parser.add_argument(
        "target", nargs="?", help="the new job store: a URL, or env:NAME; a first dry run needs none"
    )
    parser.add_argument("--write", action="store_true", help="write the jobs; otherwise only report")
    parser.add_argument(
        "--skip-refused",
        action="store_true",
        help="leave out the jobs that cannot be taken, and take the others",
    )
    parser.add_argument(
        "--on-conflict",
        choices=("error", "skip"),
        default="error",
        help="jobs whose ids are taken in the new store (default: error)",
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="NAME",
        help="a module ('shop') or class ('shop.models:Order') that arguments may hold: it is imported, and called with what the "
        "old store says (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--rename", action="append", default=[], metavar="OLD=NEW",
        help="a module ('shop.tasks=shop.jobs') or reference that has moved (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--check-callables",
        action="store_true",
        help="import each job's function, and check that it takes the arguments",
    )
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON for each job, and one for the whole"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing of the progress")
    for store, names in (("old", _OLD), ("new", _NEW)):
        for name in names:
            shown = f"--{store}-{name.replace('_', '-')}"
            parser.add_argument(shown, metavar="NAME", help=f"{name} of the {store} store")
    parser.add_argument("--serializer", choices=("json", "pickle"), help="of the new store (default: json)")
    parser.add_argument(
        "--allowed-callables",
        action="append",
        default=[],
        metavar="NAME",
        help="of the new store: the modules and functions that jobs may call; others are refused (repeatable)",
    )
    parser.add_argument(
        "--signing-key-env",
        action="append",
        default=[],
        metavar="NAME",
        help="an environment variable with a signing key",
    )
    parser.add_argument(
        "--signing-key-file", action="append", default=[], metavar="FILE", help="a file with a signing key"
    )
    return parser


def _url(text: str, secrets: list[str]) -> str:
    if text.startswith("env:"):
        name = text.removeprefix("env:")
        try:
            text = os.environ[name]
        except KeyError:
            raise ValueError(f"there is no environment variable {name!r}") from None
    with suppress(ValueError):
        password = urlsplit(text).password
        secrets += [] if not password else [password, unquote(password)]
    return text


def _given(args: argparse.Namespace, store: str, names: Sequence[str]) -> dict[str, Any]:
    found = {name: getattr(args, f"{store}_{name}") for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _target_options(args: argparse.Namespace, secrets: list[str]) -> dict[str, Any]:
    options = _given(args, "new", _NEW)
    if args.serializer:
        options["serializer"] = args.serializer
    if args.allowed_callables:
        options["allowed_callables"] = args.allowed_callables
    keys: list[str | bytes] = [_key_in_environment(name) for name in args.signing_key_env]
    keys += [_key_in_file(file) for file in args.signing_key_file]
    if keys:
        secrets += [key if isinstance(key, str) else key.decode(errors="replace") for key in keys]
        options["signing_keys"] = keys
    return options


def _key_in_environment(name: str) -> str:
    key = os.environ.get(name)
    if not key:
        raise ValueError(f"there is no signing key in the environment variable {name!r}")
    return key


def _key_in_file(file: str) -> bytes:
    try:
        key = Path(file).read_bytes().rstrip(b"\r\n")  # a newline at its end is the editor's
    except OSError as error:
        raise ValueError(f"the signing key cannot be read from {file!r}: {error.strerror}") from error
    if not key:
        raise ValueError(f"there is no signing key in the file {file!r}: it is empty")
    return key


def _renamed(parser: argparse.ArgumentParser, pair: str) -> tuple[str, str]:
    old, equals, new = pair.partition("=")
    if not equals:
        parser.error(f"--rename {pair!r}: expected OLD=NEW, such as shop.tasks=shop.jobs")
    return old, new


def _failed(errors: TextIO, code: int, error: BaseException, secrets: list[str]) -> int:
    text = str(error)
    for secret in secrets:
        text = text.replace(secret, "***")
    errors.write(f"{text}\n")
    return code


def _json_lines(output: TextIO) -> Callable[[JobOutcome], object]:
    return lambda outcome: output.write(f"{json.dumps(outcome.as_dict())}\n")


def _show(report: MigrationReport, output: TextIO, args: argparse.Namespace) -> None:
    if args.json:
        output.write(f"{json.dumps({'summary': report.as_dict()})}\n")
        return
    output.write(f"{report}\n\n")
    if not report.jobs:
        output.write(
            "The old store has no jobs. Is it another place that they are in? The --old-... options say where it is.\n"
        )
    elif report.written:
        written = "Written" if report.taken else "There was nothing to write"
        output.write(f"{written}. The old store is as it was.\n")
    elif report.dry_run:
        output.write(
            "This was a dry run: no job was written. --write takes them over"
            f"{', with --skip-refused all but those that cannot be taken' if report.refused and not args.skip_refused else ''}.\n"
        )
    else:
        output.write("Nothing was written. --skip-refused leaves out what cannot be taken.\n")


class _Progress:
    """Tells how far it is: a line that is written over on a terminal; elsewhere one line for every tenth."""

    def __init__(self, errors: TextIO) -> None:
        self._errors = errors
        self._over = errors.isatty()
        self._told: tuple[str, int] = ("", 0)

    def __call__(self, progress: Progress) -> None:
        total = progress.total or 0
        tenth = progress.done * 10 // total if total else 0
        is_last = total > 0 and progress.done >= total
        # Short ones are over before anybody could read it.
        if total < 2_000 or (not self._over and (progress.phase, tenth) == self._told):
            return
        self._told = (progress.phase, tenth)
        line = f"{progress.phase}: {progress.done:,} of {total:,} jobs"
        self._errors.write(f"\r{line}\x1b[K{chr(10) if is_last else ''}" if self._over else f"{line}\n")
        self._errors.flush()
