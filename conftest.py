"""What holds for every test, wherever it stands: with CI=true nothing skips, and every declared refusal is provoked."""

from collections.abc import Generator

import pytest

from metrobloc import app
from metrobloc.kernel import errors
from tests.support import CI

provoked: set[str] = set()
"""Codes of the refusals that the tests of this process met; xdist's workers send theirs when they end."""


def declared() -> frozenset[str]:
    """Name every code with which a rule or the engine says no, but for `internal`, which nothing raises."""
    refusals = {code for module in app.modules().values() for code in module.refusals}
    return frozenset(refusals | set(errors.ENGINE_REFUSALS) | set(errors.VOIDS)) - {"internal"}


def unprovoked(config: pytest.Config) -> list[str]:
    """Name the declared refusals that no test met, if this was a run of everything."""
    chosen = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    chosen = chosen or any(config.getoption(name) for name in ("keyword", "markexpr", "lf", "deselect"))
    return [] if chosen or hasattr(config, "workerinput") else sorted(declared() - provoked)


def pytest_configure() -> None:
    """Note the code of every refusal and void raised in this process."""
    for kind in (errors.Refused, errors.Void):

        def note(self: errors.Refused | errors.Void, code: str) -> None:
            provoked.add(code)
            Exception.__init__(self, code)
            self.code = code

        kind.__init__ = note  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what an xdist worker has seen."""
    provoked.update(getattr(node, "workeroutput", {}).get("provoked", ()))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Send what this worker has seen, or fail a complete run that leaves a refusal unprovoked."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["provoked"] = sorted(provoked)
    elif exitstatus == pytest.ExitCode.OK and unprovoked(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what no test provoked."""
    for code in unprovoked(config):
        terminalreporter.write_line(f"refusal declared, and no test provokes it: {code}", red=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one where everything it may need is promised to be there."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI=true allows no skip: {call.excinfo.value if call.excinfo else ''}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a file that skips itself whole."""
    report = yield
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"CI=true allows no skip: {report.longrepr}"
    return report
