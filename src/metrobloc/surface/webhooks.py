"""The commands that keep webhooks: add, list, remove, test, run."""

import asyncio
import base64
import ipaddress
import re
import secrets
from contextlib import closing
from pathlib import Path
from typing import Never

import click
import httpx
import msgspec

from metrobloc.surface import cli
from metrobloc.surface.cli import fail, home, show_json, with_json
from metrobloc.surface.delivering import alone, run, send_test
from metrobloc.surface.hooks import Book, Hook
from metrobloc.surface.http.streams import EVENT, ID, PLACE

HOOKS_MAX = 32
URL_LENGTH_MAX = 2000
SECRET_BYTES = 32

Folder = click.Path(path_type=Path, file_okay=False)
with_data = click.option("--data", type=Folder, help="The data folder [default: the folder `city` in METROBLOC_HOME].")


def check_url(url: str, *, allow_http: bool) -> str:
    """Return why events should not be sent to an address, or nothing: https, or this machine, or what is allowed."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        return f"{url} is no URL ({error})."
    if len(url) > URL_LENGTH_MAX or not parsed.host or parsed.scheme not in ("http", "https") or parsed.userinfo:
        return f"{url} is no address of a web server; name one as https://host/path, without a password."
    if parsed.scheme == "http" and not allow_http and not _is_here(parsed.host):
        return "Events over http can be read and changed on their way; use https, or say --allow-http."
    return ""


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def group() -> click.Group:
    """Return the commands of webhooks."""

    @click.group("webhook")
    def webhook() -> None:
        """Tell other systems of events by signed HTTP requests (Standard Webhooks)."""

    for command in (_add, _list, _remove, _test, _run):
        webhook.add_command(command)
    return webhook


@click.command("add")
@click.argument("url")
@click.option("--event", "events", multiple=True, help="An event, or `charity.*`; may be repeated [default: all].")
@click.option("--about", default="", help="Only events that name this account or id.")
@click.option("--after", "place", default="", help="Begin after this event or height [default: now].")
@click.option("--allow-http", is_flag=True, help="Send over http to another machine.")
@with_data
@with_json
def _add(  # noqa: PLR0913
    *, url: str, events: tuple[str, ...], about: str, place: str, allow_http: bool, data: Path | None, as_json: bool
) -> None:
    """Tell this address of events from now on; prints the secret by which it knows them to be genuine."""
    wrong = check_url(url, allow_http=allow_http)
    for option, pattern, values in (("event", EVENT, events), ("about", ID, [about]), ("after", PLACE, [place])):
        for value in filter(None, values):
            if re.fullmatch(pattern, value, re.ASCII) is None:
                wrong = f"--{option} {value} has the wrong form; docs/api.md shows the right one at /v1/events."
    if wrong:
        fail(wrong, cli.USAGE)
    book = Book(_folder(data))
    if len(book.hooks()) >= HOOKS_MAX:
        fail(f"There are {HOOKS_MAX} webhooks already; remove one first.", cli.USAGE)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    hook = Hook(secrets.token_hex(6), url, list(events), about, secret, place)
    book.add(hook)
    if as_json:
        show_json({"id": hook.id, "secret": secret})
    else:
        click.echo(f"{hook.id} is told from now on. Its secret, shown only now: {secret}")


@click.command("list")
@with_data
@with_json
def _list(*, data: Path | None, as_json: bool) -> None:
    """List the webhooks, how far each has come, and which are failing or disabled."""
    shown = [
        {name: value for name, value in msgspec.to_builtins(hook).items() if name != "secret"}
        for hook in Book(_folder(data)).hooks()
    ]
    if as_json:
        show_json(shown)
        return
    for hook in shown:
        state = hook["disabled"] or (f"failing, {hook['failures']} times" if hook["failures"] else "in order")
        click.echo(f"{hook['id']}  {hook['url']}  after {hook['place'] or 'now'}  {state}")


@click.command("remove")
@click.argument("hook")
@with_data
@with_json
def _remove(*, hook: str, data: Path | None, as_json: bool) -> None:
    """Tell an address no more."""
    if not Book(_folder(data)).remove(hook):
        _unknown(hook)
    if as_json:
        show_json({"hook": hook, "removed": True})
    else:
        click.echo(f"{hook} is told no more.")


@click.command("test")
@click.argument("hook")
@with_data
@with_json
def _test(*, hook: str, data: Path | None, as_json: bool) -> None:
    """Send a signed event `metrobloc.test` once and say how it was taken."""
    found = Book(_folder(data)).find(hook)
    if found is None:
        _unknown(hook)
    wrong = asyncio.run(send_test(found))
    if wrong:
        fail(f"{found.url} did not take it: {wrong}", cli.NOT_TAKEN)
    if as_json:
        show_json({"hook": hook, "taken": True})
    else:
        click.echo(f"{found.url} has taken it.")


@click.command("run")
@click.option("--node", default=cli.NODE, show_default=True, help="The running node at this URL.")
@with_data
def _run(*, node: str, data: Path | None) -> None:
    """Deliver events to all webhooks, until it is ended; it can be ended at any moment."""
    folder = _folder(data)
    with closing(Book(folder)) as book, alone(folder):
        try:
            asyncio.run(run(book, node.rstrip("/"), lambda line: click.echo(line, err=True)))
        except ExceptionGroup as group:  # of the hooks' tasks: the first fault ended the others
            raise group.exceptions[0] from group


def _folder(data: Path | None) -> Path:
    return data or home() / "city"


def _unknown(hook: str) -> Never:
    fail(f"There is no webhook {hook}; `metrobloc webhook list` shows them.", cli.NOT_TAKEN)
