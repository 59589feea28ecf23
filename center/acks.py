"""When a node is answered, and about what: hellos, nonces, and what changed since the last ack. Pure.

An ack is for the run that listens now, so it carries that run's last nonce. Nonces are not kept over a restart of the
center on purpose: a new hello makes the center answer with everything, which is how a node learns that the center
was restored from an older backup.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from agent.wire.ack import Refused
from agent.wire.batch import ID_BYTES, Stream
from agent.wire.hello import Chain, Hello
from center.ingest import Box

ChainName = tuple[bytes, Stream]
"""Run and stream."""

NO_NONCE = bytes(ID_BYTES)
"""Nonce of an ack that only makes its node say hello."""

PROVOKE_S = 10.0
"""A node says hello again at most this often, so asking more often is noise."""

_LISTENERS = 4  # runs of one node that may be alive at once: the real one, a copied card, and two that just ended
_BOXES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AckSettings:
    """How acks are sent.

    Attributes:
        every_s: Longest wait of a stored batch for its ack, s.
        quiet_s: An ack leaves when nothing more came from its node for so long, s: the end of a backlog does not wait.
        batches: An ack leaves after this many batches of a node.
        window_bytes: Most bytes a node may have in flight; a quarter of it makes an ack due at once.
        rate_bytes_per_s: Most bytes a second from one node.
    """

    every_s: float = 1.0
    quiet_s: float = 0.2
    batches: int = 20
    window_bytes: int = 256 * 1024
    rate_bytes_per_s: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A run that said hello, and the last n it announced for each chain."""

    run: bytes
    nonce: bytes
    announced: dict[ChainName, int]

    def covers(self, name: ChainName) -> bool:
        """Tell whether the run waits for acks of a chain."""
        return name[0] == self.run or name in self.announced

    def cap(self, name: ChainName) -> int | None:
        """Return the highest n an ack may name; None for the run's own chains, which grow."""
        return None if name[0] == self.run else self.announced.get(name, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One ack to build. Without a listener it is the one that only asks for a hello."""

    box: Box
    listener: Listener | None
    chains: tuple[ChainName, ...] = ()
    refused: tuple[Refused, ...] = ()
    answers_hello: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A whole hello: what a node says it holds."""

    run: bytes
    boot: bytes
    chains: tuple[Chain, ...]


@dataclass(slots=True)
class _Pages:
    nonce: bytes
    pages: dict[int, tuple[Chain, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    pages: _Pages | None = None
    listeners: list[Listener] = field(default_factory=list)  # newest last
    answers: list[Listener] = field(default_factory=list)
    changed: dict[ChainName, None] = field(default_factory=dict)
    refused: dict[bytes, Refused] = field(default_factory=dict)
    batches: int = 0
    size_bytes: int = 0
    since_s: float | None = None
    last_s: float = 0.0
    provoked_s: float | None = None

    def waits(self, now_s: float) -> None:
        if self.since_s is None:
            self.since_s = now_s
        self.last_s = now_s


class Acks:
    """Keeps for each node what its next ack must say."""

    def __init__(self, settings: AckSettings) -> None:
        self._settings = settings
        self._nodes: OrderedDict[Box, _Node] = OrderedDict()
        self._waiting: dict[Box, None] = {}

    def hear(self, box: Box, page: Hello) -> Announced | None:
        """Take one page of a hello; return the whole once its last page is here."""
        node = self._node(box)
        if node.pages is None or node.pages.nonce != page.nonce:
            node.pages = _Pages(nonce=page.nonce)
        node.pages.pages[page.page] = page.chains
        if any(number not in node.pages.pages for number in range(1, page.pages + 1)):
            return None
        chains = tuple(chain for number in range(1, page.pages + 1) for chain in node.pages.pages[number])
        node.pages = None
        announced = {(chain.run, chain.stream): chain.last for chain in chains}
        listener = Listener(run=page.run, nonce=page.nonce, announced=announced)
        node.listeners = [*[one for one in node.listeners if one.run != page.run][1 - _LISTENERS :], listener]
        node.answers = [*[one for one in node.answers if one.run != page.run], listener]
        self._waiting[box] = None
        return Announced(run=page.run, boot=page.boot, chains=chains)

    def changed(self, box: Box, name: ChainName, *, now_s: float, size_bytes: int = 0) -> None:
        """Note that a chain's ack changed, or that a batch came again whose ack must have been lost."""
        node = self._node(box)
        node.changed[name] = None
        node.batches += 1
        node.size_bytes += size_bytes
        node.waits(now_s)
        self._waiting[box] = None

    def refuse(self, box: Box, refused: Refused, *, now_s: float) -> None:
        """Note a batch that is refused for good."""
        node = self._node(box)
        if len(node.refused) < self._settings.batches:
            node.refused[refused.hash] = refused
        node.waits(now_s)
        self._waiting[box] = None

    def forget_changes(self) -> None:
        """Drop what was noted since the last acks: its transaction failed, and the nodes will send again."""
        for box in list(self._waiting):
            node = self._nodes[box]
            self._settle(node)
            if not node.answers:
                del self._waiting[box]

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until the next ack is due; None when none waits."""
        if not self._waiting:
            return None
        return max(0.0, min(self._due_s(self._nodes[box]) for box in self._waiting) - now_s)

    def due(self, now_s: float) -> list[Due]:
        """Return the acks that are due; what they name counts as said."""
        found: list[Due] = []
        for box in list(self._waiting):
            node = self._nodes[box]
            found += self._answers(box, node)
            if node.since_s is None:
                del self._waiting[box]
            elif self._is_due(node, now_s):
                found += self._news(box, node, now_s)
                self._settle(node)
                del self._waiting[box]
        return found

    def _answers(self, box: Box, node: _Node) -> list[Due]:
        found = [
            Due(box=box, listener=listener, chains=tuple(listener.announced), answers_hello=True)
            for listener in node.answers
        ]
        node.answers = []
        return found

    def _is_due(self, node: _Node, now_s: float) -> bool:
        limits = self._settings
        return (
            node.batches >= limits.batches or node.size_bytes * 4 >= limits.window_bytes or now_s >= self._due_s(node)
        )

    def _due_s(self, node: _Node) -> float:
        if node.answers or node.since_s is None:
            return 0.0
        return min(node.since_s + self._settings.every_s, node.last_s + self._settings.quiet_s)

    def _news(self, box: Box, node: _Node, now_s: float) -> list[Due]:
        lists: dict[bytes, tuple[Listener, list[ChainName], list[Refused]]] = {}
        lost = False
        for name in node.changed:
            listener = self._listener(node, name)
            lost |= listener is None
            if listener is not None:
                lists.setdefault(listener.run, (listener, [], []))[1].append(name)
        for refused in node.refused.values():
            listener = self._listener(node, (refused.run, refused.stream))
            lost |= listener is None
            if listener is not None:
                lists.setdefault(listener.run, (listener, [], []))[2].append(refused)
        found = [
            Due(box=box, listener=listener, chains=tuple(names), refused=tuple(refusals))
            for listener, names, refusals in lists.values()
        ]
        if lost and not found and (node.provoked_s is None or now_s - node.provoked_s >= PROVOKE_S):
            node.provoked_s = now_s
            found.append(Due(box=box, listener=None))
        return found

    def _listener(self, node: _Node, name: ChainName) -> Listener | None:
        return next((listener for listener in reversed(node.listeners) if listener.covers(name)), None)

    def _settle(self, node: _Node) -> None:
        node.changed.clear()
        node.refused.clear()
        node.batches = node.size_bytes = 0
        node.since_s = None

    def _node(self, box: Box) -> _Node:
        node = self._nodes.get(box)
        if node is None:
            node = self._nodes[box] = _Node()
            while len(self._nodes) > _BOXES:
                oldest, _ = self._nodes.popitem(last=False)
                self._waiting.pop(oldest, None)
        else:
            self._nodes.move_to_end(box)
        return node
