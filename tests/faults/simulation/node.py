"""A box: sensors, clocks, a card, and one process after the other that runs the real agent's parts on them."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.clock import WallClock
from agent.clock_files import ClockFiles
from agent.mqtt import Broker as Address
from agent.seal import Moment, Pace, Sealer
from agent.session import Who
from agent.spool.intake import Intake, Plan
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref, Stored
from agent.spool.spool import Facts, Settings, Spool
from agent.sync import Name, Timing
from agent.timekeeper import Timekeeper
from agent.uplink import Uplink
from agent.wire.batch import ID_BYTES, Stream
from agent.wire.keys import Signer, Verifier
from agent.wire.senml import Row
from drivers.backoff import Backoff
from drivers.host.sample import Clock as KernelClock
from tests.faults.simulation.card import Gone, Medium, SimCard
from tests.faults.simulation.link import Stack
from tests.faults.simulation.truth import Truth
from tests.faults.simulation.writer import InlineWriter

CITY, NODE = "bandung", "dago-01"
UTC_MS = 1_795_000_000_000
_RESTART_S = 5.0
_LAST_WORDS_S = 3.0
_ADDRESS = Address(host="broker", tcp_port=8883, tls=None)


@dataclass(eq=False, slots=True)
class Clocks:
    """What the box's clocks show; real time is the loop's.

    Attributes:
        boot: Kernel boot id.
        booted_s: When it booted, on the loop's clock.
        steps_ms: How far faults have moved the wall clock.
        unkept: Faults that keep the time service away.
    """

    boot: bytes
    booted_s: float
    steps_ms: list[int] = field(default_factory=list)
    unkept: int = 0

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return round((asyncio.get_running_loop().time() - self.booted_s) * 1e9)

    def utc_ms(self) -> int:
        """Return what the wall clock shows."""
        return true_utc_ms() + sum(self.steps_ms)

    def is_kept(self) -> bool:
        """Tell whether the kernel says that a time service keeps it."""
        return not self.unkept


def true_utc_ms() -> int:
    """Return the time it really is."""
    return UTC_MS + round(asyncio.get_running_loop().time() * 1000)


class RecordingSpool(Spool):
    """Tells the truth which rows get which numbers."""

    given: Callable[[bytes, Mapping[Stream, Sequence[Row]]], None]

    def commit(
        self, rows: dict[Stream, Sequence[Row]], *, moment: Moment, seal: frozenset[Stream] = frozenset()
    ) -> list[Ref]:
        self.given(self._sealer.run, rows)
        return super().commit(rows, moment=moment, seal=seal)


class RecordingKeeper(Keeper):
    """Tells what was promised, and when the read of a batch was asked for."""

    def __init__(self, life: "Life", card: SimCard, sealer: Sealer, settings: Settings, facts: Facts) -> None:
        super().__init__(card, sealer, settings, facts, draw_run=life.draw_run)
        self._life = life

    def commit(
        self, rows: dict[Stream, Sequence[Row]], *, moment: Moment, seal: frozenset[Stream] = frozenset()
    ) -> Receipt:
        receipt = super().commit(rows, moment=moment, seal=seal)
        if not receipt.volatile:
            self._life.box.truth.promise(self._life.number)
        return receipt

    def read(self, ref: Ref) -> Stored | None:
        self._life.reads[ref.run, ref.stream, ref.n] = self._life.writer.asked_s
        return super().read(ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the node is configured in this run."""

    settings: Settings
    timing: Timing
    metered: bool
    durable_within_s: float


class Life:
    """One process.

    Attributes:
        number: Of the process, over all boxes.
        reads: When each batch was asked for that was read for sending.
        alarms: When the uplink was told of each alarm batch.
    """

    def __init__(self, box: "Box", number: int) -> None:
        self.box = box
        self.number = number
        self.over = False
        self.died = asyncio.Event()
        self.reads: dict[Name, float] = {}
        self.alarms: dict[Name, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        chance = box.chance
        self.card = SimCard(box.folder, box.medium)
        files = ClockFiles(box.folder.parent, box.run_folder, box.clocks.boot)
        self.wall = WallClock(
            bounds=files.bounds(),
            boot=box.clocks.boot,
            boot_ns=box.clocks.boot_ns,
            utc_ms=box.clocks.utc_ms,
            kernel=lambda: KernelClock(synchronised=box.clocks.is_kept(), offset_s=0.0, error_s=0.01),
        )
        sealer = Sealer(city=CITY, node=NODE, run=self.draw_run(), signer=box.signer)
        facts = Facts(version="1.2.3", config_hash="c0ffee", config='{"a":1}')
        self.keeper = RecordingKeeper(self, self.card, sealer, box.setup.settings, facts)
        self.keeper.open()
        self.writer = InlineWriter(self.keeper, self.card, lambda: box.ended(self))
        plan = Plan(
            durable_within_s=box.setup.durable_within_s,
            pace=Pace(live_s=10, metered_s=60, offline_s=600, empty_after_s=60),
            metered=box.setup.metered,
        )
        self.intake = Intake(self.writer, plan=plan, moment=self.wall.moment, stored=self._stored)
        self.timekeeper = Timekeeper(
            self.wall, files, self.intake, durably=lambda work: self.writer.call(lambda _: work()), rtc_s=_no_rtc
        )
        who = Who(
            city=CITY,
            node=NODE,
            run=sealer.run,
            boot=self.wall.boot,
            since_boot_ms=box.clocks.boot_ns() // 1_000_000,
            version="1.2.3",
            center=box.center,
        )
        self.uplink = Uplink(
            who,
            _ADDRESS,
            self.writer,
            box.setup.timing,
            backoff=lambda spread: Backoff(base_s=1, cap_s=60, random=chance.random, first_spread_s=30 * spread),
            random=chance.randbytes,
            moment=self.wall.moment,
            online=lambda up: self.intake.set_online(online=up),
            center_says=self.wall.center_says,
            connect=box.wire.connect,
        )

    def draw_run(self) -> bytes:
        """Draw the id of a run of this process."""
        run = self.box.chance.randbytes(ID_BYTES)
        self.box.truth.processes[run] = self.number
        return run

    def _stored(self, receipt: Receipt) -> None:
        now_s = asyncio.get_running_loop().time()
        for ref in receipt.refs:
            if ref.stream is Stream.ALARM:
                self.alarms[ref.run, ref.stream, ref.n] = now_s
        self.uplink.stored(receipt)

    def start(self) -> None:
        """Start the tasks."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self.timekeeper.run(_alive), name="time"),
            loop.create_task(self.intake.run(_alive), name="intake"),
            loop.create_task(self.uplink.run(_alive, spread=False), name="uplink"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not self.over:
            why = "was cancelled" if task.cancelled() else repr(task.exception())
            self.box.failed(f"the {task.get_name()} task of process {self.number} ended: {why}", task)

    async def _end(self) -> None:
        self.over = True
        for task in self._tasks:
            task.cancel()
        for found in await asyncio.gather(*self._tasks, return_exceptions=True):
            if not isinstance(found, asyncio.CancelledError) and found is not None:
                self.box.failed(f"process {self.number} did not end in order: {found!r}")

    async def kill(self) -> None:
        """End it here and now: nothing is written or sent any more."""
        self.card.gone = True
        self.died.set()
        self.writer.kill()
        await self._end()

    async def flush(self) -> None:
        """Seal what waits."""
        await self._unless_it_dies(self.intake.flush())

    async def stop(self) -> None:
        """End it in order, unless it dies on the way."""
        await self._unless_it_dies(self._stop())

    async def _unless_it_dies(self, work: Coroutine[None, None, None]) -> None:
        """Wait for what nobody answers any more once the process is gone."""
        loop = asyncio.get_running_loop()
        task, death = loop.create_task(work), loop.create_task(self.died.wait())
        await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if self.died.is_set():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            await task

    async def _stop(self) -> None:
        """Do as `agent.app` does."""
        await self.intake.flush()
        await self.uplink.drained(_LAST_WORDS_S)
        await self._end()
        await self.intake.write(seal=False)
        moment = self.wall.moment()
        await self.writer.call(lambda keeper: keeper.close(moment))
        await self.writer.stop()
        self.card.gone = True


def open_alarms(life: Life) -> Iterator[Name]:
    """Yield the alarm batches that the uplink may send; none while it waits because the broker refused the last one."""
    sync = life.uplink.sync
    if not sync._is_open("alarm", asyncio.get_running_loop().time()):
        return
    for (run, stream), chain in sync._chains.items():
        if stream is Stream.ALARM:
            for n in range(max(chain.first, chain.settled + 1), chain.last + 1):
                if chain.open(n):
                    yield run, stream, n


def _alive() -> None:
    """Nobody watches."""


def _no_rtc() -> None:
    """The board has no clock."""


@dataclass(eq=False, slots=True)
class Box:
    """One box with one card.

    Attributes:
        life: The process; None while none runs.
        powered: Whether it has power.
        busy: True while a fault holds the power switch: nobody starts a process meanwhile.
        sent: Batches that were published on this connection.
    """

    chance: Random
    truth: Truth
    folder: Path
    setup: Setup
    signer: Signer
    center: tuple[Verifier, ...]
    wire: Stack
    medium: Medium
    clocks: Clocks
    number_process: Callable[[], int]
    failed: Callable[..., None]
    note: Callable[[str], None]
    life: Life | None = None
    powered: bool = True
    busy: bool = False
    sent: set[Name] = field(default_factory=set)
    _reviving: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        """Start a process; one that cannot begin is started again, as systemd does."""
        while self.powered and self.life is None:
            number = self.number_process()
            self.note(f"process {number} begins")
            try:
                self.life = Life(self, number)
            except Gone:
                await asyncio.sleep(_RESTART_S)
            else:
                self.life.start()

    def ended(self, life: Life) -> None:
        """A process ended in the middle of a call to the card."""
        life.died.set()
        if self.life is life:
            self._reviving = asyncio.get_running_loop().create_task(self._revive(life))

    async def _revive(self, life: Life) -> None:
        await self.kill(life)
        if not self.busy:
            await asyncio.sleep(_RESTART_S)
            await self.start()

    async def kill(self, life: Life | None = None) -> None:
        """End the process with SIGKILL."""
        life = life or self.life
        if life is None or life is not self.life:
            return
        self.life = None
        self.note(f"process {life.number} is killed")
        self.wire.reset()
        await life.kill()

    async def cut_power(self) -> None:
        """Lose power: the card forgets what was not synced, or some of it."""
        self.powered = False
        life, self.life = self.life, None
        self.wire.vanish()
        if life is not None:
            self.note(f"process {life.number} loses power")
            await life.kill()
            life.card.lose_power(lambda most: self.chance.randint(0, most))

    async def stop(self) -> None:
        """End the process in order."""
        life = self.life
        if life is not None:
            await life.stop()
            self.note(f"process {life.number} {'died on its way out' if life.died.is_set() else 'ended in order'}")
            if self.life is life:
                self.life = None

    async def boot(self) -> None:
        """Power on, or boot again: a new boot id, and the boot clock begins anew."""
        self.powered = True
        now_s = asyncio.get_running_loop().time()
        shutil.rmtree(self.run_folder, ignore_errors=True)
        self.run_folder.mkdir(parents=True)
        self.clocks.boot = self.chance.randbytes(ID_BYTES)
        self.clocks.booted_s = now_s - 8 - 10 * self.chance.random()
        await self.start()

    @property
    def run_folder(self) -> Path:
        """What a boot empties."""
        return self.folder.parent / "run"

    def take(self, row: Row, stream: Stream) -> None:
        """A sensor has a reading."""
        if self.life is not None and not self.life.over:
            self.life.intake.take(row, stream)
