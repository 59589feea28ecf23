"""Lets a collector ask its sources once, within its own time."""

import asyncio
from typing import Protocol

from drivers.driver import Event
from drivers.probe import Moment
from tests.drivers.hotspot.recorded import at


class Asks(Protocol):
    """What is needed of a collector."""

    timeout_s: float

    async def collect(self, now: Moment) -> list[Event]: ...


def look(collector: Asks, second: float = 0.0) -> list[Event]:
    """Return what it finds at this second since the start of the box."""

    async def once() -> list[Event]:
        async with asyncio.timeout(collector.timeout_s):
            return await collector.collect(at(second))

    return asyncio.run(once())
