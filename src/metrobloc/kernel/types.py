"""The vocabulary of declarations: the three bases of every app's nouns and the field types with their limits.

A field type carries its limits (checked when bytes are decoded) and, for text, what kind of text it is: `Public`
(anyone may read it for ever), a `Commitment` (salted hash), or an identifier. Bare `str`, `int`, `float` and `bytes`
are refused at registration (`kernel/module.py`): a limit nobody wrote is a limit nobody enforces.
"""

from typing import Annotated, Self, dataclass_transform

import msgspec
from msgspec import Meta, Struct

INT_MAX = 2**53 - 1
"""The largest integer that JSON numbers carry exactly (RFC 7493, section 2.2)."""

END = r"(?![\s\S])"
"""End of text in both Python and ECMAScript; `$` would accept a trailing line feed."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Noun(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the three bases share."""


class Message(Noun):
    """What a person signs: one call's arguments."""


class Record(Noun):
    """What the ledger remembers under a key."""

    def but(self, **changes: object) -> Self:
        """Return the same record with some fields changed."""
        return msgspec.structs.replace(self, **changes)


class Event(Noun):
    """What a receipt tells the world: something that has happened."""


def _text(kind: str, pattern: str, longest: int, shortest: int = 0) -> Meta:
    return Meta(extra={"text": kind}, pattern=f"{pattern}{END}", min_length=shortest, max_length=longest)


Id = Annotated[str, _text("id", "^[a-z2-7]{26}", 26, 26)]
"""A record's identifier: 26 characters of lowercase base32."""

AccountId = Annotated[str, _text("account", "^[a-z2-7]{26}", 26, 26)]
"""An account's identifier, derived from its first key."""

Key = Annotated[str, _text("key", "^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}", 56, 56)]
"""An Ed25519 public key as did:key. A key named in a message must sign the transaction too."""

Slug = Annotated[str, _text("slug", "^[a-z][a-z0-9_]{0,31}", 32)]
"""A short name chosen by an institution: an asset, a role."""

Holder = Annotated[str, _text("holder", "^(?:[a-z][a-z0-9_.-]{0,79}|[a-z2-7]{26})", 80)]
"""Who holds a balance: an account, or a module's own pot (`module.pot`)."""

# No control characters, and no invisible reordering: what is signed is what is shown.
Public = Annotated[str, _text("public", r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+", 200, 1)]
"""One line of text that anybody may read for ever. Never a person's name, number or illness."""

Commitment = Annotated[str, _text("commitment", "^[0-9a-f]{64}", 64, 64)]
"""SHA-256 of a 32-byte salt and a document: it binds its author and tells nobody else anything."""

Digest = Annotated[str, _text("digest", "^[0-9a-f]{64}", 64, 64)]
"""A SHA-256 in lowercase hex."""

Signature = Annotated[str, _text("signature", "^[0-9a-f]{128}", 128, 128)]
"""An Ed25519 signature in lowercase hex."""

Document = Annotated[str, _text("document", r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+", 16_384, 1)]
"""Several lines that a program writes and reads, such as a signed note or canonical JSON; public like `Public`."""

KeyName = Annotated[str, _text("key_name", "^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}", 56, 56)]
"""An Ed25519 public key as did:key that is only spoken of: it need not sign."""

BoxKey = Annotated[str, _text("box_key", "^did:key:z6LS[1-9A-HJ-NP-Za-km-z]{44}", 56, 56)]
"""An X25519 public key as did:key: what is encrypted for it, its owner alone can read."""

Who = Annotated[str, _text("who", "^(?:did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}|[a-z2-7]{26})", 56)]
"""Who acts in another's name: an account, or a key."""

Code = Annotated[str, _text("code", "^[a-z][a-z0-9_.]{0,79}", 80)]
"""A stable code: `ok`, or `module.refusal`."""

Scope = Annotated[tuple[Code, ...], Meta(max_length=32)]
"""Names of actions (`module.verb`) and of modules, which stand for all of theirs."""

Amount = Annotated[int, Meta(ge=1, le=INT_MAX)]
"""A positive quantity in the smallest unit (cents, fen, minutes)."""

Total = Annotated[int, Meta(ge=0, le=INT_MAX)]
"""A sum or a count in the smallest unit; never negative."""

Signed = Annotated[int, Meta(ge=-INT_MAX, le=INT_MAX)]
"""A quantity that may be negative."""

TimeMs = Annotated[int, Meta(ge=0, le=INT_MAX)]
"""Milliseconds since 1970-01-01T00:00:00Z."""
