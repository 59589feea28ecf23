"""The task of one probe of the node: asks its sources at a steady pace, each within its own time."""

import asyncio
import math
from collections.abc import Callable

from agent.poll import ALIVE_S, Sink
from drivers.driver import Event
from drivers.io.answers import reason
from drivers.probe import Collector, Moment

_DAY_S = 86_400


def spread_s(share: float) -> float:
    """Return where in every pace a node's turns lie, in s, so that a city's nodes do not all ask in one second.

    One offset for all its probes and a multiple of `ALIVE_S`: what is due together wakes the box once.

    Args:
        share: Of this node, from 0 to 1.
    """
    return math.floor(share * _DAY_S / ALIVE_S) * ALIVE_S


async def own_collector(
    collector: Collector, sink: Sink, *, moment: Callable[[], Moment], offset_s: float, alive: Callable[[], None]
) -> None:
    """Collect at once and then at a steady pace until cancelled; a source that hangs costs its own turn only.

    Args:
        collector: Brings the answers.
        sink: Takes every event.
        moment: Tells the time.
        offset_s: Where in the pace this node's turn lies.
        alive: Called at least each `ALIVE_S` while this task does its work, but for the time a collection takes.
    """
    loop = asyncio.get_running_loop()
    try:
        while True:
            for event in await _within(collector, moment()):
                sink.take(event)
            due = _next_turn(loop.time(), collector.every_s, offset_s)
            while (now := loop.time()) < due:
                alive()
                await asyncio.sleep(min(due, _next_turn(now, ALIVE_S, offset_s)) - now)
    finally:
        collector.close()


async def _within(collector: Collector, now: Moment) -> list[Event]:
    """Collect once; weather that a collector did not name itself is weather all the same, anything else a bug."""
    probe = collector.probe
    try:
        async with asyncio.timeout(collector.timeout_s) as deadline:
            events = await collector.collect(now)
    except OSError as error:  # TimeoutError is one
        late = f"no answer within {collector.timeout_s:g} s"
        return probe.silent(probe.info.name, late if deadline.expired() else reason(error))
    return [*probe.heard(probe.info.name), *events]


def _next_turn(now: float, every_s: float, offset_s: float) -> float:
    """Return the next moment of a pace that is shifted by an offset."""
    return (math.floor((now - offset_s) / every_s) + 1) * every_s + offset_s
