"""Check a MetroBloc proof file without trusting anybody: `python verify.py FILE --trust TRUSTFILE`.

One file, standard library only, Python 3.9 or later. A proof file shows that a record is in a city's ledger, or is not,
that a receipt is in its log, or where each unit of a gift has gone.
Checked are strict canonical JSON, each record's way to the state root (ICS23, SmtSpec), the header's way to the log's
checkpoint (RFC 9162), the operator's signatures of it (C2SP signed notes, Ed25519), and that a gift's path has no gap.
Exit code: 0 valid, 1 invalid, 2 wrong usage or unusable, 3 consistent, but the signer is not trusted.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from datetime import datetime, timezone
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, NamedTuple

BYTES_MAX, DEPTH_MAX = 1 << 20, 18  # a record may be 16 deep and lies two deep in the file
NUMBER_MAX, TIME_MS_MAX = 2**53 - 1, 253402300799999  # the end of the year 9999
LOG_KEY = "kernel/log/head"
HEADER = {"height": int, "state_root": str, "time_ms": int}
RECORD = {"key": str, "proof": str, "value": (dict, type(None))}
RECEIPT = {"index": int, "leaf": dict, "path": list}
SIGNED = {"checkpoint": str, "index": int, "path": list, "succession?": list}
PROOF = {"chain": str, "format": str, "header": HEADER, "receipt?": RECEIPT, "record": RECORD, "trust": SIGNED}
PATH = {"chain": str, "format": str, "gift": str, "header": HEADER, "records": list, "trust": SIGNED}
TRUST = {"chain": str, "format": str, "keys": list}
PART = re.compile(rb"([\x0a\x12\x1a\x22])([\x80-\xff]{1,3}[\x01-\x7f]|[\x00-\x7f])")  # a protobuf tag and length
LEAF_OP = bytes.fromhex("0801100118012a0100")
CHILD = {False: bytes.fromhex("08011201011a20"), True: bytes.fromhex("0801122101")}  # is the sibling on the left
BASE64 = "((?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/][AQgw]==|[0-9A-Za-z+/]{2}[048AEIMQUYcgkosw]=)?)"
NOTE = r"([^\0-\x09\x0b-\x1f]*[^\0-\x1f]\n)\n((?:— [^\s+]+ [0-9A-Za-z+/=]{8,8192}\n){1,100})"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # the field and the group order of Ed25519
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
Json = dict[str, Any]
Note = tuple[str, dict[tuple[str, bytes], bytes]]  # the text, and by (name, key hint) the signatures


class Verdict(NamedTuple):
    """What a check found: `status` is valid, invalid, untrusted or (the trust file is) unusable."""

    status: str
    reason: str
    facts: Json


def check(proof: bytes, trust: bytes | None = None) -> Verdict:
    """Check a proof file under a trust file, both as bytes; never raises, whatever the bytes are."""
    status = "unusable"
    try:
        vouched = {"chain": "", "keys": []} if trust is None else _read(trust, TRUST, "trust")
        trusted = {key: _public_key(key) for key in vouched["keys"]}
        status = "invalid"
        facts, note, keys = _consistent(proof)
        trusted = trusted if vouched["chain"] == facts["chain"] else {}
        for key in keys[-1:] or trusted:
            found = _signed(note, facts["chain"], key)
            _need(len(found) != 1, "The checkpoint lacks the operator's signature or timestamped co-signature.")
            if found and "signer" not in facts:
                facts.update(signer=key, as_of=str(datetime.fromtimestamp(found[4], timezone.utc)))
        _need("signer" in facts or not keys, "The succession does not lead to the key that signed the checkpoint.")
    except ValueError as error:
        return Verdict(status, str(error), {})
    except (AttributeError, LookupError, TypeError):
        return Verdict("invalid", "A record that the path of the gift needs is missing or of another form.", {})
    if "signer" in facts and (not keys or any(key in trusted for key in keys)):
        return Verdict("valid", "The proof holds and a trusted operator signed it.", facts)
    return Verdict("untrusted", "The proof is consistent, but no trust file was given that leads to its signer.", facts)


def main(argv: list[str] | None = None) -> int:
    """Check the file named on the command line; answer the exit code."""
    parser = argparse.ArgumentParser(description="Check a MetroBloc proof file, offline.")
    parser.add_argument("file", type=Path, help="the proof file")
    parser.add_argument("--trust", type=Path, help="the operators to trust, a file as `metrobloc trust` writes it")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    options = parser.parse_args(argv)
    try:
        verdict = check(options.file.read_bytes(), options.trust and options.trust.read_bytes())
    except (OSError, ValueError) as error:
        verdict = Verdict("unusable", f"A file cannot be read: {error}.", {})
    lines = [f"{verdict.status.upper()}: {verdict.reason}", *map("{0[0]:8}{0[1]}".format, verdict.facts.items())]
    text = json.dumps(verdict._asdict(), sort_keys=True) if options.json else "\n  ".join(lines)
    shown = "".join(mark if mark.isprintable() or mark == "\n" else "?" for mark in text)
    print(shown.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))
    return ["valid", "invalid", "unusable", "untrusted"].index(verdict.status)


def _consistent(data: bytes) -> tuple[Json, Note, list[str]]:
    """Check all that needs no trust; answer the facts, the checkpoint and the operator keys in succession."""
    # The name of the format stands at the front of canonical bytes.
    file = _read(data, PATH, "path") if b'","format":"metrobloc-path/1"' in data[:90] else _read(data, PROOF, "proof")
    chain, header, trust, records = file["chain"], file["header"], file["trust"], file.get("records", [])
    _need(0 <= header["time_ms"] <= TIME_MS_MAX and header["height"] >= 0, "The header's height or time is impossible.")
    values: Json = {}
    for record in [file["record"]] if "record" in file else records:
        _fit({"record": record}, {"record": RECORD}, "")
        key, value = record["key"], record["value"]
        _match("[a-z0-9][a-z0-9-]{0,49}\n[ -~]+", f"{chain}\n{key}", "The chain's id or a record's key is malformed.")
        [(_, part)] = _parts(_base64(record["proof"]), "2" if value is None else "1")
        if value is None:
            shown = f"there is no record {key}"
            _absent(header["state_root"], part, key.encode())
        else:
            shown = f"the record {key} is {_canonical(value)}"
            _present(header["state_root"], part, (key.encode(), sha256(_canonical(value).encode()).digest()))
        values[key] = value
    if "gift" in file:
        shown = _follow(values, file["gift"])
    note, number = _note(trust["checkpoint"]), "(0|[1-9][0-9]{0,15})"
    size, root = _match(f"{chain}\n{number}\n(.+)\n", note[0], "The checkpoint is malformed or for another chain.")
    _check_included("header", header, trust, int(size), _base64(root).hex())
    if key == LOG_KEY and value is not None:
        _fit(value, {"root": str, "size": int}, "log's head")
        _need(value["size"] == trust["index"], "The header does not stand behind the log that its state names.")
    if "receipt" in file:
        receipt = file["receipt"]
        _need(key == LOG_KEY and value is not None, f"A receipt needs the record {LOG_KEY}.")
        _check_included("receipt", receipt["leaf"], receipt, value["size"], value["root"])
        shown = f"the log holds at {receipt['index']} the receipt {_canonical(receipt['leaf'])}"
    keys: list[str] = []
    last, form = 0, f"{chain}\noperator succession\n(.+)\n(.+)\n{number}\n"
    _need(0 < len(trust.get("succession", "?")) <= 32, "The succession has no note or more than 32.")
    for succession in map(_note, trust.get("succession", [])):
        old, new, at = _match(form, succession[0], "A succession is malformed or for another chain.")
        both = old != new and all(1 in _signed(succession, chain, operator) for operator in (old, new))
        _need(both and len(succession[1]) == 2, "A succession is not signed by the old key and the new one alone.")
        _need(keys[-1:] in ([], [old]) and last <= int(at) <= int(size), "The successions do not follow each other.")
        keys, last = [*(keys or [old]), new], int(at)
    time = datetime.fromtimestamp(header["time_ms"] // 1000, timezone.utc)
    return {"chain": chain, "height": header["height"], "time": str(time), "shown": shown}, note, keys


def _follow(values: Json, name: str, part: tuple[int, int] | None = None) -> str:
    """Follow a gift, or a part of it: spans must cover its place on its purse's line, as far as that line is used."""
    gift = values.pop(
        f"charity/gifts/{name}"
    )  # a gift is followed once, so that no circle of them is followed for ever
    campaign, line = values[f"charity/campaigns/{gift['campaign']}"], f"{gift['campaign']}/{gift.get('purse', 'crowd')}"
    at, last = (gift.get("start", 0) + place for place in part or (0, gift["amount"]))
    told = [f"gift {name} to campaign {gift['campaign']}: {last - at} {campaign['asset']}"]
    numbers = {place["offer"]: place.get("number", 0) for place in campaign.get("offers", ())}
    for asked in gift.get("asked", ()):
        share = values[f"charity/shares/{asked['offer']}/{numbers[asked['offer']]:016d}"]
        gave = f"which gave the campaign {share.get('part', 0)} for {share.get('asked', 0)} in all"
        told.append(f"{asked['amount']} asked of offer {asked['offer']}, {gave}")
    for key in sorted(key for key in values if key.startswith(f"charity/spans/{line}/")):
        span, to = values[key], min(last, int(_match(".+/([0-9]{16})", key, "A span's key is malformed.")[0]))
        start, amount = span.get("start", 0), to - at
        if amount <= 0 or start >= last:
            continue
        _need(start <= at, f"A span before {key} is missing.")
        if span["what"] == "moved" and f"charity/gifts/{span['gift']}" in values:
            told.append(_follow(values, span["gift"], (at - start, to - start)))
        elif span["what"] == "paid":
            claim, number = values[f"charity/claims/{span['claim']}"], span.get("line", 0)
            _need(claim["paid"][number] >= amount and claim["campaign"] == gift["campaign"], f"{key} does not fit.")
            paid = f"{number} ({claim['lines'][number]['code']}) of invoice {span['claim']} to {claim['payee']}"
            told.append(f"{amount} paid line {paid} in settlement {span['settlement']}")
        else:
            told.append(f"{amount} {span['what']} {span.get('gift', '')}".rstrip())
        at = to
    held = values[f"charity/purses/{line}"].get("used", 0) <= at and not gift.get("returned")
    _need(at == last or held, "A span is missing: the purse's line is used further, or the gift was taken back.")
    return "; ".join([*told, f"{last - at} not spent yet"][: None if at < last else -1])


def _absent(root: str, data: bytes, key: bytes) -> None:
    """Check an ICS23 proof of absence: nothing lies between two neighbours, or beyond the first or the last leaf."""
    (_, found_key), *neighbours = _parts(data, "1(23|2|3)")
    found = {number: _present(root, part) for number, part in neighbours}
    before, left = found.get(2, (0, []))
    after, right = found.get(3, (2 << 256, []))
    place = int.from_bytes(b"\1" + sha256(key).digest(), "big")
    _need(found_key == key and before < place < after, "The proof of absence is not for a place around its key.")
    common = 256 - (before ^ after).bit_length()  # so many steps from the root are those of both neighbours
    between = [sibling for on_left, sibling in left[: len(left) - 1 - common] if not on_left]
    between += [sibling for on_left, sibling in right[: len(right) - 1 - common] if on_left]
    apart = all(len(way) > common for _, way in found.values())
    _need(apart and not any(map(any, between)), "There may be a record between the neighbours that prove an absence.")


def _present(root: str, data: bytes, pair: tuple[bytes, bytes] | None = None) -> tuple[int, list[tuple[bool, bytes]]]:
    """Check an ICS23 proof of presence, of the pair if given; answer its place and, upwards, siblings and sides."""
    (_, found_key), (_, found_value), (_, leaf_op), *steps = _parts(data, "1234{0,256}")
    _need(found_key and found_value and leaf_op == LEAF_OP, "The record's proof does not follow the SmtSpec.")
    _need(pair in {None, (found_key, found_value)}, "The record is not the one that is proved.")
    node, way = sha256(b"\0" + sha256(found_key).digest() + sha256(found_value).digest()).digest(), []
    place = int.from_bytes(b"\1" + sha256(found_key).digest(), "big")  # the 1 leaves room for a place before all
    for height, (_, step) in enumerate(steps, 256 - len(steps)):
        on_left, sibling = bool(place >> height & 1), step[-32:]
        _need(step == CHILD[on_left] + sibling and len(sibling) == 32, "The record's proof leads to another place.")
        node = sha256(b"\1" + (sibling + node if on_left else node + sibling)).digest()
        way.append((on_left, sibling))
    _need(node.hex() == root, "The record's proof does not lead to the state root of the header.")
    return place, way


def _parts(data: bytes, form: str) -> list[tuple[int, bytes]]:
    parts, end = [], 0
    while match := PART.match(data, end):
        end = match.end() + sum((byte & 127) << 7 * place for place, byte in enumerate(match[2]))
        parts.append((match[1][0] >> 3, data[match.end() : end]))
    numbers = "".join(str(number) for number, _ in parts) if end == len(data) else ""
    _match(form, numbers, "The record's proof is malformed or of another kind than its value.")
    return parts


def _check_included(what: str, leaf: Json, place: Json, size: int, root: str) -> None:
    """Check a proof of inclusion in the log (RFC 9162, section 2.1.3.2)."""
    index, path = place["index"], place["path"]
    meet = (index ^ (size - 1)).bit_length()
    fits = 0 <= index < size and len(path) == meet + bin(index >> meet).count("1")
    _need(fits, f"The path of the {what} has not the length that its index and the log's size ask for.")
    node = sha256(b"\0" + _canonical(leaf).encode()).digest()
    for height, sibling in enumerate(map(_base64, path)):
        node = sha256(b"\1" + (sibling + node if height >= meet or index >> height & 1 else node + sibling)).digest()
    _need(node.hex() == root, f"The {what} is not in the log.")


def _note(text: object) -> Note:
    body, tail = _match(NOTE, text, "A signed note is malformed.")
    lines = [line.split(" ") for line in tail.split("\n")[:-1]]
    signatures = {(name, _base64(data)[:4]): _base64(data)[4:] for _, name, data in lines}
    _need(len(signatures) == len(lines), "A note is signed twice by one key.")
    return body, signatures


def _signed(note: Note, chain: str, key: str) -> dict[int, int]:
    """Check a key's signature (kind 1) and timestamped co-signature (kind 4); answer of each found the time (s)."""
    found, public_key = {}, _public_key(key)
    for kind in (1, 4):
        data = note[1].get((chain, sha256(chain.encode() + bytes((10, kind)) + public_key).digest()[:4]))
        if data is not None:
            time_s = int.from_bytes(data[:8], "big") if kind == 4 else 0
            message = f"cosignature/v1\ntime {time_s}\n{note[0]}" if kind == 4 else note[0]
            holds = ed25519_holds(public_key, message.encode(), data[8:] if kind == 4 else data)
            _need(holds and 1000 * time_s <= TIME_MS_MAX, "A signature of a note does not hold.")
            found[kind] = time_s
    return found


def ed25519_holds(key: bytes, message: bytes, signature: bytes) -> bool:
    """Verify as libsodium does: cofactorless, only canonical encodings, no point of small order."""
    base, point, scalar = _point(b"\x58" + b"\x66" * 31), _point(key), int.from_bytes(signature[32:], "little")
    if not base or not point or len(signature) != 64 or scalar >= L:
        return False
    digest = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % L
    negative = (P - point[0], point[1], 1, P - point[3])
    total: tuple[int, ...] = (0, 1, 1, 0)
    sums = {(1, 0): base, (0, 1): negative, (1, 1): _add(base, negative)}
    for bit in range(252, -1, -1):
        total = _add(total, total)
        chosen = sums.get((scalar >> bit & 1, digest >> bit & 1))
        total = _add(total, chosen) if chosen else total
    inverse, cleared = pow(total[2], -1, P), [point, total]
    encoded = total[1] * inverse % P | (total[0] * inverse % P & 1) << 255
    for _ in range(3):
        cleared = [_add(one, one) for one in cleared]
    return encoded.to_bytes(32, "little") == signature[:32] and all(one[0] % P for one in cleared)


def _point(data: bytes) -> tuple[int, ...] | None:
    sign, y = divmod(int.from_bytes(data, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT % P
    x = x if x & 1 == sign else P - x
    return (x, y, 1, x * y % P) if len(data) == 32 and y < P and x * x % P == square else None


def _add(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...]:
    a, b = (one[1] - one[0]) * (two[1] - two[0]), (one[1] + one[0]) * (two[1] + two[0])
    c, d = 2 * D * one[3] * two[3], 2 * one[2] * two[2]
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P


def _public_key(name: object) -> bytes:
    (text,) = _match(f"did:key:z(6Mk[{BASE58}]{{44}})", name, "An operator's key is malformed.")
    number = int(sum(BASE58.index(mark) * 58**place for place, mark in enumerate(reversed(text))))
    _need(number >> 256 == 0xED01, "An operator's key is not of Ed25519.")  # multicodec ed25519-pub
    return (number & (1 << 256) - 1).to_bytes(32, "big")


def _read(data: bytes, shape: Json, what: str) -> Json:
    """Read strict JSON: canonical bytes (RFC 8785), at most one newline behind them, exactly these fields."""
    _need(len(data) <= BYTES_MAX, f"The {what} file is larger than 1 MiB.")
    try:  # a longer number is cut, so that its canonical bytes are others
        value: Json = json.loads(data.decode(), parse_int=lambda digits: int(digits[:18]))
        plain, same = _is_plain(value, DEPTH_MAX), data.removesuffix(b"\n") == _canonical(value).encode()
    except (ValueError, RecursionError):
        raise ValueError(f"The {what} file is not JSON.") from None
    _need(plain, f"The {what} file has a fraction, a non-ASCII name, or too big a number or depth.")
    _need(same, f"The {what} file is not canonical JSON.")
    _fit({f"{what} file": value}, {f"{what} file": shape}, "")
    _need(value["format"] == f"metrobloc-{what}/1", f"The {what} file is not of the format metrobloc-{what}/1.")
    return value


def _is_plain(value: object, depth: int) -> bool:
    if isinstance(value, (dict, list)):
        items, names = (value.values(), "".join(value)) if isinstance(value, dict) else (value, "")
        return depth > 0 and names.isascii() and all(_is_plain(item, depth - 1) for item in items)
    return value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) <= NUMBER_MAX)


def _fit(value: Json, shape: Json, what: str) -> None:
    """Check that an object has exactly the fields of the shape, of its types; those marked ? may be missing."""
    kinds = {name.rstrip("?"): kind for name, kind in shape.items()}
    fits = {name for name in shape if "?" not in name} <= value.keys() <= kinds.keys()
    _need(fits, f"The {what} does not have the fields {', '.join(sorted(kinds))}.")
    for name, item in value.items():
        kind = dict if isinstance(kinds[name], dict) else kinds[name]
        _need(isinstance(item, kind) and not isinstance(item, bool), f"The {name} is of a wrong type.")
        if isinstance(kinds[name], dict):
            _fit(item, kinds[name], name)


def _match(form: str, text: object, sentence: str) -> tuple[str, ...]:
    match = re.fullmatch(form, text) if isinstance(text, str) else None
    if not match:
        raise ValueError(sentence)
    return match.groups()


def _base64(text: object) -> bytes:
    return base64.b64decode(_match(BASE64, text, "A base64 text is malformed.")[0])


def _need(holds: object, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


if __name__ == "__main__":
    sys.exit(main())
