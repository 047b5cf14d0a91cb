"""From bytes to receipt: who must have signed, what runs once, what it costs, and what a failure leaves behind."""

import msgspec
import pytest

from metrobloc.commons.identity.types import Accredit, Arbitrate, Register, Rotate, Veto
from metrobloc.kernel import envelope, system
from metrobloc.kernel.block import RECEIPT_BYTES_MAX, Outcome
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS, MachineFault
from metrobloc.kernel.machine import Machine
from metrobloc.kernel.receipts import Header
from metrobloc.kernel.system import Limits
from metrobloc.kernel.tree import StateTree, entry
from tests.kernel import toys
from tests.kernel.toys import Boss, Break, Grow, Make, Never, Paint, Put, Roll, Shop, Shout, Toil, Toys

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
RED = Put("mine", "red")


def used(chain: Toys, payer: str) -> int:
    """Return what a payer has used in the hour of its last transaction."""
    usage = chain.view[system.usage].get(chain.stage.account(payer))
    return 0 if usage is None else usage.units


def nothing_happened(chain: Toys, raw: bytes, code: str, later_ms: int = 0) -> None:
    """Hold a void transaction to what it must be: a code, and no receipt, id, block or state."""
    before = (chain.machine.state_root, chain.machine.log, chain.machine.height, set(chain.machine.seen))
    assert chain.block(raw, later_ms=later_ms) == [Outcome(envelope.reopen(raw).id, code)]
    assert before == (chain.machine.state_root, chain.machine.log, chain.machine.height, chain.machine.seen)


def restarted(chain: Toys) -> Machine:
    """Take the machine up from what is durable, as a node does when it starts."""
    machine = Machine(chain.rules, chain.memory)
    tree = StateTree.build(entry(key, record) for key, record in chain.memory.records.rows.items())
    gone = {minute for sealed in chain.sealed for minute in sealed.expired}
    kept = [(m, ids) for sealed in chain.sealed for m, ids in sealed.expiring.items() if m not in gone]
    machine.restore(msgspec.json.decode(chain.sealed[-1].header, type=Header), tree, chain.sealed[-1].log, kept)
    return machine


def three() -> tuple[Toys, envelope.Payload]:
    """Return a chain and what three of its actors are to sign together."""
    chain = Toys()
    return chain, chain.stage.payload(*((who, Put(who, "red")) for who in ("bank", "hospital", "charity")))


def test_three_actors_sign_one_transaction() -> None:
    chain, payload = three()
    assert chain.codes(chain.sign(payload, "bank", "hospital", "charity")) == ["ok"]
    assert [chain.colour(who) for who in ("bank", "hospital", "charity")] == ["red"] * 3
    assert [used(chain, who) for who in ("bank", "hospital", "charity")] == [1, 1, 1]


@pytest.mark.parametrize("signers", [("bank", "hospital"), ("hospital", "charity"), ("bank",), ("company",)])
def test_two_of_three_are_no_transaction(signers: tuple[str, ...]) -> None:
    chain, payload = three()
    nothing_happened(chain, chain.sign(payload, *signers), "not_signed")
    assert chain.codes(chain.sign(payload, "bank", "hospital", "charity")) == ["ok"]  # nothing was used up


def test_an_extra_signature_is_no_part_of_a_transaction() -> None:
    chain, payload = three()
    nothing_happened(chain, chain.sign(payload, "bank", "hospital", "charity", "company"), "extra_signature")


def test_a_wrong_signature_stops_at_the_door() -> None:
    chain = Toys()
    body = msgspec.json.decode(chain.tx("bank", RED))
    body["signatures"][0]["sig"] = msgspec.json.decode(chain.tx("bank", RED))["signatures"][0]["sig"]
    with pytest.raises(Malformed) as malformed:
        chain.block(msgspec.json.encode(body, order="sorted"))
    assert malformed.value.code == "bad_signature"


def test_a_transaction_runs_once() -> None:
    chain = Toys()
    raw = chain.tx("bank", RED, expires_ms=10 * MINUTE_MS)
    assert chain.codes(raw, raw) == ["ok", "replayed"]
    nothing_happened(chain, raw, "replayed")
    chain.machine = restarted(chain)
    nothing_happened(chain, raw, "replayed")
    nothing_happened(chain, raw, "replayed", later_ms=8 * MINUTE_MS)
    assert chain.codes(chain.tx("bank", RED), later_ms=3 * MINUTE_MS) == ["ok"]  # the id is forgotten here
    nothing_happened(chain, raw, "expired")
    assert used(chain, "bank") == 2


def test_ids_are_kept_until_they_cannot_come_back() -> None:
    chain = Toys()
    raws = [chain.tx("bank", RED, expires_ms=second * 1000) for second in range(30, 600, 29)]
    assert set(chain.codes(*raws, later_ms=0)) == {"ok"}
    for _ in range(130):
        chain.codes(chain.tx("bank", RED), later_ms=5000)
        codes = chain.codes(*raws, later_ms=0)
        assert set(codes) <= {"replayed", "expired"}
        kept = {minute for minute, _ in chain.view[system.replay].items()}
        assert kept == {str(minute) for minute in chain.machine.minutes}
    assert codes == ["expired"] * len(raws)
    assert len(chain.machine.seen) < 100


def test_signed_again_is_the_same_transaction() -> None:
    """Make another valid signature over the same bytes: with its own nonce, as RFC 8032 forbids and anybody can."""
    from nacl.bindings import crypto_core_ed25519_scalar_add as add
    from nacl.bindings import crypto_core_ed25519_scalar_mul as times
    from nacl.bindings import crypto_core_ed25519_scalar_reduce as reduce
    from nacl.bindings import crypto_hash_sha512 as sha512
    from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp as point

    chain = Toys()
    payload = chain.stage.payload(("bank", RED))
    key, body = chain.stage.key("bank"), msgspec.json.encode(payload, order="sorted")
    head = bytearray(sha512(key.seed)[:32])
    head[0], head[31] = head[0] & 248, head[31] & 127 | 64
    secret = reduce(bytes(head) + bytes(32))
    nonce = reduce(sha512(b"another nonce"))
    challenge = reduce(sha512(point(nonce) + key.public_key + envelope.pae(body)))
    other = envelope.seal(body, {key.key_id: point(nonce) + add(nonce, times(challenge, secret))})
    raw = chain.sign(payload, "bank")
    assert raw != other
    assert envelope.reopen(raw).id == envelope.reopen(other).id
    assert chain.codes(raw, other) == ["ok", "replayed"]
    nothing_happened(chain, other, "replayed")


def test_time_runs_out() -> None:
    chain = Toys()
    raw = chain.tx("bank", RED, expires_ms=2000)
    nothing_happened(chain, raw, "expired", later_ms=2000)
    nothing_happened(chain, chain.tx("bank", RED, expires_ms=DAY_MS + 1), "expires_too_late")
    assert chain.codes(chain.tx("bank", RED, expires_ms=DAY_MS), later_ms=0) == ["ok"]
    assert used(chain, "bank") == 10
    assert chain.codes(chain.tx("bank", RED, expires_ms=10 * MINUTE_MS), later_ms=0) == ["ok"]
    assert used(chain, "bank") == 11


def test_a_transaction_is_for_one_chain_under_one_version_of_the_rules() -> None:
    chain = Toys()
    payload = chain.stage.payload(("bank", RED))
    wrong_chain = msgspec.structs.replace(payload, chain="demo-other-0123456789abcdef")
    nothing_happened(chain, chain.sign(wrong_chain, "bank"), "wrong_chain")
    nothing_happened(chain, chain.sign(msgspec.structs.replace(payload, rules=2), "bank"), "wrong_rules")


def test_what_the_door_would_have_stopped_is_void() -> None:
    chain = Toys()
    payload = chain.stage.payload(("bank", RED))
    call = payload.calls[0]
    for change, code in (
        (envelope.Call(call.as_, "toy.fly", call.with_), "unknown_action"),
        (envelope.Call(call.as_, call.do, msgspec.Raw(b'{"box":7}')), "malformed"),
        (envelope.Call("a" * 26, call.do, call.with_), "unknown_account"),
    ):
        raw = chain.sign(msgspec.structs.replace(payload, calls=(change,)), "bank")
        run = chain.machine.open_block(chain.now)
        assert run.apply(raw).code == code
        assert chain.machine.seal(run) is None
        if code != "unknown_account":
            with pytest.raises(Malformed):
                chain.rules.check(raw)


def test_keys_change_after_the_delay_and_between_check_and_execution() -> None:
    chain = Toys()
    old, new, third = chain.stage.key("bank"), SigningKey(b"2" * 32), SigningKey(b"3" * 32)
    rotate = chain.stage.payload(("bank", Rotate((new.key_id,))))
    nothing_happened(chain, chain.sign(rotate, old), "not_signed")
    assert chain.codes(chain.sign(rotate, old, new)) == ["ok"]
    again = chain.stage.payload(("bank", Rotate((third.key_id,))))
    assert chain.codes(chain.sign(again, old, third)) == ["identity.change_pending"]

    late = chain.stage.payload(("bank", RED), expires_ms=DAY_MS)
    by_old, by_new = chain.sign(late, old), chain.sign(late, new)
    chain.rules.check(by_old)  # the door lets both in; the keys are looked at when it runs
    nothing_happened(chain, by_new, "not_signed", later_ms=DAY_MS - 2000)
    assert chain.codes(by_old, later_ms=1000) == ["not_signed"]  # a deadline runs in that block
    nothing_happened(chain, by_old, "not_signed")
    assert chain.codes(by_new, later_ms=0) == ["ok"]

    second = chain.stage.payload(("bank", Rotate((third.key_id,))))
    assert chain.codes(chain.sign(second, new, third)) == ["ok"]
    assert chain.codes(chain.sign(chain.stage.payload(("bank", RED)), new)) == ["ok"]
    by_new, by_third = (chain.sign(chain.stage.payload(("bank", RED), expires_ms=DAY_MS), key) for key in (new, third))
    assert chain.codes(by_new, later_ms=DAY_MS - 1000) == ["not_signed"]
    nothing_happened(chain, by_new, "not_signed")
    assert chain.codes(by_third, later_ms=0) == ["ok"]


def test_a_change_of_keys_can_be_vetoed_once_it_is_under_way() -> None:
    chain = Toys()
    old, new = chain.stage.key("bank"), SigningKey(b"2" * 32)
    assert chain.codes(chain.tx("bank", Veto())) == ["identity.changes_unknown"]
    assert chain.codes(chain.sign(chain.stage.payload(("bank", Rotate((new.key_id,)))), old, new)) == ["ok"]
    assert chain.codes(chain.tx("bank", Veto()), chain.tx("bank", Veto())) == ["ok", "identity.in_doubt"]
    chain.stage.time_ms += 2 * DAY_MS
    assert chain.codes(chain.tx("bank", RED)) == ["frozen"]
    nothing_happened(chain, chain.sign(chain.stage.payload(("bank", RED)), new), "not_signed")
    decided = chain.tx("office", Arbitrate(chain.stage.account("bank"), "dismissed"))
    assert chain.codes(decided, chain.tx("bank", RED)) == ["ok", "ok"]


def test_a_key_belongs_to_one_account_for_ever() -> None:
    chain = Toys()
    stage, old = chain.stage, chain.stage.key("ann")
    stage.join("ann")
    new = SigningKey(b"2" * 32)
    assert chain.codes(chain.sign(stage.payload(("ann", Rotate((new.key_id,)))), old, new)) == ["ok"]
    for key in (old, new, stage.key("hospital")):
        stage.time_ms += 2 * DAY_MS
        register = chain.sign(stage.payload(("bank", Register(key.key_id))), "bank", key)
        assert chain.codes(register) == ["kernel.keys_taken"]


def test_a_refused_transaction_keeps_receipt_and_quota_and_does_not_come_back() -> None:
    chain = Toys()
    raw = chain.tx("bank", RED, Never())
    assert chain.codes(raw, raw) == ["toy.never", "replayed"]
    nothing_happened(chain, raw, "replayed")
    receipt = chain.receipts()[0]
    assert (receipt.code, receipt.call, receipt.events, receipt.ids) == ("toy.never", 1, (), ())
    assert receipt.tx == envelope.reopen(raw).id.hex()
    assert used(chain, "bank") == 2  # two calls
    assert chain.colour("mine") is None
    assert chain.colour("nowhere") is None


def test_calls_run_together_or_not_at_all() -> None:
    chain = Toys()
    both = chain.sign(chain.stage.payload(("bank", RED), ("hospital", Put("yours", "red"))), "bank", "hospital")
    assert chain.codes(both) == ["ok"]
    half = chain.sign(chain.stage.payload(("bank", Put("mine", "blue")), ("hospital", Boss())), "bank", "hospital")
    assert chain.codes(half) == ["not_allowed"]
    assert (chain.colour("mine"), chain.receipts()[0].call) == ("red", 1)


def test_a_later_call_names_what_an_earlier_one_makes() -> None:
    chain = Toys()
    salt = "5a" * 16
    made = derive_id(chain.rules.chain, chain.stage.account("bank"), salt, 0, 0)
    raw = chain.tx("bank", Make(chain.now + DAY_MS), Paint(made, "blue"), salt=salt)
    assert chain.codes(raw) == ["ok"]
    assert chain.receipts()[0].ids[0] == made
    assert chain.colour(made) == "blue"
    assert chain.codes(chain.tx("bank", Make(chain.now + DAY_MS), salt=salt)) == ["toy.boxes_taken"]
    assert chain.codes(chain.tx("bank", Paint("a" * 26, "red"))) == ["toy.boxes_unknown"]


def test_a_permission_is_asked_for_each_call() -> None:
    chain = Toys()
    assert chain.codes(chain.tx("bank", Boss()), chain.tx("office", Boss())) == ["not_allowed", "ok"]
    for_a_while = Accredit(chain.stage.account("bank"), "A bank", "toyshop", 500, chain.now + 5000)
    assert chain.codes(chain.tx("office", for_a_while), chain.tx("bank", Shop())) == ["ok", "ok"]
    assert chain.codes(chain.tx("bank", Shop()), later_ms=3999) == ["ok"]
    assert chain.codes(chain.tx("bank", Shop()), later_ms=1) == ["not_allowed"]


def test_the_quota_of_an_hour() -> None:
    chain = Toys(quota_per_hour=3)
    assert chain.codes(chain.tx("bank", RED), chain.tx("bank", Never())) == ["ok", "toy.never"]
    nothing_happened(chain, chain.tx("bank", RED, RED), "over_quota")
    nothing_happened(chain, chain.tx("bank", RED, expires_ms=DAY_MS), "over_quota")
    assert chain.codes(chain.tx("bank", RED), chain.tx("bank", RED)) == ["ok", "over_quota"]
    both = chain.sign(chain.stage.payload(("hospital", RED), ("bank", RED)), "bank", "hospital")
    nothing_happened(chain, both, "over_quota")
    assert used(chain, "hospital") == 0
    chain.stage.time_ms += HOUR_MS - 1 - chain.now % HOUR_MS
    nothing_happened(chain, chain.tx("bank", RED), "over_quota")
    chain.stage.time_ms += 1
    assert chain.codes(*[chain.tx("bank", RED) for _ in range(4)], later_ms=0) == ["ok", "ok", "ok", "over_quota"]


def test_a_sponsor_pays_until_its_ward_has_a_quota_of_its_own() -> None:
    chain = Toys()
    chain.stage.join("ann")
    before = used(chain, "bank")
    chain.stage.act("ann", RED)
    assert (used(chain, "bank"), used(chain, "ann")) == (before + 1, 0)
    chain.stage.act("office", Accredit(chain.stage.account("ann"), "Ann & Co", "company", 7))
    chain.stage.act("ann", RED)
    assert (used(chain, "bank"), used(chain, "ann")) == (before + 1, 1)


def test_work_is_metered_by_transaction_and_by_block() -> None:
    chain = Toys(Limits(work_per_tx=100, work_per_block=150))
    assert chain.codes(chain.tx("bank", RED, Toil(80))) == ["ok"]
    assert chain.codes(chain.tx("bank", RED, Toil(100))) == ["too_much_work"]
    assert chain.codes(*[chain.tx("bank", Toil(90)) for _ in range(3)]) == ["ok", "ok", "block_full"]
    assert used(chain, "bank") == 6  # what found no room costs nothing


def test_numbers_stay_in_range() -> None:
    chain = Toys()
    grows = [chain.tx("bank", Grow(by)) for by in (0, 1, 2**53 - 1, -(2**53 - 1))]
    assert chain.codes(*grows) == ["ok", "out_of_range", "out_of_range", "ok"]
    most = Roll(chain.stage.account("ann"), 2**53 - 1)
    assert chain.codes(chain.tx("bank", most)) == ["ok"]
    assert chain.codes(chain.tx("bank", Roll(chain.stage.account("ann"), 1))) == ["toy.marbles_too_low"]


@pytest.mark.parametrize("how", ["bug", "foreign", "bad_code"])
def test_a_bug_is_internal_and_changes_nothing(how: toys.How) -> None:
    chain, sound = Toys(), Toys()
    assert chain.codes(chain.tx("bank", RED, Break(how)), chain.tx("bank", Put("next", "red"))) == ["internal", "ok"]
    assert len(chain.bugs) == 1
    assert sound.codes(sound.tx("bank", RED, Never()), sound.tx("bank", Put("next", "red"))) == ["toy.never", "ok"]
    rows = [{k: v for k, v in c.memory.records.rows.items() if not k.startswith(b"kernel/")} for c in (chain, sound)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("how", ["fault", "memory", "recursion", "disk"])
def test_a_fault_of_the_machine_is_nobodys_receipt(how: toys.How) -> None:
    chain = Toys()
    with pytest.raises((MachineFault, MemoryError, RecursionError, OSError)):
        chain.block(chain.tx("bank", Break(how)))
    assert chain.machine.height == 0


def test_codes_have_sentences() -> None:
    for code, sentence in (VOIDS | ENGINE_REFUSALS).items():
        assert sentence.endswith("."), code


def test_an_empty_block_leaves_everything_as_it_was() -> None:
    chain = Toys()
    chain.codes(chain.tx("bank", RED))
    before = (chain.machine.state_root, chain.machine.log, chain.machine.height, chain.machine.time_ms)
    assert chain.block(later_ms=3_600_000) == []
    assert before == (chain.machine.state_root, chain.machine.log, chain.machine.height, chain.machine.time_ms)
    assert len(chain.sealed) == 2


def test_time_never_runs_backwards() -> None:
    chain = Toys()
    chain.codes(chain.tx("bank", RED))
    with pytest.raises(ValueError, match="behind"):
        chain.machine.open_block(chain.now - 1)


def test_a_restart_refuses_records_that_are_not_the_header_s() -> None:
    chain = Toys()
    chain.codes(chain.tx("bank", RED))
    chain.memory.records.rows[b"toy/boxes/mine"] = b'{"colour":"blue"}'
    with pytest.raises(MachineFault, match="damaged"):
        restarted(chain)
    chain.memory.records.rows[b"toy/boxes/mine"] = b'{"colour":"blue"'
    with pytest.raises(MachineFault, match="toy/boxes/mine is damaged"):
        chain.codes(chain.tx("bank", Paint("mine" + "a" * 22, "red")), chain.tx("bank", RED))
    with pytest.raises(MachineFault, match="toy/boxes/mine is damaged"):
        chain.view[toys.boxes].get("mine")


def test_a_receipt_is_never_longer_than_an_entry_of_a_published_log() -> None:
    chain = Toys()
    told = len(b'{"event":"toy.painted","fields":{"colour":"red"}},')
    most = RECEIPT_BYTES_MAX // told  # what stands around the events is less than one more
    assert chain.codes(chain.tx("bank", Shout(most - 3))) == ["ok"]
    assert RECEIPT_BYTES_MAX - 4 * told < len(chain.sealed[-1].receipts[-1]) <= RECEIPT_BYTES_MAX
    assert chain.codes(chain.tx("bank", RED, Shout(most + 1))) == ["too_much_work"]
    assert (chain.receipts()[-1].events, chain.receipts()[-1].call) == ((), 1)
