"""A meter with an optical port on the wire. Source: IEC 62056-21:2002, 6.3 and 6.4.3 (mode C)."""

from drivers.driver import Line
from drivers.framing import xor8
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import NS, Wave


class Iec62056Simulator(Answerer):
    """Signs on, and reads out when it is told to stay at its speed."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        super().__init__(
            line=Line(baud=300, data_bits=7, parity="E"),
            replies={b"/?!\r\n": lambda _: b"/GDU5SIMULATED\r\n", b"\x06000\r\n": self._read_out},
        )
        self._watts = Wave(1200.0, 4200.0, seed=seed)
        self._volts = Wave(216.0, 228.0, seed=seed + 1)
        self._hertz = Wave(49.8, 50.2, seed=seed + 2)

    def _read_out(self, now_ns: int) -> bytes:
        watts, volts = self._watts.at(now_ns), self._volts.at(now_ns)
        kwh = 12345.678 + 2700.0 * now_ns / NS / 3_600_000
        lines = (
            "F.F(00)",
            "0.0.0(62000001)",
            f"1.8.0({kwh:010.3f}*kWh)",
            f"1.8.1({kwh - 2345:010.3f}*kWh)",
            f"1.8.2({2345:010.3f}*kWh)",
            "2.8.0(000012.000*kWh)",
            "2.8.1(000012.000*kWh)",
            "2.8.2(000000.000*kWh)",
            "1.8.0*01(012000.000*kWh)",
            f"1.7.0({watts / 1000:06.3f}*kW)",
            "2.7.0(00.000*kW)",
            f"16.7.0({watts / 1000:06.3f}*kW)",
            *(f"{phase}2.7.0({volts + phase:05.1f}*V)" for phase in (3, 5, 7)),
            *(f"{phase}1.7.0({watts / 3 / volts:06.2f}*A)" for phase in (3, 5, 7)),
            f"14.7.0({self._hertz.at(now_ns):05.2f}*Hz)",
            "!",
        )
        body = "\r\n".join(lines).encode() + b"\r\n\x03"
        return b"\x02" + body + bytes((xor8(body),))
