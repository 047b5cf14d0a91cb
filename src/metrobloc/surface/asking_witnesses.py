"""Ask a witness for its co-signature: the log's side of C2SP tlog-witness, with every answer bounded and checked."""

import re
import time
from collections.abc import Callable

import httpx

from metrobloc.client import NotFound
from metrobloc.client.reading import Consistency
from metrobloc.commons import notes, witnessing
from metrobloc.commons.witnessing import SIZE_TYPE, Asked

ANSWER_BYTES_MAX = 64 << 10
ANSWER_S = 60
CONNECT_S = 10
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,15})\n")


def ask_witness(
    url: str, key: str, checkpoint: bytes, prove: Callable[[int, int], Consistency]
) -> notes.Signature | str:
    """Return the line with which a witness's key has co-signed a checkpoint, or a sentence that says why there is none.

    The first question tells at which size the witness is, unless it is at none; `prove` answers how the log grew from
    there.
    """
    note = notes.read(checkpoint)
    size = notes.read_head(note).size
    try:
        tls = not url.lower().startswith("http:")  # without it no certificates are loaded, which takes a while
        with httpx.Client(timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), trust_env=False, verify=tls) as http:
            status, body = _post(http, url, Asked(0, (), checkpoint))
            if status == "409 size":
                old = int(body)
                if old > size:
                    return f"it has co-signed {old} leaves, and the node shows {size}: was an old backup brought back?"
                path = tuple(bytes.fromhex(part) for part in prove(old, size).path)
                status, body = _post(http, url, Asked(old, path, checkpoint))
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        return f"it does not answer ({type(error).__name__}: {error})."
    except NotFound as error:
        return f"the node cannot prove how its log grew ({error})."
    if status != "200":
        said = "".join(mark for mark in body[:300].decode(errors="replace") if mark.isprintable())
        return f"it answers {status}: {said}"
    try:
        line = witnessing.cosignature_of(note, witnessing.read_lines(note, body), key)
    except ValueError as error:
        return f"its answer cannot be read ({error})."
    return line or "its answer is not signed with this key."


def _post(http: httpx.Client, url: str, asked: Asked) -> tuple[str, bytes]:
    """Return status and body; a size that is answered with 409 is told apart."""
    end_s, body = time.monotonic() + ANSWER_S, b""
    where = f"{url.rstrip('/')}/add-checkpoint"
    with http.stream("POST", where, content=witnessing.write_asked(asked)) as answer:
        for part in answer.iter_raw():
            body += part
            if len(body) > ANSWER_BYTES_MAX or time.monotonic() > end_s:
                raise httpx.StreamError("its answer is too long")
        kind = answer.headers.get("content-type", "").split(";")[0].strip()
        stale = answer.status_code == 409 and kind == SIZE_TYPE and _SIZE.fullmatch(body)
        return ("409 size" if stale else str(answer.status_code)), body
