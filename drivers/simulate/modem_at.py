"""A modem in a kiosk on the wire. Source: 3GPP TS 27.007 V17; ITU-T V.250."""

from drivers.driver import Line
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import Wave

_OK = b"\r\nOK\r\n"


class ModemSimulator(Answerer):
    """Is registered on LTE; echoes until it is told not to, and now and then says something unasked."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        super().__init__(
            line=Line(baud=115200),
            replies={
                b"ATE0\r": lambda _: b"ATE0\r" + _OK,
                b"AT+CSQ\r": lambda now_ns: f"\r\n+CSQ: {self._level.at(now_ns):.0f},99\r\n".encode() + _OK,
                b"AT+CESQ\r": self._cell,
                b"AT+CEREG?\r": lambda _: b"\r\n+CEREG: 0,1\r\n" + _OK,
                b"AT+CREG?\r": lambda _: b"\r\nRDY\r\n\r\n+CREG: 0,1\r\n" + _OK,
                b"AT+COPS?\r": lambda _: b'\r\n+COPS: 0,0,"Telkomsel",7\r\n' + _OK,
            },
        )
        self._level = Wave(14.0, 24.0, seed=seed)
        self._rsrq = Wave(18.0, 28.0, seed=seed + 1)
        self._rsrp = Wave(36.0, 52.0, seed=seed + 2)

    def _cell(self, now_ns: int) -> bytes:
        rsrq, rsrp = self._rsrq.at(now_ns), self._rsrp.at(now_ns)
        return f"\r\n+CESQ: 99,99,255,255,{rsrq:.0f},{rsrp:.0f}\r\n".encode() + _OK
