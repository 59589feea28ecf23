"""A wind sensor on the wire. Source: Gill WindSonic user manual 1405-PS-0019, 9.1."""

from drivers.driver import Line
from drivers.framing import xor8
from drivers.simulate.simulator import Talker, Wave


class WindSonicSimulator(Talker):
    """Says direction and speed each interval, in metres per second."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._degrees = Wave(190.0, 260.0, seed=seed)
        self._metres_s = Wave(0.4, 5.2, seed=seed + 1)

    def frames(self, now_ns: int) -> list[bytes]:
        """One line."""
        body = f"Q,{self._degrees.at(now_ns):03.0f},{self._metres_s.at(now_ns):06.2f},M,00,".encode()
        return [b"\x02" + body + b"\x03" + f"{xor8(body):02X}\r\n".encode()]
