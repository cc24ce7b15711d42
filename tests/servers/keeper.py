"""A program that starts the servers of a test session, and sees to it that nothing is left of them when the session has ended.

However it has ended: a session that is killed cannot clean up. PR_SET_PDEATHSIG would do for one process, but it is tied to the
thread that has started the server, reaches none of the server's own children (those of PostgreSQL lead sessions of their own, so
killing a process group does not, either), and leaves the folder. So this process stands between: it makes the folder, is the
parent of all servers, adopts what they leave (PR_SET_CHILD_SUBREAPER), and when its input ends or the session's process does,
it kills all of its descendants, whatever they do or whether they are frozen, and removes the folder.

It reads one request in JSON a line and answers each with a line: the folder at first; then
`{"start": ARGV, "user": NAME or null, "log": FILE, "folder": CURRENT FOLDER}` with a process id, and `{"code": PID}` with the exit
code of one that has ended (null: it has not). `"end"` is not answered: processes that were forked from the session's may have the
other end of the input, so that it does not end with it.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
IPC_RMID = 0
ENDED: dict[int, int] = {}
"""The exit codes of the processes that have ended."""


def descendants(ancestor: int) -> list[int]:
    """The processes that have been started by this one, and by those, and so on."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        # those that end meanwhile have no such file any more
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            # the name of the program is in parentheses, and may contain some; then follow its state and its parent
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(pid)
    found, unseen = [], [ancestor]
    while unseen:
        more = children.get(unseen.pop(), [])
        found += more
        unseen += more
    return found


def reap() -> None:
    """Take note of those that have ended: PostgreSQL does not start on its old data while its old process is still listed."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            ENDED[pid] = os.waitstatus_to_exitcode(status)


def answer(request: dict[str, object]) -> int | None:
    """Do what is asked for."""
    reap()
    match request:
        case {"start": list(argv), "user": str() | None as user, "log": str(log), "folder": str(folder)}:
            with open(log, "ab") as output:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=[] if user else None,
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                )
            process.returncode = 0  # reap() looks after it, not its destructor
            return int(process.pid)
        case {"code": int(pid)}:
            return ENDED.get(pid)
    raise ValueError(f"what is {request}?")


def serve(session: int) -> None:
    """Answer requests, until there are no more, or nobody is left to ask."""
    ended = os.pidfd_open(session)
    requests = b""
    while True:
        ready, _, _ = select.select([0, ended], [], [])
        received = os.read(0, 65_536) if 0 in ready else b""
        if not received:
            return
        *lines, requests = (requests + received).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if request == "end":
                return
            tell(answer(request))


def tell(what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def end_all() -> None:
    """Kill all descendants, and wait for them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def free_shared_memory(folder: Path) -> None:
    """Give back the System V segment of each PostgreSQL that was killed: its number is the last of the seventh line of `postmaster.pid`."""
    libc = ctypes.CDLL(None)
    for file in folder.glob("*/postmaster.pid"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            libc.shmctl(int(file.read_text().splitlines()[6].split()[1]), IPC_RMID, None)


def main() -> None:
    session = int(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder = Path(tempfile.mkdtemp(prefix="mainspring-servers-"))
    # Should somebody end this process itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        folder.chmod(0o711)  # the user that PostgreSQL runs as has a folder in it
        tell(str(folder))
        if os.getppid() == session:
            serve(session)
    except BrokenPipeError:
        pass  # nobody reads the answer
    finally:
        end_all()
        free_shared_memory(folder)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
