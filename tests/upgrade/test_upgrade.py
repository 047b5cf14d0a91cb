"""An upgrade that the council has decided: replayed from genesis, by programs that have it and by one that has not.

`old` and `new` are two programs for one chain. What the old one executes the new one executes alike; at the block from
which on more is needed the old one stops, and says so before anything is executed.
"""

from pathlib import Path

import msgspec
import pytest

from metrobloc.commons.governance.types import ProposeModule, ProposeRules, ProposeValue
from metrobloc.engine.audit import audit_export, audit_folder
from metrobloc.engine.sealer import Sealer
from metrobloc.engine.solo import Solo
from metrobloc.kernel import envelope, system
from metrobloc.kernel.codec import Malformed as NotRead
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.module import Module
from metrobloc.mirror.follow import from_store, rebuild, schema_of
from metrobloc.surface import http
from metrobloc.testing.sandbox import Sandbox
from tests.mirror.naive import audited, same
from tests.upgrade.museum import rules as museum
from tests.upgrade.new import rules as new
from tests.upgrade.old import rules as old
from tests.upgrade.played import GENESIS, LACKS_RULES, after, before, decide, folder_of, staged, verifier

DAYS_MINUTES = 3 * 24 * 60


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
    return folder_of(tmp_path / "town")


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
