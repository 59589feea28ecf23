"""The other end for the peers: a broker without keys, and a subscriber that counts (sensor, channel, number)."""

import contextlib
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.processes import running, until
from benchmarks.town import listens, mosquitto

Value = tuple[str, str, int]
Read = Callable[[str, bytes], list[Value]]
_LIMITS = {"maxPayloadSize": 65_536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}


@contextlib.contextmanager
def broker(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a broker that takes anybody on this machine."""
    conf = folder / "plain.conf"
    queues = "max_queued_messages 0\nmax_inflight_messages 1000\n"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{queues}")
    with running([mosquitto(), "-c", str(conf)], folder / "plain.log") as process:
        until(lambda: listens(port), 5, "broker")
        yield process


class Receiver:
    """Counts what arrives, as a context; it connects again when the broker comes back.

    Args:
        port: Of the broker.
        read: Says which values a message holds.
    """

    def __init__(self, port: int, read: Read) -> None:
        self._read = read
        self._port = port
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self.seen: Counter[Value] = Counter()
        self.newest_s = 0.0
        self.oldest_s = 0.0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="receiver")
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def connect(self) -> None:
        """Connect and subscribe to everything; after the broker was away, before the peer does."""
        self._client.loop_stop()
        self._subscribed.clear()
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._subscribed.wait(10)

    def begin(self) -> None:
        """Forget what was counted."""
        with self._lock:
            self.seen.clear()
            self.oldest_s = self.newest_s = 0.0

    def settled(self, quiet_s: float, within_s: float) -> None:
        """Wait until nothing new has come for a while."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            time.sleep(0.2)
            if self.newest_s and time.monotonic() - self.newest_s > quiet_s:
                return

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe("#", qos=1)

    def _take(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if "/rpc/request/" in message.topic:  # what a ThingsBoard server would answer: no limits
            client.publish(message.topic.replace("request", "response"), json.dumps(_LIMITS), qos=1)
            return
        values = self._read(message.topic, bytes(message.payload))
        now_s = time.monotonic()
        with self._lock:
            self.seen.update(values)
            if values:
                self.oldest_s = self.oldest_s or now_s
                self.newest_s = now_s
