"""Write ICS23 proofs that a key is, or is not, in the state tree.

The bytes are a `CommitmentProof` of the protocol buffers in cosmos/ics23 (proofs.proto), for its SmtSpec: any ICS23
library verifies them. The ICS23 value of a key is SHA-256 of its record.
"""

from collections.abc import Callable
from hashlib import sha256

from metrobloc.kernel.tree import View, entry

ValueOf = Callable[[bytes], tuple[bytes, bytes] | None]
"""Gives the key and record of a key hash at the view's height."""

# hash, prehash_key and prehash_value are SHA256 (1), length is NO_PREFIX (0, not written), prefix is one zero byte.
_LEAF_OP = bytes.fromhex("0801 1001 1801 2a01 00")
_INNER_OP = bytes.fromhex("0801")


def _field(number: int, data: bytes) -> bytes:
    """Encode a length-delimited protobuf field."""
    size = len(data)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes((number << 3 | 2, *length)) + data


def _exist(view: View, key_hash: bytes, value_of: ValueOf) -> bytes:
    """Encode an ExistenceProof: key, value, leaf operation, then the path from the leaf to the root."""
    found = value_of(key_hash)
    if found is None or entry(*found) != (key_hash, view.get(key_hash)):
        raise ValueError(f"the records do not hold the leaf {key_hash.hex()} of the state tree")
    key, record = found
    siblings = view.path(key_hash)
    bits = int.from_bytes(key_hash, "big") >> (256 - len(siblings))
    parts = [_field(1, key), _field(2, sha256(record).digest()), _field(3, _LEAF_OP)]
    for sibling in siblings:
        inner = _field(2, b"\1" + sibling) if bits & 1 else _field(2, b"\1") + _field(3, sibling)
        parts.append(_field(4, _INNER_OP + inner))
        bits >>= 1
    return b"".join(parts)


def prove(view: View, key: bytes, value_of: ValueOf) -> bytes:
    """Prove that a key is in the state, or that it is absent between its two neighbours.

    Returns a CommitmentProof. Raises ValueError when `value_of` and the view disagree, or when the state is empty, for
    which ICS23 has no proof. A proof of absence shows the keys and values of the neighbours.
    """
    key_hash = sha256(key).digest()
    if view.get(key_hash) is not None:
        return _field(1, _exist(view, key_hash, value_of))
    left, right = view.neighbours(key_hash)
    if left is None and right is None:
        raise ValueError("nothing can be proved about an empty state")
    parts = [_field(1, key)]
    parts += [_field(number, _exist(view, n, value_of)) for number, n in ((2, left), (3, right)) if n is not None]
    return _field(2, b"".join(parts))
