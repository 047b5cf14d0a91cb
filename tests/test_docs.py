"""What the documentation shows is what happens.

Blocks fenced as `sh tested` in README.md and docs/ are run as written, those of one page in order and in one shell,
in a folder that looks like a clone beside its data but keeps what it writes to itself. A command must exit 0, and each
`# prints: REGEX` must be found in the output of its block, in order.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECONDS = 600


class Block(NamedTuple):
    """One fenced block: the page's line it begins at, and its text."""

    line: int
    text: str

    def expected(self) -> list[str]:
        """List the expressions that the output must hold."""
        return re.findall(r"# prints: (.+)", self.text)


def blocks(page: str) -> list[Block]:
    """Find the tested blocks of a page."""
    found = re.finditer(r"^```sh tested\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [Block(page.count("\n", 0, match.start()) + 2, match[1]) for match in found]


def run(script: str, home: Path) -> tuple[int, str]:
    """Run a script as a newcomer would, and answer its exit code and output; nothing it started outlives it."""
    clone = home / "main"
    clone.mkdir()
    for entry in [*ROOT.iterdir(), ROOT.parent / "shared"]:
        if entry.name not in {".git", ".venv"}:
            (home if entry.name == "shared" else clone).joinpath(entry.name).symlink_to(entry)
    (clone / ".venv").symlink_to(sys.prefix)
    environment = {
        "HOME": str(home),
        "METROBLOC_HOME": str(home / "metrobloc"),
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
    }
    output = home / "output"
    with output.open("wb") as sink:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            stop(shell)
    return code, output.read_text(encoding="utf-8", errors="replace")


def stop(shell: subprocess.Popen[bytes]) -> None:
    """End the shell and what it left behind; both are of the session that was made for it."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    shell.wait()


def complaint(page: str, home: Path) -> str:
    """Run a page's blocks and say what went wrong, or nothing."""
    tested = blocks(page)
    code, output = run("\n".join(f"echo '=== {block.line}'\n{block.text}" for block in tested), home)
    parts = dict(re.findall(r"^=== (\d+)\n(.*?)(?=^=== \d+$|\Z)", output, re.MULTILINE | re.DOTALL))
    for block in tested:
        said = parts.get(str(block.line), "")
        place = 0
        for expression in block.expected():
            match = re.compile(expression, re.MULTILINE).search(said, place)
            if match is None:
                return f"block at line {block.line} never printed {expression!r}; exit code {code}, it said:\n{said}"
            place = match.end()
    return f"exit code {code}:\n{output[-4000:]}" if code else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    assert not complaint(page.read_text(encoding="utf-8"), tmp_path)


SAMPLE = """
```sh tested
test -e src/metrobloc && test -e .venv/bin/python && test ! -e "$METROBLOC_HOME"
sleep 1000 & echo one; echo two
# prints: ^one$
# prints: tw.
```
```sh
exit 7
```
```sh tested
{}
```
"""


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("kill $!; echo three  # prints: three", ""),
        ("false", "exit code 1"),
        ("echo $undefined", "exit code 1"),
        ("echo two  # prints: one", "line 12 never printed 'one'"),
        ("echo b; echo a\n# prints: a\n# prints: b", "never printed 'b'"),
    ],
)
def test_a_page_that_shows_what_does_not_happen_is_found(last: str, said: str, tmp_path: Path) -> None:
    answer = complaint(SAMPLE.format(last), tmp_path)
    assert said in answer
    assert bool(said) == bool(answer)
