"""A receipt printer on the wire. Source: Epson TM-U220 technical reference, DLE EOT n."""

from drivers.driver import Line
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import Wave

_WELL = b"\x12"
_NEAR_END = b"\x1e"
_SELDOM = 0.9


class EscPosSimulator(Answerer):
    """Is well, and now and then near the end of its paper."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        well = {b"\x10\x04" + bytes((number,)): self._well for number in (1, 2, 3)}
        super().__init__(line=Line(baud=9600), replies={**well, b"\x10\x04\x04": self._paper})
        self._used = Wave(0.0, 1.0, seed=seed)

    def _well(self, now_ns: int) -> bytes:
        del now_ns  # always
        return _WELL

    def _paper(self, now_ns: int) -> bytes:
        return _NEAR_END if self._used.at(now_ns) > _SELDOM else _WELL
