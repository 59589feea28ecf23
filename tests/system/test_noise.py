"""Noise on a serial line, rubbish and forgeries at the broker, acks that are none: counted, told once, no harm done."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from agent.wire import cose, topics
from agent.wire.ack import Ack, Range, Settled, open_ack, sign_ack
from agent.wire.batch import Stream, split
from agent.wire.keys import Signer, Verifier
from center.keys import load_signer
from drivers.simulate.sds011 import Sds011Simulator
from tests.center.fake_node import CITY, FakeNode
from tests.center.processes import until
from tests.system import ledger
from tests.system.ledger import Lying, Spooled
from tests.system.lines import Counting, Water, tide
from tests.system.town import COUNTER, DUST, FLOOD, NODE, RIVER, VANDAL, Town, Vandal, lines

pytestmark = [pytest.mark.broker, pytest.mark.campaign]

NOISE_BYTES = 1_000_000
RUBBISH = 200
FORGERIES = 150
REPEATS = 20
_LANES: tuple[topics.Lane, ...] = ("alarm", "live", "history")


@pytest.fixture
def living(town: Town, vandal: Vandal) -> Iterator[Town]:
    """A town in which a vandal listens and all is well so far."""
    assert vandal
    counter, river = Counting(first=1, every_s=0.11), Water(tide(1.2, 0.15, 3.0), every_s=0.1)
    dust = Sds011Simulator(seed=1, every_s=0.2)
    town.fit({"counter": (counter, COUNTER), "river": (river, RIVER), "dust": (dust, DUST)}, FLOOD)
    town.center.start()
    until("the center listens", lambda: bool(lines(town.center_log, "broker connected")))
    town.node.start()
    until("rows are at the center", lambda: bool(town.at_center() and town.node.told("link up")))
    yield town
    town.alive()


def settled(town: Town) -> ledger.Audited:
    """End well: all that was read is at the center, once and proved."""
    town.drain()
    town.alive()
    assert town.node.stop() == 0
    assert town.center.stop() == 0
    here, verdict = town.spooled(), ledger.audit(town.store, NODE)
    assert here.rows == town.at_center()
    assert here.freed <= set(ledger.center_hashes(town.store))
    assert (verdict.code, verdict.totals["lost"], verdict.totals["twice"]) == (0, 0, 0), verdict
    assert (verdict.totals["chain"], verdict.totals["held"]) == ("ok", 0)
    return verdict


def newest(town: Town, sensor: str) -> int:
    """CLOCK_BOOTTIME of the newest row of a sensor at the center, in ms."""
    return max((at for _, _, path, at in town.at_center() if path.startswith(f"{sensor}/")), default=0)


def test_a_megabyte_of_noise_on_a_serial_line_is_told_once_a_kind_and_passes(
    living: Town, chance: random.Random
) -> None:
    for sensor in ("counter", "dust"):
        living.sockets[sensor].make_noise(chance.randbytes(NOISE_BYTES))
    before = {sensor: newest(living, sensor) for sensor in ("counter", "dust")}
    until("both go on", lambda: all(newest(living, sensor) > at_ms for sensor, at_ms in before.items()))
    settled(living)
    for sensor in before:
        told = living.node.told(f"bytes dropped: sensor={sensor} ")
        kinds = Counter(line.partition("reason=")[2].partition(" bytes=")[0] for line in told)
        print(f"{NOISE_BYTES} bytes on {sensor}: told {dict(kinds)}")
        assert kinds
        assert set(kinds.values()) == {1}
        troubles = living.node.told(f"sensor trouble: sensor={sensor} ")
        codes = Counter(line.partition("code=")[2].split()[0] for line in troubles)
        assert codes["no_frames"] == 1
        assert set(codes.values()) == {1}
        assert len(living.node.told(f"sensor answers again: sensor={sensor}")) == len(codes)


def rubbish(chance: random.Random) -> bytes:
    """Nothing, something, a little CBOR, too much."""
    kind = chance.randrange(5)
    if kind == 0:
        return b"\x83\x01" + chance.randbytes(chance.randrange(200))
    if kind == 1:
        return b"{" + chance.randbytes(chance.randrange(20))
    if kind == 2:
        return chance.randbytes(chance.choice((5_000, 100_000, 270_000)))
    return chance.randbytes(chance.randrange(1, 100))


def test_rubbish_on_every_topic_is_counted_and_told_once_a_kind(
    living: Town, vandal: Vandal, chance: random.Random
) -> None:
    own = [f"gardu/v1/{CITY}/{NODE}/{name}" for name in ("up/hello", *(f"up/{lane}" for lane in _LANES), "state")]
    nowhere = [f"gardu/v1/{CITY}/{NODE}/up/strange", f"gardu/v1/{CITY}/{NODE}/up/live/x", f"gardu/v1/{CITY}/X/state"]
    answers = [topics.ack(CITY, NODE), topics.order(CITY, NODE)]
    sent: Counter[str] = Counter()
    for _ in range(RUBBISH):
        topic = chance.choice([*own, *nowhere, *answers])
        vandal.publish(topic, rubbish(chance))
        sent["own" if topic in own else "nowhere" if topic in nowhere else topic.rpartition("/")[2]] += 1
    verdict = settled(living)
    told = Counter(
        tuple(line.partition("node=")[2].split()[:2]) for line in lines(living.center_log, "message refused")
    )
    print(f"rubbish {dict(sent)}: refused {dict(verdict.refusals)}, of no node {dict(verdict.of_no_node)}")
    assert sum(verdict.refusals.values()) == sent["own"]
    assert verdict.of_no_node == {"topic": sent["nowhere"]}
    assert set(told) == {*((f"{CITY}/{NODE}", f"reason={one}") for one in verdict.refusals), ("?", "reason=topic")}
    assert set(told.values()) == {1}
    reasons = Counter(line.partition("reason=")[2].split()[0] for line in living.node.told("ack refused"))
    assert reasons
    assert set(reasons.values()) == {1}
    assert (verdict.totals["unverified"], verdict.alarms) == (0, [])


def a_batch(town: Town, chance: random.Random) -> Lying:
    return chance.choice(list(town.spooled().batches.values()))


def without_a_bit(message: bytes, chance: random.Random) -> bytes:
    """Change one bit, but not of the name of the key: under another name a batch waits for that key."""
    kid = cose.parts(split(message)[0]).kid
    at = message.index(kid)
    place = chance.choice([*range(at * 8), *range((at + len(kid)) * 8, len(message) * 8)])
    changed = bytearray(message)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def test_damaged_batches_and_those_of_another_node_are_counted_and_change_nothing(
    living: Town, vandal: Vandal, chance: random.Random
) -> None:
    other = FakeNode(name=VANDAL, signer=living.signer(VANDAL))
    until("there are some batches", lambda: len(living.spooled().batches) > 3)
    sent: Counter[str] = Counter()
    for _ in range(FORGERIES):
        real = a_batch(living, chance).message
        kind, payload = chance.choice(
            (
                ("cut", real[: chance.randrange(len(real))]),
                ("longer", real + chance.randbytes(chance.randrange(1, 50))),
                ("flipped", without_a_bit(real, chance)),
                ("other node", other.readings(5).message),
            )
        )
        vandal.publish(topics.up(CITY, NODE, chance.choice(_LANES)), payload)
        sent[kind] += 1
    verdict = settled(living)
    print(f"forgeries {dict(sent)}: refused {dict(verdict.refusals)}")
    assert sum(verdict.refusals.values()) == FORGERIES
    assert verdict.refusals["node"] == sent["other node"]
    assert (verdict.totals["unverified"], verdict.alarms) == (0, [])
    told = Counter(line.partition("reason=")[2].split()[0] for line in lines(living.center_log, "message refused"))
    assert told == dict.fromkeys(verdict.refusals, 1)


def ack_of_all(here: Spooled, nonce: bytes) -> Ack:
    """What a center would say that has every batch that lies on the node's disk."""
    ends: dict[tuple[bytes, Stream], tuple[int, bytes]] = {}
    for (run, stream, n), one in here.batches.items():
        ends[run, stream] = max(ends.get((run, stream), (0, b"")), (n, one.hash))
    settled = [
        Settled(run=run, stream=stream, n=n, hash=digest, ranges=(Range(first=1, last=n, hash=digest),))
        for (run, stream), (n, digest) in ends.items()
    ]
    return Ack(
        nonce=nonce,
        settled=tuple(settled),
        center_utc_ms=1_900_000_000_000,
        window_bytes=2**18,
        rate_bytes_per_s=2**20,
        answers_hello=True,
    )


def nonce_of(acks: list[bytes], key: Verifier) -> bytes:
    return open_ack(acks[-1], city=CITY, node=NODE, center=[key]).nonce


def test_an_ack_of_a_stranger_of_another_node_or_of_old_frees_nothing(
    living: Town, vandal: Vandal, chance: random.Random
) -> None:
    center = load_signer(living.center.keys)
    topic = topics.ack(CITY, NODE)
    until("there are some batches", lambda: len(living.spooled().batches) > 3)
    old = [payload for where, payload in vandal.all_heard() if where == topic]
    living.node.kill()
    living.node.start()
    until("the node is back", lambda: len(living.node.told("link up")) == 2)
    now = [payload for where, payload in vandal.all_heard() if where == topic]
    nonce = nonce_of(now, Verifier(center.public))
    assert nonce != nonce_of(old, Verifier(center.public))

    living.center.kill()
    known = set(ledger.center_hashes(living.store))
    until("some batches are held", lambda: len(living.spooled().hashes - known) > 3)
    everything = ack_of_all(living.spooled(), nonce)
    real = sign_ack(everything, city=CITY, node=NODE, signer=center)
    flipped = bytearray(real)
    flipped[chance.randrange(len(flipped) // 2, len(flipped))] ^= 1 << chance.randrange(8)
    forged = {
        "a stranger": sign_ack(everything, city=CITY, node=NODE, signer=Signer(chance.randbytes(32))),
        "the node itself": sign_ack(everything, city=CITY, node=NODE, signer=living.signer(NODE)),
        "for another node": sign_ack(everything, city=CITY, node=VANDAL, signer=center),
        "for another city": sign_ack(everything, city="cimahi", node=NODE, signer=center),
        "changed on the way": bytes(flipped),
        "an order": cose.sign(cose.parts(real).payload, purpose="order", city=CITY, node=NODE, signer=center),
        "for another hello": sign_ack(
            ack_of_all(living.spooled(), chance.randbytes(16)), city=CITY, node=NODE, signer=center
        ),
    }
    for payload in (*forged.values(), *old[-5:]):
        vandal.publish(topic, payload)
    until("the node has heard some", lambda: bool(living.node.told("ack")))
    written = len(living.spooled().rows)
    until("the node has noted what it believes", lambda: len(living.spooled().rows) > written + 40)
    here = living.spooled()
    assert here.freed <= set(ledger.center_hashes(living.store))
    held = len(here.hashes - known)
    assert held > 3

    living.center.start()
    verdict = settled(living)
    print(f"{len(forged) + len(old[-5:])} acks that are none, {held} batches held meanwhile: {dict(verdict.totals)}")
    reasons = Counter(line.partition("reason=")[2].split()[0] for line in living.node.told("ack refused"))
    assert {"kid_unknown", "signature"} <= set(reasons)
    assert set(reasons.values()) == {1}
    assert len(living.node.told("ack of another hello ignored")) == 1
    assert (verdict.totals["unverified"], verdict.totals["in_gaps"], verdict.alarms) == (0, 0, [])


def test_an_answer_to_this_hello_that_is_said_again_loses_nothing(living: Town, vandal: Vandal) -> None:
    """Whoever stands at the broker can repeat it: the node may then send more than it must, never less."""
    center = Verifier(load_signer(living.center.keys).public)
    until("the chain has begun", lambda: len(living.spooled().freed) > 2)
    with living.node.frozen():
        living.broker.kill()
        living.broker.start()
        until("the center is back", lambda: len(lines(living.center_log, "broker connected")) == 2)
        until("the vandal is back", lambda: vandal.returns == 2)
        vandal.all_heard()
    until("the node is back", lambda: len(living.node.told("link up")) == 2)
    acks = [payload for where, payload in vandal.all_heard() if where == topics.ack(CITY, NODE)]
    opened = {payload: open_ack(payload, city=CITY, node=NODE, center=[center]) for payload in acks}
    answers = [payload for payload, ack in opened.items() if ack.answers_hello and ack.settled]
    freed = len(living.spooled().freed)
    until("the answer is out of date", lambda: len(living.spooled().freed) > freed + 3)
    before = ledger.audit(living.store, NODE).totals["doubles_refused"]
    for _ in range(REPEATS):
        vandal.publish(topics.ack(CITY, NODE), answers[-1])
    verdict = settled(living)
    print(
        f"{REPEATS} old answers: resent {before} batches until then, {verdict.totals['doubles_refused']} in all,"
        f" of {verdict.totals['batches']}"
    )
    assert (verdict.totals["unverified"], verdict.totals["in_gaps"], verdict.alarms) == (0, 0, [])
