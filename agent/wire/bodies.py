"""Bodies of the records that are no readings: JSON objects, byte strings as lower-case hex.

Every reader ignores keys it does not know, so a newer node may say more; what it needs it checks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.wire.batch import HASH_BYTES, ID_BYTES, NO_HASH, record
from agent.wire.cbor import UINT_MAX
from agent.wire.errors import Reason, WireError

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


def encode_body(body: Mapping[str, Json]) -> bytes:
    """Return the JSON text of a body."""
    return json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Where a chain ends: its last n, that batch's hash, and the highest seq it took."""

    n: int = 0
    hash: bytes = NO_HASH
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Rows ``first`` to ``last`` by seq, of one origin run."""

    origin: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSpan:
    """Batches ``first`` to ``last`` of one run: the prev of the first and the hash of the last."""

    run: bytes
    first: int
    last: int
    prev: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The run before this one, as the disk shows it."""

    run: bytes
    boot: bytes
    alarm: End
    telemetry: End
    at_boot_ms: int
    at_utc_ms: int | None
    clean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Body of kind 1: how a run begins.

    Attributes:
        previous: The newest other run on disk; None on a fresh disk.
        taken_over: Rows found durable but unsealed, that this run seals.
        torn_bytes: Bytes of a torn tail that were cut.
        damaged_frames: Bad frames that were stepped over.
        restarts: Starts since the previous run that left nothing on disk; None where nobody counts.
        version: Of the agent.
        slot: Release slot, or "".
        config_hash: SHA-256 of the effective configuration.
        config: The redacted configuration as JSON text, once per hash.
        volatile: True for a run in memory.
    """

    previous: Previous | None
    taken_over: tuple[Span, ...] = ()
    torn_bytes: int = 0
    damaged_frames: int = 0
    restarts: int | None = None
    version: str = ""
    slot: str = ""
    config_hash: str = ""
    config: str | None = None
    volatile: bool = False

    def encode(self) -> bytes:
        """Return the JSON body."""
        body: dict[str, Json] = {
            "previous": None if self.previous is None else _previous_json(self.previous),
            "taken_over": [_span_json(span) for span in self.taken_over],
            "torn_bytes": self.torn_bytes,
            "damaged_frames": self.damaged_frames,
            "restarts": self.restarts,
            "version": self.version,
            "slot": self.slot,
            "config_hash": self.config_hash,
            "volatile": self.volatile,
        }
        if self.config is not None:
            body["config"] = self.config
        return encode_body(body)


class GapReason(StrEnum):
    """Why batches or rows are gone. A reader takes any text, for a newer node may have another reason."""

    FULL = "full"
    """Thrown away, because new rows needed their place."""
    DAMAGED = "damaged"
    """The medium lost them. Rows that survived are sealed again and not named."""
    REFUSED = "refused"
    """The center refused them for good."""
    CENTER_RESTORED = "center_restored"
    """The center had them, forgot them, and the node has them no more: it names batches and cannot name rows."""
    TOO_LARGE = "too_large"
    """No broker on the way takes them: all rows are sealed again in smaller batches of the gap's own chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Body of kind 2: what is missing, said by the node itself.

    Attributes:
        chains: Batches that are gone.
        rows: Rows that are gone; those of the batches that were sealed again are not named.
        from_utc_ms: UTC of the first lost row where known.
        to_utc_ms: UTC of the last lost row where known.
        reason: One of ``GapReason``.
    """

    chains: tuple[ChainSpan, ...]
    rows: tuple[Span, ...]
    from_utc_ms: int | None
    to_utc_ms: int | None
    reason: str

    def encode(self) -> bytes:
        """Return the JSON body."""
        return encode_body(
            {
                "chains": [[c.run.hex(), c.first, c.last, c.prev.hex(), c.hash.hex()] for c in self.chains],
                "rows": [_span_json(span) for span in self.rows],
                "from": self.from_utc_ms,
                "to": self.to_utc_ms,
                "reason": self.reason,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Body of kind 3: the node's UTC at a moment of a boot.

    Attributes:
        boot: Kernel boot id.
        at_boot_ms: Moment in CLOCK_BOOTTIME.
        at_utc_ms: The same moment in UTC.
        uncertainty_ms: Half width of what it may be off.
        source: ``kernel``, ``rtc``, ``gnss`` or ``hand``.
    """

    boot: bytes
    at_boot_ms: int
    at_utc_ms: int
    uncertainty_ms: int
    source: str

    def encode(self) -> bytes:
        """Return the JSON body."""
        return encode_body(
            {
                "boot": self.boot.hex(),
                "boot_ms": self.at_boot_ms,
                "utc_ms": self.at_utc_ms,
                "uncertainty_ms": self.uncertainty_ms,
                "source": self.source,
            }
        )


def _span_json(span: Span) -> list[Json]:
    return [span.origin.hex(), span.first, span.last]


def _end_json(end: End) -> list[Json]:
    return [end.n, end.hash.hex(), end.seq]


def _previous_json(previous: Previous) -> dict[str, Json]:
    return {
        "run": previous.run.hex(),
        "boot": previous.boot.hex(),
        "alarm": _end_json(previous.alarm),
        "telemetry": _end_json(previous.telemetry),
        "boot_ms": previous.at_boot_ms,
        "utc_ms": previous.at_utc_ms,
        "clean": previous.clean,
    }


def decode_start(plain: bytes) -> Start:
    """Read a start body. Raises WireError: body."""
    body = record(plain)
    previous = body.get("previous")
    restarts, config = body.get("restarts"), body.get("config")
    return Start(
        previous=None if previous is None else _previous(previous),
        taken_over=tuple(_span(item) for item in _list(body.get("taken_over"))),
        torn_bytes=_uint(body.get("torn_bytes", 0)),
        damaged_frames=_uint(body.get("damaged_frames", 0)),
        restarts=None if restarts is None else _uint(restarts),
        version=_text(body.get("version", "")),
        slot=_text(body.get("slot", "")),
        config_hash=_text(body.get("config_hash", "")),
        config=None if config is None else _text(config),
        volatile=body.get("volatile") is True,
    )


def decode_gap(plain: bytes) -> Gap:
    """Read a gap body. Raises WireError: body."""
    body = record(plain)
    start, end = body.get("from"), body.get("to")
    return Gap(
        chains=tuple(_chain(item) for item in _list(body.get("chains"))),
        rows=tuple(_span(item) for item in _list(body.get("rows"))),
        from_utc_ms=None if start is None else _uint(start),
        to_utc_ms=None if end is None else _uint(end),
        reason=_text(body.get("reason")),
    )


def decode_time(plain: bytes) -> Time:
    """Read a time body. Raises WireError: body."""
    body = record(plain)
    return Time(
        boot=_hex(body.get("boot"), ID_BYTES),
        at_boot_ms=_uint(body.get("boot_ms")),
        at_utc_ms=_uint(body.get("utc_ms")),
        uncertainty_ms=_uint(body.get("uncertainty_ms")),
        source=_text(body.get("source")),
    )


def _uint(value: object) -> int:
    if type(value) is int and 0 <= value <= UINT_MAX:
        return value
    raise WireError(Reason.BODY, f"{value!r} is not an integer from 0 to {UINT_MAX}")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise WireError(Reason.BODY, f"{value!r} is not a text")


def _hex(value: object, length: int) -> bytes:
    try:
        found = bytes.fromhex(_text(value))
    except ValueError as error:
        raise WireError(Reason.BODY, f"{value!r} is not hex") from error
    if len(found) != length or found.hex() != value:
        raise WireError(Reason.BODY, f"{value!r} is not {length} bytes of lower-case hex")
    return found


def _list(value: object, length: int | None = None) -> list[object]:
    if isinstance(value, list) and length in (None, len(value)):
        return value
    raise WireError(Reason.BODY, f"{value!r} is not an array{'' if length is None else f' of {length}'}")


def _span(value: object) -> Span:
    origin, first, last = _list(value, 3)
    span = Span(origin=_hex(origin, ID_BYTES), first=_uint(first), last=_uint(last))
    if not 0 < span.first <= span.last:
        raise WireError(Reason.BODY, f"rows {span.first} to {span.last}")
    return span


def _chain(value: object) -> ChainSpan:
    run, first, last, prev, digest = _list(value, 5)
    span = ChainSpan(
        run=_hex(run, ID_BYTES),
        first=_uint(first),
        last=_uint(last),
        prev=_hex(prev, HASH_BYTES),
        hash=_hex(digest, HASH_BYTES),
    )
    if not 0 < span.first <= span.last:
        raise WireError(Reason.BODY, f"batches {span.first} to {span.last}")
    return span


def _end(value: object) -> End:
    n, digest, seq = _list(value, 3)
    return End(n=_uint(n), hash=_hex(digest, HASH_BYTES), seq=_uint(seq))


def _previous(value: object) -> Previous:
    if not isinstance(value, dict):
        raise WireError(Reason.BODY, "the previous run is not an object")
    utc = value.get("utc_ms")
    return Previous(
        run=_hex(value.get("run"), ID_BYTES),
        boot=_hex(value.get("boot"), ID_BYTES),
        alarm=_end(value.get("alarm")),
        telemetry=_end(value.get("telemetry")),
        at_boot_ms=_uint(value.get("boot_ms")),
        at_utc_ms=None if utc is None else _uint(utc),
        clean=value.get("clean") is True,
    )
