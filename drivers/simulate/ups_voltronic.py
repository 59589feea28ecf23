"""A hybrid inverter on the mains on the wire. Source: Voltronic HS_MS_MSX RS232 protocol (PI30), QPIGS and QMOD."""

from drivers.driver import Line
from drivers.serial.ups_voltronic import crc
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import Wave


class VoltronicSimulator(Answerer):
    """Answers QPIGS and QMOD; the load lives on the mains."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        super().__init__(
            line=Line(baud=2400),
            replies={_sealed(b"QPIGS"): self._state, _sealed(b"QMOD"): lambda _: _sealed(b"(L")},
        )
        self._watts = Wave(110.0, 180.0, seed=seed)
        self._battery_v = Wave(51.0, 52.5, seed=seed + 1)
        self._panel_v = Wave(95.0, 110.0, seed=seed + 2)
        self._mains_v = Wave(212.0, 228.0, seed=seed + 3)

    def _state(self, now_ns: int) -> bytes:
        watts, battery_v = self._watts.at(now_ns), self._battery_v.at(now_ns)
        mains_v = self._mains_v.at(now_ns)
        state = (
            f"({mains_v:05.1f} 50.0 230.0 49.9 {watts * 1.2:04.0f} {watts:04.0f} 003 460 {battery_v:05.2f} 012 087 0046"
            f" 0014 {self._panel_v.at(now_ns):05.1f} {battery_v:05.2f} 00000 00110110 00 00 00856 010"
        )
        return _sealed(state.encode())


def _sealed(body: bytes) -> bytes:
    return body + crc(body) + b"\r"
