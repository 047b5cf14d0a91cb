"""What a witness is asked and decides, by the table of C2SP tlog-witness; and keys as its tools write them."""

from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest

from metrobloc.commons import notes, witnessing
from metrobloc.commons.anchors.story import Neighbour
from metrobloc.commons.notes import Checkpoint, Note
from metrobloc.commons.witnessing import Asked, Contradiction, Log, Turned, decide, read_asked, write_asked
from metrobloc.kernel.crypto import SigningKey

ORIGIN, NAME = "log.example/a log", "log.example"
THIEF, WITNESS = SigningKey(b"t" * 32), SigningKey(b"w" * 32)


class Known(NamedTuple):
    """A log as a witness remembers it."""

    log: Log
    head: Checkpoint | None


def history(*leaves: str) -> Neighbour:
    """Return a log with these leaves."""
    made = Neighbour(ORIGIN, NAME)
    made.grow(*leaves)
    return made


FIVE, SEVEN = history(*"abcde"), history(*"abcdefg")
OTHER_FIVE, OTHER_SEVEN, NONE = history(*"abcdX"), history(*"abcdXfg"), history()
LOG = Log(ORIGIN, NAME, (FIVE.key.key_id,))
FRESH = {ORIGIN: Known(LOG, None)}
AT_FIVE = {ORIGIN: Known(LOG, FIVE.checkpoint())}


def asked(to: Neighbour, old: int, path: tuple[str, ...] | None = None, note: str | None = None) -> bytes:
    """Write a request as a log does."""
    steps = (to.path(old) if 0 < old < to.log.size else ()) if path is None else path
    return write_asked(Asked(old, tuple(map(bytes.fromhex, steps)), (note or to.note()).encode()))


def line(data: bytes) -> bytes:
    """Return a line of a path."""
    return b64encode(data) + b"\n"


ZERO = line(bytes(32))
ONE_WRONG = FIVE.note().replace("— log.example ", "— log.example A")
ANSWERS: list[tuple[str, dict[str, Known], bytes, int]] = [
    ("first", FRESH, asked(FIVE, 0), 200),
    ("empty first", FRESH, asked(NONE, 0), 200),
    ("goes on", AT_FIVE, asked(SEVEN, 5), 200),
    ("the same again", AT_FIVE, asked(FIVE, 5), 200),
    ("with lines of its own", AT_FIVE, asked(SEVEN, 5, None, SEVEN.note("a line")), 200),
    ("unknown log", {}, asked(FIVE, 0), 404),
    ("another origin", FRESH, asked(FIVE, 0, (), FIVE.note().replace(ORIGIN, "elsewhere", 1)), 404),
    ("another's signature", FRESH, asked(FIVE, 0, (), FIVE.note().replace(f"— {NAME}", "— other")), 403),
    ("wrong signature", FRESH, asked(FIVE, 0, (), FIVE.note().replace("\n5\n", "\n6\n")), 403),
    ("old is larger", AT_FIVE, asked(FIVE, 6), 400),
    ("stale", AT_FIVE, asked(SEVEN, 0), 409),
    ("too early", AT_FIVE, asked(SEVEN, 6), 409),
    ("first, from somewhere", FRESH, asked(SEVEN, 5), 409),
    ("other root", AT_FIVE, asked(OTHER_FIVE, 5), 409),
    ("other history", AT_FIVE, asked(OTHER_SEVEN, 5), 422),
    ("no path", AT_FIVE, asked(SEVEN, 5, ()), 422),
    ("needless path", AT_FIVE, asked(FIVE, 5, ("00" * 32,)), 422),
    ("path from nothing", FRESH, asked(FIVE, 0, ("00" * 32,)), 422),
    ("smaller", AT_FIVE, asked(history("a"), 1), 409),
    ("nothing", FRESH, b"", 400),
    ("no old line", FRESH, b"\n" + FIVE.note().encode(), 400),
    ("padded size", FRESH, asked(FIVE, 0).replace(b"old 0", b"old 00", 1), 400),
    ("negative size", FRESH, asked(FIVE, 0).replace(b"old 0", b"old -0", 1), 400),
    ("long size", FRESH, asked(FIVE, 0).replace(b"old 0", b"old " + b"9" * 17, 1), 400),
    ("two blanks", FRESH, asked(FIVE, 0).replace(b"old 0", b"old  0", 1), 400),
    ("carriage returns", FRESH, asked(FIVE, 0).replace(b"old 0\n", b"old 0\r\n", 1), 400),
    ("no empty line", FRESH, b"old 0\n" + FIVE.note().encode().replace(b"\n\n", b"\n"), 400),
    ("short hash", FRESH, b"old 0\n" + line(bytes(31)) + b"\n" + FIVE.note().encode(), 400),
    ("loose base64", FRESH, b"old 0\n" + ZERO.replace(b"A=", b"B=") + b"\n" + FIVE.note().encode(), 400),
    ("63 hashes", FRESH, b"old 0\n" + ZERO * 63 + b"\n" + FIVE.note().encode(), 422),
    ("64 hashes", FRESH, b"old 0\n" + ZERO * 64 + b"\n" + FIVE.note().encode(), 400),
    ("no checkpoint", FRESH, b"old 0\n\n", 400),
    ("no signature", FRESH, b"old 0\n\n" + FIVE.note().encode().partition(b"\n\n")[0], 400),
    ("not UTF-8", FRESH, asked(FIVE, 0).replace(b"log", b"l\xffg"), 400),
    ("bad signature line", FRESH, asked(FIVE, 0, (), ONE_WRONG), 400),
    ("too much", FRESH, asked(FIVE, 0) + b"x" * witnessing.BODY_BYTES_MAX, 400),
]


@pytest.mark.parametrize(
    ("name", "logs", "body", "status"), ANSWERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_answers(name: str, logs: dict[str, Known], body: bytes, status: int) -> None:
    del name
    if status == 200:
        new, own = decide(read_asked(body), logs)
        assert notes.read_head(own) == new
        assert [one.name for one in own.signatures] == [NAME]
        return
    with pytest.raises(Turned) as turned:
        decide(read_asked(body), logs)
    assert turned.value.status == status
    assert turned.value.sentence.endswith(".")


def turned_by(body: bytes, logs: dict[str, Known]) -> Turned:
    """Return how a request is turned away."""
    with pytest.raises(Turned) as turned:
        decide(read_asked(body), logs)
    return turned.value


def test_a_stale_size_is_answered_with_the_right_one() -> None:
    assert turned_by(asked(SEVEN, 0), AT_FIVE).size == 5
    assert turned_by(asked(SEVEN, 5), FRESH).size == 0
    assert turned_by(asked(OTHER_FIVE, 5), AT_FIVE).size is None


@pytest.mark.parametrize("body", [asked(OTHER_FIVE, 5), asked(OTHER_SEVEN, 5)])
def test_what_contradicts_is_handed_on_with_the_logs_signature(body: bytes) -> None:
    found = turned_by(body, AT_FIVE)
    assert isinstance(found, Contradiction)
    assert notes.signed_by(found.note, NAME, LOG.keys) == found.note


def test_requests_are_read_as_written() -> None:
    for old, path in ((0, ()), (3, (b"a" * 32, b"b" * 32))):
        made = Asked(old, path, FIVE.note().encode())
        assert read_asked(write_asked(made)) == made


def test_signatures_of_strangers_are_ignored_and_the_logs_wrong_one_is_not() -> None:
    note = notes.read(FIVE.note().encode())
    strange = notes.sign(note.body, NAME, THIEF)
    both = notes.render(Note(note.body, (strange, *note.signatures))).decode()
    assert decide(read_asked(asked(FIVE, 0, (), both)), FRESH)[1] == note
    wrong = notes.Signature(NAME, note.signatures[0].hint, bytes(64))
    new = Log(ORIGIN, NAME, (*LOG.keys, THIEF.key_id))
    forged = notes.render(Note(note.body, (strange, wrong))).decode()
    assert turned_by(asked(FIVE, 0, (), forged), {ORIGIN: Known(new, None)}).status == 403


def test_of_a_log_what_it_signed_and_co_signed_is_kept() -> None:
    note = notes.read(FIVE.note().encode())
    own = notes.cosign(note.body, NAME, FIVE.key, 5)
    strange = notes.cosign(note.body, NAME, THIEF, 5)
    whole = Note(note.body, (strange, own, *note.signatures))
    assert notes.signed_by(whole, NAME, LOG.keys) == Note(note.body, (own, *note.signatures))
    assert (
        notes.signed_by(Note(note.body, (own,)), NAME, LOG.keys) is None
    )  # a co-signature alone is not the log's word
    assert notes.signed_by(whole, "other", LOG.keys) is None
    false = notes.Signature(NAME, own.hint, own.data[:8] + bytes(64))
    with pytest.raises(ValueError, match="co-signature of the checkpoint is wrong"):
        notes.signed_by(Note(note.body, (false, *note.signatures)), NAME, LOG.keys)


def test_a_co_signature_is_found_by_its_key_alone() -> None:
    note = notes.read(FIVE.note().encode())
    genuine = notes.cosign(note.body, "witness.example/w1", WITNESS, 1_700_000_000)
    other = notes.cosign(note.body, "witness.example/w1", THIEF, 1_700_000_000)
    moved = notes.Signature("elsewhere", genuine.hint, genuine.data)
    false = notes.Signature("witness.example/w1", genuine.hint, genuine.data[:8] + bytes(64))
    answer = notes.render(Note(note.body, (other, genuine))).partition(b"\n\n")[2]
    assert witnessing.read_lines(note, answer) == (other, genuine)
    find: Callable[..., object] = witnessing.cosignature_of
    assert find(note, (other, false, moved, genuine), WITNESS.key_id) == genuine
    assert find(note, (other, false, moved), WITNESS.key_id) is None
    assert find(notes.read(SEVEN.note().encode()), (genuine,), WITNESS.key_id) is None


def test_keys_are_written_as_tools_read_them() -> None:
    """The key of sum.golang.org, which every Go program knows, and one of ours."""
    golang = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    name, key = witnessing.read_vkey(golang)
    assert name == "sum.golang.org"
    assert witnessing.write_vkey(name, key, notes.ED25519) == golang
    mine = witnessing.write_vkey("w", WITNESS.key_id, notes.COSIGNATURE)
    for bad in (golang[:-1], golang.replace("033d", "033e"), golang.replace("sum", "sun"), mine, "", "a+b", "a+b+!"):
        with pytest.raises(ValueError, match=r"\w"):
            witnessing.read_vkey(bad)


def test_the_page_of_a_log_follows_from_its_origin() -> None:
    assert witnessing.log_page("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_heirs_are_known_by_an_unbroken_row() -> None:
    keys = [SigningKey(bytes([n]) * 32) for n in range(1, 5)]
    steps = [
        notes.sign_succession(notes.Succession("c", old.key_id, new.key_id, 1), old, new) for old, new in pairwise(keys)
    ]
    ids = tuple(key.key_id for key in keys)
    assert notes.heirs(ids[:1], "c", steps) == ids
    assert notes.heirs(ids[1:2], "c", steps) == ids[1:]
    assert notes.heirs(ids[:1], "c", steps[1:]) == ids[:1]
    with pytest.raises(ValueError, match="does not begin"):
        notes.heirs(ids, "d", steps)


@pytest.mark.parametrize(
    "body",
    [
        "o\n5\n",
        "o\n5\nAAAA\n",
        "o\n05\n" + "A" * 43 + "=\n",
        "o\n5\n" + "A" * 43 + "=\n\nx\n",
        "\n5\n" + "A" * 43 + "=\n",
    ],
)
def test_what_is_no_checkpoint_of_any_log(body: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        notes.read_head(Note(body, ()))
