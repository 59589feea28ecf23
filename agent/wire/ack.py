"""The signed ack: the only thing that lets a node free a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.wire import cbor, cose
from agent.wire.batch import HASH_BYTES, ID_BYTES, Stream
from agent.wire.errors import Reason, WireError
from agent.wire.keys import Signer, Verifier

ACK_BYTES = 64 * 1024
REASON_CHARACTERS = 256
"""Longest reason; a longer one is cut when signing, for a node would refuse the whole ack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Batches ``first`` to ``last`` are stored; ``hash`` is that of ``last``."""

    first: int
    last: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """One chain: everything up to n is stored or named by a stored gap; ``hash`` is that of n (zeros at 0)."""

    run: bytes
    stream: Stream
    n: int
    hash: bytes
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One batch that the center will never take, and why."""

    run: bytes
    stream: Stream
    n: int
    hash: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What the center tells a node.

    Attributes:
        nonce: Of the last hello of the run that listens.
        settled: Chains that changed; in the answer to a hello, every chain it named.
        center_utc_ms: The center's clock.
        window_bytes: Most bytes in flight.
        rate_bytes_per_s: Most bytes a second.
        refused: Batches refused for good.
        answers_hello: True in the answer to a hello.
    """

    nonce: bytes
    settled: tuple[Settled, ...]
    center_utc_ms: int
    window_bytes: int
    rate_bytes_per_s: int
    refused: tuple[Refused, ...] = ()
    answers_hello: bool = False


def sign_ack(ack: Ack, *, city: str, node: str, signer: Signer) -> bytes:
    """Return the MQTT payload of an ack for one node."""
    settled: list[cbor.Value] = [
        [s.run, int(s.stream), s.n, s.hash, [[r.first, r.last, r.hash] for r in s.ranges]] for s in ack.settled
    ]
    payload: dict[int, cbor.Value] = {
        1: ack.nonce,
        2: settled,
        3: ack.center_utc_ms,
        4: ack.window_bytes,
        5: ack.rate_bytes_per_s,
        6: [[r.run, int(r.stream), r.n, r.hash, r.reason[:REASON_CHARACTERS]] for r in ack.refused],
    }
    if ack.answers_hello:
        payload[7] = True
    return cose.sign(cbor.encode(payload), purpose="ack", city=city, node=node, signer=signer)


def open_ack(payload: bytes, *, city: str, node: str, center: Sequence[Verifier]) -> Ack:
    """Read an ack signed by one of the center's keys for this node.

    Raises:
        WireError: with the first check that failed.
    """
    if len(payload) > ACK_BYTES:
        raise WireError(Reason.SIZE, f"an ack of {len(payload)} bytes; at most {ACK_BYTES}")
    keys = {key.kid: key for key in center}
    signed = cose.verify(payload, purpose="ack", city=city, node=node, find_key=keys.get)
    fields = cbor.table(cbor.decode(signed.payload), "ack", frozenset(range(1, 7)), frozenset({7}))
    if 7 in fields and fields[7] is not True:  # noqa: PLR2004
        raise WireError(Reason.FORM, "field 7 is true or absent")
    return Ack(
        nonce=cbor.octets(fields[1], "nonce", ID_BYTES),
        settled=tuple(_settled(item) for item in cbor.array(fields[2], "settled")),
        center_utc_ms=cbor.uint(fields[3], "center utc ms"),
        window_bytes=cbor.uint(fields[4], "window"),
        rate_bytes_per_s=cbor.uint(fields[5], "rate"),
        refused=tuple(_refused(item) for item in cbor.array(fields[6], "refused")),
        answers_hello=7 in fields,  # noqa: PLR2004
    )


def _stream(value: cbor.Value) -> Stream:
    return Stream(cbor.uint(value, "stream", max(Stream)))


def _settled(item: cbor.Value) -> Settled:
    run, stream, n, digest, ranges = cbor.array(item, "settled chain", 5)
    return Settled(
        run=cbor.octets(run, "run", ID_BYTES),
        stream=_stream(stream),
        n=cbor.uint(n, "n"),
        hash=cbor.octets(digest, "hash", HASH_BYTES),
        ranges=tuple(_range(one) for one in cbor.array(ranges, "ranges")),
    )


def _range(item: cbor.Value) -> Range:
    first, last, digest = cbor.array(item, "range", 3)
    found = Range(
        first=cbor.uint(first, "from"), last=cbor.uint(last, "to"), hash=cbor.octets(digest, "hash", HASH_BYTES)
    )
    if not 0 < found.first <= found.last:
        raise WireError(Reason.FORM, f"range {found.first} to {found.last}")
    return found


def _refused(item: cbor.Value) -> Refused:
    run, stream, n, digest, reason = cbor.array(item, "refused batch", 5)
    return Refused(
        run=cbor.octets(run, "run", ID_BYTES),
        stream=_stream(stream),
        n=cbor.uint(n, "n"),
        hash=cbor.octets(digest, "hash", HASH_BYTES),
        reason=cbor.text(reason, "reason", REASON_CHARACTERS),
    )
