"""Acts from a program: what is shown is what an approval signs, whatever the node in between would like to show."""

import asyncio

import msgspec
import pytest

from metrobloc import app
from metrobloc.client import AsyncClient, Client, Malformed, NoNode, NotFound, ProofInvalid, Refused
from metrobloc.client.acts import bundle, shown
from metrobloc.client.draft import Call
from metrobloc.commons.acts.bundle import bundle_of, digest_of
from metrobloc.commons.acts.types import Act, Approve
from metrobloc.commons.acts.types import Call as Asked
from metrobloc.commons.identity.types import Register
from metrobloc.commons.money.types import Hold, Leg, Move, Release
from metrobloc.kernel import envelope
from metrobloc.kernel.crypto import SigningKey
from tests.client.unreliable import Member, bank, between, join
from tests.surface.city import Node

DAY_MS = 86_400_000


def pay(to: Member, fen: int) -> Move:
    """Return a payment."""
    return Move((Leg("cny", to.account, fen),))


def proposed(client: Client, who: Member, *calls: Call) -> str:
    """Propose calls as one act and return its id."""
    message = client.propose(*calls, until_ms=client.time_ms() + DAY_MS)
    return client.send(client.draft((who.account, message)).sign(who.key).seal()).ids[0]


def test_an_act_is_proposed_shown_and_approved(client: Client, mei: Member) -> None:
    lin = join(client)
    made = proposed(client, bank(), (mei.account, pay(lin, 5)), (lin.account, pay(mei, 3)))
    for who, missing in ((mei, (mei.account, lin.account)), (lin, (lin.account,))):
        found = client.act(made)
        assert found.missing == missing
        text = found.show()
        for part in (f"1. {mei.account} does money.move", f"2. {lin.account} does money.move", found.act.bundle, made):
            assert part in text
        assert ("approved by" in text) == (who is lin)
        assert client.try_act(found)["code"] == "ok"
        client.send(client.draft((who.account, found.approve)).sign(who.key).seal())
    ended = client.act(made)
    assert (ended.act.result, ended.missing) == ("executed", ())
    assert f"({ended.act.ended_ms}), height {ended.act.ended_height}" in ended.show()
    with pytest.raises(NotFound, match="no such act"):
        client.act("a" * 26)


def test_ids_are_known_before_the_act_is_done(client: Client, mei: Member) -> None:
    lin = join(client)
    hold = Hold((Leg("cny", lin.account, 5),), client.time_ms() + DAY_MS)
    found = client.act(proposed(client, mei, (mei.account, hold), (mei.account, hold)))
    tried = client.try_act(found)
    assert [found.new_id(0, 0), found.new_id(1, 0)] == [tried["ids"][0], tried["ids"][2]]
    receipt = client.send(client.draft((mei.account, found.approve)).sign(mei.key).seal())
    assert receipt.ids == tuple(tried["ids"])
    release = client.draft((mei.account, Release(found.new_id(1, 0)))).sign(mei.key)
    assert client.send(release.seal()).code == "ok"


def test_keys_that_calls_name_are_named_by_the_proposal(client: Client, mei: Member) -> None:
    new, issuer = SigningKey(b"\x07" * 32), bank()
    message = client.propose((issuer.account, Register(new.key_id)), until_ms=client.time_ms() + DAY_MS)
    assert message.keys == (new.key_id,)
    draft = client.draft((mei.account, message)).sign(mei.key)
    assert client.missing(draft) == (new.key_id,)
    made = client.send(draft.sign(new).seal()).ids[0]
    assert f"signed by {new.key_id}" in client.act(made).show()


def test_a_node_that_shows_another_act_gets_no_approval(node: Node, client: Client, trust: bytes, mei: Member) -> None:
    made = proposed(client, bank(), (mei.account, pay(bank(), 5)))
    good = client.act(made).act.bundle

    def more(raw: bytes) -> bytes:
        assert rb"\"amount\":5" in raw
        return raw.replace(rb"\"amount\":5", rb"\"amount\":1")

    def odd(raw: bytes) -> bytes:
        return raw.replace(rb"\"amount\":5", rb"\"amount\"::")

    known = "than its hash names|calls that are none"
    with between(node.url) as (url, plan):
        plan.forged = {"proofs": more}
        with Client(url, app.modules(), trust) as fooled, pytest.raises(ProofInvalid):
            fooled.act(made)
        for forge in (more, odd):
            plan.forged = {"records": forge}
            with Client(url, app.modules()) as fooled, pytest.raises(NoNode, match=known):
                fooled.act(made)
    with pytest.raises(Refused, match="holds something else"):
        client.send(client.draft((mei.account, Approve(made, "1" * 64))).sign(mei.key).seal())
    assert client.act(made).approve == Approve(made, good)


def test_what_is_no_call_is_no_act(client: Client) -> None:
    account = "a" * 26
    for do, message in (("money.mint", b"{}"), ("money.move", b'{"legs":[]}'), ("money.move", b"{} ")):
        with pytest.raises(Malformed):
            bundle([envelope.Call(account, do, msgspec.Raw(message))], 1, client.city.actions)
    with pytest.raises(Malformed, match="no such action"):
        bundle([envelope.Call(account, "money.redeem", msgspec.Raw(b"{}"))], 1, client.city.actions, rules=0)
    with pytest.raises(Malformed):
        client.propose((account, "money.move", {"legs": []}), until_ms=1)


def test_what_cannot_be_shown_is_not_approved() -> None:
    act = Act("a" * 26, "", 1, 2**53 - 1, "d" * 26)
    for message, fine in (('{"x":1}', True), ("[1]", False), ("not JSON", False), ("[" * 10_000, False)):
        odd = act.but(calls=(Asked("b" * 26, "toy.do", message),))
        made = odd.but(bundle=digest_of(bundle_of(odd)))
        if fine:
            assert "waits until a time beyond all calendars (9007199254740991)" in shown("c", "e" * 26, made, ()).show()
            continue
        with pytest.raises(NoNode, match="calls that are none"):
            shown("c", "e" * 26, made, ())
    deceiving = act.but(calls=(Asked("b" * 26, "toy.do", '{"x":"1\\u202e2"}'),))
    text = shown("c", "e" * 26, deceiving.but(bundle=digest_of(bundle_of(deceiving))), ()).show()
    assert "\u202e" not in text


def test_the_same_with_asyncio(node: Node, client: Client, trust: bytes, mei: Member) -> None:
    made = proposed(client, mei, (mei.account, pay(bank(), 1)))

    async def look() -> None:
        async with AsyncClient(node.url, app.modules(), trust) as other:
            found = await other.act(made)
            assert found == client.act(made)
            assert (await other.try_act(found))["code"] == "ok"
            message = await other.propose(*found.calls, until_ms=5)
            assert message.calls == found.act.calls

    asyncio.run(look())
