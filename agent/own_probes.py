"""The tasks of the node's own probes: box, hotspot, kiosk, link. What one needs is loaded where it runs."""

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import date
from pathlib import Path

from agent import clock
from agent.boots import EVERY_S as BOOTS_EVERY_S
from agent.boots import FILE as BOOTS_FILE
from agent.boots import Boots
from agent.config import model
from agent.config.link_channels import EVERY_S as LINK_EVERY_S
from agent.config.link_channels import LINK
from agent.config.probes import Equipped
from agent.config.section import HOST
from agent.meter import Meter
from agent.poll import Sink, own_probe
from agent.sdnotify import Pulse
from agent.sync_probe import EVERY_S as SYNC_EVERY_S
from agent.sync_probe import SyncProbe
from drivers.probe import Moment

_LATE_S = 45.0
"""A task that gave no sign of life for so long is late: four beats."""


class OwnProbes:
    """Everything that the configuration asks of this box itself.

    Args:
        config: The configuration.
        equipped: Its probes.
        sink: Takes every event.
        pulse: Told of signs of life.
        utc_ms: UTC as believed, in ms; None while it is not.
        meter: Counts what is used of the quota; None where there is none.
        durably: Runs what may block on the card somewhere else.
        sync: Tells what still has to reach the center.
    """

    def __init__(
        self,
        config: model.Config,
        equipped: tuple[Equipped, ...],
        sink: Sink,
        *,
        pulse: Pulse,
        utc_ms: Callable[[], int | None],
        meter: Meter | None,
        durably: Callable[[Callable[[], None]], Awaitable[None]],
        sync: SyncProbe,
    ) -> None:
        self._config = config
        self._equipped = equipped
        self._sink = sink
        self._pulse = pulse
        self._utc_ms = utc_ms
        self._meter = meter
        self._durably = durably
        self._sync_probe = sync

    def tasks(self) -> Iterator[Coroutine[None, None, None]]:
        """Make the work of each task."""
        if self._config.host.enabled:
            yield self._host()
            yield self._sync()
            yield self._boots()
        if self._meter is not None or self._config.center.sim_expires:
            yield self._link()
        if not self._equipped:
            return
        from agent.probing import own_collector, spread_s  # noqa: PLC0415
        from drivers.probes import collector  # noqa: PLC0415

        offset_s = spread_s(zlib.crc32(self._config.node.encode()) / 2**32)
        for one in self._equipped:
            made = collector(one.kind, one.settings)
            alive = self._pulse.task(one.kind.name, _LATE_S + made.timeout_s)
            yield own_collector(made, self._sink, moment=self._moment, offset_s=offset_s, alive=alive)

    async def save(self, *, is_end: bool = False) -> None:
        """Put the count of the quota on the card, when it is time."""
        if self._meter is not None and self._meter.due(asyncio.get_running_loop().time(), is_end=is_end):
            await self._durably(self._meter.save)

    def _moment(self) -> Moment:
        utc_ms = self._utc_ms()
        return Moment(boot_ns=clock.boot_ns(), utc_s=None if utc_ms is None else utc_ms / 1000)

    async def _host(self) -> None:
        from drivers.io.host import HostProbe  # noqa: PLC0415 - psutil is loaded only where the probe is wanted

        host = self._config.host
        await own_probe(
            HostProbe(
                HOST,
                disks=host.disks,
                interfaces=host.interfaces,
                proc_root=Path(host.probes.proc),
                sys_root=Path(host.probes.sys),
            ),
            self._sink,
            every_s=host.every_s,
            boot_ns=clock.boot_ns,
            alive=self._pulse.task(HOST, _LATE_S),
        )

    async def _sync(self) -> None:
        await own_probe(
            self._sync_probe,
            self._sink,
            every_s=SYNC_EVERY_S,
            boot_ns=clock.boot_ns,
            alive=self._pulse.task("sync", _LATE_S),
        )

    async def _boots(self) -> None:
        boots = Boots(Path(self._config.spool.folder).parent / BOOTS_FILE, clock.boot_id().hex(), self._utc_ms)

        async def save() -> None:
            if boots.is_due:
                with contextlib.suppress(OSError):  # then the next start counts one less
                    await self._durably(boots.save)

        await own_probe(
            boots,
            self._sink,
            every_s=BOOTS_EVERY_S,
            boot_ns=clock.boot_ns,
            alive=self._pulse.task("boots", _LATE_S),
            after=save,
        )

    async def _link(self) -> None:
        from agent.link_probe import LinkProbe  # noqa: PLC0415

        expires = self._config.center.sim_expires
        await own_probe(
            LinkProbe(self._meter, date.fromisoformat(expires) if expires else None, self._utc_ms),
            self._sink,
            every_s=LINK_EVERY_S,
            boot_ns=clock.boot_ns,
            alive=self._pulse.task(LINK, _LATE_S),
            after=self.save,
        )
