"""The batch: rows (or one record) sealed under one signature, chained to the batch before it.

message = [1, sign1, body]; the payload of sign1 is the header, which holds the SHA-256 of the body as sent.
Checks run in the order size, form, key, signature, node, digest, count; the chain is the caller's, who has the
neighbours.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from agent.wire import cbor, cose, senml
from agent.wire.errors import Reason, WireError
from agent.wire.keys import Signer, Verifier
from agent.wire.topics import NAME

VERSION = 1
MESSAGE_BYTES = 256 * 1024
"""Largest message, and largest body once inflated."""
HASH_BYTES = 32
ID_BYTES = 16
NO_HASH = bytes(HASH_BYTES)
"""``prev`` of n = 1, and the hash of what is not there."""
_SQUEEZE = 9
_JSON_DEPTH = 4


class Kind(IntEnum):
    """What the body says."""

    READINGS = 0
    START = 1
    GAP = 2
    TIME = 3
    KEY = 4
    NOTE = 5
    RESULT = 6


class Stream(IntEnum):
    """Which of the two chains of a run."""

    ALARM = 0
    TELEMETRY = 1


class Clock(IntEnum):
    """How far the node believed its own UTC when it sealed."""

    SYNCHRONISED = 0
    HOLDOVER = 1
    UNKNOWN = 2


STEPPED = 4
"""Added to the clock when it stepped since the last batch."""


class Coding(IntEnum):
    """How the body is written."""

    PLAIN = 0
    DEFLATE = 1


_STREAMS = {
    Kind.READINGS: frozenset(Stream),
    Kind.START: frozenset(Stream),
    Kind.GAP: frozenset(Stream),
    Kind.TIME: frozenset({Stream.TELEMETRY}),
    Kind.KEY: frozenset({Stream.ALARM}),
    Kind.NOTE: frozenset({Stream.ALARM}),
    Kind.RESULT: frozenset({Stream.ALARM}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The signed part of a batch.

    Attributes:
        kind: What the body says.
        city: Tenant.
        node: The box that signed.
        stream: Alarm or telemetry.
        n: 1, 2, 3... per run and stream.
        prev: SHA-256 of the previous sign1 of this run and stream; zeros at n = 1.
        run: 16 random bytes, one life of the process.
        boot: Kernel boot id, 16 bytes, of the boot that took the rows.
        count: Readings in the body; 0 for other kinds.
        seq0: Number of the first row; for other kinds the number the next row will get.
        at_boot_ms: CLOCK_BOOTTIME at sealing, ms (of the last row where ``origin`` is set).
        at_utc_ms: The same moment in UTC where the node believed its clock.
        clock: ``Clock``, plus ``STEPPED``.
        coding: How the body is written.
        digest: SHA-256 of the body as sent.
        origin: Run that took the rows, when it was another one or its rows are sealed once more; None for the next
            rows of the run itself.
    """

    kind: Kind
    city: str
    node: str
    stream: Stream
    n: int
    prev: bytes
    run: bytes
    boot: bytes
    count: int
    seq0: int
    at_boot_ms: int
    at_utc_ms: int | None
    clock: int
    coding: Coding
    digest: bytes
    origin: bytes | None = None

    def encode(self) -> bytes:
        """Return the header's deterministic CBOR."""
        fields: dict[int, cbor.Value] = {
            1: int(self.kind),
            2: f"{self.city}/{self.node}",
            3: int(self.stream),
            4: self.n,
            5: self.prev,
            6: self.run,
            7: self.boot,
            8: self.count,
            9: self.seq0,
            10: [self.at_boot_ms, self.at_utc_ms],
            11: self.clock,
            12: int(self.coding),
            13: self.digest,
        }
        if self.origin is not None:
            fields[14] = self.origin
        return cbor.encode(fields)


_REQUIRED = frozenset(range(1, 14))
_OPTIONAL = frozenset({14})
_CLOCKS = frozenset({*Clock, *(STEPPED + clock for clock in Clock)})


def decode_header(data: bytes) -> Header:
    """Read a header strictly. Raises WireError: form, not_canonical."""
    fields = cbor.table(cbor.decode(data), "header", _REQUIRED, _OPTIONAL)
    city, _, node = cbor.text(fields[2], "city/node").partition("/")
    if not NAME.fullmatch(city) or not NAME.fullmatch(node):
        raise WireError(Reason.FORM, f"{city}/{node} is not city/node")
    at_boot_ms, at_utc_ms = cbor.array(fields[10], "moment", 2)
    kind, stream = cbor.uint(fields[1], "kind"), cbor.uint(fields[3], "stream", max(Stream))
    clock = cbor.uint(fields[11], "clock")
    if kind not in _STREAMS or stream not in _STREAMS[Kind(kind)]:
        raise WireError(Reason.FORM, f"kind {kind} does not travel in stream {stream}")
    if clock not in _CLOCKS:
        raise WireError(Reason.FORM, f"clock {clock} has no meaning")
    header = Header(
        kind=Kind(kind),
        city=city,
        node=node,
        stream=Stream(stream),
        n=cbor.uint(fields[4], "n"),
        prev=cbor.octets(fields[5], "prev", HASH_BYTES),
        run=cbor.octets(fields[6], "run", ID_BYTES),
        boot=cbor.octets(fields[7], "boot", ID_BYTES),
        count=cbor.uint(fields[8], "count"),
        seq0=cbor.uint(fields[9], "seq0"),
        at_boot_ms=cbor.uint(at_boot_ms, "boot ms"),
        at_utc_ms=None if at_utc_ms is None else cbor.uint(at_utc_ms, "utc ms"),
        clock=clock,
        coding=Coding(cbor.uint(fields[12], "coding", max(Coding))),
        digest=cbor.octets(fields[13], "digest", HASH_BYTES),
        origin=cbor.octets(fields[14], "origin", ID_BYTES) if 14 in fields else None,  # noqa: PLR2004
    )
    _check(header)
    return header


def _check(header: Header) -> None:
    if header.n == 0 or header.seq0 == 0:
        raise WireError(Reason.FORM, "n and seq0 count from 1")
    if (header.n == 1) != (header.prev == NO_HASH):
        raise WireError(Reason.FORM, "prev is zero at n = 1 and only there")
    if (header.n == 1) != (header.kind is Kind.START):
        raise WireError(Reason.FORM, "a chain begins with its start record, and has one")
    if header.kind is not Kind.READINGS and (header.count or header.origin is not None):
        raise WireError(Reason.FORM, "only readings have a count or an origin")
    if header.origin is not None and header.clock != Clock.UNKNOWN:
        raise WireError(Reason.FORM, "rows with an origin have no believed time")
    if (header.at_utc_ms is None) != (header.clock % STEPPED == Clock.UNKNOWN):
        raise WireError(Reason.FORM, "the clock is 2 where no UTC is given, and only there")
    if header.seq0 + header.count > cbor.UINT_MAX:
        raise WireError(Reason.FORM, "seq beyond 2^53")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch that passed every check but the chain.

    Attributes:
        header: The signed part.
        sign1: The bytes the next ``prev`` hashes.
        message: The whole, as received.
        plain: The body, inflated.
        rows: The readings of kind 0; empty for the others.
        key: Who signed.
    """

    header: Header
    sign1: bytes
    message: bytes
    plain: bytes
    rows: tuple[senml.Row, ...]
    key: Verifier

    @property
    def hash(self) -> bytes:
        """SHA-256 of the sign1: the name of this batch."""
        return hash_of(self.sign1)


def hash_of(sign1: bytes) -> bytes:
    """Return the name of a batch: SHA-256 over its sign1."""
    return hashlib.sha256(sign1).digest()


def deflate(plain: bytes) -> tuple[Coding, bytes]:
    """Return the shorter of a body as it is and its raw DEFLATE (RFC 1951)."""
    squeezer = zlib.compressobj(_SQUEEZE, zlib.DEFLATED, -zlib.MAX_WBITS)
    squeezed = squeezer.compress(plain) + squeezer.flush()
    return (Coding.DEFLATE, squeezed) if len(squeezed) < len(plain) else (Coding.PLAIN, plain)


def digest_of(body: bytes) -> bytes:
    """Return the digest of a body as sent."""
    return hashlib.sha256(body).digest()


def seal(header: Header, body: bytes, signer: Signer) -> tuple[bytes, bytes]:
    """Sign a header over a body as sent; return (message, hash)."""
    sign1 = cose.sign(header.encode(), purpose="batch", city=header.city, node=header.node, signer=signer)
    return cbor.encode([VERSION, sign1, body]), hash_of(sign1)


def split(message: bytes) -> tuple[bytes, bytes]:
    """Take a message apart into sign1 and body. Raises WireError: size, form, not_canonical, version."""
    if len(message) > MESSAGE_BYTES:
        raise WireError(Reason.SIZE, f"{len(message)} bytes; at most {MESSAGE_BYTES}")
    version, sign1, body = cbor.array(cbor.decode(message), "message", 3)
    if cbor.uint(version, "version") != VERSION:
        raise WireError(Reason.VERSION, f"format {version!r} is not known here")
    return cbor.octets(sign1, "sign1"), cbor.octets(body, "body")


def peek(message: bytes) -> Header:
    """Read the header of a message without trusting it. Raises WireError."""
    sign1, _ = split(message)
    return decode_header(cose.parts(sign1).payload)


def open_batch(message: bytes, *, city: str, node: str, find_key: cose.FindKey) -> Batch:
    """Check a message that claims to come from a node; return what it says.

    Raises:
        WireError: with the first check that failed.
    """
    sign1, body = split(message)
    signed = cose.verify(sign1, purpose="batch", city=city, node=node, find_key=find_key)
    header = decode_header(signed.payload)
    if (header.city, header.node) != (city, node):
        raise WireError(Reason.NODE, f"the header says {header.city}/{header.node}, the topic {city}/{node}")
    if digest_of(body) != header.digest:
        raise WireError(Reason.DIGEST, "the body is not the one that was signed")
    plain = inflate(body) if header.coding is Coding.DEFLATE else body
    rows: Sequence[senml.Row] = ()
    if header.kind is Kind.READINGS:
        rows = senml.unpack(plain, node=f"{city}/{node}", at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms)
        if len(rows) != header.count:
            raise WireError(Reason.COUNT, f"{len(rows)} readings in the body, {header.count} in the header")
    else:
        record(plain)
    return Batch(header=header, sign1=sign1, message=message, plain=plain, rows=tuple(rows), key=signed.key)


def plain_of(message: bytes) -> bytes:
    """Return the inflated body of a message without trusting it. Raises WireError."""
    sign1, body = split(message)
    return inflate(body) if decode_header(cose.parts(sign1).payload).coding is Coding.DEFLATE else body


def inflate(body: bytes) -> bytes:
    """Inflate raw DEFLATE that ends where the body ends and stays within the limit. Raises WireError: coding, size."""
    opener = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = opener.decompress(body, MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise WireError(Reason.CODING, f"not raw DEFLATE: {error}") from error
    if len(plain) > MESSAGE_BYTES:
        raise WireError(Reason.SIZE, f"more than {MESSAGE_BYTES} bytes once inflated")
    if not opener.eof or opener.unused_data:
        raise WireError(Reason.CODING, "raw DEFLATE that does not end where the body ends")
    return plain


def record(plain: bytes) -> dict[str, object]:
    """Read the JSON object of a kind other than readings. Raises WireError: body."""
    value = senml.load_json(plain)
    if not isinstance(value, dict):
        raise WireError(Reason.BODY, "the body is not a JSON object")
    if _depth(value) > _JSON_DEPTH:
        raise WireError(Reason.BODY, f"nested deeper than {_JSON_DEPTH}")
    return value


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
