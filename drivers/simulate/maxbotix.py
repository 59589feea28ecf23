"""A MaxBotix sensor over water on the wire. Source: MaxBotix PD11500 (HRXL-MaxSonar-WR), "Serial Output"."""

from drivers.driver import Line
from drivers.serial.maxbotix import model_of
from drivers.simulate.simulator import Talker, Wave


class MaxbotixSimulator(Talker):
    """Talks each interval, in the counts of its model."""

    def __init__(self, *, seed: int, every_s: float, model: str) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._model = model_of(model)
        self._distance_m = Wave(1.7, 2.3, seed=seed)

    def frames(self, now_ns: int) -> list[bytes]:
        """One distance."""
        count = round(self._distance_m.at(now_ns) * 1000 / self._model.mm)
        return [f"R{count:0{self._model.digits}d}\r".encode()]
