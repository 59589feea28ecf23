"""A center that comes back from a backup, batches its nodes have no more, batches sealed again, and refused ones."""

import json
import shutil
from pathlib import Path

import pytest

from agent.wire.ack import Refused
from agent.wire.batch import Stream
from agent.wire.bodies import ChainSpan, GapReason, Span
from center.acks import NO_NONCE
from center.audit import OK, OPEN, Audit, audit
from center.cli.main import main
from center.errors import StoreError
from tests.center.fake_node import CITY, FakeNode, Made, tampered
from tests.center.harness import Center

TELEMETRY = Stream.TELEMETRY


def check(center: Center) -> Audit:
    center.project()
    return audit(center.store, center.store.keys(CITY))


def batches(node: FakeNode, count: int, rows: int = 10) -> list[Made]:
    """A start and so many batches of readings: n 2 has the first rows."""
    for _ in range(count):
        node.readings(rows)
    return node.made[node.run, TELEMETRY]


def go_back(center: Center, backup: Path) -> None:
    """What a person does: stop, put the backup in place, start."""
    center.store.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{center.path}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, center.path)
    center.reopen()


def back_up(center: Center, tmp_path: Path) -> Path:
    backup = tmp_path / "backup.db"
    assert main(["backup", str(backup), "--store", f"sqlite:{center.path}"]) == 0
    return backup


# -- a backup ----------------------------------------------------------------------------------------------------------


def test_a_center_from_an_old_backup_says_so_and_is_refilled_by_its_node(
    center: Center, node: FakeNode, tmp_path: Path
) -> None:
    center.greet(node)
    made = batches(node, 9)
    center.take(*(node.up(one) for one in made[:5]))
    center.project(most=2)
    backup = back_up(center, tmp_path)
    center.take(*(node.up(one) for one in made[5:]))
    assert center.later_acks(node)[0].settled[0].n == 10
    go_back(center, backup)
    answer = center.greet(node)
    assert (answer.answers_hello, answer.settled[0].n, answer.settled[0].hash) == (True, 5, made[4].hash)
    assert check(center).totals.chain == OPEN
    center.take(*(node.up(one) for one in made[5:]))
    (ack,) = center.later_acks(node)
    assert (ack.settled[0].n, ack.settled[0].hash) == (10, made[9].hash)
    result = check(center)
    assert (result.totals.taken, result.totals.settled, result.totals.doubles_refused) == (90, 90, 0)
    assert result.sound


def test_a_center_that_came_back_while_its_node_talks_makes_it_say_hello(
    center: Center, node: FakeNode, tmp_path: Path
) -> None:
    center.greet(node)
    backup = back_up(center, tmp_path)
    made = batches(node, 2)
    center.take(node.up(made[0]))
    go_back(center, backup)
    center.take(node.up(made[1]))
    assert [ack.nonce for ack in center.later_acks(node)] == [NO_NONCE]
    assert center.greet(node).settled[0].n == 0


def test_a_backup_is_whole_and_never_overwritten(
    center: Center, node: FakeNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    center.take(*(node.up(one) for one in batches(node, 3)))
    center.project()
    backup = back_up(center, tmp_path)
    assert main(["backup", str(backup), "--store", f"sqlite:{center.path}"]) == 1
    assert main(["backup", str(center.path), "--store", f"sqlite:{center.path}"]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert main(["audit", "--store", f"sqlite:{backup}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sound"], found["totals"]["settled"]) == (True, 30)
    assert {path.name for path in tmp_path.iterdir() if "backup" in path.name} == {"backup.db"}
    with pytest.raises(StoreError, match="nowhere"):
        center.store.backup(tmp_path / "nowhere" / "backup.db")


def test_what_the_node_has_no_more_either_is_in_a_gap_and_acks_pass_over_it(
    center: Center, node: FakeNode, tmp_path: Path
) -> None:
    center.greet(node)
    made = batches(node, 9)
    center.take(*(node.up(one) for one in made[:5]))
    backup = back_up(center, tmp_path)
    center.take(*(node.up(one) for one in made[5:]))
    go_back(center, backup)
    center.take(*node.hello(b"h" * 16, firsts={(node.run, TELEMETRY): 8}))
    (answer,) = center.acks(node)
    assert answer.settled[0].n == 5
    gap = node.gap([node.span(6, 7)], reason=GapReason.CENTER_RESTORED)
    center.take(node.up(gap))
    assert check(center).totals.lost == 0
    center.take(*(node.up(one) for one in made[7:]))
    (ack,) = center.later_acks(node)
    assert (ack.settled[0].n, ack.settled[0].hash, ack.settled[0].ranges) == (11, gap.hash, ())
    result = check(center)
    (line,) = result.nodes[0].lines
    assert (line.taken, line.settled, line.in_gaps, line.missing, line.chain) == (90, 70, 20, 0, OK)
    assert (result.sound, result.nodes[0].alarms) == (True, ())


# -- batches sealed again ----------------------------------------------------------------------------------------------


def seal_again(node: FakeNode, large: Made, *, origin: bytes, first: int) -> list[Made]:
    """Seal the rows of a batch in pieces of five, and name the batch in a gap."""
    header = large.header
    rows = node.rows_of(large)
    now_ms, node.boot_ms = node.boot_ms, header.at_boot_ms
    pieces = [node.readings(rows[at : at + 5], origin=origin, seq0=first + at) for at in range(0, len(rows), 5)]
    node.boot_ms = now_ms
    named = ChainSpan(run=header.run, first=header.n, last=header.n, prev=header.prev, hash=large.hash)
    return [*pieces, node.gap([named], reason=GapReason.TOO_LARGE)]


@pytest.mark.parametrize("later_run", [False, True])
def test_a_batch_that_no_broker_takes_is_settled_by_its_gap_and_its_rows_stand_once(
    center: Center, node: FakeNode, *, later_run: bool
) -> None:
    made = batches(node, 3)
    origin, large = node.run, made[2]
    center.greet(node)
    if later_run:
        node.start(previous=node.restart())
        center.greet(node)
    pieces = seal_again(node, large, origin=origin, first=11)
    center.take(*(node.up(one) for name in node.made for one in node.made[name] if one is not large))
    settled = {one.run: one.n for ack in center.later_acks(node) for one in ack.settled}
    assert settled[origin] == (4 if later_run else 7)
    assert settled[node.run] == pieces[-1].header.n
    result = check(center)
    assert (result.totals.taken, result.totals.settled, result.totals.in_gaps) == (30, 30, 0)
    assert (result.sound, result.totals.chain, result.nodes[0].alarms) == (True, OK, ())


def test_rows_of_a_batch_that_was_not_sealed_again_whole_are_held_and_then_lost(center: Center, node: FakeNode) -> None:
    made = batches(node, 3)
    large = made[2]
    first, second, gap = seal_again(node, large, origin=node.run, first=11)
    center.take(*(node.up(one) for one in (made[0], made[1], made[3], first, gap)))
    assert check(center).totals.lost == 5
    center.greet(node)
    totals = check(center).totals
    assert (totals.lost, totals.held, totals.chain) == (0, 5, OPEN)
    center.take(node.up(second))
    totals = check(center).totals
    assert (totals.lost, totals.held, totals.settled, totals.chain) == (0, 0, 30, OK)


def test_a_row_sealed_again_under_its_own_run_and_the_batch_itself_make_one_row(center: Center, node: FakeNode) -> None:
    rows = node.rows(6)
    boot_ms = node.boot_ms
    own = node.readings(rows)
    node.boot_ms = boot_ms
    again = node.readings(rows, origin=node.run, seq0=1)
    assert (again.header.origin, again.header.run) == (own.header.run, own.header.run)
    center.take(*(node.up(made) for made in node.made[node.run, TELEMETRY]))
    result = check(center)
    assert (result.totals.settled, result.totals.twice, result.totals.doubles_refused) == (6, 0, 6)
    assert (len(center.values("SELECT * FROM readings")), result.nodes[0].alarms) == (6, ())
    assert result.sound


# -- refused batches ---------------------------------------------------------------------------------------------------


def test_a_refused_batch_is_answered_each_time_it_comes_also_after_a_restart(center: Center, node: FakeNode) -> None:
    center.greet(node)
    made = node.readings()
    message = node.up(tampered(made, node.signer, body=b"[]"))
    answers: list[tuple[Refused, ...]] = []
    for _ in range(2):
        center.take(message)
        answers += [ack.refused for ack in center.later_acks(node)]
    center.reopen()
    center.take(message)
    assert [(ack.nonce, ack.refused) for ack in center.later_acks(node)] == [(NO_NONCE, ())]
    center.greet(node)
    center.take(message)
    answers += [ack.refused for ack in center.later_acks(node)]
    assert [[(one.n, one.reason) for one in refused] for refused in answers] == [[(2, "count")]] * 3
    assert dict(center.store.refusals(node.box)) == {"count": 4}
    assert len(center.values("SELECT * FROM quarantine")) == 1
    (alarm,) = center.store.alarms(node.box)
    assert (alarm.what, alarm.count) == ("refused", 4)


def test_rows_of_a_refused_batch_are_held_while_its_node_keeps_it(center: Center, node: FakeNode) -> None:
    made = batches(node, 3)
    center.take(node.up(tampered(made[2], node.signer, body=b"[]")))
    center.take(*(node.up(one) for one in (made[0], made[1], made[3])))
    answer = center.greet(node)
    assert (answer.settled[0].n, [(one.first, one.last) for one in answer.settled[0].ranges]) == (2, [(4, 4)])
    totals = check(center).totals
    assert (totals.held, totals.lost) == (10, 0)
    node.gap([node.span(3, 3)], [Span(origin=node.run, first=11, last=20)], reason=GapReason.REFUSED)
    center.take(node.up(node.made[node.run, TELEMETRY][-1]))
    assert (check(center).totals.in_gaps, check(center).totals.chain) == (10, OK)
