"""`metrobloc APP VERB`: a command for every transaction of every module, from its declaration."""

import re
import secrets
import types
import typing
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import msgspec
from msgspec import Meta, Raw

from metrobloc.engine.sealer import Answer
from metrobloc.kernel import accounts, codec, envelope, system
from metrobloc.kernel.block import Rules
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.machine import make_rules
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting
from metrobloc.surface.keys import KeyProblem, KeyRing
from metrobloc.surface.ledger import Ledger, opened

EXPIRY_MS = 300_000
_receipts = msgspec.json.Decoder(ReadReceipt)


class Field(msgspec.Struct, frozen=True):
    """A message's field as an option: its text kind, whether it is a list, its limits in words."""

    name: str
    kind: str
    many: bool
    required: bool
    base: Any
    limits: str


def fields_of(action: Action) -> list[Field]:
    """Return a message's fields in order."""
    hints = typing.get_type_hints(action.message, include_extras=True)
    found = []
    for field in msgspec.structs.fields(action.message):
        kind, base, limits = _look(hints[field.name])
        many = get_origin(base) is tuple
        if many:
            kind, base, _ = _look(get_args(base)[0])
        found.append(Field(field.name, kind, many, field.required, base, limits))
    return found


def _look(hint: object) -> tuple[str, object, str]:
    """Return a hint's text kind, its bare type, and its limits in words."""
    if get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in get_args(hint) if part is not types.NoneType)
    if not hasattr(hint, "__metadata__"):
        return "", hint, ""
    base, *metas = get_args(hint)
    meta = next((part for part in metas if isinstance(part, Meta)), Meta())
    limits = ""
    if meta.ge is not None or meta.le is not None:
        limits = f"{meta.ge:,} to {meta.le:,}" if meta.ge is not None and meta.le is not None else ""
    elif get_origin(base) is tuple:
        limits = f"repeat it for several, at most {meta.max_length}"
    kind = str((meta.extra or {}).get("text", ""))
    return kind, base, f"at most {meta.max_length} characters" if kind == "public" else limits


def group(setting: Setting, module: Module) -> click.Group:
    """Return a module's commands."""
    made = click.Group(module.name, help=(module.__doc__ and f"Transactions of {module.name}."))
    for action in module.actions.values():
        made.add_command(_command(setting, action))
    return made


def _command(setting: Setting, action: Action) -> click.Command:
    fields = fields_of(action)

    def run(
        *,
        as_name: str,
        data: Path | None,
        node: str,
        as_json: bool,
        promise: Path | None,
        **given: Any,  # noqa: ANN401  # what click parsed, by field
    ) -> None:
        with opened(data, node, setting.modules) as ledger:
            rules = make_rules(ledger.genesis(), setting.modules)
            account, key = find_actor(ledger, setting.keys, as_name, rules.chain)
            signers = [key]
            message = _build(action, _values(fields, given, ledger, setting.keys, signers))
            raw = sign(rules, ledger.time_ms() + EXPIRY_MS, [(account, action.do, message)], signers)
            if promise is not None:
                _show_promise(ledger.promise(raw), promise, as_json=as_json)
            else:
                show(ledger.submit([raw])[0], ledger, setting, as_json=as_json)

    params: list[click.Parameter] = [_option(field) for field in fields]
    params.append(click.Option(["--as", "as_name"], required=True, help="Sign as this key (see `metrobloc key list`)."))
    params.append(click.Option(["--data"], type=click.Path(path_type=Path), help="Use this data folder."))
    params.append(click.Option(["--node"], default=cli.NODE, show_default=True, help="Use the node at this URL."))
    params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."))
    params.append(
        click.Option(
            ["--promise"],
            type=click.Path(path_type=Path),
            help="Do not wait; write the node's signed promise to a file.",
        )
    )
    text = f"{action.handler.__doc__}\n\nAllowed for: {action.allow.describe()}."
    verb = action.do.partition(".")[2].replace("_", "-")
    return click.Command(verb, callback=run, params=params, help=text)


def _option(field: Field) -> click.Option:
    words = {
        "account": "an account id, or the name of a key",
        "key": "the name of a key, which signs too",
        "id": "an identifier",
        "commitment": "a commitment: 64 hex digits",
        "digest": "a SHA-256: 64 hex digits",
        "slug": "a short name",
        "public": "public text",
    }
    if field.name.endswith("_ms"):
        help_ = "A time: 2026-12-31, 2026-12-31T18:00Z, +30d, +6h, or milliseconds since 1970."
        return click.Option([f"--{field.name.removesuffix('_ms')}", field.name], required=field.required, help=help_)
    text = words.get(field.kind, "a whole number" if field.base is int else "JSON" if not field.kind else field.kind)
    if field.base is bool:
        name = field.name.replace("_", "-")
        return click.Option([f"--{name}", field.name], is_flag=True, help=f"Say yes to: {name}.")
    if isinstance(field.base, type) and issubclass(field.base, msgspec.Struct):
        text = "JSON with " + ", ".join(part.name for part in msgspec.structs.fields(field.base))
    number = field.base is int and not field.many
    return click.Option(
        [f"--{field.name.replace('_', '-')}", field.name],
        required=field.required,
        multiple=field.many,
        type=int if number else str,
        default=None if not field.many else (),
        help=(f"{text[0].upper()}{text[1:]}" + (f" ({field.limits})" if field.limits else "") + "."),
    )


def find_actor(ledger: Ledger, keys: KeyRing, name: str, chain: str) -> tuple[str, SigningKey]:
    """Return the account of a name and, of its keys, the one that is in force on the ledger."""
    found = keys.find(name, chain)
    for key in found:
        owner = ledger.record(system.keys.path(key.key_id))["items"]
        if owner:
            account = str(owner[0]["value"]["account"])
            record = msgspec.convert(ledger.record(system.accounts.path(account))["items"][0]["value"], system.Account)
            in_force = record.keys_at(ledger.time_ms())
            return account, next((one for one in found if one.key_id in in_force), key)
    return accounts.account_id(found[0].key_id), found[0]


def _values(
    fields: list[Field], given: dict[str, Any], ledger: Ledger, keys: KeyRing, signers: list[SigningKey]
) -> dict[str, Any]:
    """Return a message's values; names of keys become accounts and keys, and named keys sign too."""
    chain = chain_id(ledger.genesis())

    def one(field: Field, text: Any) -> Any:  # noqa: ANN401  # what click gives and msgspec takes
        if field.kind == "key":
            signers.append(keys.find(text, chain)[0])
            return signers[-1].key_id
        if field.kind == "account" and len(text) != 26:
            return find_actor(ledger, keys, text, chain)[0]
        if field.name.endswith("_ms"):
            return _time_ms(text, ledger.time_ms())
        if field.kind or field.base in (int, bool):
            return text
        try:
            return msgspec.json.decode(text)
        except msgspec.MsgspecError as error:
            raise KeyProblem(f"--{field.name}: {text!r} is not JSON ({error}).") from error

    values: dict[str, Any] = {}
    for field in fields:
        value = given[field.name]
        if value is None or (field.many and not value and not field.required):
            continue
        values[field.name] = tuple(one(field, part) for part in value) if field.many else one(field, value)
    return values


def _time_ms(text: str, now_ms: int) -> int:
    """Return a time that a person wrote, in milliseconds since 1970."""
    ahead = re.fullmatch(r"\+(\d{1,6})([dhm])", text)
    if ahead:
        return now_ms + int(ahead[1]) * {"d": 86_400_000, "h": 3_600_000, "m": 60_000}[ahead[2]]
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise KeyProblem(f"{text!r} is no time: write 2026-12-31, +30d, or milliseconds since 1970.") from error
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _build(action: Action, values: dict[str, Any]) -> bytes:
    try:
        return codec.encode(msgspec.convert(values, action.message))
    except msgspec.ValidationError as error:
        raise KeyProblem(f"{action.do}: {error}.") from error


def sign(rules: Rules, expires_ms: int, calls: list[tuple[str, str, bytes]], signers: Sequence[SigningKey]) -> bytes:
    """Return a signed transaction of (account, action, message) with a random salt."""
    payload = envelope.Payload(
        tuple(envelope.Call(account, do, Raw(message)) for account, do, message in calls),
        rules.chain,
        expires_ms,
        rules.genesis.rules,
        secrets.token_hex(16),
    )
    return envelope.sign(payload, signers)


def show(answer: Answer, ledger: Ledger, setting: Setting, *, as_json: bool) -> None:
    """Print what became of a transaction and end with its exit code."""
    receipt = _receipts.decode(ledger.receipt(answer.tx)) if answer.status == "committed" else None
    sentences = {code: text for module in setting.modules.values() for code, text in module.refusals.items()}
    sentence = answer.sentence or {**sentences, **ENGINE_REFUSALS}.get(answer.code, "")
    if as_json:
        told = {**msgspec.to_builtins(answer), "receipt": receipt}
        cli.show_json({**told, "sentence": sentence} if sentence else told)
    elif receipt is None:
        click.echo(f"Not taken ({answer.code}). {answer.sentence}", err=True)
    elif answer.code != "ok":
        click.echo(f"Refused at height {answer.height} ({answer.code}). {sentence}\ntransaction {answer.tx}", err=True)
    else:
        click.echo(f"Done at height {answer.height}.\ntransaction {answer.tx}")
        for event in receipt.events:
            pairs = msgspec.json.decode(event.fields, type=dict[str, Any])
            click.echo(f"{event.event}: " + ", ".join(f"{name} {value}" for name, value in pairs.items()))
    if answer.code != "ok":
        raise click.exceptions.Exit(cli.REFUSED if receipt is not None else cli.NOT_TAKEN)


def _show_promise(answer: Answer, path: Path, *, as_json: bool) -> None:
    if answer.status != "accepted":
        sentence = answer.sentence or "It is on the ledger already; see `metrobloc receipt`."
        cli.fail(f"Not taken ({answer.code}). {sentence}", cli.NOT_TAKEN)
    cli.write_new(path, answer.promise.encode())
    if as_json:
        cli.show_json(answer)
    else:
        click.echo(f"Promised, not yet committed.\ntransaction {answer.tx}\nThe signed promise is in {path}.")
