"""A simulated MQTT broker: QoS 1, sessions, retained messages, wills; it can freeze, restart and forget."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.faults.simulation.road import Connection

Receive = Callable[[str, bytes], None]
KEEPALIVE_S = 60.0
_LOST_AFTER = 1.5
_WILL_DELAY_S = 30.0
_MOST_QUEUED = 1000
"""What a broker keeps for a session that is not connected. Source: mosquitto.conf(5), max_queued_messages."""
_TWICE = 0.01
_HOP_S = 0.002
_UP = re.compile(r"gardu/v1/[^/]+/[^/]+/(up/.*|state)")


@dataclass(eq=False, slots=True)
class Session:
    """One client that is a node. ``deliver`` puts a message on the way down, ``hang_up`` resets the connection."""

    client_id: str
    connection: Connection
    will: tuple[str, bytes]
    deliver: Receive
    hang_up: Callable[[str], None]
    topics: set[str] = field(default_factory=set)
    heard_s: float = 0.0
    over: bool = False


@dataclass(eq=False, slots=True)
class Broker:
    """The broker, and its session with the center, which outlives the center's absence.

    Attributes:
        chance: Draws.
        center: Where messages for the center go; None while it is not connected.
        downs: Faults that keep the broker down.
        freezes: Faults that stop it: it takes nothing and answers nothing.
        forgets: Faults that make it answer PUBACK and throw the message away.
        declines: Faults that make it refuse what nodes publish.
        packet_bytes: Largest packet it takes; None for any.
        names_limit: Whether it says so when a node connects.
    """

    chance: Random
    center: Receive | None = None
    downs: int = 0
    freezes: int = 0
    forgets: int = 0
    declines: int = 0
    packet_bytes: int | None = None
    names_limit: bool = True
    sessions: dict[str, Session] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    queue: deque[tuple[str, bytes]] = field(default_factory=deque)
    _frozen: list[Callable[[], None]] = field(default_factory=list)
    _lanes: dict[str, float] = field(default_factory=dict)

    # -- what goes wrong --------------------------------------------------------------------------------------------

    def thaw(self) -> None:
        """End one freeze."""
        self.freezes -= 1
        if not self.freezes:
            frozen, self._frozen = self._frozen, []
            for go_on in frozen:
                go_on()

    def go_down(self, *, forget: bool) -> None:
        """End: every connection is reset; what is in memory goes, unless it was written to disk."""
        self.downs += 1
        self._frozen.clear()
        for session in list(self.sessions.values()):
            self.end(session, will=False)
            session.hang_up("Connection reset by peer")
        if forget:
            self.queue.clear()
            self.retained.clear()

    def run_or_wait(self, step: Callable[[], None]) -> None:
        """Take one packet in, now or when the freeze is over."""
        if self.freezes:
            self._frozen.append(step)
        elif not self.downs:
            step()

    # -- nodes ------------------------------------------------------------------------------------------------------

    def begin(self, session: Session) -> None:
        """Take a client; one of the same name is thrown out."""
        older = self.sessions.get(session.client_id)
        if older is not None:
            self.end(older, will=True)
            older.hang_up("the broker ended the connection: Session taken over")
        self.sessions[session.client_id] = session
        session.heard_s = asyncio.get_running_loop().time()
        self._watch(session)

    def _watch(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        if session.over:
            return
        if loop.time() - session.heard_s >= KEEPALIVE_S * _LOST_AFTER and not self.freezes:
            self.end(session, will=True)
            session.hang_up("Connection reset by peer")
            return
        loop.call_later(KEEPALIVE_S / 2, self._watch, session)

    def end(self, session: Session, *, will: bool) -> None:
        """Let go of a client; its will is published after a while, unless it came back or said good-bye."""
        if session.over:
            return
        session.over = True
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        if will:
            asyncio.get_running_loop().call_later(_WILL_DELAY_S, self._will, session)

    def _will(self, session: Session) -> None:
        if session.client_id not in self.sessions and not self.downs:
            self.publish(*session.will, retain=True)

    # -- messages ---------------------------------------------------------------------------------------------------

    def is_too_large(self, size_bytes: int) -> bool:
        """Tell whether it refuses a packet for its size."""
        return self.packet_bytes is not None and size_bytes > self.packet_bytes

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to whom it concerns, now and then twice."""
        if retain:
            self.retained[topic] = payload
        for _ in range(2 if self.chance.random() < _TWICE else 1):
            if _UP.fullmatch(topic):
                self._to_center(topic, payload)
            for session in list(self.sessions.values()):
                if topic in session.topics:
                    session.deliver(topic, payload)

    def _to_center(self, topic: str, payload: bytes) -> None:
        if self.center is None or self.queue:
            self._enqueue(topic, payload)
            return
        loop = asyncio.get_running_loop()
        lane_s = max(self._lanes.get(topic, 0.0) + 1e-6, loop.time() + _HOP_S * (1 + 20 * self.chance.random()))
        self._lanes[topic] = lane_s  # in order on one topic, not across topics
        loop.call_at(lane_s, self._arrive, topic, payload)

    def _arrive(self, topic: str, payload: bytes) -> None:
        if self.center is None:
            self._enqueue(topic, payload)
        else:
            self.center(topic, payload)

    def _enqueue(self, topic: str, payload: bytes) -> None:
        if len(self.queue) < _MOST_QUEUED:
            self.queue.append((topic, payload))

    def center_comes(self, receive: Receive) -> None:
        """The center connects: it gets what is retained and what waited for it."""
        self.center = receive
        for topic, payload in [*self.retained.items(), *self.queue]:
            receive(topic, payload)
        self.queue.clear()
