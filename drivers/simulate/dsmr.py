"""A smart meter with a gas meter behind it on the wire. Source: DSMR P1 companion standard 5.0.2, 6.12 and 6.13."""

from drivers.driver import Line
from drivers.serial.rtu import crc16
from drivers.simulate.simulator import NS, Talker, Wave


class DsmrSimulator(Talker):
    """Says one telegram of version 5 each interval; its energy climbs as its power says."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=115200), every_s=every_s)
        self._watts = Wave(240.0, 900.0, seed=seed)
        self._volts = Wave(224.0, 236.0, seed=seed + 1)

    def frames(self, now_ns: int) -> list[bytes]:
        """One telegram."""
        watts, volts = self._watts.at(now_ns), self._volts.at(now_ns)
        kwh = 570.0 * now_ns / NS / 3_600_000
        lines = (
            "/GDU5\\SIMULATED",
            "",
            "1-3:0.2.8(50)",
            "0-0:1.0.0(261122120000W)",
            "0-0:96.1.1(47415244553031)",
            f"1-0:1.8.1({4.426 + kwh:010.3f}*kWh)",
            f"1-0:1.8.2({2.399:010.3f}*kWh)",
            f"1-0:2.8.1({2.444:010.3f}*kWh)",
            f"1-0:2.8.2({0:010.3f}*kWh)",
            f"1-0:1.8.0({6.825 + kwh:010.3f}*kWh)",
            f"1-0:2.8.0({2.444:010.3f}*kWh)",
            f"1-0:1.7.0({watts / 1000:06.3f}*kW)",
            "1-0:2.7.0(00.000*kW)",
            f"1-0:32.7.0({volts:05.1f}*V)",
            f"1-0:31.7.0({watts / volts:06.2f}*A)",
            "0-1:24.1.0(003)",
            "0-1:24.2.1(261122120000W)(00981.443*m3)",
            "!",
        )
        telegram = "\r\n".join(lines).encode()
        return [telegram + f"{crc16(telegram, 0):04X}\r\n".encode()]
