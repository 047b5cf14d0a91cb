"""Kill a program at a chosen system call, or let that call fail: for any command line, by way of strace.

strace counts calls for each thread by itself: the first thread whose count reaches `nth` is hit. A kill comes as the
call is entered, before it does anything.
"""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

WRITING = ("write", "pwrite64", "fdatasync", "fsync", "rename", "openat", "ftruncate", "unlink", "mkdir")
"""The calls by which a store changes a disk."""


class Injection(NamedTuple):
    """At the `nth` use of a call kill the program, or with an error such as EIO let it fail; from then on if asked."""

    call: str
    nth: int
    error: str = ""
    lasting: bool = False

    def arguments(self, files: Sequence[Path] = ()) -> list[str]:
        """Return strace's command line up to the program; only calls on `files` count when there are some."""
        what = f"error={self.error}" if self.error else "signal=KILL"
        when = f"{self.nth}{'+' * self.lasting}"
        paths = [word for file in files for word in ("-P", str(file))]
        return [
            *_STRACE,
            "-o",
            "/dev/null",
            *paths,
            "-e",
            f"trace={self.call}",
            "-e",
            f"inject={self.call}:{what}:when={when}",
        ]


def traced(command: Sequence[str], injection: Injection) -> list[str]:
    """Return the command line that runs a command from its start under an injection."""
    return [*injection.arguments(), "--", *command]


@contextmanager
def attached(pid: int, injection: Injection, folder: Path | None = None) -> Iterator[None]:
    """Put a running program under an injection; with a folder only calls on the files now in it count."""
    files = [] if folder is None else sorted(file for file in folder.rglob("*") if file.is_file())
    command = [*injection.arguments(files), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:  # noqa: S603  # the caller's program
        assert strace.stderr is not None
        line = strace.stderr.readline()
        assert "attached" in line, line
        try:
            yield
        finally:
            strace.terminate()
            strace.communicate()


def calls(command: Sequence[str], trace: Path, kinds: Sequence[str] = WRITING) -> Counter[str]:
    """Run a command to its end and return how often its busiest thread used each call; the trace goes to a file."""
    run = [*_STRACE, "-e", f"trace={','.join(kinds)}", "-o", str(trace), "--", *command]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # the caller's command
    by_thread = Counter(tuple(line.split("(")[0].split()) for line in trace.read_text().splitlines() if "(" in line)
    most: Counter[str] = Counter()
    for (_, *call), count in by_thread.items():
        most[call[-1]] = max(most[call[-1]], count)
    return most


@cache
def works() -> bool:
    """Say whether strace is here and may trace, also what is running already."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        try:
            with attached(program.pid, Injection("getppid", 1)):
                return True
        except AssertionError:
            return False
        finally:
            program.kill()


_STRACE = ("strace", "-f", "--quiet=exit,path-resolution,personality", "-e", "signal=none")
