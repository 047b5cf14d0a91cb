"""Record what a program does to a folder: every write, new size, name and sync, and what it says meanwhile.

strace shows the calls of all threads in the order in which it sees them begin and end. Those numbers are kept, so that
`power` can tell what was certainly over before a sync began from what was only under way. A way to change a file that
is not known here raises `Unrecorded`, lest an image leave it out unnoticed.
"""

import posixpath
import re
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = 0
"""The number of the recorded folder; every other file and folder gets its own when it is first seen."""


class Change(NamedTuple):
    """A write to a file, or without data a new size of it. `begun` and `done` count lines of the trace."""

    node: int
    begun: int
    done: int
    size: int
    offset: int = 0
    data: bytes | None = None


class Naming(NamedTuple):
    """A change of names in one folder: each now stands for a node, or for None. A rename changes two at once."""

    node: int
    begun: int
    done: int
    names: tuple[tuple[str, int | None], ...]


class Sync(NamedTuple):
    """A file's or folder's fsync or fdatasync."""

    node: int
    begun: int
    done: int
    path: str


class Said(NamedTuple):
    """What the program wrote to its standard output."""

    begun: int
    text: bytes


class Node(NamedTuple):
    """A file or folder: its mode, and what it held when the recording began: bytes, or nodes by name."""

    mode: int
    data: bytes = b""
    names: dict[str, int] | None = None


class Record(NamedTuple):
    """All that a program did to a folder, each list in the order in which the calls ended."""

    nodes: list[Node]
    changes: list[Change]
    namings: list[Naming]
    syncs: list[Sync]
    said: list[Said]

    def cuts(self) -> list[int]:
        """Return the instants, in lines of the trace, between which something differs."""
        calls: list[Change | Naming | Sync] = [*self.changes, *self.namings, *self.syncs]
        return sorted({0, *(at for call in calls for at in (call.begun + 1, call.done + 1))})

    def without(self, pattern: str) -> "Record":
        """Return the record of a program that never syncs the paths in which a pattern is found."""
        return self._replace(syncs=[sync for sync in self.syncs if not re.search(pattern, sync.path)])


class Unrecorded(Exception):
    """Say which call changed a file in a way that is not modelled."""


def record(command: Sequence[str], folder: Path, said: str = "", cwd: Path | None = None) -> Record:
    """Run a command to its end with `said` on its standard input, and record what it does to a folder.

    What is in the folder before counts as durable. CalledProcessError when the program fails, `Unrecorded` when it
    changes a file in a way that is not modelled.
    """
    trace = _Trace(folder.resolve(), (cwd or Path.cwd()).resolve())
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as file:
        run = [*_STRACE, "-o", file.name, "--", *command]
        subprocess.run(run, check=True, cwd=cwd, input=said.encode(), stdout=subprocess.PIPE)  # noqa: S603
        for number, line in enumerate(file):
            trace.line(number, line)
    return trace.record


class _Call(NamedTuple):
    name: str
    arguments: list[str]
    begun: int
    node: int | None


class _Trace:
    """Follow a trace: names and sizes as the program saw them, and the calls that are under way."""

    def __init__(self, folder: Path, cwd: Path) -> None:
        self.folder, self.cwd = str(folder), str(cwd)
        self.record = Record([], [], [], [], [])
        self.names: dict[int, dict[str, int]] = {}
        self.sizes: dict[int, int] = {}
        self.at: dict[int, int | None] = {}  # the offset of the next `write`; None appends
        self.under_way: dict[str, _Call] = {}
        self.existing(folder)

    def existing(self, path: Path) -> int:
        """Take over a file or folder that was there before."""
        mode = path.stat().st_mode & 0o777
        if path.is_file():
            return self.new(Node(mode, path.read_bytes()))
        node = self.new(Node(mode, names={}))
        for entry in sorted(path.iterdir()):
            self.names[node][entry.name] = self.existing(entry)
        self.record.nodes[node] = Node(mode, names=dict(self.names[node]))
        return node

    def new(self, node: Node) -> int:
        """Give a node its number."""
        number = len(self.record.nodes)
        self.record.nodes.append(node)
        self.sizes[number] = len(node.data)
        if node.names is not None:
            self.names[number] = {}
        return number

    def line(self, number: int, line: str) -> None:
        """Follow one line of the trace."""
        match = _LINE.fullmatch(line.rstrip("\n"))
        if match is None:
            return
        thread, resumed, name, rest = match.groups()
        if resumed:
            call = self.under_way.pop(thread)
        else:
            arguments = _ENDING.sub("", rest).split(", ")
            call = _Call(name, arguments, number, self.opened(arguments[_FILE_AT.get(name, 0)]))
            if rest.endswith(" <unfinished ...>"):
                self.under_way[thread] = call
                return
        result = _RESULT.search(rest)
        if result is not None:
            self.follow(call, number, int(result[1]))

    def follow(self, call: _Call, done: int, result: int) -> None:
        """Take over what a call that succeeded has done."""
        name, arguments, begun, node = call
        if name == "chdir" and _path(arguments[0]) != self.cwd:
            raise Unrecorded("chdir changes what relative paths mean, which is not followed; start the program there")
        if name in _ON_PATHS:
            self.follow_path(call, done)
        elif name == "write" and arguments[0].startswith("1<"):
            self.record.said.append(Said(begun, _bytes(arguments[1])[:result]))
        elif node is None or name == "sync_file_range" or (name == "fallocate" and "KEEP_SIZE" in arguments[1]):
            return
        elif name == "write":
            at = self.at[node]
            self.write(call, done, self.sizes[node] if at is None else at, _bytes(arguments[1])[:result])
            self.at[node] = None if at is None else at + result
        elif name == "pwrite64":
            self.write(call, done, int(arguments[3]), _bytes(arguments[1])[:result])
        elif name in {"fsync", "fdatasync"}:
            self.record.syncs.append(Sync(node, begun, done, _path(arguments[0])))
        elif name == "ftruncate":
            self.resize(node, begun, done, int(arguments[1]))
        elif name == "lseek":
            self.at[node] = result
        elif name != "mmap" or not ("PROT_WRITE" in arguments[2] and "MAP_SHARED" in arguments[3]):
            raise Unrecorded(f"{name} changes {_path(arguments[0])} in a way that is not modelled")

    def follow_path(self, call: _Call, done: int) -> None:
        """Take over what a call with paths has done to names."""
        name, arguments, begun, _ = call
        paths = [
            posixpath.normpath(posixpath.join(self.cwd, _path(before) if "<" in before else "", _path(argument)))
            for before, argument in pairwise(["", *arguments])
            if argument.startswith('"')
        ]
        if not any(path.startswith(self.folder + "/") for path in paths):
            return
        folders = [self.find(posixpath.dirname(path)) for path in paths]
        folder, names = folders[0], [posixpath.basename(path) for path in paths]
        if folder is None or len({*folders}) > 1:
            raise Unrecorded(f"{name} of {' to '.join(paths)} goes from one folder to another")
        if name == "openat":
            self.open(begun, done, folder, names[0], arguments[2:])
        elif name in {"mkdir", "mkdirat"}:
            self.name(begun, done, folder, {names[0]: self.new(Node(int(arguments[-1], 8), names={}))})
        elif name in {"unlink", "unlinkat", "rmdir"}:
            self.name(begun, done, folder, {names[0]: None})
        elif name in {"rename", "renameat", "renameat2"} and "RENAME_" not in arguments[-1]:
            self.name(begun, done, folder, {names[0]: None, names[1]: self.names[folder][names[0]]})
        else:
            raise Unrecorded(f"{name} changes {paths[0]} in a way that is not modelled")

    def open(self, begun: int, done: int, folder: int, name: str, how: Sequence[str]) -> None:
        """Take over an opened file: perhaps new, perhaps emptied."""
        flags = how[0].split("|")
        if {"O_RDONLY", "O_DIRECTORY"} & {*flags}:
            return
        if {"O_SYNC", "O_DSYNC", "O_DIRECT"} & {*flags}:
            raise Unrecorded(f"{name} is opened with {how[0]}, which is not modelled")
        node = self.names[folder].get(name)
        if node is None:
            node = self.new(Node(int(how[1], 8)))
            self.name(begun, done, folder, {name: node})
        elif "O_TRUNC" in flags:
            self.resize(node, begun, done, 0)
        self.at[node] = None if "O_APPEND" in flags else 0

    def write(self, call: _Call, done: int, offset: int, data: bytes) -> None:
        """Note a write."""
        node = call.node
        assert node is not None
        self.sizes[node] = max(self.sizes[node], offset + len(data))
        self.record.changes.append(Change(node, call.begun, done, self.sizes[node], offset, data))

    def resize(self, node: int, begun: int, done: int, size: int) -> None:
        """Note a new size."""
        self.sizes[node] = size
        self.record.changes.append(Change(node, begun, done, size))

    def name(self, begun: int, done: int, folder: int, names: dict[str, int | None]) -> None:
        """Note new meanings of a folder's names."""
        for name, node in names.items():
            self.names[folder].pop(name, None)
            if node is not None:
                self.names[folder][name] = node
        self.record.namings.append(Naming(folder, begun, done, tuple(names.items())))

    def opened(self, argument: str) -> int | None:
        """Return the node of an open file's description in the trace; None when it is elsewhere or removed."""
        return None if argument.endswith("(deleted)") or "<" not in argument else self.find(_path(argument))

    def find(self, path: str) -> int | None:
        """Return the node that a path stands for now, or None."""
        if path != self.folder and not path.startswith(self.folder + "/"):
            return None
        node: int | None = ROOT
        for part in path[len(self.folder) + 1 :].split("/") if path != self.folder else ():
            node = None if node is None else self.names.get(node, {}).get(part)
        return node


def _bytes(text: str) -> bytes:
    """Return what strace wrote in hexadecimal digits between quotes or angle brackets."""
    return bytes.fromhex(text[text.index("\\") : -1].replace("\\x", "")) if "\\" in text else b""


def _path(text: str) -> str:
    return _bytes(text).decode()


_ON_PATHS = (
    *("openat", "open", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("link", "linkat", "symlink", "symlinkat", "truncate"),
)
_ON_FILES = (
    *("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate", "lseek", "mmap", "sync_file_range"),
    *("writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "chdir"),
)
_FILE_AT = {"mmap": 4, "copy_file_range": 2}
"""Where the file that may change is not the first argument."""
_LINE = re.compile(r"(\d+) +(<\.\.\. )?(\w+)(?:\(| resumed>)(.*)")
_ENDING = re.compile(r"( <unfinished \.\.\.>|\) += [^=]*)$")
_RESULT = re.compile(r"\) += (\d+)(?:<[^>]*>)?$")
_STRACE = (
    *("strace", "-f", "-y", "-xx", "-s", str(1 << 25), "--seccomp-bpf", "-e", "signal=none"),
    *("-e", f"trace={','.join((*_ON_PATHS, *_ON_FILES))}"),
)
