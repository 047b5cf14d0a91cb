"""What goes in and out of the door, as types: from them the answers are written and the API's document is made."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from metrobloc.kernel.envelope import CALLS_MAX, SIGNATURES_MAX
from metrobloc.kernel.receipts import ReadEvent, ReadReceipt
from metrobloc.kernel.types import END, AccountId, Id, Key, TimeMs

DraftText = Annotated[str, Meta(description="The canonical JSON that is signed: exactly these characters, in UTF-8.")]
ToSign = Annotated[
    str, Meta(description="Base64 of the bytes that each key signs (DSSE's pre-authentication encoding).")
]
Base64 = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=130_800)]
SignatureText = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{86}==$", min_length=88, max_length=88)]
TxId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)]
Verb = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=64)]


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """A signature over the transaction, and the key that made it."""

    keyid: Key
    sig: SignatureText


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """A signed transaction: DSSE in canonical JSON (RFC 8785), its signatures sorted by keyid."""

    payload: Base64
    payload_type: Literal["application/vnd.metrobloc.tx.v1+json"] = msgspec.field(name="payloadType")
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=SIGNATURES_MAX)]


class TxAnswer(Struct, frozen=True, omit_defaults=True):
    """What became of a transaction; what says nothing is left out. The receipt comes with what is committed."""

    status: Literal["committed", "accepted", "void", "malformed"]
    code: str
    tx: str = ""
    height: int = -1
    index: int = -1
    sentence: str = ""
    promise: str = ""
    receipt: ReadReceipt | None = None


class AskedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One call to simulate: who does what, with which message."""

    as_: AccountId = msgspec.field(name="as")
    do: Verb
    with_: Raw = msgspec.field(name="with")


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """Calls to simulate, together or not at all, at a time not before the last block's (now, if none is given).

    `salt` is a transaction's own, or the id of an act: the ids that the calls would give out follow from it.
    """

    calls: Annotated[tuple[AskedCall, ...], Meta(min_length=1, max_length=CALLS_MAX)]
    at_ms: TimeMs | None = None
    salt: Annotated[str, Meta(pattern=f"^(?:[0-9a-f]{{32}}|[a-z2-7]{{26}}){END}", max_length=32)] | None = None


class Simulation(Struct, frozen=True):
    """What calls would do at a height and time, if they were signed; nothing has changed.

    `code` is `ok` or the refusal of call number `call`. `ids` are of a made-up salt, if none was given: a transaction's
    own differ, unless it is the draft that this comes with. `work` of at most `work_max` was used. `writes` has the
    records that would change, null for those that would go.
    """

    height: int
    time_ms: int
    code: str
    sentence: str
    call: int
    events: tuple[ReadEvent, ...]
    ids: tuple[Id, ...]
    work: int
    work_max: int
    writes: dict[str, Raw | None]


class Signer(Struct, frozen=True):
    """An account that must sign: with `threshold` of these keys, the first ones that it has at hand."""

    account: AccountId
    keys: tuple[Key, ...]
    threshold: int


class Draft(Struct, frozen=True):
    """A transaction that only lacks signatures: of its signers, and of each key that its message names."""

    tx: TxId
    payload: DraftText
    to_sign: ToSign
    signers: tuple[Signer, ...]
    keys: tuple[Key, ...]
    expires: TimeMs
    outcome: Simulation


class Ahead(Struct, frozen=True):
    """What takes effect at a block: a module, or `version N of the rules`; `known` says whether this program has it."""

    what: str
    from_height: int
    known: bool


class Standing(Struct, frozen=True):
    """How the chain stands: its newest block, its state's root, its log's size, its operator's key.

    `modules` are active in the next block, under the `rules` of that version, which transactions name; `ahead` lists
    what is decided and will take effect later.
    """

    chain: str
    height: int
    time_ms: TimeMs
    state_root: str
    log_size: int
    records: int
    spent_us: dict[str, int]
    operator: str
    rules: int
    modules: tuple[str, ...]
    ahead: tuple[Ahead, ...]


class Trust(Struct, frozen=True):
    """Whom a verifier is to trust: the chain, and its operator's keys."""

    chain: str
    format: str
    keys: tuple[Key, ...]


class Item(Struct, frozen=True):
    """A record under its key."""

    key: str
    value: Raw


class Page(Struct, frozen=True):
    """Records in key order at a height; `next`, if it is not null, is the `after` of the page that follows."""

    height: int
    items: tuple[Item, ...]
    next: str | None


class Coming(Struct, frozen=True):
    """A value that has been decided and holds from a block on."""

    value: int
    from_height: int


class ParamNow(Struct, frozen=True):
    """A parameter: its value in force, its default, its inclusive limits, what it counts and why it exists.

    `coming`, if it is not null, is the value that it will have.
    """

    module: str
    name: str
    value: int
    default: int
    least: int
    most: int
    unit: str
    why: str
    coming: Coming | None


class ParamsNow(Struct, frozen=True):
    """All parameters in force at a height."""

    height: int
    params: tuple[ParamNow, ...]


class MayDo(Struct, frozen=True, omit_defaults=True):
    """An action, and whether an account may do it.

    `allow` says who may; `lacks` are the roles named there that the account does not hold. With a record: `field` is
    the one that names it, `needs` what is still to be said; if nothing is, `code` and `sentence` say what would happen.
    """

    do: str
    allowed: bool
    allow: str
    lacks: tuple[str, ...] = ()
    field: str = ""
    needs: tuple[str, ...] = ()
    code: str = ""
    sentence: str = ""


class ActsFor(Struct, frozen=True):
    """A mandate: in whose name somebody may act, within which scope and until when."""

    account: AccountId
    scope: tuple[str, ...]
    until_ms: int


class May(Struct, frozen=True):
    """What an account may do at a height and time: all actions, or those that concern a record.

    `acts_for` says in whose name it may act besides; `frozen_until_ms` is 0 unless it can only defend itself.
    """

    account: AccountId
    height: int
    time_ms: int
    roles: tuple[str, ...]
    actions: tuple[MayDo, ...]
    acts_for: tuple[ActsFor, ...]
    frozen_until_ms: int


class Allowed(Struct, frozen=True):
    """An account that may do something: an institution's public name, by which roles, and who acts for it."""

    account: AccountId
    name: str
    roles: tuple[str, ...]
    acting: tuple[ActsFor, ...]


class Who(Struct, frozen=True):
    """Who may do an action at a height and time; `anyone` may where no role is asked for."""

    do: str
    height: int
    time_ms: int
    allow: str
    anyone: bool
    accounts: tuple[Allowed, ...]
    next: str | None


class Found(Struct, frozen=True):
    """The answer to a query, at a height."""

    height: int
    value: object


class AppLine(Struct, frozen=True):
    """An application in the list of all."""

    name: str
    title: str
    text: str
