"""A city that has played its stories, founded once; nodes and homes over copies of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metrobloc.surface import ledger
from tests.surface.city import Clock, Node, copied, done


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found a city once a process; tests copy it."""
    home = tmp_path_factory.mktemp("template")
    done(home, "story charity --data", home / "city")
    return home / "city"


@pytest.fixture(scope="session")
def node(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run one node for all tests that neither stop nor break it."""
    with Node(copied(template, tmp_path_factory.mktemp("node") / "city")) as running:
        yield running
        assert running.end() == 0
        assert running.errors.read_text() == ""


@pytest.fixture
def city(template: Path, tmp_path: Path) -> Path:
    """Copy the city, with no node on it."""
    return copied(template, tmp_path / "city")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a user a home of her own."""
    return tmp_path / "home"


@pytest.fixture
def ann(home: Path, node: Node) -> str:
    """Register a new key called ann on the running node and give her 100 yuan; answer her account."""
    key = done(home, "key new ann --json").json()
    done(home, "identity register --key ann --as bank --node", node.url)
    done(home, "money issue --asset cny --to ann --amount 10000 --as bank --node", node.url)
    return str(key["account"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give commands on a data folder a clock that the test sets."""
    made = Clock()
    monkeypatch.setattr(ledger, "clock_ms", made)
    return made
