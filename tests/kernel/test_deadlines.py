"""Deadlines: before the block's transactions, in order of (time, id), a bounded number a block, each final."""

from metrobloc.kernel import system
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.system import Limits
from tests.kernel.toys import Make, Put, Toys

HOUR_MS = 3_600_000


def made(chain: Toys, salt: str, counter: int = 0) -> str:
    """Return an id that the bank's transaction with this salt gives out: 0 the box, 1 the deadline."""
    return derive_id(chain.rules.chain, chain.stage.account("bank"), salt, 0, counter)


def salts(count: int) -> list[str]:
    """Return salts of transactions."""
    return [f"{number:02x}" * 16 for number in range(1, count + 1)]


def waiting(chain: Toys) -> list[str]:
    """Return the ids of the deadlines that wait."""
    return [key for key, _ in chain.view[system.deadlines].items()]


def test_what_is_due_runs_in_order_before_the_block_s_transactions() -> None:
    chain = Toys()
    times = {salt: chain.now + HOUR_MS + delay for salt, delay in zip(salts(5), (50, 10, 10, 10, 10**9), strict=True)}
    chain.codes(*[chain.tx("bank", Make(time_ms), salt=salt) for salt, time_ms in times.items()])
    chain.stage.time_ms += HOUR_MS
    assert chain.codes(chain.tx("bank", Put("last", "red")), later_ms=0) == ["ok"]
    order = sorted((time_ms, made(chain, salt, 1)) for salt, time_ms in times.items())
    assert [receipt.due for receipt in chain.receipts()] == [due for _, due in order[:4]] + [""]
    assert {receipt.code for receipt in chain.receipts()} == {"ok"}
    assert waiting(chain) == [order[4][1]]
    assert {chain.colour(made(chain, salt)) for salt in salts(4)} == {"red"}


def test_a_deadline_runs_at_its_time_and_not_before() -> None:
    chain = Toys()
    chain.codes(chain.tx("bank", Make(chain.now + HOUR_MS)))
    assert chain.block(later_ms=HOUR_MS - 1001) == []
    assert len(waiting(chain)) == 1
    assert chain.block(later_ms=1) == []
    assert [receipt.index for receipt in chain.receipts()] == [0]
    assert waiting(chain) == []
    assert chain.block(later_ms=HOUR_MS) == []
    assert chain.machine.height == 2


def test_a_block_runs_a_bounded_number() -> None:
    chain = Toys(Limits(deadlines_per_block=2))
    chain.codes(*[chain.tx("bank", Make(chain.now + HOUR_MS), salt=salt) for salt in salts(5)])
    counts = []
    for _ in range(4):
        chain.block(later_ms=HOUR_MS)
        counts.append(len(waiting(chain)))
    assert counts == [3, 1, 0, 0]
    assert chain.machine.height == 4


def test_a_refused_deadline_is_final() -> None:
    chain = Toys()
    chain.codes(*[chain.tx("bank", Make(chain.now + HOUR_MS, then)) for then in ("never", "bug", "paint")])
    chain.block(later_ms=HOUR_MS)
    assert sorted(receipt.code for receipt in chain.receipts()) == ["internal", "ok", "toy.never"]
    assert len(chain.bugs) == 1
    assert waiting(chain) == []
    chain.block(later_ms=HOUR_MS)
    assert chain.machine.height == 2


def test_a_deadline_may_cancel_one_that_is_due_in_the_same_block() -> None:
    chain = Toys()
    first, second = salts(2)
    other = made(chain, second, 1)
    cancels = chain.tx("bank", Make(chain.now + HOUR_MS, "cancel", other), salt=first)
    chain.codes(cancels, chain.tx("bank", Make(chain.now + HOUR_MS + 1), salt=second))
    chain.block(later_ms=2 * HOUR_MS)
    assert [(receipt.code, receipt.due) for receipt in chain.receipts()] == [("ok", made(chain, first, 1))]
    assert chain.colour(made(chain, second)) == "grey"
    assert waiting(chain) == []


def test_an_id_is_given_out_once() -> None:
    chain = Toys()
    salt = salts(1)[0]
    chain.codes(chain.tx("bank", Make(chain.now + HOUR_MS), salt=salt))
    again = chain.tx("bank", Make(chain.now + 2 * HOUR_MS), salt=salt)
    assert chain.codes(again) == ["toy.boxes_taken"]
