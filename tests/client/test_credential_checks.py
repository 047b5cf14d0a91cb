"""A desk decides offline: whose statement it is, whether it is in force, and as of when that is known."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrobloc.client import NotValid, checking, credentials
from metrobloc.client.checking import needed, utc
from metrobloc.client.credentials import Terms
from metrobloc.commons.credentials.types import Credential, Disown, Issue, Renew, Resume, Revoke, Suspend
from metrobloc.commons.identity.types import Revoke as TakeRole
from metrobloc.commons.identity.types import Rotate
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.crypto import SigningKey
from tests.client.issuing import CLAIMS, DAY_MS, END_MS, HOLDER, START_MS, Town, edited
from tests.prover import CHAIN, OPERATORS, TIME_S, City, trust_file

THIEF = SigningKey(b"thief" + bytes(27))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Found a ledger."""
    made = Town(tmp_path / "town")
    yield made
    made.node.close()


def test_what_holds_is_valid_and_says_as_of_when(town: Town) -> None:
    file = town.issue(holder=HOLDER.key_id)
    verdict = town.check(file)
    assert (verdict.status, verdict.code) == ("valid", "ok")
    as_of_ms = town.stage.time_ms
    assert verdict.sentence == f"It is valid, and was not revoked as of {utc(as_of_ms)}."
    assert verdict.facts == {
        "chain": town.node.chain,
        "credential": file.id,
        "claims": CLAIMS,
        "from_ms": START_MS,
        "until_ms": END_MS,
        "issuer": town.stage.account("hospital"),
        "issuer_name": "City hospital",
        "kind": "care",
        "kind_title": "Need of care",
        "accredited_as": "hospital",
        "issued_ms": as_of_ms,
        "as_of_ms": as_of_ms,
        "at_ms": as_of_ms,
        "standing": "in_force",
        "standing_as_of": "in_force",
    }
    some = credentials.show_only(file, ["helper"])
    assert town.check(some).facts["claims"] == {"helper": True}


def test_revoked_is_told_from_then_on_and_not_before(town: Town) -> None:
    file = town.issue()
    issued_ms = town.stage.time_ms
    before = town.prove(file)
    town.stage.wait(60)
    town.stage.act("hospital", Revoke(str(file.id), "error"))
    revoked_ms = town.stage.time_ms
    after = town.prove(file)
    assert town.check(after).code == "revoked"
    assert town.check(after, at_ms=revoked_ms).code == "revoked"
    then = town.check(after, at_ms=revoked_ms - 1)
    assert then.status == "valid"
    assert then.sentence.endswith(" Since then it has become: revoked.")
    assert town.check(after, at_ms=issued_ms - 1).code == "not_yet"
    old = town.check(before)  # a proof from before cannot know, and says until when it speaks
    assert (old.status, old.facts["as_of_ms"]) == ("valid", issued_ms)
    assert town.check(before, fresh_ms=3_600_000).status == "stale"
    assert town.check(before, fresh_ms=revoked_ms - issued_ms).status == "valid"
    assert town.check(before, fresh_ms=revoked_ms - issued_ms - 1).code == "stale"
    assert town.check(before, [town.proof(key) for key in needed(credentials.read(before))]).code == "revoked"


def test_an_old_state_under_a_new_signature_speaks_of_the_past_only(town: Town) -> None:
    """The signed log goes on behind the old header, so that its co-signature says nothing about the old record."""
    file = town.issue()
    height, issued_ms = town.node.machine.height, town.stage.time_ms
    town.stage.wait(3 * 24 * 60)
    town.stage.act("hospital", Revoke(str(file.id), "error"))
    old = town.prove(file, height)
    town.node.renew(town.stage.time_ms + DAY_MS)
    renewed = town.prove(file, height)
    for data in (old, renewed):
        verdict = town.check(data)
        assert (verdict.status, verdict.facts["as_of_ms"]) == ("stale", issued_ms)
        assert town.check(data, at_ms=issued_ms + DAY_MS).status == "valid"
        assert town.check(data, at_ms=issued_ms + DAY_MS + 1).status == "stale"


def test_an_idle_ledger_goes_on_saying_that_nothing_was_revoked(town: Town) -> None:
    file = town.issue()
    later_ms = town.stage.time_ms + 9 * DAY_MS
    old = town.prove(file)
    town.node.renew(later_ms)
    assert town.check(old, now_ms=later_ms).status == "stale"
    verdict = town.check(town.prove(file), now_ms=later_ms)
    assert (verdict.status, verdict.facts["as_of_ms"]) == ("valid", later_ms)
    slow = town.check(town.prove(file), now_ms=START_MS)  # a desk whose clock is behind asks about the proof's time
    assert (slow.status, slow.facts["at_ms"]) == ("valid", later_ms)


def test_its_days_are_kept(town: Town) -> None:
    file = town.issue()
    assert town.check(file, now_ms=END_MS - 1, fresh_ms=2 * END_MS).status == "valid"
    assert town.check(file, now_ms=END_MS, fresh_ms=2 * END_MS).code == "expired"
    town.stage.wait(400 * 24 * 60)
    town.stage.act("hospital", Revoke(str(file.id), "changed"))
    assert town.check(file).code == "revoked"
    assert town.check(file, at_ms=END_MS + 1).code == "expired"


def test_suspended_and_resumed_and_renewed(town: Town) -> None:
    file = town.issue()
    town.stage.act("hospital", Suspend(str(file.id), "inquiry"))
    suspended_ms = town.stage.time_ms
    assert town.check(file).code == "suspended"
    town.stage.act("hospital", Resume(str(file.id)))
    assert town.check(file).status == "valid"
    assert town.check(file, at_ms=suspended_ms).code == "suspended"
    fresh = town.write()
    renew = Renew(str(file.id), credentials.commitment(fresh), START_MS, END_MS)
    fresh = msgspec.structs.replace(fresh, id=town.stage.act("hospital", renew).ids[0])
    assert town.check(file).code == "revoked"
    assert town.check(fresh).status == "valid"


def test_it_stands_without_its_issuers_role_and_falls_when_disowned(town: Town) -> None:
    file = town.issue()
    town.stage.act("office", TakeRole(town.stage.account("hospital"), "issuer"))
    assert town.check(file).status == "valid"
    undoubted = town.prove(file)
    town.stage.act("office", Disown(town.stage.account("hospital"), START_MS))
    assert town.check(file).code == "disowned"
    assert town.check(file, at_ms=town.stage.time_ms - 1000).code == "disowned"
    only = [town.proof(needed(credentials.read(undoubted))[0])]
    mixed = town.check(undoubted, only)  # the newest word on the credential, an older one on the disowning
    assert (mixed.status, mixed.facts["as_of_ms"]) == ("valid", town.stage.time_ms - 1000)


def test_statements_stay_valid_when_the_issuer_changes_its_key(town: Town) -> None:
    old = town.issue()
    rotated = Rotate((town.stage.key("new").key_id,))
    town.stage.act("hospital", rotated, also=("new",))
    town.stage.wait(25 * 60)
    assert town.check(old, fresh_ms=2 * DAY_MS).status == "valid"
    commitment = credentials.commitment(fresh := town.write(key="new"))
    payload = town.stage.payload(("hospital", Issue("care", (commitment,), START_MS, END_MS)))
    (outcome,) = town.stage.send([envelope.sign(payload, [town.stage.key("new")])])
    assert outcome.code == "ok"
    made = json.loads(outcome.receipt)["ids"][0]
    assert town.check(msgspec.structs.replace(fresh, id=made)).status == "valid"
    assert town.check(old).status == "valid"


def test_a_statement_signed_by_a_key_that_is_not_the_issuers_is_refused(town: Town) -> None:
    """Even where the issuer has anchored it: somebody else's words are not made its own by mistake."""
    assert town.check(town.anchor(town.write(key="civil_affairs"))).code == "foreign_key"
    unknown = credentials.write(town.terms(), CLAIMS, THIEF)
    assert town.check(town.anchor(unknown)).code == "foreign_key"


def test_a_statement_that_its_issuer_has_not_anchored_is_refused(town: Town) -> None:
    file, other = town.issue(), town.write()
    assert town.check(msgspec.structs.replace(other, id="c" * 26)).code == "not_anchored"
    assert town.check(msgspec.structs.replace(other, id=file.id)).code == "other_statement"
    assert town.check(msgspec.structs.replace(file, salt="0" * 64)).code == "other_statement"
    assert town.check(credentials.to_bytes(other)).code == "not_anchored"
    with pytest.raises(NotValid, match="not_anchored"):
        town.prove(other)


@pytest.mark.parametrize(
    "changed",
    [{"from_ms": START_MS + 1}, {"until_ms": END_MS + 1}, {"kind": "residence"}, {"issuer": "a" * 26}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_statement_that_says_something_else_than_its_record_is_refused(town: Town, changed: dict[str, Any]) -> None:
    assert town.check(town.issue(**changed)).code == "other_terms"


def test_a_statement_for_another_chain_is_refused(town: Town, tmp_path: Path) -> None:
    assert town.check(town.issue(chain="demo-city-0123456789abcdef")).code == "wrong_chain"
    other = Town(tmp_path / "other", "twin")
    try:
        here = town.prove(town.issue())
        assert town.check(here, trust=other.trust).status == "untrusted"
        there = [other.proof(key) for key in needed(credentials.read(here))]
        bare = edited(here, lambda page: page.pop("proofs"))
        assert other.check(bare, there).code == "wrong_chain"
        ours = [town.proof(key) for key in needed(credentials.read(here))]
        for n in range(5):
            assert town.check(bare, [*ours[:n], there[n], *ours[n + 1 :]]).code == "wrong_chain"
    finally:
        other.node.close()


def test_without_trust_or_with_another_signer_it_is_only_consistent(town: Town, tmp_path: Path) -> None:
    file = town.prove(town.issue())
    assert (town.check(file, trust=None).status, town.check(file, trust=None).code) == ("untrusted", "untrusted")
    stranger = {"chain": town.node.chain, "format": "metrobloc-trust/1", "keys": [THIEF.key_id]}
    assert town.check(file, trust=codec.encode(stranger)).status == "untrusted"
    for nonsense in (b"", b"{}", b"no", town.trust.replace(b"-trust/1", b"-trust/2")):
        assert checking.check(file, [], nonsense, checking.Question(START_MS)).status == "unusable"
    revoked = town.issue()
    town.stage.act("hospital", Revoke(str(revoked.id), "error"))
    assert town.check(town.prove(revoked), trust=None).code == "revoked"


def test_the_operators_new_key_is_followed(town: Town) -> None:
    trust = town.trust
    file = town.issue()
    town.node.rotate_key(town.stage.time_ms)
    assert town.check(file, trust=trust).status == "valid"


def test_every_proof_that_is_needed_is_asked_for_and_no_other_will_do(town: Town) -> None:
    file, other = town.prove(town.issue()), town.prove(town.issue())
    assert town.check(file).status == "valid"
    for missing in range(5):
        page = json.loads(file)
        del page["proofs"][missing]
        verdict = town.check(codec.encode(page))
        assert verdict.code == "unproved"
        assert needed(credentials.read(file))[missing] in verdict.sentence
    swapped = edited(file, lambda page: page["proofs"].__setitem__(0, json.loads(other)["proofs"][0]))
    assert town.check(swapped).code == "unproved"
    bare = edited(file, lambda page: page.pop("proofs"))
    assert town.check(bare).code == "unproved"
    assert town.check(bare, [town.proof(key) for key in needed(credentials.read(bare))]).status == "valid"
    assert town.check(file, [town.proof("kernel/chain/info")]).status == "valid"  # what is not needed does not harm


PROOFS: list[Callable[[dict[str, Any]], object]] = [
    lambda page: page["proofs"][0]["record"]["value"].update(until_ms=END_MS + 1),
    lambda page: page["proofs"][0]["record"].update(value=None),
    lambda page: page["proofs"][0]["record"].update(key=page["proofs"][1]["record"]["key"]),
    lambda page: page["proofs"][0]["record"].update(proof=page["proofs"][1]["record"]["proof"]),
    lambda page: page["proofs"][0]["header"].update(time_ms=END_MS),
    lambda page: page["proofs"][0]["header"].update(state_root="0" * 64),
    lambda page: page["proofs"][0]["trust"].update(index=0),
    lambda page: page["proofs"][0]["trust"].update(checkpoint=page["proofs"][0]["trust"]["checkpoint"][:-9]),
    lambda page: page["proofs"][0].update(chain="demo-city-0123456789abcdef"),
    lambda page: page["proofs"][2]["record"].update(value={"spans": []}),
    lambda page: page["proofs"].__setitem__(0, {}),
    lambda page: page["proofs"].append("proof"),
]


@pytest.mark.parametrize("change", PROOFS)
def test_no_proof_can_be_changed(town: Town, change: Callable[[dict[str, Any]], object]) -> None:
    file = town.prove(town.issue())
    assert town.check(edited(file, change)).code == "bad_proof"


def small(**changed: object) -> tuple[bytes, City]:
    """Return a bare file, and a small ledger of nobody that holds what it needs, some of it changed."""
    issuer, key = "a" * 26, SigningKey(b"issuer" + bytes(26))
    terms = Terms(CHAIN, issuer, "care", 0, END_MS)
    file = msgspec.structs.replace(credentials.write(terms, CLAIMS, key), id="b" * 26)
    record = Credential(issuer, "care", credentials.commitment(file), 1, 0, END_MS)
    data = credentials.to_bytes(file)
    path, owner, *_ = needed(credentials.read(data))
    held = msgspec.to_builtins(record) | changed
    return data, City(extra={path: held, owner: {"account": issuer}})


def proved_by(city: City, data: bytes, operator: SigningKey = OPERATORS[0]) -> list[bytes]:
    """Return the proofs that a file needs."""
    return [codec.encode(city.contents(key, operator=operator)) for key in needed(credentials.read(data))]


def test_of_several_proofs_the_trusted_one_counts() -> None:
    data, city = small()
    ask, trust = checking.Question(TIME_S * 1000), trust_file(OPERATORS[0])
    ours, others = proved_by(city, data), proved_by(city, data, OPERATORS[1])
    assert checking.check(data, ours, trust, ask).status == "valid"
    assert checking.check(data, others, trust, ask).status == "untrusted"
    for files in ([*ours, *others], [*others, *ours]):
        assert checking.check(data, files, trust, ask).status == "valid"
    assert checking.check(data, [*others[:1], *ours[1:]], trust, ask).status == "untrusted"


@pytest.mark.parametrize(
    "changed",
    [{"changes": "none"}, {"changes": [{"at_ms": 2, "state": "odd"}]}, {"more": 1}, {"issued_ms": -1}, {"kind": "No!"}],
    ids=str,
)
def test_a_record_that_no_ledger_of_ours_holds_is_refused_whoever_signed_it(changed: dict[str, object]) -> None:
    data, city = small(**changed)
    verdict = checking.check(data, proved_by(city, data), trust_file(OPERATORS[0]), checking.Question(0))
    assert verdict.code == "bad_proof"


def test_the_holder_shows_it_once_for_one_desk(town: Town) -> None:
    some = credentials.show_only(town.issue(holder=HOLDER.key_id), ["helper"])
    shown = town.prove(credentials.present(some, HOLDER, "desk 7", "City museum"))
    plain = town.prove(some)
    asked = town.check(shown, nonce="desk 7", audience="City museum")
    assert (asked.status, asked.facts["holder"]) == ("valid", HOLDER.key_id)
    assert town.check(shown, nonce="desk 7").status == "valid"
    assert "holder" not in town.check(shown).facts
    for code, data, nonce, audience in (
        ("other_nonce", shown, "desk 8", None),
        ("other_nonce", shown, "", None),
        ("other_nonce", shown, None, "City museum"),
        ("other_audience", shown, "desk 7", "City theatre"),
        ("not_presented", plain, "desk 7", None),
        ("no_holder", town.prove(town.issue()), "desk 7", None),
    ):
        assert town.check(data, nonce=nonce, audience=audience).code == code
    nobody = town.prove(credentials.present(some, HOLDER, "desk 7"))
    assert town.check(nobody, nonce="desk 7", audience="City museum").code == "other_audience"
    stolen = edited(plain, lambda page: page.update(presented=json.loads(shown)["presented"]))
    assert town.check(stolen, nonce="desk 7").status == "valid"  # the same file again
    other = town.prove(town.issue(holder=HOLDER.key_id))
    stolen = edited(other, lambda page: page.update(presented=json.loads(shown)["presented"]))
    assert town.check(stolen, nonce="desk 7").code == "bad_presentation"
    forged = edited(shown, lambda page: page["presented"].update(sig=b64encode(bytes(64)).decode()))
    assert town.check(forged, nonce="desk 7").code == "bad_presentation"


def test_whatever_the_bytes_are_there_is_a_verdict(town: Town) -> None:
    file = town.prove(credentials.present(town.issue(holder=HOLDER.key_id), HOLDER, "desk 7"))
    for place in range(0, len(file) - 1, 97):
        changed = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
        verdict = town.check(changed, nonce="desk 7")
        assert verdict.status == "invalid", (place, verdict)
    for data in (b"", b"\xff", b"null", b"[" * 9999, file[:-100], file * 200):
        assert town.check(data).status == "invalid"
        assert town.check(file, [data]).code == "bad_proof"


def test_a_time_beyond_the_calendar_is_still_said() -> None:
    assert utc(1_700_000_000_999) == "2023-11-14T22:13:20Z"
    assert utc(2**53 - 1) == "9007199254740991 ms since 1970"
