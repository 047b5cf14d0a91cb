"""Whose signatures stand for an actor that did not sign itself: those of sessions and mandates, and none too many."""

import pytest

from metrobloc.commons.identity.types import EndMandate, Freeze, Mandate, OpenSession, Register, Rotate
from metrobloc.kernel import system
from metrobloc.kernel.block import delegated
from metrobloc.kernel.state import unmetered
from metrobloc.kernel.system import Delegation
from tests.kernel.test_transactions import nothing_happened
from tests.kernel.toys import Boss, Put, Toys

DAY_MS = 86_400_000
RED = Put("mine", "red")
HOUSES = ("bank", "hospital")
TOYS = ("toy",)


def town() -> Toys:
    """Set up two houses that the clerk acts for, and a session of the bank's."""
    chain = Toys()
    for name in ("clerk", "other"):
        chain.stage.join(name)
    until_ms = chain.now + 100 * DAY_MS
    for house in HOUSES:
        chain.stage.act(house, Mandate(chain.stage.account("clerk"), TOYS, until_ms))
    session = OpenSession(chain.stage.key("tablet").key_id, ("toy.put", "identity"), chain.now + 20 * DAY_MS)
    chain.stage.act("bank", session, also=("tablet",))
    return chain


def several(chain: Toys, owner: str, threshold: int, *names: str) -> None:
    """Let an account have several keys, a day later, and keep what it has delegated."""
    keys = tuple(chain.stage.key(name).key_id for name in names)
    chain.stage.act(owner, Rotate(keys, threshold, keeps_delegated=True), also=names)
    chain.stage.time_ms += DAY_MS
    chain.block()


def test_a_session_or_a_clerk_signs_instead_of_the_actor_and_not_beside_it() -> None:
    chain = town()
    for by, code in (
        (("bank", "tablet"), "extra_signature"),
        (("bank", "clerk"), "extra_signature"),
        (("tablet", "clerk"), "extra_signature"),
        (("other",), "not_signed"),
    ):
        nothing_happened(chain, chain.stage.sign(("bank", RED), by=by), code)
    for one in ("tablet", "clerk", "bank"):
        assert chain.codes(chain.stage.sign(("bank", RED), by=(one,))) == ["ok"]


def test_too_few_of_an_accounts_keys_and_a_session_key_are_no_signature_of_both() -> None:
    chain = town()
    several(chain, "bank", 2, "one", "two", "three")
    nothing_happened(chain, chain.stage.sign(("bank", RED), by=("one",)), "not_signed")
    nothing_happened(chain, chain.stage.sign(("bank", RED), by=("one", "tablet")), "extra_signature")
    nothing_happened(chain, chain.stage.sign(("bank", RED), by=("one", "two", "tablet")), "extra_signature")
    assert chain.codes(chain.stage.sign(("bank", RED), by=("tablet",))) == ["ok"]
    assert chain.codes(chain.stage.sign(("bank", RED), by=("one", "three"))) == ["ok"]


def test_a_clerk_with_several_keys_signs_with_as_many_as_her_account_asks_for() -> None:
    chain = town()
    several(chain, "clerk", 2, "one", "two", "three")
    wrong: dict[tuple[str, ...], str] = {
        ("clerk",): "not_signed",
        ("one",): "not_signed",
        ("one", "two", "three"): "extra_signature",
        ("one", "tablet"): "extra_signature",
    }
    for by, code in wrong.items():
        nothing_happened(chain, chain.stage.sign(("bank", RED), by=by), code)
    assert chain.codes(chain.stage.sign(("bank", RED), by=("two", "three"))) == ["ok"]
    both = chain.stage.sign(("bank", RED), ("hospital", RED), ("clerk", RED), by=("one", "three"))
    assert chain.codes(both) == ["ok"]


def test_one_clerk_stands_for_two_houses_and_herself_with_one_signature() -> None:
    chain = town()
    calls = (("bank", RED), ("clerk", Put("hers", "blue")), ("hospital", RED))
    assert chain.codes(chain.stage.sign(*calls, by=("clerk",))) == ["ok"]
    nothing_happened(chain, chain.stage.sign(("bank", RED), ("charity", RED), by=("clerk",)), "not_signed")
    assert chain.codes(chain.stage.sign(("bank", RED), ("charity", RED), by=("clerk", "charity"))) == ["ok"]


def test_a_house_may_sign_itself_where_the_clerk_stands_for_another() -> None:
    chain = town()
    calls = (("bank", RED), ("hospital", RED))
    assert chain.codes(chain.stage.sign(*calls, by=("clerk", "bank"))) == ["ok"]
    nothing_happened(chain, chain.stage.sign(*calls, by=("tablet",)), "not_signed")


def test_one_delegate_answers_for_all_that_an_actor_does_in_a_transaction() -> None:
    chain = town()
    kid = chain.stage.key("kid").key_id
    calls = (("bank", RED), ("bank", Register(kid)))
    assert chain.codes(chain.stage.sign(*calls, by=("tablet", "kid"))) == ["ok"]
    kid = chain.stage.key("another kid").key_id
    for by in (("tablet",), ("clerk",), ("clerk", "tablet")):
        raw = chain.stage.sign(("bank", Boss()), ("bank", Register(kid)), by=(*by, "another kid"))
        nothing_happened(chain, raw, "not_signed")


def test_what_is_personal_is_signed_by_nobody_else() -> None:
    chain = town()
    nothing_happened(chain, chain.stage.sign(("bank", Freeze()), by=("tablet",)), "not_signed")
    nothing_happened(chain, chain.stage.sign(("bank", RED), ("bank", Freeze()), by=("tablet",)), "not_signed")


def test_there_is_no_chain_of_delegates() -> None:
    chain = town()
    until_ms = chain.now + DAY_MS
    chain.stage.act("clerk", Mandate(chain.stage.account("other"), TOYS, until_ms))
    chain.stage.act("clerk", OpenSession(chain.stage.key("phone").key_id, TOYS, until_ms), also=("phone",))
    for by in ("other", "phone"):
        assert chain.codes(chain.stage.sign(("clerk", RED), by=(by,))) == ["ok"]
        nothing_happened(chain, chain.stage.sign(("bank", RED), by=(by,)), "not_signed")


def test_a_delegate_has_the_actors_roles_and_not_her_own() -> None:
    chain = town()
    chain.stage.act("company", Mandate(chain.stage.account("office"), TOYS, chain.now + DAY_MS))
    chain.stage.act("office", Mandate(chain.stage.account("clerk"), TOYS, chain.now + DAY_MS))
    assert chain.codes(chain.stage.sign(("company", Boss()), by=("office",))) == ["not_allowed"]
    assert chain.codes(chain.stage.sign(("office", Boss()), by=("clerk",))) == ["ok"]


def test_of_two_delegates_the_one_whose_key_comes_first_is_taken() -> None:
    chain = town()
    first = min(("tablet", "clerk"), key=lambda name: chain.stage.key(name).key_id)
    calls = (("bank", RED), ("clerk", RED))
    code = {"tablet": "ok", "clerk": "extra_signature"}[first]
    assert chain.codes(chain.stage.sign(*calls, by=("tablet", "clerk"))) == [code]


@pytest.mark.parametrize(
    ("until_ms", "made_ms", "holds"),
    [(1, 0, True), (0, 0, False), (2, 0, True), (1, -1, False), (1, 1, True)],
)
def test_a_delegation_holds_until_its_time_and_from_the_last_reset_on(
    until_ms: int, made_ms: int, *, holds: bool
) -> None:
    chain = town()
    account = chain.view[system.accounts].get(chain.stage.account("bank"))
    assert account is not None
    state = unmetered(chain.machine.open_block(chain.now).state)
    name = chain.stage.account("other")
    given = Delegation(TOYS, chain.now + until_ms, chain.now + made_ms)
    state.put(system.delegations.path((chain.stage.account("bank"), name)), given, system.delegations)
    reset = account.but(reset_ms=chain.now)
    found = delegated(state, chain.stage.account("bank"), reset, name, chain.now)
    assert (found is not None) == holds
    coming = account.but(next_keys=account.keys, next_from_ms=chain.now, next_resets=True)
    assert delegated(state, chain.stage.account("bank"), coming, name, chain.now) == found
    kept = coming.but(next_resets=False)
    assert (delegated(state, chain.stage.account("bank"), kept, name, chain.now) is not None) == (until_ms > 0)


def test_a_delegation_that_is_gone_when_its_turn_comes_is_refused() -> None:
    chain = town()
    end = EndMandate(chain.stage.account("bank"), chain.stage.account("clerk"))
    assert chain.codes(chain.stage.sign(("clerk", end), ("bank", RED), by=("clerk",))) == ["kernel.delegations_unknown"]
    assert chain.colour("mine") is None


def test_a_freeze_counts_for_what_follows_in_the_same_transaction() -> None:
    chain = Toys()
    chain.stage.join("ann")
    assert chain.codes(chain.tx("ann", Freeze(), RED)) == ["frozen"]
    assert chain.codes(chain.tx("ann", RED), chain.tx("ann", Freeze()), chain.tx("ann", RED)) == ["ok", "ok", "frozen"]
