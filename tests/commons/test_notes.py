"""Signed notes against the C2SP specifications: keys' hints, checkpoints, successions, promises, tampering."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest

from metrobloc.commons import notes
from metrobloc.commons.notes import Checkpoint, Note, Promise, Signature, Succession
from metrobloc.kernel.crypto import SigningKey

CHAIN = "demo-city-0123456789abcdef"
OLD, NEW, WITNESS = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
HEAD = Checkpoint(CHAIN, 20852163, sha256(b"root").digest())
SUCCESSION = Succession(CHAIN, OLD.key_id, NEW.key_id, 77)
PROMISE = Promise(CHAIN, "ab" * 32, 1234, 1_700_000_000_000)
TIME_S = 1_679_315_147
# The example of C2SP tlog-cosignature: the log's signature line and a witness's, with the time that the text states.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+Z\
JurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs\
X3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""


def altered(data: bytes) -> list[bytes]:
    """Flip a low and a high bit of every byte."""
    return [data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :] for at in range(len(data)) for bit in (1, 128)]


def test_the_example_of_the_specification_is_read() -> None:
    note = notes.read(EXAMPLE.encode())
    assert [line.name for line in note.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(note.signatures[1].data[:8], "big") == TIME_S
    assert notes.render(note) == EXAMPLE.encode()


def test_a_checkpoint_holds_what_the_specification_says() -> None:
    data = notes.sign_checkpoint(HEAD, OLD, TIME_S).decode()
    body, lines = data.split("\n\n")
    assert body == f"{CHAIN}\n20852163\n{b64encode(HEAD.root).decode()}"
    (_, name, log), (_, also, cosignature) = (line.split(" ") for line in lines.splitlines())
    assert name == also == CHAIN
    assert b64decode(log)[:4] == sha256(f"{CHAIN}\n\1".encode() + OLD.public_key).digest()[:4]
    assert b64decode(log)[4:] == OLD.sign(f"{body}\n".encode())
    assert b64decode(cosignature)[:4] == sha256(f"{CHAIN}\n\4".encode() + OLD.public_key).digest()[:4]
    assert b64decode(cosignature)[4:12] == TIME_S.to_bytes(8, "big")
    assert b64decode(cosignature)[12:] == OLD.sign(f"cosignature/v1\ntime {TIME_S}\n{body}\n".encode())


def test_round_trips() -> None:
    assert notes.open_checkpoint(notes.sign_checkpoint(HEAD, OLD, TIME_S), CHAIN, OLD.key_id) == (HEAD, TIME_S)
    assert notes.open_succession(notes.sign_succession(SUCCESSION, OLD, NEW), CHAIN) == SUCCESSION
    assert notes.open_promise(notes.sign_promise(PROMISE, OLD), CHAIN, OLD.key_id) == PROMISE


def test_every_altered_byte_is_noticed() -> None:
    for data in altered(notes.sign_checkpoint(HEAD, OLD, TIME_S)):
        with pytest.raises(ValueError, match=r"\w"):
            notes.open_checkpoint(data, CHAIN, OLD.key_id)
    for data in altered(notes.sign_succession(SUCCESSION, OLD, NEW)):
        with pytest.raises(ValueError, match=r"\w"):
            notes.open_succession(data, CHAIN)
    for data in altered(notes.sign_promise(PROMISE, OLD)):
        with pytest.raises(ValueError, match=r"\w"):
            notes.open_promise(data, CHAIN, OLD.key_id)


def test_witnesses_co_sign_without_disturbing() -> None:
    note = notes.read(notes.sign_checkpoint(HEAD, OLD, TIME_S))
    witnessed = Note(note.body, (*note.signatures, notes.cosign(note.body, "witness.example/w1", WITNESS, TIME_S + 5)))
    data = notes.render(witnessed)
    assert notes.open_checkpoint(data, CHAIN, OLD.key_id) == (HEAD, TIME_S)
    assert notes.cosigned_s(notes.read(data), "witness.example/w1", WITNESS.key_id) == TIME_S + 5
    assert notes.cosigned_s(notes.read(data), CHAIN, WITNESS.key_id) is None


def test_a_renewed_co_signature_changes_the_time_only() -> None:
    first, second = (notes.sign_checkpoint(HEAD, OLD, time_s).split(b"\n") for time_s in (TIME_S, TIME_S + 60))
    assert first[:-2] == second[:-2]
    assert first != second


@pytest.mark.parametrize("kept", [0, 1])
def test_a_checkpoint_needs_both_signatures(kept: int) -> None:
    note = notes.read(notes.sign_checkpoint(HEAD, OLD, TIME_S))
    lacking = notes.render(Note(note.body, note.signatures[kept : kept + 1]))
    with pytest.raises(ValueError, match=r"not signed by the operator|lacks the operator's timestamped"):
        notes.open_checkpoint(lacking, CHAIN, OLD.key_id)


def test_another_chain_or_key_is_refused() -> None:
    data = notes.sign_checkpoint(HEAD, OLD, TIME_S)
    for chain, key in (("demo-other", OLD), (CHAIN, NEW)):
        with pytest.raises(ValueError, match="not signed"):
            notes.open_checkpoint(data, chain, key.key_id)


def test_a_note_of_one_kind_is_none_of_another() -> None:
    promise, succession = notes.sign_promise(PROMISE, OLD), notes.sign_succession(SUCCESSION, OLD, NEW)
    with pytest.raises(ValueError, match="does not begin"):
        notes.open_promise(succession, CHAIN, OLD.key_id)
    with pytest.raises(ValueError, match="does not begin"):
        notes.open_succession(promise, CHAIN)
    body = notes.read(promise).body
    both = Note(body, (notes.sign(body, CHAIN, OLD), notes.cosign(body, CHAIN, OLD, TIME_S)))
    with pytest.raises(ValueError, match="does not begin"):
        notes.open_checkpoint(notes.render(both), CHAIN, OLD.key_id)


@pytest.mark.parametrize(
    ("size", "root"),
    [("01", HEAD.root), ("-1", HEAD.root), ("1e3", HEAD.root), ("", HEAD.root), ("9" * 17, HEAD.root), ("5", b"short")],
)
def test_malformed_checkpoints(size: str, root: bytes) -> None:
    body = f"{CHAIN}\n{size}\n{b64encode(root).decode()}\n"
    signed = Note(body, (notes.sign(body, CHAIN, OLD), notes.cosign(body, CHAIN, OLD, TIME_S)))
    with pytest.raises(ValueError, match=r"plain decimal|base64"):
        notes.open_checkpoint(notes.render(signed), CHAIN, OLD.key_id)


def test_extension_lines_are_not_ours() -> None:
    body = f"{CHAIN}\n5\n{b64encode(HEAD.root).decode()}\nmore\n"
    signed = Note(body, (notes.sign(body, CHAIN, OLD), notes.cosign(body, CHAIN, OLD, TIME_S)))
    with pytest.raises(ValueError, match="does not begin"):
        notes.open_checkpoint(notes.render(signed), CHAIN, OLD.key_id)


def test_a_succession_needs_both_keys() -> None:
    with pytest.raises(ValueError, match="both keys"):
        notes.sign_succession(SUCCESSION, OLD, WITNESS)
    note = notes.read(notes.sign_succession(SUCCESSION, OLD, NEW))
    for line in note.signatures:
        with pytest.raises(ValueError, match="by the old key and by the new"):
            notes.open_succession(notes.render(Note(note.body, (line,))), CHAIN)
    itself = Succession(CHAIN, OLD.key_id, OLD.key_id, 1)
    body = f"{CHAIN}\noperator succession\n{itself.old}\n{itself.new}\n1\n"
    with pytest.raises(ValueError, match="by the old key and by the new"):
        notes.open_succession(notes.render(Note(body, (notes.sign(body, CHAIN, OLD),))), CHAIN)


LINE = "— name " + b64encode(b"hint" + b"signature").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        f"text\n{LINE}\n",
        f"text\n\n{LINE}",
        f"\n\n{LINE}\n",
        f"text\n\n{LINE}\nrest\n",
        f"text\n\n{LINE}\n{LINE}\n",
        f"text\tmore\n\n{LINE}\n",
        f"text\r\n\n{LINE}\n",
        f"text\n\n-{LINE[1:]}\n",
        f"text\n\n{LINE} \n",
        f"text\n\n{LINE.replace(' name', '  name')}\n",
        f"text\n\n{LINE.replace('name', 'a+b')}\n",
        "text\n\n" + LINE.replace("name", "a\u00a0b") + "\n",
        f"text\n\n{LINE}=\n",
        "text\n\n— name aGludA==\n",
        "text\n\n— name aGludHNpZ25hdHVyZR==\n",
        "text\n\n" + "".join(f"{LINE.replace('name', f'n{number}')}\n" for number in range(101)),
    ],
)
def test_malformed_notes(text: str) -> None:
    with pytest.raises(ValueError, match=r"note|base64"):
        notes.read(text.encode())


def test_a_note_is_utf_8() -> None:
    poem = f"è subito sera.\n\n{LINE}\n".encode()
    with pytest.raises(ValueError, match="not a signed note"):
        notes.read(poem.replace("è".encode(), b"\xe8"))
    assert notes.render(notes.read(poem)) == poem
    with pytest.raises(ValueError, match="ends in a newline"):
        notes.render(Note("text", (Signature("name", b"hint", b"signature"),)))


@pytest.mark.parametrize(
    ("leaves", "verdict"),
    [
        ([], "open"),
        (["cd" * 32, PROMISE.by_ms - 1, PROMISE.by_ms], "open"),
        ([PROMISE.tx_id], "open"),
        (["cd" * 32, PROMISE.by_ms - 1, PROMISE.tx_id, "ef" * 32, PROMISE.by_ms, PROMISE.by_ms + 1], "kept"),
        ([PROMISE.by_ms, PROMISE.tx_id, PROMISE.by_ms + 1], "broken"),
        ([PROMISE.by_ms, "cd" * 32, PROMISE.by_ms + 1, PROMISE.tx_id], "broken"),
    ],
)
def test_a_promise_is_judged_by_the_log(leaves: list[str | int], verdict: str) -> None:
    assert notes.judge(PROMISE, leaves) == verdict


@pytest.mark.parametrize("tx_id", ["ab" * 31, "AB" * 32, "", "zz" * 32])
def test_a_promise_names_its_transaction(tx_id: str) -> None:
    data = notes.sign_promise(Promise(CHAIN, tx_id, 1, 2), OLD)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        notes.open_promise(data, CHAIN, OLD.key_id)
