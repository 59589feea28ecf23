"""A node reduced to what the center sees of it: signed batches, hellos, and the acks it can read."""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.wire import topics
from agent.wire.ack import Ack, open_ack
from agent.wire.batch import (
    NO_HASH,
    Clock,
    Coding,
    Header,
    Kind,
    Stream,
    deflate,
    digest_of,
    open_batch,
    seal,
)
from agent.wire.bodies import ChainSpan, End, Gap, GapReason, Previous, Span, Start, Time
from agent.wire.hello import Chain, encode_hello
from agent.wire.keys import Signer, Verifier
from agent.wire.senml import Row, pack
from center.receiver import Message

CITY = "bandung"
UTC_MS = 1_767_225_600_000
_BOOT_MS = 1_000_000
_chance = random.Random()  # noqa: S311 - values of sensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A batch as it would lie on the node's disk."""

    header: Header
    message: bytes
    hash: bytes


@dataclass(slots=True)
class FakeNode:
    """One node with its key; ``run`` changes with ``restart``."""

    name: str = "dago-01"
    city: str = CITY
    signer: Signer = field(default_factory=lambda: Signer(os.urandom(32)))
    run: bytes = field(default_factory=lambda: os.urandom(16))
    boot: bytes = field(default_factory=lambda: os.urandom(16))
    synchronised: bool = True
    boot_ms: int = _BOOT_MS
    made: dict[tuple[bytes, Stream], list[Made]] = field(default_factory=dict)
    seq: dict[tuple[bytes, Stream], int] = field(default_factory=dict)

    @property
    def box(self) -> tuple[str, str]:
        return (self.city, self.name)

    def _chain(self, stream: Stream) -> list[Made]:
        return self.made.setdefault((self.run, stream), [])

    def seal(self, kind: Kind, body: bytes, *, stream: Stream, count: int = 0, **changes: object) -> Made:
        chain = self._chain(stream)
        coding, sent = deflate(body)
        utc = UTC_MS + self.boot_ms if self.synchronised else None
        header = Header(
            kind=kind,
            city=self.city,
            node=self.name,
            stream=stream,
            n=len(chain) + 1,
            prev=chain[-1].hash if chain else NO_HASH,
            run=self.run,
            boot=self.boot,
            count=count,
            seq0=self.seq.get((self.run, stream), 0) + 1,
            at_boot_ms=self.boot_ms,
            at_utc_ms=utc,
            clock=Clock.SYNCHRONISED if self.synchronised else Clock.UNKNOWN,
            coding=coding,
            digest=digest_of(sent),
        )
        header = replace(header, **changes)  # type: ignore[arg-type]  # names and types are those of Header
        message, batch_hash = seal(header, sent, self.signer)
        made = Made(header=header, message=message, hash=batch_hash)
        chain.append(made)
        if header.origin is None:
            self.seq[self.run, stream] = header.seq0 + count - 1
        return made

    def start(
        self,
        stream: Stream = Stream.TELEMETRY,
        *,
        previous: Previous | None = None,
        volatile: bool = False,
        taken_over: tuple[Span, ...] = (),
    ) -> Made:
        body = Start(previous=previous, volatile=volatile, taken_over=taken_over)
        return self.seal(Kind.START, body.encode(), stream=stream)

    def rows(self, count: int, *, channels: int = 8) -> list[Row]:
        """Rows of the last ``count / channels`` seconds, each channel's together."""
        self.boot_ms += 1000 * (count // channels + 1)
        rows = []
        for channel in range(channels):
            value = 20.0
            for place in range(count // channels + (channel < count % channels)):
                value = round(value + _chance.uniform(-0.2, 0.2), 2)
                at = self.boot_ms - 1000 * (count // channels - place) - _chance.randrange(20)
                flags = ("stale",) if _chance.random() < 0.01 else ()
                rows.append(Row(path=f"s{channel}/value", unit="Cel", boot_ms=at, value=value, flags=flags))
        return rows

    def readings(
        self,
        rows: int | Sequence[Row] = 8,
        *,
        stream: Stream = Stream.TELEMETRY,
        **changes: object,
    ) -> Made:
        """Seal readings, after a start when the chain has none."""
        if not self._chain(stream):
            self.start(stream)
        taken = self.rows(rows) if isinstance(rows, int) else rows
        utc = UTC_MS + self.boot_ms if self.synchronised and "origin" not in changes else None
        body = pack(taken, node=f"{self.city}/{self.name}", at_boot_ms=self.boot_ms, at_utc_ms=utc)
        if "origin" in changes:
            changes = {"at_utc_ms": None, "clock": Clock.UNKNOWN, **changes}
        return self.seal(Kind.READINGS, body, stream=stream, count=len(taken), **changes)

    def rows_of(self, made: Made) -> Sequence[Row]:
        """Read the rows of a batch back."""
        key = Verifier(self.signer.public)
        return open_batch(made.message, city=self.city, node=self.name, find_key={key.kid: key}.get).rows

    def gap(
        self,
        chains: Sequence[ChainSpan],
        rows: Sequence[Span] = (),
        *,
        stream: Stream = Stream.TELEMETRY,
        reason: str = GapReason.FULL,
    ) -> Made:
        body = Gap(chains=tuple(chains), rows=tuple(rows), from_utc_ms=None, to_utc_ms=None, reason=reason)
        return self.seal(Kind.GAP, body.encode(), stream=stream)

    def time(self, at_boot_ms: int, at_utc_ms: int) -> Made:
        body = Time(boot=self.boot, at_boot_ms=at_boot_ms, at_utc_ms=at_utc_ms, uncertainty_ms=5, source="kernel")
        return self.seal(Kind.TIME, body.encode(), stream=Stream.TELEMETRY)

    def end(self, run: bytes, stream: Stream) -> End:
        chain = self.made.get((run, stream), [])
        return End(n=len(chain), hash=chain[-1].hash, seq=self.seq[run, stream]) if chain else End()

    def previous(self, *, clean: bool = False) -> Previous:
        """What a start after this moment says of the run that is current now."""
        return Previous(
            run=self.run,
            boot=self.boot,
            alarm=self.end(self.run, Stream.ALARM),
            telemetry=self.end(self.run, Stream.TELEMETRY),
            at_boot_ms=self.boot_ms,
            at_utc_ms=UTC_MS + self.boot_ms if self.synchronised else None,
            clean=clean,
        )

    def restart(self) -> Previous:
        """Begin another run; return what its start says of the one before."""
        previous = self.previous()
        self.run = os.urandom(16)
        return previous

    def copy(self) -> "FakeNode":
        """Another box from a copy of this one's card: all that is on it, and a run of its own."""
        made = {name: list(chain) for name, chain in self.made.items()}
        return replace(self, run=os.urandom(16), made=made, seq=dict(self.seq))

    def span(self, first: int, last: int, *, run: bytes | None = None, stream: Stream = Stream.TELEMETRY) -> ChainSpan:
        run = run or self.run
        chain = self.made[run, stream]
        return ChainSpan(run=run, first=first, last=last, prev=chain[first - 1].header.prev, hash=chain[last - 1].hash)

    def up(self, made: Made | bytes, lane: topics.Lane = "live") -> Message:
        payload = made.message if isinstance(made, Made) else made
        return Message(topic=topics.up(self.city, self.name, lane), payload=payload)

    def hello(
        self, nonce: bytes, *, firsts: Mapping[tuple[bytes, Stream], int] | None = None, most: int | None = None
    ) -> list[Message]:
        chains = [
            Chain(
                run=run,
                stream=stream,
                first=(firsts or {}).get((run, stream), 1),
                last=len(made) if most is None else min(len(made), most),
                last_seq=self.seq.get((run, stream), 0),
            )
            for (run, stream), made in self.made.items()
            if made
        ]
        pages = encode_hello(nonce, self.run, self.boot, chains)
        return [Message(topic=topics.hello(self.city, self.name), payload=page) for page in pages]

    def read(self, message: Message, center: Signer) -> Ack:
        """Open an ack as the node would."""
        assert message.topic == topics.ack(self.city, self.name)
        return open_ack(message.payload, city=self.city, node=self.name, center=[Verifier(center.public)])


def tampered(made: Made, signer: Signer, *, body: bytes, **changes: object) -> bytes:
    """Sign another body, or another header, with the same key."""
    header = replace(made.header, digest=digest_of(body), coding=Coding.PLAIN, **changes)  # type: ignore[arg-type]
    return seal(header, body, signer)[0]
