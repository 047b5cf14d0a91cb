"""The stand-alone verifier: what it accepts, what it refuses and in which words, and that nothing makes it raise."""

import ast
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from metrobloc import verify
from metrobloc.commons import notes
from metrobloc.kernel.codec import encode
from metrobloc.verify import check
from tests.prover import CHAIN, LOG_KEY, OPERATORS, TIME_S, City, succession, trust_file
from tests.support import ROOT, rounds
from tests.test_tidy import code_lines

PROGRAM = ROOT / "src/metrobloc/verify.py"
TRUST = trust_file(OPERATORS[0])
GIFT, NO_GIFT = "charity/gifts/3", "charity/gifts/none"
Contents = dict[str, Any]


@cache
def city() -> City:
    return City()


def proof(**changes: Contents) -> bytes:
    """Make a valid proof file of a gift, with some of its parts replaced."""
    return encode(city().contents(GIFT) | changes)


def handed_down(*sizes: int) -> Contents:
    """Make the contents of a proof signed by a key that succeeded the first in so many steps."""
    contents = city().contents(GIFT, operator=OPERATORS[len(sizes)])
    pairs = zip(OPERATORS, OPERATORS[1:], sizes, strict=False)
    contents["trust"]["succession"] = [succession(old, new, size) for old, new, size in pairs]
    return contents


def test_a_record_is_proved() -> None:
    verdict = check(proof(), TRUST)
    assert verdict.status == "valid"
    assert verdict.facts == {
        "chain": CHAIN,
        "height": 7,
        "time": "2023-11-14 22:13:20+00:00",
        "shown": 'the record charity/gifts/3 is {"amount_cents":300,"note":"für 医院"}',
        "signer": OPERATORS[0].key_id,
        "as_of": "2023-11-14 22:15:00+00:00",
    }
    assert check(proof() + b"\n", TRUST) == verdict


def test_a_receipt_is_proved() -> None:
    for index in range(len(city().receipts)):
        verdict = check(encode(city().contents(LOG_KEY, receipt=index)), TRUST)
        assert verdict.status == "valid"
        assert f'"tx":"{index:064x}"' in verdict.facts["shown"]


@pytest.mark.parametrize("gifts", [0, 1, 2, 3, 50])
def test_presence_and_absence_are_proved(gifts: int) -> None:
    few = City(gifts=gifts, receipts=1, later=0)
    for key in few.records:
        assert check(encode(few.contents(key)), TRUST).status == "valid"
    for number in range(60):  # enough to lie before all, between and behind all
        verdict = check(encode(few.contents(f"no/{number}")), TRUST)
        assert (verdict.status, verdict.facts["shown"]) == ("valid", f"there is no record no/{number}")


@pytest.mark.parametrize("later", [*range(9), 300])
@pytest.mark.parametrize("receipts", [1, 2, 7, 256])
def test_any_length_of_the_log(receipts: int, later: int) -> None:
    some = City(gifts=1, receipts=receipts, later=later)
    assert check(encode(some.contents(LOG_KEY, receipt=receipts - 1)), TRUST).status == "valid"


@pytest.mark.parametrize(
    "trust", [None, trust_file(), trust_file(OPERATORS[1]), trust_file(OPERATORS[0], chain="demo-other")]
)
def test_without_trust_it_is_only_consistent(trust: bytes | None) -> None:
    verdict = check(proof(), trust)
    assert verdict.status == "untrusted"
    assert "consistent" in verdict.reason
    assert "signer" not in verdict.facts
    assert check(proof(header=city().header | {"height": 8}), trust).status == "invalid"


@pytest.mark.parametrize(
    "trust",
    [
        b"",
        b"{}",
        b"[]",
        TRUST[:-1],
        TRUST + b" ",
        b" " + TRUST,
        TRUST.replace(b"trust/1", b"trust/2"),
        TRUST.replace(b"z6Mk", b"z6Mj"),
        TRUST.replace(b'["did', b'[1,"did'),
        TRUST.replace(b'["did', b'[["x"],"did'),
        trust_file(OPERATORS[0]).replace(b'"chain"', b'"Chain"'),
    ],
)
def test_an_unusable_trust_file_is_named(trust: bytes) -> None:
    verdict = check(proof(), trust)
    assert verdict.status == "unusable"
    assert "trust file" in verdict.reason or "operator's key" in verdict.reason


@pytest.mark.parametrize("trusted", range(4))
def test_a_succession_leads_to_the_signer(trusted: int) -> None:
    data = encode(handed_down(5, 5, 23))
    verdict = check(data, trust_file(OPERATORS[trusted]))
    assert (verdict.status, verdict.facts["signer"]) == ("valid", OPERATORS[3].key_id)
    assert check(data, trust_file(OPERATORS[4])).status == "untrusted"
    assert check(data).status == "untrusted"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [succession(OPERATORS[1], OPERATORS[2], 5)],
        [succession(OPERATORS[0], OPERATORS[1], 24)],
        [succession(OPERATORS[0], OPERATORS[2], 6), succession(OPERATORS[2], OPERATORS[1], 5)],
        [succession(OPERATORS[0], OPERATORS[2], 5), succession(OPERATORS[3], OPERATORS[1], 6)],
        [succession(OPERATORS[0], OPERATORS[1], 5).replace(CHAIN, "demo-other")],
        [succession(OPERATORS[0], OPERATORS[1], 5).replace("operator succession", "promise")],
        [succession(OPERATORS[0], OPERATORS[1], 5)] * 33,
        [5],
        [None],
    ],
)
def test_a_wrong_succession_is_refused(wrong: list[object]) -> None:
    contents = handed_down(5)
    contents["trust"]["succession"] = wrong
    verdict = check(encode(contents), trust_file(OPERATORS[0]))
    assert verdict.status == "invalid"
    assert verdict.reason.endswith(".")


@pytest.mark.parametrize("kept", [0, 1])
def test_both_signatures_are_needed(kept: int) -> None:
    def lacking(text: str) -> str:
        note = notes.read(text.encode())
        return notes.render(notes.Note(note.body, note.signatures[kept : kept + 1])).decode()

    contents = handed_down(5)
    contents["trust"]["succession"] = [lacking(contents["trust"]["succession"][0])]
    assert "old key and the new one" in check(encode(contents), TRUST).reason
    contents = city().contents(GIFT)
    contents["trust"]["checkpoint"] = lacking(contents["trust"]["checkpoint"])
    assert "lacks the operator's" in check(encode(contents), TRUST).reason


def test_other_signatures_do_not_disturb() -> None:
    contents = city().contents(GIFT)
    note = notes.read(contents["trust"]["checkpoint"].encode())
    witness = notes.cosign(note.body, "witness.example/w1", OPERATORS[4], TIME_S)
    long = notes.Signature("witness.example/pq", b"hint", bytes(2420))
    contents["trust"]["checkpoint"] = notes.render(notes.Note(note.body, (witness, *note.signatures, long))).decode()
    assert check(encode(contents), TRUST).status == "valid"


def set_at(contents: Contents, path: str, value: object) -> None:
    """Replace what a path such as trust/index leads to; remove it where the value is `...`."""
    *way, last = path.split("/")
    for name in way:
        contents = contents[name]
    if value is ...:
        del contents[last]
    else:
        contents[last] = value


WRONG = [
    ("chain", "demo-other", "for another chain"),
    ("chain", "a.c\n1", "malformed"),
    ("chain", "(" * 9, "malformed"),
    ("format", "metrobloc-proof/2", "not of the format"),
    ("extra", 1, "fields"),
    ("header", ..., "fields"),
    ("header", None, "wrong type"),
    ("header/height", 8, "not in the log"),
    ("header/height", -1, "impossible"),
    ("header/height", True, "wrong type"),
    ("header/height", "7", "wrong type"),
    ("header/time_ms", 2**53 - 1, "impossible"),
    ("header/state_root", "00" * 32, "state root"),
    ("header/state_root", "", "state root"),
    ("header/extra", 1, "fields"),
    ("record/key", "charity/gifts/4", "not the one that is proved"),
    ("record/key", "", "malformed"),
    ("record/key", "ключ", "malformed"),
    ("record/value", {"amount_cents": 301}, "not the one that is proved"),
    ("record/value", None, "another kind"),
    ("record/value", [], "wrong type"),
    ("record/proof", "", "another kind"),
    ("record/proof", "AAAA", "malformed"),
    ("record/proof", "AAA", "base64"),
    ("record/proof", "A\n==", "base64"),
    ("record/proof", 5, "wrong type"),
    ("trust/index", 12, "not in the log"),
    ("trust/index", 10**9, "length"),
    ("trust/index", -1, "length"),
    ("trust/path", [], "length"),
    ("trust/path", [None] * 5, "base64"),
    ("trust/path", ["AAAA"] * 5, "not in the log"),
    ("trust/checkpoint", "", "note"),
    ("trust/checkpoint", "x\n\n— a AAAAAAAA\n", "checkpoint"),
    ("trust/checkpoint", 5, "wrong type"),
    ("receipt", {"index": 0, "leaf": {}, "path": []}, "needs the record"),
    ("receipt", {"index": 0, "leaf": {}}, "fields"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_every_wrong_part_is_named(path: str, value: object, words: str) -> None:
    contents = deepcopy(city().contents(GIFT))
    set_at(contents, path, value)
    verdict = check(encode(contents), TRUST)
    assert verdict.status == "invalid"
    assert words in verdict.reason
    assert verdict.facts == {}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("receipt/leaf", {"code": "refused"}, "receipt is not in the log"),
        ("receipt/index", 5, "receipt is not in the log"),
        ("receipt/index", 13, "length"),
        ("receipt/path", [], "length"),
        ("record/value", {"root": "00" * 32, "size": 13}, "not the one that is proved"),
    ],
)
def test_a_wrong_receipt_is_named(path: str, value: object, words: str) -> None:
    contents = deepcopy(city().contents(LOG_KEY, receipt=4))
    set_at(contents, path, value)
    verdict = check(encode(contents), TRUST)
    assert (verdict.status, words in verdict.reason) == ("invalid", True)


def test_the_header_stands_behind_the_log_of_its_state() -> None:
    contents = City(receipts=13, named=12).contents(LOG_KEY)
    assert "does not stand behind the log" in check(encode(contents), TRUST).reason


@pytest.mark.parametrize(
    "make",
    [
        lambda: city().contents(GIFT),
        lambda: city().contents(NO_GIFT),
        lambda: city().contents(LOG_KEY, receipt=6),
        lambda: handed_down(5),
    ],
    ids=["record", "absence", "receipt", "succession"],
)
def test_every_altered_byte_is_noticed(make: Callable[[], Contents]) -> None:
    rng = random.Random(9)
    data, trust = encode(make()), trust_file(OPERATORS[0], OPERATORS[1])
    for at in range(len(data)):
        for bit in rng.sample(range(8), rounds(1, 8)):
            wrong = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            verdict = check(wrong, trust)
            assert verdict.status in {"invalid", "untrusted"}
            assert verdict.reason.endswith(".")
            assert verdict.status == "invalid" or b"checkpoint" in data[:at]


def test_it_is_one_short_file_that_needs_nothing() -> None:
    text = PROGRAM.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text, feature_version=(3, 9))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert len(code_lines(text)) <= 300  # counted as the kernel's are


def interpreters() -> list[str]:
    """Find the Pythons of this machine that run, this one among them."""
    found = [path for minor in range(9, 15) if (path := shutil.which(f"python3.{minor}"))]
    runs = [path for path in found if not subprocess.run([path, "-V"], capture_output=True, check=False).returncode]
    return [sys.executable, *runs]


@pytest.mark.parametrize("python", interpreters())
def test_the_copied_program_answers(python: str, tmp_path: Path) -> None:
    shutil.copy(PROGRAM, tmp_path / "verify.py")
    files = {
        "valid": proof() + b"\n",
        "invalid": proof(header=city().header | {"height": 8}),
        "deep": b"[" * 500_000,
        "digits": b"9" * 1_000_000,
        "trust": TRUST,
        "other": trust_file(OPERATORS[1]),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def run(*arguments: str) -> tuple[int, str]:
        command = [python, "-I", "verify.py", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, env={"PYTHONUTF8": "0"})
        assert b"Traceback" not in done.stderr
        return done.returncode, done.stdout.decode("utf-8", "replace")

    code, text = run("valid", "--trust", "trust")
    assert (code, text.split(":")[0]) == (0, "VALID")
    code, text = run("valid", "--trust", "trust", "--json")
    assert (code, json.loads(text)) == (0, check(files["valid"], TRUST)._asdict())
    code, text = run("invalid", "--trust", "trust")
    assert (code, text) == (1, "INVALID: The header is not in the log.\n")
    assert run("deep", "--trust", "trust")[0] == run("digits", "--trust", "trust")[0] == 1
    assert run("valid")[0] == run("valid", "--trust", "other")[0] == 3
    unusable = [("valid", "--trust", "invalid"), ("absent",), ("",), (".",), (), ("valid", "--unknown")]
    assert [run(*arguments)[0] for arguments in unusable] == [2] * len(unusable)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_answer_cannot_command_a_terminal(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = City(extra={"x": {"text": "医院\x1b[2J\u009b2J\u202e\n"}})
    (tmp_path / "proof").write_bytes(encode(hostile.contents("x")))
    assert verify.main([str(tmp_path / "proof"), *options]) == 3
    assert all(mark.isprintable() or mark == "\n" for mark in capsys.readouterr().out)
