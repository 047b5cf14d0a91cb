"""A running node, a member with money on it, and clients that do not wait long between attempts."""

from collections.abc import Iterator

import pytest

from metrobloc import app
from metrobloc.city.charity.rules import campaigns
from metrobloc.client import Client, steps
from tests.client.unreliable import Member, join
from tests.surface.city import Node
from tests.surface.conftest import city, home, node, template

__all__ = ["city", "home", "node", "template"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon: how long clients wait is not what is tested."""
    monkeypatch.setattr(steps, "BACK_OFF_S", 0.002)


@pytest.fixture
def trust(node: Node) -> bytes:
    """Return the node's trust file."""
    return node.http.get("/v1/trust").content


@pytest.fixture
def client(node: Node, trust: bytes) -> Iterator[Client]:
    """Return a client that trusts the node's operator."""
    with Client(node.url, app.modules(), trust) as made:
        yield made


@pytest.fixture
def mei(client: Client) -> Member:
    """Register a member with 10,000 fen."""
    return join(client)


@pytest.fixture
def campaign(client: Client) -> str:
    """Return the campaign that is open for gifts."""
    return next(key for key, campaign in client.rows(campaigns) if "Zhao" in campaign.title)
