import itertools
import logging
import sqlite3
import threading
from collections.abc import Callable

import pytest

from agent.wire.batch import Stream
from center.acks import AckSettings
from center.receiver import Message, Now, Receiver
from center.sqlite_store import SqliteStore
from center.worker import Inbox, Worker
from tests.center.fake_node import CITY, FakeNode
from tests.center.harness import Center
from tests.center.processes import until


def message(size: int = 1) -> Message:
    return Message(topic="t", payload=bytes(size))


def test_a_full_inbox_drops_the_newest_and_counts() -> None:
    inbox = Inbox(most=2)
    for size in (1, 2, 3):
        inbox.put(message(size))
    assert inbox.dropped == 1
    assert [one and len(one.payload) for one in (inbox.take(), inbox.take(), inbox.take())] == [1, 2, None]


def test_an_inbox_is_bounded_in_bytes_too() -> None:
    inbox = Inbox(most_bytes=10)
    inbox.put(message(8))
    inbox.put(message(8))
    assert inbox.dropped == 1
    inbox.take()
    inbox.put(message(8))
    assert inbox.dropped == 1


def test_waking_ends_a_wait() -> None:
    inbox = Inbox()
    inbox.wake()
    assert inbox.take(timeout_s=100) is None


Run = Callable[[Worker], threading.Thread]


@pytest.fixture
def run() -> Run:
    def start(worker: Worker) -> threading.Thread:
        thread = threading.Thread(target=worker.run)
        thread.start()
        return thread

    return start


def test_the_worker_stores_acks_projects_and_finishes_what_it_took(
    center: Center, node: FakeNode, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Message] = []
    inbox = Inbox(most=3)

    def make() -> Receiver:
        store = SqliteStore(center.path, busy_s=0.001)
        settings = AckSettings(every_s=0.01, quiet_s=0.01)
        return Receiver(store, city=CITY, signer=center.signer, settings=settings)

    caplog.set_level(logging.INFO, "center")
    worker = Worker(inbox, make, sent.extend)
    thread = run(worker)
    try:
        inbox.put(node.hello(b"n" * 16)[0])
        node.readings(10)
        made = node.made[node.run, Stream.TELEMETRY]
        inbox.put(node.up(made[0]))
        until("an answer and an ack", lambda: len(sent) >= 2)
        blocker = sqlite3.connect(center.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        before = len(sent)
        for _ in range(9):
            inbox.put(node.up(made[1]))
        until("the store has refused", lambda: "store refuses" in caplog.text)
        blocker.execute("ROLLBACK")
        blocker.close()
        until("it accepts again", lambda: "store accepts again" in caplog.text)
        inbox.put(node.up(made[1]))
        until("it is acked", lambda: len(sent) > before)
        until("it is projected", lambda: center.store.unprojected() == 0)
    finally:
        inbox.put(node.up(node.readings(10)))
        worker.stop()
        thread.join(10)
    assert not thread.is_alive()
    assert node.read(sent[before], center.signer).settled[0].n == 2
    assert len(center.values("SELECT id FROM batches")) == 3


class Endless(Inbox):
    """An inbox that is never empty until it is told to end."""

    def __init__(self, messages: list[Message]) -> None:
        super().__init__()
        self.messages = itertools.cycle(messages)
        self.ended = False

    def take(self, timeout_s: float = 0.0) -> Message | None:
        return super().take(timeout_s) if self.ended else next(self.messages)


def test_readings_get_their_turn_while_messages_keep_coming(center: Center, node: FakeNode) -> None:
    node.readings(4)
    inbox = Endless([node.up(made) for made in node.made[node.run, Stream.TELEMETRY]])
    ticks = itertools.count()

    def make() -> Receiver:
        return Receiver(SqliteStore(center.path), city=CITY, signer=center.signer, settings=AckSettings())

    def send(_: list[Message]) -> None:
        if not center.store.unprojected() and center.values("SELECT id FROM readings"):
            inbox.ended = True
            worker.stop()

    worker = Worker(inbox, make, send, now=lambda: Now(utc_ms=0, mono_s=next(ticks) / 100))
    worker.run()
    assert len(center.values("SELECT id FROM readings")) == 4


def test_a_bug_in_the_worker_reaches_who_started_it(center: Center) -> None:
    def make() -> Receiver:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Worker(Inbox(), make, lambda _: None).run()
