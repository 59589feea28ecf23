"""Clocks that lie, end to end: the real clock, spool and center in a fake time. Each row's value is the truth.

What is promised: no row is lost, doubled or reordered, and what the center tells of a row's time holds the truth.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from agent.belief import BUILT_UTC_MS, Bounds
from agent.clock import WallClock
from agent.clock_files import ClockFiles
from agent.seal import Pace, Sealer
from agent.spool.disk import Disk
from agent.spool.intake import Intake, Plan
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings
from agent.sync import hello_chains
from agent.timekeeper import Timekeeper
from agent.wire import topics
from agent.wire.ack import open_ack
from agent.wire.hello import encode_hello
from agent.wire.keys import Verifier
from agent.wire.senml import Row
from center.receiver import Message
from center.store import ReadingRow
from drivers.host import sample
from tests.center.fake_node import CITY, UTC_MS, FakeNode
from tests.center.harness import Center

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START_MS = BUILT_UTC_MS + 50 * DAY
NODE = "dago-01"
T = TypeVar("T")


class InlineWriter:
    """The spool's thread, without a thread."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    async def call(self, work: Callable[[Keeper], T]) -> T:
        return work(self.keeper)


class Process:
    """One run of the agent's parts."""

    def __init__(self, box: "Box") -> None:
        self.box = box
        self.files = ClockFiles(box.card, box.memory, box.boot)
        self.wall = WallClock(
            boot=box.boot,
            boot_ns=lambda: box.boot_ms() * 1_000_000,
            utc_ms=lambda: box.true_ms + box.lie_ms,
            kernel=lambda: sample.Clock(synchronised=box.kept, offset_s=0.0, error_s=0.05),
            bounds=self.files.bounds(),
        )
        self.run = os.urandom(16)
        sealer = Sealer(city=CITY, node=NODE, run=self.run, signer=box.signer)
        self.keeper = Keeper(Disk(box.card / "spool"), sealer, Settings(free_disk=0), Facts())
        self.keeper.open()
        self.intake = Intake(
            InlineWriter(self.keeper),  # type: ignore[arg-type]  # the same calls
            plan=Plan(durable_within_s=1, pace=Pace()),
            moment=self.wall.moment,
            stored=self.stored,
        )
        self.timekeeper = Timekeeper(self.wall, self.files, self.intake, durably=self.durably, rtc_s=lambda: box.rtc_s)
        self.sent: set[Ref] = set()

    def stored(self, receipt: Receipt) -> None:
        self.run = receipt.run
        self.timekeeper.writes(receipt.run)

    async def durably(self, work: Callable[[], None]) -> None:
        work()


class Box:
    """A node in a world whose true time is ``true_ms``; its wall clock shows ``lie_ms`` more."""

    def __init__(self, folder: Path) -> None:
        self.card, self.memory = folder / "card", folder / "run"
        self.card.mkdir()
        self.center = Center(folder / "center.db")
        node = FakeNode()
        self.signer = node.signer
        self.center.know(node)
        self.true_ms = START_MS
        self.lie_ms = 0
        self.kept = False
        self.rtc_s: int | None = None
        self.truth: list[int] = []
        self.nonces = 0
        self.start()

    def boot_ms(self) -> int:
        return self.true_ms - self.booted_ms

    def start(self) -> None:
        """Switch on."""
        self.boot, self.booted_ms = os.urandom(16), self.true_ms - 20_000
        self.memory.mkdir(exist_ok=True)
        for left in self.memory.iterdir():
            left.unlink()
        self.process = Process(self)

    def restart(self, off_ms: int = MINUTE) -> None:
        """Cut the power for a while."""
        self.true_ms += off_ms
        self.start()

    def sets(self, lie_ms: int, *, kept: bool) -> None:
        self.lie_ms, self.kept = lie_ms, kept

    def lives(self, ms: int, *, online: bool = False, every_ms: int = MINUTE) -> None:
        """Sample; online, send what there is each time."""
        for _ in range(ms // every_ms):
            self.true_ms += every_ms
            self.samples(seal=online)
            if online:
                self.links()
        self.samples(seal=True)

    def samples(self, *, seal: bool) -> None:
        self.true_ms += 7
        process = self.process
        row = Row(path="air/t", unit="1", boot_ms=self.boot_ms(), value=self.true_ms)
        self.truth.append(self.true_ms)

        async def work() -> None:
            await process.timekeeper.look()
            process.intake.take(row)
            await process.intake.write(seal=seal)

        asyncio.run(work())

    def links(self) -> None:
        """Say hello, send all, take the acks."""
        process = self.process
        self.nonces += 1
        nonce = self.nonces.to_bytes(16)
        held = process.keeper.held()
        pages = encode_hello(nonce, process.run, self.boot, hello_chains(held))
        messages = [Message(topic=topics.hello(CITY, NODE), payload=page) for page in pages]
        for chain in held:
            for n in range(chain.first, chain.last + 1):
                ref = Ref(run=chain.run, stream=chain.stream, n=n)
                stored = None if ref in process.sent else process.keeper.read(ref)
                if stored is not None:
                    process.sent.add(ref)
                    messages.append(Message(topic=topics.up(CITY, NODE, "history"), payload=stored.message))
        center = self.center
        center.seconds = (self.true_ms - UTC_MS) / 1000
        center.take(*messages)
        for answer in center.receiver.acks(center.now()):
            ack = open_ack(answer.payload, city=CITY, node=NODE, center=[Verifier(center.signer.public)])
            if ack.nonce == nonce:
                process.wall.center_says(ack.center_utc_ms)
                process.keeper.settle(ack)
        self.center.project()

    def rows(self) -> list[ReadingRow]:
        return self.center.store.readings(node=NODE, sensor="air", channel=None, after=0, last=None)

    def settled(self) -> list[ReadingRow]:
        """Deliver all and check that every row is there once, in order, and that its time holds the truth."""
        self.links()
        rows = self.rows()
        assert [row.value for row in sorted(rows, key=lambda row: int(row.value))] == self.truth
        for origin in {row.origin for row in rows}:
            values = [row.value for row in sorted(rows, key=lambda row: row.boot_ms) if row.origin == origin]
            assert values == sorted(int(value) for value in values)
        for row in rows:
            true_ms = int(row.value)
            if row.low_utc_ms is None and row.high_utc_ms is None:
                assert row.utc_ms is not None
                assert abs(row.utc_ms - true_ms) <= 1000, f"{row.utc_source} is off by {row.utc_ms - true_ms} ms"
            else:
                assert row.low_utc_ms is None or row.low_utc_ms <= true_ms + 1000
                assert row.high_utc_ms is not None
                assert true_ms <= row.high_utc_ms + 1000
        floor_ms = max(self.process.files.bounds().floor_ms, self.process.wall.bounds.floor_ms)
        assert BUILT_UTC_MS <= floor_ms <= self.true_ms
        return rows


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    for wait in ("fsync", "fdatasync"):  # no power is cut here
        monkeypatch.setattr(os, wait, lambda _: None)
    made = Box(tmp_path)
    made.center.store.db.execute("PRAGMA synchronous = OFF")
    yield made
    for store in made.center.opened:
        store.close()


def test_a_box_that_boots_in_1970_is_right_once_it_synchronises(box: Box) -> None:
    box.sets(-box.true_ms, kept=False)
    box.lives(3 * HOUR)
    rows = box.settled()
    assert {row.utc_source for row in rows} == {"bounds"}
    assert {row.low_utc_ms for row in rows} == {None}
    box.sets(0, kept=True)
    box.lives(30 * MINUTE, online=True)
    rows = box.settled()
    assert {row.utc_source for row in rows} == {"device", "corrected"}
    assert {row.high_utc_ms for row in rows} == {None}


LIES = {"1970": -START_MS, "20 years": 20 * 365 * DAY, "a day back": -DAY, "42 minutes": 42 * MINUTE}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "set"])
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
@pytest.mark.parametrize("known", [True, False], ids=["told", "untold"])
def test_a_clock_that_jumps_and_comes_back(box: Box, lie: str, *, kept: bool, online: bool, known: bool) -> None:
    if known:
        box.links()
    box.sets(0, kept=True)
    box.lives(30 * MINUTE, online=online)
    box.sets(LIES[lie], kept=kept)
    box.lives(60 * MINUTE, online=online)
    box.settled()
    box.sets(0, kept=True)
    box.lives(30 * MINUTE, online=online)
    rows = box.settled()
    if not kept or lie in {"1970", "20 years"}:
        assert {row.low_utc_ms for row in rows} == {None}  # never believed: every row is simply right


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_a_clock_that_is_wrong_from_the_beginning_of_a_boot(box: Box, lie: str, *, online: bool) -> None:
    box.sets(0, kept=True)
    box.lives(10 * MINUTE, online=True)
    box.restart(HOUR)
    box.sets(LIES[lie], kept=True)
    box.lives(60 * MINUTE, online=online)
    box.sets(0, kept=True)
    box.lives(30 * MINUTE, online=online)
    box.settled()


def test_a_box_that_never_synchronises_is_bounded_by_what_was_known_and_by_receipt(box: Box) -> None:
    box.sets(0, kept=True)
    box.lives(10 * MINUTE)
    known_ms = box.truth[-1]
    box.restart(DAY)
    box.sets(-START_MS, kept=False)
    box.lives(2 * HOUR)
    rows = [row for row in box.settled() if row.utc_source == "bounds"]
    assert len(rows) == 2 * 60 + 1
    for row in rows:
        assert row.low_utc_ms is not None
        assert row.low_utc_ms >= known_ms - 1000
        assert row.high_utc_ms == box.true_ms


def test_seventy_boots_without_a_clock_stay_in_order_between_the_boots_that_had_one(box: Box) -> None:
    box.sets(0, kept=True)
    box.lives(10 * MINUTE)
    for _ in range(70):
        box.restart(3 * MINUTE)
        box.sets(-START_MS, kept=False)
        box.lives(10 * MINUTE, every_ms=2 * MINUTE)
    last_ms = box.true_ms
    box.restart(5 * MINUTE)
    box.sets(0, kept=True)
    box.lives(5 * MINUTE)
    box.true_ms += 30 * DAY
    rows = box.settled()
    bounded = [row for row in sorted(rows, key=lambda row: int(row.value)) if row.utc_source == "bounds"]
    assert len({row.origin for row in bounded}) == 70
    lows, highs = [row.low_utc_ms or 0 for row in bounded], [row.high_utc_ms or 0 for row in bounded]
    assert lows == sorted(lows)
    assert highs == sorted(highs)
    assert highs[-1] <= last_ms + 6 * MINUTE  # the next boot bounds it, not the receipt a month later
    assert lows[-1] >= START_MS + 70 * 10 * MINUTE  # each boot lasted ten minutes at least
    assert box.process.wall.bounds.floor_ms == box.true_ms


def test_the_clock_of_the_board_gives_a_time_with_its_doubt_until_a_better_one_comes(box: Box) -> None:
    box.rtc_s = (box.true_ms - 5 * MINUTE) // 1000  # read once: it is asked hourly
    box.lives(30 * MINUTE)
    rows = box.settled()
    assert {row.utc_source for row in rows} == {"told"}
    assert all(row.high_utc_ms is not None and row.low_utc_ms is not None for row in rows)
    box.rtc_s = None
    box.sets(0, kept=True)
    box.lives(10 * MINUTE)
    assert {row.utc_source for row in box.settled()} == {"device", "corrected"}


def test_the_floor_survives_the_card_and_the_lies(box: Box) -> None:
    box.sets(0, kept=True)
    box.lives(3 * HOUR, online=True, every_ms=10 * MINUTE)
    floor_ms = box.process.files.bounds().floor_ms
    assert box.true_ms - HOUR - 11 * MINUTE <= floor_ms <= box.true_ms
    box.restart()
    box.sets(20 * 365 * DAY, kept=True)
    box.lives(HOUR)
    assert box.process.files.bounds() == Bounds(floor_ms=floor_ms)
    assert box.process.wall.bounds.floor_ms == floor_ms
    box.settled()
    box.restart()
    box.sets(-30 * DAY, kept=True)  # a month before what the center told
    box.lives(HOUR)
    assert {row.utc_source for row in box.settled()[-60:]} == {"bounds"}
