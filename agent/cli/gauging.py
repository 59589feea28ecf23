"""Takes readings of one sensor for a calibration, and says whether they are good enough for one."""

import asyncio
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.cli.read import listen
from agent.cli.sampling import Sampler
from agent.config.model import Config
from agent.readings_socket import FILE
from drivers.reading import Reading
from drivers.registry import Registry

_DOUBTED_SHARE = 0.25
"""So many doubted readings among all say that the good ones are luck."""


class Unsteady(Exception):  # noqa: N818 - what the readings are
    """The readings are no ground for a calibration; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a channel said, in its unit.

    Attributes:
        channel: Which.
        median: Of the good readings.
        spread: Largest less smallest of them.
        count: How many there are.
        doubted: How many were flagged, by flag.
    """

    channel: str
    median: float
    spread: float
    count: int
    doubted: Mapping[str, int]


@dataclass(slots=True)
class Samples:
    """Readings of some channels of one sensor, until one channel has enough good ones.

    Args:
        channels: By preference.
        wanted: So many good readings are enough.
    """

    channels: Sequence[str]
    wanted: int
    good: dict[str, list[float]] = field(default_factory=dict)
    doubted: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)

    def take(self, channel: str, value: object, flags: Sequence[str]) -> bool:
        """Take one reading; True once there are enough."""
        if channel in self.channels and isinstance(value, int | float) and not isinstance(value, bool):
            if flags:
                self.flagged[channel] += 1
                self.doubted.update(flags)
            else:
                self.good.setdefault(channel, []).append(float(value))
        return self._chosen() is not None

    def measured(self, most_spread: float) -> Measured:
        """Return what they come to. Raises Unsteady."""
        channel = self._chosen()
        if channel is None:
            had = max((len(values) for values in self.good.values()), default=0)
            silent = "" if had or self.doubted else "; does it answer? `gardu read` and the log of the agent say more"
            raise Unsteady(f"only {had} of {self.wanted} good readings came{self._doubts()}{silent}")
        values, flagged = self.good[channel], self.flagged[channel]
        if flagged > _DOUBTED_SHARE * (flagged + len(values)):
            raise Unsteady(f"{flagged} of {flagged + len(values)} readings are doubted{self._doubts()}")
        spread = max(values) - min(values)
        if spread > most_spread:
            raise Unsteady(
                f"the readings are {spread:.3f} m apart, more than {most_spread:g} m: wait for calm water,"
                " or allow more with --spread"
            )
        return Measured(
            channel=channel,
            median=statistics.median(values),
            spread=spread,
            count=len(values),
            doubted=dict(self.doubted),
        )

    def _chosen(self) -> str | None:
        """Return the first channel that speaks, once it has enough; the others only stand in for a silent one."""
        speaks = next((one for one in self.channels if one in self.good), None)
        return speaks if speaks is not None and len(self.good[speaks]) >= self.wanted else None

    def _doubts(self) -> str:
        told = ", ".join(f"{flag} {count}x" for flag, count in self.doubted.most_common(3))
        return f" ({told})" if told else ""


async def collect(config: Config, drivers: Registry, sensor: str, samples: Samples, within_s: float) -> None:
    """Fill the samples, through the agent when it holds the port, else from the port itself.

    Raises:
        Unsteady: Nothing can be read, and why.
    """
    path = Path(config.run_folder) / FILE
    try:
        await _ask_daemon(path, sensor, samples, within_s)
    except PermissionError as error:
        raise Unsteady(f"the agent runs, but you may not read {path}: use sudo, or join its group") from error
    except OSError:
        await _ask_port(config, drivers, sensor, samples, within_s)


async def _ask_daemon(path: Path, sensor: str, samples: Samples, within_s: float) -> None:
    now = False
    with suppress(TimeoutError):
        async with aclosing(listen(path)) as packs, asyncio.timeout(within_s):
            async for pack in packs:
                now = now or not pack  # what comes before the empty pack was measured before we asked
                if now and pack and _is_of(sensor, pack[0]):
                    record, *flags = pack
                    channel = str(record["n"]).partition("/")[2]
                    if samples.take(channel, record.get("v"), [str(flag.get("vs")) for flag in flags]):
                        return


def _is_of(sensor: str, record: Mapping[str, object]) -> bool:
    return str(record.get("n", "")).startswith(f"{sensor}/")


async def _ask_port(config: Config, drivers: Registry, sensor: str, samples: Samples, within_s: float) -> None:
    (first,) = await Sampler(config, drivers, [sensor]).sample(min(within_s, 10.0))
    if first.trouble:
        raise Unsteady(first.trouble)
    enough = asyncio.Event()

    def take(reading: Reading) -> None:
        if samples.take(reading.channel, reading.value, sorted(reading.quality)):
            enough.set()

    follower = asyncio.create_task(Sampler(config, drivers, [sensor], tell=take).follow())
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await enough.wait()
    finally:
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower
