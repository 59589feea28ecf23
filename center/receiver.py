"""Messages in, acks out: what the center does with a group of messages in one transaction.

An ack is built from the memory of a chain, and that memory follows the store: what a failed transaction changed is
forgotten and read again. So nothing is ever acked that is not on disk.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent.wire import topics
from agent.wire.ack import Ack, Settled, sign_ack
from agent.wire.batch import NO_HASH, STEPPED, Clock, Header, Stream
from agent.wire.bodies import End, Gap, Start, Time
from agent.wire.errors import Reason
from agent.wire.keys import Signer
from agent.wire.senml import Row
from center.acks import NO_NONCE, Acks, AckSettings, ChainName, Due, Listener
from center.chains import ChainState, Hole, Link
from center.errors import StoreError
from center.ingest import Bad, Box, Condition, Good, Greeting, Keys, Verdict, Waiting, examine
from center.store import BootTime, Intake, Projected

log = logging.getLogger("center")

_CHAINS = 20_000  # in memory; the others are read again when needed
_CACHED_ROWS = 100_000  # rows whose batch need not be parsed again for projection
_CHAINS_PER_ACK, _RANGES_PER_ACK = 400, 500  # keeps an ack below 64 KiB
_COPIED = "two boxes from one card, a restored image, or a card that forgot; all that came is kept"
_EMPTIED = (
    "it found an empty card, though the node had runs before: a new, wiped or forgetful one; look at the old card"
)
_VOLATILE = "the card of the node refuses writes; it sends from memory and forgets at a power cut: replace the card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What came from the broker."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The center's clock: UTC for the record, monotonic for waiting."""

    utc_ms: int
    mono_s: float


@dataclass(slots=True)
class _Chain:
    id: int
    state: ChainState
    end_n: int | None
    doubles: int = 0
    dirty: bool = False


class Receiver:
    """The receiving half of one center.

    Attributes:
        counts: Messages by what became of them, since the start.
    """

    def __init__(self, store: Intake, *, city: str, signer: Signer, settings: AckSettings) -> None:
        self._store = store
        self._city = city
        self._signer = signer
        self._settings = settings
        self._acks = Acks(settings)
        self._chains: OrderedDict[tuple[Box, ChainName], _Chain] = OrderedDict()
        self._keys: Keys = {}
        self._keys_old = True
        self._rows: dict[int, tuple[Row, ...]] = {}
        self._cached_rows = 0
        self._told: dict[Box | None, set[str]] = {}
        self.counts: Counter[str] = Counter()

    def examine(self, message: Message) -> Verdict:
        """Judge one message with the keys as they are known now."""
        return examine(message.topic, message.payload, city=self._city, keys=self._keys)

    def refresh_keys(self, now: Now) -> None:
        """Take new keys from the store, and the messages that waited for them. Raises StoreError."""
        with self._store.reading():
            self._keys_old |= self._store.changed()
            if not self._keys_old:
                return
            before, self._keys = self._keys, self._store.keys(self._city)
        new = {box: [kid for kid in kids if kid not in before.get(box, {})] for box, kids in self._keys.items()}
        if any(new.values()):
            try:
                released = self._release(new, now)
            except StoreError:
                self._keys = before
                raise
            log.info("keys: nodes=%d released=%d", len(self._keys), released)
        self._keys_old = False

    def _release(self, new: Mapping[Box, Sequence[bytes]], now: Now) -> int:
        with self._transaction():
            kept = [one for box, kids in new.items() if kids for one in self._store.release(box, kids)]
            messages = [Message(topic=one.topic, payload=one.payload) for one in kept]
            self._apply([(message, self.examine(message)) for message in messages], now)
        return len(messages)

    def receive(self, judged: Sequence[tuple[Message, Verdict]], now: Now) -> None:
        """Store a group of messages in one transaction. Raises StoreError: then nothing of the group counts."""
        with self._transaction():
            self._apply(judged, now)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._store.transaction():
                yield
        except StoreError:
            self._chains.clear()
            self._forget_rows()
            self._acks.forget_changes()
            raise

    def _forget_rows(self) -> None:
        self._rows.clear()
        self._cached_rows = 0

    def _apply(self, judged: Sequence[tuple[Message, Verdict]], now: Now) -> None:
        for message, verdict in judged:
            match verdict:
                case Good():
                    self._store_batch(verdict, now)
                case Greeting():
                    self._greet(verdict, now)
                case Condition():
                    if verdict.box in self._keys:
                        self._store.put_state(verdict.box, verdict.text, now_ms=now.utc_ms)
                case Waiting():
                    self._hold(verdict, message, now)
                case Bad():
                    self._refuse(verdict, message, now)
        self._save()

    def _save(self) -> None:
        for chain in self._chains.values():
            if chain.dirty:
                self._store.save_chain(chain.id, n=chain.state.n, settled_hash=chain.state.hash, doubles=chain.doubles)
                chain.dirty, chain.doubles = False, 0
        while len(self._chains) > _CHAINS:
            self._chains.popitem(last=False)

    def _greet(self, greeting: Greeting, now: Now) -> None:
        if greeting.box not in self._keys:
            return  # once its key is here, its batches make the center ask for a new hello
        whole = self._acks.hear(greeting.box, greeting.page)
        if whole is not None:
            self._store.put_hello(greeting.box, whole, now_ms=now.utc_ms)
            self.counts["hello"] += 1

    def _hold(self, waiting: Waiting, message: Message, now: Now) -> None:
        self.counts["held"] += 1
        payload = message.payload
        if self._store.hold(waiting.box, message.topic, waiting.kid, payload, now_ms=now.utc_ms):
            self._log_reason(waiting.box, Reason.KID_UNKNOWN, f"held for key {waiting.kid.hex()}")
            return
        bad = Bad(box=waiting.box, reason=Reason.KID_UNKNOWN, detail=f"no room to hold it for {waiting.kid.hex()}")
        self._refuse(bad, message, now)

    def _refuse(self, bad: Bad, message: Message, now: Now) -> None:
        self.counts["refused"] += 1
        self._store.refuse(bad.box, message.topic, bad.reason, bad.detail, message.payload, now_ms=now.utc_ms)
        self._log_reason(bad.box, bad.reason, bad.detail)
        if bad.answer is not None and bad.box is not None:
            subject = f"{bad.answer.run.hex()} {bad.answer.stream.name.lower()} {bad.answer.n}"
            self._store.alarm(bad.box, "refused", subject, f"{bad.reason}: {bad.detail}", now_ms=now.utc_ms)
            self._acks.refuse(bad.box, bad.answer, now_s=now.mono_s)

    def _log_reason(self, box: Box | None, reason: str, detail: str) -> None:
        told = self._told.setdefault(box, set())
        if reason in told:
            return
        told.add(reason)
        if len(self._told) > _CHAINS:
            self._told.clear()
        log.warning("message refused: node=%s reason=%s detail=%.200r", "/".join(box or ("?",)), reason, detail)

    def _store_batch(self, good: Good, now: Now) -> None:
        header, box = good.batch.header, good.box
        name = (header.run, header.stream)
        chain = self._chain(box, name)
        batch = self._store.put_batch(chain.id, header, good.hash, good.batch.message, now_ms=now.utc_ms)
        self._acks.changed(box, name, now_s=now.mono_s, size_bytes=len(good.batch.message))
        chain.dirty = True
        if batch is None:
            chain.doubles += 1
            self.counts["double"] += 1
            return
        self.counts["stored"] += 1
        if self._cached_rows + header.count <= _CACHED_ROWS:
            self._rows[batch] = good.batch.rows
            self._cached_rows += header.count
        self._note_conflict(box, chain, header, good.hash, now)
        for n in chain.state.store(Link(n=header.n, hash=good.hash, prev=header.prev)):
            self._alarm_link(box, name, n, now)
        if chain.end_n is not None and header.n > chain.end_n:
            self._alarm_grown(box, name, chain.end_n, now)
        self._note_body(good, batch, now)

    def _note_conflict(self, box: Box, chain: _Chain, header: Header, batch_hash: bytes, now: Now) -> None:
        there = chain.state.above(header.n)
        if there is None and header.n <= chain.state.n:
            there = self._store.stored_at(chain.id, header.n)
        if there is not None and there.n == header.n and there.hash != batch_hash:
            detail = f"{there.hash.hex()} and {batch_hash.hex()}, both kept: {_COPIED}"
            self._store.alarm(box, "conflict", _subject(header.run, header.stream, header.n), detail, now_ms=now.utc_ms)

    def _note_body(self, good: Good, batch: int, now: Now) -> None:
        header, box = good.batch.header, good.box
        match good.body:
            case Start() as start:
                self._note_start(box, header, start, batch, now)
            case Gap() as gap:
                self._note_gap(box, header.stream, gap, batch, now)
            case Time() as time:
                mapping = BootTime(
                    boot=time.boot,
                    at_boot_ms=time.at_boot_ms,
                    at_utc_ms=time.at_utc_ms,
                    uncertainty_ms=time.uncertainty_ms,
                    source=time.source,
                )
                self._store.put_mapping(box, mapping, batch=batch)
            case _:
                pass
        if header.clock % STEPPED == Clock.SYNCHRONISED and header.origin is None and header.at_utc_ms is not None:
            mapping = BootTime(
                boot=header.boot,
                at_boot_ms=header.at_boot_ms,
                at_utc_ms=header.at_utc_ms,
                uncertainty_ms=None,
                source="header",
            )
            self._store.put_mapping(box, mapping, batch=batch)

    def _note_start(self, box: Box, header: Header, start: Start, batch: int, now: Now) -> None:
        run = header.run
        others = self._store.put_start(box, header, start, batch=batch)
        if start.volatile:
            self._store.alarm(box, "volatile", run.hex(), _VOLATILE, now_ms=now.utc_ms)
            return  # the card that refuses may hold more than the ends this start names
        previous = start.previous
        if previous is None:
            if others:
                self._store.alarm(box, "emptied", run.hex(), _EMPTIED, now_ms=now.utc_ms)
            return
        if others:
            names = ", ".join(other.hex() for other in (run, *others[:2]))
            detail = f"runs {names} all say they come next after it: {_COPIED}"
            self._store.alarm(box, "fork", previous.run.hex(), detail, now_ms=now.utc_ms)
        ends: tuple[tuple[Stream, End], ...] = (
            (Stream.ALARM, previous.alarm),
            (Stream.TELEMETRY, previous.telemetry),
        )
        for stream, end in ends:
            name = (previous.run, stream)
            chain = self._chain(box, name)
            self._store.put_end(chain.id, end.n)
            chain.end_n = end.n if chain.end_n is None else min(chain.end_n, end.n)
            if self._store.highest(chain.id) > end.n:
                self._alarm_grown(box, name, end.n, now)

    def _note_gap(self, box: Box, stream: Stream, gap: Gap, batch: int, now: Now) -> None:
        for lost in gap.chains:
            name = (lost.run, stream)
            chain = self._chain(box, name)
            hole = Hole(first=lost.first, last=lost.last, prev=lost.prev, hash=lost.hash)
            self._store.put_hole(chain.id, hole, batch=batch)
            chain.dirty = True
            for n in chain.state.excuse(hole):
                self._alarm_link(box, name, n, now)
            self._acks.changed(box, name, now_s=now.mono_s)

    def _alarm_link(self, box: Box, name: ChainName, n: int, now: Now) -> None:
        detail = "its prev is not the hash of the batch before it"
        self._store.alarm(box, "link", _subject(*name, n), detail, now_ms=now.utc_ms)

    def _alarm_grown(self, box: Box, name: ChainName, end_n: int, now: Now) -> None:
        detail = f"it has batches beyond n {end_n}, where the next run says it ended: {_COPIED}"
        subject = f"{name[0].hex()} {name[1].name.lower()}"
        self._store.alarm(box, "grown", subject, detail, now_ms=now.utc_ms)

    def _chain(self, box: Box, name: ChainName) -> _Chain:
        found = self._look(box, name, create=True)
        if found is None:
            raise StoreError("the store did not create a chain")
        return found

    def _look(self, box: Box, name: ChainName, *, create: bool) -> _Chain | None:
        chain = self._chains.get((box, name))
        if chain is not None:
            self._chains.move_to_end((box, name))
            return chain
        saved = self._store.chain(box, name, create=create)
        if saved is None:
            return None
        state = ChainState(saved.n, saved.hash)
        state.load(saved.links, saved.holes)
        chain = self._chains[box, name] = _Chain(id=saved.id, state=state, end_n=saved.end_n)
        return chain

    def wait_s(self, now: Now) -> float | None:
        """Return the seconds until an ack is due; None when none waits."""
        return self._acks.wait_s(now.mono_s)

    def acks(self, now: Now) -> list[Message]:
        """Return the acks that are due, signed. Call it outside a transaction. Raises StoreError."""
        with self._store.reading():
            return [self._sign(due.box, ack) for due in self._acks.due(now.mono_s) for ack in self._build(due, now)]

    def _build(self, due: Due, now: Now) -> list[Ack]:
        listener = due.listener
        nonce = NO_NONCE if listener is None else listener.nonce
        pages: list[list[Settled]] = [[]]
        ranges = 0
        for name in due.chains:
            settled = self._settled(due.box, name, listener)
            if len(pages[-1]) == _CHAINS_PER_ACK or ranges + len(settled.ranges) > _RANGES_PER_ACK:
                pages.append([])
                ranges = 0
            pages[-1].append(settled)
            ranges += len(settled.ranges)
        return [
            Ack(
                nonce=nonce,
                settled=tuple(page),
                center_utc_ms=now.utc_ms,
                window_bytes=self._settings.window_bytes,
                rate_bytes_per_s=self._settings.rate_bytes_per_s,
                refused=due.refused if at == 0 else (),
                answers_hello=due.answers_hello,
            )
            for at, page in enumerate(pages)
        ]

    def _settled(self, box: Box, name: ChainName, listener: Listener | None) -> Settled:
        run, stream = name
        chain = self._look(box, name, create=False)
        if chain is None:
            return Settled(run=run, stream=stream, n=0, hash=NO_HASH)
        state, cap = chain.state, None if listener is None else listener.cap(name)
        if cap is None or state.n <= cap:
            return Settled(run=run, stream=stream, n=state.n, hash=state.hash, ranges=state.ranges(cap))
        link = self._store.stored_at(chain.id, cap)
        n, link_hash = (0, NO_HASH) if link is None else (link.n, link.hash)
        return Settled(run=run, stream=stream, n=n, hash=link_hash)

    def _sign(self, box: Box, ack: Ack) -> Message:
        city, node = box
        return Message(topic=topics.ack(city, node), payload=sign_ack(ack, city=city, node=node, signer=self._signer))

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def project(self, now: Now, *, most: int) -> Projected:
        """Project the next stored batches. Raises StoreError."""
        done = self._store.project(self._rows, most=most, now_ms=now.utc_ms)
        for batch in [batch for batch in self._rows if batch <= done.last]:
            self._cached_rows -= len(self._rows.pop(batch))
        return done


def _subject(run: bytes, stream: Stream, n: int) -> str:
    return f"{run.hex()} {stream.name.lower()} {n}"
