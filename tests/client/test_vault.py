"""The vault on a running node: who may read reads, and everything else is refused by name; waiting and with asyncio."""

from typing import Any

import pytest

from metrobloc.client import Client, Malformed, Refused, Unknown
from metrobloc.client.vault import Box, Document, Fault, Reads, Tidied
from metrobloc.client.vault.stores import content_key, envelope_key
from metrobloc.commons.identity.types import ShowBoxKey
from metrobloc.commons.vault.rules import entries, readers, reports
from metrobloc.commons.vault.types import (
    CloseStore,
    Entry,
    Erase,
    Grant,
    ReportMissing,
    Revoke,
    Share,
    Store,
)
from metrobloc.kernel.crypto import sha256
from tests.client.people import LETTER, People, people, refused, waiting

__all__ = ["people", "waiting"]


def of(people: People, entry: str) -> Entry:
    """Return an entry as the ledger has it."""
    found = people.client.get(entries, entry)
    assert found is not None
    return found


def envelope_of(people: People, name: str, entry: str) -> str:
    """Return the key of somebody's envelope in the store."""
    found = people.client.get(readers, (people.account(name), entry))
    assert found is not None
    return envelope_key(entry, found.envelope)


def test_a_letter_reaches_whom_it_is_for_and_that_is_written_down(people: People) -> None:
    kept = people.put()
    got = people.does("bo", "get", kept.entry)
    assert got.document == Document(LETTER, "letter.txt", people.account("ann"))
    assert people.reads("ann", kept.entry) == LETTER
    people.does("bo", "get", kept.entry, "research")
    told = people.client.query("vault", "openings_of", {"entry": kept.entry})["value"]
    assert [(one["reader"], one["purpose"], one["as_granted"]) for one in told] == [
        (people.account("bo"), "care", True),
        (people.account("ann"), "own_copy", True),
        (people.account("bo"), "research", False),
    ]
    assert people.client.receipt(got.tx).events[0].event == "vault.opened"
    entry = of(people, kept.entry)
    lies = people.store.get(content_key(kept.entry, kept.digest), 1 << 20)
    assert (entry.digest, entry.size_bytes) == (kept.digest, len(lies))
    assert sorted(people.store.keys()) == sorted(
        [content_key(kept.entry, kept.digest), *(envelope_of(people, n, kept.entry) for n in ("ann", "bo"))]
    )


def test_nobody_else_reads(people: People) -> None:
    kept = people.put()
    refused("not_reader", lambda: people.reads("cy", kept.entry))
    refused("not_reader", lambda: people.reads("custodian", kept.entry))
    refused("unknown", lambda: people.reads("bo", "a" * 26))
    people.alter("bo", boxes=people.mine["cy"].boxes)
    refused("wrong_recipient", lambda: people.reads("bo", kept.entry))
    assert people.client.query("vault", "openings_of", {"entry": kept.entry})["value"] == []


def test_who_got_her_key_from_a_thief_still_needs_the_ledger(waiting: People) -> None:
    """Cy has Bo's private key and reads the store, and the ledger lets him read nothing."""
    kept = waiting.put()
    waiting.alter("cy", boxes=waiting.mine["bo"].boxes)
    refused("not_reader", lambda: waiting.reads("cy", kept.entry))
    waiting.send("ann", Grant(kept.entry, waiting.account("cy"), sha256(b"none").hex(), "care"))
    refused("missing", lambda: waiting.reads("cy", kept.entry))
    bos = waiting.store.get(envelope_of(waiting, "bo", kept.entry), 1024)
    waiting.store.put(envelope_of(waiting, "cy", kept.entry), bos)
    refused("swapped", lambda: waiting.reads("cy", kept.entry))


def test_a_right_that_is_taken_back_is_gone_with_its_envelope(people: People) -> None:
    kept = people.put()
    name = envelope_of(people, "bo", kept.entry)
    old = people.store.get(name, 1024)
    people.does("ann", "unshare", kept.entry, people.account("bo"))
    refused("not_reader", lambda: people.reads("bo", kept.entry))
    refused("missing", lambda: people.store.get(name, 1024))
    people.store.put(name, old)  # the custodian had kept it
    refused("not_reader", lambda: people.reads("bo", kept.entry))
    people.does("ann", "share", kept.entry, Reads(people.account("bo"), "care"))
    assert people.reads("bo", kept.entry) == LETTER
    people.store.put(envelope_of(people, "bo", kept.entry), old)
    refused("replayed", lambda: people.reads("bo", kept.entry))


def test_a_reader_may_give_her_right_up(waiting: People) -> None:
    kept = waiting.put()
    waiting.does("bo", "unshare", kept.entry, waiting.account("bo"))
    refused("not_reader", lambda: waiting.reads("bo", kept.entry))
    with pytest.raises(Refused, match="readers_unknown"):
        waiting.does("bo", "unshare", kept.entry, waiting.account("bo"))


def test_only_the_owner_shares(people: People) -> None:
    kept = people.put()
    refused("not_owner", lambda: people.does("bo", "share", kept.entry, Reads(people.account("cy"), "care")))
    people.does("ann", "share", kept.entry, Reads(people.account("cy"), "care"))
    assert people.reads("cy", kept.entry) == LETTER


def test_a_new_key_opens_what_is_shared_anew_and_the_old_one_what_was(waiting: People) -> None:
    kept = waiting.put()
    lost, new = waiting.mine["bo"].boxes[0], Box(b"n" * 32)
    waiting.send("bo", ShowBoxKey(new.key_id))
    waiting.alter("bo", boxes=(new,))
    refused("wrong_recipient", lambda: waiting.reads("bo", kept.entry))
    waiting.alter("bo", boxes=(new, lost))
    assert waiting.reads("bo", kept.entry) == LETTER
    waiting.alter("bo", boxes=(new,))
    waiting.does("ann", "share", kept.entry, Reads(waiting.account("bo"), "care"))
    assert waiting.reads("bo", kept.entry) == LETTER


def test_a_right_ends_on_its_day(waiting: People, monkeypatch: pytest.MonkeyPatch) -> None:
    until_ms = waiting.client.time_ms() + 3_600_000
    kept = waiting.put()
    waiting.does("ann", "share", kept.entry, Reads(waiting.account("bo"), "care", until_ms))
    assert waiting.reads("bo", kept.entry) == LETTER
    monkeypatch.setattr(waiting.client.city, "clock_ms", lambda: until_ms)
    refused("not_reader", lambda: waiting.reads("bo", kept.entry))


def test_what_is_erased_is_gone_and_can_still_be_proved(people: People, client: Client) -> None:
    kept = people.put()
    people.does("ann", "forget", kept.entry)
    assert list(people.store.keys()) == []
    for name in ("ann", "bo"):
        refused("erased", lambda name=name: people.reads(name, kept.entry))  # type: ignore[misc]
    assert people.does("custodian", "tidy").destroyed == (kept.entry,)
    proved = client.prove_record(entries.path(kept.entry)).value
    assert proved is not None
    assert proved["digest"] == kept.digest
    assert 0 < int(str(proved["created_ms"])) <= int(str(proved["erased_ms"])) <= int(str(proved["destroyed_ms"]))
    assert client.prove_record(readers.path((people.account("bo"), kept.entry))).value is None


def damage(people: People, kept: Any, how: str) -> None:  # noqa: ANN401  # as put returns it
    """Do something to a letter's bytes or to Bo's envelope in the store."""
    what, _, way = how.partition(" ")
    other = people.put()
    names = {
        "content": (content_key(kept.entry, kept.digest), content_key(other.entry, other.digest)),
        "envelope": (envelope_of(people, "bo", kept.entry), envelope_of(people, "bo", other.entry)),
    }
    name, others = names[what]
    data = people.store.get(name, 1 << 20)
    if way == "deleted":
        people.store.delete(name)
        return
    changed = {
        "tampered": data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        "truncated": data[:-1],
        "empty": b"",
        "garbage": b"\0garbage" * 999,
        "longer": data + b"x",
        "swapped": people.store.get(others, 1 << 20),
        "of ann": people.store.get(envelope_of(people, "ann", kept.entry), 1024),
    }[way]
    people.store.put(name, changed)


DAMAGES = {
    "content deleted": "missing",
    "content tampered": "tampered",
    "content truncated": "truncated",
    "content empty": "truncated",
    "content garbage": "overlong",
    "content longer": "tampered",
    "content swapped": "swapped",
    "envelope deleted": "missing",
    "envelope tampered": "tampered",
    "envelope truncated": "tampered",
    "envelope empty": "tampered",
    "envelope garbage": "overlong",
    "envelope swapped": "swapped",
    "envelope of ann": "swapped",
}


@pytest.mark.parametrize(("how", "code"), DAMAGES.items(), ids=list(DAMAGES))
def test_damage_is_refused_noticed_by_everybody_and_mended(waiting: People, how: str, code: str) -> None:
    kept = waiting.put()
    before = {key: waiting.store.get(key, 1 << 20) for key in waiting.store.keys(kept.entry)}
    damage(waiting, kept, how)
    assert refused(code, lambda: waiting.reads("bo", kept.entry)).sentence.strip()
    assert waiting.client.query("vault", "openings_of", {"entry": kept.entry})["value"] == []
    what = "document" if how.startswith("content") else "envelope"
    for name in ("ann", "bo", "custodian"):
        checked = waiting.does(name, "check", kept.entry)
        assert [(one.entry, one.what, one.code) for one in checked.findings] == [(kept.entry, what, code)]
    waiting.send("bo", ReportMissing(kept.entry))
    if what == "document":
        done = waiting.does("custodian", "tidy")
        assert (done.answered, [one.code for one in done.findings]) == ((), [code])
        assert kept.entry not in done.acknowledged
    for key, data in before.items():
        waiting.store.put(key, data)  # from the custodian's backup
    assert waiting.does("custodian", "tidy").answered == (kept.entry,)
    assert waiting.client.get(reports, kept.entry) is None
    assert waiting.does("ann", "check", kept.entry).findings == ()
    assert waiting.reads("bo", kept.entry) == LETTER


def test_a_store_that_is_gone_is_noticed(people: People) -> None:
    kept = [people.put().entry for _ in range(2)]
    for path in sorted(people.store.root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name in ("ann", "custodian"):
        checked = people.does(name, "check")
        assert (checked.entries, {one.entry for one in checked.findings}) == (2, set(kept))
        assert {one.code for one in checked.findings} == {"missing"}


def test_a_custodian_does_its_duties_and_confirms_each(people: People) -> None:
    erased, shared, other = (people.put() for _ in range(3))
    left = envelope_of(people, "bo", shared.entry)
    people.send("ann", Erase(erased.entry))  # on the ledger alone
    people.send("ann", Revoke(shared.entry, people.account("bo")))
    people.store.put(content_key("a" * 26, "0" * 64), b"of no transaction")
    codes = [(one.entry, one.code) for one in people.does("custodian", "check").findings]
    assert codes.count((erased.entry, "left_over")) == 3
    assert (shared.entry, "left_over") in codes
    assert ("a" * 26, "unknown_entry") in codes
    done = people.does("custodian", "tidy")
    assert (done.destroyed, done.deleted) == ((erased.entry,), (shared.entry,))
    assert (sorted(done.acknowledged), done.answered) == (sorted((shared.entry, other.entry)), ())
    assert list(people.store.keys(erased.entry)) == []
    refused("missing", lambda: people.store.get(left, 1024))
    told = of(people, erased.entry), of(people, shared.entry)
    assert told[0].destroyed_ms
    assert told[1].undeleted == ()
    assert told[1].acknowledged_ms
    again = people.does("custodian", "tidy")
    assert again == Tidied((), (), (), (), ())
    assert [one.code for one in people.does("custodian", "check").findings] == ["unknown_entry"]


def test_an_entry_with_anothers_digest_destroys_nothing_of_the_other(waiting: People) -> None:
    """Cy records Ann's bytes as his own and has them erased: the store keeps each entry's bytes apart."""
    kept = waiting.put()
    entry = of(waiting, kept.entry)
    share = Share(waiting.account("cy"), sha256(b"x").hex(), "care")
    message = Store(entry.custodian, entry.digest, entry.size_bytes, entry.content, entry.subject, (share,))
    waiting.send("cy", message)
    mine = waiting.client.query("vault", "owned_by", {"account": waiting.account("cy")})["value"]
    waiting.send("cy", Erase(next(iter(mine))))
    assert waiting.does("custodian", "tidy").destroyed == tuple(mine)
    assert waiting.reads("bo", kept.entry) == LETTER


def test_what_the_ledger_refuses_leaves_nothing_in_the_store(people: People, client: Client) -> None:
    reads = [Reads(people.account("bo"), "care", until_ms=1)]
    with pytest.raises(Refused, match="in_the_past"):
        people.does("ann", "put", LETTER, "a.txt", custodian=people.account("custodian"), readers=reads)
    bad = [Reads(people.account("bo"), "No slug")]
    with pytest.raises(Malformed, match="out_of_bounds"):
        people.does("ann", "put", LETTER, "a.txt", custodian=people.account("custodian"), readers=bad)
    assert list(people.store.keys()) == []
    kept = people.put()
    there = list(people.store.keys())
    with pytest.raises(Refused, match="in_the_past"):
        people.does("ann", "share", kept.entry, Reads(people.account("cy"), "care", until_ms=1))
    assert list(people.store.keys()) == there


def test_what_may_be_on_the_ledger_stays_in_the_store(waiting: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise Unknown("nobody knows")

    monkeypatch.setattr(waiting.client, "send", lost)
    with pytest.raises(Unknown):
        waiting.put()
    assert len(list(waiting.store.keys())) == 3


def test_a_full_store_and_a_closed_one_take_nothing(waiting: People, monkeypatch: pytest.MonkeyPatch) -> None:
    real = type(waiting.store).put

    def full(self: object, key: str, data: bytes) -> None:
        if "envelope" in key:
            raise Fault("store_fails", "full")
        real(self, key, data)  # type: ignore[arg-type]

    monkeypatch.setattr(type(waiting.store), "put", full)
    refused("store_fails", waiting.put)
    monkeypatch.undo()
    assert list(waiting.store.keys()) == []
    waiting.send("custodian", CloseStore())
    refused("no_store", waiting.put)
    refused("no_store", lambda: waiting.does("ann", "put", b"", "a", custodian="a" * 26, readers=[]))
    refused("no_store", lambda: waiting.does("ann", "tidy"))


def test_who_shows_no_key_and_what_is_too_large_is_refused(waiting: People) -> None:
    stranger = [Reads("a" * 26, "care")]
    custodian = waiting.account("custodian")
    told = refused("no_box_key", lambda: waiting.does("ann", "put", b"", "a", custodian=custodian, readers=stranger))
    assert "a" * 26 in told.sentence
    assert "metrobloc key box" in told.sentence
    large = bytes((64 << 20) + 1)
    refused("too_large", lambda: waiting.does("ann", "put", large, "a", custodian=custodian, readers=[]))


def test_whom_it_is_about_only_readers_learn(waiting: People) -> None:
    reads = [Reads(waiting.account("bo"), "care")]
    custodian, about = waiting.account("custodian"), waiting.account("cy")
    kept = waiting.does("ann", "put", LETTER, "a.txt", custodian=custodian, readers=reads, about=about)
    assert waiting.does("bo", "get", kept.entry).document.subject == about
    proved = waiting.client.prove_record(entries.path(kept.entry))
    assert about.encode() not in proved.file
