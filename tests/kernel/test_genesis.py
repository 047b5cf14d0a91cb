"""The first page: what it founds, and what it may not say."""

from collections.abc import Callable

import msgspec
import pytest

from metrobloc.commons.identity import demo
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.types import Register
from metrobloc.engine.memory import Memory
from metrobloc.kernel import accounts, codec, system
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.genesis import Founder, Genesis, chain_id, is_demo, read_genesis
from metrobloc.kernel.machine import Machine, make_rules
from metrobloc.testing.sandbox import Sandbox
from tests.kernel import toys

PAGE = read_genesis(toys.genesis())
KEY = SigningKey(b"1" * 32)


def found(page: Genesis) -> Sandbox:
    """Found a chain from a page."""
    return Sandbox(toys.MODULES, codec.encode(page))


def changed(**fields: object) -> Genesis:
    """Return the page with other fields."""
    return msgspec.structs.replace(PAGE, **fields)


def test_what_is_there_from_the_start() -> None:
    box = Sandbox(toys.MODULES, toys.genesis(toy__size_max=7))
    info = box.view[system.chain].get("info")
    assert info is not None
    assert info.genesis == box.rules.digest
    value = box.view[system.params].get(("toy", "size_max"))
    assert value is not None
    assert value.value == 7
    assert len(list(box.view[system.accounts].items())) == len(demo.ROLES)
    office = accounts.account_id(accounts.DEMO_KEYS[0].key_id)
    assert box.view[system.roles].get((office, "office")) is not None
    head = box.view[system.log].get("head")
    assert head is not None
    assert (head.size, box.machine.log.size, box.machine.height) == (0, 1, 0)


def test_the_name_of_a_chain_binds_all_of_its_genesis() -> None:
    ids = {chain_id(demo_genesis(time_ms, ["toy"], name)) for time_ms in (1, 2) for name in ("a", "a-long-name")}
    assert len(ids) == 4
    assert all(len(chain) <= 50 and is_demo(chain) for chain in ids)
    assert len(chain_id(codec.encode(changed(name="n" * 32)))) <= 50


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (changed(name="real"), "public demonstration key"),
        (changed(founders=(Founder(KEY.key_id), Founder(KEY.key_id))), "belongs to an account already"),
        (changed(founders=(Founder("did:key:z6Mk" + "1" * 44),)), "no Ed25519 key"),
        (changed(modules=("identity", "alchemy")), "needs the modules alchemy"),
        (changed(params={"toy.size_max": 0}), r"it must lie within \(1, 1000\)"),
        (changed(params={"toy.size_max": 1001}), r"it must lie within"),
        (changed(params={"toy.size": 5}), "no module has it"),
    ],
)
def test_a_genesis_that_cannot_be_founded(page: Genesis, says: str) -> None:
    with pytest.raises(MachineFault, match=says):
        found(page)


def test_a_chain_that_is_no_playground_has_keys_of_its_own() -> None:
    page = changed(name="real", founders=(Founder(KEY.key_id, 100, ("office",)),))
    box = found(page)
    assert not is_demo(box.rules.chain)
    account = accounts.account_id(KEY.key_id)
    assert box.view[system.accounts].get(account) == system.Account((KEY.key_id,), quota_per_hour=100)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda page: page | {"founders": []}, "out_of_bounds"),
        (lambda page: page | {"name": "Town Hall"}, "out_of_bounds"),
        (lambda page: page | {"rules": 2}, "out_of_bounds"),
        (lambda page: page | {"mayor": "Ann"}, "unknown_field"),
        (lambda page: page | {"limits": page["limits"] | {"work_per_tx": 0}}, "out_of_bounds"),
        (lambda page: {key: value for key, value in page.items() if key != "time_ms"}, "missing_field"),
        (lambda page: page | {"time_ms": 1.5}, "float"),
    ],
)
def test_a_genesis_that_cannot_be_read(edit: Callable[[dict[str, object]], object], code: str) -> None:
    limits = msgspec.to_builtins(system.Limits())
    page = msgspec.json.decode(toys.genesis(), type=dict[str, object]) | {"limits": limits}
    with pytest.raises(Malformed) as malformed:
        read_genesis(msgspec.json.encode(edit(page), order="sorted"))
    assert malformed.value.code == code


def test_a_demo_key_opens_no_account_on_a_real_chain() -> None:
    page = changed(name="real", founders=(Founder(KEY.key_id, 100, ("office",)),))
    box = found(page)
    box.stage.keys["boss"] = KEY
    box.stage.keys["thief"] = accounts.DEMO_KEYS[9]
    box.stage.act("boss", Register(box.stage.key("thief").key_id), also=("thief",), refused="kernel.demo_key")


def test_modules_run_under_one_genesis_only() -> None:
    rules = make_rules(toys.genesis(), {module.name: module for module in toys.MODULES})
    other = Sandbox(toys.MODULES, toys.genesis(toy__size_max=5))
    assert rules.chain != other.rules.chain
    machine = Machine(rules, Memory())
    assert machine.found().header != other.sealed[0].header
