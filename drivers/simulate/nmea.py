"""A position receiver on a roof in Bandung on the wire. Source: NMEA 0183 V4.11, sentences GGA and RMC."""

from drivers.driver import Line
from drivers.framing import xor8
from drivers.simulate.simulator import NS, Talker, Wave

_DAY_S = 86400


class NmeaSimulator(Talker):
    """Says GGA and RMC each interval; wanders a few metres, as receivers do that stand still."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._south = Wave(53.1182, 53.1218, seed=seed)  # minutes below 6 S
        self._east = Wave(36.8182, 36.8218, seed=seed + 1)  # minutes beyond 107 E
        self._height_m = Wave(768.0, 774.0, seed=seed + 2)
        self._satellites = Wave(7.0, 12.0, seed=seed + 3)
        self._hdop = Wave(0.8, 1.6, seed=seed + 4)
        self._knots = Wave(0.0, 0.2, seed=seed + 5)

    def frames(self, now_ns: int) -> list[bytes]:
        """Two sentences."""
        seconds = now_ns // NS % _DAY_S
        clock = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}.00"
        place = f"06{self._south.at(now_ns):07.4f},S,107{self._east.at(now_ns):07.4f},E"
        satellites, hdop = round(self._satellites.at(now_ns)), self._hdop.at(now_ns)
        return [
            _sentence(f"GNGGA,{clock},{place},1,{satellites:02d},{hdop:.2f},{self._height_m.at(now_ns):.1f},M,2.0,M,,"),
            _sentence(f"GNRMC,{clock},A,{place},{abs(self._knots.at(now_ns)):.3f},0.00,010126,,,A"),
        ]


def _sentence(body: str) -> bytes:
    return f"${body}*{xor8(body.encode()):02X}\r\n".encode()
