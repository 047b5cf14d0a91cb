"""What STYLE asks of the whole tree and no linter says. Every list of exceptions here may only shrink."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGE = ROOT / "src" / "metrobloc"
DECISIONS = ROOT / "docs" / "adr"
CODE = {".py", ".js", ".mjs", ".css", ".html", ".go", ".sh"}
FILE_LINES = 400
FUNCTION_LINES = 60
LINE_COLUMNS = 120
KERNEL_LINES = 2000
APP_FILES = {"README.md", "__init__", "types", "rules", "story", "test_rules"}
"""What every application has; a name without an ending is a Python file, or a folder once it grew."""
DOMAIN_WORDS = re.compile(
    r"\b(?:bank|beneficiary|cadastre|campaign|charit(?:y|ies)|citizen|clinic|concert|coupon|creditor|debtor|deed"
    r"|donation|donor|doctor|electricity|gift|hospital|invoice|land|landlord|lease|loan|merchant|mortgage"
    r"|municipality|notary|parcel|patient|pension|rent|school|shipment|student|tax|tenant|ticket|timebank|university"
    r"|yuan)s?\b"
)
NOT_OURS = {
    "registry": r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|crates\.io/|proxy\.golang\.org|maven\.org/",
    "path of one machine": r"(?<![\w.~$}{)*-])/(?:root|work|home/\w+|Users/\w+|opt/wheels|tmp/\w+)/",
    "place of work": r"[.]library/|issues[ ]show|bash[_]jobs",
    "left for later": r"\b(?:TO[D]O|FIX[M]E|XX[X])\b",
}
NOT_OURS_EXCEPTIONS: frozenset[str] = frozenset()
ENTRY_POINTS = {"metrobloc.app", "metrobloc.verify"}
ADR_HEADINGS = ["Context", "Options", "Decision", "What gets worse"]


@cache
def files() -> list[Path]:
    """List the project's own files: those git knows or would take, or all where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        found = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if path.suffix != ".pyc" and ".venv" not in path.parts]
    return sorted(path for path in found if path.is_file())


def python(folder: Path) -> list[Path]:
    """List a folder's Python files."""
    return [path for path in files() if path.suffix == ".py" and path.is_relative_to(folder)]


@cache
def text(path: Path) -> str:
    """Read a file; what is not text reads as nothing."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def tree(path: Path) -> ast.Module:
    """Parse a Python file."""
    return ast.parse(text(path))


def no_faults(found: Iterable[tuple[Path, object]]) -> None:
    """Fail with every fault and its place."""
    said = [f"{path.relative_to(ROOT)}: {fault}" for path, fault in found if fault]
    if said:
        pytest.fail("\n".join(said), pytrace=False)


def test_a_file_is_one_idea_long() -> None:
    lines = {path: text(path).splitlines() for path in files() if path.suffix in CODE}
    no_faults((path, len(all_) > FILE_LINES and f"{len(all_)} lines") for path, all_ in lines.items())
    wide = (
        (p, len(line) > LINE_COLUMNS and f"{n}: too wide")
        for p, all_ in lines.items()
        for n, line in enumerate(all_, 1)
    )
    no_faults(wide)


def test_a_function_fits_on_a_screen() -> None:
    nodes = ((path, node) for path in python(ROOT) for node in ast.walk(tree(path)))
    functions = ((path, node) for path, node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    no_faults((p, (f.end_lineno or 0) - f.lineno >= FUNCTION_LINES and f.name) for p, f in functions)


def code_lines(source: str) -> set[int]:
    """Answer the numbers of the lines that hold code: no blanks, comments or docstrings."""
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in blank]
    lines = {number for token in tokens for number in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def test_lines_of_code_are_counted_as_promised() -> None:
    head = '"""One\ntwo."""\n\n# three\na = """\nb\n"""\n\n\n'
    assert code_lines(head + 'def f() -> int:\n    """Answer."""\n    return (\n        1\n    )\n') == {
        5,
        6,
        7,
        10,
        12,
        13,
        14,
    }


def test_the_kernel_can_be_read_in_an_afternoon() -> None:
    sizes = {path.name: len(code_lines(text(path))) for path in python(PACKAGE / "kernel")}
    assert sum(sizes.values()) <= KERNEL_LINES, sizes


def domain_words(source: str) -> list[str]:
    """List the words of a domain in names and prose."""
    return DOMAIN_WORDS.findall(re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", source).lower())


def test_the_kernel_knows_no_domain() -> None:
    assert domain_words("ParcelLand = bank_gifts  # landing, Donors") == ["parcel", "land", "bank", "gifts", "donors"]
    no_faults((path, domain_words(text(path))) for path in python(PACKAGE / "kernel"))


def test_applications_have_one_shape() -> None:
    apps = {
        path.parent: {e.name.removesuffix(".py") for e in path.parent.iterdir()} for path in PACKAGE.glob("city/*/*")
    }
    no_faults((app, app.name != "__pycache__" and APP_FILES - present) for app, present in apps.items())


def test_nothing_of_one_machine_is_in_the_project() -> None:
    own = [path for path in files() if path.relative_to(ROOT).as_posix() not in NOT_OURS_EXCEPTIONS]
    found = ((path, re.search(pattern, text(path)), what) for path in own for what, pattern in NOT_OURS.items())
    no_faults((path, match and f"{what}: {match[0]}") for path, match, what in found)


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports: modules, and names in them."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (source, *(f"{source}.{alias.name}" for alias in node.names))


def test_no_module_is_dead() -> None:
    paths = [path for path in python(PACKAGE) if path.name != "__init__.py" and not path.name.startswith("test_")]
    known = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in paths}
    importers = [path for path in python(PACKAGE) if not path.name.startswith("test_")]
    used = {name for path in importers for name in imports(path)} | ENTRY_POINTS
    kit = {name for path in python(ROOT) for name in imports(path) if name.startswith("metrobloc.testing.")}
    no_faults((path, name not in used | kit and "imported by nothing") for name, path in known.items())


def test_decisions_say_what_gets_worse() -> None:
    pages = sorted(DECISIONS.glob("*"))
    assert [path.name[:5] for path in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    no_faults((path, re.findall(r"^## (.+)", text(path), re.MULTILINE) != ADR_HEADINGS) for path in pages)
