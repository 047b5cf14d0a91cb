"""Seeded mutants of an application's rules: one small change each, to see whether its tests notice.

A mutant drops or turns a require, flips a comparison, swaps actors or arguments, skips a statement that moves or
writes, shifts a number by one, or takes `and` for `or`. Invariants are not mutated: they are the tests' own eyes.
Docstrings, sentences and the charging of work are left alone too: changing them changes nothing that is decided.
"""

import ast
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from metrobloc.kernel.module import Module
from metrobloc.surface.describe import fields_of, package_of
from metrobloc.testing.nouns import nouns_of

NOT_RULES = {"__init__", "demo", "formats", "page", "port", "story", "tools", "types", "views"}
"""Files and folders of an application that hold no rules."""

FLIPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SECONDS = 120
"""How long a mutant's tests may take; the unchanged ones take a few seconds."""


class Mutant(Struct, frozen=True):
    """A file with one change: which module of Python it is, the kind and line of the change, its text and diff."""

    module: str
    kind: str
    line: int
    source: str
    diff: str


class Verdict(Struct, frozen=True):
    """What became of a mutant: the test that caught it, or nothing."""

    mutant: Mutant
    caught: str
    why: str


Site = tuple[str, int, Callable[[], None]]
"""A change that can be made: its kind, its line, and what makes it, once, in the tree that it was found in."""


def mutants(app: Module, count: int, seed: int) -> list[Mutant]:
    """Return some mutants of an app's rules, drawn by a seed."""
    sources = rules_of(app)
    accounts = {f.name for noun in nouns_of(app).values() for f in fields_of(noun) if f.kind == "account"}
    used = _used([ast.parse(text) for text in sources.values()])
    places = [
        (module, place)
        for module, text in sources.items()
        for place in range(len(sites(ast.parse(text), accounts, used)))
    ]
    chance = random.Random(f"{app.name} {seed}")  # noqa: S311  # chance that can be repeated is wanted
    chosen = sorted(chance.sample(places, min(count, len(places))))
    return [_mutant(module, sources[module], place, accounts, used) for module, place in chosen]


def rules_of(app: Module) -> dict[str, str]:
    """Return the source of every module of Python that holds an app's rules or their arithmetic."""
    package = package_of(app)
    folder = Path(str(sys.modules[package].__file__)).parent
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not NOT_RULES.intersection(parts) and not any(part.startswith("test_") for part in parts):
            found[".".join([package, *parts])] = path.read_text(encoding="utf-8")
    return found


def _mutant(module: str, text: str, place: int, accounts: set[str], used: set[str]) -> Mutant:
    tree = ast.parse(text)
    before = ast.unparse(tree)
    kind, line, change = sites(tree, accounts, used)[place]
    change()
    after = ast.unparse(ast.fix_missing_locations(tree))
    return Mutant(module, kind, line, after, _diff(before.splitlines(), after.splitlines()))


def _diff(before: list[str], after: list[str]) -> str:
    """Return the lines between those that two texts begin and end with alike."""
    while before and after and before[-1] == after[-1]:
        before.pop()
        after.pop()
    same = next((n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(before))
    return "\n".join([*(f"-{row}" for row in before[same:]), *(f"+{row}" for row in after[same:])])


def sites(tree: ast.Module, accounts: set[str], used: set[str]) -> list[Site]:
    """List every change that can be made in a file, in the order of its text."""
    found: list[Site] = []
    for part in tree.body:
        if isinstance(part, ast.FunctionDef):
            names = {_name(one) for one in part.decorator_list}
            if "invariant" in names or (not names and part.name not in used):
                continue
            found += _permissions(part)
            here = [node for node in ast.walk(part) if isinstance(node, ast.Attribute) and node.attr in accounts]
            found += _statements(part)
            for node in (node for statement in part.body for node in _decides(statement)):
                found += _expressions(node)
                found += _actors(node, here)
        elif isinstance(part, ast.Assign):
            for node in ast.walk(part):
                found += _numbers(node)
    return sorted(found, key=lambda site: site[1])


def _decides(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all within it, but for the charging of work."""
    if not (isinstance(node, ast.Call) and _name(node) == "work"):
        yield node
        for part in ast.iter_child_nodes(node):
            yield from _decides(part)


def _used(trees: Sequence[ast.Module]) -> set[str]:
    """Return the names that are used anywhere but in invariants: a helper of invariants alone is no rule."""
    found = set()
    for part in (part for tree in trees for part in tree.body):
        if isinstance(part, ast.FunctionDef) and "invariant" in map(_name, part.decorator_list):
            continue
        found |= {_name(node) for node in ast.walk(part) if isinstance(node, ast.Name | ast.Attribute)}
    return found


def _name(node: ast.expr) -> str:
    """Return the last name of what is called or named: `require` of `app.require(...)`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _permissions(part: ast.FunctionDef) -> Iterator[Site]:
    for call in part.decorator_list:
        for word in call.keywords if isinstance(call, ast.Call) else ():
            if word.arg == "allow":
                open_to_all = isinstance(word.value, ast.Name)
                other = "role('nobody_has_this')" if open_to_all else "anyone"
                yield "permission", call.lineno, _set(word, "value", ast.parse(other, mode="eval").body)


def _statements(part: ast.FunctionDef) -> Iterator[Site]:
    """Yield what can be done to a statement: dropped, or what it requires turned round."""
    blocks = [getattr(node, name, []) for node in ast.walk(part) for name in ("body", "orelse")]
    for block in (block for block in blocks if isinstance(block, list)):  # that of a lambda is an expression
        for place, node in enumerate(block):
            call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
            if call is not None and _name(call) == "require":
                yield "drop_require", node.lineno, _set(block, place, ast.Pass())
                yield "negate_require", node.lineno, _set(call.args, 0, ast.UnaryOp(ast.Not(), call.args[0]))
            elif (call is not None and _name(call) != "work") or _writes(node):
                yield "skip", node.lineno, _set(block, place, ast.Pass())


def _writes(node: ast.stmt) -> bool:
    """Tell whether a statement writes or removes a row, or adds to something."""
    if isinstance(node, ast.Assign | ast.Delete):
        return any(isinstance(target, ast.Subscript) for target in node.targets)
    return isinstance(node, ast.AugAssign)


def _expressions(node: ast.AST) -> Iterator[Site]:
    yield from _numbers(node)
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            if type(op) in FLIPS:
                yield "compare", node.lineno, _set(node.ops, place, FLIPS[type(op)]())
    elif isinstance(node, ast.BoolOp):
        yield "and_or", node.lineno, _set(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield "plus_minus", node.lineno, _set(node, "op", ast.Sub() if isinstance(node.op, ast.Add) else ast.Add())
    elif isinstance(node, ast.Call) and _name(node) not in ("max", "min", "require"):
        for place, (one, other) in enumerate(zip(node.args, node.args[1:], strict=False)):
            if ast.dump(one) != ast.dump(other) and not isinstance(one, ast.Starred) and _name(one) != "ctx":
                yield "swap_arguments", node.lineno, _set(node.args, slice(place, place + 2), [other, one])


def _numbers(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield "off_by_one", node.lineno, _set(node, "value", node.value + 1)


def _actors(node: ast.AST, accounts: Sequence[ast.Attribute]) -> Iterator[Site]:
    """Yield the exchange of the actor for another account of the same function, and the other way round."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        if node.attr == "actor" and accounts:
            other = accounts[0]
            yield "swap_actors", node.lineno, _become(node, other)
        elif any(node is one for one in accounts):
            yield "swap_actors", node.lineno, _become(node, ast.Attribute(ast.Name("ctx"), "actor"))


def _set(where: object, name: str | int | slice, value: object) -> Callable[[], None]:
    def change() -> None:
        if isinstance(name, str):
            setattr(where, name, value)
        else:
            where[name] = value  # type: ignore[index]  # a list of the tree

    return change


def _become(node: ast.Attribute, other: ast.Attribute) -> Callable[[], None]:
    copy = ast.parse(ast.unparse(other), mode="eval").body
    assert isinstance(copy, ast.Attribute)

    def change() -> None:
        node.value, node.attr = copy.value, copy.attr

    return change


def run(found: Sequence[Mutant], tests: Path, *, only: str = "all", told: Callable[[Verdict], None]) -> list[Verdict]:
    """Try mutants, two at a time, each in a process of its own; `told` hears of each when it is done.

    RuntimeError when the tests fail without any change.
    """
    plain = _try(None, tests, only)
    if plain["caught"]:
        raise RuntimeError(f"The tests fail without any change: {plain['caught']} {plain['why']}")

    def one(mutant: Mutant) -> Verdict:
        ended = _try(mutant, tests, only)
        verdict = Verdict(mutant, ended["caught"], ended["why"])
        told(verdict)
        return verdict

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, found))


def _try(mutant: Mutant | None, tests: Path, only: str) -> dict[str, str]:
    """Run an app's tests with a mutant in place of its file."""
    changed = {} if mutant is None else {"module": mutant.module, "source": mutant.source}
    command = [sys.executable, "-m", "metrobloc.testing.mutated", str(tests), only]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(  # noqa: S603  # this program, with arguments of its own
            command,
            input=json.dumps(changed),
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"caught": "time", "why": f"still running after {SECONDS} seconds"}
    if ended.returncode:
        return {"caught": "crash", "why": ended.stderr[-300:]}
    made: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
    return made


def folder_of(app: Module) -> Path:
    """Return the folder in which an app's tests stand: its own."""
    return Path(str(sys.modules[package_of(app)].__file__)).parent


class Survivor(Struct, frozen=True):
    """A mutant that no test noticed."""

    module: str
    line: int
    kind: str
    diff: str


class Report(Struct, frozen=True):
    """How many mutants were caught, by which tests, and which were not."""

    mutants: int
    caught: int
    by_generated: int
    by: dict[str, int]
    survivors: list[Survivor]


def report(verdicts: Sequence[Verdict]) -> Report:
    """Sum up what became of mutants."""
    by = Counter(verdict.caught for verdict in verdicts if verdict.caught)
    generated = sum(number for name, number in by.items() if name.startswith("test_generated"))
    alive = [verdict.mutant for verdict in verdicts if not verdict.caught]
    survivors = [Survivor(one.module, one.line, one.kind, one.diff) for one in alive]
    return Report(len(verdicts), by.total(), generated, dict(by.most_common()), survivors)
