"""An MH-Z19 in a kiosk on the wire. Source: Winsen MH-Z19B user's manual V1.0; WifWaf/MH-Z19 for command 7Dh."""

from functools import partial

from drivers.driver import Line
from drivers.serial.mhz19 import sealed
from drivers.simulate.answerer import Answerer
from drivers.simulate.simulator import Wave


class Mhz19Simulator(Answerer):
    """Answers with its value and with its baseline correction, which is on."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        del every_s  # it is asked
        wave = Wave(430.0, 900.0, seed=seed)
        super().__init__(
            line=Line(baud=9600),
            replies={
                sealed(bytes.fromhex("ff01860000000000")): partial(_value, wave),
                sealed(bytes.fromhex("ff017d0000000000")): lambda _: sealed(bytes.fromhex("ff7d000000000001")),
            },
        )


def _value(wave: Wave, now_ns: int) -> bytes:
    return sealed(b"\xff\x86" + round(wave.at(now_ns)).to_bytes(2, "big") + b"\x42\x00\x00\x00")
