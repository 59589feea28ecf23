"""What the spool writes to a card in a day: sectors of a loop device under ext4, as the kernel counts them.

The real intake, thread, spool and files work through a day whose clock jumps from timer to timer, with every sync
made for real. What the kernel does by its own clock is asked of it by the day's: it commits its journal each 5 s and
writes back after 30 s what the journal holds. (Ten minutes of real time gave the
same within a sixth.)
"""

import asyncio
import contextlib
import ctypes
import itertools
import os
import random
import selectors
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.errors import SpoolError
from agent.seal import Moment, Pace, Sealer
from agent.spool.disk import Disk
from agent.spool.intake import Intake, Plan
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings
from agent.spool.writer import Writer
from agent.wire.ack import Ack, Settled
from agent.wire.batch import ID_BYTES
from agent.wire.keys import Signer
from agent.wire.senml import Row
from benchmarks.town import CITY, NODE

DAY_S = 86_400
_CHANNELS = 8
_EVERY_S = 1.25  # 0.8 readings a second
_JITTER_S = 0.5
_WARM_S = 900  # start records, first allocations
_COMMIT_S = 5  # ext4(5), "commit"; only a change that no sync of the spool has taken along costs anything
_COMMITS_A_WRITEBACK = 6  # proc(5), "dirty_expire_centisecs": 30 s
_IMAGE_BYTES = 256 << 20
_SECTOR_BYTES = 512
_SETTLE_S = 1.0  # as the center: an ack each second

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How a node works.

    Attributes:
        durable_within_s: Longest time until a routine row is on disk.
        online: Whether batches leave and acks come.
        metered: Whether the link is paid by the byte.
    """

    durable_within_s: float
    online: bool
    metered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day of 69 120 readings costs.

    Attributes:
        device_bytes: Written to the device, journal and metadata included.
        own_bytes: What the spool itself wrote.
        syncs: Syncs of segments.
    """

    device_bytes: float
    own_bytes: float
    syncs: float


class CountingDisk(Disk):
    """The spool's folder; counts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.syncs = 0
        self.wrote_bytes = 0

    def append(self, descriptor: int, data: bytes) -> None:
        """Write bytes at the end."""
        self.wrote_bytes += len(data)
        super().append(descriptor, data)

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Force a segment to the medium."""
        self.syncs += 1
        super().sync(descriptor, new=new)


def can_mount() -> bool:
    """Tell whether this process may make and mount loop devices."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("losetup", "mkfs.ext4", "mount"))


def day(folder: Path, use: Use, *, block_bytes: int, hours: float = 24, disk: type[CountingDisk] = CountingDisk) -> Day:
    """Work through a day, or a part of it that is then scaled, on a fresh ext4."""
    with _mounted(folder, block_bytes) as (mount, device):
        loop = DayLoop()
        try:
            return loop.run_until_complete(_work(loop, disk(mount / "spool"), device, use, hours * 3600))
        finally:
            loop.close()


# -- the device -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _mounted(folder: Path, block_bytes: int) -> Iterator[tuple[Path, str]]:
    """Mount a fresh ext4 with its default journal; yield the folder and the device's name."""
    image, mount = folder / "card.img", folder / "card"
    mount.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    options = ["-b", str(block_bytes), "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    subprocess.run(["mkfs.ext4", "-q", *options, str(image)], check=True)
    found = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True)
    device = found.stdout.strip()
    try:
        subprocess.run(["mount", "-o", "noatime", device, str(mount)], check=True)
        try:
            yield mount, Path(device).name
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
        image.unlink()


def _written_bytes(device: str) -> int:
    """Return field 7 of the device's statistics: sectors written. Source: Documentation/block/stat.rst."""
    return int(Path(f"/sys/block/{device}/stat").read_text().split()[6]) * _SECTOR_BYTES


def _sync(spool: Path, how: Callable[[int], None]) -> None:
    newest = max(spool.glob("*.seg"), default=spool)
    descriptor = os.open(newest, os.O_RDONLY)
    try:
        how(descriptor)
    finally:
        os.close(descriptor)


def _write_back(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        raise OSError(ctypes.get_errno(), "the card cannot be synced")


# -- the clock --------------------------------------------------------------------------------------------------------


class _Jump(selectors.DefaultSelector):
    """Waits for nothing but the spool's thread: where a loop would sleep, the day's clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.under_way = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready."""
        if self.under_way and timeout != 0:
            return super().select(None)
        self.now_s += timeout or 0.0
        return super().select(0)


class DayLoop(asyncio.SelectorEventLoop):
    """An event loop that lives a day in as long as its work takes."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        """Return the day's clock, in s."""
        return self.jump.now_s


class _DayWriter(Writer):
    """The spool's thread; the clock stands still while it works."""

    def __init__(self, keeper: Keeper, loop: DayLoop) -> None:
        super().__init__(keeper, loop)
        self._jump = loop.jump

    async def call(self, work: Callable[[Keeper], T]) -> T:
        """Run work on the spool."""
        self._jump.under_way += 1
        try:
            return await super().call(work)
        finally:
            self._jump.under_way -= 1


# -- the work ---------------------------------------------------------------------------------------------------------


async def _work(loop: DayLoop, counted: CountingDisk, device: str, use: Use, seconds: float) -> Day:
    boot = os.urandom(ID_BYTES)
    sealer = Sealer(city=CITY, node=NODE, run=os.urandom(ID_BYTES), signer=Signer(os.urandom(32)))
    keeper = Keeper(counted, sealer, Settings(), Facts(version="bench"))
    keeper.open()
    writer = _DayWriter(keeper, loop)
    writer.start()

    def moment() -> Moment:
        return Moment(boot=boot, boot_ms=60_000 + round(loop.time() * 1000))

    def stored(receipt: Receipt) -> None:
        if use.online and receipt.refs:
            loop.call_later(_SETTLE_S, lambda: acks.append(loop.create_task(_settle(writer, receipt.refs))))

    acks: list[asyncio.Task[None]] = []
    plan = Plan(durable_within_s=use.durable_within_s, pace=Pace(), metered=use.metered)
    intake = Intake(writer, plan=plan, moment=moment, stored=stored)
    intake.set_online(online=use.online)
    tasks = [loop.create_task(intake.run(acks.clear)), loop.create_task(_feed(loop, intake, moment))]
    tasks.append(loop.create_task(_kernel(counted.folder)))
    await asyncio.sleep(_WARM_S)
    before = _written_bytes(device), counted.wrote_bytes, counted.syncs
    await asyncio.sleep(seconds)
    after = _written_bytes(device), counted.wrote_bytes, counted.syncs
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await writer.call(lambda its: its.close(moment()))
    await writer.stop()
    device_bytes, own_bytes, syncs = [
        (late - early) * DAY_S / seconds for early, late in zip(before, after, strict=True)
    ]
    return Day(device_bytes=device_bytes, own_bytes=own_bytes, syncs=syncs)


async def _feed(loop: DayLoop, intake: Intake, moment: Callable[[], Moment]) -> None:
    chance = random.Random(7)  # noqa: S311 - believable values, no secret
    values = [20.0 + channel for channel in range(_CHANNELS)]
    number = 0
    while True:
        channel = number % _CHANNELS
        values[channel] = round(max(0.0, values[channel] + chance.uniform(-0.5, 0.5)), 1)
        path = f"air{channel // 2}/{'pm10' if channel % 2 else 'pm2_5'}"
        intake.take(Row(path=path, unit="ug/m3", boot_ms=moment().boot_ms, value=values[channel]))
        number += 1
        await asyncio.sleep(number * _EVERY_S + chance.uniform(0, _JITTER_S) - loop.time())


async def _kernel(spool: Path) -> None:
    for turn in itertools.count(1):
        await asyncio.sleep(_COMMIT_S)
        _sync(spool, os.fsync if turn % _COMMITS_A_WRITEBACK else _write_back)


async def _settle(writer: Writer, refs: Sequence[Ref]) -> None:
    def settle(keeper: Keeper) -> None:
        found = keeper.read(refs[-1])
        if found is None:
            raise SpoolError(f"batch {refs[-1].n} is not there")
        ref = found.ref
        settled = Settled(run=ref.run, stream=ref.stream, n=ref.n, hash=found.hash)
        keeper.settle(
            Ack(nonce=bytes(16), settled=(settled,), center_utc_ms=0, window_bytes=1 << 18, rate_bytes_per_s=0)
        )

    await writer.call(settle)
