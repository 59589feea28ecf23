"""How many rows a default hotspot writes in a day, with report by exception and without."""

import math
import random
from collections.abc import Iterator

from agent.by_exception import ByException, keep_of
from agent.config.load import Parsed, parse
from agent.settings import keeps
from drivers.driver import Channel
from drivers.host.info import FAST, describe
from drivers.io.catalog import registry
from drivers.reading import Reading

DAY_S = 86_400
CONFIG = b"""\
node = "dago-01"
city = "bandung"

[center]
url = "mqtts://center.bandung.go.id:8883"

[host]
interfaces = ["eth0", "wlan0"]

[hotspot]
portal = "opennds"
pool = "10.20.0.2-10.20.0.254"
"""


def parsed() -> Parsed:
    found = parse([("agent.toml", CONFIG)], registry())
    assert found.errors == 0
    return found


def paced(given: Parsed) -> Iterator[tuple[str, Channel, float]]:
    """Every channel of this node with the pace of its probe."""
    assert given.config is not None
    host = given.config.host
    fast = {channel.name for channel in FAST} | {"eth0-rx", "eth0-tx", "wlan0-rx", "wlan0-tx"}
    for channel in describe(host.disks, host.interfaces or ()).channels:
        yield "host", channel, host.every_s if channel.name in fast else 60.0
    for one in given.equipped:
        for channel in one.info.channels:
            yield one.sensor, channel, one.info.every_s


class Life:
    """One channel's day: busy at noon and in the evening, quiet at night, never quite still."""

    def __init__(self, channel: Channel, chance: random.Random) -> None:
        self._channel = channel
        self._chance = chance
        self._total = 0

    def value(self, second: float) -> float | str | bool:
        chance, hour = self._chance, second / 3600
        busy = max(0.0, math.sin((hour - 6) / 18 * math.pi)) ** 2
        if self._channel.kind == "text":
            return "online" if hour < 13 or hour > 13.2 else "captive"
        if self._channel.kind == "state":
            return not 13 <= hour <= 13.2
        if self._channel.kind == "counter":
            often = self._channel.unit == "count" and chance.random() < 0.05 * busy
            self._total += often if self._channel.unit == "count" else round(1e6 * busy) + 100
            return self._total
        match self._channel.unit:
            case "Cel":
                return 48 + 9 * busy + chance.gauss(0, 0.3)
            case "ms":
                return chance.lognormvariate(math.log(40), 0.25)
            case "count":
                return round(25 * busy + chance.gauss(0, 0.7 * busy))
            case "/":
                return 0.4 * busy + abs(chance.gauss(0, 0.008))
            case "%":
                return 8 + 25 * busy + abs(chance.gauss(0, 4))
            case "B":
                return 3e8 + 2e7 * busy + chance.gauss(0, 2e6)
            case "dBm":
                return round(-62 + chance.gauss(0, 1.5))
            case _:
                return 0.3 + 0.4 * busy + chance.gauss(0, 0.02)


def test_a_day_of_a_default_hotspot_is_a_tenth_of_its_readings() -> None:
    given = parsed()
    assert given.config is not None
    judge = ByException(keeps(given.config, given.fitted, given.equipped))
    taken = kept = 0
    longest: dict[str, float] = {}
    for sensor, channel, every_s in paced(given):
        life = Life(channel, random.Random(f"{sensor}/{channel.name}"))  # noqa: S311 - seeded: the same day each time
        last_s = 0.0
        for turn in range(int(DAY_S / every_s)):
            second = turn * every_s
            reading = Reading(
                sensor=sensor,
                channel=channel.name,
                value=life.value(second),
                unit=channel.unit,
                boot_ns=round(second * 1e9),
            )
            taken += 1
            if judge.keeps(reading):
                kept += 1
                place = f"{sensor}/{channel.name}"
                longest[place] = max(longest.get(place, 0.0), second - last_s)
                last_s = second
        keep = keep_of(channel, is_probe=True)
        assert keep is not None
        assert longest[f"{sensor}/{channel.name}"] < keep.at_least_every_s + every_s
    print(f"readings {taken}, rows {kept}, {kept / taken:.1%}")
    assert kept < taken / 10
    assert kept < 40_000
