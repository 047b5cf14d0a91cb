"""A transaction before it is sent: fixed once made, shown as it is signed, signed by one person after another.

Its file is the transaction's own envelope (DSSE) with the signatures so far, canonical JSON; an envelope without a
signature is a draft that nobody has signed yet. Making, signing and reading one needs no node and no network.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Self

import msgspec
from msgspec import Meta, Raw, Struct

from metrobloc.client.errors import Malformed, plainly
from metrobloc.kernel import codec, crypto, envelope
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.envelope import Payload
from metrobloc.kernel.module import Action
from metrobloc.kernel.system import Account
from metrobloc.kernel.types import INT_MAX, Message

Call = tuple[str, Message] | tuple[str, str, Mapping[str, object]]
"""What an account does: a typed message, or an action's name and its fields."""

_PROBE = {"keyid": crypto.key_id(bytes(crypto.KEY_BYTES)), "sig": bytes(crypto.SIGNATURE_BYTES)}


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: bytes


class _File(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: Annotated[tuple[_Signature, ...], Meta(max_length=envelope.SIGNATURES_MAX)]


_files = msgspec.json.Decoder(_File)
_payloads = msgspec.json.Decoder(Payload)


class Draft(Struct, frozen=True):
    """What is to be signed, and the signatures so far by key id; signing returns another draft."""

    payload: bytes
    signatures: dict[str, bytes] = {}

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Read a draft's file strictly, signatures included; Malformed says what is wrong with it."""
        with plainly():
            if len(raw) > envelope.ENVELOPE_BYTES_MAX:
                raise codec.Malformed("too_large")
            file = codec.decode(raw, _files)
            if file.payload_type != envelope.PAYLOAD_TYPE:
                raise codec.Malformed("wrong_payload_type")
        draft = cls(_sound(file.payload))
        for signature in file.signatures:
            draft = draft.add(signature.keyid, signature.sig)
        if draft.to_bytes() != raw:
            raise Malformed("signature_order", codec.MALFORMED["signature_order"])
        return draft

    @property
    def id(self) -> str:
        """The transaction's id, which no signature changes: 64 hex digits."""
        return crypto.sha256(envelope.pae(self.payload)).hex()

    @property
    def content(self) -> Payload:
        """The calls, chain, time of expiry (ms since 1970), version of the rules, and salt."""
        return _payloads.decode(self.payload)

    def new_id(self, call: int, number: int) -> str:
        """Return the id that a call's handler (counted from 0) will give out as its own `number` (from 0)."""
        content = self.content
        return derive_id(content.chain, content.calls[call].as_, content.salt, call, number)

    def show(self) -> str:
        """Write all that is signed as lines for a person; characters that could deceive her are escaped."""
        content = self.content
        lines = [f"chain {content.chain}, rules {content.rules}", f"until {show_time(content.expires)}"]
        for number, call in enumerate(content.calls, 1):
            lines += show_call(number, call.as_, call.do, bytes(call.with_))
        lines += [f"salt {content.salt}", f"transaction {self.id}"]
        return "\n".join(lines)

    def sign(self, key: crypto.SigningKey) -> Self:
        """Return the draft with one more signature."""
        return self.add(key.key_id, key.sign(envelope.pae(self.payload)))

    def add(self, key_id: str, signature: bytes) -> Self:
        """Return the draft with a signature made elsewhere; Malformed when it does not hold."""
        try:
            holds = crypto.verify(crypto.public_key(key_id), envelope.pae(self.payload), signature)
        except ValueError:
            raise Malformed("bad_key", codec.MALFORMED["bad_key"]) from None
        if not holds:
            raise Malformed("bad_signature", f"{codec.MALFORMED['bad_signature']} ({key_id})")
        return msgspec.structs.replace(self, signatures={**self.signatures, key_id: signature})

    def missing(self, accounts: Mapping[str, Account], actions: Mapping[str, Action], time_ms: int) -> tuple[str, ...]:
        """Return who has still to sign at a time: ids of accounts that act, and keys that messages name.

        An account that is not among `accounts` counts as missing: only the ledger knows its keys. So does not one for
        which somebody else has signed: whether she may act in its name the ledger decides.
        """
        wanted: dict[str, None] = {}
        now = {one: account.at(time_ms) for one, account in accounts.items()}
        others = [key for key in self.signatures if not any(key in account.keys for account in now.values())]
        for call in self.content.calls:
            account = now.get(call.as_)
            if account is None or (account.signers(self.signatures) is None and not others):
                wanted[call.as_] = None
            newest = actions.get(call.do)
            action = newest and newest.at(self.content.rules)
            if action is None:
                continue
            with plainly():
                message = codec.decode(bytes(call.with_), action.decoder)
            for field in action.key_fields:
                named = getattr(message, field) or ()
                keys = (named,) if isinstance(named, str) else named
                wanted.update(dict.fromkeys(key for key in keys if key not in self.signatures))
        return tuple(wanted)

    def to_bytes(self) -> bytes:
        """Write the draft with the signatures so far as its file, for the next signer."""
        signed = tuple(_Signature(key_id, self.signatures[key_id]) for key_id in sorted(self.signatures))
        return codec.encode(_File(self.payload, envelope.PAYLOAD_TYPE, signed))

    def seal(self) -> bytes:
        """Return the signed transaction, ready to be sent; Malformed when nobody has signed."""
        with plainly():
            return envelope.seal(self.payload, self.signatures)


def new_salt() -> str:
    """Return a fresh salt: 32 hex digits that nobody has used."""
    return secrets.token_hex(16)


def write(  # noqa: PLR0913
    chain: str, rules: int, calls: Sequence[Call], *, expires_ms: int, actions: Mapping[str, Action], salt: str | None
) -> Draft:
    """Write a draft for a chain; Malformed when a message breaks its declaration's limits."""
    written = tuple(write_call(call, actions, rules) for call in calls)
    return Draft(_sound(codec.encode(Payload(written, chain, expires_ms, rules, salt or new_salt()))))


def write_call(call: Call, actions: Mapping[str, Action], rules: int = INT_MAX) -> envelope.Call:
    """Write a call under a version of the rules, by default the newest.

    What is typed is checked too, because a struct takes any value when it is made.
    """
    account, what, *rest = call
    do = _named(type(what), actions) if isinstance(what, Message) else what
    with plainly():
        newest = actions.get(do)
        action = newest and newest.at(rules)
        if action is None:
            raise codec.Malformed("unknown_action", do)
        body = codec.encode(what if isinstance(what, Message) else rest[0])
        codec.decode(body, action.decoder)
    return envelope.Call(account, do, Raw(body))


def _named(message: type[Message], actions: Mapping[str, Action]) -> str:
    """Return the name of the action that takes a message, now or under older rules."""
    for do, newest in actions.items():
        action: Action | None = newest
        while action is not None:
            if action.message is message:
                return do
            action = action.before
    return message.__name__


def _sound(payload: bytes) -> bytes:
    """Return a payload that the protocol takes, or raise Malformed; a stand-in signature lets its reader judge."""
    whole = {"payload": payload, "payloadType": envelope.PAYLOAD_TYPE, "signatures": [_PROBE]}
    with plainly():
        envelope.read(codec.encode(whole))
    return payload


def show_call(number: int, account: str, do: str, message: bytes) -> list[str]:
    """Write a call as lines for a person; characters that could deceive her are escaped."""
    fields = msgspec.json.decode(message, type=dict[str, object])
    told = [f"   {name if name.isidentifier() else _shown(name)}: {_shown(value)}" for name, value in fields.items()]
    return [f"{number}. {account} does {do}", *told]


def show_time(time_ms: int) -> str:
    """Write a time for a person, and exactly."""
    try:
        when = datetime.fromtimestamp(time_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        when = "a time beyond all calendars"
    return f"{when} ({time_ms})"


def _shown(value: object) -> str:
    """Write a value so that no character in it can pass for another or move the others."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(mark if mark.isprintable() else f"\\u{{{ord(mark):x}}}" for mark in text)
