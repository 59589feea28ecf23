"""A microcontroller that prints JSON lines on the wire."""

from drivers.driver import Line
from drivers.simulate.simulator import Talker, Wave


class LineSimulator(Talker):
    """Prints ``{"t":26.4,"h":71.2,"door":false}`` each interval: Celsius, percent, closed."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._celsius = Wave(23.0, 31.0, seed=seed)
        self._percent = Wave(55.0, 85.0, seed=seed + 1)
        self._door = Wave(0.0, 1.0, seed=seed + 2)

    def frames(self, now_ns: int) -> list[bytes]:
        """One line."""
        celsius, percent = self._celsius.at(now_ns), self._percent.at(now_ns)
        door = "true" if self._door.at(now_ns) > 0.85 else "false"  # noqa: PLR2004 - seldom open
        return [f'{{"t":{celsius:.1f},"h":{percent:.1f},"door":{door}}}\r\n'.encode()]
