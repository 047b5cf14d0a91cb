"""What a replay is: real or drawn events as signed transactions, and the ledger compared with them when all have run.

A replay runs off the ledger, as a story does. Everything follows from its seed: keys, salts and so the identifiers that
later transactions name, which is why it signs ahead without asking the ledger.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from metrobloc.commons.identity.demo import demo_key
from metrobloc.commons.identity.types import Register
from metrobloc.commons.stage import EXPIRY_MS, Execute, pack
from metrobloc.kernel import accounts, codec, crypto, envelope
from metrobloc.kernel.block import Rules
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.genesis import is_demo
from metrobloc.kernel.types import Message

T = TypeVar("T")
BATCH = 1000
Read = Callable[[str], Mapping[str, object] | None]
"""Reads a record of the ledger by its path, such as `charity/campaigns/<id>`."""


class Batch(Struct, frozen=True):
    """Transactions to execute in order at a block time; none where only deadlines are to run; and how much is done."""

    time_ms: int
    raws: list[bytes]
    done: int


class Replay(Protocol):
    """A source on one chain; `unit` is the word for what `total` and each batch's `done` count."""

    unit: str
    total: int
    skipped: list[str]
    """A sentence for each part of the source that is left out."""

    def batches(self) -> Iterator[Batch]:
        """Yield everything in order of time, signed when its turn comes."""

    def differences(self, read: Read) -> list[str]:
        """Compare the ledger with the source in the end; a sentence for each difference."""

    def told(self) -> dict[str, int]:
        """Return the source's totals by name; a name that ends in `_cents` is money."""


class Source(Struct, frozen=True):
    """What is to be replayed: the time at which a chain that is founded for it begins, and how it is planned on one.

    `plan(rules, start_ms, end_ms)` fits it between the chain's time and now, or raises ValueError with a sentence.
    """

    start_ms: int
    plan: Callable[[Rules, int, int], Replay]


ReplayMaker = Callable[..., Source]
"""An application's `(now_ms, *, option=default, ...)`: its typed options become the command's, its docstring the help.

Wrong usage is a ValueError with a sentence. A line `option: text` of the docstring is that option's help.
"""


class Summary(Struct, frozen=True):
    """What a replay did."""

    done: int
    transactions: int


class Party(Struct, frozen=True):
    """Somebody who signs."""

    key: crypto.SigningKey
    account: str


class Job(Struct, frozen=True):
    """A transaction to be signed by those who act and by the keys in `also`; its label makes its salt."""

    label: str
    calls: Sequence[tuple[Party, Message]]
    also: Sequence[Party] = ()


class Signer:
    """The hands of everybody in one replay; `run` tells it apart from all others on its chain."""

    def __init__(self, rules: Rules, run: str) -> None:
        """Bind to a playground; ValueError on any other chain, where nobody else may have the keys."""
        if not is_demo(rules.chain):
            raise ValueError("Replays sign with public role keys; make a demo- chain for them.")
        self.rules = rules
        self.run = crypto.sha256(f"metrobloc replay\n{rules.chain}\n{run}\n".encode()).hex()

    def role(self, name: str) -> Party:
        """Return a playground's public role."""
        key = demo_key(name)
        assert key is not None, f"a playground has the role {name}"
        return Party(key, accounts.account_id(key.key_id))

    def party(self, name: str) -> Party:
        """Return a person of this replay; the key follows from the name."""
        key = crypto.SigningKey(crypto.sha256(f"{self.run} {name}".encode()))
        return Party(key, accounts.account_id(key.key_id))

    def new_id(self, actor: Party, label: str, call: int = 0, counter: int = 0) -> str:
        """Return an id that a job's call will make."""
        return derive_id(self.rules.chain, actor.account, self._salt(label), call, counter)

    def sign(self, job: Job, time_ms: int) -> bytes:
        """Return a job's transaction."""
        calls = tuple(
            envelope.Call(party.account, self.rules.names[type(message)], msgspec.Raw(codec.encode(message)))
            for party, message in job.calls
        )
        expires_ms, rules = time_ms + EXPIRY_MS, self.rules.version
        keys = {party.account: party.key for party in (*(party for party, _ in job.calls), *job.also)}
        payload = envelope.Payload(calls, self.rules.chain, expires_ms, rules, self._salt(job.label))
        return pack(payload, list(keys.values()))

    def batches(self, time_ms: int, jobs: Iterable[Job]) -> Iterator[Batch]:
        """Yield jobs of one time that do none of what is counted."""
        for some in chunks(jobs, BATCH):
            yield Batch(time_ms, [self.sign(job, time_ms) for job in some], 0)

    def _salt(self, label: str) -> str:
        return crypto.sha256(f"{self.run} {label}".encode()).hex()[:32]


def by_one(party: Party, label: str, messages: Iterable[Message]) -> Iterator[Job]:
    """Group one party's messages into as few transactions as the protocol allows."""
    for number, some in enumerate(chunks(messages, envelope.CALLS_MAX)):
        yield Job(f"{label} {number}", [(party, message) for message in some])


def register(sponsor: Party, label: str, fresh: Iterable[Party]) -> Iterator[Job]:
    """Open accounts: the sponsor signs, and so does each new key."""
    for number, some in enumerate(chunks(fresh, envelope.SIGNATURES_MAX - 1)):
        yield Job(f"{label} {number}", [(sponsor, Register(party.key.key_id)) for party in some], some)


def run(replay: Replay, execute: Execute, progress: Callable[[int], None] = lambda _: None) -> Summary:
    """Execute a replay, telling `progress` what each batch did; RuntimeError when anything is not `ok`."""
    done = transactions = 0
    for batch in replay.batches():
        outcomes = execute(batch.raws, batch.time_ms)
        codes = Counter(outcome.code for outcome in outcomes)
        if codes["ok"] != len(batch.raws):
            raise RuntimeError(
                f"The ledger did not take the replay as planned: {dict(codes)} for {len(batch.raws)} transactions, "
                f"after {done} {replay.unit}. Nothing more was sent."
            )
        done += batch.done
        transactions += len(batch.raws)
        progress(batch.done)
    return Summary(done, transactions)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
