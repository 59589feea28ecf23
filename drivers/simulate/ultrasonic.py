"""A DYP ultrasonic sensor over water on the wire. Source: DFRobot wiki SEN0311, UART output form."""

from drivers.driver import Line
from drivers.framing import sum8
from drivers.simulate.simulator import Talker, Wave

_TRIGGER = b"\x55"


class UltrasonicSimulator(Talker):
    """Talks each interval, and at once when triggered."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._distance_m = Wave(1.7, 2.3, seed=seed)

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Measure for each trigger byte."""
        return self.frames(now_ns) * data.count(_TRIGGER)

    def frames(self, now_ns: int) -> list[bytes]:
        """One distance."""
        body = b"\xff" + round(self._distance_m.at(now_ns) * 1000).to_bytes(2, "big")
        return [body + bytes((sum8(body),))]
