"""Receipts and certificates for donors: what a charity signs about a gift, and how it is checked without a network.

A **receipt** says who gave how much to which case. A **certificate** says moreover what the gift has done by a height.
Both are a DSSE envelope of canonical JSON, signed by the charity's own key; the format is in docs/proofs.md. All that
they say follows from the records of a gift's path, so whoever has the proof file works it out again and compares.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from metrobloc import verify
from metrobloc.city.charity.rules.declared import campaigns, gifts
from metrobloc.city.charity.rules.queries import path
from metrobloc.commons.identity.rules import institutions
from metrobloc.commons.money.rules import assets
from metrobloc.commons.views import NotShown
from metrobloc.kernel import codec, crypto, system
from metrobloc.kernel.context import View
from metrobloc.kernel.types import AccountId, Amount, Code, Id, Key, Public, Slug, TimeMs, Total

PAYLOAD_TYPE = "application/vnd.metrobloc.donation.v1+json"
FILE_BYTES_MAX = 1 << 18
Kind = Literal["receipt", "certificate"]


class NotGood(ValueError):
    """Say in a sentence what is wrong with a receipt."""


class Did(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a part of a gift has done."""

    what: Literal["paid", "returned", "moved", "held"]
    amount: Amount
    campaign: Id
    code: Slug | None = None
    claim: Id | None = None
    payee: Public | None = None


class Donation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a charity signs; a receipt has no `did`."""

    kind: Kind
    chain: str
    gift: Id
    donor: AccountId
    amount: Amount
    asset: Slug
    decimals: Total
    purse: Code
    campaign: Id
    title: Public
    charity: AccountId
    charity_name: Public
    height: Total
    time_ms: TimeMs
    did: tuple[Did, ...] = ()


class Signed(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose key signed, and its signature."""

    keyid: Key
    sig: Annotated[bytes, Meta(min_length=crypto.SIGNATURE_BYTES, max_length=crypto.SIGNATURE_BYTES)]


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A DSSE envelope with one signature."""

    payload: bytes
    payload_type: str
    signatures: Annotated[tuple[Signed, ...], Meta(min_length=1, max_length=1)]


class Opened(Struct, frozen=True):
    """A receipt whose form and signature hold; whose key it is, only a proof says."""

    donation: Donation
    payload: bytes
    key_id: str

    @property
    def mark(self) -> str:
        """What a printed receipt's code holds: no address, only the gift's id and the hash of what was signed."""
        return mark(self.donation.gift, self.payload)


class _Record(Struct, frozen=True):
    key: str
    value: Raw


class _Path(Struct, frozen=True):
    """What is read of a proof file that the verifier has accepted."""

    chain: str
    gift: str
    header: dict[str, Any]
    records: tuple[_Record, ...]


class ProvedRows:
    """The records of a proof file, as queries read them from a store."""

    def __init__(self, records: Mapping[bytes, bytes]) -> None:
        """Bind records by state key."""
        self.records = records

    def get(self, key: bytes) -> bytes | None:
        """Return a record's bytes, or None."""
        return self.records.get(key)

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` records under a prefix, beyond `after` if that is given, in key order."""
        keys = sorted(key for key in self.records if key.startswith(prefix) and key > (after or b""))
        return [(key, self.records[key]) for key in keys[:limit]]

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Refuse: a proof has no indexes."""
        raise NotImplementedError(f"{prefix!r} {after!r} {limit}: a proof has no indexes.")


_envelopes = msgspec.json.Decoder(Envelope)
_donations = msgspec.json.Decoder(Donation)


def state(view: View, gift: str, kind: Kind, chain: str, at: tuple[int, int]) -> Donation:
    """Work out what can be said of a gift as of a height and time; NotShown without one, or for a surplus."""
    found = view[gifts].get(gift)
    campaign = None if found is None else view[campaigns].get(found.campaign)
    asset = None if campaign is None else view[assets].get(campaign.asset)
    if found is None or campaign is None or asset is None:
        raise NotShown("There is no such gift; its id is in the receipt of the transaction that gave it.")
    if found.moved_from is not None:
        raise NotShown("This is another case's surplus; its donors have receipts of their own gifts.")
    did: list[Did] = []
    for piece in path(view, gift) if kind == "certificate" else []:
        told = {name: piece[name] for name in ("what", "amount", "campaign", "code", "claim") if name in piece}
        payee = str(piece.get("payee", ""))
        did.append(msgspec.convert(told | ({"payee": _name(view, payee)} if payee else {}), Did))
    return Donation(
        kind,
        chain,
        gift,
        found.donor,
        found.amount,
        campaign.asset,
        asset.decimals,
        found.purse,
        found.campaign,
        campaign.title,
        campaign.charity,
        _name(view, campaign.charity),
        *at,
        tuple(did),
    )


def from_proof(proof: bytes, kind: Kind) -> Donation:
    """Work out what can be said of a gift from the proof of its path, which whoever calls this has checked."""
    shown = msgspec.json.decode(proof, type=_Path)
    return state(_view(shown), shown.gift, kind, shown.chain, (shown.header["height"], shown.header["time_ms"]))


def sign(donation: Donation, key: crypto.SigningKey) -> bytes:
    """Sign what is said of a gift; return the file."""
    payload = codec.encode(donation)
    signed = Signed(key.key_id, key.sign(pae(payload)))
    return codec.encode(Envelope(payload, PAYLOAD_TYPE, (signed,))) + b"\n"


def read(data: bytes) -> Opened:
    """Read a receipt strictly, and check its signature; NotGood with a sentence where it does not hold."""
    if len(data) > FILE_BYTES_MAX:
        raise NotGood("A receipt's file has at most 256 KiB.")
    try:
        envelope = codec.decode(data.removesuffix(b"\n"), _envelopes)
        donation = codec.decode(envelope.payload, _donations)
    except codec.Malformed as fault:
        raise NotGood(f"The file is no receipt ({fault.sentence})") from fault
    if envelope.payload_type != PAYLOAD_TYPE:
        raise NotGood("The file is signed as something else than a receipt.")
    (signed,) = envelope.signatures
    try:
        holds = crypto.verify(crypto.public_key(signed.keyid), pae(envelope.payload), signed.sig)
    except ValueError:
        holds = False
    if not holds:
        raise NotGood("The signature does not hold.")
    return Opened(donation, envelope.payload, signed.keyid)


def check(data: bytes, proof: bytes, trust: bytes | None = None, code: str | None = None) -> verify.Verdict:
    """Check a receipt against the proof file of its gift's path, under a trust file, and against a printed code."""
    try:
        opened = read(data)
    except NotGood as fault:
        return verify.Verdict("invalid", str(fault), {})
    if code is not None and code != opened.mark:
        return verify.Verdict("invalid", "The printed code is of another receipt.", {})
    verdict = verify.check(proof, trust)
    if verdict.status in ("invalid", "unusable"):
        return verdict
    wrong = _compare(opened, proof)
    if wrong:
        return verify.Verdict("invalid", wrong, {})
    return verdict


def mark(gift: str, payload: bytes) -> str:
    """Return what a printed receipt's code holds."""
    return f"metrobloc-donation/1 {gift} {crypto.sha256(payload).hex()}"


def pae(payload: bytes) -> bytes:
    """Encode what is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _compare(opened: Opened, proof: bytes) -> str:
    """Say what a receipt and a proof that holds do not agree on, or nothing."""
    donation = opened.donation
    try:
        shown = msgspec.json.decode(proof, type=_Path)
    except msgspec.ValidationError:
        return "The proof is of another kind; make one with `metrobloc charity path GIFT --proof FILE`."
    view = _view(shown)
    if (shown.chain, shown.gift) != (donation.chain, donation.gift):
        return "The proof is of another gift."
    when = shown.header["height"], shown.header["time_ms"]
    if donation.kind == "certificate" and when != (donation.height, donation.time_ms):
        return f"A certificate is checked against a proof of its own height, {donation.height}."
    account = view[system.accounts].get(donation.charity)
    if account is None or opened.key_id not in account.keys_at(shown.header["time_ms"]):
        return "The key that signed is not one of the charity's."
    try:
        proved = state(view, donation.gift, donation.kind, shown.chain, (donation.height, donation.time_ms))
    except NotShown as missing:
        return str(missing)
    return "" if proved == donation else "The receipt says something else of the gift than the ledger."


def _view(shown: _Path) -> View:
    return View(ProvedRows({record.key.encode(): bytes(record.value) for record in shown.records}))


def _name(view: View, account: str) -> str:
    institution = view[institutions].get(account)
    return account if institution is None else institution.name
