"""Sealing: when waiting rows become a batch, and how. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from agent.wire import batch, senml
from agent.wire.batch import Clock, Header, Kind, Stream
from agent.wire.bodies import End
from agent.wire.keys import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment, as the node knows it.

    Attributes:
        boot: Kernel boot id, 16 bytes.
        boot_ms: CLOCK_BOOTTIME.
        utc_ms: The same moment in UTC where it is believed.
        clock: ``Clock``, plus ``STEPPED``.
    """

    boot: bytes
    boot_ms: int
    utc_ms: int | None = None
    clock: int = Clock.UNKNOWN

    def not_before(self, boot_ms: int) -> "Moment":
        """Return this moment, or a later one of the same mapping where ``boot_ms`` is later."""
        late_ms = boot_ms - self.boot_ms
        if late_ms <= 0:
            return self
        utc_ms = None if self.utc_ms is None else self.utc_ms + late_ms
        return Moment(boot=self.boot, boot_ms=boot_ms, utc_ms=utc_ms, clock=self.clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Largest batch."""

    rows: int = 500
    plain_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Longest time that rows wait for their batch, in seconds."""

    live_s: float = 10
    metered_s: float = 60
    offline_s: float = 600
    empty_after_s: float = 60

    def wait_s(self, *, online: bool, metered: bool) -> float:
        """Return how long telemetry waits before it is sealed."""
        if not online:
            return self.offline_s
        return self.metered_s if metered else self.live_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A signed batch, ready for the spool. ``end`` is where its chain stands after it."""

    stream: Stream
    kind: Kind
    seq0: int
    count: int
    origin: bytes | None
    message: bytes
    end: End


_PACK_BYTES = 32
"""The brackets of a pack and its base time."""


def plain_bytes(row: senml.Row) -> int:
    """Return an upper bound for what a row adds to the plain body, in bytes."""
    value = _text_bytes(row.value) if isinstance(row.value, str) else 24
    return 56 + value + sum(56 + len(flag) for flag in row.flags)


def _base_bytes(row: senml.Row) -> int:
    """Return an upper bound for the base name and unit in front of the first row of a channel, in bytes."""
    return len(row.path) + _text_bytes(row.unit) + 96


def _text_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())


def cut(rows: Sequence[senml.Row], limits: Limits) -> list[Sequence[senml.Row]]:
    """Cut rows into runs that fit a batch each, in order; the base of each channel is counted once a batch."""
    pieces: list[Sequence[senml.Row]] = []
    start, size, bases = 0, _PACK_BYTES, set[tuple[str, str]]()
    for at, row in enumerate(rows):
        cost = plain_bytes(row) + (0 if (row.path, row.unit) in bases else _base_bytes(row))
        if at > start and (at - start >= limits.rows or size + cost > limits.plain_bytes):
            pieces.append(rows[start:at])
            start, size, bases = at, _PACK_BYTES, set()
            cost = plain_bytes(row) + _base_bytes(row)
        size += cost
        bases.add((row.path, row.unit))
    if start < len(rows):
        pieces.append(rows[start:])
    return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealer:
    """Seals for one run under one key."""

    city: str
    node: str
    run: bytes
    signer: Signer

    def readings(self, rows: Sequence[senml.Row], *, stream: Stream, end: End, moment: Moment) -> Sealed:
        """Seal the rows numbered from ``end.seq + 1`` on. No rows make an empty batch."""
        moment = moment.not_before(max((row.boot_ms for row in rows), default=0))
        plain = self._pack(rows, moment)
        return self._sign(Kind.READINGS, plain, stream=stream, end=end, moment=moment, count=len(rows))

    def taken_over(
        self, rows: Sequence[senml.Row], *, seq0: int, origin: bytes, boot: bytes, stream: Stream, end: End
    ) -> Sealed:
        """Seal rows of an earlier run, numbered from ``seq0`` there, of one boot."""
        moment = Moment(boot=boot, boot_ms=max(row.boot_ms for row in rows))
        plain = self._pack(rows, moment)
        return self._sign(
            Kind.READINGS, plain, stream=stream, end=end, moment=moment, count=len(rows), seq0=seq0, origin=origin
        )

    def record(self, kind: Kind, body: bytes, *, stream: Stream, end: End, moment: Moment) -> Sealed:
        """Seal one record that is no reading."""
        return self._sign(kind, body, stream=stream, end=end, moment=moment)

    def _pack(self, rows: Sequence[senml.Row], moment: Moment) -> bytes:
        return senml.pack(rows, node=f"{self.city}/{self.node}", at_boot_ms=moment.boot_ms, at_utc_ms=moment.utc_ms)

    def _sign(
        self,
        kind: Kind,
        plain: bytes,
        *,
        stream: Stream,
        end: End,
        moment: Moment,
        count: int = 0,
        seq0: int | None = None,
        origin: bytes | None = None,
    ) -> Sealed:
        coding, body = batch.deflate(plain)
        header = Header(
            kind=kind,
            city=self.city,
            node=self.node,
            stream=stream,
            n=end.n + 1,
            prev=end.hash,
            run=self.run,
            boot=moment.boot,
            count=count,
            seq0=end.seq + 1 if seq0 is None else seq0,
            at_boot_ms=moment.boot_ms,
            at_utc_ms=moment.utc_ms,
            clock=moment.clock,
            coding=coding,
            digest=batch.digest_of(body),
            origin=origin,
        )
        message, digest = batch.seal(header, body, self.signer)
        own = count if origin is None else 0
        return Sealed(
            stream=stream,
            kind=kind,
            seq0=header.seq0,
            count=count,
            origin=origin,
            message=message,
            end=End(n=end.n + 1, hash=digest, seq=end.seq + own),
        )
