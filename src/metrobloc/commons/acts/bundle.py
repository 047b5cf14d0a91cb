"""A bundle as everybody reads it: the ledger, and whoever writes, shows or approves one elsewhere."""

from collections.abc import Iterable

from metrobloc.commons.acts.types import Act, Bundle, Call
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.module import Action
from metrobloc.kernel.types import Message


def actors_of(calls: Iterable[Call]) -> tuple[str, ...]:
    """Return who acts in calls, each once, in the order of their first call."""
    return tuple(dict.fromkeys(call.actor for call in calls))


def bundle_of(act: Act) -> Bundle:
    """Return what is approved when an act is."""
    return Bundle(act.calls, act.keys, act.proposer, act.rules, act.until_ms)


def digest_of(bundle: Bundle) -> str:
    """Return the SHA-256 by which an approval names what it approves."""
    return crypto.sha256(codec.encode(bundle)).hex()


def read_message(call: Call, action: Action) -> Message:
    """Read a call's message as strictly as a transaction's; raises `codec.Malformed`."""
    return codec.decode(call.message.encode(), action.decoder)


def keys_in(action: Action, message: Message) -> tuple[str, ...]:
    """Return the keys that a message names, which must sign."""
    named = [getattr(message, field) or () for field in action.key_fields]
    return tuple(key for value in named for key in ((value,) if isinstance(value, str) else value))
