"""After an upgrade the faces show what is in force, and write for it; before it they say what is to come."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest

from metrobloc import app
from metrobloc.client import Malformed, sending, steps
from metrobloc.client.draft import write
from metrobloc.client.steps import City
from metrobloc.commons.governance.types import ProposeModule, ProposeRules, ProposeValue
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.types import Register
from metrobloc.commons.stage import Stage
from metrobloc.engine.sealer import Sealer, clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.kernel.types import Message
from metrobloc.surface import http
from metrobloc.surface.ledger import Local
from metrobloc.testing.sandbox import Sandbox
from tests.surface.city import Node
from tests.upgrade.new import rules as new
from tests.upgrade.old import rules as old
from tests.upgrade.played import GENESIS, decide, folder_of, staged, verifier


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a data folder whose old program has come to the last block under the old rules."""
    return folder_of(tmp_path / "town")


class Door:
    """A node's door without a network."""

    def __init__(self, node: Solo) -> None:
        """Build it."""
        self.app = http.build(Sealer(node, verifier(new)))
        self.ann = Stage(node.machine.rules, node.execute, 0).account("ann")

    async def _ask(self, method: str, path: str, body: bytes) -> Any:  # noqa: ANN401  # JSON
        transport = httpx.ASGITransport(cast("Any", self.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return (await client.request(method, path, content=body)).json()

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """Ask."""
        return asyncio.run(self._ask("GET", path, b""))

    def draft(self, do: str, **fields: object) -> object:
        """Have something drafted for Ann; return the version of the rules, or why not."""
        path = f"/v1/drafts/{do}?as={self.ann}"
        told = asyncio.run(self._ask("POST", path, msgspec.json.encode(fields)))
        return msgspec.json.decode(told["payload"])["rules"] if "payload" in told else told["code"]

    def simulate(self, do: str, **fields: object) -> object:
        """Have something tried out for Ann; return its code."""
        call = {"as": self.ann, "do": do, "with": fields}
        return asyncio.run(self._ask("POST", "/v1/simulate", msgspec.json.encode({"calls": [call]})))["code"]

    def params(self) -> dict[str, Any]:
        """Return the parameters that are in force, by name."""
        return {f"{one['module']}.{one['name']}": one for one in self.get("/v1/params")["params"]}

    def actions(self) -> set[str]:
        """Return what there is to be done, as it is told in three places."""
        told = {one["do"] for one in self.get(f"/v1/may/{self.ann}")["actions"]}
        apps = [self.get(f"/v1/apps/{app['name']}") for app in self.get("/v1/apps")]
        assert told == {action["do"] for app in apps for action in app["actions"]}
        paths = self.get("/v1/openapi.json")["paths"]
        drafts = {path.removeprefix("/v1/drafts/").replace("/", ".") for path in paths if "/drafts/" in path}
        assert told == drafts
        return {do for do in told if not do.startswith(("identity.", "governance."))}


@pytest.mark.filterwarnings("ignore:.*deprecated.*:litestar.exceptions.LitestarDeprecationWarning")
def test_a_door_shows_and_takes_what_is_in_force(tmp_path: Path) -> None:
    node = Solo.create(tmp_path / "town", GENESIS, new.modules())
    stage, door = staged(node), Door(node)
    stage.join("ann")
    stage.act("ann", new.PutBefore("red", "red"))
    for message in (ProposeRules(2, 30), ProposeModule("museum", 31), ProposeValue("shelf", "boxes_max", 7, 32)):
        decide(stage, message)
    status = door.get("/v1/status")
    assert (status["rules"], status["modules"]) == (1, ["governance", "identity", "shelf"])
    assert status["ahead"] == [
        {"what": "museum", "from_height": 31, "known": True},
        {"what": "version 2 of the rules", "from_height": 30, "known": True},
    ]
    assert door.actions() == {"shelf.put", "shelf.paint"}
    assert door.draft("shelf/put", box="a", colour="red") == 1
    assert door.draft("shelf/put", box="a", colour="red", size=2) == "unknown_field"
    assert door.draft("shelf/weigh", box="red") == door.simulate("shelf.weigh", box="red") == "unknown_action"
    assert door.draft("museum/show", title="mona") == door.simulate("museum.show", title="mona") == "not_active"
    assert door.get("/v1/queries/museum/on_show")["code"] == "not_found"
    value = door.params()["shelf.boxes_max"]
    assert (value["value"], value["coming"]) == (100, {"value": 7, "from_height": 32})
    assert not {"shelf.size_max", "museum.days_max"} & set(door.params())

    while node.machine.height < 30:
        put = new.PutBefore if node.machine.height < 29 else new.Put
        stage.act("ann", put("red", "red"))
    status = door.get("/v1/status")
    assert (status["rules"], status["modules"], status["ahead"]) == (
        2,
        ["governance", "identity", "museum", "shelf"],
        [],
    )
    assert door.actions() == {"shelf.put", "shelf.paint", "shelf.weigh", "museum.show"}
    assert door.draft("shelf/put", box="a", colour="red", size=2) == door.draft("museum/show", title="mona") == 2
    assert door.simulate("shelf.weigh", box="red") == "ok"
    assert door.get("/v1/queries/museum/on_show")["value"] == 0
    assert door.params()["shelf.boxes_max"]["coming"] is not None
    assert door.params()["shelf.size_max"]["value"] == 10
    for _ in range(2):
        stage.act("ann", new.Put("red", "red"))
    value = door.params()["shelf.boxes_max"]
    assert (value["value"], value["coming"]) == (7, None)
    node.close()


def test_a_program_says_what_it_will_lack(tmp_path: Path) -> None:
    node = Solo.create(tmp_path / "town", GENESIS, old.modules())
    decide(staged(node), ProposeModule("museum", 31))
    assert [(one.what, one.known) for one in http.ahead(node)] == [("museum", False)]
    node.close()


def test_an_operator_is_told_before_and_when_it_comes(tmp_path: Path) -> None:
    folder, lacks = tmp_path / "town", "From block 13 on this chain needs what this program does not have: museum."
    node = Solo.create(folder, demo_genesis(clock_ms() - 3_600_000, app.modules()), app.modules())
    decide(staged(node), ProposeModule("museum"))
    node.close()
    with Node(folder) as running:
        assert lacks in running.errors.read_text()
        assert running.http.get("/v1/status").json()["ahead"][0]["known"] is False
        stage = running.stage()
        raws = [
            stage.sign(("bank", Register(stage.key(f"citizen {number}").key_id)), also=(f"citizen {number}",))
            for number in range(10)
        ]
        assert [running.post([raw])[0]["status"] for raw in raws[:9]] == ["committed"] * 9
        with suppress(httpx.TransportError):  # it may end before it answers
            running.http.post("/v1/tx", content=raws[9])
        assert running.wait() == 4
        assert running.errors.read_text().count(lacks) == 2


def test_a_folder_is_written_to_under_the_rules_in_force(home: Path) -> None:
    node = Solo.open(home, new.modules())
    ledger, ann = Local(node), Stage(node.machine.rules, node.execute, 0).account("ann")
    made = ledger.draft((ann, new.Put("a", "red", 3)))
    assert made.content.rules == ledger.status()["rules"] == 2
    assert ledger.simulate((ann, new.Put("a", "red", 11)))["code"] == "shelf.too_large"
    node.close()


def test_a_draft_is_written_as_the_rules_in_force_have_it() -> None:
    actions = Sandbox(new.modules().values(), GENESIS).rules.actions
    said: list[tuple[int, Message, str]] = [
        (1, new.PutBefore("a", "red"), "shelf.put"),
        (2, new.Put("a", "red", 3), "shelf.put"),
        (1, new.Put("a", "red"), "shelf.put"),
        (2, new.Weigh("a"), "shelf.weigh"),
    ]
    for rules, message, do in said:
        made = write("demo", rules, [("a" * 26, message)], expires_ms=1, actions=actions, salt="0" * 32)
        assert (made.content.rules, made.content.calls[0].do) == (rules, do)
        assert made.missing({}, actions, 0) == ("a" * 26,)
    for refused in (new.Put("a", "red", 3), new.Weigh("a")):
        with pytest.raises(Malformed):
            write("demo", 1, [("a" * 26, refused)], expires_ms=1, actions=actions, salt="0" * 32)


def test_a_client_writes_for_the_rules_that_its_node_follows() -> None:
    city = City("http://node", new.modules())
    operation = sending.draft(city, ("a" * 26, new.Put("a", "red", 3)))
    asked, step = list[str](), steps.advance(operation, None)
    while not isinstance(step, steps.Done):
        assert isinstance(step, steps.Request)
        asked.append(step.path)
        body = {"/v1/genesis": GENESIS, "/v1/status": b'{"rules":2,"time_ms":7}'}[step.path]
        step = steps.advance(operation, steps.Answer(200, body))
    assert asked == ["/v1/genesis", "/v1/status"]
    assert step.value.content.rules == 2
