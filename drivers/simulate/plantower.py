"""A Plantower sensor on the wire. Source: Plantower PMS5003 series data manual V2.3, appendix I."""

from drivers.driver import Line
from drivers.serial.plantower import layout_of
from drivers.simulate.simulator import Talker, Wave

_VERSION = 0x97
_MASS_SHARES = {"pm1": 0.7, "pm2_5": 1.0, "pm10": 1.2}
_COUNT_SHARES = {"n0_3": 210.0, "n0_5": 62.0, "n1_0": 14.0, "n2_5": 2.2, "n5_0": 0.5, "n10": 0.2}  # per ug/m3 of PM2.5


class PlantowerSimulator(Talker):
    """Talks each interval, in the layout of its model; each size counts all particles beyond it."""

    def __init__(self, *, seed: int, every_s: float, model: str) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._layout = layout_of(model)
        self._fine = Wave(12.0, 38.0, seed=seed)
        self._celsius = Wave(24.0, 31.0, seed=seed + 1)
        self._percent = Wave(55.0, 80.0, seed=seed + 2)
        self._formaldehyde = Wave(8.0, 30.0, seed=seed + 3)

    def frames(self, now_ns: int) -> list[bytes]:
        """One data frame."""
        fine = self._fine.at(now_ns)
        said = {name: fine * share for name, share in _COUNT_SHARES.items()}
        said |= {f"{name}{kind}": fine * share for kind in ("", "_cf1") for name, share in _MASS_SHARES.items()}
        said["temperature"] = self._celsius.at(now_ns) * 10
        said["humidity"] = self._percent.at(now_ns) * 10
        said["formaldehyde"] = self._formaldehyde.at(now_ns)
        said["version"] = _VERSION << 8
        words = [round(said.get(name, 0)).to_bytes(2, "big") for name in self._layout.words]
        body = b"BM" + self._layout.data_bytes.to_bytes(2, "big") + b"".join(words)
        return [body + (sum(body) & 0xFFFF).to_bytes(2, "big")]
