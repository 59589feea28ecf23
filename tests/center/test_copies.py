"""Runs that disagree: a restored image, a card that forgot, two boxes from one card. All is kept; an alarm says it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from agent.wire.ack import Ack
from agent.wire.batch import NO_HASH, Stream
from center.acks import PROVOKE_S, ChainName
from center.audit import OPEN, Audit, audit
from tests.center.fake_node import CITY, FakeNode, Made
from tests.center.harness import Center

TELEMETRY = Stream.TELEMETRY


def check(center: Center) -> Audit:
    center.project()
    return audit(center.store, center.store.keys(CITY))


def told(center: Center, node: FakeNode) -> dict[str, str]:
    """Alarms by what they are, with their words."""
    return {alarm.what: str(alarm) for alarm in center.store.alarms(node.box)}


def send_all(center: Center, *boxes: FakeNode) -> None:
    center.take(*(box.up(made) for box in boxes for chain in box.made.values() for made in chain))


@dataclass(slots=True)
class Box:
    """One box on the link: sends its oldest, believes acks of its own hello only, greets at most every 10 s."""

    node: FakeNode
    center: Center
    nonce: bytes = b""
    greeted_s: float = float("-inf")
    hellos: int = 0
    foreign: bool = True
    settled: dict[ChainName, int] = field(default_factory=dict)

    def greet(self) -> None:
        if self.foreign and self.center.seconds - self.greeted_s >= PROVOKE_S:
            self.nonce, self.greeted_s, self.foreign = next(self.center.nonces).to_bytes(16), self.center.seconds, False
            self.hellos += 1
            self.center.take(*self.node.hello(self.nonce))

    def left(self) -> list[Made]:
        return [
            made
            for name, chain in self.node.made.items()
            for made in chain
            if made.header.n > self.settled.get(name, 0)
        ]

    def send(self, most: int) -> None:
        self.center.take(*(self.node.up(made) for made in self.left()[:most]))

    def hear(self, acks: Sequence[Ack]) -> None:
        for ack in acks:
            self.foreign = ack.nonce != self.nonce
            for one in () if self.foreign else ack.settled:
                name = one.run, one.stream
                hashes = [NO_HASH, *(made.hash for made in self.node.made.get(name, []))]
                if one.n < len(hashes) and hashes[one.n] == one.hash:
                    self.settled[name] = max(one.n, self.settled.get(name, 0))


def drain(center: Center, boxes: Sequence[Box], *, most: int = 5) -> None:
    """Let both talk, a second at a time, until neither has anything left."""
    for _ in range(120):
        for box in boxes:
            box.greet()
            box.send(most)
        center.seconds += 1
        acks = center.acks(boxes[0].node)
        for box in boxes:
            box.hear(acks)
        if not any(box.left() for box in boxes):
            return
    raise AssertionError([len(box.left()) for box in boxes])


def twins(center: Center, node: FakeNode) -> tuple[Box, Box]:
    """Two boxes from one card with forty batches that the center has not, each with twenty of its own."""
    for _ in range(39):
        node.readings()
    previous, other = node.previous(), node.copy()
    node.restart()
    for box in (node, other):
        box.start(previous=previous)
        for _ in range(19):
            box.readings()
    return Box(node, center), Box(other, center)


def test_two_boxes_from_one_card_each_bring_in_all_they_hold(center: Center, node: FakeNode) -> None:
    one, other = twins(center, node)
    drain(center, (one, other))
    assert max(one.hellos, other.hellos) <= 2 + center.seconds / PROVOKE_S
    assert center.seconds < 40
    words = told(center, node)
    assert list(words) == ["fork"]
    assert all(text in words["fork"] for text in (one.node.run.hex(), other.node.run.hex(), "two boxes from one card"))
    totals = check(center).totals
    assert (totals.taken, totals.settled) == (8 * (39 + 19 + 19),) * 2
    assert (totals.lost, totals.held, totals.twice) == (0, 0, 0)


def test_a_chain_that_both_boxes_named_is_acked_to_both_and_a_chain_of_one_to_that_one(
    center: Center, node: FakeNode
) -> None:
    one, other = twins(center, node)
    for box in (one, other, one):
        box.foreign, box.greeted_s = True, float("-inf")
        box.greet()
        center.acks(node)
    send_all(center, node, other.node)
    acks = {ack.nonce: {settled.run: settled.n for settled in ack.settled} for ack in center.later_acks(node)}
    (shared,) = {run for run, _ in node.made} - {node.run}
    assert acks == {one.nonce: {shared: 40, node.run: 20}, other.nonce: {shared: 40, other.node.run: 20}}


def test_a_run_that_ended_gets_no_more_acks(center: Center, node: FakeNode) -> None:
    node.readings()
    center.greet(node)
    node.restart()
    node.readings()
    nonce = center.greet(node).nonce
    send_all(center, node)
    assert [ack.nonce for ack in center.later_acks(node)] == [nonce]


def test_a_box_whose_copy_began_later_is_still_acked_for_its_own_run(center: Center, node: FakeNode) -> None:
    mine = center.greet(node).nonce
    other = node.copy()
    center.greet(other)
    node.readings()
    send_all(center, node)
    (ack,) = center.later_acks(node)
    assert (ack.nonce, ack.settled[0].n) == (mine, 2)


def test_what_either_of_two_boxes_holds_is_not_lost(center: Center, node: FakeNode) -> None:
    one, other = twins(center, node)
    for box in (one, other, one):
        box.foreign, box.greeted_s = True, float("-inf")
        box.greet()
    for part in (one.node, other.node):
        chain = part.made[part.run, TELEMETRY]
        center.take(*(part.up(made) for made in chain[:3] + chain[4:]))
    totals = check(center).totals
    assert (totals.lost, totals.held) == (0, 8 * (39 + 1 + 1))
    center.reopen()
    assert check(center).totals.lost == 0


def test_what_a_run_said_it_holds_counts_no_more_once_its_successor_spoke(center: Center, node: FakeNode) -> None:
    for _ in range(4):
        node.readings(10)
    made = node.made[node.run, TELEMETRY]
    center.greet(node)
    center.take(*(node.up(made[at]) for at in (0, 1, 3, 4)))
    assert (check(center).totals.chain, check(center).totals.held) == (OPEN, 10)
    node.made = {}
    node.restart()
    center.greet(node)
    assert (check(center).totals.lost, check(center).totals.held) == (10, 0)


def test_a_card_that_comes_back_empty_is_told(center: Center, node: FakeNode) -> None:
    node.readings(10)
    send_all(center, node)
    node.start(Stream.ALARM)
    send_all(center, node)
    assert told(center, node) == {}
    node.restart()
    node.made = {}
    node.start(volatile=True)
    send_all(center, node)
    assert "emptied" not in told(center, node)
    node.run, node.made = bytes(15) + b"e", {}
    node.readings(10)
    send_all(center, node)
    assert "an empty card" in told(center, node)["emptied"]
    assert check(center).totals.lost == 0


def test_a_restored_image_loses_and_doubles_nothing(center: Center, node: FakeNode) -> None:
    node.readings(10)
    image = node.copy()
    previous = node.restart()
    for box in (node, image):
        box.start(previous=previous)
        box.readings(5)
        center.greet(box)
        send_all(center, box)
        (ack,) = center.later_acks(box)
        assert {(one.run, one.n) for one in ack.settled} == {(previous.run, 2), (box.run, 2)}
    words = told(center, node)
    assert list(words) == ["fork"]
    assert "a restored image" in words["fork"]
    totals = check(center).totals
    assert (totals.taken, totals.settled, totals.lost, totals.twice) == (20, 20, 0, 0)


@pytest.mark.parametrize("told_first", [False, True])
def test_a_card_that_forgot_what_it_sent_is_found_and_all_is_kept(
    center: Center, node: FakeNode, *, told_first: bool
) -> None:
    for _ in range(3):
        node.readings(10)
    lying, sent = node.run, node.made[node.run, TELEMETRY]
    messages = [node.up(made) for made in sent]
    node.made[lying, TELEMETRY], node.seq[lying, TELEMETRY] = sent[:3], 20
    start = node.up(node.start(previous=node.restart()))
    center.take(*([start, *messages] if told_first else [*messages, start]))
    answer = center.greet(node)
    assert {(one.run, one.n, one.hash) for one in answer.settled} == {
        (lying, 3, sent[2].hash),
        (node.run, 1, node.made[node.run, TELEMETRY][0].hash),
    }
    center.take(node.up(node.readings(5)))
    (ack,) = center.later_acks(node)
    assert {one.run: one.n for one in ack.settled}[node.run] == 2
    words = told(center, node)
    assert list(words) == ["grown"]
    assert f"{lying.hex()} telemetry: it has batches beyond n 3" in words["grown"]
    assert "a card that forgot" in words["grown"]
    totals = check(center).totals
    assert (totals.taken, totals.settled, totals.lost, totals.twice) == (35, 35, 0, 0)
