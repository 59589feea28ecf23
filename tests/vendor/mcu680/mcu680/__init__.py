"""MCU680 board with a BME680 (temperature, humidity, pressure, gas): bytes to readings. No I/O.

Source: frames and values of avaldebe/PyPMS, tests/captured_data/MCU680.hexdump and .csv; layout of its
src/pms/sensors/bosch_sensortec/mcu680.py; ranges of a BME680 as in the README of
SolderedElectronics/Soldered-BME280-BME680-Gas-Sensor-Arduino-Library.
"""

from collections.abc import Mapping

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, FixedFrame, sum8
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_HEAD = bytes.fromhex("5a5a3f0f")
_FRAME_BYTES = 20


class Mcu680(Stream):
    """One unit; it talks by itself."""

    api = 1
    commands = ()
    info = DriverInfo(
        name="mcu680",
        title="MCU680 board with BME680",
        family="mcu680",
        line=Line(baud=9600),
        mode="stream",
        channels=(
            Channel(name="temperature", unit="Cel", low=-40.0, high=85.0, max_step_per_s=1.0),
            Channel(name="humidity", unit="%RH", low=0.0, high=100.0, max_step_per_s=5.0),
            Channel(name="pressure", unit="Pa", low=30000.0, high=110000.0, max_step_per_s=200.0, zero="suspect"),
            Channel(name="gas_resistance", unit="Ohm", low=0.0, zero="suspect"),
        ),
        every_s=1.0,
        stale_after_s=30.0,
        integrity="sum8",
        confirm=2,
        source="avaldebe/PyPMS, tests/captured_data/MCU680.hexdump and .csv",
    )

    def __init__(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> None:
        Options(self.info, options)
        super().__init__(
            sensor,
            info=paced(self.info, every_s),
            codec=FixedFrame((_HEAD,), _FRAME_BYTES, _check),
            meaning=_meaning,
        )


def _check(frame: bytes) -> Fault | None:
    if sum8(frame[:-1]) != frame[-1]:
        return Fault(reason="checksum")
    return None


def _meaning(frame: bytes) -> Said:
    if not any(frame[4:-1]):
        return Said(trouble="warming_up", detail="it warms up: nothing but zeros")
    return Said(
        values=(
            Value(channel="temperature", value=int.from_bytes(frame[4:6], "big", signed=True) / 100),
            Value(channel="humidity", value=int.from_bytes(frame[6:8], "big") / 100),
            Value(channel="pressure", value=int.from_bytes(frame[8:11], "big")),
            Value(channel="gas_resistance", value=int.from_bytes(frame[13:17], "big")),
        )
    )
