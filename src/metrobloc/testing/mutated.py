"""Run an application's tests with another text in place of one of its files: `python -m metrobloc.testing.mutated`.

Arguments are the folder of the tests and `generated` or `all`; standard input names the module and holds its text. The
generated tests come first and the first failure ends the run; the last line of the output says which test it was.
Nothing is written to the disk: the import system is given the text.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import pytest


class Changed:
    """A finder and loader of one module with a text of its own."""

    def __init__(self, name: str, source: str) -> None:
        """Bind the module's name and its text."""
        self.name = name
        self.source = source
        self.path = ""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module where it is, and be its loader."""
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is not None:
            self.path = spec.origin or ""
            spec.loader = self  # type: ignore[assignment]  # what a loader has, without being one by birth
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system to make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute the text."""
        exec(compile(self.source, self.path, "exec"), module.__dict__)  # noqa: S102  # that is what a loader does


class First:
    """Which test failed first; the generated ones come before the others."""

    def __init__(self, only: str) -> None:
        """Bind which tests are wanted."""
        self.only = only
        self.failed = ""
        self.why = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Bring the generated tests to the front, and leave the others out where only they are wanted."""
        made = [item for item in items if item.name.startswith("test_generated")]
        items[:] = made if self.only == "generated" else [*made, *(item for item in items if item not in made)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first failure."""
        self._keep(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not even be imported."""
        self._keep(report)

    def _keep(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = "import" if isinstance(report, pytest.CollectReport) else report.nodeid.rpartition("::")[2]
            crash = getattr(report.longrepr, "reprcrash", None)
            self.why = str(getattr(crash, "message", report.longrepr)).strip()[:300]


def main() -> None:
    """Run the tests and say which failed first."""
    tests, only = sys.argv[1:]
    changed = json.load(sys.stdin)
    if changed:
        sys.meta_path.insert(0, Changed(changed["module"], changed["source"]))
    first = First(only)
    files = [str(path) for path in sorted(Path(tests).rglob("test_*.py"))]
    root = Path(__file__).parents[3]
    options = ["-x", "-q", "-c", os.devnull, "--rootdir", str(root), "--import-mode=importlib", "--noconftest"]
    code = pytest.main([*options, "-p", "no:cacheprovider", "-o", f"pythonpath={root}", *files], plugins=[first])
    caught = first.failed or ("" if code == pytest.ExitCode.OK else f"pytest {int(code)}")
    sys.stdout.write("\n" + json.dumps({"caught": caught, "why": first.why}) + "\n")


if __name__ == "__main__":
    main()
