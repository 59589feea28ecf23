"""When a node is answered, and about what: hellos, nonces, and what changed since the last ack. Pure.

An ack is for a run that listens, so it carries that run's last nonce. A run that says hello for the first time is taken
for the successor of all that spoke before it; one that speaks again after its successor is another box with the same
identity, and from then on both get their acks.

Nonces are not kept over a restart of the center on purpose: a new hello makes the center answer with everything, which
is how a node learns that the center was restored from an older backup.
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

LISTENERS = 4
"""Runs of one node that are remembered: the real one, a copied card, and two that ended."""

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
    run: bytes
    nonce: bytes
    pages: dict[int, tuple[Chain, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    pages: list[_Pages] = field(default_factory=list)  # of hellos that are not whole, one for each run
    listeners: list[Listener] = field(default_factory=list)  # newest last
    succeeded: set[bytes] = field(default_factory=set)  # runs among them that were silent since a new one spoke
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
        others = [one for one in node.pages if one.run != page.run]
        mine = next((one for one in node.pages if (one.run, one.nonce) == (page.run, page.nonce)), None)
        mine = mine or _Pages(run=page.run, nonce=page.nonce)
        mine.pages[page.page] = page.chains
        if any(number not in mine.pages for number in range(1, page.pages + 1)):
            node.pages = [*others[1 - LISTENERS :], mine]
            return None
        node.pages = others
        chains = tuple(chain for number in range(1, page.pages + 1) for chain in mine.pages[number])
        announced = {(chain.run, chain.stream): chain.last for chain in chains}
        self._listen(node, Listener(run=page.run, nonce=page.nonce, announced=announced))
        self._waiting[box] = None
        return Announced(run=page.run, boot=page.boot, chains=chains)

    def _listen(self, node: _Node, listener: Listener) -> None:
        before = [one for one in node.listeners if one.run != listener.run]
        if len(before) == len(node.listeners):
            node.succeeded.update(one.run for one in before)
        node.succeeded.discard(listener.run)
        node.listeners = [*before[1 - LISTENERS :], listener]
        node.succeeded.intersection_update(one.run for one in node.listeners)
        node.answers = [*[one for one in node.answers if one.run != listener.run], listener]

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
        names: dict[bytes, list[ChainName]] = {}
        refusals: dict[bytes, list[Refused]] = {}
        lost = False
        for name in node.changed:
            listeners = self._listeners(node, name)
            lost |= not listeners
            for listener in listeners:
                names.setdefault(listener.run, []).append(name)
        for refused in node.refused.values():
            listeners = self._listeners(node, (refused.run, refused.stream))
            lost |= not listeners
            for listener in listeners:
                refusals.setdefault(listener.run, []).append(refused)
        found = [
            Due(
                box=box,
                listener=listener,
                chains=tuple(names.get(listener.run, ())),
                refused=tuple(refusals.get(listener.run, ())),
            )
            for listener in node.listeners
            if listener.run in names or listener.run in refusals
        ]
        if lost and not found and (node.provoked_s is None or now_s - node.provoked_s >= PROVOKE_S):
            node.provoked_s = now_s
            found.append(Due(box=box, listener=None))
        return found

    def _listeners(self, node: _Node, name: ChainName) -> list[Listener]:
        """Return who waits for acks of a chain; a succeeded run only where no other does."""
        covering = [listener for listener in node.listeners if listener.covers(name)]
        return [one for one in covering if one.run not in node.succeeded] or covering[-1:]

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
