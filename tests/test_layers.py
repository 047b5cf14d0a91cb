"""What the import contracts in pyproject.toml cannot say about code that all nodes must run alike.

It finds the constructs that are written down as such; a set iterated under another name it does not see, which is why
the same blocks are also run in processes with other hash seeds.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGE = ROOT / "src" / "metrobloc"
OFF_LEDGER = {"port", "story", "test_rules", "tools", "views"}
"""Files of an application that nodes need not agree on."""
LIBRARIES = {"metrobloc", "msgspec", "nacl"}
"""All that is imported on the ledger beside the standard library."""
CALLS = {"eval", "exec", "float", "hash", "id", "input", "open", "print", "round", "vars"}
"""Built-in functions whose answer or effect depends on the machine or the process, or is a float."""
MATHS = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"}
"""The functions of `math` that stay within integers."""
SETS = {"frozenset", "set"}
ORDERED = {"enumerate", "iter", "join", "list", "map", "next", "tuple", "zip"}
"""Functions that would turn the order of a set into a result."""


def on_ledger() -> list[Path]:
    """List the files that every node runs alike."""
    parts = (PACKAGE / name for name in ("kernel", "commons", "city"))
    files = (path for part in parts for path in part.rglob("*.py"))
    return sorted(
        path for path in files if not OFF_LEDGER.intersection(path.relative_to(PACKAGE).with_suffix("").parts)
    )


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of everything imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def is_set(node: ast.expr) -> bool:
    """Say whether an expression is visibly a set."""
    made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SETS
    return made or isinstance(node, ast.Set | ast.SetComp)


def unfit(node: ast.AST) -> str:
    """Say what is wrong with one node of the syntax tree, or nothing."""
    match node:
        case ast.Constant(value=float() | complex()):
            return "a float"
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return "true division makes a float: use // or Fraction(a, b)"
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            return f"{name}()"
        case ast.Attribute(value=ast.Name(id="math"), attr=name) if name not in MATHS:
            return f"math.{name} works in floats"
        case ast.ImportFrom(module="math", names=names) if {alias.name for alias in names} - MATHS:
            return "a function of math that works in floats"
        case ast.For(iter=source) | ast.comprehension(iter=source) if is_set(source):
            return "iteration over a set: sort it"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[*given]) if name in ORDERED:
            return "the order of a set: sort it" if any(map(is_set, given)) else ""
        case ast.AsyncFunctionDef() | ast.Await():
            return "asynchronous code"
    return ""


def complaints(source: str) -> list[str]:
    """List what code on the ledger may not hold, with line numbers."""
    tree = ast.parse(source)
    said = [f"{getattr(node, 'lineno', 0)}: {fault}" for node in ast.walk(tree) if (fault := unfit(node))]
    for name in imported(tree):
        first, *rest = name.split(".")
        if first not in LIBRARIES and first not in sys.stdlib_module_names:
            said.append(f"imports {first}, a library not allowed on the ledger")
        if first == "metrobloc" and set(rest).intersection(OFF_LEDGER):
            said.append(f"imports {name}, which runs off the ledger")
    return said


def test_code_on_the_ledger_gives_the_same_answer_on_every_machine() -> None:
    found = {path.relative_to(PACKAGE): complaints(path.read_text(encoding="utf-8")) for path in on_ledger()}
    assert {path: said for path, said in found.items() if said} == {}


def test_the_verifier_needs_nothing_but_python() -> None:
    path = PACKAGE / "verify.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert {name.split(".")[0] for name in imported(tree)} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "source",
    [
        "a = 1.5",
        "a = b / c",
        "a /= 2",
        "a = hash(b)",
        "a = round(b)",
        "import math\nmath.sqrt(2)",
        "from math import log",
        "for a in {1, 2}: pass",
        "a = [b for b in set(c)]",
        "a = list(frozenset(b))",
        "a = ','.join({b for b in c})",
        "async def a(): pass",
        "import numpy",
        "from metrobloc.city.charity import tools",
        "import metrobloc.city.charity.story",
    ],
)
def test_what_may_not_be_on_the_ledger_is_found(source: str) -> None:
    assert complaints(source)


def test_what_is_fit_for_the_ledger_passes() -> None:
    fit = "from math import isqrt\nimport msgspec\na = sorted({1, 2})\nb = isqrt(9) // 2\nc = 3 in {1, 3}\n"
    assert complaints(fit) == []
