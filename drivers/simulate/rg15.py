"""An RG-15 in steady rain on the wire. Source: Hydreon RG-15 instructions, software 1.000, RS232 Communication."""

from drivers.driver import Line
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import NS, Wave

_HOUR_S = 3600
_MM_PER_H = 18.0


class Rg15Simulator(Answerer):
    """Answers with what fell since it was asked last, in this shower and in all."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        super().__init__(line=Line(baud=9600), replies={b"R\n": self._answer})
        self._rate = Wave(_MM_PER_H - 6, _MM_PER_H + 6, seed=seed)
        self._before = (seed % 50) * 100  # hundredths of a millimetre
        self._told: int | None = None

    def _answer(self, now_ns: int) -> bytes:
        event = round(now_ns / NS * _MM_PER_H / _HOUR_S * 100)
        acc = event - (event if self._told is None else self._told)
        self._told = event
        sums = ", ".join(
            f"{name} {count / 100:5.2f} mm"
            for name, count in (("Acc", acc), ("EventAcc", event), ("TotalAcc", self._before + event))
        )
        return f"{sums}, RInt {self._rate.at(now_ns):5.2f} mmph\r\n".encode()
