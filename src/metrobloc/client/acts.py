"""Acts as whoever proposes or approves one sees them: calls that wait on the ledger until all have approved.

What is shown is what the act's hash names, and the hash is what an approval signs: so a node that shows something else
gets no approval of what stands on the ledger.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from metrobloc.client import proving, reading, sending, steps
from metrobloc.client.draft import Call, show_call, show_time, write_call
from metrobloc.client.errors import Malformed, NoNode, NotFound
from metrobloc.client.reading import Page
from metrobloc.client.steps import City, Op
from metrobloc.commons.acts.bundle import bundle_of, digest_of, keys_in, read_message
from metrobloc.commons.acts.rules import Approval, acts
from metrobloc.commons.acts.types import Act, Approve, Propose
from metrobloc.commons.acts.types import Call as Asked
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.module import Action
from metrobloc.kernel.types import INT_MAX

NONE = "There is no such act; check its identifier."


class Shown(Struct, frozen=True):
    """An act as it stands on a chain, and whose approvals hold: content that its hash names, or none any more."""

    chain: str
    id: str
    act: Act
    approvals: tuple[Approval, ...]

    @property
    def approve(self) -> Approve:
        """The message that approves what is shown."""
        return Approve(self.id, self.act.bundle)

    @property
    def calls(self) -> list[Call]:
        """The calls, as drafts and simulations take them."""
        return [(call.actor, call.do, _fields(call)) for call in self.act.calls]

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has still to approve, or to approve again."""
        return tuple(one.account for one in self.approvals if not one.holds)

    def new_id(self, call: int, number: int) -> str:
        """Return the id that a call (counted from 0) gives out as its own `number` (from 0) when the act is done."""
        return derive_id(self.chain, self.act.calls[call].actor, self.id, call, number)

    def show(self) -> str:
        """Write all of it as lines for a person; characters that could deceive her are escaped."""
        act = self.act
        lines = [f"chain {self.chain}, rules {act.rules}", f"act {self.id}", f"proposed by {act.proposer}"]
        for number, call in enumerate(act.calls, 1):
            lines += show_call(number, call.actor, call.do, call.message.encode())
        lines += [f"signed by {key} when it was proposed" for key in act.keys]
        if act.result == "open":
            lines.append(f"waits until {show_time(act.until_ms)}")
            lines += [f"still to approve: {one}" for one in self.missing]
        else:
            lines.append(f"{act.result} at {show_time(act.ended_ms)}, height {act.ended_height}")
        for one in self.approvals:
            if one.holds:
                lines.append(f"approved by {one.account}" + (f", signed by {one.delegate}" if one.delegate else ""))
        return "\n".join([*lines, f"hash {act.bundle}"])


def bundle(
    calls: Iterable[envelope.Call], until_ms: int, actions: Mapping[str, Action], rules: int = INT_MAX
) -> Propose:
    """Return what proposes calls as one act, with the keys that they name; Malformed when one breaks its limits.

    The limits are those of a version of the rules, by default the newest.
    """
    asked = tuple(Asked(call.as_, call.do, bytes(call.with_).decode()) for call in calls)
    named: dict[str, None] = {}
    for call in asked:
        newest = actions.get(call.do)
        action = newest and newest.at(rules)
        if action is None:
            raise Malformed("unknown_action", codec.MALFORMED["unknown_action"])
        try:
            named.update(dict.fromkeys(keys_in(action, read_message(call, action))))
        except codec.Malformed as fault:
            raise Malformed(fault.code, fault.sentence) from fault
    return Propose(asked, until_ms, tuple(sorted(named)))


def shown(chain: str, made: str, act: Act, approvals: Iterable[Approval]) -> Shown:
    """Return an act to be shown; NoNode when it is not what its hash names."""
    found = Shown(chain, made, act, tuple(approvals))
    if act.result in ("open", "executed") and digest_of(bundle_of(act)) != act.bundle:
        raise NoNode(f"The act {made} is told with another content than its hash names; ask another node.")
    try:
        found.show()
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoNode(f"The act {made} is told with calls that are none ({error}); ask another node.") from error
    return found


def propose(city: City, *calls: Call, until_ms: int) -> Op[Propose]:
    """Return the message that proposes calls of (account, message) as one act, to wait until a time (ms since 1970).

    The keys that the calls name sign the transaction that carries it.
    """
    rules = int((yield from reading.status(city))["rules"])
    return bundle([write_call(call, city.actions, rules) for call in calls], until_ms, city.actions, rules)


def act(city: City, made: str) -> Op[Shown]:
    """Return an act as it stands; NotFound when there is none. With a trust file its content is proved."""
    chain = chain_id((yield from steps.genesis(city)))
    if city.trust is None:
        found = yield from reading.get(city, acts, made)
    else:
        value = (yield from proving.prove_record(city, acts.path(made))).value
        found = None if value is None else steps.decode(city, msgspec.json.encode(value), Act)
    if found is None:
        raise NotFound(NONE)
    time_ms = yield from sending.time_ms(city)
    page = yield from reading.query(city, "acts", "approvals", {"act": made, "time_ms": time_ms})
    listed = steps.decode(city, msgspec.json.encode(page["value"]), tuple[Approval, ...])
    return shown(chain, made, found, listed)


def try_act(city: City, found: Shown) -> Op[Page]:
    """Return what an act's calls would lead to now, with the ids that they would give out; nothing is sent."""
    return (yield from reading.simulate(city, *found.calls, salt=found.id))


def _fields(call: Asked) -> dict[str, object]:
    return msgspec.json.decode(call.message, type=dict[str, object])
