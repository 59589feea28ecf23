"""The uplink with a real broker, a real spool and a center that can be made to lie."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import aiomqtt
import pytest

from agent.errors import LinkLost
from agent.mqtt import Broker, Link, Wire, _Client
from agent.seal import Moment
from agent.session import Session, Waits
from agent.spool.keeper import Receipt
from agent.sync import Held, Timing
from agent.wire.ack import Ack, Range, Refused, Settled, sign_ack
from agent.wire.batch import NO_HASH, Stream
from agent.wire.keys import Signer
from agent.wire.senml import Row
from drivers.backoff import Backoff
from tests.agent.conftest import Mosquitto
from tests.agent.uplink_rig import (
    BOOT,
    CENTER_UTC_MS,
    CITY,
    NODE,
    TELEMETRY,
    Node,
    Rig,
    centered,
    open_spool,
    rig,
    told,
    until,
)

pytestmark = pytest.mark.broker

OTHER = b"o" * 16

# -- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version_5", [True, False])
def test_batches_reach_the_center_and_its_ack_frees_them(broker: Mosquitto, tmp_path: Path, version_5: bool) -> None:  # noqa: FBT001
    async def work(rig: Rig) -> None:
        await rig.node.take(3)
        rig.node.start()
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and bool(rig.center.seen))
        await rig.node.take(2, Stream.ALARM)
        await rig.node.take(2)
        await until(lambda: len(rig.center.seen) == 9)
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        assert (await rig.node.held()).settled == 6
        assert (await rig.node.held(Stream.ALARM)).settled == 3
        assert set(rig.center.seen.values()) == {1}
        assert rig.node.online == [True]
        assert set(rig.node.center_utc_ms) == {CENTER_UTC_MS}
        assert rig.node.alive > 3

    rig(broker, tmp_path, work, version_5=version_5)


def test_a_long_list_of_chains_is_said_in_pages(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.wire.hello.CHAINS_PER_PAGE", 4)
    signer = Signer(b"n" * 32)
    for number in range(9):
        spool = open_spool(tmp_path / "spool", number.to_bytes(16), signer)
        row = Row(path="air/pm2_5", unit="ug/m3", boot_ms=number + 1, value=1, flags=())
        moment = Moment(boot=BOOT, boot_ms=number + 1)
        spool.commit({TELEMETRY: [row]}, moment=moment, seal=frozenset({TELEMETRY}))
        spool.close(moment)

    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: len(rig.center.chains) == 9)
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        pages = [(hello.page, hello.pages, len(hello.chains)) for hello in rig.center.hellos]
        assert pages == [(1, 3, 4), (2, 3, 4), (3, 3, 1)]
        runs = [chain.run for hello in rig.center.hellos for chain in hello.chains]
        assert runs == [number.to_bytes(16) for number in range(9)]
        assert len({hello.nonce for hello in rig.center.hellos}) == 1

    rig(broker, tmp_path, work)


def test_a_batch_that_went_bad_on_disk_holds_up_no_other(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take(3)
        spoil(tmp_path / "spool")
        rig.node.start()
        await until(lambda: len(rig.center.seen) == 3)
        await until(lambda: rig.node.uplink.sync.in_flight_bytes() == 0)
        assert sorted(n for _, n in rig.center.order) == [2, 3, 4]

    rig(broker, tmp_path, work)


def spoil(folder: Path) -> None:
    """Flip a byte of the first batch in the only segment."""
    (segment,) = folder.glob("*-telemetry-*")
    data = bytearray(segment.read_bytes())
    data[data.index(b"bandung/dago-01", 100) + 3] ^= 1
    segment.write_bytes(data)


def test_a_bug_in_the_connection_is_no_weather(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.uplink.sync.next = lambda _: 1 // 0  # type: ignore[method-assign,assignment,return-value]  # a bug
        rig.node.start()
        assert rig.node.task is not None
        with pytest.raises(BaseExceptionGroup) as found:
            await asyncio.wait_for(rig.node.task, 5)
        assert found.value.subgroup(ZeroDivisionError) is not None
        rig.node.task = None

    rig(broker, tmp_path, work)


def test_history_waits_for_the_answer_and_alarms_do_not(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take(5)
        await rig.node.take(1, Stream.ALARM)
        rig.node.start()
        await until(lambda: len(rig.center.order) >= 3)
        assert rig.center.order[:3] == [("alarm", 1), ("alarm", 2), ("live", 6)]
        assert {lane for lane, _ in rig.center.order} == {"alarm", "live"}
        await rig.center.say(rig.center.ack(answers_hello=True))
        await until(lambda: ("history", 5) in rig.center.order)
        history = list(dict.fromkeys(n for lane, n in rig.center.order if lane == "history"))
        assert history == [1, 2, 3, 4, 5]

    rig(broker, tmp_path, work, honest=False, timing=Timing(resend_s=20, resend_most_s=20))


def test_a_lost_ack_makes_the_same_bytes_leave_again(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take()
        rig.node.start()
        await until(lambda: bool(rig.center.hellos))
        await rig.center.say(replace(rig.center.ack(answers_hello=True), settled=()))
        await until(lambda: len(rig.center.seen) == 2 and min(rig.center.seen.values()) >= 3)
        assert len(rig.center.seen) == 2
        await rig.center.say(rig.center.ack())
        await until(lambda: rig.node.uplink.sync.backlog() == 0)

    rig(broker, tmp_path, work, honest=False)


def test_ranges_free_what_lies_beyond_a_hole(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take(5)
        rig.node.start()
        await until(lambda: bool(rig.center.hellos))
        await rig.center.say(rig.center.ack(answers_hello=True))
        key = (rig.node.run, TELEMETRY)
        await until(lambda: len(rig.center.chains.get(key, {})) == 6)
        lost = {n: rig.center.chains[key].pop(n) for n in (2, 4)}
        await rig.center.say(rig.center.ack())
        await until(lambda: rig.node.uplink.sync.backlog() == 2)
        held = await rig.node.held()
        assert (held.settled, held.ranges) == (1, ((3, 3), (5, 6)))
        rig.center.chains[key].update(lost)
        await rig.center.say(rig.center.ack())
        await until(lambda: rig.node.uplink.sync.backlog() == 0)

    rig(broker, tmp_path, work, honest=False)


def test_a_refused_batch_leaves_the_window_and_is_told_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take()
        rig.node.start()
        key = (rig.node.run, TELEMETRY)
        await until(lambda: len(rig.center.chains.get(key, {})) == 1)
        n, digest = next(iter(rig.center.chains.pop(key).items()))
        refused = Refused(run=rig.node.run, stream=TELEMETRY, n=n, hash=digest, reason="no such sensor")
        for _ in range(2):
            await rig.center.say(replace(rig.center.ack(), refused=(refused,)))
        await until(lambda: rig.node.uplink.sync.in_flight_bytes() == 0)
        assert (await rig.node.held()).refused == {n}

    rig(broker, tmp_path, work, honest=False)
    assert told(caplog, "reason=no such sensor") == 1


def test_a_restored_center_gets_again_what_it_lost(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take(5)
        rig.node.start()
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and bool(rig.center.seen))
        chain = rig.center.chains[rig.node.run, TELEMETRY]
        for n in (3, 4, 5, 6):
            del chain[n]
        await rig.center.say(replace(rig.center.ack(), nonce=bytes(16)))  # as a center does that starts anew
        await until(lambda: len(chain) == 6)
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        assert sorted(rig.center.seen.values()) == [1, 1, 2, 2, 2, 2]

    rig(broker, tmp_path, work, waits=Waits(rehello_s=0.1, beat_s=0.05))


# -- lies -------------------------------------------------------------------------------------------------------------

Lie = Callable[[Rig], Coroutine[None, None, None]]


def _all(rig: Rig, **changes: object) -> Ack:
    """An ack of everything, though the center has nothing."""
    key = (rig.node.run, TELEMETRY)
    true = rig.center.chains[key]
    settled = Settled(run=key[0], stream=key[1], n=max(true), hash=true[max(true)])
    return replace(rig.center.ack(), settled=(settled,), **changes)  # type: ignore[arg-type]  # of Ack's own


def _settling(rig: Rig, **changes: object) -> Ack:
    (settled,) = _all(rig).settled
    return replace(_all(rig), settled=(replace(settled, **changes),))  # type: ignore[arg-type]  # of Settled's own


LIES: dict[str, tuple[str, Lie]] = {
    "a stranger's": ("reason=kid_unknown", lambda rig: rig.center.say(_all(rig), signer=Signer(b"s" * 32))),
    "for another city": ("reason=signature", lambda rig: rig.center.say(_all(rig), city="jakarta")),
    "for another node": ("reason=signature", lambda rig: rig.center.say(_all(rig), node="dago-02")),
    "of an old hello": ("ack of another hello", lambda rig: rig.center.say(_all(rig, nonce=b"o" * 16))),
    "with a wrong hash": ("names another batch", lambda rig: rig.center.say(_settling(rig, hash=b"h" * 32))),
    "with a wrong range": (
        "names another batch",
        lambda rig: rig.center.say(_settling(rig, n=0, hash=NO_HASH, ranges=(Range(first=1, last=2, hash=b"h" * 32),))),
    ),
    "beyond what is here": ("", lambda rig: rig.center.say(_settling(rig, n=1000, hash=b"h" * 32))),
    "of another run": ("", lambda rig: rig.center.say(_settling(rig, run=b"o" * 16))),
    "garbage": ("reason=", lambda rig: rig.center.say_bytes(b"\xff\x00garbage")),
    "empty": ("reason=", lambda rig: rig.center.say_bytes(b"")),
    "huge": ("reason=size", lambda rig: rig.center.say_bytes(bytes(100_000))),
}


@pytest.mark.parametrize("name", LIES)
def test_an_ack_that_does_not_hold_frees_nothing_and_is_told_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    text, lie = LIES[name]

    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: bool(rig.center.hellos))
        await rig.center.say(rig.center.ack(answers_hello=True))
        await rig.node.take(2)
        await until(lambda: len(rig.center.chains.get((rig.node.run, TELEMETRY), {})) == 3)
        for _ in range(3):
            await lie(rig)
        true, rig.center.chains = rig.center.chains, {}
        await rig.center.say(replace(rig.center.ack(), center_utc_ms=CENTER_UTC_MS + 7))  # the last one, by its time
        await until(lambda: CENTER_UTC_MS + 7 in rig.node.center_utc_ms)
        held = await rig.node.held()
        assert (held.settled, held.ranges, held.refused) == (0, (), frozenset())
        rig.center.chains = true
        await rig.center.say(rig.center.ack())
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        assert await rig.node.settled() == 3
        assert sum(rig.node.uplink.refused.values()) == (3 if text and "names" not in text else 0)

    rig(broker, tmp_path, work, honest=False)
    if text:
        assert told(caplog, text) == 1


def test_an_ack_of_the_last_connection_counts_for_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take()
        rig.node.start()
        await until(lambda: len(rig.center.seen) == 1)
        replayed = sign_ack(_all(rig), city=CITY, node=NODE, signer=rig.center.signer)
        async with aiomqtt.Client(
            "127.0.0.1", rig.broker.port, identifier=f"{NODE}-{rig.node.run[:4].hex()}"
        ) as thief:  # takes over the name, so the node's connection ends
            await until(lambda: len(rig.center.hellos) == 2)
            with contextlib.suppress(aiomqtt.MqttError):
                await thief.publish("x", b"y")
        await rig.center.say_bytes(replayed)
        await until(lambda: rig.node.uplink.refused["nonce"] == 1)
        assert await rig.node.settled() == 0

    with contextlib.suppress(aiomqtt.MqttError):
        rig(broker, tmp_path, work, honest=False)


def test_a_foreign_nonce_calls_for_a_hello_but_not_at_any_pace(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take()
        rig.node.start()
        await until(lambda: bool(rig.center.seen))
        loop = asyncio.get_running_loop()
        said_s: list[float] = []
        start_s = loop.time()
        while loop.time() < start_s + 1.0:
            before = len(rig.center.hellos)
            await rig.center.say(_all(rig, nonce=b"o" * 16))
            await asyncio.sleep(0.01)
            said_s += [loop.time()] * (len(rig.center.hellos) - before)
        assert 2 <= len(said_s) <= 4
        assert all(later - earlier > 0.25 for earlier, later in pairwise(said_s))
        assert len({hello.nonce for hello in rig.center.hellos}) == len(rig.center.hellos)

    rig(broker, tmp_path, work, honest=False, waits=Waits(rehello_s=0.3, beat_s=0.05))


def test_a_late_ack_of_the_last_hello_calls_for_none_where_one_of_ours_follows(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take()
        rig.node.start()
        await until(lambda: bool(rig.center.seen))
        await rig.center.say(_all(rig, nonce=b"o" * 16))
        await rig.center.say(rig.center.ack(answers_hello=True))
        await asyncio.sleep(0.5)
        assert rig.node.uplink.refused["nonce"] == 1
        assert len(rig.center.hellos) == 1

    rig(broker, tmp_path, work, honest=False, waits=Waits(rehello_s=0.2, beat_s=0.02))


def test_a_hello_without_an_answer_is_said_again(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: len(rig.center.hellos) == 3)
        await rig.center.say(rig.center.ack(answers_hello=True))
        await until(lambda: rig.node.online == [True])
        said = len(rig.center.hellos)
        await asyncio.sleep(0.3)
        assert len(rig.center.hellos) == said

    rig(broker, tmp_path, work, honest=False, waits=Waits(beat_s=0.02, unanswered_s=0.1))


# -- another run ------------------------------------------------------------------------------------------------------


def test_another_run_gets_a_connection_of_its_own_at_once_and_the_old_one_ends_in_order(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async def work(rig: Rig) -> None:
        rig.node.uplink._backoff = lambda _: Backoff(base_s=3600, cap_s=3600, random=lambda: 1.0)
        rig.node.start()
        await rig.node.take(2)
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and bool(rig.center.seen))
        rig.node.uplink.stored(Receipt(run=OTHER, volatile=True))
        await until(lambda: rig.center.hellos[-1].run == OTHER)
        assert {chain.run for chain in rig.center.hellos[-1].chains} == {rig.node.run}
        await until(lambda: rig.center.states == [True, False, True])
        await until(lambda: rig.node.online == [True, False, True])
        await rig.node.take()  # a receipt of the first run again
        await until(lambda: rig.center.hellos[-1].run == rig.node.run)

    rig(broker, tmp_path, work)
    log = broker.log.read_text()
    assert log.count("Received DISCONNECT from dago-01") == 3
    assert f"as dago-01-{OTHER[:4].hex()}" in log


def test_a_run_that_changes_while_a_connection_is_made_is_not_missed(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        connect = rig.node.uplink._connect

        @contextlib.asynccontextmanager
        async def slow(to: Broker, /, *, client_id: str, will_topic: str, will: bytes) -> AsyncIterator[Wire]:
            async with connect(to, client_id=client_id, will_topic=will_topic, will=will) as link:
                rig.node.uplink.stored(Receipt(run=OTHER))
                yield link

        rig.node.uplink._connect = slow
        rig.node.start()
        await until(lambda: bool(rig.center.hellos) and rig.center.hellos[-1].run == OTHER)
        await until(lambda: rig.node.online[-1:] == [True])

    rig(broker, tmp_path, work)


def test_a_connection_offers_what_the_disk_holds_then_whatever_was_known_before(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async def work(rig: Rig) -> None:
        rig.node.uplink._backoff = lambda _: Backoff(base_s=0.01, cap_s=0.01, random=lambda: 1.0, first_spread_s=0.3)
        await rig.node.take(2)
        rig.node.start(spread=True)
        await until(lambda: rig.node.alive > 0)
        for n in (1, 2, 3):
            rig.node.uplink.sync.missing((rig.node.run, TELEMETRY, n))  # a card that could not be read for a while
        assert rig.node.uplink.sync.backlog() == 0
        await until(lambda: len(rig.center.seen) == 3)
        await until(lambda: rig.node.uplink.sync.backlog() == 0)

    rig(broker, tmp_path, work)


# -- the link ---------------------------------------------------------------------------------------------------------


def test_state_is_retained_while_the_node_is_here_and_when_it_leaves(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: rig.center.states == [True])
        await rig.node.stop()
        await until(lambda: rig.center.states == [True, False])
        async with centered(rig.broker.port, rig.center.signer) as late:
            await until(lambda: late.states == [False])

    rig(broker, tmp_path, work)
    assert "Received DISCONNECT from dago-01" in broker.log.read_text()


def test_a_node_that_is_stopped_while_it_greets_says_good_bye_too(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(rig: Rig) -> None:
        async def slow_hello(_: Session, __: Sequence[Held]) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(Session, "_say_hello", slow_hello)  # a moment held still
        rig.node.start()
        await until(lambda: rig.center.states == [True])
        await rig.node.stop()
        await until(lambda: rig.center.states == [True, False])

    rig(broker, tmp_path, work)


def test_a_broker_that_dies_costs_nothing(broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    signer = Signer(b"c" * 32)
    caplog.set_level(logging.INFO)

    async def main() -> None:
        node = Node(tmp_path / "spool", broker.port, signer)
        try:
            async with centered(broker.port, signer) as center:
                node.start()
                await node.take(3)
                await until(lambda: node.uplink.sync.backlog() == 0 and len(center.seen) == 4)
                broker.kill()
            await until(lambda: node.online == [True, False])
            await node.take(4)
            await asyncio.sleep(0.3)
            broker.start()
            async with centered(broker.port, signer) as center:
                center.chains[node.run, TELEMETRY] = {}
                await until(lambda: len(center.seen) >= 4)
                await until(lambda: node.uplink.sync.backlog() == 0)
                assert await node.settled() == 8
            await node.stop()
        finally:
            await node.stop()
            await node.writer.stop()
        assert node.online[:3] == [True, False, True]

    asyncio.run(main())
    assert told(caplog, "Connection refused") == 1
    assert sum("link up" in record.getMessage() for record in caplog.records) == 2


def test_no_message_leaves_twice_because_of_a_new_connection(broker: Mosquitto, tmp_path: Path) -> None:
    async def main() -> None:
        signer = Signer(b"c" * 32)
        node = Node(tmp_path / "spool", broker.port, signer, timing=Timing(resend_s=60), timeout_s=0.5)
        try:
            async with centered(broker.port, signer, honest=False) as center:
                node.start()
                await until(lambda: len(center.hellos) == 1)
                await center.say(center.ack(answers_hello=True))
                await until(lambda: node.online == [True])
                broker.freeze()
                await node.take(29)
                await until(lambda: node.uplink.sync.counters.sent == 30)
                broker.kill()
            await until(lambda: node.online == [True, False])
            broker.start()
            async with centered(broker.port, signer) as center:
                await until(lambda: len(center.seen) == 30)
                await asyncio.sleep(0.2)
                assert set(center.seen.values()) == {1}
        finally:
            await node.stop()
            await node.writer.stop()
        received = broker.received("/live") + broker.received("/history")
        assert len(received) == 30
        assert all("(d0," in line for line in received)

    asyncio.run(main())


def test_a_frozen_broker_is_left_and_found_again(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(rig: Rig) -> None:
        rig.node.start()
        await rig.node.take(2)
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and bool(rig.center.seen))
        broker.freeze()
        await rig.node.take(2)
        await until(lambda: rig.node.online == [True, False])
        await asyncio.sleep(1.0)
        broker.thaw()
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        assert await rig.node.settled() == 5

    rig(broker, tmp_path, work, timeout_s=0.3)
    assert told(caplog, "the broker does not answer") == 1


def test_a_node_can_be_stopped_while_its_broker_is_frozen(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.start()
        await rig.node.take()
        await until(lambda: rig.node.online == [True])
        broker.freeze()
        await rig.node.take(70)
        await until(lambda: rig.node.uplink.sync.in_flight_bytes() > 0)
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        await rig.node.stop()
        assert rig.node.task is not None
        assert rig.node.task.cancelled()
        assert loop.time() - start_s < 1
        broker.thaw()

    rig(broker, tmp_path, work, timeout_s=60, waits=Waits(farewell_s=0.2))


def test_a_center_that_is_silent_behind_its_broker_is_told_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(rig: Rig) -> None:
        await rig.node.take()
        rig.node.start()
        await until(lambda: len(rig.center.hellos) >= 4)
        assert True not in rig.node.online
        assert True not in rig.node.backoffs  # the waits grow on: no ack, no reset
        rig.center.honest = True
        await until(lambda: rig.node.uplink.sync.backlog() == 0)

    timing = Timing(progress_s=0.1, resend_s=0.05, resend_most_s=0.05)
    rig(broker, tmp_path, work, honest=False, timing=timing, waits=Waits(beat_s=0.02, unanswered_s=0.1))
    assert told(caplog, "the broker accepts, the center does not answer") == 1


def test_a_first_connection_after_a_boot_is_spread(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.start(spread=True)
        await until(lambda: bool(rig.center.hellos))
        assert rig.node.backoffs == [True]

    rig(broker, tmp_path, work)


def test_two_hundred_lost_connections_leave_nothing_behind(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.uplink._backoff = lambda _: Backoff(base_s=0, cap_s=0, random=lambda: 0.0)
        await rig.node.take()
        rig.node.start()
        counts: list[tuple[int, int]] = []
        while len(rig.center.hellos) < 200:
            hellos = len(rig.center.hellos)
            await until(lambda hellos=hellos: len(rig.center.hellos) > hellos)  # type: ignore[misc]  # mypy: defaults
            counts.append((len(asyncio.all_tasks()), open_files()))
        late, early = counts[-60:], counts[5:60]
        assert max(tasks for tasks, _ in late) <= max(tasks for tasks, _ in early) + 1
        assert max(files for _, files in late) <= max(files for _, files in early) + 2

    timing = Timing(progress_s=0, resend_s=0.01)
    rig(broker, tmp_path, work, honest=False, timing=timing, waits=Waits(beat_s=0.001))


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_a_stop_in_the_moment_of_a_failure_still_stops(broker: Mosquitto, tmp_path: Path) -> None:
    @contextlib.asynccontextmanager
    async def failing(_: Broker, /, *, client_id: str, **__: object) -> AsyncIterator[Wire]:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(60)
        if client_id:
            raise LinkLost("both at once")
        yield Link(_Client("nowhere"))

    async def work(rig: Rig) -> None:
        rig.node.uplink._connect = failing
        rig.node.start()
        await asyncio.sleep(0.05)
        await rig.node.stop()
        assert rig.node.task is not None
        assert rig.node.task.cancelled()

    rig(broker, tmp_path, work)


def test_the_task_gives_signs_of_life_while_it_waits_and_while_it_works(broker: Mosquitto, tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: rig.node.online == [True])
        alive = rig.node.alive
        await asyncio.sleep(0.2)
        assert 5 <= rig.node.alive - alive <= 20
        alive = rig.node.alive
        await rig.node.take(50)
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        assert rig.node.alive - alive > 50

    rig(broker, tmp_path, work, waits=Waits(beat_s=0.02))
