"""Hash, name keys, sign and verify: SHA-256, did:key and Ed25519 under one rule.

The rule is libsodium's: the equation without cofactor, scalars reduced, points and keys canonical and not of small
order (RFC 8032, section 5.1.7, made strict). Libraries disagree on the edges and a disagreement forks the chain, so
`self_check` holds the library to the rule at node start.
"""

import hashlib
from base64 import b32encode
from functools import lru_cache

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

SEED_BYTES = 32
KEY_BYTES = 32
SIGNATURE_BYTES = 64

_DID = "did:key:z"
ED25519 = b"\xed\x01"  # multicodec ed25519-pub as a varint (did:key, W3C CCG; multicodec table)
X25519 = b"\xec\x01"  # the same for x25519-pub: keys that things are encrypted for
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_NOT_BASE58 = 255
_DIGITS = bytes(_BASE58.index(chr(code)) if chr(code) in _BASE58 else _NOT_BASE58 for code in range(256))
_DIGIT_COUNT = 47
_KEYS_CACHED = 4096


def sha256(data: bytes) -> bytes:
    """Hash bytes with SHA-256 (FIPS 180-4)."""
    return hashlib.sha256(data).digest()


def short_name(data: bytes) -> str:
    """Return the name of what only these bytes describe: 26 characters (130 bits) of SHA-256 in lowercase base32."""
    return b32encode(sha256(data)[:20]).decode().lower()[:26]


def key_id(public_key: bytes, kind: bytes = ED25519) -> str:
    """Name a public key as did:key: multibase base58btc of the multicodec and the 32 bytes."""
    if len(public_key) != KEY_BYTES:
        raise ValueError("a public key has 32 bytes")
    number = int.from_bytes(kind + public_key, "big")
    letters = []
    while number:
        number, digit = divmod(number, len(_BASE58))
        letters.append(_BASE58[digit])
    return _DID + "".join(reversed(letters))


@lru_cache(maxsize=_KEYS_CACHED)
def public_key(key_id: str, kind: bytes = ED25519) -> bytes:
    """Read the 32 bytes of a key from its did:key; ValueError unless it is a key of that kind in its one spelling."""
    digits = key_id[len(_DID) :].encode().translate(_DIGITS)
    if not key_id.startswith(_DID) or len(digits) != _DIGIT_COUNT or _NOT_BASE58 in digits:
        raise ValueError("not the did:key of such a key")
    number = 0
    for digit in digits:
        number = number * 58 + digit
    key = number.to_bytes(len(kind) + KEY_BYTES + 1, "big")
    if key[:3] != b"\x00" + kind:
        raise ValueError("not the did:key of such a key")
    return key[3:]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the signature holds for the message and key under the one rule."""
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False  # the library reads 32 and 64 bytes whatever it is given
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


class SigningKey:
    """A key that signs, made from its 32-byte seed."""

    __slots__ = ("_secret", "key_id", "public_key", "seed")

    def __init__(self, seed: bytes) -> None:
        """Derive the pair from the seed (RFC 8032, section 5.1.5)."""
        if len(seed) != SEED_BYTES:
            raise ValueError("an Ed25519 seed has 32 bytes")
        self.seed = seed
        self.public_key, self._secret = crypto_sign_seed_keypair(seed)
        self.key_id = key_id(self.public_key)

    def __repr__(self) -> str:
        """Show the public name only: a seed must not reach a log."""
        return f"SigningKey({self.key_id})"

    def sign(self, message: bytes) -> bytes:
        """Sign a message; the answer has 64 bytes."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


# Edge signatures over one message: what is odd, key, point, scalar, verdict. Torsion is a part of small order.
_MESSAGE = b"metrobloc"
_KEY = "334c81792c04b7033579c9abd1f321db77295c67b47aff0add15d72314136afe"
_KEY_TORSION = "012a2cd35a0b63aeff4331c5d8963ae7e3aab92c91c6dd7339b929004088dc15"
_POINT = "37285765143dc0515fa280e6edc1609c9c22f5b74c353c0c3344f257463a16f9"
_POINT_TORSION = "9dbab365f606a56d63145465b5162742375b191de80ca1e7f686b9b5a260fc85"
_POINT_CANCELS = "6f5e9743bbbb8e4facca76fb7dc022a4b322773b76fd6c288c0a2bccae675095"
_ONE = "0100000000000000000000000000000000000000000000000000000000000000"
_ONE_LONG = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
_EDGES = (
    ("nothing", _KEY, _POINT, "618bf5fd2d213d549f18ce6488b1d139dbf3d5a266de74aecd0028be1279820e", True),
    ("torsion", _KEY_TORSION, _POINT_CANCELS, "04c951f208493f3e1e637b1fd8d53a241bd5ed4d617766e7b83f1b4e9ba6880a", True),
    ("cofactor", _KEY_TORSION, _POINT, "a1758c403d9c8b02cc9bd2919f0caab35eeef18b01a4a796d70f11e715299f0f", False),
    ("cofactor", _KEY, _POINT_TORSION, "5254e947f90f395718555ba1179fa94e07024400036e110a8624526a4c4f7e04", False),
    ("small key", _ONE, _POINT, "7a34fb409739bf552ea0be2c784b88ff5f324447a27c6d1ff40a3ea7d5e89001", False),
    ("small point", _KEY, _ONE, "524744b8ca66befde25fe7b7c5787d22dc12bbc07c4b02d0e3d9af0c50bb3006", False),
    ("long scalar", _KEY, _POINT, "4e5feb5a48844fac75b5c50767abb04edbf3d5a266de74aecd0028be1279821e", False),
    ("long key", _ONE_LONG, _POINT, "7a34fb409739bf552ea0be2c784b88ff5f324447a27c6d1ff40a3ea7d5e89001", False),
)


def self_check() -> None:
    """Hold the installed library to the rule; RuntimeError with what to do when it decides otherwise."""
    for oddity, key, point, scalar, verdict in _EDGES:
        if verify(bytes.fromhex(key), _MESSAGE, bytes.fromhex(point + scalar)) is not verdict:
            raise RuntimeError(
                f"The installed libsodium decides the Ed25519 edge case '{oddity}' otherwise than the protocol and "
                "would leave the chain; install the PyNaCl version of requirements.lock."
            )
