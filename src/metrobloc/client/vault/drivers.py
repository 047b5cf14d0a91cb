"""The two drivers of the vault's operations: one waits, one lets asyncio do something else meanwhile."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from metrobloc.client.vault import keeping, tending
from metrobloc.client.vault.steps import Ask, Me, Op, Work

P = ParamSpec("P")
R = TypeVar("R")


def _now(operation: Callable[Concatenate[Me, P], Op[R]]) -> Callable[Concatenate["Vault", P], R]:
    @functools.wraps(operation)
    def run(self: "Vault", /, *args: P.args, **kwargs: P.kwargs) -> R:
        made = operation(self.me, *args, **kwargs)
        try:
            step = next(made)
            while True:
                try:
                    reply = step.do() if isinstance(step, Work) else self.do(step)
                except Exception as error:  # noqa: BLE001  # the operation decides what it means
                    step = made.throw(error)
                else:
                    step = made.send(reply)
        except StopIteration as ended:
            result: R = ended.value
            return result

    return run


def _soon(
    operation: Callable[Concatenate[Me, P], Op[R]],
) -> Callable[Concatenate["AsyncVault", P], Coroutine[None, None, R]]:
    @functools.wraps(operation)
    async def run(self: "AsyncVault", /, *args: P.args, **kwargs: P.kwargs) -> R:
        made = operation(self.me, *args, **kwargs)
        try:
            step = next(made)
            while True:
                try:
                    reply = await (asyncio.to_thread(step.do) if isinstance(step, Work) else self.do(step))
                except Exception as error:  # noqa: BLE001  # the operation decides what it means
                    step = made.throw(error)
                else:
                    step = made.send(reply)
        except StopIteration as ended:
            result: R = ended.value
            return result

    return run


class Vault:
    """An account's vault; each call waits until all is done."""

    def __init__(self, ledger: object, me: Me) -> None:
        """Use a `Client`, or what answers as one, as somebody."""
        self.ledger = ledger
        self.me = me

    def do(self, step: Ask) -> Any:  # noqa: ANN401  # whatever the method returns
        """Ask the ledger."""
        return getattr(self.ledger, step.method)(*step.given, **step.named)

    put = _now(keeping.put)
    get = _now(keeping.get)
    share = _now(keeping.share)
    unshare = _now(keeping.unshare)
    forget = _now(keeping.forget)
    check = _now(tending.check)
    tidy = _now(tending.tidy)


class AsyncVault:
    """The same for asyncio: every call is awaited; files and encryption are for threads."""

    def __init__(self, ledger: object, me: Me) -> None:
        """Use an `AsyncClient` as somebody."""
        self.ledger = ledger
        self.me = me

    async def do(self, step: Ask) -> Any:  # noqa: ANN401  # whatever the method returns
        """Ask the ledger."""
        return await getattr(self.ledger, step.method)(*step.given, **step.named)

    put = _soon(keeping.put)
    get = _soon(keeping.get)
    share = _soon(keeping.share)
    unshare = _soon(keeping.unshare)
    forget = _soon(keeping.forget)
    check = _soon(tending.check)
    tidy = _soon(tending.tidy)
