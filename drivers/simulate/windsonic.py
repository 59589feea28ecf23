"""A wind sensor on the wire. Source: Gill WindSonic user manual 1405-PS-0019, 9.1 and 9.2."""

import math

from drivers.driver import Line
from drivers.framing import xor8
from drivers.simulate.simulator import Talker, Wave


class WindSonicSimulator(Talker):
    """Says direction and speed each interval, and the same along two axes, in metres per second."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._degrees = Wave(190.0, 260.0, seed=seed)
        self._metres_s = Wave(0.4, 5.2, seed=seed + 1)

    def frames(self, now_ns: int) -> list[bytes]:
        """One line in polar, one in UV format."""
        degrees, metres_s = self._degrees.at(now_ns), self._metres_s.at(now_ns)
        north = -metres_s * math.cos(math.radians(degrees))
        west = metres_s * math.sin(math.radians(degrees))
        return [_line(f"Q,{degrees:03.0f},{metres_s:06.2f},M,00,"), _line(f"Q,{north:+07.2f},{west:+07.2f},M,00,")]


def _line(text: str) -> bytes:
    body = text.encode()
    return b"\x02" + body + b"\x03" + f"{xor8(body):02X}\r\n".encode()
