"""A weather transmitter on the wire. Source: Vaisala WXT530 user guide M211840EN, chapter 7."""

from drivers.driver import Line
from drivers.simulate.simulator import NS, Talker, Wave

_RAIN_MM_PER_S = 0.001


class WxtSimulator(Talker):
    """Says its four messages each interval, and answers ``0R0`` with the first three in one."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=19200), every_s=every_s)
        self._degrees = Wave(190.0, 260.0, seed=seed)
        self._metres_s = Wave(0.8, 4.2, seed=seed + 1)
        self._celsius = Wave(21.0, 29.0, seed=seed + 2)
        self._percent = Wave(58.0, 88.0, seed=seed + 3)
        self._hectopascals = Wave(923.0, 929.0, seed=seed + 4)

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Answer each question for the composite message."""
        wind, air, rain, _ = self._fields(now_ns)
        return [f"0R0,{wind},{air},{rain}\r\n".encode()] * data.count(b"0R0\r\n")

    def frames(self, now_ns: int) -> list[bytes]:
        """Wind, air, precipitation and the unit itself."""
        return [
            f"0R{number},{fields}\r\n".encode()
            for number, fields in zip((1, 2, 3, 5), self._fields(now_ns), strict=True)
        ]

    def _fields(self, now_ns: int) -> tuple[str, str, str, str]:
        degrees, metres_s, celsius = self._degrees.at(now_ns), self._metres_s.at(now_ns), self._celsius.at(now_ns)
        wind = (
            f"Dn={degrees - 8:03.0f}D,Dm={degrees:03.0f}D,Dx={degrees + 9:03.0f}D,"
            f"Sn={metres_s - 0.4:.1f}M,Sm={metres_s:.1f}M,Sx={metres_s + 1.1:.1f}M"
        )
        air = (
            f"Ta={celsius:.1f}C,Tp={celsius + 0.8:.1f}C,Ua={self._percent.at(now_ns):.1f}P,"
            f"Pa={self._hectopascals.at(now_ns):.1f}H"
        )
        now_s = now_ns // NS
        rain = f"Rc={now_s * _RAIN_MM_PER_S:.2f}M,Rd={now_s}s,Ri=3.6M,Hc=0.0M,Hd=0s,Hi=0.0M,Rp=5.2M,Hp=0.0M"
        return wind, air, rain, f"Th={celsius + 1:.1f}C,Vh=11.8N,Vs=12.0V,Vr=3.510V"
