"""Where a story is played: named actors who sign real transactions, on whatever executes them.

A story is the first test, the demonstration, the walk-through and the published vector at once, so everything here is
deterministic: actors' keys follow from their names, salts from a counter, and time moves only when the story says so.
"""

from collections.abc import Callable, Sequence

import msgspec

from metrobloc.commons.identity.demo import demo_key
from metrobloc.commons.identity.types import Register
from metrobloc.kernel import accounts, codec, crypto, envelope
from metrobloc.kernel.block import Outcome, Rules
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.types import Message

EXPIRY_MS = 300_000
_receipts = msgspec.json.Decoder(ReadReceipt)

Execute = Callable[[Sequence[bytes], int], list[Outcome]]
"""Checks, executes and makes durable some transactions at a block time."""


def pack(payload: envelope.Payload, keys: Sequence[crypto.SigningKey]) -> bytes:
    """Sign a payload as `envelope.sign` does, without reading it back: a replay makes too many to check each twice."""
    body = codec.encode(payload)
    message = envelope.pae(body)
    signed = sorted((key.key_id, key.sign(message)) for key in keys)
    signatures = [{"keyid": key_id, "sig": signature} for key_id, signature in signed]
    return codec.encode({"payload": body, "payloadType": envelope.PAYLOAD_TYPE, "signatures": signatures})


class Stage:
    """A story's hands: actors by name, a clock, and a voice for whoever watches."""

    def __init__(
        self, rules: Rules, execute: Execute, time_ms: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Start at a block time; `say` hears what the story tells."""
        self.rules = rules
        self.time_ms = time_ms
        self.say = say
        self._execute = execute
        self.keys: dict[str, crypto.SigningKey] = {}
        self._sent = 0

    def key(self, name: str) -> crypto.SigningKey:
        """Return an actor's key: a role's public one, or one that follows from the name."""
        if name not in self.keys:
            seed = crypto.sha256(f"metrobloc story actor\n{name}\n".encode())
            self.keys[name] = demo_key(name) or crypto.SigningKey(seed)
        return self.keys[name]

    def account(self, name: str) -> str:
        """Return an actor's account id."""
        return accounts.account_id(self.key(name).key_id)

    def join(self, name: str, sponsor: str = "bank") -> str:
        """Register an actor, sponsored by another, unless an earlier story has; return the account's id."""
        outcome = self.send([self.sign((sponsor, Register(self.key(name).key_id)), also=(name,))])[0]
        if outcome.code not in ("ok", "kernel.keys_taken"):
            raise AssertionError(f"{name} cannot join: {outcome.code}")
        return self.account(name)

    def wait(self, minutes: int) -> None:
        """Let time pass; what falls due in it runs with the next transaction."""
        self.time_ms += minutes * 60_000

    def payload(self, *calls: tuple[str, Message], expires_ms: int = EXPIRY_MS) -> envelope.Payload:
        """Return what actors sign, to expire some time from now."""
        self._sent += 1
        written = tuple(
            envelope.Call(self.account(actor), self.rules.names[type(message)], msgspec.Raw(codec.encode(message)))
            for actor, message in calls
        )
        version, salt = self.rules.genesis.rules, f"{self._sent:032x}"
        return envelope.Payload(written, self.rules.chain, self.time_ms + expires_ms, version, salt)

    def sign(self, *calls: tuple[str, Message], also: Sequence[str] = (), by: Sequence[str] | None = None) -> bytes:
        """Return a transaction of calls by actors, signed by them, or else `by` others, and by those in `also`."""
        signers = dict.fromkeys([*((actor for actor, _ in calls) if by is None else by), *also])
        return envelope.sign(self.payload(*calls), [self.key(name) for name in signers])

    def send(self, raws: Sequence[bytes]) -> list[Outcome]:
        """Execute transactions in a block of their own, one second on."""
        self.time_ms += 1000
        return self._execute(raws, self.time_ms)

    def act(
        self,
        actor: str,
        *messages: Message,
        also: Sequence[str] = (),
        by: Sequence[str] | None = None,
        refused: str = "ok",
    ) -> ReadReceipt:
        """Let an actor do one thing or several at once, and hold the outcome to what the story says.

        Her first key signs, or the keys named in `by`: newer ones of hers, or those of whoever acts for her.
        """
        outcome = self.send([self.sign(*((actor, message) for message in messages), also=also, by=by)])[0]
        if outcome.code != refused:
            raise AssertionError(f"{actor}: {outcome.code} where the story says {refused}")
        # Void is not refused: there is no receipt of what never ran.
        return _receipts.decode(outcome.receipt) if outcome.receipt else ReadReceipt(outcome.code, -1, -1)
