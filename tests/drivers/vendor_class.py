"""A driver of a third party, as small as it can be: each byte is a value."""

from collections.abc import Mapping, Sequence

from drivers.driver import Channel, DriverInfo, Event, Line, OptionValue
from drivers.reading import Reading
from drivers.serial.decoded import Decoded

INFO = DriverInfo(
    name="toy", title="Toy", family="toy", line=Line(), channels=(Channel(name="count", unit="1"),), source="made up"
)


class Toy:
    api = 1
    info = INFO
    commands: tuple[bytes, ...] = ()

    def __init__(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> None:
        del options, every_s
        self.sensor = sensor

    def start(self, now_ns: int) -> list[Event]:
        del now_ns
        return []

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return [Reading(sensor=self.sensor, channel="count", value=byte, unit="1", boot_ns=now_ns) for byte in data]

    def tick(self, now_ns: int) -> list[Event]:
        del now_ns
        return []

    def deadline(self) -> int | None:
        return None

    def lost(self, now_ns: int) -> list[Event]:
        del now_ns
        return []

    def decode(self, frames: Sequence[bytes]) -> Decoded:
        found = [event for frame in frames for event in self.receive(frame, 0)]
        return Decoded(readings=tuple(event for event in found if isinstance(event, Reading)))
