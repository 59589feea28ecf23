"""An MCU680 board on a pseudo-terminal: it says the published frames again and again."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from drivers.driver import Line
from drivers.io.pty import serve

PACKAGE = Path(__file__).parent / "mcu680"
VECTORS = json.loads((PACKAGE / "mcu680" / "vectors.json").read_text(encoding="utf-8"))
FRAMES = [bytes.fromhex(one["bytes_hex"]) for one in VECTORS if one["expect"] == "reading"]
_EVERY_NS = 100_000_000


class Board:
    line = Line(baud=9600)

    def __init__(self) -> None:
        self._count = 0
        self._due_ns = 0

    def tick(self, now_ns: int) -> list[bytes]:
        if now_ns < self._due_ns:
            return []
        self._due_ns = now_ns + _EVERY_NS
        self._count += 1
        return [FRAMES[self._count % len(FRAMES)]]

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        del data, now_ns  # nobody asks it
        return []

    def deadline(self) -> int | None:
        return self._due_ns


@contextlib.contextmanager
def speaking(link: Path) -> Iterator[str]:
    """The name of a port on which a board speaks."""
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=serve,
        args=(Board(),),
        kwargs={"link": link, "ready": lambda _: ready.set(), "stopped": stop.is_set},
    )
    thread.start()
    assert ready.wait(5)
    try:
        yield f"path:{link}"
    finally:
        stop.set()
        thread.join()
