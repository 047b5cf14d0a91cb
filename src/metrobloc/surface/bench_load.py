"""The load of `metrobloc bench solo`: accounts, signed gifts, and senders that only push bytes."""

import http.client
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from msgspec import Raw

from metrobloc.city.charity.types.messages import Approve, DeclareTemplate, Give, SetUp, Verify
from metrobloc.commons.identity.demo import demo_key
from metrobloc.commons.identity.types import Accredit, Register
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.kernel import accounts, codec, crypto, envelope
from metrobloc.kernel.block import Rules
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.types import INT_MAX, Message

REGISTERED_AT_ONCE = 15  # a transaction carries 16 signatures, one of them the sponsor's
ISSUED_AT_ONCE = 16
EXPIRY_MS = 540_000
BATCH = 500
CONNECTIONS = 4
ASSET = "cny"
FUNDS = 10**9
NOTHING = "0" * 64
COMMITTED = b'"status":"committed","code":"ok"'


class Signer:
    """Signs a benchmark's transactions for one chain."""

    def __init__(self, rules: Rules) -> None:
        """Bind to a chain's rules."""
        self.rules = rules
        self.salt = ""

    def sign(self, calls: Sequence[tuple[crypto.SigningKey, Message]], also: Sequence[crypto.SigningKey] = ()) -> bytes:
        """Return a transaction of calls by keys, signed by them and by `also`."""
        self.salt = secrets.token_hex(16)
        made = tuple(
            envelope.Call(accounts.account_id(key.key_id), self.rules.names[type(message)], Raw(codec.encode(message)))
            for key, message in calls
        )
        payload = envelope.Payload(made, self.rules.chain, clock_ms() + EXPIRY_MS, 1, self.salt)
        keys = {key.key_id: key for key in (*(key for key, _ in calls), *also)}
        return envelope.sign(payload, list(keys.values()))


def role(name: str) -> crypto.SigningKey:
    """Return a demonstration role's key."""
    key = demo_key(name)
    assert key is not None
    return key


def donor(number: int) -> crypto.SigningKey:
    """Return the key of a donor by number."""
    return crypto.SigningKey(crypto.sha256(b"metrobloc bench donor %d" % number))


def prepare(node: Solo, signer: Signer, count: int, done: Callable[[int], None]) -> str:
    """Register and fund donors 0 to `count` on a node and open a campaign; return the campaign's id.

    Signatures are made and not checked: what is measured later is not this.
    """
    bank, charity, hospital = role("bank"), role("charity"), role("hospital")
    opened = [(bank, OpenAsset(ASSET, "Renminbi in fen", 2)), (bank, RecordReserve(ASSET, INT_MAX, NOTHING))]
    node.execute([signer.sign(opened)], clock_ms())
    closes_ms = clock_ms() + 30 * 86_400_000
    civil_affairs, clinic = role("civil_affairs"), crypto.SigningKey(crypto.sha256(b"metrobloc bench clinic"))
    treats = accounts.account_id(clinic.key_id)
    registered = signer.sign([(bank, Register(clinic.key_id))], [clinic])
    accredited = signer.sign([(role("office"), Accredit(treats, "Clinic", "hospital", FUNDS))])
    declared = signer.sign([(civil_affairs, DeclareTemplate("bench", INT_MAX, INT_MAX))])
    case = SetUp("Benchmark", "bench", treats, ASSET, INT_MAX, closes_ms, NOTHING, NOTHING)
    submitted = signer.sign([(charity, case)])
    campaign = derive_id(node.chain, accounts.account_id(charity.key_id), signer.salt, 0, 0)
    approved = signer.sign([(hospital, Verify(campaign, NOTHING, INT_MAX)), (civil_affairs, Approve(campaign))])
    outcomes = node.execute([registered, accredited, declared, submitted, approved], clock_ms())
    assert all(outcome.code == "ok" for outcome in outcomes), outcomes
    step = 200 * REGISTERED_AT_ONCE
    for first in range(0, count, step):
        keys = [donor(number) for number in range(first, min(first + step, count))]
        raws = []
        for at in range(0, len(keys), REGISTERED_AT_ONCE):
            some = keys[at : at + REGISTERED_AT_ONCE]
            raws.append(signer.sign([(bank, Register(key.key_id)) for key in some], some))
        for at in range(0, len(keys), ISSUED_AT_ONCE):
            some = keys[at : at + ISSUED_AT_ONCE]
            raws.append(signer.sign([(bank, Issue(ASSET, accounts.account_id(k.key_id), FUNDS)) for k in some]))
        outcomes = node.execute(raws, clock_ms())
        assert all(outcome.code == "ok" for outcome in outcomes), outcomes[0]
        done(len(keys))
    return campaign


def gifts(signer: Signer, campaign: str, donors: Sequence[int]) -> list[bytes]:
    """Return a signed gift of each of some donors."""
    return [signer.sign([(donor(number), Give(campaign, 41))]) for number in donors]


def flood(port: int, raws: Sequence[bytes]) -> float:
    """Send transactions through the batch door over several connections; return the seconds until all are committed."""
    bodies = [b"\n".join(raws[at : at + BATCH]) for at in range(0, len(raws), BATCH)]
    counts: list[int] = []

    def send(mine: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in mine:
            connection.request("POST", "/v1/txs", body)
            counts.append(connection.getresponse().read().count(COMMITTED))

    threads = [threading.Thread(target=send, args=(bodies[n::CONNECTIONS],)) for n in range(CONNECTIONS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    if sum(counts) != len(raws):
        raise RuntimeError(f"only {sum(counts)} of {len(raws)} gifts were committed")
    return seconds


def pace(port: int, raws: Sequence[bytes], per_second: int) -> list[float]:
    """Send transactions one by one at a steady pace through the single door; return each one's milliseconds."""
    start = time.perf_counter() + 0.1
    took: list[float] = []

    def send(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for number in range(first, len(raws), 8):
            time.sleep(max(0.0, start + number / per_second - time.perf_counter()))
            sent = time.perf_counter()
            connection.request("POST", "/v1/tx", raws[number])
            answer = connection.getresponse().read()
            took.append((time.perf_counter() - sent) * 1000)
            if COMMITTED not in answer:
                raise RuntimeError(f"a gift was not committed: {answer[:200]!r}")

    threads = [threading.Thread(target=send, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(took) != len(raws):
        raise RuntimeError(f"only {len(took)} of {len(raws)} paced gifts were committed")
    return sorted(took)
