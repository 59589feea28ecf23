"""An SDS011 or SDS198 on the wire. Source: Nova Fitness, "Laser Dust Sensor Control Protocol V1.3"; avaldebe/PyPMS."""

from drivers.driver import Line
from drivers.framing import sum8
from drivers.simulate.simulator import Talker, Wave


class Sds011Simulator(Talker):
    """Talks each interval; PM10 is always above PM2.5, as in air."""

    def __init__(self, *, seed: int, every_s: float, model: str = "sds011") -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._coarse_only = model == "sds198"
        self._fine = Wave(12.0, 38.0, seed=seed)
        self._coarse = Wave(6.0, 22.0, seed=seed + 1)
        self._identity = (0xBC00 + seed % 256).to_bytes(2, "big")

    def frames(self, now_ns: int) -> list[bytes]:
        """One data frame."""
        fine = round(self._fine.at(now_ns) * 10)
        coarse = fine + round(self._coarse.at(now_ns) * 10)
        if self._coarse_only:
            body = fine.to_bytes(2, "little") + coarse.to_bytes(2, "little") + self._identity
            return [b"\xaa\xcf" + body + bytes((sum8(body), 0xAB))]
        body = fine.to_bytes(2, "little") + coarse.to_bytes(2, "little") + self._identity
        return [b"\xaa\xc0" + body + bytes((sum8(body), 0xAB))]
