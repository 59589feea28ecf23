"""The one thread that owns the store: messages from a bounded inbox to disk, then acks, then readings."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from center.errors import StoreError
from center.ingest import Verdict
from center.receiver import Message, Now, Receiver

log = logging.getLogger("center")

_GROUP_MESSAGES = 200
_GROUP_S = 0.05
_IDLE_S = 0.5
_PROJECT_BATCHES = 16
_STARVED_S = 2.0  # projection gets a step this often even while messages keep coming
_RETRY_S = 1.0


class Inbox:
    """Messages between the event loop and the worker; full, it drops the newest and counts: nodes send again.

    Attributes:
        dropped: Messages that found no room.
    """

    def __init__(self, *, most: int = 20_000, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._items: deque[Message] = deque()
        self._bytes = 0
        self._ready = threading.Condition()
        self._woken = False
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Add a message; never waits."""
        with self._ready:
            if len(self._items) >= self._most or self._bytes + len(message.payload) > self._most_bytes:
                self.dropped += 1
                return
            self._items.append(message)
            self._bytes += len(message.payload)
            self._ready.notify()

    def wake(self) -> None:
        """End a wait of the taker."""
        with self._ready:
            self._woken = True
            self._ready.notify()

    def take(self, timeout_s: float = 0.0) -> Message | None:
        """Return the oldest message; None when none came in time."""
        with self._ready:
            if not self._items and not self._woken and timeout_s > 0:
                self._ready.wait(timeout_s)
            self._woken = False
            if not self._items:
                return None
            message = self._items.popleft()
            self._bytes -= len(message.payload)
            return message


def system_now() -> Now:
    """Read the clocks."""
    return Now(utc_ms=time.time_ns() // 1_000_000, mono_s=time.monotonic())


class Worker:
    """Runs in its own thread: ``run`` until ``stop``."""

    def __init__(
        self,
        inbox: Inbox,
        make_receiver: Callable[[], Receiver],
        send: Callable[[list[Message]], None],
        *,
        now: Callable[[], Now] = system_now,
    ) -> None:
        """Take the seams.

        Args:
            inbox: Where messages come from.
            make_receiver: Opens the store; called in the worker's thread, whose connection it is.
            send: Takes acks; called in the worker's thread.
            now: The clocks.
        """
        self._inbox = inbox
        self._make_receiver = make_receiver
        self._send = send
        self._now = now
        self._stopping = threading.Event()
        self._refused_by_disk = False
        self._projected_s = 0.0
        self._behind = True
        self._dropped = 0

    def stop(self) -> None:
        """Ask the thread to finish what it took and to end."""
        self._stopping.set()
        self._inbox.wake()

    def run(self) -> None:
        """Serve until stopped. Raises StoreError when the store cannot be opened."""
        receiver = self._make_receiver()
        try:
            self._serve(receiver)
            self._finish(receiver)
        finally:
            receiver.close()

    def _serve(self, receiver: Receiver) -> None:
        checked_s = float("-inf")
        while not self._stopping.is_set():
            try:
                now = self._now()
                if now.mono_s - checked_s >= _IDLE_S:
                    checked_s = now.mono_s
                    receiver.refresh_keys(now)
                busy = self._group(receiver)
                self._send(receiver.acks(self._now()))
                self._project(receiver, busy=busy)
            except StoreError as error:
                self._disk_refuses(error)
            else:
                self._disk_accepts()

    def _group(self, receiver: Receiver) -> bool:
        now = self._now()
        due_s = receiver.wait_s(now)
        wait_s = _IDLE_S if due_s is None else min(_IDLE_S, due_s)
        message = self._inbox.take(0.0 if self._behind else wait_s)
        if message is None:
            return False
        judged: list[tuple[Message, Verdict]] = []
        began_s = self._now().mono_s
        while message is not None:
            judged.append((message, receiver.examine(message)))
            full = len(judged) >= _GROUP_MESSAGES or self._now().mono_s - began_s >= _GROUP_S
            message = None if full else self._inbox.take()
        receiver.receive(judged, self._now())
        return True

    def _project(self, receiver: Receiver, *, busy: bool) -> None:
        now = self._now()
        if busy:
            self._behind = True
            if now.mono_s - self._projected_s < _STARVED_S:
                return
        if self._behind:
            self._behind = receiver.project(now, most=_PROJECT_BATCHES).batches == _PROJECT_BATCHES
        self._projected_s = now.mono_s

    def _finish(self, receiver: Receiver) -> None:
        try:
            while self._group(receiver):
                pass
            self._send(receiver.acks(self._now()))
        except StoreError as error:
            log.warning("last messages not stored, nodes will send them again: error=%s", error)

    def _disk_refuses(self, error: StoreError) -> None:
        if not self._refused_by_disk:
            log.error("store refuses, nodes keep what they have: error=%s", error)
        self._refused_by_disk = True
        self._stopping.wait(_RETRY_S)

    def _disk_accepts(self) -> None:
        if self._refused_by_disk:
            log.info("store accepts again")
        self._refused_by_disk = False
        if self._inbox.dropped != self._dropped:
            log.warning("inbox full, nodes will send again: dropped=%d", self._inbox.dropped - self._dropped)
            self._dropped = self._inbox.dropped
