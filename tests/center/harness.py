"""A receiver on a real SQLite file under a clock moved by hand."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.wire.ack import Ack
from agent.wire.keys import Signer
from center.acks import AckSettings
from center.receiver import Message, Now, Receiver
from center.sqlite_store import SqliteStore
from tests.center.fake_node import CITY, UTC_MS, FakeNode


@dataclass(slots=True)
class Center:
    """A receiver on a real file under a hand-moved clock."""

    path: Path
    signer: Signer = field(default_factory=lambda: Signer(os.urandom(32)))
    settings: AckSettings = field(default_factory=AckSettings)
    seconds: float = 0.0
    opened: list[SqliteStore] = field(default_factory=list)
    nonces: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """Start the center anew on the same file, as after a crash."""
        self.store = SqliteStore(self.path)
        self.opened.append(self.store)
        self.receiver = Receiver(self.store, city=CITY, signer=self.signer, settings=self.settings)
        self.receiver.refresh_keys(self.now())

    store: SqliteStore = field(init=False)
    receiver: Receiver = field(init=False)

    def now(self) -> Now:
        return Now(utc_ms=UTC_MS + int(self.seconds * 1000), mono_s=self.seconds)

    def know(self, node: FakeNode) -> None:
        """Add a node as another process would, and let the center notice."""
        other = SqliteStore(self.path)
        other.add_node(node.box, node.signer.public, now_ms=UTC_MS)
        other.close()
        self.receiver.refresh_keys(self.now())

    def take(self, *messages: Message) -> None:
        self.receiver.receive([(message, self.receiver.examine(message)) for message in messages], self.now())

    def acks(self, node: FakeNode) -> list[Ack]:
        return [node.read(message, self.signer) for message in self.receiver.acks(self.now())]

    def later_acks(self, node: FakeNode) -> list[Ack]:
        self.seconds += 1.0
        return self.acks(node)

    def greet(self, node: FakeNode, *, most: int | None = None) -> Ack:
        """Let the node say hello; return the answer."""
        nonce = next(self.nonces).to_bytes(16)
        self.take(*node.hello(nonce, most=most))
        (answer,) = self.acks(node)
        assert answer.nonce == nonce
        assert answer.answers_hello
        return answer

    def project(self, most: int = 16) -> None:
        while self.receiver.project(self.now(), most=most).batches:
            pass

    def values(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        return self.store.db.execute(sql, parameters).fetchall()
