from dataclasses import replace

import pytest

from agent.wire.ack import Refused
from agent.wire.batch import Stream
from agent.wire.hello import Hello
from center import acks as module
from center.acks import Acks, AckSettings, Due

BOX = ("bandung", "dago-01")
NAME = (b"r" * 16, Stream.ALARM)


def hello(run: bytes, nonce: bytes = b"n" * 16) -> Hello:
    return Hello(nonce=nonce, run=run, boot=bytes(16), page=1, pages=1, chains=())


def refused(at: int) -> Refused:
    return Refused(run=NAME[0], stream=NAME[1], n=at, hash=at.to_bytes(32), reason="count")


def test_refusals_in_one_ack_are_bounded_and_each_named_once() -> None:
    acks = Acks(AckSettings(batches=3))
    acks.hear(BOX, hello(NAME[0]))
    acks.due(0)
    for at in (1, 1, 2, 3, 4, 5):
        acks.refuse(BOX, refused(at), now_s=0)
    (due,) = acks.due(9)
    assert [one.n for one in due.refused] == [1, 2, 3]


def test_a_refusal_nobody_listens_for_only_asks_for_a_hello() -> None:
    acks = Acks(AckSettings())
    acks.refuse(BOX, refused(1), now_s=0)
    assert acks.due(1) == [Due(box=BOX, listener=None)]


def test_the_answer_to_a_hello_survives_a_failed_transaction() -> None:
    acks = Acks(AckSettings())
    acks.hear(BOX, hello(NAME[0]))
    acks.changed(BOX, NAME, now_s=0)
    acks.changed(("bandung", "other"), NAME, now_s=0)
    acks.forget_changes()
    assert acks.wait_s(0) == 0
    assert [(due.box, due.answers_hello, due.chains) for due in acks.due(9)] == [(BOX, True, ())]
    assert acks.wait_s(9) is None


def test_only_the_newest_listeners_are_kept() -> None:
    acks = Acks(AckSettings())
    runs = [bytes([at]) * 16 for at in range(9)]
    for run in runs:
        acks.hear(BOX, hello(run, run))
    acks.due(0)
    for run in runs:
        acks.changed(BOX, (run, Stream.ALARM), now_s=0)
    assert [due.listener and due.listener.run for due in acks.due(9)] == runs[-4:]


def test_pages_of_two_boxes_may_mix() -> None:
    acks = Acks(AckSettings())
    pages = [replace(hello(run, nonce=run), page=page, pages=2) for page in (1, 2) for run in (b"a" * 16, b"b" * 16)]
    heard = [acks.hear(BOX, page) for page in pages]
    assert [whole and whole.run for whole in heard] == [None, None, b"a" * 16, b"b" * 16]
    assert [due.listener and due.listener.nonce for due in acks.due(0)] == [b"a" * 16, b"b" * 16]


def test_hellos_that_are_not_whole_are_bounded() -> None:
    acks = Acks(AckSettings())
    runs = [bytes([at]) * 16 for at in range(9)]
    for page in (1, 2):
        whole = [acks.hear(BOX, replace(hello(run), page=page, pages=2)) for run in runs]
    assert [one is not None for one in whole] == [False] * 9
    acks.hear(BOX, replace(hello(runs[8]), page=1, pages=2))
    assert [due.listener and due.listener.run for due in acks.due(0)] == [runs[8]]


def test_nodes_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BOXES", 2)
    acks = Acks(AckSettings())
    for name in ("a", "b", "c"):
        acks.changed(("bandung", name), NAME, now_s=0)
    assert [due.box[1] for due in acks.due(9)] == ["b", "c"]
