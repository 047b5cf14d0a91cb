"""Who may do what, as a table of roles and actions, and whether it is so: each cell is tried out.

A transaction that has worked is tried again, on a fork of the block it is in, by the same actor with one role only, for
every role there is. Where the declaration allows that role it must be able to work; anywhere else the code must be
`not_allowed`, and nothing else.
"""

from collections.abc import Iterable, Sequence
from copy import copy

from metrobloc.kernel import accounts, envelope, system
from metrobloc.kernel.block import BlockRun, Calls
from metrobloc.kernel.context import Ctx, Run
from metrobloc.kernel.errors import Void
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.state import unmetered
from metrobloc.kernel.tables import MutableRows
from metrobloc.surface.describe import roles_in
from metrobloc.testing.sandbox import Sandbox
from metrobloc.testing.simulate import Simulation, Story

NOBODY = ""
"""Stands for an account without any role."""

Shown = dict[tuple[str, str], set[str]]
"""By action and role, the codes that came back."""


def roles_of(modules: Iterable[Module]) -> list[str]:
    """Return every role that some action asks for, in the order of the alphabet."""
    return _roles([action for module in modules for action in module.actions.values()])


def _roles(actions: Iterable[Action]) -> list[str]:
    return sorted({role for action in actions for role in roles_in(action.allow)})


def allows(action: Action, role: str) -> bool:
    """Tell whether somebody with this role and no other may do an action."""
    return action.allow.holds(lambda name: name == role)


def fork(run: BlockRun) -> BlockRun:
    """Return a block that goes on from where another stands, without changing it."""
    made, state = copy(run), copy(run.state)
    state.base, state.changed = dict(run.state.base), dict(run.state.changed)
    state.index_changed, state.index_sorted = dict(run.state.index_changed), list(run.state.index_sorted)
    made.state, made.receipts, made.bugs = state, list(run.receipts), []
    return made


def probe(run: BlockRun, salt: str, calls: Calls, roles: Sequence[str], shown: Shown) -> None:
    """Try each call of a transaction, after those before it, with each role alone, if it works with those there are."""
    for place, (action, actor, message) in enumerate(calls):
        base, alone = fork(run), salt if not place else salt[::-1]  # so that it gives out no id of the first call's
        if place and base.execute(salt, calls[:place])[0] != "ok":
            return
        if fork(base).execute(alone, [(action, actor, message)])[0] != "ok":
            continue
        for role in (*roles, NOBODY):
            tried = fork(base)
            _give_only(tried, actor, role)
            shown.setdefault((action.do, role), set()).add(tried.execute(alone, [(action, actor, message)])[0])


def _give_only(run: BlockRun, actor: str, role: str) -> None:
    """Leave an actor one role."""
    state = unmetered(run.state)
    ctx = Ctx(Run(run.rules.chain, run.height, run.time_ms, "", state, run), system.NAME, actor, 0)
    for name in {*roles_of(run.rules.modules), *MORE_ROLES}:
        if MutableRows(system.roles, state).get((actor, name)) is not None:
            del MutableRows(system.roles, state)[actor, name]
    if role:
        accounts.grant(ctx, actor, role)
    state.fold()


MORE_ROLES = ("issuer", "council", "citizen")
"""Roles that an account of a playground may hold although no action asks for them."""


def in_story(modules: Sequence[Module], play: Story, shown: Shown) -> None:
    """Try every transaction of a story with every role."""
    told = Sandbox(modules)
    play(told.stage)
    box, roles = Sandbox(modules), roles_of(modules)
    for sealed in told.sealed[1:]:
        block = read_block(sealed.block)
        run = box.machine.open_block(block.time_ms)
        for raw in block.transactions:
            transaction = envelope.reopen(bytes(raw))
            probe(run, transaction.payload.salt, _calls(run, transaction), roles, shown)
            run.apply(bytes(raw))
        box.seal(run)


def _calls(run: BlockRun, transaction: envelope.Transaction) -> Calls:
    calls: Calls = []
    for call in transaction.payload.calls:
        try:
            action = run.find(call.do)
        except Void:
            action = None
        if action is not None:
            calls.append((action, call.as_, action.decoder.decode(call.with_)))
    return calls


class Probing(Simulation):
    """A simulation that tries what works with every role, of actions about which something is not shown yet."""

    def __init__(
        self, modules: Iterable[Module], seed: int, stories: Sequence[Story], every: Sequence[Action], shown: Shown
    ) -> None:
        """Look for what is missing in `shown` of every action there is, also where only some modules run."""
        self.every = every
        self.shown = shown
        super().__init__(modules, seed, stories)

    def try_calls(self, run: BlockRun, salt: str, calls: Calls) -> str:
        """Try calls, with every role first if that tells something new."""
        if any(missing(self.every, self.shown, action.do) for action, _, _ in calls):
            probe(run, salt, calls, _roles(self.every), self.shown)
        return super().try_calls(run, salt, calls)


def missing(actions: Iterable[Action], shown: Shown, only: str = "") -> list[tuple[str, str]]:
    """Return the cells that nothing has shown: never tried, or of actions that never worked with any role alone.

    Where one of several roles is asked for, a rule may still ask the record for a certain one of them.
    """
    roles = _roles(actions)
    worked = {do for (do, role), codes in shown.items() if "ok" in codes}
    return [
        (action.do, role)
        for action in actions
        if action.do == only or not only
        for role in (*roles, NOBODY)
        if (action.do, role) not in shown or (allows(action, role) and action.do not in worked)
    ]


def wrong(actions: Iterable[Action], shown: Shown) -> list[str]:
    """Return what contradicts the declarations."""
    by_name = {action.do: action for action in actions}
    found = []
    for (do, role), codes in sorted(shown.items()):
        may = allows(by_name[do], role)
        if (may and "not_allowed" in codes) or (not may and codes != {"not_allowed"}):
            found.append(f"{do} with {role or 'no role'}: {', '.join(sorted(codes))}")
    return found
