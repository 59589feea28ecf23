"""When rows are written and sealed, on a clock moved by hand; and what happens when the disk is slow or refuses."""

import asyncio
import errno
import logging
import selectors
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.seal import Moment, Pace, Sealer
from agent.spool import intake as module
from agent.spool.disk import Disk
from agent.spool.intake import Intake, Plan
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings, Spool
from agent.spool.writer import Writer
from agent.wire import batch, senml
from agent.wire.batch import STEPPED, Clock, Kind, Stream
from agent.wire.keys import Signer
from agent.wire.senml import Row

BOOT = b"b" * 16
RUN = b"r" * 16
T, A = Stream.TELEMETRY, Stream.ALARM


# -- the plan ---------------------------------------------------------------------------------------------------------


def plan(**changes: object) -> Plan:
    made = Plan(durable_within_s=10, pace=Pace(live_s=10, metered_s=60, offline_s=600, empty_after_s=60))
    return replace(made, **changes)  # type: ignore[arg-type]  # of Plan's own


@pytest.mark.parametrize(
    ("made", "due_s"),
    [
        (plan(), None),
        (plan(sealed_s=100.0), None),
        (plan(first_row_s=100.0, unsealed_s=100.0, sealed_s=95.0), 110.0),
        (plan(first_row_s=100.0, unsealed_s=97.0, sealed_s=95.0, online=True), 107.0),
        (plan(first_row_s=100.0, unsealed_s=100.0, sealed_s=95.0, online=True, metered=True), 110.0),
        (plan(unsealed_s=105.0, sealed_s=100.0), 705.0),
        (plan(unsealed_s=105.0, sealed_s=100.0, online=True), 115.0),
        (plan(sealed_s=100.0, online=True), 160.0),
        (plan(online=True), None),
    ],
)
def test_the_plan_knows_when_to_write(made: Plan, due_s: float | None) -> None:
    assert made.due_s() == due_s


def test_alarms_and_the_first_rows_of_a_run_do_not_wait() -> None:
    for made in (plan(alarm=True, sealed_s=100.0), plan(first_row_s=100.0)):
        due_s = made.due_s()
        assert due_s is not None
        assert due_s < 0


@given(
    st.builds(
        plan,
        first_row_s=st.none() | st.floats(0, 1e4),
        sealed_s=st.just(float("-inf")) | st.floats(0, 1e4),
        unsealed_s=st.none() | st.floats(0, 1e4),
        online=st.booleans(),
        metered=st.booleans(),
        alarm=st.booleans(),
    ),
    st.booleans(),
)
def test_a_write_that_is_due_leaves_nothing_due_at_once(made: Plan, late: bool) -> None:  # noqa: FBT001 - drawn
    due_s = made.due_s()
    if due_s is None:
        return
    now_s = max(due_s, 2e4) if late or due_s < 0 else due_s
    seal = made.seals(now_s)
    made.unsealed_s = None if seal else made.unsealed_s
    made.alarm, made.first_row_s = False, None
    made.sealed_s = now_s if seal else made.sealed_s
    after_s = made.due_s()
    assert after_s is None or after_s > now_s


# -- a loop on a clock moved by hand ----------------------------------------------------------------------------------


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a moment, lets the spool's thread finish and then moves the clock there."""

    def __init__(self, rig: "Rig") -> None:
        super().__init__()
        self._rig = rig

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        self._rig.settle()
        found = super().select(0 if timeout is not None else 5)
        if not found and timeout is not None:
            self._rig.wakes += 1
            self._rig.now_s += max(timeout, 1e-6)
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, rig: "Rig") -> None:
        super().__init__(_Selector(rig))
        self._rig = rig

    def time(self) -> float:
        return self._rig.now_s


class _Disk(Disk):
    """A card that can refuse, and that can be slow."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.refuses = False
        self.syncs = 0
        self.gate: threading.Event | None = None

    def sync(self, descriptor: int, *, new: bool) -> None:  # noqa: ARG002 - no medium is waited for here
        if self.gate is not None:
            self.gate.wait(5)
        self.syncs += 1
        if self.refuses:
            raise OSError(errno.ENOSPC, "No space left on device")

    def probe(self, size_bytes: int) -> None:  # noqa: ARG002 - nothing is written here
        if self.refuses:
            raise OSError(errno.ENOSPC, "No space left on device")

    def free_bytes(self) -> int:
        return 2**40


@dataclass
class Rig:
    folder: Path
    now_s: float = 100_000.0
    wakes: int = 0
    alive: int = 0
    clock: int = Clock.UNKNOWN
    stored: list[Ref] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    volatile: set[bool] = field(default_factory=set)

    def make(self, **changes: object) -> None:
        self.disk = _Disk(self.folder)
        sealer = Sealer(city="bandung", node="dago-01", run=RUN, signer=Signer(b"n" * 32))
        self.spool = Keeper(self.disk, sealer, Settings(free_disk=0), Facts())
        self.spool.open()
        self.writer = Writer(self.spool, asyncio.get_running_loop())
        self.writer.start()
        self.intake = Intake(self.writer, plan=plan(**changes), moment=self.moment, stored=self.note)

    def moment(self) -> Moment:
        boot_ms = int(self.now_s * 1000)
        utc_ms = None if self.clock % STEPPED == Clock.UNKNOWN else boot_ms + 1_800_000_000_000
        return Moment(boot=BOOT, boot_ms=boot_ms, utc_ms=utc_ms, clock=self.clock)

    def note(self, receipt: Receipt) -> None:
        self.stored += receipt.refs
        self.volatile.add(receipt.volatile)
        if receipt.refs:
            self.at_s.append(self.now_s)

    def beat(self) -> None:
        self.alive += 1

    def take(
        self, value: float = 1.0, *, stream: Stream = T, path: str = "air/pm2_5", boot_ms: int | None = None
    ) -> None:
        at_ms = int(self.now_s * 1000) if boot_ms is None else boot_ms
        self.intake.take(Row(path=path, unit="ug/m3", boot_ms=at_ms, value=value, flags=()), stream)

    def ns(self, stream: Stream = T) -> list[int]:
        return [ref.n for ref in self.stored if ref.stream is stream]

    def batches(self, stream: Stream = T) -> list[batch.Header]:
        return [batch.peek(self.message(ref)) for ref in self.stored if ref.stream is stream]

    def message(self, ref: Ref) -> bytes:
        found = self.spool.read(ref)
        assert found is not None
        return found.message

    def values(self) -> list[object]:
        found: list[object] = []
        for ref in self.stored:
            header, plain = batch.peek(self.message(ref)), batch.plain_of(self.message(ref))
            if header.kind is Kind.READINGS:
                node = f"{header.city}/{header.node}"
                rows = senml.unpack(plain, node=node, at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms)
                found += [row.value for row in rows]
        return found

    def settle(self) -> None:
        """Wait until the thread has done what it was given, unless its disk is made slow."""
        if self.writer is None or self.disk.gate is not None:
            return
        done = threading.Event()
        self.writer._jobs.put(done.set)
        done.wait(5)

    async def sleep(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)


def on_fake_time(folder: Path, work: Callable[[Rig], Coroutine[None, None, None]], **changes: object) -> Rig:
    """Run ``work`` beside an intake whose every wait takes no time."""
    rig = Rig(folder)

    async def main() -> None:
        rig.make(**changes)
        task = asyncio.ensure_future(rig.intake.run(rig.beat))
        try:
            await work(rig)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])
            rig.disk.gate = None
            await rig.writer.stop()

    with asyncio.Runner(loop_factory=lambda: _Loop(rig)) as runner:
        runner.run(main())
    return rig


def test_the_first_rows_of_a_run_are_written_and_sealed_at_once(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        start_s = rig.now_s
        rig.take(1.5)
        await rig.sleep(0.001)
        assert rig.ns() == [1, 2]  # the start record and the batch
        assert rig.now_s - start_s < 0.1

    assert on_fake_time(tmp_path, work).values() == [1.5]


def test_a_record_goes_behind_the_first_rows_and_never_begins_a_run_alone(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.intake.record(Kind.TIME, b"{}")
        await rig.sleep(3600)
        rig.take(stream=A)  # an alarm begins its own stream only
        await rig.sleep(1)
        assert rig.ns() == []
        rig.take(1.5)
        await rig.sleep(0.001)
        assert [header.kind for header in rig.batches()] == [Kind.START, Kind.READINGS, Kind.TIME]

    assert on_fake_time(tmp_path, work).values() == [1.0, 1.5]


def test_a_record_seals_the_rows_in_front_of_it_and_carries_the_step_with_them(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take(1)
        await rig.sleep(1)
        rig.take(2)
        rig.clock = Clock.SYNCHRONISED + STEPPED
        rig.intake.record(Kind.TIME, b"{}")
        await rig.intake.write(seal=False)
        rig.clock = Clock.SYNCHRONISED
        assert [header.kind for header in rig.batches()][2:] == [Kind.READINGS, Kind.TIME]
        assert [header.clock for header in rig.batches()][2:] == [STEPPED, STEPPED]
        rig.take(3)
        await rig.intake.write(seal=True)
        assert rig.batches()[-1].clock == Clock.SYNCHRONISED

    assert on_fake_time(tmp_path, work).values() == [1, 2, 3]


def test_records_that_wait_for_rows_are_bounded(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        for _ in range(100):
            rig.intake.record(Kind.TIME, b"{}")
        rig.take(1)
        await rig.sleep(0.001)
        assert len(rig.batches()) == 2 + 64

    on_fake_time(tmp_path, work)


def test_a_crash_loop_leaves_nothing_on_the_card(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.sleep(3600)

    on_fake_time(tmp_path, work, online=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "seals_s"),
    [({"online": True}, 10), ({"online": True, "metered": True}, 60), ({}, 600)],
)
def test_telemetry_is_sealed_at_the_pace_of_the_link(tmp_path: Path, changes: dict[str, bool], seals_s: float) -> None:
    async def work(rig: Rig) -> None:
        for _ in range(650):
            rig.take()
            await rig.sleep(2)

    rig = on_fake_time(tmp_path, work, **changes)
    gaps = {round(later - earlier) for earlier, later in pairwise(rig.at_s)}
    assert gaps
    assert all(seals_s * 0.85 - 2 <= gap <= seals_s + 2 for gap in gaps)


def test_routine_rows_are_durable_in_time_and_by_few_syncs(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take()
        await rig.sleep(1)
        before = rig.disk.syncs
        for _ in range(100):
            rig.take()
            await rig.sleep(1)
        assert 9 <= rig.disk.syncs - before <= 11

    on_fake_time(tmp_path, work)


def test_an_alarm_is_written_and_sealed_at_once(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take()
        await rig.sleep(5)
        start_s = rig.now_s
        rig.take(9.0, stream=A)
        await rig.sleep(0.001)
        assert rig.ns(A) == [1, 2]
        assert rig.now_s - start_s < 0.1

    assert on_fake_time(tmp_path, work).values() == [1.0, 9.0]


def test_an_empty_batch_keeps_leaving_while_the_link_is_up(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take()
        await rig.sleep(301)
        counts = [header.count for header in rig.batches()]
        assert counts == [0, 1, 0, 0, 0, 0, 0]
        rig.intake.set_online(online=False)
        await rig.sleep(3600)
        assert len(rig.batches()) == len(counts)

    on_fake_time(tmp_path, work, online=True)


def test_what_waited_offline_is_sealed_when_the_link_comes_back(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take()
        await rig.sleep(1)
        rig.take(2.0)
        await rig.sleep(60)
        sealed = len(rig.ns())
        rig.intake.set_online(online=True)
        await rig.sleep(0.01)
        assert len(rig.ns()) == sealed + 1

    assert on_fake_time(tmp_path, work).values() == [1.0, 2.0]


def test_rows_of_one_channel_never_share_a_millisecond(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        at_ms = int(rig.now_s * 1000)
        for value in range(5):
            rig.take(value, boot_ms=at_ms)
        rig.take(5, boot_ms=at_ms - 3)
        rig.take(0, path="air/pm10", boot_ms=at_ms)
        rig.take(0, stream=A, boot_ms=at_ms)
        await rig.sleep(0.001)
        (header,) = [header for header in rig.batches() if header.count]
        ref = next(ref for ref in rig.stored if ref.stream is T and ref.n == header.n)
        rows = senml.unpack(
            batch.plain_of(rig.message(ref)),
            node="bandung/dago-01",
            at_boot_ms=header.at_boot_ms,
            at_utc_ms=header.at_utc_ms,
        )
        assert [row.boot_ms - at_ms for row in rows if row.path == "air/pm2_5"] == [0, 1, 2, 3, 4, 5]
        assert [row.boot_ms - at_ms for row in rows if row.path == "air/pm10"] == [0]

    on_fake_time(tmp_path, work)


def test_a_quiet_intake_wakes_only_to_show_that_it_lives(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take()
        await rig.sleep(1)
        wakes, alive = rig.wakes, rig.alive
        await rig.sleep(1000)
        assert rig.wakes - wakes <= 102
        assert rig.alive - alive >= 99

    on_fake_time(tmp_path, work)


def test_a_row_that_may_wait_costs_no_wake_up_of_its_own(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.take()
        await rig.sleep(1)
        wakes = rig.wakes
        for _ in range(100):
            rig.take()
            await rig.sleep(1)  # a wake-up of this test
        assert rig.wakes - wakes <= 100 + 11

    on_fake_time(tmp_path, work)


def test_a_step_of_the_clock_is_told_by_the_next_batch_though_rows_were_written_between(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.clock = Clock.SYNCHRONISED
        rig.take()
        await rig.sleep(1)
        rig.take()
        rig.clock = Clock.SYNCHRONISED + STEPPED
        await rig.sleep(11)  # the rows are written; the batch comes later
        rig.clock = Clock.SYNCHRONISED
        await rig.sleep(700)
        rig.take()
        await rig.sleep(700)
        clocks = [header.clock for header in rig.batches()]
        assert clocks == [0, 0, STEPPED, 0]

    on_fake_time(tmp_path, work)


# -- a disk that refuses ----------------------------------------------------------------------------------------------


def test_a_disk_that_refuses_delays_nothing_loses_nothing_and_needs_no_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def work(rig: Rig) -> None:
        rig.take(0)
        await rig.sleep(1)
        rig.disk.refuses = True
        syncs = rig.disk.syncs
        for value in range(1, 61):
            rig.take(value)
            if value == 30:
                rig.take(1000, stream=A)
                await rig.sleep(0.001)
                assert 1000 in rig.values()
            await rig.sleep(1)
        assert rig.disk.syncs - syncs <= 4  # it is tried in vain by a probe
        rig.disk.refuses = False
        await rig.sleep(180)
        assert rig.volatile == {False, True}
        assert rig.intake.dropped == 0

    rig = on_fake_time(tmp_path, work, online=True)
    assert sorted(rig.values(), key=float) == [*range(61), 1000]  # type: ignore[arg-type]  # all are numbers
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].startswith("rows go to memory: run=")
    assert "No space left on device" in errors[0]
    assert sum("disk takes rows again" in record.message for record in caplog.records) == 1


def test_a_disk_that_refuses_from_the_first_row_on_delays_nothing(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.disk.refuses = True
        rig.take(1)
        rig.take(2, stream=A)
        await rig.sleep(0.001)
        assert rig.values() == [2, 1]

    on_fake_time(tmp_path, work)


# -- a disk that is slow ----------------------------------------------------------------------------------------------


def test_memory_is_bounded_while_one_write_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 100)

    async def work(rig: Rig) -> None:
        gate = rig.disk.gate = threading.Event()
        rig.take(0)
        await rig.sleep(0.01)
        for value in range(1, 1001):
            rig.take(value)
            await rig.sleep(0.1)
        assert len(rig.intake._waiting[T]) == 100
        rig.disk.gate = None
        gate.set()
        await rig.sleep(20)

    rig = on_fake_time(tmp_path, work, online=True)
    assert rig.values() == [0, *range(901, 1001)]
    assert rig.intake.dropped == 900
    assert sum("oldest rows leave" in record.message for record in caplog.records) == 1


def test_a_slow_disk_delays_no_take_and_loses_nothing(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        gate = rig.disk.gate = threading.Event()
        rig.take(0)
        await rig.sleep(0.01)
        for value in range(1, 50):
            rig.take(value)
            await rig.sleep(0.5)
        assert rig.stored == []
        rig.disk.gate = None
        gate.set()
        await rig.sleep(30)

    assert on_fake_time(tmp_path, work, online=True).values() == list(range(50))


def test_syncs_that_take_seconds_delay_no_poll(tmp_path: Path) -> None:
    polled_s: list[float] = []

    async def work(rig: Rig) -> None:
        rig.take(-1)
        await rig.sleep(1)
        for turn in range(5):
            gate = rig.disk.gate = threading.Event()
            for tick in range(80):  # eight seconds in which the card does not answer
                rig.take(turn * 80 + tick)
                rig.take(turn * 80 + tick, stream=A)
                polled_s.append(rig.now_s)
                await rig.sleep(0.1)
            rig.disk.gate = None
            gate.set()
            await rig.sleep(0.1)

    rig = on_fake_time(tmp_path, work, online=True)
    gaps_s = [later - earlier for earlier, later in pairwise(polled_s)]
    assert max(gaps_s) < 0.25
    assert {value for value in rig.values() if value != -1} >= set(range(320))
    assert rig.intake.dropped == 0


def test_a_stop_while_a_write_is_under_way_loses_nothing(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        gate = rig.disk.gate = threading.Event()
        rig.take(1)
        write = asyncio.ensure_future(rig.intake.write(seal=True))
        await asyncio.sleep(0)
        rig.take(2)
        await asyncio.sleep(0)
        write.cancel()
        rig.disk.gate = None
        gate.set()
        await rig.intake.write(seal=True)
        assert rig.disk.syncs

    rig = on_fake_time(tmp_path, work)
    again = Spool(Disk(tmp_path), rig.spool._sealer, Settings(free_disk=0), Facts())
    again.open()
    (chain,) = [chain for chain in again.index.chains.values() if chain.stream is T]
    assert chain.taken == 2
