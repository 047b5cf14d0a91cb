"""What SMS gateways post: read strictly, sorted by words, and named so that only the same message is the same."""

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest

from metrobloc.city.charity import port
from metrobloc.city.charity.port import FORM, JSON, Posted, Unfit
from metrobloc.city.charity.types.calling import Hear

KEY = bytes(range(32))
WORDS = """
place = "city"
category = "other"
severity = 2
[places]
north = ["north", "harbour street"]
south = ["south", "南"]
[categories.water]
severity = 3
words = ["water", "thirsty", "水"]
[categories.injury]
severity = 5
words = ["bleeding"]
[categories.fire]
severity = 5
words = ["fire"]
"""
SMSSYNC = {
    "from": "+8613800000001",
    "message": "No water in Harbour  Street",
    "message_id": "5e0b",
    "sent_to": "+8610000",
    "secret": "a secret of sixteen",
    "device_id": "phone 1",
    "sent_timestamp": "1700000000000",
}


def posted(media: str = FORM, **changed: object) -> Posted:
    """Read what a gateway would post."""
    fields = {name: value for name, value in {**SMSSYNC, **changed}.items() if value is not None}
    return port.read(urlencode(fields).encode() if media == FORM else json.dumps(fields).encode(), media)


def test_a_form_and_json_say_the_same() -> None:
    one = posted()
    assert one == posted(f"{JSON}; charset=utf-8")
    assert (one.sender, one.text, one.device_id) == ("+8613800000001", "No water in Harbour  Street", "phone 1")
    assert posted(JSON, sent_timestamp=1_700_000_000_000).name() == one.name()
    assert posted(message="水不够 & = %").text == "水不够 & = %"
    assert posted(message="").text == ""


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", FORM, 400),
        (b"from=1", FORM, 400),
        (b"message=x&message_id=1", FORM, 400),
        (b"from=&message=x&message_id=1", FORM, 400),
        (b"from=%2B-&message=x&message_id=1", FORM, 400),
        (b"from=1&message=x", FORM, 400),
        (b"from=1&message=x&message_id=1&message=y", FORM, 400),
        (b"from=1&message=%FF&message_id=1", FORM, 400),
        (b"from=1&message=\xff&message_id=1", FORM, 400),
        (b"from=1&message=x&message_id=" + b"1" * 129, FORM, 400),
        (b"from=" + b"1" * 65 + b"&message=x&message_id=1", FORM, 400),
        (b"from=1&message=x&message_id=1" + b"&a=b" * 40, FORM, 400),
        (b"from=1&message=" + b"x" * (16 << 10) + b"&message_id=1", FORM, 413),
        (b'{"from":"1","message":"x","message_id":1.5}', JSON, 400),
        (b'{"from":"1","message":"\\ud800","message_id":"1"}', JSON, 400),
        (b'{"from":1,"message":"x","message_id":"1"}', JSON, 400),
        (b"[" * 9000, JSON, 400),
        (b"null", JSON, 400),
        (b"from=1&message=x&message_id=1", "text/plain", 415),
        (b"from=1&message=x&message_id=1", "", 415),
    ],
)
def test_what_is_no_message_is_turned_away(body: bytes, media: str, status: int) -> None:
    with pytest.raises(Unfit) as found:
        port.read(body, media)
    assert found.value.status == status
    assert str(found.value).endswith(".")


def test_only_the_same_message_has_the_same_name() -> None:
    name = port.message_nullifier(KEY, posted())
    retried = [posted(message_id="other"), posted(message_id=None), posted(device_id="phone 2"), posted(secret="")]
    assert {port.message_nullifier(KEY, one) for one in retried} == {name}
    others = [
        posted(message="No water in Harbour Street"),
        posted(sent_timestamp="1700000000001"),
        posted(**{"from": "+8613800000002"}),
        posted(sent_timestamp=None),
        posted(sent_timestamp=None, message_id="1700000000000"),
    ]
    assert len({name, *(port.message_nullifier(KEY, one) for one in others)}) == 6
    assert port.message_nullifier(bytes(32), posted()) != name
    said = b'["+8613800000001","No water in Harbour  Street","sent","1700000000000"]'
    assert name == hmac.new(KEY, b"metrobloc message v1\n" + said, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("text", "sorted_as"),
    [
        ("", ("city", "other", 2)),
        ("hello", ("city", "other", 2)),
        ("WATER!", ("city", "water", 3)),
        ("we are thirsty in the North", ("north", "water", 3)),
        ("waterfall northern", ("city", "other", 2)),
        ("harbour street", ("north", "other", 2)),
        (" Harbour \n STREET ", ("north", "other", 2)),
        ("城南没有水了", ("south", "water", 3)),
        ("no water, bleeding", ("city", "injury", 5)),
        ("fire and bleeding", ("city", "injury", 5)),
        ("\uff37\uff21\uff34\uff25\uff32", ("city", "water", 3)),
    ],
)
def test_a_text_is_sorted_by_its_words(text: str, sorted_as: tuple[str, str, int]) -> None:
    assert port.read_table(WORDS.encode()).sort(text) == sorted_as


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("severity = 2", "severity = 6", "<= 5"),
        ("severity = 2", "severity = 2\nplaces_too = 1", "unknown field"),
        ('place = "city"', "", "missing required field"),
        ('place = "city"', 'place = "The City"', "regex"),
        ("[places]", "[places", "TOML"),
        ('["fire"]', "[]", "length >= 1"),
        ('["fire"]', '[""]', "length >= 1"),
        ('["fire"]', '"fire"', "array"),
        ("city", "c" * (257 << 10), "longer than 256 KiB"),
    ],
)
def test_a_table_is_read_strictly(old: str, new: str, said: str) -> None:
    changed = WORDS.replace(old, new, 1)
    assert changed != WORDS
    with pytest.raises(ValueError, match="." if said == "TOML" else said):
        port.read_table(changed.encode())
    with pytest.raises(ValueError, match="utf-8"):
        port.read_table(b"\xff")


def test_a_secret_is_known_or_not() -> None:
    secret = b"a secret of sixteen"
    assert port.knows(posted(), "", secret)
    assert port.knows(posted(secret=None), "Bearer a secret of sixteen", secret)
    for wrong in ("", "a secret", "a secret of sixteen ", "A secret of sixteen"):
        assert not port.knows(posted(secret=wrong), "", secret)
    assert not port.knows(posted(secret=secret.decode()[:-1]), "Bearer a secret of sixteen", secret)
    assert not port.knows(posted(secret=None), "Basic a secret of sixteen", secret)
    port.check_secret(secret)
    for bad in (b"", b"fifteen letters", b"x" * 129, "sechzehn Zeichen ß".encode(), b"a secret\nof sixteen"):
        with pytest.raises(ValueError, match="16 to 128"):
            port.check_secret(bad)


def test_a_call_has_nothing_of_what_was_written() -> None:
    salt = "ab" * 32
    table = port.read_table(WORDS.encode())
    call = port.write_call(posted(), table, channel="sms", message="1" * 64, caller="2" * 64, salt=salt)
    seal = hashlib.sha256(bytes.fromhex(salt) + b"No water in Harbour  Street").hexdigest()
    assert call == Hear("sms", "1" * 64, "north", "water", 3, seal, "2" * 64)
    assert json.loads(port.answer()) == {"payload": {"success": True, "error": None}}
    assert json.loads(port.answer("Why.")) == {"payload": {"success": False, "error": "Why."}}
