"""The verifier before paths of gifts: it follows each unit, and refuses a gap, a swap, a loop, and any changed byte."""

import random
from copy import deepcopy
from typing import Any

import pytest

from metrobloc import app
from metrobloc.city.charity import story
from metrobloc.city.charity.rules import gifts, path, spans
from metrobloc.city.charity.tools import paths
from metrobloc.kernel import codec
from metrobloc.testing.sandbox import Sandbox
from metrobloc.verify import Verdict, check
from tests.prover import OPERATORS, City, trust_file
from tests.support import rounds

Records = dict[str, Any]
TRUST = trust_file(OPERATORS[0])
GIFT, CASE, CLAIM = "charity/gifts/g", "charity/campaigns/c", "charity/claims/i"


def span(start: int, **fields: object) -> Records:
    """Make a span that paid the first line of the invoice, or what the fields say."""
    return {"campaign": "c", "purse": "crowd", "start": start, "what": "paid", "claim": "i", "settlement": "s"} | fields


def at(end: int, case: str = "c") -> str:
    """Return the key of a span that ends there."""
    return f"charity/spans/{case}/crowd/{end:016d}"


def records() -> Records:
    """Make a gift of 100 that lies at 50: 30 paid with others' money, 50 moved to another case, 20 still there."""
    return {
        GIFT: {"campaign": "c", "donor": "d", "amount": 100, "start": 50, "purse": "crowd"},
        CASE: {"asset": "cny", "offers": [{"offer": "o", "number": 2}]},
        "charity/purses/c/crowd": {"received": 500, "used": 130},
        at(80): span(10),
        at(130): span(80, what="moved", gift="h"),
        CLAIM: {"campaign": "c", "payee": "p", "lines": [{"code": "operation"}], "paid": [70]},
        "charity/gifts/h": {"campaign": "e", "amount": 50, "start": 7, "purse": "crowd"},
        "charity/campaigns/e": {"asset": "cny", "offers": []},
        "charity/purses/e/crowd": {"received": 57, "used": 27},
        at(27, "e"): span(0, campaign="e", claim="j"),
        "charity/claims/j": {"campaign": "e", "payee": "q", "lines": [{"code": "bed"}], "paid": [27]},
    }


def file_of(found: Records, gift: str = "g") -> bytes:
    """Prove records in a file, as a node does where they are on its ledger."""
    city = City(gifts=0, receipts=1, later=0, extra=found)
    parts = [city.contents(key) for key in sorted(found)]
    whole = {name: parts[0][name] for name in ("chain", "header", "trust")}
    listed = [part["record"] for part in parts]
    return codec.encode({**whole, "format": "metrobloc-path/1", "gift": gift, "records": listed})


def judged(found: Records) -> Verdict:
    return check(file_of(found), TRUST)


def test_each_unit_is_followed() -> None:
    verdict = judged(records())
    assert (verdict.status, verdict.facts["shown"].split("; ")) == (
        "valid",
        [
            "gift g to campaign c: 100 cny",
            "30 paid line 0 (operation) of invoice i to p in settlement s",
            "gift h to campaign e: 50 cny",
            "20 paid line 0 (bed) of invoice j to q in settlement s",
            "30 not spent yet",
            "20 not spent yet",
        ],
    )


def test_what_was_taken_back_is_said() -> None:
    found = records()
    found[GIFT]["returned"] = 20
    found[at(150)] = span(130, what="returned", gift="g")
    assert judged(found).facts["shown"].endswith("; 20 returned g")
    del found[at(150)]
    assert "taken back" in judged(found).reason


def test_a_match_is_said() -> None:
    found = records()
    found[GIFT]["asked"] = [{"offer": "o", "amount": 40}]
    assert judged(found).status == "invalid"
    found[f"charity/shares/o/{2:016d}"] = {"campaign": "c", "asked": 90, "part": 60}
    assert "40 asked of offer o, which gave the campaign 60 for 90 in all; 30 paid" in judged(found).facts["shown"]


@pytest.mark.parametrize("key", [GIFT, CASE, CLAIM, "charity/purses/c/crowd", at(80), at(130), at(27, "e")])
def test_no_record_of_the_path_may_be_missing(key: str) -> None:
    found = records()
    del found[key]
    verdict = judged(found)
    assert (verdict.status, verdict.facts) == ("invalid", {})
    assert verdict.reason.endswith(".")


def test_a_gift_that_moved_on_may_be_followed_no_further() -> None:
    found = records()
    for key in [key for key in found if key.startswith(("charity/gifts/h", "charity/spans/e"))]:
        del found[key]
    assert "50 moved h" in judged(found).facts["shown"]


@pytest.mark.parametrize(
    ("key", "changes", "words"),
    [
        (at(80), {"start": 51}, "is missing"),  # the gift's first unit
        (at(130), {"start": 81}, "is missing"),  # a gap of one
        ("charity/purses/c/crowd", {"used": 131}, "is missing"),
        ("charity/purses/e/crowd", {"used": 28}, "is missing"),
        (CLAIM, {"paid": [29]}, "does not fit"),
        (CLAIM, {"campaign": "e"}, "does not fit"),
        (CLAIM, {"paid": []}, "another form"),
        (at(80), {"line": 1}, "another form"),
        (at(80), {"start": "10"}, "another form"),
        (GIFT, {"amount": "100"}, "another form"),
        (GIFT, {"start": []}, "another form"),
    ],
)
def test_what_does_not_fit_is_refused(key: str, changes: Records, words: str) -> None:
    found = records()
    found[key] |= changes
    verdict = judged(found)
    assert (verdict.status, verdict.facts) == ("invalid", {})
    assert words in verdict.reason, verdict.reason


def test_a_circle_is_followed_once() -> None:
    found = records()
    found[at(27, "e")] |= {"what": "moved", "gift": "g"}
    assert "; 20 moved g; 30 not spent yet; " in judged(found).facts["shown"]


def test_the_files_form_is_strict() -> None:
    whole = codec.decode(file_of(records()), codec.ANY)
    assert isinstance(whole, dict)
    changes: tuple[Records, ...] = (
        {"gift": 1},
        {"records": {}},
        {"records": []},
        {"records": [1]},
        {"records": [whole["records"][0] | {"more": 1}]},
        {"format": "metrobloc-path/2"},
        {"record": whole["records"][0]},
        {"gift": "h2"},
    )
    for change in changes:
        assert check(codec.encode({**whole, **change}), TRUST).status == "invalid", change
    assert check(codec.encode(whole), None).status == "untrusted"


@pytest.fixture(scope="module")
def town() -> Sandbox:
    """Play the charity's story."""
    chain = Sandbox(app.modules().values())
    story.play(chain.stage)
    return chain


def proved(town: Sandbox, gift: str) -> bytes:
    """Prove a gift's path from the chain's own records."""
    read = town.view.reader.get
    found = {key: read(key.encode()) for key in paths.state_keys(town.view, gift)}
    assert None not in found.values()
    return file_of({key: codec.decode(raw or b"", codec.ANY) for key, raw in found.items()}, gift)


def test_the_verifier_and_the_ledger_say_the_same(town: Sandbox) -> None:
    seen = set()
    for gift, found in town.view[gifts].items():
        pieces = path(town.view, gift)
        assert sum(int(piece["amount"]) for piece in pieces) == found.amount
        shown = check(proved(town, gift), TRUST).facts["shown"].split("; ")
        told = [line for line in shown if line[0].isdigit() and " asked of " not in line]
        words = {"held": "not spent yet"}
        assert [line.split(" ", 1)[0] for line in told] == [str(piece["amount"]) for piece in pieces]
        for line, piece in zip(told, pieces, strict=True):
            assert words.get(str(piece["what"]), str(piece["what"])) in line
            assert str(piece.get("claim", "")) in line
            seen.add(piece["what"])
    assert seen == {"paid", "returned", "held"}


def test_the_storys_spans_are_all_needed(town: Sandbox) -> None:
    """Take away each span, or swap the gift for each other one: the proof is refused."""
    every = [gift for gift, _ in town.view[gifts].items()]
    for gift in every:
        whole = codec.decode(proved(town, gift), codec.ANY)
        assert isinstance(whole, dict)
        for record in whole["records"]:
            if record["key"].startswith(spans.prefix):
                fewer = [one for one in whole["records"] if one != record]
                assert check(codec.encode({**whole, "records": fewer}), TRUST).status == "invalid"
        held = {record["key"] for record in whole["records"]}
        for other in every:
            if gifts.path(other) not in held:
                assert check(codec.encode({**whole, "gift": other}), TRUST).status == "invalid"


def test_one_changed_byte_is_refused(town: Sandbox) -> None:
    gift = next(gift for gift, found in town.view[gifts].items() if found.returned and found.amount > found.returned)
    data = proved(town, gift)
    assert check(data, TRUST).status == "valid"
    chance = random.Random(41)
    places = range(len(data)) if rounds(0, 1) else chance.sample(range(len(data)), 150)
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        verdict = check(bytes(changed), TRUST)
        assert verdict.status != "valid", place
        assert verdict.reason.endswith(".")


def test_no_records_make_it_raise() -> None:
    chance = random.Random(2026)
    wrong: list[Any] = [None, True, -1, 0, 2**53 - 1, "", "g", [], {}, [[]], {"a": 1}]
    for _ in range(rounds(150, 3000)):
        found = deepcopy(records())
        for _ in range(chance.randrange(1, 4)):
            one = found[chance.choice(sorted(found))]
            one[chance.choice(sorted(one))] = chance.choice(wrong)
        verdict = judged(found)
        assert verdict.status in ("valid", "invalid")
        assert verdict.reason.endswith(".")
