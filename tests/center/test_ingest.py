import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire import topics
from agent.wire.batch import Kind, Stream, seal
from agent.wire.errors import Reason
from agent.wire.hello import encode_hello
from agent.wire.keys import Verifier
from center.ingest import STATE, TOPIC, Bad, Condition, Good, Greeting, Keys, Verdict, Waiting, examine
from tests.center.fake_node import CITY, FakeNode, tampered

NODE = FakeNode()
KEYS: Keys = {NODE.box: {NODE.signer.kid: Verifier(NODE.signer.public)}}
TOPIC_OF = topics.up(CITY, NODE.name, "live")


def judge(payload: bytes, topic: str = TOPIC_OF) -> Verdict:
    return examine(topic, payload, city=CITY, keys=KEYS)


def refused(payload: bytes, topic: str = TOPIC_OF) -> Bad:
    verdict = judge(payload, topic)
    assert isinstance(verdict, Bad)
    return verdict


def test_a_batch_of_a_known_node_is_good() -> None:
    made = NODE.readings(20)
    verdict = judge(made.message)
    assert isinstance(verdict, Good)
    assert (verdict.hash, len(verdict.batch.rows)) == (made.hash, 20)


def test_a_topic_of_another_city_or_of_nobody_is_refused_for_no_node() -> None:
    made = NODE.readings()
    for topic in (topics.up("other", NODE.name, "live"), topics.ack(CITY, NODE.name), "gardu", "", TOPIC_OF + "/x"):
        bad = refused(made.message, topic)
        assert (bad.box, bad.reason) == (None, TOPIC)


def test_a_batch_of_another_node_is_refused_on_this_node_and_not_answered() -> None:
    other = FakeNode(name="dago-02")
    for signer in (other.signer, NODE.signer):
        bad = refused(replace(other, signer=signer).readings().message)
        assert bad.box == NODE.box
        assert bad.reason in (Reason.NODE, Reason.SIGNATURE)
        assert bad.answer is None


def test_a_batch_under_an_unknown_key_of_this_node_waits() -> None:
    stranger = FakeNode(name=NODE.name)
    verdict = judge(stranger.readings().message)
    assert verdict == Waiting(box=NODE.box, kid=stranger.signer.kid)


def test_every_flipped_byte_of_a_batch_is_refused_and_never_answered() -> None:
    message = NODE.readings(3).message
    for at in range(len(message)):
        broken = bytearray(message)
        broken[at] ^= 1 << at % 8
        verdict = judge(bytes(broken))
        assert isinstance(verdict, (Bad, Waiting))
        assert isinstance(verdict, Waiting) or verdict.answer is None


@pytest.mark.parametrize(("body", "reason"), [(b"[]", Reason.COUNT), (b"{}", Reason.BODY), (b"nonsense", Reason.BODY)])
def test_a_wrong_body_under_a_good_signature_is_refused_for_good(body: bytes, reason: Reason) -> None:
    made = NODE.readings()
    bad = refused(tampered(made, NODE.signer, body=body))
    assert bad.reason is reason
    assert bad.answer is not None
    assert (bad.answer.run, bad.answer.n, bad.answer.reason) == (NODE.run, made.header.n, reason)


def test_a_body_exchanged_on_the_way_is_not_answered_so_that_the_real_one_may_still_come() -> None:
    made, other = NODE.readings(), NODE.readings()
    swapped = made.message[:-40] + other.message[-40:]
    assert refused(swapped).answer is None


def test_a_record_without_the_fields_of_its_kind_is_refused_for_good() -> None:
    node = FakeNode()
    node.readings()
    made = node.seal(Kind.GAP, b'{"chains":1}', stream=Stream.TELEMETRY)
    verdict = examine(
        TOPIC_OF, made.message, city=CITY, keys={node.box: {node.signer.kid: Verifier(node.signer.public)}}
    )
    assert isinstance(verdict, Bad)
    assert verdict.reason is Reason.BODY
    assert verdict.answer is not None


def test_a_key_record_whose_proof_names_a_strange_key_does_not_wait_for_it() -> None:
    node = FakeNode()
    node.start(Stream.ALARM)
    stranger = FakeNode(name=node.name)
    proof = stranger.readings().message[4:200].hex()
    body = f'{{"new":"{stranger.signer.public.hex()}","old":"{node.signer.public.hex()}","proof":"{proof}"}}'
    made = node.seal(Kind.KEY, body.encode(), stream=Stream.ALARM)
    verdict = examine(
        TOPIC_OF, made.message, city=CITY, keys={node.box: {node.signer.kid: Verifier(node.signer.public)}}
    )
    assert isinstance(verdict, Bad)


def test_a_header_no_reader_understands_is_refused_without_an_answer() -> None:
    made = NODE.readings()
    assert refused(seal(replace(made.header, clock=3), b"[]", NODE.signer)[0]).answer is None


def test_hello_and_state_are_told_apart_by_topic() -> None:
    (page,) = encode_hello(bytes(16), NODE.run, NODE.boot, [])
    assert isinstance(judge(page, topics.hello(CITY, NODE.name)), Greeting)
    state = topics.state(CITY, NODE.name)
    assert judge(b'{"v":1}', state) == Condition(box=NODE.box, text='{"v":1}')
    assert judge(b"", state) == Condition(box=NODE.box, text="")
    assert refused(b"[]", state).reason == STATE
    assert refused(b'{"a":"' + b"x" * 5000 + b'"}', state).reason == STATE
    assert refused(b"\xff", state).reason == Reason.BODY


def test_a_hello_of_thousands_of_pages_is_refused() -> None:
    (page,) = encode_hello(bytes(16), NODE.run, NODE.boot, [])
    many = page.replace(b"\x01\x01\x80", b"\x01\x19\xff\xff\x80")
    assert refused(many, topics.hello(CITY, NODE.name)).reason is Reason.SIZE


_topics = st.sampled_from(
    [TOPIC_OF, topics.hello(CITY, NODE.name), topics.state(CITY, NODE.name), "gardu/v1/bandung/+/up/live"]
)


@given(st.binary(max_size=300), _topics)
def test_any_bytes_have_a_verdict(payload: bytes, topic: str) -> None:
    assert isinstance(judge(payload, topic), (Bad, Waiting, Condition, Greeting))


def test_ten_thousand_damaged_messages_have_a_verdict() -> None:
    chance = random.Random(7)  # noqa: S311
    made = NODE.readings(4).message
    for _ in range(10_000):
        payload = bytearray(made if chance.random() < 0.7 else chance.randbytes(chance.randrange(80)))
        for _ in range(chance.randrange(1, 5)):
            if payload:
                payload[chance.randrange(len(payload))] = chance.randrange(256)
        if chance.random() < 0.3:
            del payload[chance.randrange(len(payload) + 1) :]
        assert not isinstance(judge(bytes(payload)), Good) or bytes(payload) == made
