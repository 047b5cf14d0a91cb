"""The verbs of money, and the services through which other modules collect into and pay out of their own pots."""

from typing import Literal

from metrobloc.commons.money.types import (
    Asset,
    Held,
    Hold,
    HoldEnded,
    HoldMade,
    Issue,
    Issued,
    Limit,
    Move,
    Moved,
    OpenAsset,
    RecordReserve,
    Redeem,
    Redeemed,
    Release,
    SetLimit,
    Void,
)
from metrobloc.kernel import system
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role

BANK = "bank"
"""The role that may issue assets."""

app = Module(
    "money",
    {
        "not_issuer": "Only the issuer of the asset may do this.",
        "above_reserve": "More would be in circulation than the recorded reserve covers; record the reserve first.",
        "below_issued": "More is in circulation than this reserve; redeem the difference first.",
        "owes_more": "The account owes more than this limit already; let it pay back first.",
        "to_self": "Source and target are the same account.",
        "in_the_past": "The time must lie ahead of the block's time.",
        "not_source": "Only the account that set the money aside may release it.",
        "too_late": "The time of the hold has run out; its money goes back.",
        "not_party": "Only the account that set the money aside or one of those it is for may end the hold.",
    },
)
assets = app.table("assets", Asset, str, "unknown", "taken")
limits = app.table("limits", Limit, tuple[str, str])
holds = app.table("holds", Held, str, "unknown")
balances = app.ledger("balances")


def issue_pot(asset: str) -> str:
    """Return the holder whose debt is what is in circulation."""
    return f"money.issued.{asset}"


@app.tx(allow=role(BANK))
def open_asset(ctx: Ctx, msg: OpenAsset) -> None:
    """Found an asset that you issue, such as a currency counted in cents."""
    ctx[assets].add(msg.asset, Asset(ctx.actor, msg.name, msg.decimals))


@app.tx(allow=role(BANK))
def record_reserve(ctx: Ctx, msg: RecordReserve) -> None:
    """State the reserve behind your asset, with a commitment to the evidence."""
    asset = _issued_by_actor(ctx, msg.asset)
    app.require(msg.reserve >= -ctx[balances].of(issue_pot(msg.asset), msg.asset), "below_issued")
    ctx[assets][msg.asset] = asset.but(reserve=msg.reserve, evidence=msg.evidence)


@app.tx(allow=role(BANK))
def issue(ctx: Ctx, msg: Issue) -> None:
    """Give out new units of your asset, never more than its reserve."""
    asset = _issued_by_actor(ctx, msg.asset)
    _require_account(ctx, msg.to)
    in_circulation = -ctx[balances].of(issue_pot(msg.asset), msg.asset)
    app.require(in_circulation + msg.amount <= asset.reserve, "above_reserve")
    ctx[balances].move(issue_pot(msg.asset), msg.to, msg.amount, msg.asset, floor=-asset.reserve)
    ctx.emit(Issued(msg.asset, msg.to, msg.amount))


@app.tx(allow=anyone)
def redeem(ctx: Ctx, msg: Redeem) -> None:
    """Give units back to their issuer, who pays you outside the ledger."""
    ctx[balances].move(ctx.actor, issue_pot(msg.asset), msg.amount, msg.asset)
    ctx.emit(Redeemed(msg.asset, ctx.actor, msg.amount))


@app.tx(allow=role(BANK))
def set_limit(ctx: Ctx, msg: SetLimit) -> None:
    """Let an account owe up to a limit in your asset."""
    _issued_by_actor(ctx, msg.asset)
    _require_account(ctx, msg.account)
    app.require(ctx[balances].of(msg.account, msg.asset) >= -msg.overdraft, "owes_more")
    ctx[limits][(msg.asset, msg.account)] = Limit(msg.overdraft)


@app.tx(allow=anyone)
def move(ctx: Ctx, msg: Move) -> None:
    """Pay one or several accounts; all legs are paid or none."""
    for leg in msg.legs:
        app.require(leg.to != ctx.actor, "to_self")
        _require_account(ctx, leg.to)
        _pay(ctx, ctx.actor, leg.to, leg.amount, leg.asset)
        ctx.emit(Moved(leg.asset, ctx.actor, leg.to, leg.amount))


@app.tx(allow=anyone)
def hold(ctx: Ctx, msg: Hold) -> None:
    """Set money aside for others until you release it; what is not released in time comes back to you."""
    app.require(msg.until_ms > ctx.time_ms, "in_the_past")
    made = ctx.new_id()
    for leg in msg.legs:
        app.require(leg.to != ctx.actor, "to_self")
        _require_account(ctx, leg.to)
        _pay(ctx, ctx.actor, hold_pot(made), leg.amount, leg.asset)
    deadline = ctx.at(msg.until_ms, return_hold, made)
    ctx[holds][made] = Held(ctx.actor, msg.legs, msg.until_ms, deadline)  # new, because its deadline is
    ctx.emit(HoldMade(made))


@app.tx(allow=anyone)
def release(ctx: Ctx, msg: Release) -> None:
    """Pay out a hold to those it is for: all legs at once."""
    held = ctx[holds][msg.hold]
    app.require(held.source == ctx.actor, "not_source")
    app.require(ctx.time_ms < held.until_ms, "too_late")
    for leg in held.legs:
        ctx[balances].move(hold_pot(msg.hold), leg.to, leg.amount, leg.asset)
        ctx.emit(Moved(leg.asset, hold_pot(msg.hold), leg.to, leg.amount))
    _end_hold(ctx, msg.hold, held, "released")


@app.tx(allow=anyone)
def void(ctx: Ctx, msg: Void) -> None:
    """Give a hold back to where it came from: all legs at once."""
    held = ctx[holds][msg.hold]
    app.require(ctx.actor == held.source or ctx.actor in [leg.to for leg in held.legs], "not_party")
    _give_back(ctx, msg.hold, held)
    _end_hold(ctx, msg.hold, held, "voided")


@app.deadline
def return_hold(ctx: Ctx, key: str) -> None:
    """Give a hold back when its time has run out."""
    held = ctx[holds][key]
    _give_back(ctx, key, held)
    _end_hold(ctx, key, held, "expired")


@app.service
def collect(ctx: Ctx, pot: str, asset: str, amount: int) -> None:
    """Move money from the actor into a pot of the calling module."""
    _pay(ctx, ctx.actor, f"{ctx.caller}.{pot}", amount, asset)


@app.service
def pay_out(ctx: Ctx, pot: str, asset: str, to: str, amount: int) -> None:
    """Move money from a pot of the calling module to an account."""
    _require_account(ctx, to)
    ctx[balances].move(f"{ctx.caller}.{pot}", to, amount, asset)


@app.service
def shift(ctx: Ctx, pot: str, asset: str, to_pot: str, amount: int) -> None:
    """Move money between two pots of the calling module."""
    ctx[balances].move(f"{ctx.caller}.{pot}", f"{ctx.caller}.{to_pot}", amount, asset)


@app.service
def hand_over(ctx: Ctx, pot: str, asset: str, holder: str, amount: int) -> None:
    """Move money from a pot of the calling module to another module's, `module.pot`, which must expect it."""
    if "." not in holder:
        raise ValueError("money is handed over to a pot; pay_out pays an account")
    ctx[balances].move(f"{ctx.caller}.{pot}", holder, amount, asset)


def hold_pot(hold_id: str) -> str:
    """Return the holder that keeps a hold's money."""
    return f"money.hold.{hold_id}"


def _pay(ctx: Ctx, source: str, target: str, amount: int, asset: str) -> None:
    """Move, and look up the source's limit only when its money alone does not suffice."""
    floor = 0
    if ctx[balances].of(source, asset) < amount:
        limit = ctx[limits].get((asset, source))
        floor = 0 if limit is None else -limit.overdraft
    ctx[balances].move(source, target, amount, asset, floor)


def _give_back(ctx: Ctx, hold_id: str, held: Held) -> None:
    for leg in held.legs:
        ctx[balances].move(hold_pot(hold_id), held.source, leg.amount, leg.asset)


def _end_hold(ctx: Ctx, hold_id: str, held: Held, result: Literal["released", "voided", "expired"]) -> None:
    del ctx[holds][hold_id]
    ctx.cancel(held.deadline)
    ctx.emit(HoldEnded(hold_id, result))


def _issued_by_actor(ctx: Ctx, name: str) -> Asset:
    asset = ctx[assets][name]
    app.require(asset.issuer == ctx.actor, "not_issuer")
    return asset


def _require_account(ctx: Ctx, account: str) -> None:
    ctx.read(system.accounts)[account]  # refuses when there is none


@app.invariant
def every_book_sums_to_zero(view: View) -> bool:
    """See that what some hold, others owe."""
    sums: dict[str, int] = {}
    for key, balance in view[balances].items():
        book = key.partition("/")[0]
        sums[book] = sums.get(book, 0) + balance.amount
    return not any(sums.values())


@app.invariant
def nobody_is_below_the_limit(view: View) -> bool:
    """Only issuing pots owe, up to their reserve, and accounts up to their limit."""
    for key, balance in view[balances].items():
        if balance.amount >= 0:
            continue
        book, holder = key.split("/")
        if holder == issue_pot(book):
            asset = view[assets].get(book)
            floor = 0 if asset is None else asset.reserve
        else:
            limit = view[limits].get((book, holder))
            floor = 0 if limit is None else limit.overdraft
        if -balance.amount > floor:
            return False
    return True


@app.invariant
def held_money_is_the_legs_of_its_hold(view: View) -> bool:
    """Each hold's pot holds exactly its legs."""
    expected: dict[str, int] = {}
    for hold_id, held in view[holds].items():
        for leg in held.legs:
            key = f"{leg.asset}/{hold_pot(hold_id)}"
            expected[key] = expected.get(key, 0) + leg.amount
    found = {k: b.amount for k, b in view[balances].items() if k.partition("/")[2].startswith("money.hold.")}
    return expected == found
