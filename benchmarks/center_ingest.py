"""How fast the center takes a backlog: readings a second verified and committed, and then projected.

Run it pinned to one core: ``taskset -c 0 python benchmarks/center_ingest.py``.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.wire.batch import Stream
from agent.wire.keys import Signer
from center.acks import AckSettings
from center.receiver import Message, Now, Receiver
from center.sqlite_store import SqliteStore
from tests.center.fake_node import CITY, FakeNode

_GROUP = 25  # what 50 ms bring
_PROJECT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Readings a second of processor time, and of wall time for the first; the bytes of the file."""

    readings: int
    acked_per_s: float
    acked_wall_per_s: float
    projected_per_s: float
    rebuilt_per_s: float
    to_rows_per_s: float
    store_bytes: int


def measure(folder: Path, *, batches: int = 200, rows: int = 500) -> Result:
    """Verify, commit and ack batches as the worker does, then project them, then project them again from bytes."""
    node = FakeNode()
    messages = [node.up(node.readings(rows), "history") for _ in range(batches)]
    messages.insert(0, node.up(node.made[node.run, Stream.TELEMETRY][0]))
    store = SqliteStore(folder / "center.db")
    store.add_node(node.box, node.signer.public, now_ms=0)
    receiver = Receiver(store, city=CITY, signer=Signer(os.urandom(32)), settings=AckSettings())
    receiver.refresh_keys(_now())
    hello = node.hello(bytes(15) + b"\x01")
    receiver.receive([(message, receiver.examine(message)) for message in hello], _now())
    receiver.acks(_now())
    total = batches * rows

    cpu, wall = time.process_time(), time.perf_counter()
    for at in range(0, len(messages), _GROUP):
        group: list[Message] = messages[at : at + _GROUP]
        receiver.receive([(message, receiver.examine(message)) for message in group], _now())
        receiver.acks(_now())
    acked_s, acked_wall_s = time.process_time() - cpu, time.perf_counter() - wall
    projected_s = _project(receiver)
    store.rebuild()
    rebuilt_s = _project(receiver)
    store.close()
    return Result(
        readings=total,
        acked_per_s=round(total / acked_s),
        acked_wall_per_s=round(total / acked_wall_s),
        projected_per_s=round(total / projected_s),
        rebuilt_per_s=round(total / rebuilt_s),
        to_rows_per_s=round(total / (acked_s + projected_s)),
        store_bytes=(folder / "center.db").stat().st_size,
    )


def _project(receiver: Receiver) -> float:
    cpu = time.process_time()
    while receiver.project(_now(), most=_PROJECT).batches:
        pass
    return time.process_time() - cpu


def _now() -> Now:
    return Now(utc_ms=time.time_ns() // 1_000_000, mono_s=time.monotonic())


def main() -> None:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(measure(Path(folder), batches=args.batches, rows=args.rows))))


if __name__ == "__main__":
    main()
