import json
import os
import random
import ssl
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from agent.wire import topics
from agent.wire.batch import Stream
from agent.wire.keys import Signer, private_from_pem
from center.cli.main import main
from center.keys import load_signer
from center.sqlite_store import SqliteStore
from tests.center.fake_node import CITY, FakeNode
from tests.center.processes import CenterProcess, Mosquitto, Speaker, running, until

pytestmark = pytest.mark.broker

TELEMETRY = Stream.TELEMETRY


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    main(["keys", "init", str(folder), "--city", CITY])
    return folder


def add(store: Path, keys: Path, folder: Path, name: str) -> FakeNode:
    words = ["nodes", "add", name, "--store", f"sqlite:{store}", "--city", CITY]
    assert main([*words, "--new", str(folder / name), "--keys", str(keys)]) == 0
    return FakeNode(name=name, signer=Signer(private_from_pem((folder / name / "signing.pem").read_text())))


def audit(store: Path) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "center.cli.main", "audit", "--store", f"sqlite:{store}", "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    totals: dict[str, object] = json.loads(done.stdout)["totals"]
    return done.returncode, totals


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_backlog_is_stored_acked_projected_and_proved(tmp_path: Path, keys: Path, protocol: str) -> None:
    store = tmp_path / "center.db"
    node = add(store, keys, tmp_path, "dago-01")
    for _ in range(60):
        node.readings(100)
    mosquitto = Mosquitto(tmp_path / "broker")
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    center = CenterProcess(store, keys, url, ("--ack-every", "100ms", "--protocol", protocol))
    with running(mosquitto, center):
        speaker = Speaker(node, load_signer(keys).public, mosquitto.port)
        speaker.drain()
        view = SqliteStore(store)
        until("all is projected", lambda: view.unprojected() == 0)
        view.close()
        assert center.stop() == 0
        speaker.close()
    code, totals = audit(store)
    assert (code, totals["taken"], totals["settled"], totals["chain"]) == (0, 6000, 6000, "ok")


def test_a_node_added_while_the_center_runs_is_heard(tmp_path: Path, keys: Path) -> None:
    store = tmp_path / "center.db"
    mosquitto = Mosquitto(tmp_path / "broker")
    center = CenterProcess(store, keys, f"mqtt://127.0.0.1:{mosquitto.port}")
    with running(mosquitto, center):
        until("the store is there", store.exists)
        node = add(store, keys, tmp_path, "dago-01")
        node.readings(10)
        speaker = Speaker(node, load_signer(keys).public, mosquitto.port)
        speaker.drain()
        speaker.close()


def test_over_mutual_tls_a_node_writes_and_reads_its_own_topics_only(tmp_path: Path, keys: Path) -> None:
    store = tmp_path / "center.db"
    node, other = (add(store, keys, tmp_path, name) for name in ("dago-01", "dago-02"))
    node.readings(10)
    mosquitto = Mosquitto(tmp_path / "broker", keys)
    center = CenterProcess(store, keys, f"mqtts://localhost:{mosquitto.port}")
    context = ssl.create_default_context(cafile=tmp_path / "dago-01" / "ca.crt")
    context.load_cert_chain(tmp_path / "dago-01" / "tls.crt", tmp_path / "dago-01" / "tls.key")
    with running(mosquitto, center):
        speaker = Speaker(node, load_signer(keys).public, mosquitto.port, context)
        speaker.drain()
        client = speaker.client
        assert client is not None
        codes: dict[int, ReasonCode] = {}
        client.on_publish = lambda _c, _d, mid, code, _p: codes.__setitem__(mid, code)
        client.on_subscribe = lambda _c, _d, mid, reasons, _p: codes.__setitem__(mid, reasons[0])
        forbidden = [
            topics.up(CITY, other.name, "live"),
            topics.ack(CITY, node.name),
            topics.order(CITY, node.name),
            topics.state(CITY, other.name),
            "gardu/v1/other/dago-01/up/live",
        ]
        mids = [client.publish(topic, b"x", qos=1).mid for topic in forbidden]
        allowed = [client.publish(topics.state(CITY, node.name), b"{}", qos=1).mid]
        until("all are answered", lambda: len(codes) == len(mids) + len(allowed))
        assert all(codes[mid].is_failure for mid in mids)
        assert not any(codes[mid].is_failure for mid in allowed)
        heard: list[str] = []
        client.on_message = lambda _c, _d, message: heard.append(message.topic)
        client.subscribe("gardu/#", qos=1)
        add_other = Speaker(other, load_signer(keys).public, mosquitto.port)
        context = ssl.create_default_context(cafile=tmp_path / "dago-02" / "ca.crt")
        context.load_cert_chain(tmp_path / "dago-02" / "tls.crt", tmp_path / "dago-02" / "tls.key")
        add_other.tls = context
        other.readings(3)
        add_other.drain()
        assert not [topic for topic in heard if topic.startswith(f"gardu/v1/{CITY}/{other.name}/")]
        add_other.close()
        speaker.close()
        assert center.stop() == 0


def test_a_client_without_a_certificate_is_turned_away(tmp_path: Path, keys: Path) -> None:
    mosquitto = Mosquitto(tmp_path / "broker", keys)
    with running(mosquitto):
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.tls_set_context(ssl.create_default_context(cafile=keys / "ca.crt"))
        client.connect("localhost", mosquitto.port)
        for _ in range(20):
            client.loop(0.1)
        assert not client.is_connected()


@pytest.mark.slow
def test_center_and_broker_killed_at_random_lose_and_double_nothing(tmp_path: Path, keys: Path) -> None:
    store = tmp_path / "center.db"
    node = add(store, keys, tmp_path, "dago-01")
    mosquitto = Mosquitto(tmp_path / "broker")
    center = CenterProcess(store, keys, f"mqtt://127.0.0.1:{mosquitto.port}", ("--ack-every", "50ms"))
    chance = random.Random(11)  # noqa: S311
    with running(mosquitto, center):
        speaker = Speaker(node, load_signer(keys).public, mosquitto.port)
        speaker.connect()
        for _ in range(8):
            for _ in range(12):
                node.readings(50)
            if speaker.client is not None and speaker.client.is_connected():
                speaker.publish_unacked()
            speaker.listen(chance.uniform(0, 0.5))
            victim: CenterProcess | Mosquitto = chance.choice((center, center, mosquitto))
            victim.kill()
            victim.start()
            speaker.close()
            speaker.connect()
        speaker.drain(deadline_s=60)
        speaker.close()
        view = SqliteStore(store)
        until("all is projected", lambda: view.unprojected() == 0)
        view.close()
        assert center.stop() == 0
    code, totals = audit(store)
    assert (code, totals["taken"], totals["lost"], totals["twice"], totals["unverified"]) == (0, 4800, 0, 0, 0)
    assert {made.hash for made in node.made[node.run, TELEMETRY]} == stored_hashes(store)


def stored_hashes(store: Path) -> set[bytes]:
    view = SqliteStore(store)
    found = {row[0] for row in view.db.execute("SELECT hash FROM batches")}
    view.close()
    return found


def test_garbage_from_the_broker_ends_no_process(tmp_path: Path, keys: Path) -> None:
    store = tmp_path / "center.db"
    node = add(store, keys, tmp_path, "dago-01")
    node.readings(10)
    mosquitto = Mosquitto(tmp_path / "broker")
    center = CenterProcess(store, keys, f"mqtt://127.0.0.1:{mosquitto.port}")
    with running(mosquitto, center):
        speaker = Speaker(node, load_signer(keys).public, mosquitto.port)
        speaker.drain()
        client = speaker.client
        assert client is not None
        places = [f"gardu/v1/{CITY}/{name}" for name in ("dago-01/up/live", "dago-01/up/hello", "x/state", "x/up/a/b")]
        for at in range(500):
            client.publish(places[at % 4], os.urandom(at % 90), qos=1)
        node.readings(10)
        speaker.drain()
        speaker.close()
        assert center.stop() == 0
    code, totals = audit(store)
    assert code == 0
    assert isinstance(totals["refused"], int)
    assert totals["refused"] >= 350
