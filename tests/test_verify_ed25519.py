"""The verifier's own Ed25519 against libsodium: published edge cases, and keys and signatures made to be odd."""

import json
import random
from hashlib import sha512
from typing import Any

import pytest

from metrobloc.kernel.crypto import SigningKey, verify
from metrobloc.verify import ed25519_holds
from tests.support import ROOT, rounds

CASES: list[dict[str, Any]] = [
    case
    for name in ("ed25519_speccheck", "ed25519_wycheproof")
    for case in json.loads((ROOT / f"tests/vectors/{name}.json").read_text())
]
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)
Point = tuple[int, int]


def add(one: Point, two: Point) -> Point:
    """Add two points by the affine formula of RFC 8032, section 5.1.4."""
    (x1, y1), (x2, y2) = one, two
    cross = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + cross, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - cross, -1, P) % P,
    )


def times(scalar: int, point: Point) -> Point:
    total = (0, 1)
    while scalar:
        total = add(total, point) if scalar & 1 else total
        point, scalar = add(point, point), scalar >> 1
    return total


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def torsion() -> list[Point]:
    """List the eight points of small order: multiples of one of order eight."""
    root = pow(2, (P - 1) // 4, P)
    for y in range(2, 1000):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        x = x if x * x % P == square else x * root % P
        point = times(L, (x, y))
        if x * x % P == square and times(4, point) != (0, 1):
            return [times(number, point) for number in range(8)]
    raise AssertionError("no point of order eight was found")


SMALL = torsion()
# The small points as they may also be written: y not reduced, or a sign on x = 0.
ODD = [
    *(encoded(point) for point in SMALL),
    *(number.to_bytes(32, "little") for number in (P, P + 1, P - 1 | 1 << 255, P | 1 << 255, P + 1 | 1 << 255)),
    *(number.to_bytes(32, "little") for number in (1 | 1 << 255, 2, P + 2, P + 18, 2**256 - 1, 2**255 - 1)),
]


def same_verdict(key: bytes, message: bytes, signature: bytes) -> bool:
    """Ask both; they have to agree."""
    verdict = ed25519_holds(key, message, signature)
    assert verdict is verify(key, message, signature), (key.hex(), message.hex(), signature.hex())
    return verdict


def challenge(point: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(point + key + message).digest(), "little") % L


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("comment") or case["message"][:8] or "empty")
def test_published_cases(case: dict[str, Any]) -> None:
    key, message, signature = (bytes.fromhex(case[name]) for name in ("pub_key", "message", "signature"))
    assert same_verdict(key, message, signature) is case["valid"]


def test_mixed_points_pass_only_where_their_torsion_cancels() -> None:
    """Show the rule to be cofactorless: 8SB = 8R + 8kA is not enough, SB = R + kA is."""
    rng = random.Random(25519)
    verdicts = []
    for _ in range(rounds(60, 1000)):
        secret, nonce, message = rng.randrange(1, L), rng.randrange(1, L), rng.randbytes(8)
        key = encoded(add(times(secret, BASE), rng.choice(SMALL)))
        on_point = rng.choice(SMALL)
        point = encoded(add(times(nonce, BASE), on_point))
        scalar = (nonce + challenge(point, key, message) * secret) % L
        verdicts.append(same_verdict(key, message, point + scalar.to_bytes(32, "little")))
    assert 0 < sum(verdicts) < len(verdicts) // 2


def test_small_and_odd_points_never_pass() -> None:
    rng = random.Random(8)
    secret = 5
    for odd in ODD:
        for scalar in (0, 1, rng.randrange(L)):
            own = encoded(times(secret, BASE))
            for key, point in ((odd, own), (own, odd), (odd, rng.choice(ODD))):
                assert not same_verdict(key, b"message", point + scalar.to_bytes(32, "little"))
        scalar = challenge(odd, own, b"message") * secret % L  # without cofactor it would hold for the identity
        assert not same_verdict(own, b"message", odd + scalar.to_bytes(32, "little"))


def test_2000_altered_signatures() -> None:
    rng = random.Random(2000)
    keys = [SigningKey(rng.randbytes(32)) for _ in range(8)]
    valid = 0
    for number in range(rounds(2000, 50_000)):
        key, message = keys[number % 8], rng.randbytes(rng.randrange(40))
        public, signature = key.public_key, key.sign(message)
        scalar = int.from_bytes(signature[32:], "little")
        change = number % 7
        if change == 1:
            signature = altered(rng, signature)
        elif change == 2:
            public = altered(rng, public)
        elif change == 3:
            signature = signature[:32] + (scalar + rng.choice([L, 2 * L, 8 * L, 15 * L])).to_bytes(32, "little")
        elif change == 4:
            signature = rng.choice(ODD) + signature[32:]
        elif change == 5:
            public = rng.choice([*ODD, rng.randbytes(32)])
        elif change == 6:
            message = altered(rng, message + b"x")
        valid += same_verdict(public, message, signature)
    assert valid == len(range(0, rounds(2000, 50_000), 7))


def altered(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


@pytest.mark.parametrize("lengths", [(31, 64), (33, 64), (0, 0), (32, 63), (32, 65), (32, 0), (64, 64)])
def test_other_lengths_are_false(lengths: tuple[int, int]) -> None:
    key = SigningKey(bytes(32))
    public, signature = (key.public_key * 2)[: lengths[0]], (key.sign(b"") * 2)[: lengths[1]]
    assert not same_verdict(public, b"", signature)
