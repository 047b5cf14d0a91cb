"""Drafts: what is signed is what is shown, and several people sign one file after another, each on her own machine."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrobloc import app
from metrobloc.city.charity.types.messages import Give
from metrobloc.client import Client, Draft, Malformed, Void, draft
from metrobloc.client.steps import City
from metrobloc.commons.money.types import Leg, Move
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.crypto import SigningKey
from tests.client.unreliable import join

ACTIONS = City("", app.modules()).actions
KEYS = [SigningKey(bytes([number]) * 32) for number in range(3)]


def written(*calls: draft.Call) -> Draft:
    return draft.write("town-0", 1, calls, expires_ms=1_800_000_000_000, actions=ACTIONS, salt="0" * 32)


ONE = written(("a" * 26, Give("b" * 26, 4100)))


def leaves(value: Any) -> list[Any]:  # noqa: ANN401  # whatever JSON holds
    """List everything in a JSON value that is neither a list nor an object."""
    if isinstance(value, dict | list):
        return list(itertools.chain(*map(leaves, value.values() if isinstance(value, dict) else value)))
    return [value]


def test_all_that_is_signed_is_shown() -> None:
    both = written(("a" * 26, Give("b" * 26, 1)), ("c" * 26, Move((Leg(amount=7, asset="cny", to="d" * 26),))))
    for made in (ONE, both):
        shown = made.show()
        for leaf in leaves(msgspec.json.decode(made.payload)):
            assert str(leaf) in shown
        assert made.id in shown
    assert "2027-01-15T08:00:00Z" in ONE.show()


def test_what_could_deceive_is_shown_escaped() -> None:
    payload = ONE.payload.replace(b"4100", b'"1\\u001b[2J\\u202e\\n2"').replace(b'"amount"', b'"a\\nb"')
    shown = Draft(payload).show()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(shown.splitlines()) == len(ONE.show().splitlines())


def test_three_machines_sign_one_file_after_another(client: Client, campaign: str, tmp_path: Path) -> None:
    members = [join(client) for _ in range(3)]
    made = client.draft(*((member.account, Give(campaign, 1)) for member in members))
    for number, order in enumerate(itertools.permutations(members)):
        file = tmp_path / str(number)
        file.write_bytes(made.to_bytes())
        for signed, member in enumerate(order):
            read = Draft.read(file.read_bytes())  # all that a machine has is the file and its own key
            assert (read.payload, len(read.signatures)) == (made.payload, signed)
            assert set(client.missing(read)) == {other.account for other in order[signed:]}
            with pytest.raises((Void, Malformed)):
                client.send(read.seal())
            file.write_bytes(read.sign(member.key).to_bytes())
        whole = Draft.read(file.read_bytes())
        assert client.missing(whole) == ()
    assert client.send(whole.seal()).ids == tuple(made.new_id(call, 0) for call in range(3))


def test_a_file_that_was_changed_on_the_way_is_refused() -> None:
    whole = ONE.sign(KEYS[0]).sign(KEYS[1])
    raw = whole.to_bytes()
    assert Draft.read(raw) == whole
    assert envelope.read(raw).id.hex() == whole.id
    for place in range(len(raw)):
        for bit in (1, 4):
            changed = bytearray(raw)
            changed[place] ^= bit
            with pytest.raises(Malformed):
                Draft.read(bytes(changed))
    file = msgspec.json.decode(raw)
    swapped = codec.encode({**file, "signatures": file["signatures"][::-1]})
    twice = codec.encode({**file, "signatures": [file["signatures"][0]] * 2})
    payload = codec.encode({**file, "payload": b"{}", "signatures": []})
    many = codec.encode({**file, "signatures": [file["signatures"][0]] * 17})
    for odd in (swapped, twice, payload, many, b"", b"{}", b"[" * 1000, b"x" * 200_000, raw + b"\n"):
        with pytest.raises(Malformed):
            Draft.read(odd)


def test_only_signatures_that_hold_are_added() -> None:
    good = ONE.sign(KEYS[0]).signatures[KEYS[0].key_id]
    assert ONE.add(KEYS[0].key_id, good) == ONE.sign(KEYS[0])
    for key_id, signature in ((KEYS[1].key_id, good), (KEYS[0].key_id, good[:-1]), ("did:key:z6Mk", good)):
        with pytest.raises(Malformed):
            ONE.add(key_id, signature)
    assert ONE.signatures == {}


def test_keys_that_a_message_names_are_missing_until_they_sign() -> None:
    named = written(("a" * 26, "identity.register", {"key": KEYS[1].key_id}))
    assert named.missing({}, ACTIONS, 0) == ("a" * 26, KEYS[1].key_id)
    assert named.sign(KEYS[1]).missing({}, ACTIONS, 0) == ("a" * 26,)
    assert named.missing({}, {}, 0) == ("a" * 26,)
    with pytest.raises(Malformed):
        Draft(named.payload.replace(b'"key":', b'"kex":')).missing({}, ACTIONS, 0)
