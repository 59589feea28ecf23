"""A soil sensor behind an SDI-12 adapter on the wire. Source: SDI-12 specification 1.4, 4.4."""

from drivers.driver import Line
from drivers.serial.sdi12 import crc_chars
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import Wave

_ADDRESS = b"0"


class Sdi12Simulator(Answerer):
    """Measures moisture, temperature and conductivity within a second; two values come at once, the third behind."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        super().__init__(
            line=Line(baud=9600),
            replies={
                b"0CC!": lambda _: self._promise(crc=True),
                b"0C!": lambda _: self._promise(crc=False),
                b"0RC0!": lambda now_ns: self._line(self._values(now_ns), crc=True),
                b"0R0!": lambda now_ns: self._line(self._values(now_ns), crc=False),
                b"0D0!": lambda now_ns: self._line(self._values(now_ns)[:2], crc=self._with_crc),
                b"0D1!": lambda now_ns: self._line(self._values(now_ns)[2:], crc=self._with_crc),
            },
        )
        self._waves = (Wave(22.0, 34.0, seed=seed), Wave(23.0, 27.0, seed=seed + 1), Wave(310.0, 420.0, seed=seed + 2))
        self._with_crc = False

    def _promise(self, *, crc: bool) -> bytes:
        self._with_crc = crc
        return _ADDRESS + b"00103\r\n"  # in one second, three values

    def _values(self, now_ns: int) -> list[bytes]:
        return [f"{wave.at(now_ns):+.2f}".encode() for wave in self._waves]

    def _line(self, values: list[bytes], *, crc: bool) -> bytes:
        body = _ADDRESS + b"".join(values)
        return body + (crc_chars(body) if crc else b"") + b"\r\n"
