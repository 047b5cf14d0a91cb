"""An upgrade that the council has decided: replayed from genesis, by programs that have it and by one that has not.

`old` and `new` are two programs for one chain. What the old one executes the new one executes alike; at the block from
which on more is needed the old one stops, and says so before anything is executed.
"""

import asyncio
from collections.abc import Callable
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
from metrobloc.commons.governance.types import Approve, ProposeModule, ProposeRules, ProposeValue
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.types import Register
from metrobloc.commons.stage import Stage
from metrobloc.engine.audit import audit_export, audit_folder
from metrobloc.engine.sealer import Sealer, clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.engine.verifier import Verifier
from metrobloc.kernel import envelope, system
from metrobloc.kernel.codec import Malformed as NotRead
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.module import Module
from metrobloc.kernel.types import Message
from metrobloc.mirror.follow import from_store, rebuild, schema_of
from metrobloc.surface import http
from metrobloc.surface.ledger import Local
from metrobloc.testing.sandbox import START_MS, Sandbox
from tests.mirror.naive import audited, same
from tests.surface.city import Inline, Node
from tests.upgrade.museum import rules as museum
from tests.upgrade.new import rules as new
from tests.upgrade.old import rules as old

GENESIS = demo_genesis(START_MS, old.modules(), "shelf")
DAYS_MINUTES = 3 * 24 * 60
LACKS_RULES = "this chain needs what this program does not have: version 2 of the rules. Install a newer version"


def decide(stage: Stage, message: Message) -> None:
    """Have the council decide something."""
    proposal = stage.act("bank", message).ids[0]
    for name in ("hospital", "charity"):
        stage.act(name, Approve(proposal))


def before(stage: Stage, put: Callable[[str, str], Message] = new.PutBefore) -> int:
    """Play what happens under the old rules, up to the last block under them; return the height of the upgrade."""
    stage.join("ann")
    stage.act("ann", put("red1", "red"))
    stage.act("ann", put("red2", "red"))
    height = 18
    decide(stage, ProposeRules(2, height))
    for number in range(11):
        stage.act("ann", put(f"blue{number}", "blue"))
    return height


def after(stage: Stage) -> None:
    """Play what happens under the new rules."""
    stage.act("ann", new.Put("big", "green", 10))
    stage.act("ann", new.Put("huge", "green", 11), refused="shelf.too_large")
    stage.act("ann", new.Paint("red1", "white"))
    stage.act("ann", new.Weigh("red1"), new.Weigh("red2"))
    decide(stage, ProposeValue("shelf", "size_max", 50))
    decide(stage, ProposeModule("museum"))
    stage.act("ann", museum.Show("mona"), refused="not_active")
    for number in range(9):
        stage.act("ann", new.Put(f"small{number}", "green"))
    stage.act("ann", new.Put("huge", "green", 50))
    stage.act("ann", museum.Show("mona"))


@pytest.fixture
def box() -> Sandbox:
    """Return a chain of the old genesis in the new program, at the last block before the upgrade."""
    made = Sandbox(new.modules().values(), GENESIS)
    assert before(made.stage) == made.machine.height + 1
    return made


def test_records_of_old_rules_migrate_when_they_are_touched(box: Sandbox) -> None:
    after(box.stage)
    raw = {name: box.memory.get(f"shelf/boxes/{name}".encode()) for name in ("red1", "red2", "big")}
    assert raw == {
        "red1": b'{"colour":"white","size":1}',
        "red2": b'{"colour":"red"}',
        "big": b'{"colour":"green","size":10}',
    }
    assert not box.bugs
    assert not box.broken()


def test_the_same_blocks_give_the_same_roots_in_both_programs_until_the_old_one_stops(box: Sandbox) -> None:
    height = box.machine.height + 1
    after(box.stage)
    newer, older = Sandbox(new.modules().values(), GENESIS), Sandbox(old.modules().values(), GENESIS)
    for sealed in box.sealed[1:]:
        newer.replay(read_block(sealed.block))
        assert newer.sealed[-1].header == sealed.header
        if sealed.height < height:
            older.replay(read_block(sealed.block))
            assert older.sealed[-1].header == sealed.header
    assert newer.machine.state_root == box.machine.state_root
    assert older.machine.height == height - 1
    rows = dict(older.memory.records.rows)
    with pytest.raises(MachineFault, match=f"From block {height} on {LACKS_RULES}"):
        older.replay(read_block(box.sealed[height].block))
    assert older.memory.records.rows == rows


def test_what_was_written_for_other_rules_is_void() -> None:
    box = Sandbox(new.modules().values(), GENESIS)
    stage = box.stage
    stage.join("ann")
    early = msgspec.structs.replace(stage.payload(("ann", new.Put("big", "green", 2))), rules=2)
    late = stage.payload(("ann", new.PutBefore("small", "red")), expires_ms=3_600_000)
    weigh = stage.payload(("ann", new.Weigh("small")))
    raws = [envelope.sign(payload, [stage.key("ann")]) for payload in (early, late, weigh)]
    assert [one.code for one in stage.send([raws[0]])] == ["wrong_rules"]
    with pytest.raises(NotRead, match="unknown_action"):
        box.rules.check(raws[2])
    decide(stage, ProposeRules(2))
    for name in "abcdefghi":
        assert box.version() == 1
        stage.act("ann", new.PutBefore(name, "red"))
    assert box.version() == 2
    assert [one.code for one in stage.send([raws[1]])] == ["wrong_rules"]
    stage.act("ann", new.Put("big", "green", 2))
    stage.act("bank", ProposeRules(2), refused="governance.not_next")


def test_a_parameter_of_later_rules_is_unknown_before_them(box: Sandbox) -> None:
    """To both programs alike, so that both come to the same roots."""
    stage = box.stage
    fresh = Sandbox(new.modules().values(), GENESIS)
    fresh.stage.act("bank", ProposeValue("shelf", "size_max", 5), refused="governance.unknown_param")
    assert box.view[system.params].get(("shelf", "size_max")) is None
    stage.act("bank", ProposeValue("shelf", "size_max", 51), refused="governance.outside_limits")
    stage.act("bank", ProposeValue("shelf", "size_max", 50))


def test_what_a_program_has_besides_decides_nothing() -> None:
    """A module that one program has and the other lacks is asked about, decided about and called in vain."""
    roots = []
    for program in (old, new):
        box = Sandbox(program.modules().values(), GENESIS)
        run = box.machine.open_block(box.stage.time_ms)
        with pytest.raises(Exception, match="not_active"):
            run.find("museum.show")
        assert run.find("shelf.weigh") is None
        stage = box.stage
        stage.act("bank", ProposeValue("museum", "days_max", 5), refused="governance.unknown_param")
        stage.act("bank", ProposeValue("shelf", "size_max", 5), refused="governance.unknown_param")
        decide(stage, ProposeModule("museum"))
        decide(stage, ProposeRules(2))
        roots.append(box.machine.state_root)
    assert roots[0] == roots[1]


def test_a_module_is_active_from_its_block_on_with_its_defaults(box: Sandbox) -> None:
    stage = box.stage
    after(stage)
    assert box.view[museum.exhibits].get("mona") == museum.Exhibit("mona", stage.time_ms + 3 * 86_400_000)
    assert museum.on_show(box.view) == 1
    decide(stage, ProposeValue("museum", "days_max", 30))
    stage.wait(DAYS_MINUTES)
    stage.act("ann", new.Put("last", "green"))
    assert museum.on_show(box.view) == 0, "its deadlines run"
    stage.act("bank", ProposeModule("museum"), refused="governance.active_already")
    assert not box.broken()


def test_a_chain_led_to_a_module_that_nobody_has_goes_on_with_a_program_that_has_it() -> None:
    box = Sandbox(new.modules().values(), GENESIS)
    decide(box.stage, ProposeModule("nowhere"))
    for number in range(9):
        box.stage.join(f"citizen {number}")
    with pytest.raises(MachineFault, match="does not have: nowhere"):
        box.machine.open_block(box.stage.time_ms)
    healed = Sandbox([*new.modules().values(), Module("nowhere", {})], GENESIS)
    for sealed in box.sealed[1:]:
        healed.replay(read_block(sealed.block))
    healed.stage.time_ms = box.stage.time_ms
    healed.stage._sent = 10_000
    healed.stage.join("bo")
    assert not healed.broken()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a data folder whose old program has come to the last block under the old rules."""
    folder = tmp_path / "town"
    node = Solo.create(folder, GENESIS, old.modules())
    before(staged(node), old.Put)
    node.close()
    return folder


def staged(node: Solo) -> Stage:
    """Return hands on a node, whose salts are its height's."""
    machine = node.machine
    made = Stage(machine.rules, node.execute, machine.time_ms, version=lambda: machine.ahead().version)
    made._sent = 1000 * machine.height
    return made


def test_a_node_stops_at_the_upgrade_and_goes_on_with_the_new_program(home: Path) -> None:
    node = Solo.open(home, old.modules())
    height = node.machine.height + 1
    with pytest.raises(MachineFault, match=LACKS_RULES):
        http.build(Sealer(node, verifier(old)))
    with pytest.raises(MachineFault, match=LACKS_RULES):
        staged(node).act("ann", old.Paint("red1", "black"))
    with pytest.raises(MachineFault, match=LACKS_RULES):
        node.execute([], node.machine.time_ms + 1)
    assert node.machine.height == node.store.head() == height - 1
    node.close()
    for _ in range(2):
        node = Solo.open(home, new.modules())
        stage = staged(node)
        stage.act("ann", new.Put("more", "red", 3))
        node.close()
    node = Solo.open(home, new.modules())
    after(staged(node))
    assert not node.bugs
    lines = list(node.export())
    seen = audited(node.store, new.modules)
    path = home / "mirror.sqlite"
    schema = schema_of(GENESIS, new.modules())
    assert rebuild(path, schema, GENESIS, from_store(node.store), lambda _: None) == node.store.head()
    same(path, schema, seen)
    node.close()
    report = audit_export(lines, new.modules, None, lambda _: None)
    assert (report.problems, report.height) == ([], height + 1 + 21)
    assert audit_folder(home, new.modules, None, lambda _: None).problems == []
    stopped = audit_export(lines, old.modules, None, lambda _: None)
    assert [LACKS_RULES in problem for problem in stopped.problems] == [True]
    assert stopped.height == height - 1


def verifier(program: Any) -> Verifier:  # noqa: ANN401  # `old` or `new`
    """Return what checks signatures for a program."""
    return cast("Verifier", Inline(GENESIS, program.modules))


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
