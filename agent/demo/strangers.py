"""What should not come to the broker: rubbish, and a real batch in which one bit is changed."""

from pathlib import Path

from agent import clock, identity
from agent.demo.errors import DemoError
from agent.demo.scenario import CITY, NODE
from agent.errors import LinkLost
from agent.mqtt import Broker, connect
from agent.spool import frames
from agent.spool.frames import FrameKind
from agent.wire import topics
from agent.wire.batch import Stream

RUBBISH = (b"", b"\x00", b"hello", b"{}", b"\x83\x01\xff" * 400)
MESSAGES = len(RUBBISH) + 1
"""How many messages come."""


def altered(spool: Path) -> bytes:
    """Return the newest batch of telemetry on disk with one bit of its readings changed. Raises DemoError."""
    found: bytes | None = None
    for path in sorted(spool.glob("*.seg")):
        name = frames.parse_name(path.name)
        if name is not None and name.stream is Stream.TELEMETRY:
            for frame in frames.frames(name, path.read_bytes()):
                if frame.kind == FrameKind.BATCH:
                    found = frames.message_of(frame)
    if found is None:
        raise DemoError("the node has no batch on disk yet")
    changed = bytearray(found)
    changed[-1] ^= 1
    return bytes(changed)


async def send(port: int, keys: Path, spool: Path, *, version_5: bool) -> None:
    """Publish it all on the node's own topic, under the node's own certificate: the worst place. Raises DemoError."""
    tls = identity.tls_context(keys, lambda: (clock.wall_ms(), None))
    broker = Broker(host="127.0.0.1", tcp_port=port, tls=tls, version_5=version_5)
    topic, will_topic = topics.up(CITY, NODE, "live"), topics.state(CITY, NODE)
    try:
        async with connect(broker, client_id="stranger", will_topic=will_topic, will=b"") as link:
            for payload in (*RUBBISH, altered(spool)):
                await link.publish(topic, payload)
    except LinkLost as error:
        raise DemoError(f"the broker does not take the rubbish: {error}") from error
