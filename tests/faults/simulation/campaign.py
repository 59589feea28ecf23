"""A run from its seed: how the node is set up, what its sensors say, which faults come, and the drain at the end."""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from agent.seal import Limits, Sealer
from agent.spool.disk import Disk
from agent.spool.spool import Facts, Settings, Spool
from agent.sync import Timing
from agent.wire.batch import Stream
from agent.wire.senml import Row, Scalar
from tests.faults.simulation import loop
from tests.faults.simulation.faults import FAULTS, Planned, plan
from tests.faults.simulation.judge import judge
from tests.faults.simulation.node import Box, RecordingSpool, Setup
from tests.faults.simulation.world import Broken, World

FAULT_COUNT = 20
_FAULTY_S = 5400.0
_CALM_S = 90.0
_BACKUP_S = 900.0
_DRAIN_S = 8 * 3600.0
_KIB = 1024
_LINES_A_FAULT = 8
_PREFIX = "gardu-sim-"
_SHM = Path("/dev/shm")  # noqa: S108 - memory, where there is some


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run showed.

    Attributes:
        seed: Repeats it.
        wrong: What was wrong.
        digest: Of everything that happened.
        faults: What was planned.
        rows: Given, promised, excused.
        hours: On virtual time.
        drained_s: Time from the last fault to the end of the backlog, on virtual time.
        log_lines: That agent and center wrote.
        trace: What happened, when something was wrong.
    """

    seed: int
    wrong: tuple[str, ...]
    digest: str
    faults: tuple[Planned, ...]
    rows: tuple[int, int, int]
    hours: float
    drained_s: float
    log_lines: int
    trace: tuple[str, ...]

    def __str__(self) -> str:
        """Say how to repeat it, what came when, and what was wrong."""
        faults = "\n".join(f"  {one.at_s:8.1f} {one.name}" for one in self.faults)
        wrong = "\n".join(f"  {line}" for line in self.wrong[:10])
        return f"GARDU_SEED={self.seed} GARDU_RUNS=1 repeats it\nfaults:\n{faults}\nwrong:\n{wrong}"


def run(seed: int, change: Callable[[World], None] = lambda _: None, *, kinds: Sequence[str] = tuple(FAULTS)) -> Result:
    """Run one seed.

    Args:
        seed: Of everything.
        change: May break the world on purpose.
        kinds: Of the faults that may come.
    """
    place = _SHM if os.access(_SHM, os.W_OK) else Path(tempfile.gettempdir())
    _sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    try:
        return loop.run(_run(seed, folder, change, kinds))
    except loop.Spinning as error:
        error.add_note(f"GARDU_SEED={seed} GARDU_RUNS=1 repeats it")
        raise
    finally:
        shutil.rmtree(folder)


def _sweep(place: Path) -> None:
    """Remove what runs left whose process was killed: memory would fill up with them."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


async def _run(seed: int, folder: Path, change: Callable[[World], None], kinds: Sequence[str]) -> Result:
    chance = Random(seed)  # noqa: S311 - the same seed gives the same run
    world = World(folder=folder, chance=chance, setup=_setup(chance))
    faults = plan(chance, kinds, FAULT_COUNT, _FAULTY_S)
    change(world)
    drained_s = 0.0
    with _listening(world), _recording(world):
        try:
            drained_s = await _live(world, faults)
        except Broken as error:
            world.failures.append(str(error))
        finally:
            for box in world.boxes:
                if box.life is not None:
                    await box.life.kill()
            world.center.end()
    wrong = list(judge(world))
    if len(world.log) > _LINES_A_FAULT * FAULT_COUNT:
        wrong.append(f"{len(world.log)} log lines")
    truth = world.truth
    return Result(
        seed=seed,
        wrong=tuple(wrong),
        digest=world.digest,
        faults=tuple(faults),
        rows=(len(truth.rows), len(truth.promised), len(truth.excused)),
        hours=asyncio.get_running_loop().time() / 3600,
        drained_s=drained_s,
        log_lines=len(world.log),
        trace=tuple(world.lines) if wrong else (),
    )


def _setup(chance: Random) -> Setup:
    small = chance.random() < 0.5
    settings = Settings(
        telemetry_cap=chance.choice([128, 256]) * _KIB if small else 64 * 1024 * _KIB,
        alarm_cap=chance.choice([32, 64]) * _KIB if small else 16 * 1024 * _KIB,
        free_disk=64 * _KIB,
        segment=chance.choice([16, 64, 1024]) * _KIB,
        limits=Limits(rows=chance.choice([50, 500]), plain_bytes=8 * _KIB if small else 64 * _KIB),
    )
    timing = Timing(window_bytes=chance.choice([16, 64, 256]) * _KIB)
    return Setup(
        settings=settings, timing=timing, metered=chance.random() < 0.2, durable_within_s=chance.choice([2.0, 10.0])
    )


async def _live(world: World, faults: list[Planned]) -> float:
    tasks = asyncio.get_running_loop()
    world.center.know(world.node.signer.public)
    world.center.start()
    serving = world.watched(world.center.serve(), "the center")
    backups = world.watched(_back_up(world), "the backups")
    await world.node.boot()
    sensors = [world.watched(_sensors(world), "the sensors"), world.watched(_alarms(world), "the alarms")]
    await asyncio.gather(*(_fault(world, one) for one in faults))
    backups.cancel()
    over_s = tasks.time()
    await _empty(world.node, over_s + _DRAIN_S)
    drained_s = tasks.time() - over_s
    await asyncio.sleep(_CALM_S)
    for task in sensors:
        task.cancel()
    await _last_words(world)
    serving.cancel()
    return drained_s


async def _fault(world: World, planned: Planned) -> None:
    await asyncio.sleep(planned.at_s)
    world.note(f"fault {planned.name}")
    await FAULTS[planned.name](world)
    world.note(f"over {planned.name}")


async def _back_up(world: World) -> None:
    while True:
        await asyncio.sleep(_BACKUP_S * (0.5 + world.chance.random()))
        world.center.back_up()


_CHANNELS = (("air/pm2_5", "ug/m3"), ("mains/voltage", "V"), ("river/level", "m"))
_STATES: tuple[Scalar, ...] = ("siaga1", "siaga2", "clear", "unknown", True, False, 3.25)
_EVERY_S = 1.0


async def _sensors(world: World) -> None:
    chance = world.chance
    while True:
        await asyncio.sleep(_EVERY_S * (0.9 + 0.2 * chance.random()))
        for box in list(world.boxes):
            for path, unit in _CHANNELS:
                value: Scalar = round(100 * chance.random(), 2) if chance.random() < 0.9 else chance.randrange(100)
                flags = ("stale", "step") if chance.random() < 0.02 else ()
                box.take(_row(box, path, unit, value, flags), Stream.TELEMETRY)


async def _alarms(world: World) -> None:
    chance = world.chance
    while True:
        await asyncio.sleep(chance.expovariate(1 / 120))
        for box in list(world.boxes):
            for _ in range(chance.choice([1, 1, 1, 4])):
                value = chance.choice(_STATES)
                box.take(_row(box, f"alarm/a{chance.randrange(4)}", "1", value, ()), Stream.ALARM)


def _row(box: Box, path: str, unit: str, value: Scalar, flags: tuple[str, ...]) -> Row:
    return Row(path=path, unit=unit, boot_ms=box.clocks.boot_ns() // 1_000_000, value=value, flags=flags)


async def _last_words(world: World) -> None:
    """One more process says a last word on both streams, so that the center hears how the one before it ended."""
    box = world.node
    end_s = asyncio.get_running_loop().time() + _DRAIN_S
    await _empty(box, end_s)
    await box.stop()
    await box.start()
    for stream in Stream:
        box.take(_row(box, "last/word", "1", 1, ()), stream)
    await asyncio.sleep(30)
    await _empty(box, end_s)
    await asyncio.sleep(60)
    await box.stop()
    await asyncio.sleep(10)


async def _empty(box: Box, end_s: float) -> None:
    """Everything is well: all that waits must reach the center."""
    while True:
        life = box.life
        if life is not None:
            await life.flush()
            if life.uplink._acked and not life.uplink.sync.backlog():
                return
        if asyncio.get_running_loop().time() > end_s:
            left = "no process runs" if life is None else f"{life.uplink.sync.backlog()} batches still wait"
            raise Broken(f"{left} {_DRAIN_S:.0f} s after the last fault")
        await asyncio.sleep(1)


@contextmanager
def _listening(world: World) -> Iterator[None]:
    """Count what agent and center log."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            world.log.append(record.getMessage())
            world.note(f"log {record.name}: {record.getMessage()}")

    handler = Handler()
    loggers = [logging.getLogger(name) for name in ("agent", "center", "asyncio")]
    before = [(one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.addHandler(handler)
        one.setLevel(logging.INFO)
        one.propagate = False
    try:
        yield
    finally:
        for one, (level, propagate) in zip(loggers, before, strict=True):
            one.removeHandler(handler)
            one.setLevel(level)
            one.propagate = propagate


@contextmanager
def _recording(world: World) -> Iterator[None]:
    """Let every keeper make spools that tell the truth what they number."""

    def make(disk: Disk, sealer: Sealer, settings: Settings, facts: Facts, *, volatile: bool = False) -> Spool:
        spool = RecordingSpool(disk, sealer, settings, facts, volatile=volatile)
        spool.given = world.truth.give
        return spool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent.spool.keeper.Spool", make)
        yield
