"""One run: a node, a broker and a center on one clock and one source of chance, 20 faults, and the judgement."""

import asyncio
import hashlib
import math
import traceback
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.sync import Name
from agent.wire import batch, topics
from agent.wire.batch import ID_BYTES
from agent.wire.keys import Signer, Verifier
from tests.faults.simulation.broker import Broker
from tests.faults.simulation.card import Medium
from tests.faults.simulation.center import Center, real_receiver
from tests.faults.simulation.link import Stack
from tests.faults.simulation.node import CITY, NODE, Box, Clocks, Life, Setup, open_alarms
from tests.faults.simulation.road import Road
from tests.faults.simulation.truth import Key, Truth

_NODE_KEY = Signer(hashlib.sha256(b"node").digest())
_CENTER_KEY = Signer(hashlib.sha256(b"center").digest())
_HISTORY = topics.up(CITY, NODE, "history")
_LANES = frozenset(topics.up(CITY, NODE, lane) for lane in ("alarm", "live", "history"))


class Broken(AssertionError):  # noqa: N818 - a promise is broken, or it is not
    """A promise does not hold."""


@dataclass(eq=False)
class World:
    """Everything of one run.

    Attributes:
        chance: Draws everything.
        truth: What was given and promised.
        boxes: The node, and copies of it while they run.
        recorded: Messages seen on the wire, for those who replay them.
        failures: What was wrong already while it ran.
        lines: What happened.
        log: Lines that agent and center logged.
        marks: Which faults came that the verdict must know of.
    """

    folder: Path
    chance: Random
    setup: Setup
    truth: Truth = field(default_factory=Truth)
    boxes: list[Box] = field(default_factory=list)
    recorded: deque[tuple[str, bytes]] = field(default_factory=lambda: deque(maxlen=50))
    failures: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    broker: Broker = field(init=False)
    center: Center = field(init=False)
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _processes: int = 0

    def __post_init__(self) -> None:
        self.broker = Broker(self.chance)
        self.center = Center(
            path=self.folder / "center.db",
            chance=self.chance,
            broker=self.broker,
            signer=_CENTER_KEY,
            truth=self.truth,
            make_receiver=real_receiver,
            note=self.note,
        )
        self.boxes.append(self.make_box(self.folder / "node" / "spool"))

    @property
    def node(self) -> Box:
        """The box that stays."""
        return self.boxes[0]

    def make_box(self, folder: Path) -> Box:
        """Make a box of the node's identity."""
        road = Road(latency_s=0.01 + 0.2 * self.chance.random(), bytes_per_s=self.chance.choice([8_000, 32_000, 1e6]))

        def published(topic: str, payload: bytes) -> None:
            self._published(box, topic, payload)

        def opened() -> None:
            box.sent.clear()

        box = Box(
            chance=self.chance,
            truth=self.truth,
            folder=folder,
            setup=self.setup,
            signer=_NODE_KEY,
            center=(Verifier(_CENTER_KEY.public),),
            wire=Stack(self.broker, road, published, opened),
            medium=Medium(self.chance, removed=self._removed),
            clocks=Clocks(self.chance.randbytes(ID_BYTES), asyncio.get_running_loop().time() - 30),
            number_process=self._number,
            failed=self.failed,
            note=self.note,
        )
        return box

    def _number(self) -> int:
        self._processes += 1
        return self._processes

    # -- what is watched --------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Keep a line of what happens: the digest of all of them is the run's."""
        line = f"{asyncio.get_running_loop().time():12.4f} {text}"
        self._digest.update(line.encode())
        self.lines.append(line)

    @property
    def digest(self) -> str:
        """Return the digest of everything that happened so far."""
        return self._digest.hexdigest()

    def failed(self, text: str, task: "asyncio.Task[None] | None" = None) -> None:
        """Note what must never happen."""
        error = None if task is None or task.cancelled() else task.exception()
        where = "" if error is None else "\n" + "".join(traceback.format_exception(error))
        self.failures.append(text + where)
        self.note(f"FAILED {text}")

    def watched(self, what: Coroutine[None, None, None], name: str) -> "asyncio.Task[None]":
        """Start a task that may end by cancellation only."""
        task = asyncio.get_running_loop().create_task(what, name=name)

        def ended(done: "asyncio.Task[None]") -> None:
            if not done.cancelled():
                self.failed(f"{name} ended: {done.exception()!r}", done)

        task.add_done_callback(ended)
        return task

    def _published(self, box: Box, topic: str, payload: bytes) -> None:
        self.note(f"publish {topic} {len(payload)} {hashlib.sha256(payload).hexdigest()[:12]}")
        self.recorded.append((topic, payload))
        if box.life is None or topic not in _LANES:
            return
        header = batch.peek(payload)
        name = (header.run, header.stream, header.n)
        if topic == _HISTORY and name not in box.sent:
            self._alarms_first(box, box.life, name)
        box.sent.add(name)

    def _alarms_first(self, box: Box, life: Life, name: Name) -> None:
        """No batch of history is begun while an alarm waits that was not sent on this connection."""
        waiting = [
            alarm
            for alarm in open_alarms(life)
            if alarm not in box.sent and life.alarms.get(alarm, -math.inf) < life.reads[name]
        ]
        if waiting:
            self.failed(f"history n {name[2]} began while {len(waiting)} alarms waited, e.g. n {waiting[0][2]}")

    def _removed(self, file: str, data: bytes) -> None:
        """A segment leaves; of a restored center's rows it may be the last place before the node hears of it."""
        if self.truth.forgotten:
            self.truth.excused |= self.truth.in_segment(file, data) & self.truth.forgotten

    def copies(self) -> set[Key]:
        """Return every row that some card or the center accounts for."""
        found = self.center.rows()
        for box in self.boxes:
            found |= self.truth.on_disk(box.folder)
        return found

    @contextmanager
    def outside_the_promise(self) -> Iterator[None]:
        """Do something that may destroy the last copy of rows; those are excused, and no others."""
        before = self.copies()
        yield
        self.truth.excused |= before - self.copies()
