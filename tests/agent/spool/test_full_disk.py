"""A disk that other programs fill: what is reserved is used, the spool stops growing, and needs no restart."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.spool.frames import Name
from agent.wire.batch import Stream
from tests.agent.spool.keeper_rig import KeeperRig
from tests.agent.spool.rig import ALARM, SMALL, TELEMETRY, Card, collect, run_id

SETTINGS = replace(SMALL, telemetry_cap=256 * 1024, alarm_cap=160 * 1024, segment=4 * 1024)
DISK_BYTES = 512 * 1024


class SmallCard(Card):
    """A disk of which others take a part; what does not fit is ENOSPC."""

    others_bytes = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._reserved: set[str] = set()

    def used_bytes(self) -> int:
        """Bytes of all segments and of what is kept for more; one that began in kept space takes all of it."""
        found = 0
        for path in self.folder.iterdir():
            whole = path.suffix == ".reserve" or path.name in self._reserved
            found += max(path.stat().st_size, SETTINGS.segment if whole else 0)
        return found

    def free_bytes(self) -> int:
        super().free_bytes()
        return max(0, DISK_BYTES - SmallCard.others_bytes - self.used_bytes())

    def append(self, descriptor: int, data: bytes) -> None:
        path = self.folder / self._open[descriptor]
        kept = SETTINGS.segment - path.stat().st_size if path.name in self._reserved else 0
        room = max(0, kept) + self.free_bytes()
        if len(data) > room:
            super().append(descriptor, data[:room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(descriptor, data)

    def create_reserved(self, name: Name) -> int:
        descriptor = super().create_reserved(name)
        self._reserved.add(str(name))
        return descriptor

    def close(self, descriptor: int) -> None:
        self._reserved.discard(self._open.get(descriptor, ""))
        super().close(descriptor)

    def probe(self, size_bytes: int) -> None:
        if size_bytes > self.free_bytes():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().probe(size_bytes)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeeperRig:
    monkeypatch.setattr(SmallCard, "others_bytes", 0)
    monkeypatch.setattr("tests.agent.spool.keeper_rig.Card", SmallCard)
    return KeeperRig(tmp_path / "spool", settings=SETTINGS)


def fill_up(rig: KeeperRig) -> None:
    SmallCard.others_bytes = 0
    SmallCard.others_bytes = rig.card.free_bytes()


def reserves(rig: KeeperRig) -> set[str]:
    return {path.name for path in rig.folder.glob("*.reserve")}


def test_space_for_a_segment_of_each_stream_is_kept_and_counted_by_the_cap(rig: KeeperRig) -> None:
    for _ in range(600):
        rig.commit(20, seal=[TELEMETRY])
        assert rig.size_bytes(TELEMETRY) + 4096 <= SETTINGS.telemetry_cap
    assert reserves(rig) == {"telemetry.reserve"}
    rig.commit(0, 1, seal=[ALARM])
    assert all(path.stat().st_blocks * 512 >= 4096 for path in rig.folder.glob("*.reserve"))
    assert reserves(rig) == {"telemetry.reserve", "alarm.reserve"}


def test_on_a_full_disk_rows_and_alarms_go_into_what_was_reserved(rig: KeeperRig) -> None:
    for _ in range(20):
        rig.commit(20, 1, seal=Stream)
    fill_up(rig)
    for _ in range(3):
        rig.commit(20, 1, seal=Stream)
        assert not rig.receipt.volatile
    rig.crash()
    rig.start()
    rig.audit()


@pytest.mark.parametrize("settle", [True, False])
def test_a_disk_that_stays_full_costs_the_oldest_readings_and_no_alarm_until_there_is_space(
    rig: KeeperRig, *, settle: bool
) -> None:
    for _ in range(100):
        rig.commit(20, 1, seal=Stream)
    if settle:
        rig.settle_all()
    rig.audit()
    alarms = {(run_id(1), ALARM, batch.header.n) for batch in collect(rig.folder).of((run_id(1), ALARM))}
    for turn in range(150):
        fill_up(rig)
        rig.commit(20, int(turn % 10 == 0), seal=Stream)
        if turn % 5 == 0:
            rig.audit(lossless=False)
    SmallCard.others_bytes = 0
    rig.wait(1200)
    for _ in range(30):
        rig.commit(20, 1, seal=Stream)
    assert not rig.receipt.volatile
    assert reserves(rig) == {"telemetry.reserve", "alarm.reserve"}
    found = rig.audit(lossless=False)
    assert alarms <= found.batches.keys()
    assert not [gap for batch, gap in found.gaps if batch.header.stream is ALARM]


def test_a_reserve_that_was_begun_to_be_used_shows_no_old_frames(rig: KeeperRig) -> None:
    for _ in range(20):
        rig.commit(20, seal=[TELEMETRY])
    path = rig.folder / "telemetry.reserve"
    path.write_bytes(rig.segments()[0].read_bytes())
    rig.crash(lambda most: most)
    rig.start()
    fill_up(rig)
    rig.commit(20, seal=[TELEMETRY])
    rig.restart()
    rig.commit(1)
    assert rig.audit(lossless=False)


def test_what_was_reserved_and_not_needed_is_no_torn_tail(rig: KeeperRig) -> None:
    rig.commit(20, seal=[TELEMETRY])
    fill_up(rig)
    for _ in range(40):
        if rig.card.calls["create_reserved"]:
            break
        rig.commit(20, seal=[TELEMETRY])
    rig.crash(lambda most: most)
    SmallCard.others_bytes = 0
    rig.start()
    rig.commit(1)
    assert rig.audit().starts[rig.receipt.run, TELEMETRY].torn_bytes == 0


def test_below_the_floor_settled_segments_leave_up_to_the_shortage(rig: KeeperRig) -> None:
    for _ in range(100):
        rig.commit(20, seal=[TELEMETRY])
    rig.settle_all()
    before = rig.size_bytes(TELEMETRY)
    rig.keeper._disk._room._settings = replace(SETTINGS, free_disk=rig.card.free_bytes() + before // 2)
    rig.commit(1)
    assert before // 3 < rig.size_bytes(TELEMETRY) <= before // 2 + 8192
    assert not rig.audit().gaps


def test_below_the_floor_unsettled_readings_leave_only_as_new_ones_need_their_place(rig: KeeperRig) -> None:
    for _ in range(100):
        rig.commit(20, seal=[TELEMETRY])
    before = rig.size_bytes(TELEMETRY)
    rig.audit()
    rig.keeper._disk._room._settings = replace(SETTINGS, free_disk=2**40)
    for _ in range(60):
        rig.commit(20, seal=[TELEMETRY])
        assert before - 3 * 4096 < rig.size_bytes(TELEMETRY) <= before + 4096
    found = rig.audit(lossless=False)
    assert found.gaps


def test_alarms_that_fill_their_own_cap_cost_no_reading_and_readings_cost_no_alarm(rig: KeeperRig) -> None:
    rig.keeper._disk._room._settings = replace(SETTINGS, alarm_cap=48 * 1024)
    for turn in range(400):
        rig.commit(20, 20, seal=Stream)
        assert rig.size_bytes(ALARM) <= 48 * 1024
        if turn == 150:
            assert not [gap for batch, gap in rig.audit(lossless=False).gaps if batch.header.stream is TELEMETRY]
        if turn % 20 == 0:
            rig.audit(lossless=False)
    assert not rig.receipt.volatile
    assert any(batch.header.stream is ALARM for batch, _ in rig.audit(lossless=False).gaps)


def test_a_name_is_never_used_twice_when_the_reserve_fails_too(rig: KeeperRig) -> None:
    rig.commit(20, seal=[TELEMETRY])
    rig.card.error = errno.ENOSPC
    rig.card.fails = lambda call: call == "append"
    rig.commit(20, seal=[TELEMETRY])
    assert rig.receipt.volatile
    rig.card.fails = lambda _: False
    rig.wait(1200)
    rig.commit(20, seal=[TELEMETRY])
    assert rig.receipt.run != run_id(2)
    names = [path.name for path in rig.segments()]
    assert len({name.split("-")[0] for name in names}) == len(names)
    rig.audit()
