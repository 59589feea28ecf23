"""Ends the box in order before its battery is empty: told first, on the card, at the center if it answers, then off."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Self

from agent.pipeline import row_of
from agent.reserve import Limit, Reserve
from agent.spool.intake import Intake
from agent.wire.batch import Stream
from agent.wire.senml import Row
from drivers.reading import Reading

log = logging.getLogger(__name__)


class LastOrders:
    """Watches the battery and ends the box.

    Args:
        reserve: Decides.
        keep: Takes rows for the spool.
        flush: Writes and seals what waits, on the card.
        drained: Waits a little for the center to have it.
        power_off: Asks the system to end; OSError when it refuses.
        boot_ns: CLOCK_BOOTTIME in ns.
    """

    def __init__(
        self,
        reserve: Reserve,
        *,
        keep: Callable[[Row, Stream], None],
        flush: Callable[[], Awaitable[None]],
        drained: Callable[[], Awaitable[None]],
        power_off: Callable[[], Awaitable[None]],
        boot_ns: Callable[[], int],
    ) -> None:
        self._reserve = reserve
        self._keep = keep
        self._flush = flush
        self._drained = drained
        self._power_off = power_off
        self._boot_ns = boot_ns
        self._why = ""
        self._is_due = asyncio.Event()

    @classmethod
    def of(
        cls,
        limit: Limit,
        intake: Intake,
        drained: Callable[[], Awaitable[None]],
        *,
        bus: str,
        boot_ns: Callable[[], int],
    ) -> Self:
        """Make them for a running agent; ``bus`` is the socket of the system bus."""

        async def power_off() -> None:
            from drivers.io import power_off as box  # noqa: PLC0415 - brings D-Bus with it

            await box.power_off(bus)

        return cls(
            Reserve(limit), keep=intake.take, flush=intake.flush, drained=drained, power_off=power_off, boot_ns=boot_ns
        )

    def beside(self, other: Callable[[Reading], None]) -> Callable[[Reading], None]:
        """Return what tells both of a reading."""

        def tell(reading: Reading) -> None:
            other(reading)
            self.hear(reading)

        return tell

    def hear(self, reading: Reading) -> None:
        """Hear a reading of this node. Never waits."""
        why = self._reserve.take(reading)
        if why is not None:
            self._why = why
            self._is_due.set()

    async def run(self) -> None:
        """Wait for the end until cancelled; it comes at most once until the battery was above its limit again."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            await self._end()

    async def _end(self) -> None:
        log.warning("power off: why=%s", self._why)
        self._tell(f"power off: {self._why}")
        await self._flush()
        await self._drained()
        if not self._reserve.holds(self._boot_ns()):
            log.warning("power off called off: the mains is back")
            self._tell("power off called off: the mains is back")
            return
        try:
            await self._power_off()
        except OSError as error:
            why = error.strerror or str(error) or "no answer in time"
            log.error("power off refused: %s", why)  # noqa: TRY400 - weather, no bug
            self._tell(f"power off refused: {why}")

    def _tell(self, text: str) -> None:
        reading = Reading(sensor="power", channel="off", value=text, unit="1", boot_ns=self._boot_ns())
        self._keep(row_of(reading), Stream.ALARM)
