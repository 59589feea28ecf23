"""A small UPS on the mains on the wire. Source: Megatec protocol V2.7, "Status inquiry"."""

from drivers.driver import Line
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import Wave


class MegatecSimulator(Answerer):
    """Answers Q1 and QS alike; says the voltage of its whole battery."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        super().__init__(line=Line(baud=2400), replies={b"Q1\r": self._state, b"QS\r": self._state})
        self._mains_v = Wave(212.0, 228.0, seed=seed)
        self._load = Wave(18.0, 32.0, seed=seed + 1)
        self._hertz = Wave(49.8, 50.2, seed=seed + 2)
        self._battery_v = Wave(27.0, 27.4, seed=seed + 3)
        self._celsius = Wave(29.0, 36.0, seed=seed + 4)

    def _state(self, now_ns: int) -> bytes:
        mains_v = self._mains_v.at(now_ns)
        return (
            f"({mains_v:05.1f} 195.0 {mains_v:05.1f} {self._load.at(now_ns):03.0f} {self._hertz.at(now_ns):04.1f}"
            f" {self._battery_v.at(now_ns):04.1f} {self._celsius.at(now_ns):04.1f} 00001000\r"
        ).encode()
