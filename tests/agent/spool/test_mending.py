"""What turns out while a run goes on: rot found before sending, a center restored from a backup, a broker's limit."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.spool.frames import FrameKind
from agent.spool.shelf import Ref
from agent.wire import batch as wire
from agent.wire.ack import Range, Refused
from agent.wire.batch import Kind
from agent.wire.bodies import Time
from tests.agent.spool.keeper_rig import KeeperRig
from tests.agent.spool.rig import ALARM, BOOT, TELEMETRY, Rig, collect, open_message, run_id, scan
from tests.agent.spool.test_faults import always, never
from tests.agent.spool.test_full import TIGHT, fill

TIME = Time(boot=BOOT, at_boot_ms=1, at_utc_ms=2, uncertainty_ms=3, source="kernel").encode()

SMALLER = replace(TIGHT, telemetry_cap=24 * 1024, segment=2 * 1024)


@pytest.fixture
def rig(tmp_path: Path) -> KeeperRig:
    return KeeperRig(tmp_path / "spool")


def rot(rig: Rig, stream: object, which: int, run: bytes | None = None) -> None:
    """Let the nth batch of a stream go bad on disk."""
    seen = 0
    for path in rig.segments():
        if (run is not None and run.hex() not in path.name) or f"-{stream}-" not in path.name:
            continue
        for frame in scan(path).frames:
            if frame.kind == FrameKind.BATCH:
                seen += 1
                if seen == which:
                    data = bytearray(path.read_bytes())
                    data[frame.offset + 60] ^= 0x55
                    path.write_bytes(data)
                    return
    raise AssertionError("no such batch")


# -- damage -----------------------------------------------------------------------------------------------------------


def test_a_batch_found_bad_before_sending_is_in_a_gap_with_the_next_commit(rig: KeeperRig) -> None:
    rig.commit(190)
    rig.audit()  # from now on it is known which row a number means
    rot(rig, "telemetry", 4)
    assert rig.deliver((rig.receipt.run, TELEMETRY), 4) is None
    assert not collect(rig.folder).gaps
    rig.commit()
    found = rig.audit(lossless=False)
    ((_, gap),) = found.gaps
    assert gap.reason == "damaged"
    assert [(span.first, span.last) for span in gap.chains] == [(4, 4)]
    assert [(span.origin, span.first, span.last) for span in gap.rows] == [(run_id(1), 41, 60)]
    rig.commit(5)
    rig.settle_all()
    assert len(rig.audit(lossless=False).gaps) == 1


def test_rows_of_a_bad_batch_that_also_stand_alone_are_sealed_again(rig: KeeperRig) -> None:
    for _ in range(12):
        rig.commit(9)
    rig.audit()  # from now on it is known which row a number means
    rot(rig, "telemetry", 3)
    assert rig.deliver((run_id(1), TELEMETRY), 3) is None
    rig.commit(9)
    found = rig.audit(lossless=False)
    (batch,) = [batch for batch in found.of((run_id(1), TELEMETRY)) if batch.header.origin is not None]
    assert batch.header.origin == run_id(1)
    rig.commit(9)
    rig.restart()
    rig.commit(1)
    rig.audit(lossless=False)


def test_damage_of_the_newest_batch_and_of_an_older_run_is_told(rig: KeeperRig) -> None:
    rig.commit(60)
    rig.restart()
    rig.commit(60)
    rig.audit()  # from now on it is known which row a number means
    rot(rig, "telemetry", 2, run_id(1))
    rot(rig, "telemetry", 4, run_id(2))
    for key in ((run_id(1), TELEMETRY), (run_id(2), TELEMETRY)):
        for n in range(1, 5):
            rig.deliver(key, n)
    rig.commit()
    found = rig.audit(lossless=False)
    named = {(span.run, span.first, span.last) for _, gap in found.gaps for span in gap.chains}
    assert named == {(run_id(1), 2, 2), (run_id(2), 4, 4)}


def test_a_card_that_cannot_be_read_is_no_damage(rig: KeeperRig) -> None:
    rig.commit(190)
    rig.card.fails = always("read", "read_at")
    assert rig.deliver((rig.receipt.run, TELEMETRY), 4) is None
    rig.commit(1)
    rig.card.fails = never
    rig.commit(1)
    assert rig.deliver((rig.receipt.run, TELEMETRY), 4) is not None
    assert not rig.audit().gaps


def test_damage_on_a_card_that_cannot_be_read_now_is_told_later(rig: KeeperRig) -> None:
    rig.commit(190)
    rig.audit()  # from now on it is known which row a number means
    rot(rig, "telemetry", 4)
    rig.deliver((rig.receipt.run, TELEMETRY), 4)
    rig.card.fails = always("read")
    rig.commit(1)
    assert not collect(rig.folder).gaps
    rig.card.fails = never
    rig.wait(61)
    rig.commit(1)
    assert len(rig.audit(lossless=False).gaps) == 1


# -- a center restored from a backup ----------------------------------------------------------------------------------


def restore(rig: KeeperRig, n: int) -> None:
    """Let the center forget a chain beyond n, and say so when the node says hello."""
    key = (run_id(1), TELEMETRY)
    digest = wire.hash_of(wire.split(rig.delivered[*key, n])[0]) if n else bytes(32)
    rig.delivered = {name: message for name, message in rig.delivered.items() if name[:2] != key or name[2] <= n}
    rig.ack(key, n, digest, hello=True)
    rig.kept.clear()  # what it forgot can be gone; the sums by number still hold


def test_what_a_restored_center_forgot_and_the_disk_no_longer_has_is_named_once(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool", settings=SMALLER)
    for _ in range(12):
        fill(rig, 10)
        rig.settle((run_id(1), TELEMETRY))
    (held,) = rig.keeper.held()
    assert held.first > 70
    for n in (50, 50):
        restore(rig, n)
    rig.commit(1)
    restore(rig, 50)
    rig.commit(1)
    rig.settle_all()
    found = rig.audit(lossless=False)
    ((_, gap),) = found.gaps
    assert gap.reason == "center_restored"
    assert [(span.first, span.last) for span in gap.chains] == [(51, held.first - 1)]
    assert gap.rows == ()
    assert gap.chains[0].prev == wire.hash_of(wire.split(rig.delivered[run_id(1), TELEMETRY, 50])[0])
    (held,) = rig.keeper.held()
    assert held.settled == held.last


def test_a_center_that_starts_anew_is_told_from_n_1_on(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool", settings=SMALLER)
    for _ in range(12):
        fill(rig, 10)
        rig.settle((run_id(1), TELEMETRY))
    restore(rig, 0)
    rig.commit(1)
    rig.settle_all()
    ((_, gap),) = rig.audit(lossless=False).gaps
    assert gap.chains[0].first == 1


def test_a_restored_center_that_still_has_what_lies_between_costs_no_gap(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool")
    rig.commit(190)
    rig.settle_all()
    restore(rig, 3)
    rig.commit(1)
    assert not rig.audit().gaps


def test_an_ordinary_answer_to_a_hello_costs_no_gap_after_marks_were_lost(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool", settings=SMALLER)
    for _ in range(12):
        fill(rig, 10)
        rig.settle((run_id(1), TELEMETRY))
    held = rig.keeper.held()[0]
    before = rig.delivered[run_id(1), TELEMETRY, held.settled]
    rig.restart()
    rig.ack((run_id(1), TELEMETRY), held.settled, wire.hash_of(wire.split(before)[0]), hello=True)
    rig.commit(1)
    assert not rig.audit(lossless=False).gaps


def test_a_center_that_has_a_range_beyond_is_told_of_the_hole_only(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool", settings=SMALLER)
    for _ in range(12):
        fill(rig, 10)
        rig.settle((run_id(1), TELEMETRY))
    key = (run_id(1), TELEMETRY)
    digests = {n: wire.hash_of(wire.split(rig.delivered[*key, n])[0]) for n in (50, 70)}
    rig.kept.clear()
    rig.delivered.clear()
    rig.ack(key, 50, digests[50], ranges=[Range(first=61, last=70, hash=digests[70])], hello=True)
    rig.commit(1)
    ((_, gap),) = collect(rig.folder).gaps
    first, second = gap.chains
    assert (first.first, first.last, second.first) == (51, 70, 71)  # the hash of 60 is only known at the center
    assert second.prev == digests[70]


def test_a_gap_that_left_the_disk_is_told_again_to_a_center_that_forgot_it(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool", settings=SMALLER)
    fill(rig, 150)  # the oldest leave in a gap
    rig.settle_all()
    for _ in range(12):
        fill(rig, 10)
        rig.settle_all()
    restore(rig, 1)
    rig.commit(1)
    rig.settle_all()
    held = rig.keeper.held()[0]
    assert held.settled == held.last
    rig.kept.clear()  # rows of the gap that is gone are between neighbours now
    rig.audit(lossless=False)


# -- the limit of a broker --------------------------------------------------------------------------------------------


def test_a_batch_too_large_for_the_broker_leaves_in_smaller_ones_and_a_gap_names_it(rig: KeeperRig) -> None:
    rig.commit(190)
    large = max(len(rig.keeper.read(Ref(run=run_id(1), stream=TELEMETRY, n=n)).message) for n in range(2, 10))  # type: ignore[union-attr]  # it is here
    receipt = rig.keeper.reseal(Ref(run=run_id(1), stream=TELEMETRY, n=4), 1000, rig.moment())
    messages = [stored.message for ref in receipt.refs if (stored := rig.keeper.read(ref))]
    assert len(messages) > 2
    assert max(len(message) for message in messages) <= 1000
    found = rig.audit(once=False)
    ((batch, gap),) = found.gaps
    assert batch.message == messages[-1]
    assert (gap.reason, gap.rows, [(span.first, span.last) for span in gap.chains]) == ("too_large", (), [(4, 4)])
    again = [open_message(message) for message in messages[:-1]]
    assert sum(batch.header.count for batch in again) == 20
    assert {batch.header.origin for batch in again} == {run_id(1)}
    assert 4 in rig.keeper.held()[0].refused
    refs = rig.commit(190)
    sizes = [len(stored.message) for ref in refs if (stored := rig.keeper.read(ref))]
    assert max(sizes) <= 1000 < large + 512
    rig.restart()
    assert 4 in rig.keeper.held()[0].refused
    rig.commit(1)
    rig.audit(once=False)


def test_a_batch_that_cannot_be_cut_counts_as_refused_also_after_a_restart(rig: KeeperRig) -> None:
    rig.commit(1, seal=[TELEMETRY])
    rig.record(Kind.TIME, TIME, TELEMETRY)
    for n in (2, 3):
        assert rig.keeper.reseal(Ref(run=run_id(1), stream=TELEMETRY, n=n), 100, rig.moment()).refs == ()
    assert rig.keeper.held()[0].refused == {2, 3}
    rig.commit(1)
    rig.restart()
    assert rig.keeper.held()[0].refused == {2, 3}
    rig.audit(once=False)


def test_a_batch_is_cut_while_the_disk_refuses(rig: KeeperRig) -> None:
    rig.commit(190)
    rig.card.fails = always("sync", "probe")
    receipt = rig.keeper.reseal(Ref(run=run_id(1), stream=TELEMETRY, n=4), 1000, rig.moment())
    assert receipt.volatile
    kinds = [open_message(stored.message).header.kind for ref in receipt.refs if (stored := rig.keeper.read(ref))]
    assert kinds[-1] is Kind.GAP
    assert kinds[0] is Kind.START
    assert 4 in rig.keeper.held()[0].refused
    rig.was_volatile, rig.receipt = True, receipt
    rig.audit(once=False)


def test_a_batch_that_is_not_here_is_not_cut(rig: KeeperRig) -> None:
    rig.commit(1)
    assert rig.keeper.reseal(Ref(run=run_id(1), stream=ALARM, n=4), 1000, rig.moment()).refs == ()


# -- marks ------------------------------------------------------------------------------------------------------------


def test_what_the_center_refused_survives_a_restart(rig: KeeperRig) -> None:
    rig.commit(190)
    key = (run_id(1), TELEMETRY)
    stored = rig.keeper.read(Ref(run=run_id(1), stream=TELEMETRY, n=4))
    assert stored is not None
    rig.ack(key, refused=[Refused(run=run_id(1), stream=TELEMETRY, n=4, hash=stored.hash, reason="body")])
    rig.commit(1)
    rig.restart()
    assert rig.keeper.held()[0].refused == {4}
