"""The guide leads where it says: its files and commands, in order, in a copy of the project, make a working library.

A fenced block `sh follow` is run, one `LANGUAGE file=PATH` is written. A `# prints: REGEX` must be found in the output
of its block, in order.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.test_docs import stop
from tests.test_tidy import files

GUIDE = ROOT / "docs" / "guide.md"
LIBRARY = "src/metrobloc/city/library"
SECONDS = 600
BLOCK = re.compile(r"^```(?:sh (follow)|\w+ file=(\S+))\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the project's own files."""
    copy = tmp_path / "metrobloc"
    for file in files():
        place = copy / file.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return copy


def run(script: str, checkout: Path) -> tuple[int, str]:
    """Run a script in a checkout as its developer would; nothing that it started outlives it."""
    environment = {
        "HOME": str(checkout.parent),
        "METROBLOC_HOME": str(checkout.parent / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout / "src"),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
    }
    output = checkout.parent / "output"
    with output.open("wb") as sink:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=checkout,
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


def test_the_guide_leads_to_a_library(checkout: Path) -> None:
    script, expected = [], list[list[str]]()
    for follow, place, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        if follow:
            script.append(f"echo '=== {len(expected)}'\n{text}")
            expected.append(re.findall(r"# prints: (.+)", text))
        else:
            kept = checkout.parent / f"{len(script)}.file"
            kept.write_text(text, encoding="utf-8")
            script.append(f"cp '{kept}' '{place}'\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ending = "kill $!; ruff check -q $NEW; ruff format -q --check $NEW".replace(
        "$NEW", "src/metrobloc/app.py " + LIBRARY
    )
    code, said = run("\n".join([*script, ending]).replace("8470", str(port)), checkout)
    assert code == 0, said[-4000:]
    parts = re.split(r"^=== \d+\n", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(expected)
    for part, expressions in zip(parts, expected, strict=True):
        in_order(part, expressions)


def in_order(said: str, expressions: Sequence[str]) -> None:
    """Assert that expressions are found one after the other."""
    place = 0
    for expression in expressions:
        match = re.compile(expression).search(said, place)
        assert match is not None, f"never printed {expression!r}:\n{said}"
        place = match.end()


REFUSED = {
    "Library": "is no name for an application",
    "class": "is no name for an application",
    "charity": "There is an application charity already",
    "story": "would collide with the command",
    "status": "would collide with a path",
    "modules": "means something else in app.py",
}


def test_a_bad_or_taken_name_is_refused(checkout: Path) -> None:
    before = {path.relative_to(checkout): path.read_bytes() for path in checkout.rglob("*.py")}
    code, said = run("".join(f"metrobloc new-app {name} || echo === $?\n" for name in REFUSED), checkout)
    assert code == 0
    in_order(said, [part for sentence in REFUSED.values() for part in (sentence, "=== 2")])
    assert {path.relative_to(checkout): path.read_bytes() for path in checkout.rglob("*.py")} == before
