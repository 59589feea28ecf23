"""The signed order: something the center asks of a node, once, before it expires, on this connection only."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.wire import cbor, cose
from agent.wire.batch import ID_BYTES
from agent.wire.errors import Reason, WireError
from agent.wire.keys import Signer, Verifier

ORDER_BYTES = 64 * 1024
_NAME = re.compile(r"[a-z][a-z_.]{0,63}", re.ASCII)
_ARGUMENTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order.

    Attributes:
        nonce: Of the connection's hello; any other is ignored.
        id: 16 bytes; the same id is executed once.
        expires_s: Seconds after arrival in which it may begin.
        name: What to do, e.g. ``config.try``; the node's allow-list decides.
        arguments: Name to text.
    """

    nonce: bytes
    id: bytes
    expires_s: int
    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


def sign_order(order: Order, *, city: str, node: str, signer: Signer) -> bytes:
    """Return the MQTT payload of an order for one node."""
    arguments = [[key, order.arguments[key]] for key in sorted(order.arguments)]
    payload: dict[int, cbor.Value] = {1: order.nonce, 2: order.id, 3: order.expires_s, 4: order.name, 5: arguments}
    return cose.sign(cbor.encode(payload), purpose="order", city=city, node=node, signer=signer)


def open_order(payload: bytes, *, city: str, node: str, center: Sequence[Verifier]) -> Order:
    """Read an order signed by one of the center's order keys for this node. Raises WireError."""
    if len(payload) > ORDER_BYTES:
        raise WireError(Reason.SIZE, f"an order of {len(payload)} bytes; at most {ORDER_BYTES}")
    keys = {key.kid: key for key in center}
    signed = cose.verify(payload, purpose="order", city=city, node=node, find_key=keys.get)
    fields = cbor.table(cbor.decode(signed.payload), "order", frozenset(range(1, 6)))
    name = cbor.text(fields[4], "name")
    if not _NAME.fullmatch(name):
        raise WireError(Reason.FORM, f"{name!r} is not the name of an order")
    pairs = [cbor.array(item, "argument", 2) for item in cbor.array(fields[5], "arguments")]
    if len(pairs) > _ARGUMENTS:
        raise WireError(Reason.FORM, f"more than {_ARGUMENTS} arguments")
    arguments = {cbor.text(key, "argument"): cbor.text(value, "value", ORDER_BYTES) for key, value in pairs}
    if list(arguments) != sorted(arguments) or len(arguments) != len(pairs):
        raise WireError(Reason.FORM, "arguments stand in order, each once")
    return Order(
        nonce=cbor.octets(fields[1], "nonce", ID_BYTES),
        id=cbor.octets(fields[2], "id", ID_BYTES),
        expires_s=cbor.uint(fields[3], "expiry"),
        name=name,
        arguments=arguments,
    )
