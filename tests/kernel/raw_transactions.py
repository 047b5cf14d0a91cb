"""Put transactions together from raw JSON with the standard library, so that any part can be made wrong."""

import base64

from metrobloc.kernel.crypto import SigningKey

PAYLOAD_TYPE = "application/vnd.metrobloc.tx.v1+json"
KEYS = sorted((SigningKey(bytes([number]) * 32) for number in range(1, 18)), key=lambda key: key.key_id)
ACTOR = "abcdefghijklmnopqrstuvwxyz"
OTHER = "qrstuvwxyzabcdefghijklmnop"
MESSAGE = f'{{"amount":4100,"note":"caf\u00e9","to":"{OTHER}"}}'
BASE_CALL = {"as": f'"{ACTOR}"', "do": '"house.give"', "with": MESSAGE}
BASE_PAYLOAD = {
    "calls": "",
    "chain": '"demo-city-0123456789abcdef"',
    "expires": "1700000600000",
    "rules": "1",
    "salt": '"' + "0f" * 16 + '"',
}


def write(fields: dict[str, str]) -> str:
    """Write an object of raw JSON values in the order of its keys."""
    return "{" + ",".join(f'"{key}":{fields[key]}' for key in sorted(fields)) + "}"


def call(**changed: str) -> str:
    """Write a call with some raw values changed; `actor` and `message` stand for the two keywords."""
    names = {"actor": "as", "message": "with"}
    return write(BASE_CALL | {names.get(name, name): value for name, value in changed.items()})


def payload(**changed: str) -> bytes:
    """Write a payload with some raw values changed."""
    return write(BASE_PAYLOAD | {"calls": f"[{call()}]"} | changed).encode()


def with_message(message: str | bytes) -> bytes:
    """Write a payload whose only call has this message."""
    raw = message.encode() if isinstance(message, str) else message
    return payload(calls="[" + call(message="@") + "]").replace(b"@", raw)


def base64_of(data: bytes) -> str:
    """Write padded standard base64 as a JSON string."""
    return '"' + base64.b64encode(data).decode() + '"'


def signature(body: bytes, key: SigningKey) -> str:
    """Write one signature entry for a payload."""
    encoded = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(body), body)
    return write({"keyid": f'"{key.key_id}"', "sig": base64_of(key.sign(encoded))})


def envelope(body: bytes, keys: list[SigningKey] | None = None, **changed: str) -> bytes:
    """Write an envelope, signed by the first key unless said otherwise, with some raw values changed."""
    entries = ",".join(signature(body, key) for key in (KEYS[:1] if keys is None else keys))
    fields = {"payload": base64_of(body), "payloadType": f'"{PAYLOAD_TYPE}"', "signatures": f"[{entries}]"}
    return write(fields | changed).encode()


def good() -> list[bytes]:
    """Write a few transactions without a flaw."""
    return [
        envelope(payload()),
        envelope(payload(), KEYS[:3]),
        envelope(payload(calls=f"[{','.join([call()] * 16)}]"), KEYS[:16]),
        envelope(with_message("{}")),
        envelope(with_message('{"a":[[],{}],"b":"\u4e2d\U0001f600","c":-9007199254740991,"d":null,"e":true}')),
    ]
