"""A real center in memory: the receiver and its SQLite store, which the workload sends to and the judge asks."""

import contextlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from agent.wire import topics
from agent.wire.ack import Ack, open_ack
from agent.wire.batch import Batch, Stream
from agent.wire.hello import Chain, encode_hello
from agent.wire.keys import Signer, Verifier
from center.acks import AckSettings
from center.audit import Audit, audit
from center.ingest import Good, Verdict, examine
from center.receiver import Message, Now, Receiver
from center.sqlite_store import SqliteStore
from tests.agent.spool.rig import BOOT, CITY, KEY, NODE

_BOX = (CITY, NODE)
_SIGNER = Signer(bytes(range(32)))
_UTC_MS = 1_800_000_000_000
_NODE_KEY = Verifier(KEY.public)


@lru_cache(100_000)
def examined(payload: bytes) -> Verdict:
    """Judge a batch as the center does; the same batches come in very many states."""
    keys = {_BOX: {_NODE_KEY.kid: _NODE_KEY}}
    return examine(topics.up(CITY, NODE, "live"), payload, city=CITY, keys=keys)


def opened(payload: bytes) -> Batch:
    """Open a batch that the center takes. Raises ValueError for any other."""
    verdict = examined(payload)
    if not isinstance(verdict, Good):
        raise ValueError(f"the center does not take a batch of the spool: {verdict}")  # noqa: TRY004 - of its bytes
    return verdict.batch


class Center:
    """A center that knows the workload's node."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._store = SqliteStore(Path(":memory:"))
        self._store.add_node(_BOX, KEY.public, now_ms=_UTC_MS)
        self._receiver = Receiver(self._store, city=CITY, signer=_SIGNER, settings=AckSettings())
        self._receiver.refresh_keys(self._now())

    def close(self) -> None:
        """Forget everything."""
        self._store.close()

    def _now(self) -> Now:
        return Now(utc_ms=_UTC_MS + int(self._seconds * 1000), mono_s=self._seconds)

    def take(self, payloads: Iterable[bytes]) -> None:
        """Receive batches."""
        messages = [Message(topic=topics.up(CITY, NODE, "live"), payload=payload) for payload in payloads]
        self._receiver.receive([(message, examined(message.payload)) for message in messages], self._now())

    def acks(self) -> list[Ack]:
        """Return what is to be acked."""
        self._seconds += 2
        key = Verifier(_SIGNER.public)
        sent = self._receiver.acks(self._now())
        return [open_ack(message.payload, city=CITY, node=NODE, center=[key]) for message in sent]

    def greet(self, run: bytes, chains: Iterable[tuple[bytes, Stream, int, int, int]]) -> None:
        """Hear the hello of a run: its chains as (run, stream, first n, last n, last seq)."""
        named = [Chain(run=of, stream=stream, first=a, last=b, last_seq=seq) for of, stream, a, b, seq in chains]
        pages = encode_hello(bytes(16), run, BOOT, named)
        messages = [Message(topic=topics.hello(CITY, NODE), payload=page) for page in pages]
        self._receiver.receive([(message, self._receiver.examine(message)) for message in messages], self._now())

    def alarms(self) -> set[str]:
        """Return the kinds of alarms that a person sees."""
        return {alarm.what for alarm in self._store.alarms(_BOX)}

    def audit(self) -> Audit:
        """Return the center's own account of the node."""
        while self._receiver.project(self._now(), most=100).batches:
            pass
        return audit(self._store, self._store.keys(CITY))


@contextlib.contextmanager
def center() -> Iterator[Center]:
    """Have a center."""
    made = Center()
    try:
        yield made
    finally:
        made.close()
