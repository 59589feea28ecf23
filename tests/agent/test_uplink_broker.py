"""What a broker can do to the uplink: refuse, limit, forget, cost too much."""

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.meter import Meter
from agent.session import Waits
from agent.sync import Timing
from agent.wire.batch import Kind, Stream
from drivers.backoff import Backoff
from tests.agent.conftest import Mosquitto
from tests.agent.uplink_rig import CITY, NODE, TELEMETRY, Rig, rig, told, until

pytestmark = pytest.mark.broker

NOVEMBER_MS = 1_795_000_000_000
DECEMBER_MS = NOVEMBER_MS + 20 * 86_400_000
UP = f"gardu/v1/{CITY}/{NODE}/up"
ACL = f"topic readwrite #\ntopic deny {UP}/live\ntopic deny {UP}/history\n"


def noise(count: int) -> list[str]:
    """Texts that no compression makes smaller."""
    chance = random.Random(count)  # noqa: S311 - no secret
    return [chance.randbytes(100).hex() for _ in range(count)]


def acl(folder: Path) -> str:
    path = folder / "acl"
    path.write_text(ACL)
    path.chmod(0o644)
    return f"user root\nallow_anonymous true\nacl_file {path}\n"


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_a_lane_that_the_broker_refuses_is_told_once_and_alarms_still_arrive(
    make_broker: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker(acl(tmp_path))

    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: rig.node.online == [True])
        await rig.node.take(3)
        await rig.node.take(1, Stream.ALARM)
        await until(lambda: len(rig.center.chains.get((rig.node.run, Stream.ALARM), {})) == 2)
        sync = rig.node.uplink.sync
        await until(lambda: sync.in_flight_bytes() == 0)
        declined = sync.counters.declined
        assert 2 <= declined <= 6
        await asyncio.sleep(0.3)
        assert sync.counters.declined == declined
        assert (sync.in_flight_bytes(), sync.backlog()) == (0, 4)
        assert (await rig.node.held()).settled == 0
        assert rig.node.online == [True]

    rig(broker, tmp_path, work)
    assert told(caplog, "its access list must let the certificate of this node write there") == 2
    assert told(caplog, "lane=live") == told(caplog, "lane=history") == 1


def test_a_lane_that_is_taken_again_is_told_and_drains(
    make_broker: Callable[..., Mosquitto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("agent.sync._PAUSES", dict.fromkeys(("alarm", "live", "history"), (0.2, 0.2)))
    broker = make_broker(acl(tmp_path))

    async def work(rig: Rig) -> None:
        rig.node.start()
        await rig.node.take(3)
        await until(lambda: rig.node.uplink.sync.counters.declined >= 3)
        (tmp_path / "acl").write_text("topic readwrite #\n")
        broker.reload()
        await until(lambda: rig.node.uplink.sync.backlog() == 0)

    rig(broker, tmp_path, work)
    assert told(caplog, "the broker refuses") == 2
    assert any("takes batches again" in record.getMessage() for record in caplog.records)


# -- size -------------------------------------------------------------------------------------------------------------


def arrived_rows(rig: Rig) -> int:
    return sum(header.count for header in rig.center.headers.values())


def test_a_batch_larger_than_the_broker_says_arrives_in_smaller_ones(
    make_broker: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker("allow_anonymous true\nmax_packet_size 5000\n")

    async def work(rig: Rig) -> None:
        await rig.node.take_rows(noise(80))
        await rig.node.take(2)
        rig.node.start()
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and arrived_rows(rig) == 82)
        assert (rig.node.run, TELEMETRY, 2) not in rig.center.headers
        assert [header.n for header in rig.center.headers.values() if header.kind is Kind.GAP] != []
        assert rig.node.online == [True]

    rig(broker, tmp_path, work)
    assert told(caplog, "larger than the broker takes, sealed again") == 1


@pytest.mark.parametrize("limit", ["max_packet_size", "message_size_limit"])
def test_a_broker_that_just_hangs_up_on_large_batches_is_understood(
    make_broker: Callable[..., Mosquitto], tmp_path: Path, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker(f"allow_anonymous true\n{limit} 20000\n")

    async def work(rig: Rig) -> None:
        await rig.node.take_rows(noise(240))
        await rig.node.take(2)
        rig.node.start()
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and arrived_rows(rig) == 242)
        assert 3 <= len(rig.center.hellos) <= 4
        assert (rig.node.run, TELEMETRY, 2) not in rig.center.headers

    rig(broker, tmp_path, work, version_5=limit == "message_size_limit")
    assert told(caplog, "it counts as too large") == 1


# -- a broker that takes everything -----------------------------------------------------------------------------------


def test_what_a_broker_took_and_forgot_comes_again_until_the_center_answers(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    timing = Timing(resend_s=0.1, resend_most_s=0.4, progress_s=0.5)

    async def work(rig: Rig) -> None:
        rig.node.uplink._backoff = lambda _: Backoff(base_s=0.1, cap_s=0.4, random=lambda: 1.0)
        rig.center.honest = False
        rig.center.store = lambda *_: None  # type: ignore[method-assign]  # whatever comes is forgotten
        rig.node.start()
        await until(lambda: bool(rig.center.hellos))
        await rig.node.take(9)
        await asyncio.sleep(3)
        assert len(rig.center.hellos) <= 8
        assert rig.node.uplink.sync.counters.settled == 0
        del rig.center.store
        rig.center.honest = True
        await until(lambda: rig.node.uplink.sync.backlog() == 0)
        assert len(rig.center.seen) == 10
        assert (await rig.node.held()).settled == 10

    rig(broker, tmp_path, work, timing=timing, waits=Waits(beat_s=0.02, unanswered_s=0.5))
    assert told(caplog, "the broker accepts, the center does not answer") == 1
    lines = broker.received("/live")
    assert len(lines) < 9 * 3 * 4  # so many batches, seconds, and sends a second


# -- quota ------------------------------------------------------------------------------------------------------------


def test_over_the_quota_only_alarms_leave_then_nothing_and_all_of_it_next_month(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now_ms = [NOVEMBER_MS]
    meter = Meter(tmp_path / "quota", 60_000, 0.5, lambda: now_ms[0])

    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: rig.node.online == [True])
        while meter.used.used_bytes < 30_000:
            await rig.node.take_rows(noise(20))
            await asyncio.sleep(0.02)
        await until(lambda: rig.node.uplink.sync.only_alarms)
        arrived = len(rig.center.chains[rig.node.run, TELEMETRY])
        await rig.node.take(3)
        await rig.node.take(1, Stream.ALARM)
        await until(lambda: len(rig.center.chains.get((rig.node.run, Stream.ALARM), {})) == 2)
        assert len(rig.center.chains[rig.node.run, TELEMETRY]) <= arrived + 2  # what was under way
        while meter.used.used_bytes < 60_000:
            await rig.node.take_rows(noise(20), Stream.ALARM)
            await asyncio.sleep(0.02)
        await until(lambda: rig.center.states[-1] is False)
        hellos = len(rig.center.hellos)
        await asyncio.sleep(0.2)
        assert len(rig.center.hellos) == hellos
        now_ms[0] = DECEMBER_MS
        await until(lambda: rig.center.states[-1] is True)
        await until(lambda: rig.node.uplink.sync.backlog() == 0)

    rig(broker, tmp_path, work, meter=meter, waits=Waits(beat_s=0.02))
    assert told(caplog, "only alarms leave") == 1
    assert told(caplog, "nothing leaves") == 1
    assert Meter(tmp_path / "quota", 60_000, 0.5, lambda: None).used.month == "2026-12"


def test_the_meter_counts_what_really_went_over_the_link(broker: Mosquitto, tmp_path: Path) -> None:
    meter = Meter(tmp_path / "quota", 10_000_000, 0.1, lambda: NOVEMBER_MS)

    async def work(rig: Rig) -> None:
        rig.node.start()
        await rig.node.take_rows(noise(200))
        await until(lambda: rig.node.uplink.sync.backlog() == 0 and bool(rig.center.seen))
        await rig.node.stop()
        payload = rig.node.uplink.sync.counters.sent_bytes
        assert payload > 20_000
        assert payload < meter.used.used_bytes < payload + 6_000

    rig(broker, tmp_path, work, meter=meter)


def test_hellos_that_nobody_answers_are_rarer_once_the_quota_is_used_up(broker: Mosquitto, tmp_path: Path) -> None:
    meter = Meter(tmp_path / "quota", 1_000_000_000, 0.9999999, lambda: NOVEMBER_MS)

    async def work(rig: Rig) -> None:
        rig.node.start()
        await until(lambda: bool(rig.center.hellos))
        await asyncio.sleep(0.55)
        assert len(rig.center.hellos) <= 2

    rig(broker, tmp_path, work, meter=meter, honest=False, waits=Waits(beat_s=0.02, unanswered_s=0.05))
