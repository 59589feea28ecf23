"""A coin acceptor on the one wire, which brings back what is sent. Source: ccTalk generic specification 4.6, part 2."""

from collections.abc import Callable
from functools import partial

from drivers.driver import Line
from drivers.serial.cctalk_frames import message
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import NS, Wave

_UNIT = 2
_COIN_EVERY_S = 20


class CcTalkSimulator(Answerer):
    """Is healthy and takes a coin now and then; answers with the echo of the question in front."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        self._before = Wave(4000.0, 9000.0, seed=seed).at(0)
        answers: dict[int, Callable[[int], bytes]] = {
            244: lambda _: b"SIM",
            242: lambda _: (700001).to_bytes(3, "little"),
            232: lambda _: b"\0",
            229: lambda now_ns: bytes((1 + self._coins(now_ns) % 255, 4, 1)) + bytes(8),
            226: lambda now_ns: _count(self._coins(now_ns) + 9),
            225: lambda now_ns: _count(self._coins(now_ns)),
            194: lambda _: _count(9),
            193: lambda _: _count(0),
        }
        super().__init__(
            line=Line(baud=9600),
            replies={message(_UNIT, header): partial(_answer, header, answer) for header, answer in answers.items()},
        )

    def _coins(self, now_ns: int) -> int:
        return round(self._before) + now_ns // NS // _COIN_EVERY_S


def _answer(header: int, answer: Callable[[int], bytes], now_ns: int) -> bytes:
    return message(_UNIT, header) + message(1, 0, answer(now_ns), source=_UNIT)


def _count(number: int) -> bytes:
    return number.to_bytes(3, "little")
