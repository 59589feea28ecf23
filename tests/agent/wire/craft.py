"""Messages for the vectors: good ones by the agent's own code, bad ones put together piece by piece.

Keys, ids and moments are fixed, Ed25519 has no chance in it: every run makes the same bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cbor2

from agent.wire import batch, senml
from agent.wire.batch import NO_HASH, Clock, Coding, Header, Kind, Stream
from agent.wire.bodies import End, Previous, Start
from agent.wire.keys import Signer
from agent.wire.senml import Row

CITY, NODE = "bandung", "dago-01"
RUN_A, RUN_B, RUN_C = b"\xaa" * 16, b"\xbb" * 16, b"\xcc" * 16
BOOT, OLD_BOOT = b"\xb0\x07" * 8, b"\xb0\x06" * 8
NONCE = b"\x0e" * 16
AT_BOOT_MS, AT_UTC_MS = 3_600_000, 1_795_000_000_250
EDDSA = -8


def signer(name: str) -> Signer:
    """Return the key that a name stands for."""
    return Signer(hashlib.sha256(f"gardu wire vectors: {name}".encode()).digest())


NODE_KEY, OTHER_KEY, NEW_KEY = signer("node"), signer("other node"), signer("new key of node")
ACK_KEY, ORDER_KEY, STRANGER = signer("center ack"), signer("center order"), signer("stranger")

ROWS = (
    Row(path="air/pm2_5", unit="ug/m3", boot_ms=AT_BOOT_MS - 2000, value=12.4),
    Row(path="air/pm2_5", unit="ug/m3", boot_ms=AT_BOOT_MS - 1000, value=12.6),
    Row(path="sungai/level", unit="m", boot_ms=AT_BOOT_MS - 750, value=1.234, flags=("step",)),
)


@dataclass(slots=True)
class Chain:
    """Writes one chain of one run, batch after batch."""

    run: bytes
    stream: Stream = Stream.TELEMETRY
    boot: bytes = BOOT
    key: Signer = field(default_factory=lambda: NODE_KEY)
    city: str = CITY
    node: str = NODE
    end: End = field(default_factory=End)
    at_boot_ms: int = AT_BOOT_MS
    at_utc_ms: int | None = AT_UTC_MS

    def header(self, kind: Kind, body: bytes, coding: Coding = Coding.PLAIN, count: int = 0) -> Header:
        """Return the header that the next batch would get."""
        return Header(
            kind=kind,
            city=self.city,
            node=self.node,
            stream=self.stream,
            n=self.end.n + 1,
            prev=self.end.hash,
            run=self.run,
            boot=self.boot,
            count=count,
            seq0=self.end.seq + 1,
            at_boot_ms=self.at_boot_ms,
            at_utc_ms=self.at_utc_ms,
            clock=Clock.UNKNOWN if self.at_utc_ms is None else Clock.SYNCHRONISED,
            coding=coding,
            digest=batch.digest_of(body),
        )

    def put(self, header: Header, body: bytes, own: int) -> bytes:
        """Seal, move on and return the message."""
        message, name = batch.seal(header, body, self.key)
        self.end = End(n=header.n, hash=name, seq=self.end.seq + own)
        return message

    def record(self, kind: Kind, plain: bytes) -> bytes:
        """Add a record that is no reading."""
        coding, body = batch.deflate(plain)
        return self.put(self.header(kind, body, coding), body, 0)

    def start(self, start: Start | None = None) -> bytes:
        """Add the start record."""
        return self.record(Kind.START, (start or START).encode())

    def readings(self, rows: Sequence[Row], *, squeeze: bool = True) -> bytes:
        """Add rows of this run."""
        plain = senml.pack(rows, node=f"{self.city}/{self.node}", at_boot_ms=self.at_boot_ms, at_utc_ms=self.at_utc_ms)
        coding, body = batch.deflate(plain) if squeeze else (Coding.PLAIN, plain)
        return self.put(self.header(Kind.READINGS, body, coding, len(rows)), body, len(rows))

    def taken_over(self, rows: Sequence[Row], *, origin: bytes, boot: bytes, seq0: int) -> bytes:
        """Add rows that another run took."""
        moment = max(row.boot_ms for row in rows)
        plain = senml.pack(rows, node=f"{self.city}/{self.node}", at_boot_ms=moment, at_utc_ms=None)
        coding, body = batch.deflate(plain)
        header = replace(
            self.header(Kind.READINGS, body, coding, len(rows)),
            boot=boot,
            seq0=seq0,
            at_boot_ms=moment,
            at_utc_ms=None,
            clock=Clock.UNKNOWN,
            origin=origin,
        )
        return self.put(header, body, 0)


START = Start(previous=None, restarts=0, version="0.1.0", slot="golden", config_hash="c0" * 32)


def previous(chain: Chain, *, clean: bool, seq: int) -> Previous:
    """Return what the next start says of a run with one telemetry chain. ``seq``: highest that is durable."""
    return Previous(
        run=chain.run,
        boot=chain.boot,
        alarm=End(),
        telemetry=replace(chain.end, seq=seq),
        at_boot_ms=chain.at_boot_ms,
        at_utc_ms=chain.at_utc_ms,
        clean=clean,
    )


def rows(count: int, *, first_ms: int = AT_BOOT_MS - 60_000, path: str = "listrik/power") -> list[Row]:
    """Return that many readings, one a second."""
    return [Row(path=path, unit="W", boot_ms=first_ms + 1000 * i, value=100 + i) for i in range(count)]


# -- bad ones -----------------------------------------------------------------------------------------------------


def raw(value: object) -> bytes:
    """Return CBOR without any care for what belongs there."""
    return cbor2.dumps(value, canonical=True)


_FIELDS = (
    *("kind", "node", "stream", "n", "prev", "run", "boot"),
    *("count", "seq0", "moment", "clock", "coding", "digest", "origin"),
)


def fields(**changes: object) -> dict[int, object]:
    """Return the fields of a good header (kind 0, telemetry, n = 2), changed by name; ``...`` leaves one out."""
    good: dict[int, object] = {
        1: 0,
        2: f"{CITY}/{NODE}",
        3: 1,
        4: 2,
        5: b"\x11" * 32,
        6: RUN_A,
        7: BOOT,
        8: 0,
        9: 1,
        10: [AT_BOOT_MS, AT_UTC_MS],
        11: 0,
        12: 0,
        13: NO_HASH,
    }
    for name, value in changes.items():
        good[_FIELDS.index(name) + 1] = value
    return {key: value for key, value in good.items() if value is not ...}


def sign1(
    header: bytes,
    *,
    key: Signer = NODE_KEY,
    protected: object = None,
    unprotected: Mapping[object, object] | None = None,
    tag: int | None = 18,
    aad: Sequence[str] = ("gardu1", "batch", CITY, NODE),
    spoil: int | None = None,
    cut: int = 64,
) -> bytes:
    """Return a signed COSE_Sign1 in which anything may be wrong."""
    head = protected if isinstance(protected, bytes) else raw(protected or {1: EDDSA, 4: key.kid})
    signature = bytearray(key.sign(raw(["Signature1", head, raw(list(aad)), header])))
    if spoil is not None:
        signature[spoil // 8] ^= 1 << spoil % 8
    body = [head, dict(unprotected or {}), header, bytes(signature[:cut])]
    return raw(body if tag is None else cbor2.CBORTag(tag, body))


def message(
    body: bytes = b"[]",
    *,
    header: bytes | None = None,
    changes: Mapping[str, object] | None = None,
    signed: bytes | None = None,
    version: object = 1,
) -> bytes:
    """Return a message around a body; the digest fits unless the changes say otherwise."""
    if header is None:
        header = raw(fields(**{"digest": batch.digest_of(body), **(changes or {})}))
    return raw([version, sign1(header) if signed is None else signed, body])


def pack(text: str, *, count: int = 1) -> bytes:
    """Return a message of kind 0 whose body is this JSON text."""
    return message(text.encode("utf-8", "surrogatepass"), changes={"count": count})
