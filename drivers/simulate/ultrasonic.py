"""A DYP ultrasonic sensor over water on the wire. Source: DFRobot wiki SEN0311, UART output form."""

from drivers.driver import Line
from drivers.framing import sum8
from drivers.simulate.simulator import Talker, Wave

_TRIGGER = b"\x55"


class UltrasonicSimulator(Talker):
    """Talks each interval, and at once when triggered; the SEN0627 only then, in centimetres."""

    def __init__(self, *, seed: int, every_s: float, model: str) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._only_asked = model in ("sen0627", "dfrobot_sen0627")
        self._sum_from = 1 if model == "aj_sr04m" else 0
        self._distance_m = Wave(1.7, 2.3, seed=seed)

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Measure for each trigger byte."""
        return [self._frame(now_ns)] * data.count(_TRIGGER)

    def frames(self, now_ns: int) -> list[bytes]:
        """One distance."""
        return [] if self._only_asked else [self._frame(now_ns)]

    def _frame(self, now_ns: int) -> bytes:
        counts = self._distance_m.at(now_ns) * (100 if self._only_asked else 1000)
        body = b"\xff" + round(counts).to_bytes(2, "big")
        return body + bytes((sum8(body[self._sum_from :]),))
